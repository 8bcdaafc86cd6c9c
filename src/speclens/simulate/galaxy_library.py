"""The library of model early-type galaxies behind the bundled eigenspectra.

In: single-age stellar populations and mean spectra of observed galaxies, on a rest-frame grid. Out:
a library of galaxies and its principal components. Reading the input files is left to
`tools/build_eigenspectra.py`, drawing mock galaxies to `speclens.simulate.galaxies`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from speclens.lines import PIXEL_KMS, gaussian_pixels, pixel_width_angstrom, rest_waves
from speclens.simulate.galaxies import broaden, normalise, principal_components
from speclens.spectra import LogGrid

__all__ = [
    "INSTRUMENT_SIGMA_KMS",
    "StellarPopulations",
    "library_components",
    "library_of_galaxies",
    "mismatch",
]

Floats = NDArray[np.float64]

INSTRUMENT_SIGMA_KMS = 80.0
"""Line spread of the BOSS spectrographs at 3800-5000 Angstrom (1.16 pixels), in every galaxy."""

VDISP_MEAN_KMS, VDISP_SIGMA_KMS, VDISP_RANGE_KMS = 230.0, 60.0, (100.0, 400.0)
"""Stellar velocity dispersion of the library: a clipped normal distribution."""

EMISSION = {
    "[O II] 3727": 0.43, "[O II] 3730": 0.57, "[Ne III]": 0.10, "H gamma": 0.10, "H beta": 0.22,
    "[O III] 4960": 0.15, "[O III] 5008": 0.45, "[N II] 6550": 0.25, "H alpha": 0.70,
    "[N II] 6585": 0.75, "[S II] 6718": 0.30, "[S II] 6733": 0.25,
}  # fmt: skip
"""Weak emission of early-type galaxies: lines, and fluxes in units of [O II]."""

OXYGEN_CONTINUUM = 0.6
"""Typical continuum at [O II] 3727 of a galaxy of mean 1: turns equivalent widths into fluxes."""

EMISSION_SIGMA_KMS = 200.0
MISMATCH_RAMP_ANGSTROM = (1900.0, 2100.0)


@dataclass(frozen=True)
class StellarPopulations:
    """Spectra of single-age stellar populations.

    Parameters
    ----------
    flux : array of shape (A, L)
        Spectra, each of mean 1 over `NORMALISATION_ANGSTROM`.
    log_age : array of shape (A,)
        Decimal logarithm of the age in Gyr.
    sigma_kms : float
        Velocity dispersion that the spectra have already, km/s.
    grid : LogGrid
        Rest wavelengths.
    """

    flux: Floats
    log_age: Floats
    sigma_kms: float
    grid: LogGrid

    def at(self, sigma_kms: float) -> Floats:
        """Return the spectra at a larger velocity dispersion.

        Parameters
        ----------
        sigma_kms : float
            Total dispersion, km/s.

        Returns
        -------
        array of shape (A, L)
            The spectra.
        """
        return broaden(self.flux, float(np.sqrt(max(0.0, sigma_kms**2 - self.sigma_kms**2))))


def mismatch(observed: NDArray[np.floating], populations: StellarPopulations) -> Floats:
    """Measure what stellar populations leave unexplained in an observed mean galaxy.

    Parameters
    ----------
    observed : array of shape (L,)
        The galaxy, of mean 1 over `NORMALISATION_ANGSTROM`; NaN where unknown.
    populations : StellarPopulations
        The models; their dispersion and reddening are fitted along with their masses.

    Returns
    -------
    array of shape (L,)
        Observed minus fitted flux; bridged at emission lines, 0 where unknown or too far blue to be
        measured well.
    """
    wave = populations.grid.wave
    emission = (np.abs(_line_offsets(populations.grid)) < 20).any(axis=0)
    used = np.isfinite(observed) & (wave > MISMATCH_RAMP_ANGSTROM[1]) & ~emission
    fits = []
    for sigma in np.arange(populations.sigma_kms, 401.0, 20.0):
        models = populations.at(sigma)
        design = np.concatenate([models, models * np.exp(-((wave / 5500) ** -0.7))])
        amplitudes, distance = nnls(design[:, used].T, observed[used])
        fits.append((distance, np.asarray(observed - amplitudes @ design)))
    residual = min(fits, key=lambda fit: fit[0])[1]
    known = np.isfinite(residual) & ~emission
    bridged = np.interp(wave, wave[known], residual[known], left=0.0, right=0.0)
    low, high = MISMATCH_RAMP_ANGSTROM
    return np.asarray(bridged * np.clip((wave - low) / (high - low), 0.0, 1.0), np.float64)


def library_of_galaxies(
    populations: StellarPopulations,
    mismatches: NDArray[np.floating],
    n_galaxies: int,
    rng: np.random.Generator,
) -> tuple[Floats, Floats]:
    """Make early-type galaxies.

    Parameters
    ----------
    populations : StellarPopulations
        Their stars.
    mismatches : array of shape (K, L)
        Differences between observed galaxies and such models, see `mismatch`. The first enters with
        a mean amplitude of 1, the others with 0.
    n_galaxies : int
        Number of galaxies N.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    flux : array of shape (N, L)
        Spectra with the line spread of the instrument, mean 1 over `NORMALISATION_ANGSTROM`.
    vdisp : array of shape (N,)
        Stellar velocity dispersion, km/s.
    """
    grid = populations.grid
    light = _light_fractions(populations.log_age, n_galaxies, rng)
    vdisp = np.clip(rng.normal(VDISP_MEAN_KMS, VDISP_SIGMA_KMS, n_galaxies), *VDISP_RANGE_KMS)
    total = np.hypot(vdisp, INSTRUMENT_SIGMA_KMS)
    flux = broaden(light @ populations.flux, np.sqrt(total**2 - populations.sigma_kms**2))
    amplitude = rng.normal(0.0, 0.5, (n_galaxies, len(mismatches)))
    amplitude[:, 0] += 1
    flux += amplitude @ mismatches
    # Dust, metallicity and flux calibration together: a slope. BOSS galaxies are redder than
    # populations of solar metallicity.
    flux *= (grid.wave / 4250) ** rng.normal(0.55, 0.25, (n_galaxies, 1))
    oxygen = np.where(rng.random(n_galaxies) < 0.35, rng.exponential(3.0, n_galaxies), 0.0)
    flux += (oxygen * OXYGEN_CONTINUUM)[:, None] * _emission(grid)
    return normalise(flux, grid), vdisp


def _light_fractions(log_age: Floats, n_galaxies: int, rng: np.random.Generator) -> Floats:
    """Draw old star-formation histories, some with younger stars; shape (N, A), rows sum to 1."""
    old = _bump(log_age, rng.uniform(0.3, 0.9, n_galaxies), 0.15)
    young = _bump(log_age, rng.uniform(-2.0, 0.0, n_galaxies), 0.2)
    rejuvenated = rng.random(n_galaxies) < 0.1
    fraction = np.where(rejuvenated, rng.uniform(0.0, 0.3, n_galaxies), 0.0)
    fraction = np.minimum(fraction + rng.exponential(0.01, n_galaxies), 0.5)[:, None]
    return (1 - fraction) * old + fraction * young


def _bump(log_age: Floats, centre: Floats, width: float) -> Floats:
    """Return Gaussians in log age of unit sum, shape (N, A)."""
    weight = np.exp(-0.5 * ((log_age - centre[:, None]) / width) ** 2)
    return np.asarray(weight / weight.sum(axis=1, keepdims=True), np.float64)


def _line_offsets(grid: LogGrid) -> Floats:
    """Return each pixel's distance from each emission line, pixels; shape (lines, L)."""
    centres = grid.pixel(rest_waves(*EMISSION))
    return np.asarray(np.arange(grid.n_pixels) - centres[:, None], np.float64)


