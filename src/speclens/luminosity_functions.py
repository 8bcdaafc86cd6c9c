"""How many sources there are by the luminosity of a line.

In: `data/luminosity_functions.toml`. Out: `LuminosityFunction`, one record a line, and which of
them tells of a line that was seen.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from speclens.hypotheses import GALAXY_LINES
from speclens.lines import REST_LINES

__all__ = ["LUMINOSITY_FUNCTIONS", "LuminosityFunction", "source_populations"]

NEAR = 0.003
"""A line is that of a wavelength when they differ by no more, natural logarithm: 900 km/s."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LuminosityFunction:
    """A Schechter function.

    Parameters
    ----------
    line : str
        Its line, of `speclens.lines.REST_LINES`.
    log_l_star : float
        Common logarithm of L* at z = 0, erg/s.
    evolution : float
        Power of 1 + z with which L* grows.
    redshifts : (float, float)
        Where it was measured.
    alpha : float
        Slope of its faint end.
    log_phi_star, density_evolution : float, optional
        Common logarithm of the number a comoving Mpc^3 at z = 0, and its power of 1 + z.
    stands_for : tuple of str, optional
        Other lines of the same galaxies.
    """

    line: str
    log_l_star: float
    evolution: float
    redshifts: tuple[float, float]
    alpha: float
    log_phi_star: float = np.nan
    density_evolution: float = 0.0
    stands_for: tuple[str, ...] = ()

    def l_star(self, z: NDArray[np.floating]) -> Floats:
        """Return the luminosity at which the function bends.

        Parameters
        ----------
        z : array of shape (N,)
            Redshift of the source; beyond the ends of the range the nearer one counts.

        Returns
        -------
        array of shape (N,)
            Luminosity, 1e42 erg/s.
        """
        measured = np.clip(np.asarray(z, np.float64), *self.redshifts)
        return np.asarray(10 ** (self.log_l_star - 42) * (1 + measured) ** self.evolution)

    def number(self, relative: NDArray[np.floating], z: NDArray[np.floating]) -> Floats:
        """Return how many sources there are.

        Parameters
        ----------
        relative : array
            Luminosity over L*.
        z : array of the same shape
            Redshift of the source; beyond the ends of the range the nearer one counts.

        Returns
        -------
        array of the same shape
            Number a comoving Mpc^3 and unit of the natural logarithm of the luminosity.
        """
        measured = np.clip(np.asarray(z, np.float64), *self.redshifts)
        density = 10**self.log_phi_star * (1 + measured) ** self.density_evolution
        return np.asarray(density * relative ** (self.alpha + 1) * np.exp(-relative))

    def waves(self) -> Mapping[float, float]:
        """Return the lines that it tells of.

        Returns
        -------
        mapping of float to float
            Flux of its own line over that of the line, by the line's wavelength at rest, Angstrom.
        """
        own = _usual_fluxes().get(self.line, 1.0)
        return {
            REST_LINES[name].wave: own / _usual_fluxes().get(name, 1.0)
            for name in (self.line, *self.stands_for)
        }


def _usual_fluxes() -> Mapping[str, float]:
    """Flux of the lines of a galaxy over that of H beta, by name."""
    return {name: group.ratio * share for group in GALAXY_LINES for name, share in group.lines}


def _read_functions() -> Mapping[str, LuminosityFunction]:
    text = (files("speclens") / "data" / "luminosity_functions.toml").read_text(encoding="utf-8")
    return {line: LuminosityFunction(line, **rest) for line, rest in tomllib.loads(text).items()}


LUMINOSITY_FUNCTIONS = _read_functions()
"""All of them, by the name of their line."""


def source_populations(
    wave_rest: NDArray[np.floating], z_source: NDArray[np.floating]
) -> tuple[Floats, Floats]:
    """Say of which population the sources of lines are.

    Parameters
    ----------
    wave_rest : array of shape (N,)
        Wavelength of each line at rest, Angstrom.
    z_source : array of shape (N,)
        Redshift of its source.

    Returns
    -------
    l_star : array of shape (N,)
        Luminosity of the line where the function bends, 1e42 erg/s; NaN where no function tells of
        a line at this wavelength.
    alpha : array of shape (N,)
        Slope of the faint end, likewise.
    """
    l_star, alpha = np.full(len(wave_rest), np.nan), np.full(len(wave_rest), np.nan)
    nearest = np.full(len(wave_rest), NEAR)
    for function in LUMINOSITY_FUNCTIONS.values():
        for wave, ratio in function.waves().items():
            with np.errstate(divide="ignore", invalid="ignore"):
                away = np.abs(np.log(wave_rest / wave))
            own = away < nearest
            l_star[own] = function.l_star(z_source[own]) / ratio
            nearest[own], alpha[own] = away[own], function.alpha
    return l_star, alpha
