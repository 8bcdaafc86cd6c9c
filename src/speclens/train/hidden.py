"""Lines that nobody can see: under a mask, in a gap, on damaged pixels, or beyond the window.

In: labels, and the errors that lines would have. Out: which spectra or sources are hidden. A
spectrum with such a line looks like one without, and label 1 would be wrong.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from speclens.networks.source_bins import SourceBins
from speclens.search.matched_filter import FilterOutput
from speclens.spectra import LogGrid

__all__ = ["hidden_lines", "hidden_sources"]

Bools = NDArray[np.bool_]


def hidden_lines(labels: NDArray[np.void], filtered: FilterOutput, grid: LogGrid) -> Bools:
    """Say which spectra have a line that nobody can see.

    Where the matched filter's narrowest line would have less than `min_coverage` of its light on
    good pixels, the filter knows no flux.

    Parameters
    ----------
    labels : structured array of shape (N,)
        `speclens.simulate.training_set.LABEL_DTYPE`.
    filtered : FilterOutput
        What lines would have.
    grid : LogGrid
        Wavelengths.

    Returns
    -------
    array of shape (N,)
        True for spectra with a line that is hidden.
    """
    hidden = labels["LABEL"] == 1
    row = np.flatnonzero(hidden)
    hidden[row] = ~filtered.sees(row, _nearest(grid.pixel(labels["WAVE"][row])))
    return np.asarray(hidden)


def hidden_sources(
    labels: NDArray[np.void], filtered: FilterOutput, sources: Sequence[SourceBins]
) -> Bools:
    """Say of which sources nobody can see any line.

    Parameters
    ----------
    labels : structured array of shape (N,)
        `speclens.simulate.source_spectra.SOURCES_DTYPE`.
    filtered : FilterOutput
        What lines would have.
    sources : sequence of SourceBins
        Lines of each kind.

    Returns
    -------
    array of the shape of SOURCES
        True for sources that are hidden, or at the very end of the window, where no bin is.
    """
    hidden = labels["SOURCES"] != ""
    for bins in sources:
        row, number = np.nonzero(labels["SOURCES"] == bins.kind)
        z = labels["Z_SOURCES"][row, number]
        seen = [filtered.sees(row, _nearest(place)) for place in bins.pixels(z).T]
        hidden[row, number] = ~np.any(seen, axis=0) | (bins.bin_of(z) < 0)
    return np.asarray(hidden)


def _nearest(place: NDArray[np.float64]) -> NDArray[np.intp]:
    return np.rint(place).astype(np.intp)
