"""The selection function: completeness without bins, false hits, and what a list is worth."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit

import speclens
from speclens.config import Config
from speclens.errors import ConfigError, RunError
from speclens.evaluate.false_hits import FalseHits, poisson_interval, q_values
from speclens.evaluate.of_kind import limits_table
from speclens.evaluate.purposes import curve_of, implied_number, last_rank, purposes_of
from speclens.evaluate.reliability import diagram, rests_on_few
from speclens.evaluate.selection import FILE, OfSearch, SelectionFunction
from speclens.schema import CANDIDATES, NULLS, RECOVERED, RELIABILITY, dtype_of
from speclens.view.worth import expected_true

N_SPECTRA, REPEATS = 150, 20


def chance(lines: NDArray[np.void]) -> NDArray[np.float64]:
    """The completeness that the fit has to find: less in the blue, and for wide lines."""
    blue = (4400 - lines["WAVE"]) / 600
    rise = 1.6 * (lines["IDEAL_SNR"] - 6.5) - 0.8 * blue - 0.6 * (lines["WIDTH"] - 2.5)
    return np.asarray(0.97 * expit(rise))


def drawn(rng: np.random.Generator) -> NDArray[np.void]:
    """Sources in some spectra, and what came back of them."""
    n = N_SPECTRA * REPEATS
    lines = np.zeros(n, dtype_of(RECOVERED))
    lines["TARGETID"] = np.repeat(np.arange(N_SPECTRA), REPEATS)
    lines["SEARCH"], lines["KIND"], lines["SEARCHED"] = "lya", "lya", True
    lines["Z"] = np.repeat(rng.uniform(0.3, 0.8, N_SPECTRA), REPEATS)
    lines["WAVE"] = rng.uniform(3800, 5000, n)
    lines["IDEAL_SNR"] = rng.uniform(2, 24, n)
    lines["IDEAL_ERR"] = np.exp((4400 - lines["WAVE"]) / 1000 + rng.normal(0, 0.1, n))
    lines["FLUX"] = lines["IDEAL_SNR"] * lines["IDEAL_ERR"]
    lines["WIDTH"] = np.exp(rng.normal(0.9, 0.3, n))
    lines["FOREGROUND"] = np.repeat(rng.uniform(0, 1, N_SPECTRA), REPEATS)
    lines["SNR_LINES_FOUND"] = 0.9 * lines["IDEAL_SNR"]
    lines["FOUND"] = lines["CANDIDATE"] = rng.random(n) < chance(lines)
    lines["RANK"], lines["P_HYPOTHESIS"] = 1, rng.uniform(0, 1, n)
    lines["P_LENSED"] = 1
    return lines


@pytest.fixture(scope="module")
def function(mock_config: Config) -> SelectionFunction:
    lines = drawn(np.random.default_rng(5))
    false = FalseHits({"flipped": 1000, "sky": 0}, {"flipped": np.array([0.1, 0.2])})
    return SelectionFunction({"lya": OfSearch.of_lines(lines, false, mock_config)}, {})


def test_the_function_predicts_an_independent_injection(function: SelectionFunction) -> None:
    others = drawn(np.random.default_rng(6))
    of_kind, _ = function.of_kind()
    told = {"z_lens": others["Z"], "width": others["WIDTH"], "foreground": others["FOREGROUND"]}
    noise = others["IDEAL_ERR"].astype(float)
    expected, low, high = of_kind(others["FLUX"], others["WAVE"], noise=noise, sigma=1.96, **told)
    assert ((low <= expected) & (expected <= high)).all()
    assert np.abs(expected - chance(others)).mean() < 0.02
    within = []
    for quantity in ("FLUX", "WAVE", "Z", "WIDTH", "IDEAL_SNR"):
        edges = np.quantile(others[quantity], np.linspace(0, 1, 9))
        for i in range(8):
            own = (others[quantity] >= edges[i]) & (others[quantity] <= edges[i + 1])
            n, mean = own.sum(), expected[own].mean()
            scatter = np.sqrt((expected[own] * (1 - expected[own])).sum()) / n
            reach = 1.96 * scatter + (high[own] - low[own]).mean() / 2
            within.append(abs(others["CANDIDATE"][own].mean() - mean) <= reach)
    assert np.mean(within) >= 0.9


def test_limits_rise_to_the_blue_and_with_the_share(function: SelectionFunction) -> None:
    table = limits_table({("lya", "lya"): function.searches["lya"].kinds["lya"]}, 24.0)
    rows = table[table["LEVEL"] == "hit"]
    assert (np.diff(rows["FLUX_50"]) < 0).all()
    assert (rows["FLUX_90"] > rows["FLUX_50"]).all()
    assert (rows["FLUX_50_LOW"] <= rows["FLUX_50"]).all()
    assert (rows["FLUX_50"] <= rows["FLUX_50_HIGH"]).all()
    np.testing.assert_allclose(rows["FLUX_50"][4:8], 6.5 * rows["IDEAL_ERR"][4:8], rtol=0.1)


def test_it_is_the_same_from_its_file_and_in_python(
    function: SelectionFunction, tmp_path: Path
) -> None:
    (tmp_path / FILE).write_text(json.dumps(function.content))
    assert SelectionFunction.read(tmp_path).content == function.content
    share, low, high = speclens.completeness(tmp_path, [[3.0, 20.0]], 4400.0)
    assert share.shape == low.shape == high.shape == (1, 2)
    assert share[0, 0] < 0.1 < 0.9 < low[0, 1] <= share[0, 1] <= high[0, 1]
    noisy, _, _ = speclens.completeness(tmp_path, 12.0, 4400.0, noise=[1.0, 4.0])
    assert noisy[0] > 0.9 > 0.2 > noisy[1]
    with pytest.raises(ConfigError, match="5200 Angstrom is outside the window"):
        speclens.completeness(tmp_path, 12.0, 5200.0)
    with pytest.raises(
        ConfigError, match=r"^kind='elg': .*none such; give kind='lya', search='lya'"
    ):
        speclens.completeness(tmp_path, 12.0, 4400.0, kind="elg")
    of_both = dict.fromkeys(("lya", "qso"), function.searches["lya"])
    several = r"several; give kind='lya', search='lya' or kind='lya', search='qso'$"
    with pytest.raises(ConfigError, match=several):
        SelectionFunction(of_both, {}).of_kind()
    with pytest.raises(RunError, match="evaluate that has ended"):
        speclens.completeness(tmp_path / "none", 12.0, 4400.0)
    (tmp_path / FILE).write_text('{"format": 1}')
    with pytest.raises(RunError, match="no selection function"):
        speclens.completeness(tmp_path, 12.0, 4400.0)


def test_poisson_intervals_are_garwood_s() -> None:
    low, high = poisson_interval(np.array([0, 1, 10]), 0.95)
    np.testing.assert_allclose(low, [0, 0.0253, 4.795], atol=1e-3)
    np.testing.assert_allclose(high, [3.689, 5.572, 18.390], atol=1e-3)


def test_fair_nulls_count_together_and_one_more_than_was_found() -> None:
    scores = {"flipped": np.array([0.2, 0.6]), "sky": np.array([0.1]), "plain": np.ones(50)}
    searched = {"flipped": 900, "sky": 100, "plain": 100}
    score, many = np.array([0.5, 0.1]), np.ones(9)
    false = FalseHits(searched, scores)
    np.testing.assert_allclose(false.expected(score, 100, many), [0.2, 0.4])
    # More spectra of a null in which nothing is found promise more, however few another has.
    fewer = FalseHits(searched | {"flipped": 10}, scores)
    assert (false.expected(score, 100, many) < fewer.expected(score, 100, many)).all()
    assert np.isnan(FalseHits({"plain": 100}, scores).expected(score, 10, many)).all()


def test_behind_quasars_the_spectra_as_they_are_tell(mock_config: Config) -> None:
    quasars = mock_config.model_copy(
        update={"selection": mock_config.selection.model_copy(update={"classes": ("QSO",)})}
    )
    nulls = np.zeros(20, dtype_of(NULLS))
    nulls["NULL"], nulls["CANDIDATE"], nulls["P_HYPOTHESIS"], nulls["P_LENSED"] = (
        ["flipped"] * 19 + ["plain"], True, 0.5, 1,
    )  # fmt: skip
    false = FalseHits.of_nulls(nulls, {"flipped": 189, "plain": 183, "sky": 0}, quasars)
    expected = false.expected(np.array([0.6, 0.4]), 183, np.ones(9))
    np.testing.assert_allclose(expected, [1, 2])
    assert FalseHits.of(false.content).fair == ("plain",)


def test_no_more_are_false_than_a_search_has_and_none_is_known_without_a_null(
    function: SelectionFunction,
) -> None:
    rows = candidates(6)
    rows["SEARCH"][3:] = "qso"
    galaxies = function.searches["lya"]
    noisy = replace(galaxies, false_hits=FalseHits({"sky": 1}, {"sky": np.ones(1)}))
    both = SelectionFunction({"lya": noisy, "qso": galaxies}, {})
    curve = curve_of(rows, both, {"lya": 1000, "qso": 1000})
    np.testing.assert_allclose(curve.expected_false, [1, 2, 3, 4, 4, 6])
    # The evaluation had no quasars: their candidates, and what follows, are not known.
    blind = replace(galaxies, false_hits=FalseHits({"sky": 0}, {"sky": np.zeros(0)}))
    unknown = SelectionFunction({"lya": galaxies, "qso": blind}, {})
    curve = curve_of(rows, unknown, {"lya": 1000, "qso": 1000})
    assert np.isfinite(curve.q_value).tolist() == [True] * 3 + [False] * 3
    cut = purposes_of(curve)[-1]
    assert np.isnan([cut.n_true, cut.n_true_low, cut.n_true_high, cut.purity]).all()
    assert expected_true(dict.fromkeys(asdict(cut))) == "not known"
    # Without a candidate of theirs nothing is unknown.
    assert np.isfinite(curve_of(rows[:3], unknown, {"lya": 1000, "qso": 0}).q_value).all()


def test_q_values_never_fall_down_the_list() -> None:
    score = np.array([0.9, 0.8, 0.8, 0.3])
    np.testing.assert_allclose(q_values(score, np.array([1.2, 0.6, 0.6, 4.8])), [0.2, 0.2, 0.2, 1])


def candidates(n: int) -> NDArray[np.void]:
    rows = np.zeros(n, dtype_of(CANDIDATES))
    rows["P_HYPOTHESIS"], rows["P_LENSED"] = np.linspace(1, 0.01, n), 1
    rows["SEARCH"] = "lya"
    return rows


def test_purposes_cut_the_list_where_they_say(function: SelectionFunction) -> None:
    rows = candidates(40)
    curve = curve_of(rows, function, {"lya": 10_000})
    # At least one false one of 1000 spectra, where the nulls have none: 10 here, if there are 10.
    np.testing.assert_allclose(curve.expected_false[:20], np.minimum(np.arange(20) + 1, 10))
    assert (np.diff(curve.completeness) >= 0).all()
    half = last_rank(curve, purity=0.5)
    assert curve.q_value[half - 1] <= 0.5 < curve.q_value[half]
    most = last_rank(curve, completeness=0.9)
    assert curve.completeness[most - 1] >= 0.9 > curve.completeness[most - 2]
    table = purposes_of(curve)
    assert [row.purpose for row in table][-1] == "all candidates"
    assert (table[1].n_candidates, table[3].n_candidates, table[4].n_candidates) == (half, most, 40)
    assert table[4].n_true_low <= table[4].n_true <= table[4].n_true_high
    assert len(purposes_of(curve_of(rows[:0], function, {"lya": 5000}))) == 5


def test_a_candidate_stands_for_those_that_are_lost() -> None:
    rows = candidates(4)
    rows["COMPLETENESS"], rows["Q_VALUE"] = [0.5, 0.25, np.nan, 0.5], [0, 0.5, 0, 0]
    assert implied_number(rows) == pytest.approx((6.0, np.sqrt(12)))


def test_a_diagram_of_honest_probabilities_lies_on_the_diagonal() -> None:
    rng = np.random.default_rng(3)
    stated = rng.random(20_000)
    rows = diagram(stated, rng.random(20_000) < stated, np.ones(20_000))
    assert (np.abs(rows["TRUE"] - rows["STATED"]) < 4 * rows["TRUE_ERR"] + 1e-3).all()
    assert rows["N"].sum() == 20_000


def test_a_calibration_error_must_not_rest_on_a_single_spectrum() -> None:
    rows = np.zeros(2, dtype_of(RELIABILITY))
    rows["STATED"], rows["TRUE"], rows["WEIGHT"] = [0.70, 0.85], [0.01, 1], [0.98, 0.02]
    rows["TRUE_ERR"] = [0.27, 0.03]
    assert rests_on_few(rows)
    rows["TRUE_ERR"][0] = 0.05
    assert not rests_on_few(rows)
