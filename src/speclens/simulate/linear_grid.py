"""Pixels in even steps of wavelength, on which lines are drawn as on those of the global grid.

In: nothing. Out: `LinearGrid`, and `Grid`, either of the two. No search works on linear pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from speclens.lines import SPEED_OF_LIGHT_KMS
from speclens.spectra import LogGrid

__all__ = ["Grid", "LinearGrid"]


@dataclass(frozen=True)
class LinearGrid:
    """Pixels in even steps of wavelength.

    Parameters
    ----------
    first, step : float
        Wavelength of the first pixel, and distance to the next, vacuum Angstrom.
    n_pixels : int
        Number of pixels L.
    """

    first: float
    step: float
    n_pixels: int

    @cached_property
    def wave(self) -> NDArray[np.float64]:
        """Vacuum wavelength, shape (L,), Angstrom."""
        return np.asarray(self.first + self.step * np.arange(self.n_pixels), np.float64)

    def pixel(self, wave: NDArray[np.floating] | float) -> NDArray[np.float64]:
        """Return the fractional pixel of a wavelength, as `LogGrid.pixel`.

        Parameters
        ----------
        wave : array or float
            Vacuum wavelength, Angstrom.

        Returns
        -------
        array
            0 at the centre of the first pixel.
        """
        return np.asarray((wave - self.first) / self.step, np.float64)

    def nearest(self, wave: NDArray[np.floating]) -> NDArray[np.intp]:
        """Return the pixel nearest to each wavelength, as `LogGrid.nearest`.

        Parameters
        ----------
        wave : array
            Vacuum wavelength, Angstrom; beyond the grid its nearest end counts.

        Returns
        -------
        array
            Index of a pixel of this grid.
        """
        return np.clip(np.round(self.pixel(wave)), 0, self.n_pixels - 1).astype(np.intp)

    def width(self, wave: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the width of a pixel at each wavelength, as `LogGrid.width`.

        Parameters
        ----------
        wave : array
            Vacuum wavelength, Angstrom.

        Returns
        -------
        array
            Widths, Angstrom.
        """
        return np.full(np.shape(wave), self.step)

    def pixels_of(
        self, kms: NDArray[np.floating], wave: NDArray[np.floating]
    ) -> NDArray[np.float64]:
        """Return how many pixels velocities are, as `LogGrid.pixels_of`.

        Parameters
        ----------
        kms : array
            Velocities, km/s.
        wave : array
            Vacuum wavelengths at which they are asked for, Angstrom.

        Returns
        -------
        array
            Pixels.
        """
        return np.asarray(kms / SPEED_OF_LIGHT_KMS * wave / self.step, np.float64)


Grid = LogGrid | LinearGrid
"""Pixels on which lines can be drawn."""
