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

from speclens.eigenspectra import Eigenspectra
from speclens.errors import ConfigError
from speclens.lines import PIXEL_KMS
from speclens.spectra import LogGrid

__all__ = [
    "NORMALISATION_ANGSTROM",
    "GalaxyPopulation",
    "broaden",
    "normalise",
    "principal_components",
]

Floats = NDArray[np.float64]

NORMALISATION_ANGSTROM = (4000.0, 4500.0)
"""Rest-frame band in which a galaxy of the library or a mock galaxy has mean flux 1."""

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

    def among(self, rows: NDArray[np.bool_] | NDArray[np.integer]) -> GalaxyPopulation:
        """Return a part of the population.

        Parameters
        ----------
        rows : array
            Which of its K galaxies, as an index or a mask.

        Returns
        -------
        GalaxyPopulation
            Those galaxies alone.
        """
        return GalaxyPopulation(self.basis, self.coefficients[rows], self.vdisp[rows])

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

        Raises
        ------
        ConfigError
            If the eigenspectra do not reach the whole grid at a redshift.

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
            components, covered = self.basis.at(z[rows], grid, mixed.shape[1])
            if not covered.all():
                raise ConfigError(
                    f"galaxies at redshifts from {z.min():.2f} to {z.max():.2f}: the eigenspectra "
                    f"do not reach the whole of {grid.wave[0]:.0f}-{grid.wave[-1]:.0f} Angstrom; "
                    "narrow survey.redshift_range"
                )
            flux[rows] = np.einsum("nm,nml->nl", mixed[rows], components, optimize=True)
        return flux, vdisp.astype(np.float32)
