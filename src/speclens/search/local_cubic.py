"""A line tested again about a cubic through the pixels around it.

In: prepared spectra and the peaks of the matched filter. Out: what is left of each peak. Where a
foreground fits badly, as the broad lines of quasars often do, what it leaves is smooth, and a cubic
takes it away.
"""

from __future__ import annotations

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray

from speclens.lines import gaussian_pixels, pixel_width_angstrom
from speclens.sample.preparation import PreparedSpectra
from speclens.search.matched_filter import MatchedFilter

__all__ = ["snr_about_cubic"]

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

LINE_SIGMAS = 3.0
"""Standard deviations on either side of a line that say nothing of the cubic."""

RIDGE = 1e-10
"""Added to the diagonal of the scaled normal matrix: too few pixels give no cubic, not an error."""


def snr_about_cubic(
    spectra: PreparedSpectra,
    matched_filter: MatchedFilter,
    row: Places,
    pixel: Places,
    half_width: int,
) -> Floats:
    """Return the signal-to-noise ratio of lines about a cubic (Meyer et al. 2017).

    Parameters
    ----------
    spectra : PreparedSpectra
        N spectra.
    matched_filter : MatchedFilter
        Whose kernels are used; the best of its widths counts.
    row, pixel : array of shape (P,)
        Spectrum and place of each line.
    half_width : int
        Pixels on either side to which the cubic is fitted.

    Returns
    -------
    array of shape (P,)
        Signal-to-noise ratios, 0 where nothing is seen. The cubic counts as known.
    """
    n_pixels = spectra.grid.n_pixels
    offset = np.arange(-half_width, half_width + 1)
    place = pixel[:, None] + offset
    inside = (place >= 0) & (place < n_pixels)
    place = np.clip(place, 0, n_pixels - 1)
    width = pixel_width_angstrom(spectra.grid.wave)[place]
    flux = spectra.residual[row[:, None], place] * width
    weight = np.where(inside, spectra.ivar[row[:, None], place] / width**2, 0)
    sigma = matched_filter.sigma[:, pixel, None]  # (B, P, 1)
    beside = np.abs(offset) > LINE_SIGMAS * sigma.max(axis=0)
    flux = flux - _cubic(flux, np.where(beside, weight, 0), half_width)
    kernel = gaussian_pixels(offset, sigma)  # (B, P, K)
    c1, c2 = (kernel * flux * weight).sum(axis=2), (kernel**2 * weight).sum(axis=2)
    ratio = np.divide(c1, np.sqrt(c2), out=np.zeros_like(c1), where=c2 > 0)
    return np.asarray(ratio.max(axis=0))


def _cubic(flux: Floats, weight: Floats, half_width: int) -> Floats:
    """Fit a cubic to each of P pieces, shape (P, K)."""
    terms = legendre.legvander(np.linspace(-1, 1, 2 * half_width + 1), 3)  # (K, 4)
    normal = np.einsum("pk,ki,kj->pij", weight, terms, terms, optimize=True)
    scale = np.maximum(np.trace(normal, axis1=1, axis2=2), np.finfo(np.float64).tiny)
    normal = normal / scale[:, None, None] + RIDGE * np.eye(4)
    right = ((weight * flux) @ terms / scale[:, None])[:, :, None]
    return np.asarray(np.linalg.solve(normal, right)[:, :, 0] @ terms.T)
