"""Completeness as a smooth function of what a source and its spectrum are like.

In: sources put in, and whether each came back. Out: `Selection`, fitted without bins: at every
flux, wavelength and noise a completeness with its interval. It is
plateau * rise, two logistic functions: how many of the brightest come back, and how much signal it
takes, both of them linear in the covariates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

__all__ = ["COVARIATES", "Selection", "fit_selection"]

Floats = NDArray[np.float64]

COVARIATES = ("wave", "ln_noise", "z_lens", "ln_width", "foreground")
"""What completeness depends on beside signal over noise; the last as its inverse hyperbolic sine in
units of the noise, which is linear where it is faint and logarithmic where it is bright."""

PRIOR = 2.0
"""Standard deviation of the prior of each slope, per standard deviation of its covariate: what the
data do not tell stays near zero."""

PRIOR_PLATEAU = 4.0
"""Centre of the prior of the plateau's logit: nearly all."""

FIRST_SNR = 6.0
"""Ideal signal-to-noise ratio about which the rise is expanded."""

MAX_LINES = 200_000
"""Of more lines a part is fitted, evenly taken."""

LEAST = 1e-9


@dataclass(frozen=True)
class Selection:
    """Completeness, fitted.

    Parameters
    ----------
    centre, scale : array of shape (C,)
        Mean and standard deviation of the covariates, in the order of `COVARIATES`.
    coefficients : array of shape (P,)
        Of the plateau's logit: constant and covariates; then of the rise's: constant, signal over
        noise and its logarithm, and covariates.
    covariance : array of shape (P, P)
        Of the coefficients; spectra, not lines, are taken for independent.
    n_lines : int
        Lines that were fitted.
    """

    centre: Floats
    scale: Floats
    coefficients: Floats
    covariance: Floats
    n_lines: int

    def __call__(
        self, values: Mapping[str, Floats], sigma: float = 1.0
    ) -> tuple[Floats, Floats, Floats]:
        """Return the completeness of sources.

        Parameters
        ----------
        values : mapping of str to array of shape (N,)
            `snr`, the ideal signal-to-noise ratio, and each of `COVARIATES`.
        sigma : float, optional
            Half width of the interval, standard deviations.

        Returns
        -------
        completeness, low, high : array of shape (N,)
            Fraction of such sources that come back, and its interval.
        """
        plateau, rise = _designs(values, self.centre, self.scale)
        chance, slope = _chance(self.coefficients, plateau, rise)
        variance = np.einsum("np,pq,nq->n", slope, self.covariance, slope)
        # On the logit's scale an interval cannot leave 0 to 1.
        half = sigma * np.sqrt(np.maximum(variance, 0)) / np.maximum(chance * (1 - chance), LEAST)
        middle = logit(np.clip(chance, LEAST, 1 - LEAST))
        return chance, expit(middle - half), expit(middle + half)

    @property
    def content(self) -> dict[str, Any]:
        """The same as JSON."""
        arrays = {name: getattr(self, name).tolist() for name in ARRAYS}
        return {**arrays, "covariates": list(COVARIATES), "n_lines": self.n_lines}

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Selection:
        """Return what `content` gave.

        Parameters
        ----------
        content : mapping
            As JSON.

        Returns
        -------
        Selection
            The function.

        Raises
        ------
        ValueError
            If it is of other covariates, or its shapes disagree.
        """
        arrays = {name: np.array(content[name], np.float64) for name in ARRAYS}
        n = 2 * len(COVARIATES) + 4
        if (
            list(content["covariates"]) != list(COVARIATES)
            or arrays["coefficients"].shape != (n,)
            or arrays["covariance"].shape != (n, n)
        ):
            raise ValueError("covariates: other ones than this version has")
        return cls(**arrays, n_lines=int(content["n_lines"]))


ARRAYS = ("centre", "scale", "coefficients", "covariance")


