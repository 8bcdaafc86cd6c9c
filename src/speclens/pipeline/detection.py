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
from speclens.spectra import SpectrumBatch

__all__ = ["detect"]


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
    """
    prepared = preparation(batch, z)
    found = matched_filter.search(prepared.residual, prepared.ivar)
    rows = np.unique(found.hits["ROW"])
    if not len(rows):
        return prepared, found
    place = np.searchsorted(rows, found.hits["ROW"])
    pixel = np.round(batch.grid.pixel(found.hits["WAVE"]))
    line = np.zeros((len(rows), batch.grid.n_pixels), bool)
    for i, centre in zip(place.tolist(), pixel.astype(int).tolist(), strict=True):
        line[
            i, max(0, centre - matched_filter.half_width) : centre + matched_filter.half_width + 1
        ] = True
    again = preparation(batch[rows], z[rows], line)
    hits = found.hits.copy()
    hits["ROW"] = place
    hits = matched_filter.measure(again.residual, again.ivar, hits)
    hits["ROW"] = found.hits["ROW"]
    return prepared, replace(found, hits=hits)
