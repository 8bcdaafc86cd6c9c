"""Flux and error of a line at every pixel, for lines of several widths, single ones and blends.

In: residuals. Out: `LineFluxes`. The kernels are the same at all wavelengths: on the global grid a
pixel is a velocity, and the spectrograph's line spread varies less than the widths that are tried.
So one small matrix filters any block of pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from speclens.lines import gaussian_pixels
from speclens.search.blocks import blocks_of, filtered

__all__ = ["SINGLE", "LineFilter", "LineFluxes", "Shape", "local_level"]

Floats = NDArray[np.float32]
Places = NDArray[np.intp]

Shape = Sequence[tuple[float, float]]
"""Lines of a blend: the place of each, pixels from its middle, and its share of the flux."""

SINGLE: Shape = ((0.0, 1.0),)
"""A line alone."""

LEAST = 1e-12
"""Inverse variance of a pixel below which nothing is seen there."""

NEGLIGIBLE = 1e-4
"""Weight of a kernel's pixel, relative to its highest, that counts for nothing."""

BLOCK = 16
"""Pixels that are filtered by one product of small matrices."""


@dataclass(frozen=True)
class LineFluxes:
    """What a line centred on each pixel would have, for S shapes and W widths.

    Parameters
    ----------
    c1 : array of shape (S, W, L, N)
        Sum over its pixels of profile, flux and inverse variance. Spectra are columns.
    c2 : array of shape (S, W, L, N)
        Sum of squared profile and inverse variance, which is the inverse variance of its flux;
        infinite where too little of it would be seen: flux and signal-to-noise ratio are 0 there.
    first : int
        Pixel with which the arrays begin.
    growth2 : array of shape (L, N)
        Square of a factor on the errors, which `squared_snr` and `at` take into account.
    """

    c1: Floats
    c2: Floats
    first: int = 0
    growth2: Floats | None = None

    @property
    def flux(self) -> Floats:
        """Its flux, shape (S, W, L, N), 1e-17 erg/s/cm2."""
        return self.c1 / self.c2

    @property
    def snr(self) -> Floats:
        """Signal-to-noise ratio, shape (S, W, L, N)."""
        return np.asarray(self.c1 / np.sqrt(self.c2), np.float32)

    @property
    def seen(self) -> NDArray[np.bool_]:
        """Where enough of it would be seen, shape (S, W, L, N)."""
        return np.isfinite(self.c2)

    def squared_snr(self) -> Floats:
        """Return the squared signal-to-noise ratio of lines in emission.

        Returns
        -------
        array of shape (S, L, N)
            Highest over the widths; 0 where there is none.
        """
        n_shapes, n_widths, *shape = self.c1.shape
        best = np.zeros((n_shapes, *shape), np.float32)
        for i, j in np.ndindex(n_shapes, n_widths):  # an array at a time stays in the cache
            ratio = np.maximum(self.c1[i, j], 0)
            ratio *= ratio
            ratio /= self.c2[i, j]
            np.maximum(best[i], ratio, out=best[i])
        return best if self.growth2 is None else np.asarray(best / self.growth2, np.float32)

    def at(self, shape: int, pixel: Places, row: Places | int) -> LineFluxes:
        """Return lines of one shape at some places.

        Parameters
        ----------
        shape : int
            Index of the shape.
        pixel, row : array of shape (Z,)
            Pixel and spectrum of each.

        Returns
        -------
        LineFluxes
            With arrays of shape (W, Z).
        """
        place = np.maximum(pixel - self.first, 0)
        growth2 = 1 if self.growth2 is None else self.growth2[place, row]
        c1, c2 = (c[shape][:, place, row] / growth2 for c in (self.c1, self.c2))
        return LineFluxes(c1, c2)


class LineFilter:
    """Error-weighted filter for lines.

    Parameters
    ----------
    sigmas : sequence of float
        Widths W, standard deviations, pixels.
    half_width : int
        Pixels on either side of a kernel's centre.
    min_coverage : float
        Least fraction of the line that must be on good pixels.
    shapes : sequence of Shape
        Shapes S; a single line when not given.
    """

    def __init__(
        self,
        sigmas: Sequence[float],
        half_width: int,
        min_coverage: float,
        shapes: Sequence[Shape] = (SINGLE,),
    ) -> None:
        pixel = np.arange(-half_width, half_width + 1)
        width = np.array(sigmas)[:, None]
        profiles = [
            sum(share * gaussian_pixels(pixel - offset, width) for offset, share in shape)
            for shape in shapes
        ]
        kernel = np.array(profiles)  # (S, W, K)
        self._kernel, self._squared = _blocks(kernel), _blocks(kernel**2)
        middle = len(width) // 2
        self._coverage = self._kernel[:, middle : middle + 1]
        self._min_coverage = min_coverage

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
        c1 = filtered(self._kernel, ivar * flux)
        c2 = filtered(self._squared, ivar)
        hidden = filtered(self._coverage, ivar > LEAST) <= self._min_coverage
        np.copyto(c2, np.inf, where=hidden)
        return LineFluxes(c1, c2)


def _blocks(kernels: NDArray[np.float64]) -> Floats:
    """Matrices from the pixels around a block to lines on its own: (S, W, 1, BLOCK, BLOCK + K)."""
    kernels = np.where(kernels > NEGLIGIBLE * kernels.max(axis=-1, keepdims=True), kernels, 0)
    return blocks_of(kernels[..., None, :], BLOCK)


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
    width = length // n_bins
    bins = np.where(ivar > 0, residual, np.float32(np.nan))[:, : n_bins * width]
    bins = bins.reshape(n_spectra, n_bins, width)
    n_good = np.isfinite(bins).sum(axis=2)
    bins.sort(axis=2)  # NaN last
    middle = np.take_along_axis(bins, np.maximum(n_good - 1, 0)[..., None] // 2, axis=2)[..., 0]
    level = np.where(n_good > 0, middle, np.float32(0)) @ _straight_lines(n_bins, width, length)
    return np.asarray(level, np.float32)


@lru_cache(maxsize=4)
def _straight_lines(n_bins: int, width: int, n_pixels: int) -> Floats:
    """Share of each bin in the level at each pixel, shape (n_bins, L)."""
    place = np.clip((np.arange(n_pixels) - (width - 1) / 2) / width, 0, n_bins - 1)
    share = 1 - np.abs(place - np.arange(n_bins)[:, None])
    return np.asarray(np.maximum(share, 0), np.float32)
