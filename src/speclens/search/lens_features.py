"""What of a spectrum is the lens's own, and is not searched: its lines, and what it absorbs.

In: residuals about the foreground. Out: a mask. Broad absorption, for which a whole spectrum is
skipped, is measured by `speclens.sample.balnicity`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from speclens.config import LinesConfig
from speclens.search.line_filter import LineFilter
from speclens.spectra import LogGrid

__all__ = ["LensFeatures"]

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

LENS_REACH = 3
"""Pixels by which a line of the lens may be off its place."""


class LensFeatures:
    """Finds the pixels that show the lens's own lines.

    Parameters
    ----------
    grid : LogGrid
        Wavelengths, L pixels.
    config : LinesConfig
        The lines, and when they count as seen.
    """

    def __init__(self, grid: LogGrid, config: LinesConfig) -> None:
        self._grid, self._config = grid, config
        middle = float(np.median(config.sigma_pixels))
        self._filter = LineFilter([middle], config.half_width, config.min_coverage)

    def __call__(
        self, flux: NDArray[np.float32], ivar: NDArray[np.float32], z: Floats
    ) -> NDArray[np.bool_]:
        """Mask what is the lens's.

        Parameters
        ----------
        flux, ivar : array of shape (N, L)
            Residual flux of each pixel, 1e-17 erg/s/cm2, and its inverse variance, 0 where masked.
        z : array of shape (N,)
            Redshifts of the lenses.

        Returns
        -------
        array of shape (N, L)
            True around a line of the lens that is seen, in emission or absorption; around any
            absorption, where that is asked for, because its edges are no lines; and where the
            spectrum of a lens is not to be searched.
        """
        mask = np.zeros(flux.shape, bool)
        row, pixel = self._lens_lines(flux, ivar, z)
        if self._config.absorption_snr > 0:
            snr = self._filter(flux, ivar).snr[0, 0]  # (L, N)
            absorbed = np.argwhere(snr < -self._config.absorption_snr)
            row, pixel = np.append(row, absorbed[:, 1]), np.append(pixel, absorbed[:, 0])
        mask[row[:, None], self._around(pixel, self._config.lens_half_width)] = True
        low, high = self._config.rest_range
        blue, red = self._grid.wave[[0, -1]]
        if len(z) and (low > blue / (1 + z.max()) or high < red / (1 + z.min())):
            rest = self._grid.wave / (1 + z[:, None])
            mask |= (rest < low) | (rest > high)
        return mask

    def _lens_lines(
        self, flux: NDArray[np.float32], ivar: NDArray[np.float32], z: Floats
    ) -> tuple[Places, Places]:
        """Row and pixel of the lines of lenses that are seen."""
        places = self._grid.pixel(np.array(self._config.lens_lines) * (1 + z[:, None]))
        # Of a line that is centred beyond an end, half may be within.
        last = self._grid.n_pixels - 1
        row, line = np.nonzero((places > -LENS_REACH) & (places < last + LENS_REACH))
        pixel = np.round(places[row, line]).astype(np.intp)
        reach = LENS_REACH + self._config.half_width
        near = self._around(pixel, reach)
        inside = near == pixel[:, None] + np.arange(-reach, reach + 1)
        weight = np.where(inside, ivar[row[:, None], near], np.float32(0))
        snr = np.abs(self._filter(flux[row[:, None], near], weight).snr[0, 0])
        at_line = slice(reach - LENS_REACH, reach + LENS_REACH + 1)
        shown = snr[at_line].max(axis=0) > self._config.lens_snr
        return row[shown], pixel[shown]

    def _around(self, pixel: Places, reach: int) -> Places:
        """Pixels on either side of some, shape (n, 2 * reach + 1)."""
        near = pixel[:, None] + np.arange(-reach, reach + 1)
        return np.asarray(np.clip(near, 0, self._grid.n_pixels - 1), np.intp)
