"""A bin further moves every line by a cell; a redshift has its own bin and no other."""

from __future__ import annotations

import json

import numpy as np
import pytest

from speclens.hypotheses import SOURCES, line_code
from speclens.networks.source_bins import (
    CELL_PIXELS,
    SourceBins,
    around_lens,
    places_of,
    source_bins,
)
from speclens.spectra import LogGrid

GRID = LogGrid.covering(3600.0, 9200.0)
KINDS = ("elg", "lya")
N_CELLS = GRID.n_pixels // CELL_PIXELS


@pytest.fixture(scope="module")
def sources() -> tuple[SourceBins, ...]:
    return source_bins(GRID.first, GRID.n_pixels, KINDS)


def test_lines_fall_where_their_cells_say(sources: tuple[SourceBins, ...]) -> None:
    for bins in sources:
        for b in range(0, bins.n_bins, 37):
            pixel = bins.pixels(bins.z[[b]])[0]
            middle = (np.array(bins.cells) + b) * CELL_PIXELS + (CELL_PIXELS - 1) / 2
            assert np.abs(pixel - middle).max() <= CELL_PIXELS / 2 + 1e-6


def test_pixels_are_those_of_the_wavelengths(sources: tuple[SourceBins, ...]) -> None:
    z = np.array([0.3, 2.5])
    for bins in sources:
        waves = {line_code(g.name): g.waves for g in SOURCES[bins.kind]}
        for name in ("halpha", "hbeta", "lya", "oii"):
            if name in waves:
                own = [i for i, other in enumerate(bins.names) if other == name]
                expected = GRID.pixel(np.sqrt(np.prod(waves[name]) ** (2 / len(waves[name]))))
                at_rest = bins.pixels(np.zeros(1))[0, own[0]]
                assert at_rest == pytest.approx(float(expected), abs=0.01)
        moved = bins.pixels(z) - bins.pixels(np.zeros(1))
        np.testing.assert_allclose(moved, np.log10(1 + z)[:, None] * 1e4 + 0 * moved)


def test_a_doublet_that_is_not_resolved_is_one_line(sources: tuple[SourceBins, ...]) -> None:
    names = sources[0].names
    assert names.count("oii") == 1
    assert names.count("oiii") == 2
    assert sources[1].names == ("lya",)


def test_each_redshift_has_a_line_and_the_next_has_none(sources: tuple[SourceBins, ...]) -> None:
    for bins in sources:
        assert bins.seen(N_CELLS).any(axis=0).all()
        first, last, further = bins.z_at(np.array([0, bins.n_bins - 1, bins.n_bins]))
        ends = 0, N_CELLS * CELL_PIXELS - 1
        assert bins.pixels(np.array([first])).max() >= ends[0]
        assert bins.pixels(np.array([last])).min() <= ends[1]
        assert bins.pixels(np.array([further])).min() > ends[1]
    assert sources[0].z[0] == 0
    assert sources[0].z[-1] == pytest.approx(1.465, abs=0.005)
    assert sources[1].z[[0, -1]] == pytest.approx([1.962, 6.56], abs=0.01)


def test_a_redshift_is_in_its_own_bin(sources: tuple[SourceBins, ...]) -> None:
    for bins in sources:
        np.testing.assert_array_equal(bins.bin_of(bins.z), np.arange(bins.n_bins))
        beyond = bins.z_at(np.array([-1.0, bins.n_bins]))
        assert bins.bin_of(np.array([np.nan, *beyond])).tolist() == [-1, -1, -1]


def test_what_is_behind_a_lens_begins_beyond_it_and_what_is_before_ends_there(
    sources: tuple[SourceBins, ...],
) -> None:
    z, margin = np.array([0.0, 0.1, 0.537, 1.2]), 0.05
    cells, kinds = places_of(sources)
    assert len(cells) == len(kinds) == sum(bins.n_bins for bins in sources)
    assert kinds.tolist() == sorted(kinds.tolist())
    of_places = np.concatenate([bins.z for bins in sources])
    before, behind = around_lens(z, margin).T[:, :, None]
    np.testing.assert_array_equal(cells >= behind, of_places >= z[:, None] + margin - 1e-12)
    np.testing.assert_array_equal(cells < before, of_places < z[:, None] - margin - 1e-12)


def test_they_come_back_from_a_file(sources: tuple[SourceBins, ...]) -> None:
    for bins in sources:
        assert SourceBins.of_record(json.loads(json.dumps(bins.record()))) == bins
    with pytest.raises(TypeError):
        SourceBins.of_record(sources[0].record() | {"more": 1})
