"""At the same price: known scores give known completeness, and what is not measured is not told."""

from __future__ import annotations

import numpy as np
import pytest

from speclens.config import load_config
from speclens.evaluate import rates
from speclens.evaluate.compared_candidates import vetting_floors
from speclens.evaluate.entries import Entry
from speclens.evaluate.search_scores import NOTHING, PUT_IN, SearchScores
from speclens.simulate.emitters import emitters_of

CONFIG = load_config()
N, M = 1000, 500
ENTRIES = [Entry(name, (CONFIG, CONFIG)) for name in ("one", "other")]


def lines(n: int, rng: np.random.Generator) -> np.ndarray:
    put_in = np.zeros(n, PUT_IN)
    put_in["KIND"], put_in["SEARCHED"] = "lya", True
    put_in["IDEAL_SNR"] = rng.uniform(2, 24, n)
    put_in["FLUX"] = 1.5 * put_in["IDEAL_SNR"]
    return put_in


@pytest.fixture
def scores(rng: np.random.Generator) -> SearchScores:
    """Of the first search noise is a unit normal and lines are at 3; the other finds nothing."""
    noise, seen = rng.normal(size=N), 3 + rng.normal(size=M)
    own = np.where(noise > 2.5, noise, NOTHING), np.where(seen > 2.5, seen, NOTHING)
    one = np.stack([own[0], noise]), np.stack([own[1], seen])
    other = np.full((2, N), NOTHING), np.full((2, M), NOTHING)
    empty, found = zip(one, other, strict=True)
    return SearchScores(np.arange(N), lines(M, rng), empty, found, (N, N))


def row_of(table: np.ndarray, search: str, rate: float) -> np.void:
    same = np.isnan(table["RATE"]) if np.isnan(rate) else table["RATE"] == rate
    [row] = table[(table["SEARCH"] == search) & same]
    return row


def test_completeness_is_that_of_the_threshold_which_the_rate_allows(scores: SearchScores) -> None:
    table = rates.rates(ENTRIES, scores, CONFIG)
    for rate, sigma in ((1e-2, 2.326), (1e-3, 3.09)):
        row = row_of(table, "one", rate)
        assert row["N_ALARMS"] <= rate * N
        assert row["THRESHOLD"] == pytest.approx(sigma, abs=0.4)
        true = (scores.found[0][1] > row["THRESHOLD"]).mean()
        assert row["COMPLETENESS"] == pytest.approx(true)
        assert row["COMPLETENESS_LOW"] < row["COMPLETENESS"] < row["COMPLETENESS_HIGH"]
    own = row_of(table, "one", rates.OWN)
    assert (own["STEP"], own["N_ALARMS"]) == (0, int((scores.empty[0][0] > NOTHING).sum()))
    assert own["N_FOUND"] == int((scores.found[0][0] > NOTHING).sum())
    assert row_of(table, "other", 1e-2)["COMPLETENESS"] == 0


def test_rates_below_one_in_all_spectra_are_not_measured(scores: SearchScores) -> None:
    table = rates.rates(ENTRIES, scores, CONFIG)
    for rate in (1e-4, 1e-5):
        row = row_of(table, "one", rate)
        assert np.isnan([row["THRESHOLD"], row["COMPLETENESS"], row["ALARMS_HIGH"]]).all()
    assert rates.shown_rate(table) == 1e-3
    few = scores.without(np.arange(50, N))
    assert len(few.spectra) == 50
    assert np.isnan(rates.shown_rate(rates.rates(ENTRIES, few, CONFIG)))
    told = rates.prevalence(table, CONFIG)
    assert set(told["RATE"][np.isfinite(told["RATE"])]) == {1e-2, 1e-3}


def test_the_curve_rises_and_ends_where_every_hit_counts(scores: SearchScores) -> None:
    curve = rates.roc(ENTRIES, scores, CONFIG)
    one = curve[curve["SEARCH"] == "one"]
    assert (np.diff(one["COMPLETENESS"]) >= 0).all()
    assert one["RATE"][0] == 1 / N
    assert one["COMPLETENESS"][-1] == 1


