"""Emission-line galaxies behind lenses: what a search of lines has to find.

In: numbers and a generator. Out: line fluxes of star-forming galaxies and the spectra of their
lines. Medians and scatter of the ratios are those of `speclens.hypotheses.GALAXY_LINES`, but drawn
from what makes them - dust, ionisation, metallicity - so that they go together as they do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from speclens.hypotheses import GALAXY_LINES, OII
from speclens.lines import REST_LINES, gaussian_pixels
from speclens.simulate.emitters import Lines
from speclens.simulate.linear_grid import Grid

__all__ = ["GalaxyEmission", "draw_emission", "emission_spectra", "strongest_lines"]

Floats = NDArray[np.float64]

DUST_SCATTER = 0.25
"""Of the Balmer decrement H alpha over H beta, natural logarithm."""

DUST_OF = {"[O II]": -0.4, "H gamma": -0.3, "H alpha": 0.6, "[N II]": 0.6, "[S II] 6718": 0.6,
           "[S II] 6733": 0.6}  # fmt: skip
"""How the ratios to H beta go with that of H alpha: the law of dust."""

OII_RATIOS = (0.7, 1.45)
"""Between these lies the doublet's 3730 over 3727 at the densities of H II regions."""

TOTAL_SIGMAS = 2.0
"""Ratios further from their median than so many scatters are not drawn."""


@dataclass(frozen=True)
class GalaxyEmission:
    """Emission of N galaxies.

    Parameters
    ----------
    z : array of shape (N,)
        Redshifts.
    sigma_kms : array of shape (N,)
        Standard deviations of the lines before the spectrograph, km/s.
    fluxes : array of shape (N, K)
        Of each of `names`, over that of H beta.
    names : tuple of str
        The K lines.
    """

    z: Floats
    sigma_kms: Floats
    fluxes: Floats
    names: tuple[str, ...]

    def flux_of(self, members: Sequence[str]) -> Floats:
        """Return the flux of some lines together over that of H beta, shape (N,)."""
        return np.asarray(self.fluxes[:, [name in members for name in self.names]].sum(axis=1))


def draw_emission(
    z: Floats, sigma_kms: tuple[float, float], rng: np.random.Generator
) -> GalaxyEmission:
    """Draw galaxies.

    Parameters
    ----------
    z : array of shape (N,)
        Their redshifts.
    sigma_kms : (float, float)
        Between which their lines are wide, uniformly, standard deviations, km/s.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    GalaxyEmission
        The galaxies.
    """
    n = len(z)
    dust = rng.normal(0, DUST_SCATTER, n)
    blue = rng.uniform(*OII_RATIOS, n)
    names, fluxes = [], []
    # [N II] and [S II] each go as one with metallicity.
    metals = rng.normal(0, 1, n)
    for group in GALAXY_LINES:
        own = (
            metals
            if group.name in ("[N II]", "[S II] 6718", "[S II] 6733")
            else rng.normal(0, 1, n)
        )
        own = np.clip(own, -TOTAL_SIGMAS, TOTAL_SIGMAS)
        of_dust = DUST_OF.get(group.name, 0.0)
        rest = np.sqrt(max(group.scatter**2 - (of_dust * DUST_SCATTER) ** 2, 0.05**2))
        flux = group.ratio * np.exp(of_dust * dust + rest * own * (group.name != "H beta"))
        for name, share in group.lines:
            if name == "[O II] 3727":
                share_of = 1 / (1 + blue)
            elif name == "[O II] 3730":
                share_of = blue / (1 + blue)
            else:
                share_of = np.full(n, share)
            names.append(name)
            fluxes.append(flux * share_of)
    return GalaxyEmission(
        np.asarray(z, np.float64), rng.uniform(*sigma_kms, n), np.stack(fluxes, 1), tuple(names)
    )


def emission_spectra(
    galaxies: GalaxyEmission, grid: Grid, dispersion: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return the spectra of the lines, line by line.

    Parameters
    ----------
    galaxies : GalaxyEmission
        N galaxies with K lines.
    grid : LogGrid or LinearGrid
        Wavelengths, L pixels.
    dispersion : array of shape (N, L)
        Standard deviation of the line spread, pixels.

    Returns
    -------
    array of shape (K, N, L)
        Flux density for an H beta of 1e-17 erg/s/cm2, 1e-17 erg/s/cm2/Angstrom.
    """
    pixel = np.arange(grid.n_pixels)
    width = grid.width(grid.wave)
    rows = np.arange(len(galaxies.z))
    spectra = np.zeros((len(galaxies.names), len(rows), grid.n_pixels))
    for i, name in enumerate(galaxies.names):
        wave = REST_LINES[name].wave * (1 + galaxies.z)
        spread = dispersion[rows, grid.nearest(wave)]
        sigma = np.hypot(grid.pixels_of(galaxies.sigma_kms, wave), spread)
        offset = pixel - grid.pixel(wave)[:, None]
        spectra[i] = galaxies.fluxes[:, i, None] * gaussian_pixels(offset, sigma[:, None]) / width
    return spectra


def strongest_lines(spectra: NDArray[np.floating], names: Sequence[str], grid: Grid) -> Lines:
    """Return the line of each galaxy that has the most flux on the pixels.

    Parameters
    ----------
    spectra : array of shape (K, N, L)
        Flux density of each line, 1e-17 erg/s/cm2/Angstrom.
    names : sequence of str
        The K lines.
    grid : LogGrid or LinearGrid
        Wavelengths, L pixels.

    Returns
    -------
    Lines
        N lines; the [O II] doublet is one line, as it is seen.
    """
    width = grid.width(grid.wave)
    doublet = np.array([name in OII.members for name in names])
    seen = np.concatenate([spectra[~doublet], spectra[doublet].sum(axis=0)[None]])
    pixels = seen * width
    flux = pixels.sum(axis=2)  # (K - 1, N)
    best = flux.argmax(axis=0), np.arange(spectra.shape[1])
    flux, pixels = flux[best], pixels[best]
    share = pixels / np.maximum(flux, 1e-30)[:, None]
    wave = share @ grid.wave
    variance = (share * (grid.wave - wave[:, None]) ** 2).sum(axis=1)
    # A pixel is as wide as it is: the profile before it was summed is narrower.
    variance -= grid.width(wave) ** 2 / 12
    return Lines(wave, flux, np.sqrt(np.maximum(variance, 0)), np.zeros(len(flux)))
