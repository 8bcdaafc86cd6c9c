"""A map adds to one, holds nothing before the lens, and its peaks are its sources."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.networks.model import Calibration
from speclens.networks.source_bins import source_bins
from speclens.search.redshift_map import HeatMap, heat_map
from speclens.spectra import LogGrid

Floats = NDArray[np.float64]
GRID = LogGrid.covering(3600.0, 9200.0)
SOURCES = source_bins(GRID.first, GRID.n_pixels, ("elg", "lya"))
ELG, LYA = SOURCES
N_PLACES = ELG.n_bins + LYA.n_bins
PLAIN = Calibration(1.0, 0.0)
MARGIN = 0.05


def cold(*warm: tuple[int, float, float], n_spectra: int = 1) -> Floats:
    """Logits of nothing, but of some sources: kind, redshift, logit of a bin and half on either."""
    logits = np.full((n_spectra, N_PLACES), -30.0)
    for kind, z, height in warm:
        place = int(SOURCES[kind].bin_of(np.array([z]))[0]) + kind * ELG.n_bins
        logits[:, place - 1 : place + 2] = height - np.log(2), height, height - np.log(2)
    return logits


def of_one(*warm: tuple[int, float, float], z_lens: float = 0.1) -> HeatMap:
    return heat_map(cold(*warm), np.array([z_lens]), MARGIN, SOURCES, PLAIN)


def slow_map(logits: Floats, z: float, calibration: Calibration) -> tuple[float, Floats]:
    """None and bins of one spectrum, one by one."""
    of_bins = np.concatenate([ELG.z, LYA.z])
    weight = np.array([
        np.exp(calibration.slope * logit + calibration.intercept)
        if own < z - MARGIN or own >= z + MARGIN else 0.0
        for logit, own in zip(logits, of_bins, strict=True)
    ])  # fmt: skip
    source = np.where(of_bins > z, weight, 0)
    return 1 - source.sum() / (1 + weight.sum()), source / (1 + weight.sum())


@pytest.mark.parametrize("calibration", [PLAIN, Calibration(0.6, -2.0)])
def test_a_map_is_a_softmax_over_none_and_what_is_behind(
    calibration: Calibration, rng: np.random.Generator
) -> None:
    logits, z = rng.normal(-3, 3, (5, N_PLACES)), np.array([0.05, 0.3, 0.9, 1.3, 4.0])
    heat = heat_map(logits, z, MARGIN, SOURCES, calibration)
    np.testing.assert_allclose(heat.none + heat.probability.sum(axis=1), 1)
    for row in range(5):
        none, probability = slow_map(logits[row], z[row], calibration)
        assert heat.none[row] == pytest.approx(none)
        np.testing.assert_allclose(heat.probability[row], probability, atol=1e-12)


def test_nothing_is_before_the_lens_and_what_is_makes_sources_unlikely() -> None:
    heat = of_one((0, 0.3, 9.0), (0, 0.8, 5.0), z_lens=0.5)
    of_bins = np.concatenate([ELG.z, LYA.z])
    assert (heat.probability[0, of_bins < 0.55 - 1e-9] == 0).all()
    peak = heat.peaks(0, 1)[0]
    assert peak.bins.z_at(peak.place) == pytest.approx(0.8, abs=2e-3)
    assert peak.probability == pytest.approx(np.exp(5.0 - 9.0), rel=0.05)
    at_lens = of_one((0, 0.5, 9.0), (0, 0.8, 5.0), z_lens=0.5)
    assert at_lens.none[0] < 0.01


def test_what_brings_sources_nearer_leaves_them_as_they_are_to_each_other() -> None:
    heat = of_one((0, 0.3, 2.0), (0, 0.8, 1.0), z_lens=0.5)
    nearer = heat.weighed(np.array([0]), np.array([3.0]))
    np.testing.assert_allclose(nearer.none + nearer.probability.sum(axis=1), 1)
    for before, after in ((heat.before, nearer.before), (heat.probability, nearer.probability)):
        np.testing.assert_allclose(after / nearer.nothing, np.exp(3.0) * before / heat.nothing)
    same = heat.weighed(np.array([], np.intp), np.array([]))
    np.testing.assert_array_equal(same.probability, heat.probability)


def test_what_is_no_number_has_no_probability_and_spoils_no_other() -> None:
    logits = cold((0, 0.8, 5.0), n_spectra=2)
    logits[0, 17] = np.nan
    heat = heat_map(logits, np.full(2, 0.3), MARGIN, SOURCES, PLAIN)
    assert np.isnan(heat.none[0])
    assert heat.none[1] < 0.01
    large = heat_map(1000 * cold((0, 0.8, 5.0)), np.array([0.3]), MARGIN, SOURCES, PLAIN)
    assert np.isfinite(large.probability).all()


def test_a_peak_has_the_sum_of_its_bins_and_their_mean() -> None:
    heat = of_one((0, 0.8, 4.0), (1, 3.0, 3.0))
    first, second, *rest = heat.peaks(0, 4)
    total = 1 + 2 * np.exp(4.0) + 2 * np.exp(3.0)
    assert (first.bins.kind, second.bins.kind) == ("elg", "lya")
    for peak, z, height in ((first, 0.8, 4.0), (second, 3.0, 3.0)):
        assert peak.probability == pytest.approx(2 * np.exp(height) / total, rel=1e-3)
        assert peak.bins.z_at(peak.place) == pytest.approx(z, abs=5e-4 * (1 + z))
    assert sum(peak.probability for peak in rest) < 1e-9


def test_two_redshifts_that_are_one_are_one_peak_and_others_two() -> None:
    z = ELG.z[[500, 503, 509]]
    near, far = (of_one((0, z[0], 4.0), (0, z[i], 4.0)) for i in (1, 2))
    probability = [[peak.probability for peak in heat.peaks(0, 2)] for heat in (near, far)]
    assert probability[0][0] > 0.8
    assert min(probability[1]) > 0.4
    assert all(sum(own) <= 1 for own in probability)


@pytest.mark.parametrize("place", [0, 2, ELG.n_bins - 1])
def test_a_peak_may_be_at_the_end_of_an_axis(place: int) -> None:
    logits = np.full((1, N_PLACES), -30.0)
    logits[0, place] = 5.0
    heat = heat_map(logits, np.array([-0.5]), MARGIN, SOURCES, PLAIN)
    (peak,) = heat.peaks(0, 1)
    assert peak.bins == ELG
    assert peak.place == pytest.approx(place)
    assert peak.probability > 0.99


def test_without_a_source_that_is_possible_there_is_no_peak() -> None:
    heat = heat_map(np.full((1, N_PLACES), -2000.0), np.array([0.1]), MARGIN, SOURCES, PLAIN)
    assert heat.peaks(0, 3) == []
    assert heat.none[0] == 1


def test_a_line_is_read_as_each_line_that_it_may_be() -> None:
    z = 0.8
    wave = 3728.48 * (1 + z)
    z_lya = wave / 1215.67 - 1
    heat = of_one((0, z, 3.0), (1, z_lya, 2.0), (0, 1.2, 2.5))
    pixel = round(float(GRID.pixel(wave)))
    readings = {one.name: one for one in heat.readings(0, pixel)}
    total = 1 + 2 * (np.exp(3.0) + np.exp(2.0) + np.exp(2.5))
    assert readings["oii"].probability == pytest.approx(2 * np.exp(3.0) / total, rel=1e-3)
    assert readings["lya"].probability == pytest.approx(2 * np.exp(2.0) / total, rel=1e-3)
    assert readings["oii"].z == pytest.approx(z, abs=1e-3)
    assert readings["lya"].z == pytest.approx(z_lya, abs=3e-3)
    assert sum(one.probability for one in readings.values()) < 1 - 2 * np.exp(2.5) / total + 1e-6


def test_a_redshift_is_counted_once_though_its_lines_are_near() -> None:
    z = 0.3
    heat = of_one((0, z, 5.0))
    # The lines of [S II] are little further apart than a bin is wide.
    for name, wave in (("halpha", 6564.614), ("nii", 6585.27), ("sii", 6718.29), ("sii", 6732.68)):
        pixel = round(float(GRID.pixel(wave * (1 + z))))
        readings = {one.name: one.probability for one in heat.readings(0, pixel)}
        assert sum(readings[own] for own in readings if own.startswith(name)) > 0.95
        assert sum(readings.values()) <= 1


def test_the_likely_bins_of_a_hit_are_told() -> None:
    heat = of_one((0, 0.5, 6.0), (1, 3.0, 5.0))
    rows = heat.rows(np.array([0, 0], np.intp), 1e-3)
    assert rows["HIT"].tolist() == [0] * 6 + [1] * 6
    first = rows[:6]
    assert first["KIND"].tolist() == ["elg"] * 3 + ["lya"] * 3
    np.testing.assert_allclose(first["Z_SOURCE"], np.repeat([0.5, 3.0], 3), atol=6e-3)
    assert first["PROBABILITY"].sum() == pytest.approx(1 - heat.none[0], abs=1e-3)
    assert len(heat.rows(np.zeros(0, np.intp), 1e-3)) == 0


def test_the_flanks_of_a_broad_peak_are_no_other_readings() -> None:
    cells = np.arange(ELG.n_bins)
    logits = cold()
    logits[0, : ELG.n_bins] = 8 - 0.5 * ((cells - 600) / 2.2) ** 2
    heat = heat_map(logits, np.zeros(1), MARGIN, SOURCES, PLAIN)
    first, *others = heat.peaks(0, 4)
    assert first.probability > 0.85
    assert sum(peak.probability for peak in others) < 0.01


def test_f5_an_infinite_logit_tells_nothing() -> None:
    logits = cold(n_spectra=2)
    logits[1, 700] = np.inf
    heat = heat_map(logits, np.zeros(2), MARGIN, SOURCES, PLAIN)
    assert np.isfinite(heat.none).tolist() == [True, False]
