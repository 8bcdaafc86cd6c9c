"""Early-type galaxies: a library of models, its principal components, mock galaxies.

In: spectra of stellar populations and of observed galaxies on a rest-frame grid. Out: principal
components of any set of spectra, and galaxies drawn at a redshift. Reading the input files is left
to `tools/build_eigenspectra.py`; sky, noise and brightness to the rest of the stage. Shape letters:
N spectra, L pixels, M components, A ages.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import as_file, files

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq
from scipy.linalg import eigh
from scipy.optimize import nnls

from speclens.eigenspectra import Eigenspectra
from speclens.lines import PIXEL_KMS, gaussian_pixels, pixel_width_angstrom
from speclens.spectra import LogGrid

__all__ = [
    "INSTRUMENT_SIGMA_KMS",
    "NORMALISATION_ANGSTROM",
    "GalaxyPopulation",
    "StellarPopulations",
    "broaden",
    "library_components",
    "library_of_galaxies",
    "mismatch",
    "normalise",
    "principal_components",
]

Floats = NDArray[np.float64]

NORMALISATION_ANGSTROM = (4000.0, 4500.0)
"""Rest-frame band in which a galaxy of the library or a mock galaxy has mean flux 1."""

INSTRUMENT_SIGMA_KMS = 80.0
"""Line spread of the BOSS spectrographs at 3800-5000 Angstrom (1.16 pixels), in every galaxy."""

VDISP_MEAN_KMS, VDISP_SIGMA_KMS, VDISP_RANGE_KMS = 230.0, 60.0, (100.0, 400.0)
"""Stellar velocity dispersion of the library: a clipped normal distribution."""

EMISSION_WAVE = np.array([3727.092, 3729.875, 3869.86, 4341.684, 4862.683, 4960.295, 5008.239,
                          6549.86, 6564.614, 6585.27, 6718.29, 6732.68])  # fmt: skip
EMISSION_FLUX = np.array([0.43, 0.57, 0.10, 0.10, 0.22, 0.15, 0.45, 0.25, 0.70, 0.75, 0.30, 0.25])
"""Weak emission of early-type galaxies: vacuum wavelengths and fluxes in units of [O II]."""

OXYGEN_CONTINUUM = 0.6
"""Typical continuum at [O II] 3727 of a galaxy of mean 1: turns equivalent widths into fluxes."""

EMISSION_SIGMA_KMS = 200.0
MISMATCH_RAMP_ANGSTROM = (1900.0, 2100.0)
MAX_ITERATIONS = 30
MIXING = 0.3
CHUNK = 256


def broaden(flux: NDArray[np.floating], sigma_kms: NDArray[np.floating] | float) -> Floats:
    """Convolve spectra with a Gaussian line-of-sight velocity distribution.

    Parameters
    ----------
    flux : array of shape (N, L) or (L,)
        Spectra on the global logarithmic grid.
    sigma_kms : array of shape (N,) or float
        Standard deviation, km/s; 0 leaves a spectrum as it is.

    Returns
    -------
    array of the shape of `flux`
        The spectra; beyond an end of the grid its last value is assumed.
    """
    flux = np.asarray(flux, np.float64)
    sigma = np.asarray(sigma_kms, np.float64)[..., None] / PIXEL_KMS
    n_pixels = flux.shape[-1]
    n_edge = int(np.ceil(6 * sigma.max())) + 1
    n_padded = next_fast_len(n_pixels + 2 * n_edge, real=True)
    edges = [(0, 0)] * (flux.ndim - 1) + [(n_edge, n_padded - n_pixels - n_edge)]
    transfer = np.exp(-2 * (np.pi * rfftfreq(n_padded) * sigma) ** 2)
    smooth = irfft(rfft(np.pad(flux, edges, mode="edge"), axis=-1) * transfer, n_padded, axis=-1)
    return np.asarray(smooth[..., n_edge : n_edge + n_pixels], np.float64)


def principal_components(
    flux: NDArray[np.floating], weights: NDArray[np.floating], n_components: int
) -> Floats:
    """Find the components that describe spectra best, some pixels of which may be missing.

    Parameters
    ----------
    flux : array of shape (N, L)
        Spectra on one grid; what stands where the weight is 0 is ignored.
    weights : array of shape (N, L)
        Inverse variance of `flux`, or any other weight; 0 where it is missing.
    n_components : int
        Number of components M, at most N and L.

    Returns
    -------
    array of shape (M, L)
        Orthonormal components by decreasing variance; the largest value of each is positive. A
        pixel that no spectrum has is 0.

    Notes
    -----
    Li et al. 2019, section 3.2 i. The mean is not subtracted: the amplitudes of a fit are free, so
    the first component is close to the mean. The weighted sum of squared residuals is lowered by
    turns in the coefficients and in the components; with equal weights the start is the solution.
    """
    weight: Floats = np.asarray(weights, np.float64)
    known: Floats = np.where(weight > 0, np.asarray(flux, np.float64), 0.0)
    total = weight.sum(axis=0)
    mean = np.divide((weight * known).sum(axis=0), total, out=np.zeros_like(total), where=total > 0)
    components = _leading(np.where(weight > 0, known, mean), n_components)
    if np.ptp(weight) == 0:
        return components
    loss = np.inf
    for _ in range(MAX_ITERATIONS):
        coefficients = _weighted_solutions(components, known, weight)
        components = _weighted_solutions(coefficients.T, known.T, weight.T).T
        residual = known - coefficients @ components
        previous, loss = loss, float((weight * residual**2).sum())
        if loss > previous * (1 - 1e-5):
            break
    return _leading(coefficients @ components, n_components)


def _leading(flux: Floats, n_components: int) -> Floats:
    """Return the first right singular vectors of an (N, L) array, shape (M, L), signs fixed."""
    by_row = flux.shape[0] <= flux.shape[1]
    gram = flux @ flux.T if by_row else flux.T @ flux
    last = len(gram) - 1
    vectors = eigh(gram, subset_by_index=[last - n_components + 1, last])[1][:, ::-1].T
    # The product loses orthogonality for the weakest components: restore it.
    components = np.linalg.qr((vectors @ flux if by_row else vectors).T)[0].T
    largest = np.take_along_axis(components, np.abs(components).argmax(axis=1)[:, None], axis=1)
    return np.asarray(components * np.sign(largest), np.float64)


def _weighted_solutions(basis: Floats, flux: Floats, weights: Floats) -> Floats:
    """Fit each row of `flux` (N, L) with `basis` (M, L); return amplitudes (N, M)."""
    n_basis = len(basis)
    products = (basis[:, None] * basis[None]).reshape(n_basis**2, -1)
    normal = (weights @ products.T).reshape(-1, n_basis, n_basis)
    # Keeps rows with too few pixels solvable.
    ridge = 1e-9 * np.trace(normal, axis1=1, axis2=2)[:, None, None] + 1e-30
    right = (weights * flux) @ basis.T
    return np.asarray(np.linalg.solve(normal + ridge * np.eye(n_basis), right[..., None])[..., 0])


def normalise(flux: NDArray[np.floating], grid: LogGrid) -> Floats:
    """Scale spectra to mean flux 1 over `NORMALISATION_ANGSTROM`.

    Parameters
    ----------
    flux : array of shape (N, L) or (L,)
        Spectra.
    grid : LogGrid
        Rest wavelengths.

    Returns
    -------
    array of the shape of `flux`
        The scaled spectra.
    """
    low, high = NORMALISATION_ANGSTROM
    band = (grid.wave >= low) & (grid.wave < high)
    return np.asarray(flux / flux[..., band].mean(axis=-1, keepdims=True), np.float64)


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
    # Dust and flux calibration together: a slope.
    flux *= (grid.wave / 4250) ** rng.normal(0.0, 0.25, (n_galaxies, 1))
    oxygen = np.where(rng.random(n_galaxies) < 0.35, rng.exponential(3.0, n_galaxies), 0.0)
    flux += (oxygen * OXYGEN_CONTINUUM)[:, None] * _emission(grid)
    return normalise(flux, grid), vdisp


def _light_fractions(log_age: Floats, n_galaxies: int, rng: np.random.Generator) -> Floats:
    """Draw old star-formation histories, some with younger stars; shape (N, A), rows sum to 1."""
    old = _bump(log_age, rng.uniform(0.2, 1.0, n_galaxies), 0.15)
    young = _bump(log_age, rng.uniform(-2.0, 0.0, n_galaxies), 0.2)
    rejuvenated = rng.random(n_galaxies) < 0.2
    fraction = np.where(rejuvenated, rng.uniform(0.0, 0.3, n_galaxies), 0.0)
    fraction = np.minimum(fraction + rng.exponential(0.03, n_galaxies), 0.5)[:, None]
    return (1 - fraction) * old + fraction * young


def _bump(log_age: Floats, centre: Floats, width: float) -> Floats:
    """Return Gaussians in log age of unit sum, shape (N, A)."""
    weight = np.exp(-0.5 * ((log_age - centre[:, None]) / width) ** 2)
    return np.asarray(weight / weight.sum(axis=1, keepdims=True), np.float64)


def _line_offsets(grid: LogGrid) -> Floats:
    """Return each pixel's distance from each emission line, pixels; shape (lines, L)."""
    return np.asarray(np.arange(grid.n_pixels) - grid.pixel(EMISSION_WAVE)[:, None], np.float64)


