"""A source is hidden when none of its lines can be seen, and no sooner."""

from __future__ import annotations

import numpy as np

from speclens.networks.source_bins import source_bins
from speclens.search.matched_filter import FilterOutput
from speclens.simulate.source_spectra import SOURCES_DTYPE
from speclens.spectra import LogGrid
from speclens.train.hidden import hidden_lines, hidden_sources

GRID = LogGrid.covering(3600.0, 9200.0)
SOURCES = source_bins(GRID.first, GRID.n_pixels, ("elg", "lya"))
ELG, LYA = SOURCES


def all_seen(n_spectra: int) -> FilterOutput:
    shape = (n_spectra, 2, GRID.n_pixels)
    return FilterOutput(np.zeros(shape, np.float32), np.ones(shape, np.float32))


def hide(filtered: FilterOutput, row: int, *places: float) -> None:
    for place in places:
        filtered.flux_err[row, :, max(round(place) - 3, 0) : round(place) + 4] = 0


def test_a_source_is_hidden_when_all_of_its_lines_are() -> None:
    labels = np.zeros(5, SOURCES_DTYPE)
    labels["Z_SOURCES"] = np.nan
    labels["SOURCES"][:3, 0], labels["Z_SOURCES"][:3, 0] = "elg", 0.7
    labels["SOURCES"][2, 1], labels["Z_SOURCES"][2, 1] = "lya", 3.0
    labels["SOURCES"][3, 0], labels["Z_SOURCES"][3, 0] = "elg", 1.6  # beyond the window
    filtered = all_seen(5)
    places = ELG.pixels(np.array([0.7]))[0]
    inside = [place for place in places if place < GRID.n_pixels]
    assert 3 < len(inside) < len(places)
    hide(filtered, 0, *inside)
    hide(filtered, 1, *inside[1:])
    hide(filtered, 2, *LYA.pixels(np.array([3.0]))[0])
    found = hidden_sources(labels, filtered, SOURCES)
    assert found.tolist() == [
        [True, False], [False, False], [False, True], [True, False], [False, False],
    ]  # fmt: skip


def test_a_line_is_hidden_where_the_filter_knows_no_flux_or_beyond_the_window() -> None:
    labels = np.zeros(4, SOURCES_DTYPE)
    labels["LABEL"] = [1, 1, 1, 0]
    labels["WAVE"] = [5000.0, 5000.0, 9300.0, np.nan]
    filtered = all_seen(4)
    hide(filtered, 0, float(GRID.pixel(5000.0)))
    assert hidden_lines(labels, filtered, GRID).tolist() == [True, False, True, False]
