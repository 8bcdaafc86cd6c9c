"""The lens galaxy's own spectrum: a weighted linear fit of eigenspectra and a low polynomial.

In: flux and inverse variance of many spectra, their redshifts. Out: the model of each. The
eigenspectra come from `speclens.eigenspectra`.
"""

from __future__ import annotations

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray

from speclens.config import ForegroundConfig
from speclens.eigenspectra import Eigenspectra
from speclens.spectra import LogGrid

__all__ = ["Foreground"]

CHUNK = 16
"""Spectra fitted at once, so that their design matrices stay in the processor's cache."""

SPARSE_FRACTION = 0.6
"""Spectra with fewer good pixels are fitted in double precision: over a narrow window the
components are nearly degenerate, and the rounding of single precision would decide the fit."""

RIDGE = {np.float32: 1e-6, np.float64: 1e-10}
"""Added to the diagonal of the scaled normal matrix: keeps a degenerate fit solvable."""


class Foreground:
    """Fit of eigenspectra at a known redshift plus a low polynomial (Shu et al. 2016, section 2).

    Parameters
    ----------
    grid : LogGrid
        Observed wavelengths, L pixels.
    config : ForegroundConfig
        Basis and number of terms.

    Raises
    ------
    ConfigError
        If the templates cannot be read.

    Notes
    -----
    Differs: the default basis is the package's own, with six components; a ridge far below the
    noise keeps degenerate fits solvable.
    """

    def __init__(self, grid: LogGrid, config: ForegroundConfig) -> None:
        self.grid = grid
        self._basis = Eigenspectra.read(config.templates)
        self._n_components = min(config.n_components, len(self._basis.components))
        x = np.linspace(-1, 1, grid.n_pixels)
        polynomial = legendre.legvander(x, max(config.n_polynomial - 1, 0)).T
        self._polynomial = polynomial[: config.n_polynomial].astype(np.float32)

    def fit(
        self, flux: NDArray[np.float32], ivar: NDArray[np.float32], z: NDArray[np.floating]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Fit the foreground of many spectra.

        Parameters
        ----------
        flux, ivar : array of shape (N, L)
            Spectra; a pixel with no inverse variance is ignored.
        z : array of shape (N,)
            Redshifts.

        Returns
        -------
        model : array of shape (N, L)
            Foreground, in the unit of `flux`; NaN where the fit has no solution.
        covered : array of shape (N, L)
            False where the eigenspectra do not reach.
        """
        model = np.empty_like(flux)
        covered = np.empty(flux.shape, bool)
        sparse = np.count_nonzero(ivar, axis=1) < SPARSE_FRACTION * self.grid.n_pixels
        for precision, rows in ((np.float32, ~sparse), (np.float64, sparse)):
            where = np.flatnonzero(rows)
            design = self._design(min(CHUNK, len(where)), precision)
            for start in range(0, len(where), CHUNK):
                part = where[start : start + CHUNK]
                model[part], covered[part] = self._fit_chunk(
                    flux[part], ivar[part], z[part], design[: len(part)]
                )
        return model, covered

    def _design(
        self, n_spectra: int, precision: type[np.float32] | type[np.float64]
    ) -> NDArray[np.floating]:
        """Make design matrices, shape (N, M, L), that want the components of each spectrum."""
        n_terms = self._n_components + len(self._polynomial)
        design = np.empty((n_spectra, n_terms, self.grid.n_pixels), precision)
        design[:, self._n_components :] = self._polynomial
        return design

    def _fit_chunk(
        self,
        flux: NDArray[np.float32],
        ivar: NDArray[np.float32],
        z: NDArray[np.floating],
        design: NDArray[np.floating],
    ) -> tuple[NDArray[np.floating], NDArray[np.bool_]]:
        """Fit a few spectra: sums over pixels in the design's precision, the solution in double."""
        components = design[:, : self._n_components]
        _, covered = self._basis.at(z, self.grid, self._n_components, components)
        weight = ivar if covered.all() else np.where(covered, ivar, np.float32(0))
        weighted = design * weight[:, None]
        normal = (weighted @ design.swapaxes(1, 2)).astype(np.float64)
        right = (weighted @ flux[:, :, None]).astype(np.float64)
        # Scaled to a unit diagonal: the components differ by orders of magnitude.
        scale = 1 / np.sqrt(np.maximum(np.diagonal(normal, axis1=1, axis2=2), 1e-300))
        normal *= scale[:, :, None] * scale[:, None, :]
        normal += RIDGE[design.dtype.type] * np.eye(normal.shape[1])
        try:
            solution = np.linalg.solve(normal, right * scale[:, :, None])
        except np.linalg.LinAlgError:
            solution = np.full_like(right, np.nan)
        coefficients = (solution * scale[:, :, None]).astype(design.dtype)
        return (coefficients.swapaxes(1, 2) @ design)[:, 0], covered
