"""Magnitudes of mock spectra in the i band.

In: noiseless spectra, or magnitudes. Out: AB magnitudes in a box in place of the filter, or the
flux density in its middle.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from speclens.lines import SPEED_OF_LIGHT_KMS, pixel_width_angstrom
from speclens.spectra import LogGrid

__all__ = ["PIVOT_ANGSTROM", "flux_of_magnitudes", "i_magnitudes"]

I_BAND_ANGSTROM = (6900.0, 8200.0)
"""A box in place of the i filter."""

PIVOT_ANGSTROM = float(np.sqrt(np.prod(I_BAND_ANGSTROM)))
"""The pivot wavelength of the box."""

AB_ZERO_POINT = 48.6
"""Of AB magnitudes, for erg/s/cm2/Hz."""

FLUX_CGS = 1e-17

Floats = NDArray[np.float64]


def i_magnitudes(flux: NDArray[np.floating], grid: LogGrid) -> Floats:
    """Return the magnitudes of noiseless spectra.

    Parameters
    ----------
    flux : array of shape (N, L)
        Flux density, 1e-17 erg/s/cm2/Angstrom.
    grid : LogGrid
        Wavelengths, L pixels.

    Returns
    -------
    array of shape (N,)
        AB magnitudes; NaN without light, or if the grid lacks the band.
    """
    blue, red = I_BAND_ANGSTROM
    if grid.wave[0] > blue or grid.wave[-1] < red:
        return np.full(len(flux), np.nan)
    band = (grid.wave >= blue) & (grid.wave <= red)
    width = pixel_width_angstrom(grid.wave[band])
    mean = flux[:, band] @ (width / width.sum())
    # blue * red is the square of the pivot wavelength of a box.
    per_hertz = FLUX_CGS * mean * blue * red / (SPEED_OF_LIGHT_KMS * 1e13)
    return -2.5 * np.log10(np.where(per_hertz > 0, per_hertz, np.nan)) - AB_ZERO_POINT


def flux_of_magnitudes(magnitude: Floats) -> Floats:
    """Return the flux density that a smooth spectrum of a magnitude has at `PIVOT_ANGSTROM`.

    Parameters
    ----------
    magnitude : array of shape (N,)
        AB magnitudes.

    Returns
    -------
    array of shape (N,)
        Flux density, 1e-17 erg/s/cm2/Angstrom.
    """
    per_hertz = 10 ** (-0.4 * (magnitude + AB_ZERO_POINT))
    return np.asarray(per_hertz * SPEED_OF_LIGHT_KMS * 1e13 / PIVOT_ANGSTROM**2 / FLUX_CGS)
