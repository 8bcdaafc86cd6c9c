"""Flux and error of a line at every pixel, for lines of several widths, single ones and blends.

In: residuals. Out: `LineFluxes`. The kernels are the same at all wavelengths: on the global grid a
pixel is a velocity, and the spectrograph's line spread varies less than the widths that are tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from speclens.lines import gaussian_pixels

__all__ = ["LineFilter", "LineFluxes", "local_level"]

Floats = NDArray[np.float32]

LEAST = 1e-12
"""Weight below which nothing is seen of a line."""

NEGLIGIBLE = 1e-4
"""Weight of a kernel's pixel, relative to its highest, that is not worth its time."""


@dataclass(frozen=True)
class LineFluxes:
    """What a line centred on each pixel would have.

    Parameters
    ----------
    flux : array of shape (W, N, L)
        Its flux, 1e-17 erg/s/cm2, for W widths; 0 where too little of it would be seen.
    error : array of shape (W, N, L)
        Standard error; infinite likewise.
    snr : array of shape (N, L)
        Signal-to-noise ratio, highest over the widths.
    """

    flux: Floats
    error: Floats
    snr: Floats


class LineFilter:
    """Error-weighted filter for lines of one shape.

    Parameters
    ----------
    n_pixels : int
        Pixels L of a spectrum.
    sigmas : sequence of float
        Widths W, standard deviations, pixels.
    half_width : int
        Pixels on either side of a kernel's centre.
    min_coverage : float
        Least fraction of the line that must be on good pixels.
    offsets, shares : sequence of float
        Places of the lines of a blend, pixels from its middle, and their shares of the flux.
    """

    def __init__(
        self,
        n_pixels: int,
        sigmas: Sequence[float],
        half_width: int,
        min_coverage: float,
        offsets: Sequence[float] = (0.0,),
        shares: Sequence[float] = (1.0,),
    ) -> None:
        pixel = np.arange(-half_width, half_width + 1)
        kernels = [
            sum(
                (
                    s * gaussian_pixels(pixel - o, sigma)
                    for o, s in zip(offsets, shares, strict=True)
                ),
                np.zeros(len(pixel)),
            )
            for sigma in sigmas
        ]
        operators = [_operator(kernel, n_pixels) for kernel in kernels]
        self._kernel = sparse.vstack(operators, format="csr")
        squared = [_operator(kernel**2, n_pixels) for kernel in kernels]
        self._squared = sparse.vstack(squared, format="csr")
        self._coverage = operators[len(operators) // 2]
        self._shape, self._min_coverage = (len(kernels), n_pixels), min_coverage

    def __call__(self, flux: Floats, ivar: Floats) -> LineFluxes:
        """Filter spectra.

        Parameters
        ----------
        flux, ivar : array of shape (N, L)
            Residual flux of each pixel, 1e-17 erg/s/cm2, and its inverse variance, 0 where masked.

        Returns
        -------
        LineFluxes
            Of a line at every pixel.
        """
        weight = np.ascontiguousarray(ivar.T)
        shape = (*self._shape, len(flux))  # (W, L, N)
        first = (self._kernel @ (weight * flux.T)).reshape(shape)
        second = (self._squared @ weight).reshape(shape)
        seen = self._coverage @ (weight > 0).astype(np.float32) > self._min_coverage
        seen = seen & (second > LEAST)
        second[~seen] = 1
        first[~seen] = 0
        flux_of = np.ascontiguousarray((first / second).transpose(0, 2, 1))
        error_of = np.where(seen, 1 / np.sqrt(second), np.float32(np.inf)).transpose(0, 2, 1)
        error_of = np.ascontiguousarray(error_of)
        return LineFluxes(flux_of, error_of, (flux_of / error_of).max(axis=0))


def _operator(kernel: NDArray[np.float64], n_pixels: int) -> sparse.csr_array:
    """Row i holds the kernel of a line centred on pixel i: a banded (L, L) matrix."""
    offset = np.arange(len(kernel)) - len(kernel) // 2
    kept = kernel > NEGLIGIBLE * kernel.max()
    row = np.repeat(np.arange(n_pixels), kept.sum())
    column = (np.arange(n_pixels)[:, None] + offset[kept]).ravel()
    weight = np.tile(kernel[kept].astype(np.float32), n_pixels)
    inside = (column >= 0) & (column < n_pixels)
    entries = (weight[inside], (row[inside], column[inside]))
    return sparse.csr_array(entries, shape=(n_pixels, n_pixels))


def local_level(residual: Floats, ivar: Floats, n_pixels: int) -> Floats:
    """Return the smooth level of residuals: medians of bins, joined by straight lines.

    Parameters
    ----------
    residual, ivar : array of shape (N, L)
        Residuals; a pixel without inverse variance is left out.
    n_pixels : int
        Width of a bin, pixels.

    Returns
    -------
    array of shape (N, L)
        The level; 0 where a bin holds nothing.
    """
    n_spectra, length = residual.shape
    n_bins = max(length // n_pixels, 1)
    used = n_bins * (length // n_bins)
    bins = np.where(ivar > 0, residual, np.nan)[:, :used].reshape(n_spectra, n_bins, -1)
    ordered = np.sort(bins, axis=2)  # NaN last
    n_good = np.isfinite(bins).sum(axis=2)
    middle = np.take_along_axis(ordered, np.maximum(n_good - 1, 0)[..., None] // 2, axis=2)[..., 0]
    level = np.where(n_good > 0, middle, 0)
    width = bins.shape[2]
    place = np.clip((np.arange(length) - (width - 1) / 2) / width, 0, n_bins - 1)
    below = np.minimum(place.astype(np.intp), max(n_bins - 2, 0))
    above = np.minimum(below + 1, n_bins - 1)
    weight = (place - below).astype(np.float32)
    return np.asarray(level[:, below] * (1 - weight) + level[:, above] * weight, np.float32)
