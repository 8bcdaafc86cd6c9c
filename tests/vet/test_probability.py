"""The probability of Lyman alpha: what raises it, what lowers it, and where there is none."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.config import Config
from speclens.vet.probability import (
    ALWAYS,
    features_of,
    lya_probability,
    odds_terms,
    strongest_against,
)

Rows = NDArray[np.void]
Floats = NDArray[np.float64]
METHODS = ("resnet", "matched-filter")

TYPICAL = {
    "WAVE": 4300.0, "SNR": 9.0, "PROBABILITY": 0.9, "SKEWNESS": 2.0, "SKEW_DCHI2": 3.0,
    "OII_EVIDENCE": -2.0, "OTHER_EVIDENCE": -1.0, "DOUBLET_DCHI2": 0.0, "SPIKE_DCHI2": -20.0,
    "WIDTH": 2.4, "CHI2_NU": 1.0, "SMOOTH_FRACTION": 1.0,
}  # fmt: skip


@pytest.fixture
def typical(hits_of: Callable[..., Rows]) -> Callable[..., Rows]:
    """`typical(n, method, **columns)`: hits like those of a lens, but for the columns named."""

    def make(n_hits: int, method: str = "resnet", **columns: Any) -> Rows:
        return hits_of(n_hits, METHOD=method, **{**TYPICAL, **columns})

    return make


def bundled() -> dict[str, dict[str, float]]:
    text = (files("speclens") / "data" / "vetting" / "probability.json").read_text()
    return dict(json.loads(text)["weights"])


def test_bundled_weights_are_those_of_the_features(typical: Callable[..., Rows]) -> None:
    assert set(bundled()) == set(METHODS)
    for method, weights in bundled().items():
        assert set(weights) == set(features_of(typical(1))), method
        assert np.isfinite(list(weights.values())).all()


def test_features_are_finite_whatever_was_measured(hits_of: Callable[..., Rows]) -> None:
    extremes = [np.nan, 0.0, -1.0, 1e30, -1e30, np.inf, -np.inf, 1.0]
    for method in METHODS:
        hits = hits_of(len(extremes), METHOD=method)
        for name in TYPICAL:
            hits[name] = extremes
        for name, values in features_of(hits).items():
            assert values.shape == (len(extremes),)
            assert np.isfinite(values).all(), name
            assert (np.abs(values) < 20).all(), name


def test_what_was_not_measured_counts_for_nothing(hits_of: Callable[..., Rows]) -> None:
    for name, values in features_of(hits_of(2)).items():
        assert (values == (name == "always")).all(), name


def test_a_known_answer_by_hand(typical: Callable[..., Rows]) -> None:
    hits = typical(1, SKEWNESS=-3.0, SKEW_DCHI2=9.0, PROBABILITY=0.8, SNR=np.e**2, FWHM_KMS=300.0)
    found = {name: float(values[0]) for name, values in features_of(hits).items()}
    width = 2.4 / (4300 * np.log(10) * 1e-4) * 0.6903
    expected = {
        "always": 1.0, "skewness": -3.0, "oii_lines": -2.0, "other_lines": -1.0, "oii_doublet": 0.0,
        "spike": -5.0, "width": width, "width squared": width**2 / 4, "misfit": 1.0,
        "width of the best filter": 1.5, "S/N up to 6.5": 6.5,
        "line probability": np.log(4),
    }  # fmt: skip
    assert found == pytest.approx(expected, rel=1e-3)
    for method in METHODS:
        hits["METHOD"] = method
        odds = sum(weight * expected[name] for name, weight in bundled()[method].items())
        assert lya_probability(hits)[0] == pytest.approx(1 / (1 + np.exp(-odds)), rel=0.01)


def changes(probability: Floats) -> set[int]:
    return set(np.sign(np.diff(probability)).astype(int))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("column", "values", "sign"),
    [
        ("OII_EVIDENCE", np.linspace(-3, 8, 12), -1),
        ("OTHER_EVIDENCE", np.linspace(-3, 8, 12), -1),
        ("SPIKE_DCHI2", np.linspace(-30, 10, 12), -1),
        ("SMOOTH_FRACTION", np.linspace(0.05, 1, 12), 1),
        ("SKEW_DCHI2", np.linspace(0, 16, 12), 1),
    ],
)
def test_evidence_moves_the_probability_one_way_only(
    typical: Callable[..., Rows], method: str, column: str, values: Floats, sign: int
) -> None:
    found = lya_probability(typical(12, method, **{column: values}))
    assert changes(found) == {sign}
    assert ((found > 0) & (found < 1)).all()


def test_the_network_s_probability_counts_where_there_is_one(typical: Callable[..., Rows]) -> None:
    found = lya_probability(typical(5, PROBABILITY=[0.5, 0.7, 0.9, 0.97, 0.999]))
    assert changes(found) == {1}
    by_filter = lya_probability(typical(2, "matched-filter", PROBABILITY=[0.1, 0.9]))
    assert by_filter[0] == by_filter[1]


@pytest.mark.parametrize("method", METHODS)
def test_a_skew_to_the_blue_is_less_likely_than_one_to_the_red(
    typical: Callable[..., Rows], method: str
) -> None:
    blue, red = lya_probability(typical(2, method, SKEWNESS=[-2, 2], SKEW_DCHI2=6.0))
    assert red > 1.5 * blue


@pytest.mark.parametrize("method", METHODS)
def test_an_over_density_weighs_by_the_share_that_is_no_excess(
    typical: Callable[..., Rows], method: str
) -> None:
    plain, dense, untested = lya_probability(typical(3, method, SMOOTH_FRACTION=[1.0, 0.1, np.nan]))
    assert dense / (1 - dense) == pytest.approx(0.1 * plain / (1 - plain), rel=1e-5)
    assert untested == pytest.approx(plain)


def test_a_line_without_a_fit_has_no_probability(typical: Callable[..., Rows]) -> None:
    found = lya_probability(typical(3, SKEWNESS=[1.0, np.nan, -1.0]))
    np.testing.assert_array_equal(np.isnan(found), [False, True, False])


@pytest.mark.parametrize("method", METHODS)
def test_a_clear_line_is_likely_and_an_oii_emitter_is_kept_out(
    typical: Callable[..., Rows], defaults: Config, method: str
) -> None:
    clear, emitter = lya_probability(
        typical(2, method, SKEW_DCHI2=[16, 0], SKEWNESS=[4, 0], OII_EVIDENCE=[-3, 20],
                OTHER_EVIDENCE=[-3, 0], SPIKE_DCHI2=-30.0, DOUBLET_DCHI2=[-4, 6], SNR=12.0,
                PROBABILITY=0.999)
    )  # fmt: skip
    assert clear > 0.5
    assert emitter < defaults.vet.p_lya_min


def test_each_hit_has_the_weights_of_its_own_search(typical: Callable[..., Rows]) -> None:
    both = np.concatenate([typical(2), typical(2, "matched-filter")])
    apart = np.concatenate([lya_probability(both[:2]), lya_probability(both[2:])])
    np.testing.assert_allclose(lya_probability(both), apart)
    assert apart[0] != apart[2]
    assert lya_probability(both[:0]).shape == (0,)


@pytest.mark.parametrize("method", METHODS)
def test_terms_add_up_to_the_probability(
    typical: Callable[..., Rows], rng: np.random.Generator, method: str
) -> None:
    hits = typical(50, method)
    for name in TYPICAL:
        hits[name] *= rng.uniform(-1, 3, 50)
    hits["SMOOTH_FRACTION"] = rng.uniform(0.01, 1, 50)
    odds = sum(odds_terms(hits).values())
    np.testing.assert_allclose(1 / (1 + np.exp(-odds)), lya_probability(hits), rtol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_a_bright_line_of_which_no_test_speaks_has_one_term(
    hits_of: Callable[..., Rows], method: str
) -> None:
    hits = hits_of(1, METHOD=method, WAVE=4400.0, SNR=12.0, WIDTH=2.46, FWHM_KMS=200.0,
                   CHI2_NU=1.0, PROBABILITY=1.0)  # fmt: skip
    terms = {name: float(values[0]) for name, values in odds_terms(hits).items()}
    assert terms.pop(ALWAYS) != 0
    assert set(terms.values()) == {0.0}


def test_the_strongest_evidence_against_a_line_is_named(typical: Callable[..., Rows]) -> None:
    cases: dict[str, dict[str, float]] = {
        "oii_lines": {"OII_EVIDENCE": 8.0},
        "other_lines": {"OTHER_EVIDENCE": 8.0},
        "spike": {"SPIKE_DCHI2": 10.0},
        "S/N up to 6.5": {"SNR": 5.0},
        "over-densities": {"SMOOTH_FRACTION": 1e-4},
        "skewness": {"SKEWNESS": -3.0, "SKEW_DCHI2": 16.0},
    }
    for name, columns in cases.items():
        hits = typical(1, "matched-filter", FWHM_KMS=200.0, WIDTH=2.46, **{
            key: value for key, value in columns.items() if key != "WIDTH"})  # fmt: skip
        assert strongest_against(hits).tolist() == [name]


def test_hits_of_a_search_without_weights_have_no_probability(
    typical: Callable[..., Rows],
) -> None:
    hits = np.concatenate([typical(1), typical(1, "another")])
    assert np.isnan(lya_probability(hits)).tolist() == [False, True]
    assert np.isnan(odds_terms(hits)[ALWAYS]).tolist() == [False, True]
    assert strongest_against(hits)[1] == ""
