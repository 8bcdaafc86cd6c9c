"""Pixels of an arm that stand out as no light can: what is left of cosmic rays.

In: pixels of spectra before they are averaged, and their line spread. Out: those that are alone.
On the pixels of the searches, onto which they would be sampled, each would look like a narrow line;
what damages several pixels is left to `speclens.sample.damage`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from speclens.lines import gaussian_pixels
from speclens.read.desi import INSTRUMENT

__all__ = ["lone_pixels"]

NEAR = np.arange(-2, 3)
"""Pixels that light of one wavelength reaches."""

AROUND = np.array([-5, -4, -3, 3, 4, 5])
"""Pixels that tell what is beneath it."""

LEAST_AROUND = 4
CENTRES = np.array([-0.5, -0.25, 0.0, 0.25, 0.5])
"""Places of a line within its highest pixel."""

Floats = NDArray[np.float32]


def lone_pixels(flux: Floats, ivar: Floats, spread: Floats) -> NDArray[np.bool_]:
    """Find the pixels that one pixel alone explains better than any line.

    Parameters
    ----------
    flux, ivar : array of shape (N, L)
        Flux density, 1e-17 erg/s/cm2/Angstrom, and its inverse variance; 0 where masked.
    spread : array of shape (N, L)
        Standard deviation of the line spread, pixels; 0 where unknown.

    Returns
    -------
    array of shape (N, L)
        True where a pixel is further than `spike_snr` of the instrument from the median of those
        around it, of either sign, and its neighbours are not as high as the spectrograph would
        make them, by `spike_dchi2`. Without a line spread, or neighbours, none is.
    """
    alone = np.zeros(flux.shape, bool)
    reach = int(AROUND[-1])
    if flux.shape[1] <= 2 * reach:
        return alone
    inner = slice(reach, -reach)
    # Cheap first: what stands out from the nearest of those around it, on either side.
    beside = 0.5 * (
        flux[:, reach - 3 : -reach - 3] + flux[:, reach + 3 : flux.shape[1] - reach + 3]
    )
    away = (flux[:, inner] - beside) ** 2 * ivar[:, inner]
    row, pixel = np.nonzero((away > INSTRUMENT.spike_snr**2) & (spread[:, inner] > 0))
    pixel += reach
    around = flux[row[:, None], pixel[:, None] + AROUND]
    known = ivar[row[:, None], pixel[:, None] + AROUND] > 0
    enough = known.sum(axis=1) >= LEAST_AROUND
    row, pixel, around, known = row[enough], pixel[enough], around[enough], known[enough]
    beneath = np.nanmedian(np.where(known, around, np.nan), axis=1) if len(row) else np.zeros(0)
    near = row[:, None], pixel[:, None] + NEAR
    height = (flux[near] - beneath[:, None]).astype(np.float64)
    weight = ivar[near].astype(np.float64)
    chi2 = height**2 * weight
    middle = len(NEAR) // 2
    neighbours = (weight > 0).sum(axis=1) > middle
    of_line = _chi2_of_lines(height, weight, spread[row, pixel].astype(np.float64))
    of_pixel = chi2.sum(axis=1) - chi2[:, middle]
    found = chi2[:, middle] > INSTRUMENT.spike_snr**2
    found &= neighbours & (of_line - of_pixel > INSTRUMENT.spike_dchi2)
    alone[row[found], pixel[found]] = True
    return alone


def _chi2_of_lines(
    height: NDArray[np.float64], weight: NDArray[np.float64], spread: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Chi2 of the best line of least width, wherever in the middle pixel it lies, shape (K,)."""
    shape = gaussian_pixels(NEAR - CENTRES[:, None, None], spread[:, None])  # (centres, K, near)
    norm = (weight * shape**2).sum(axis=2)
    flux = np.divide((weight * height * shape).sum(axis=2), norm, where=norm > 0, out=0 * norm)
    left = height - flux[:, :, None] * shape
    return np.asarray((weight * left**2).sum(axis=2).min(axis=0), np.float64)
