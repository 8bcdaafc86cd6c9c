"""How much likelier the fluxes at the places of lines are with a source than without.

In: flux and error of each group of lines, at some redshifts. Out: the natural logarithm of the
evidence for a source there over that for none. A line that should be seen and is not speaks
against the source, as loudly as its error allows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from speclens.config import LinesConfig
from speclens.hypotheses import GALAXY_LINES, LineGroup

__all__ = ["LineEvidence"]

Floats = NDArray[np.float64]

STEP = 0.06
"""Of the fluxes over which is summed, natural logarithm: finer than the errors of any line."""

FAINTEST, BRIGHTEST = 0.3, 300.0
"""Fluxes of H beta that are summed over, in units of the least that is seen of any line."""

RATIO_RANGE = 13.0
"""Factor by which a line may be fainter or brighter than H beta at either end."""

LEAST_SCATTER = 0.08
"""Of a ratio, so that it is resolved by `STEP`."""


class LineEvidence:
    """Evidence for a source.

    Parameters
    ----------
    config : LinesConfig
        Errors that no calibration undercuts, spoilt measurements, slope of the source counts.
    groups : sequence of LineGroup
        G groups of lines that the source shows: a star-forming galaxy's when not given.

    Notes
    -----
    The flux F that ratios are relative to, that of H beta in galaxies, has a prior
    dN ~ F^-slope d(ln F); the ratio of each group to it is lognormal. The likelihood of a measured
    flux is a Gaussian; of lines that a source should have, a few are spoilt. Against no source the
    likelihood is the Gaussian alone: errors have grown to what residuals really are, and a peak
    beyond them is to be explained, not excused.
    """

    def __init__(self, config: LinesConfig, groups: Sequence[LineGroup] = GALAXY_LINES) -> None:
        self._floor, self._spoilt = config.flux_floor, config.spoilt_fraction
        self._wider = config.spoilt_sigma
        self._ratio = np.array([group.ratio for group in groups])
        self._ln_beta = np.arange(np.log(FAINTEST), np.log(BRIGHTEST), STEP)  # (F,)
        self._ln_line = np.arange(
            np.log(FAINTEST / RATIO_RANGE), np.log(BRIGHTEST * RATIO_RANGE), STEP
        )  # (K,)
        prior = -config.count_slope * self._ln_beta
        self._prior = prior - logsumexp(prior)
        self._spread = [self._lognormal(g.ratio, g.scatter) for g in groups]  # (K, F) each

    def __call__(self, flux: Floats, error: Floats) -> Floats:
        """Weigh measured fluxes.

        Parameters
        ----------
        flux, error : array of shape (Z, G)
            Of each group at Z redshifts; an infinite error where it is not seen.

        Returns
        -------
        array of shape (Z,)
            Natural logarithm of the evidence ratio; 0 where nothing is seen.
        """
        seen = np.isfinite(error)
        stated = np.where(seen, error, 1.0)
        flux = np.where(seen, flux, 0.0)
        believed = np.hypot(stated, self._floor * np.abs(flux))
        unit = np.where(seen, stated / self._ratio, np.inf).min(axis=1)  # (Z,)
        unit = np.where(np.isfinite(unit), unit, 1.0)
        expected = unit[:, None] * np.exp(self._ln_line)  # (Z, K)
        total = np.broadcast_to(self._prior, (len(flux), len(self._prior))).copy()
        for i, spread in enumerate(self._spread):
            rows = np.flatnonzero(seen[:, i])
            x = (flux[rows, i, None] - expected[rows]) / believed[rows, i, None]
            with_line = (
                self._ln_likelihood(x) - np.log(believed[rows, i] / stated[rows, i])[:, None]
            )
            without = -0.5 * (flux[rows, i] / stated[rows, i]) ** 2
            highest = with_line.max(axis=1, keepdims=True)
            summed = np.exp(with_line - highest) @ spread  # (rows, F)
            total[rows] += np.log(np.maximum(summed, 1e-300)) + highest - without[:, None]
        return np.asarray(np.where(seen.any(axis=1), logsumexp(total, axis=1), 0.0))

    def _lognormal(self, ratio: float, scatter: float) -> Floats:
        """Chance of each flux of a line, for each flux of H beta: shape (K, F)."""
        x = self._ln_line[:, None] - self._ln_beta - np.log(ratio)
        chance = np.exp(-0.5 * (x / max(scatter, LEAST_SCATTER)) ** 2)
        return np.asarray(chance / chance.sum(axis=0))

    def _ln_likelihood(self, x: Floats) -> Floats:
        plain = np.log1p(-self._spoilt) - 0.5 * x**2
        wild = np.log(self._spoilt / self._wider) - 0.5 * (x / self._wider) ** 2
        return np.asarray(np.logaddexp(plain, wild))