def _emission(grid: LogGrid) -> Floats:
    """Return an emission spectrum with an [O II] flux of 1, shape (L,), per Angstrom."""
    flux = np.array(list(EMISSION.values()))
    profiles = gaussian_pixels(_line_offsets(grid), EMISSION_SIGMA_KMS / PIXEL_KMS)
    return np.asarray(flux @ profiles / pixel_width_angstrom(grid.wave), np.float64)


def _scale(flux: NDArray[np.floating], grid: LogGrid) -> Floats:
    """Return what spectra are multiplied with before the PCA, shape (L,).

    The inverse square root of the mean continuum stands between equal weight for equal flux and for
    equal fraction of the flux; what the search never sees, or sees in few galaxies, counts less.
    """
    mean = broaden(flux.mean(axis=0), 5000.0)
    faint = 1 / (1 + (2300 / grid.wave) ** 12)
    red = 1 / (1 + (grid.wave / 4300) ** 8)
    return np.asarray((0.1 + 0.9 * faint * red) / np.sqrt(np.maximum(mean, 0.02)))


def library_components(
    flux: NDArray[np.floating], grid: LogGrid, n_components: int
) -> tuple[Floats, Floats]:
    """Find the principal components of a library of galaxies.

    Parameters
    ----------
    flux : array of shape (N, L)
        Its spectra, see `library_of_galaxies`.
    grid : LogGrid
        Rest wavelengths.
    n_components : int
        Number of components M.

    Returns
    -------
    components : array of shape (M, L)
        By decreasing importance. They are orthonormal after multiplication with a smooth function
        that stresses 2300-4300 Angstrom, which is what the search sees.
    coefficients : array of shape (N, M)
        Those of each galaxy.
    """
    scale = _scale(flux, grid)
    scaled = flux * scale
    components = principal_components(scaled, np.ones_like(scaled), n_components)
    return components / scale, scaled @ components.T