def test_lowered_thresholds_are_vetted_down_to_a_rate_and_all_hits_of_few_spectra(
    scores: SearchScores,
) -> None:
    own, lowered = vetting_floors(scores, CONFIG)[0]
    assert own == NOTHING
    above = (scores.empty[0][1] > lowered).mean()
    assert above == pytest.approx(CONFIG.comparison.vetted_rate, abs=2 / N)
    # The other search has no hit at all.
    assert vetting_floors(scores, CONFIG)[1] == (NOTHING, NOTHING)
    few = scores.without(np.arange(5, N))
    assert vetting_floors(few, CONFIG) == ((NOTHING, NOTHING),) * 2


def test_the_steps_that_find_most_count(scores: SearchScores) -> None:
    """Ties go to the search as it is; of 1 in 10 only the lowered thresholds tell."""
    for rate, step in ((1e-3, 0), (0.1, 1)):
        config = CONFIG.model_copy(
            update={"comparison": CONFIG.comparison.model_copy(update={"alarm_rates": (rate,)})}
        )
        assert row_of(rates.rates(ENTRIES, scores, config), "one", rate)["STEP"] == step


def test_bins_and_pairs_add_up(scores: SearchScores) -> None:
    bins = rates.by_snr(ENTRIES, scores, CONFIG, 1e-2)
    one = bins[bins["SEARCH"] == "one"]
    assert one["N_LINES"].sum() == M
    found = row_of(rates.rates(ENTRIES, scores, CONFIG), "one", 1e-2)["N_FOUND"]
    assert one["N_FOUND"].sum() == found
    [pair] = rates.overlap([*ENTRIES], scores)
    assert (pair["SEARCH"], pair["OTHER"], pair["N_FOUND_BOTH"]) == ("one", "other", 0)
    both = (scores.empty[0],) * 2, (scores.found[0],) * 2
    twice = SearchScores(scores.spectra, scores.lines, *both, (N, N))
    [pair] = rates.overlap(ENTRIES, twice)
    assert pair["N_FOUND"] == pair["N_FOUND_OTHER"] == pair["N_FOUND_BOTH"] > 0
    assert pair["N_ALARMS"] == pair["N_ALARMS_BOTH"]


def test_a_purity_is_what_lenses_and_false_alarms_give(scores: SearchScores) -> None:
    table = rates.rates(ENTRIES, scores, CONFIG)
    row = row_of(table, "one", 1e-2)
    told = rates.prevalence(table, CONFIG)
    [one] = told[(told["SEARCH"] == "one") & (told["RATE"] == 1e-2) & (told["PREVALENCE"] == 8e-4)]
    true, false = 8e-4 * row["COMPLETENESS_PUBLISHED"], (1 - 8e-4) * row["N_ALARMS"] / N
    assert one["PURITY"] == pytest.approx(true / (true + false))
    assert one["HITS_A_LENS"] == pytest.approx(1 / one["PURITY"])
    assert one["FOUND_PER_MILLION"] == pytest.approx(1e6 * true)
    assert one["PURITY_LOW"] < one["PURITY"] < one["PURITY_HIGH"]


def test_weighted_lines_are_as_bright_as_the_published_ones(rng: np.random.Generator) -> None:
    put_in = lines(20_000, rng)
    weight = rates.published_weights(put_in, CONFIG)
    deviates, places = rng.standard_normal((3, 20_000)), rng.random(20_000)
    natural = emitters_of(deviates, places, (3800.0, 5000.0), CONFIG.emitters).flux
    low, high = 3.0, 36.0
    natural = natural[(natural > low) & (natural < high)]
    for flux in (8.0, 15.0, 25.0):
        share = weight[put_in["FLUX"] < flux].sum() / weight.sum()
        assert share == pytest.approx((natural < flux).mean(), abs=0.02)