def fit_selection(
    values: Mapping[str, Floats], came_back: NDArray[np.bool_], spectrum: NDArray[np.integer]
) -> Selection:
    """Fit the completeness, by maximum likelihood with a wide prior.

    Parameters
    ----------
    values : mapping of str to array of shape (N,)
        As `Selection` takes them.
    came_back : array of shape (N,)
        Whether each source did.
    spectrum : array of shape (N,)
        The spectrum of each: those of one share its noise and its foreground.

    Returns
    -------
    Selection
        The function.
    """
    step = max(1, -(-len(came_back) // MAX_LINES))
    values = {name: np.asarray(column[::step], np.float64) for name, column in values.items()}
    came_back, spectrum = came_back[::step], spectrum[::step]
    covariates = np.stack([values[name] for name in COVARIATES], axis=1)
    centre = covariates.mean(axis=0)
    scale = np.maximum(covariates.std(axis=0), 1e-6)
    plateau, rise = _designs(values, centre, scale)
    mean, width = _prior(plateau.shape[1], rise.shape[1])

    def loss(coefficients: Floats) -> tuple[float, Floats]:
        chance, slope = _chance(coefficients, plateau, rise)
        chance = np.clip(chance, LEAST, 1 - LEAST)
        value = -np.log(np.where(came_back, chance, 1 - chance)).sum()
        per_chance = np.where(came_back, -1 / chance, 1 / (1 - chance))
        off = (coefficients - mean) / width
        return float(value + 0.5 * (off**2).sum()), per_chance @ slope + off / width

    best = minimize(loss, mean, jac=True, method="BFGS", options={"maxiter": 500}).x
    covariance = _covariance(best, plateau, rise, came_back, spectrum, width)
    return Selection(centre, scale, best, covariance, len(came_back))


def _designs(values: Mapping[str, Floats], centre: Floats, scale: Floats) -> tuple[Floats, Floats]:
    """Return the terms of the logits of plateau and rise, a row a source."""
    covariates = np.stack([np.asarray(values[name], np.float64) for name in COVARIATES], axis=1)
    standard = np.clip((covariates - centre) / scale, -4, 4)
    snr = np.maximum(np.asarray(values["snr"], np.float64), 0.1)[:, None]
    ones = np.ones_like(snr)
    rise = [ones, snr / FIRST_SNR - 1, np.log(snr / FIRST_SNR), standard]
    return np.hstack([ones, standard]), np.hstack(rise)


def _prior(n_plateau: int, n_rise: int) -> tuple[Floats, Floats]:
    """Return mean and standard deviation of the prior of the coefficients."""
    mean = np.zeros(n_plateau + n_rise)
    width = np.full(n_plateau + n_rise, PRIOR)
    mean[0], width[n_plateau : n_plateau + 3] = PRIOR_PLATEAU, 30.0
    mean[n_plateau + 1] = FIRST_SNR
    return mean, width


def _chance(coefficients: Floats, plateau: Floats, rise: Floats) -> tuple[Floats, Floats]:
    """Return the completeness, and its derivatives by the coefficients."""
    n = plateau.shape[1]
    level, rising = expit(plateau @ coefficients[:n]), expit(rise @ coefficients[n:])
    chance = level * rising
    slope = np.hstack(
        [(chance * (1 - level))[:, None] * plateau, (chance * (1 - rising))[:, None] * rise]
    )
    return chance, slope


def _covariance(
    best: Floats,
    plateau: Floats,
    rise: Floats,
    came_back: NDArray[np.bool_],
    spectrum: NDArray[np.integer],
    width: Floats,
) -> Floats:
    """Return the covariance of the coefficients, lines of one spectrum being alike.

    The sandwich of White (1980) with a cluster for each spectrum; with fewer spectra than twice the
    coefficients, the inverse of Fisher's information.
    """
    chance, slope = _chance(best, plateau, rise)
    chance = np.clip(chance, LEAST, 1 - LEAST)
    information = (slope / (chance * (1 - chance))[:, None]).T @ slope + np.diag(1 / width**2)
    inverse = np.linalg.inv(information)
    _, which = np.unique(spectrum, return_inverse=True)
    n_spectra = int(which.max(initial=-1)) + 1
    if n_spectra < 2 * len(best):
        return np.asarray(inverse)
    pull = ((came_back - chance) / (chance * (1 - chance)))[:, None] * slope
    score = np.zeros((n_spectra, len(best)))
    np.add.at(score, which, pull)
    meat = score.T @ score + np.diag(1 / width**2)
    sandwich = inverse @ meat @ inverse
    return np.asarray(max(sandwich, inverse, key=np.trace))
