"""DESI's pixels onto the global grid, on which all searches work.

In: spectra on linear pixels, 0.8 Angstrom wide. Out: the same on a `LogGrid`, whose pixels are
wider, from 3474 Angstrom on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from speclens.lines import pixel_width_angstrom
from speclens.spectra import LogGrid

__all__ = ["REACH", "Regrid"]

Floats = NDArray[np.float32]

REACH = 4
"""Pixels of the grid, to either side, over which the kernel reaches."""

LEAST_SEEN = 0.75
"""Share of the kernel's power that must lie on good pixels."""

PIXEL_VARIANCE = 1 / 12
"""Of a pixel of the grid over which profiles are integrated, pixels^2; samples are not."""

LEAST_SPREAD = 0.1
"""Of a line that is narrower than a pixel, pixels."""


class Regrid:
    """Samples spectra at the pixels of a grid.

    Parameters
    ----------
    first, step : float
        Wavelength of the first pixel of the spectra, and distance to the next, Angstrom.
    part : slice
        Which pixels of the spectra are given, P of them.
    grid : LogGrid
        The window, L pixels.

    Attributes
    ----------
    nearest : array of shape (L,)
        Pixel of `part` that is nearest to each of the grid; at its ends the last one.

    Notes
    -----
    The kernel of Lanczos (Duchon 1979, J. Appl. Meteorol. 18, 1016), as wide as the pixels of the
    grid: a low pass at the highest frequency that these can hold. So lines keep their width and
    their signal-to-noise ratio, and white noise stays nearly white and even from pixel to pixel:
    neighbours correlate by 0.09. The inverse variance is that of the spectrum's pixels in one of
    the grid, so that a line of several has the noise that a filter expects; one alone scatters by
    4 % less.
    """

    def __init__(self, first: float, step: float, part: slice, grid: LogGrid) -> None:
        width = pixel_width_angstrom(grid.wave)
        place = (grid.wave - first) / step
        start = np.ceil(place - REACH * width / step).astype(np.intp)
        stop = np.floor(place + REACH * width / step).astype(np.intp) + 1
        row = np.repeat(np.arange(grid.n_pixels), stop - start)
        pixel = np.arange(len(row)) - np.repeat(np.cumsum(stop - start) - stop, stop - start)
        offset = (pixel - place[row]) * (step / width)[row]
        kernel = np.sinc(offset) * np.sinc(offset / REACH)
        given = (pixel >= part.start) & (pixel < part.stop)
        cells = row[given], pixel[given] - part.start
        shape = (grid.n_pixels, part.stop - part.start)

        def matrix(weight: NDArray[np.float64]) -> csr_array:
            share = weight / np.bincount(row, weight, grid.n_pixels)[row]
            return csr_array((share[given].astype(np.float32), cells), shape=shape)

        self._kernel, self._power = matrix(kernel), matrix(kernel**2)
        nearest = np.round(place).astype(np.intp) - part.start
        self.nearest = nearest.clip(0, shape[1] - 1)
        self._width = width.astype(np.float32)
        self._in_pixel = (width / step).astype(np.float32)

    def __call__(self, flux: Floats, ivar: Floats, spread: Floats) -> tuple[Floats, Floats, Floats]:
        """Sample spectra.

        Parameters
        ----------
        flux, ivar : array of shape (N, P)
            Flux density, 1e-17 erg/s/cm2/Angstrom, and its inverse variance; 0 where masked.
        spread : array of shape (N, P)
            Standard deviation of the line spread, Angstrom; 0 where unknown.

        Returns
        -------
        flux, ivar : array of shape (N, L)
            The same on the grid; 0 where too little is seen.
        spread : array of shape (N, L)
            Standard deviation of the line spread, pixels, without the pixel's own; 0 where unknown.
        """
        good = (ivar > 0).astype(np.float32)
        variance = np.divide(1, ivar, out=np.zeros_like(ivar), where=ivar > 0)
        seen, scatter = (_sampled(self._power, values) for values in (good, variance))
        enough = seen >= LEAST_SEEN
        total, weight = (_sampled(self._kernel, values) for values in (flux * good, good))
        zero = np.zeros_like(total)
        mean = np.divide(total, weight, out=zero.copy(), where=enough)
        information = np.divide(seen * self._in_pixel, scatter, out=zero, where=enough)
        wide = spread[:, self.nearest] / self._width
        own = np.sqrt(np.maximum(wide**2 - PIXEL_VARIANCE, LEAST_SPREAD**2))
        return mean, information, np.where(wide > 0, own, np.float32(0))


def _sampled(matrix: csr_array, values: Floats) -> Floats:
    return np.ascontiguousarray((matrix @ values.T).T)