def _emission(grid: LogGrid) -> Floats:
    """Return an emission spectrum with an [O II] flux of 1, shape (L,), per Angstrom."""
    profiles = gaussian_pixels(_line_offsets(grid), EMISSION_SIGMA_KMS / PIXEL_KMS)
    return np.asarray(EMISSION_FLUX @ profiles / pixel_width_angstrom(grid.wave), np.float64)


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


@dataclass(frozen=True)
class GalaxyPopulation:
    """Early-type galaxies from which a mock survey draws.

    Parameters
    ----------
    basis : Eigenspectra
        The components M.
    coefficients : array of shape (K, M)
        Amplitudes of the K galaxies.
    vdisp : array of shape (K,)
        Their stellar velocity dispersions, km/s.
    """

    basis: Eigenspectra
    coefficients: Floats
    vdisp: Floats

    @classmethod
    @lru_cache(maxsize=1)
    def bundled(cls) -> GalaxyPopulation:
        """Read the population of the package.

        Returns
        -------
        GalaxyPopulation
            Galaxies of the library from which the bundled eigenspectra were computed.
        """
        from astropy.io import fits

        with (
            as_file(files("speclens") / "data" / "eigenspectra.fits") as path,
            fits.open(path, memmap=False) as hdus,
        ):
            table = hdus["POPULATION"].data
            coefficients = np.asarray(table["COEFFICIENTS"], np.float64)
            vdisp = np.asarray(table["VDISP"], np.float64)
        return cls(Eigenspectra.read(), coefficients, vdisp)

    def draw(
        self, z: NDArray[np.floating], grid: LogGrid, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Draw galaxies and redshift them.

        Parameters
        ----------
        z : array of shape (N,)
            Redshifts.
        grid : LogGrid
            Observed wavelengths, L pixels.
        rng : numpy.random.Generator
            Source of randomness.

        Returns
        -------
        flux : array of shape (N, L)
            Noiseless spectra, mean 1 over rest `NORMALISATION_ANGSTROM`, with the line spread of
            the instrument. Redshift does not dim them: brightness is left to the caller.
        vdisp : array of shape (N,)
            Stellar velocity dispersion, km/s, which the spectra have already.

        Notes
        -----
        Each is a mean of two galaxies of the population, the second with a weight below 0.3: no two
        are the same and all are possible. All components are used, also those a fit leaves out.
        """
        z = np.asarray(z, np.float64)
        pair = rng.integers(len(self.vdisp), size=(2, len(z)))
        second = rng.uniform(0.0, MIXING, len(z))
        vdisp = (1 - second) * self.vdisp[pair[0]] + second * self.vdisp[pair[1]]
        mixed = self.coefficients[pair[0]] * (1 - second)[:, None]
        mixed += self.coefficients[pair[1]] * second[:, None]
        flux = np.empty((len(z), grid.n_pixels), np.float32)
        for start in range(0, len(z), CHUNK):
            rows = slice(start, start + CHUNK)
            components, _ = self.basis.at(z[rows], grid, mixed.shape[1])
            flux[rows] = np.einsum("nm,nml->nl", mixed[rows], components, optimize=True)
        return flux, vdisp.astype(np.float32)
