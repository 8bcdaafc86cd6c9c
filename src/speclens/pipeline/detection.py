"""From spectra as read to measured hits: prepare, search, measure again.

In: a batch and its redshifts. Out: prepared spectra and hits. A line that is still in the spectrum
when the foreground is fitted loses some 4 % of its flux to the fit; so the hits, once found, are
measured on a foreground that was fitted without them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from speclens.sample.preparation import Preparation, PreparedSpectra
from speclens.search.matched_filter import MatchedFilter, Search
from speclens.spectra import LogGrid, SpectrumBatch

__all__ = ["detect", "near_line"]


def detect(
    preparation: Preparation,
    matched_filter: MatchedFilter,
    batch: SpectrumBatch,
    z: NDArray[np.floating],
) -> tuple[PreparedSpectra, Search]:
    """Prepare spectra, find the hits and measure them.

    Parameters
    ----------
    preparation : Preparation
        The steps before the search.
    matched_filter : MatchedFilter
        The search.
    batch : SpectrumBatch
        N spectra.
    z : array of shape (N,)
        Redshifts of the lens galaxies.

    Returns
    -------
    prepared : PreparedSpectra
        What the search saw.
    search : Search
        Its result; SNR is that of the search, flux, wavelength and width are measured anew.

    Notes
    -----
    Differs: Shu et al. 2016 measure on the foreground that was fitted with the line.
    """
    prepared = preparation(batch, z)
    found = matched_filter.search(prepared.residual, prepared.ivar)
    rows = np.unique(found.hits["ROW"])
    if not len(rows):
        return prepared, found
    place = np.searchsorted(rows, found.hits["ROW"])
    line = np.zeros((len(rows), batch.grid.n_pixels), bool)
    for row, wave in zip(place.tolist(), found.hits["WAVE"].tolist(), strict=True):
        line[row] |= near_line(batch.grid, wave, matched_filter.half_width)
    again = preparation(batch[rows], z[rows], line)
    hits = found.hits.copy()
    hits["ROW"] = place
    hits = matched_filter.measure(again.residual, again.ivar, hits, batch.dispersion[rows])
    hits["ROW"] = found.hits["ROW"]
    return prepared, replace(found, hits=hits)


def near_line(grid: LogGrid, wave: float, half_width: int) -> NDArray[np.bool_]:
    """Mark the pixels of a line, which a foreground fit must leave out.

    Parameters
    ----------
    grid : LogGrid
        Wavelengths, L pixels.
    wave : float
        Line centre, Angstrom.
    half_width : int
        Pixels on either side.

    Returns
    -------
    array of shape (L,)
        True near the line.
    """
    centre = round(float(grid.pixel(wave)))
    return np.asarray(np.abs(np.arange(grid.n_pixels) - centre) <= half_width)
