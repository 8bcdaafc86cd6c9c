"""A source that several searches find stands once among the candidates, as what it likelier is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.config import Config
from speclens.vet.other_searches import measure_other_searches

Maker = Callable[..., Any]
OIII, HALPHA = 5008.24, 6564.61


@pytest.fixture
def hits(make_hits: Maker) -> NDArray[np.void]:
    """Three hits of one spectrum, by three searches: candidates, all at one line."""
    rows = make_hits(3)
    rows["SEARCH"], rows["FILE"], rows["ROW"] = ["lya", "elg", "redshift"], "one", 7
    rows["WAVE"], rows["N_LINES"], rows["Z_SOURCE"] = 4500.0, 1, 2.7
    rows["P_HYPOTHESIS"], rows["CANDIDATE"] = [0.2, 0.6, 0.4], True
    rows["LN_EVIDENCE"] = np.nan
    return rows


def same(hits: NDArray[np.void], config: Config) -> tuple[list[int], list[float]]:
    columns = measure_other_searches(hits, config.vet)
    return columns["SAME_AS"].tolist(), columns["SAME_P"].astype(np.float64).round(7).tolist()


def test_the_likeliest_stands_for_all(hits: NDArray[np.void], default_config: Config) -> None:
    of, p = same(hits, default_config)
    assert of == [1, 2, 1]
    np.testing.assert_equal(p, [0.6, np.nan, 0.6])


@pytest.mark.parametrize("name", ["FILE", "ROW", "WAVE"])
def test_lines_of_other_spectra_or_places_are_others(
    hits: NDArray[np.void], default_config: Config, name: str
) -> None:
    hits[name] = {"FILE": ["a", "b", "c"], "ROW": [1, 2, 3], "WAVE": [4500, 4510, 4520]}[name]
    assert same(hits, default_config)[0] == [-1, -1, -1]


def test_hits_of_one_search_are_two_sources(hits: NDArray[np.void], default_config: Config) -> None:
    hits["SEARCH"] = "elg"
    assert same(hits, default_config)[0] == [-1, -1, -1]


def test_a_line_of_a_source_that_shows_several_is_that_source(
    hits: NDArray[np.void], default_config: Config
) -> None:
    z = 4500.0 / OIII - 1
    hits["WAVE"], hits["SEARCH"] = [4500.0, HALPHA * (1 + z), 4600.0], ["lya", "elg", "elg"]
    hits["Z_SOURCE"][1] = z
    assert same(hits, default_config)[0] == [-1, -1, -1]
    hits["N_LINES"][1] = 2
    of, p = same(hits, default_config)
    assert of == [1, 0, -1]
    np.testing.assert_equal(p, [0.6, np.nan, np.nan])


def test_what_is_rejected_takes_no_one_s_place(
    hits: NDArray[np.void], default_config: Config
) -> None:
    hits["CANDIDATE"][1] = False
    of, p = same(hits, default_config)
    assert of == [2, 2, 0]  # the rejected one says who has its place
    np.testing.assert_equal(p, [0.4, np.nan, np.nan])


def test_without_probabilities_one_of_two_stands_all_the_same(
    hits: NDArray[np.void], default_config: Config
) -> None:
    hits["P_HYPOTHESIS"], hits["SNR"] = np.nan, [7.0, 9.0, 8.0]
    of, p = same(hits, default_config)
    assert of == [1, 2, 1]
    assert np.isfinite(p).tolist() == [True, False, True]
    assert min(p[0], p[2]) > default_config.vet.same_p_max


def test_no_hits_are_no_trouble(make_hits: Maker, default_config: Config) -> None:
    assert same(make_hits(0), default_config) == ([], [])
