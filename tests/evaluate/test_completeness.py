"""Which lines were found, and what fraction."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from speclens.evaluate.completeness import (
    Completeness,
    completeness_by_snr,
    every_line,
    fit_completeness,
    match_lines,
)
from speclens.hypotheses import GALAXY_LINES
from speclens.lines import pixel_width_angstrom
from speclens.schema import INJECTED, dtype_of

EDGES = np.array([0.0, 2.0, 4.0, 6.0])


def rows(*lines: tuple[float, ...]) -> NDArray[np.void]:
    """Lines as (TARGETID, WAVE) or (TARGETID, WAVE, SNR)."""
    dtype = [("TARGETID", "i8"), ("WAVE", "f8"), ("SNR", "f4")]
    return np.array([(*line, 0.0)[:3] for line in lines], dtype)


def test_the_strongest_hit_within_reach_is_the_line_s() -> None:
    hits = rows((1, 4300.0, 7), (1, 4304.0, 9), (1, 4400.0, 50), (2, 4300.0, 99))
    assert match_lines(rows((1, 4302.0)), hits, 8).tolist() == [1]
    assert match_lines(rows((1, 4401.0)), hits, 8).tolist() == [2]
    assert match_lines(rows((2, 4302.0), (3, 4300.0)), hits, 8).tolist() == [3, -1]


@pytest.mark.parametrize("wave", [3800.0, 5000.0])
def test_the_reach_is_in_pixels_and_includes_its_end(wave: float) -> None:
    reach = 8 * pixel_width_angstrom(wave)
    for side in (-1, 1):
        inside, outside = (
            rows((1, wave + side * 0.999 * reach)),
            rows((1, wave + side * 1.001 * reach)),
        )
        assert match_lines(rows((1, wave)), inside, 8).tolist() == [0]
        assert match_lines(rows((1, wave)), outside, 8).tolist() == [-1]


def test_b9_of_equal_hits_the_first_is_taken() -> None:
    hits = rows((1, 4301.0, 8), (1, 4299.0, 8), (1, 4300.0, 8))
    assert match_lines(rows((1, 4300.0)), hits, 8).tolist() == [0]


def test_one_hit_may_belong_to_two_lines() -> None:
    assert match_lines(rows((1, 4300.0), (1, 4301.0)), rows((1, 4300.5, 8)), 8).tolist() == [0, 0]


def test_no_lines_and_no_hits_are_no_error() -> None:
    assert match_lines(rows(), rows((1, 4300.0)), 8).tolist() == []
    assert match_lines(rows((1, 4300.0)), rows(), 8).tolist() == [-1]
    assert match_lines(rows(), rows(), 8).dtype.kind == "i"


def test_c1_ids_beyond_two_to_the_53_are_told_apart() -> None:
    big = 2**53
    assert match_lines(rows((big + 1, 4300.0)), rows((big, 4300.0, 5)), 8).tolist() == [-1]


@settings(deadline=None, max_examples=60)
@given(
    lines=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40)), max_size=8),
    hits=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40), st.integers(0, 5)), max_size=12),
)
def test_a_match_is_what_a_plain_search_finds(lines: list, hits: list) -> None:
    truth = rows(*((i, 4300.0 + wave) for i, wave in lines))
    found = rows(*((i, 4300.0 + wave, snr) for i, wave, snr in hits))
    match = match_lines(truth, found, 8)
    for row, place in zip(truth, match.tolist(), strict=True):
        reach = 8 * pixel_width_angstrom(row["WAVE"])
        near = [
            i
            for i, hit in enumerate(found)
            if hit["TARGETID"] == row["TARGETID"] and abs(hit["WAVE"] - row["WAVE"]) <= reach
        ]
        assert place == max(near, key=lambda i: (found["SNR"][i], -i), default=-1)


def test_counts_fall_into_their_bins() -> None:
    ideal = np.array([0.0, 1.9, 2.0, 3.0, 6.0, -1.0, 7.0])
    found = np.array([False, True, True, False, True, True, True])
    counts = completeness_by_snr(ideal, found, EDGES)
    assert counts.n_lines.tolist() == [2, 2, 1]
    assert counts.n_found.tolist() == [1, 1, 1]
    assert counts.fraction.tolist() == [0.5, 0.5, 1.0]


def test_nothing_counted_is_not_a_number_and_no_error() -> None:
    counts = completeness_by_snr(np.zeros(0), np.zeros(0, bool), EDGES)
    assert counts.n_lines.tolist() == [0, 0, 0]
    assert np.isnan(counts.fraction).all()
    low, high = counts.interval()
    assert ((low >= -1e-12) & (high <= 1 + 1e-12)).all()


@pytest.mark.parametrize("n", [20, 200])
@pytest.mark.parametrize(("z", "rate"), [(1.0, 0.683), (1.96, 0.95)])
def test_the_interval_holds_the_truth_as_often_as_it_says(
    n: int, z: float, rate: float, rng: np.random.Generator
) -> None:
    truth = rng.uniform(0.02, 0.98, 10000)
    counts = Completeness(np.arange(10001.0), np.full(10000, n), rng.binomial(n, truth))
    low, high = counts.interval(z)
    assert ((low <= truth) & (truth <= high)).mean() == pytest.approx(rate, abs=0.02)


@pytest.mark.parametrize(("n_found", "inside"), [(0, 0.0), (10, 1.0)])
def test_the_interval_of_none_or_all_stays_between_0_and_1(n_found: int, inside: float) -> None:
    low, high = Completeness(np.arange(2.0), np.array([10]), np.array([n_found])).interval()
    assert -1e-12 <= low[0] <= inside <= high[0] + 1e-12 <= 1 + 1e-9
    assert 0.05 < high[0] - low[0] < 0.2


@pytest.mark.parametrize("plateau", [1.0, 0.95])
def test_the_curve_is_found_again(plateau: float, rng: np.random.Generator) -> None:
    snr = rng.uniform(2, 24, 20000)
    found = rng.random(20000) < plateau * ndtr((snr - 6.5) / 1.2)
    curve = fit_completeness(snr, found)
    assert curve.centre == pytest.approx(6.5, abs=5 * curve.centre_err)
    assert 0.01 < curve.centre_err < 0.05
    assert curve.width == pytest.approx(1.2, rel=0.1)
    assert curve.plateau == pytest.approx(plateau, abs=0.01)
    assert curve.at(0.9) == pytest.approx(6.5 + 1.2 * ndtri(0.9 / plateau), abs=0.15)


def test_the_error_of_the_curve_is_its_scatter(rng: np.random.Generator) -> None:
    curves = []
    for _ in range(40):
        snr = rng.uniform(2, 24, 1500)
        curves.append(fit_completeness(snr, rng.random(1500) < ndtr((snr - 6.5) / 1.2)))
    scatter = np.std([curve.centre for curve in curves])
    assert scatter == pytest.approx(np.mean([curve.centre_err for curve in curves]), rel=0.4)


def test_a_level_above_the_plateau_is_not_reached(rng: np.random.Generator) -> None:
    snr = rng.uniform(2, 24, 5000)
    curve = fit_completeness(snr, rng.random(5000) < 0.6 * ndtr(snr - 6.5))
    assert np.isfinite(curve.at(0.5))
    assert np.isnan(curve.at(0.9))


@pytest.mark.parametrize("all_found", [True, False])
def test_there_is_no_curve_when_all_or_none_is_found(all_found: bool) -> None:
    assert np.isnan(fit_completeness(np.arange(5.0), np.full(5, all_found)).at(0.5))


def test_a_galaxy_may_be_found_at_any_of_its_lines() -> None:
    truth = np.zeros(3, dtype_of(INJECTED))
    truth["TARGETID"], truth["KIND"] = [7, 8, 9], ["lya", "elg", "spike"]
    truth["WAVE"], truth["Z_SOURCE"] = [4000.0, 9000.0, 4200.0], [2.29, 0.25, np.nan]
    source, lines = every_line(truth)
    n_lines = sum(len(group.waves) for group in GALAXY_LINES)
    assert source.tolist() == [0, *[1] * n_lines, 2]
    assert lines["WAVE"][[0, -1]].tolist() == [4000.0, 4200.0]
    assert (lines["TARGETID"] == truth["TARGETID"][source]).all()
    oxygen, alpha = 3728.48 * 1.25, 6564.614 * 1.25
    hits = rows((8, oxygen, 6.0), (8, alpha, 9.0), (8, 5000.0, 7.0), (7, oxygen, 5.0))
    match = match_lines(lines, hits, 8)
    assert set(match.tolist()) == {-1, 0, 1}
    assert (source[match >= 0] == 1).all()
