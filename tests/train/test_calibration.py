"""A temperature and a bias of none are found again; the other calibration is in test_training."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import logit as logit_of

from speclens.errors import RunError
from speclens.networks.source_bins import places_of, source_bins
from speclens.spectra import LogGrid
from speclens.train.calibration import calibrate_sources, redshifts_right

GRID = LogGrid.covering(3600.0, 4000.0)
SOURCES = source_bins(GRID.first, GRID.n_pixels, ("elg", "lya"))
CELLS, KINDS = places_of(SOURCES)
N = 2000


def possible(target: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Bins that are not at the lens."""
    return (target[:, :1] > CELLS) | (target[:, 1:2] <= CELLS)


Maps = tuple[NDArray[np.float64], NDArray[np.int64]]


def true_maps(rng: np.random.Generator, bias: float) -> Maps:
    """Logits that are right, and spectra drawn by them; a source may be a bin beside its own."""
    heat = rng.normal(0, 2.5, (N, len(CELLS)))
    target = np.full((N, 4), -1)
    target[:, :2] = np.sort(rng.integers(0, 60, (N, 2)))
    for row in range(N):
        weight = np.where(possible(target)[row], np.exp(heat[row] + bias), 0)
        weight = np.append(weight, 1) / (weight.sum() + 1)
        place = rng.choice(len(weight), p=weight)
        if place < len(CELLS):
            target[row, 2] = place
            near = [i for i in (place - 1, place + 1) if 0 <= i < len(CELLS)]
            # The network is as sure of the bins beside as of the right one.
            heat[row, near] = heat[row, place]
    return heat, target


def test_temperature_and_bias_come_back(rng: np.random.Generator) -> None:
    heat, target = true_maps(rng, -7.5)
    share = (target[:, 2] >= 0).mean()
    assert 0.2 < share < 0.8
    plain = calibrate_sources(heat, target, SOURCES, float(share))
    for slope, bias in ((2.0, 0.0), (0.5, 3.0), (1.0, -4.0)):
        other = calibrate_sources(slope * heat + bias, target, SOURCES, float(share))
        assert other.slope * slope == pytest.approx(plain.slope, rel=0.01)
        assert other.intercept + other.slope * bias == pytest.approx(plain.intercept, abs=0.05)
    rare = calibrate_sources(heat, target, SOURCES, 0.01)
    assert rare.slope == plain.slope
    moved = logit_of(0.01) - logit_of(share)
    assert rare.intercept - plain.intercept == pytest.approx(moved)


def test_probabilities_of_a_source_are_right_on_average(rng: np.random.Generator) -> None:
    heat, target = true_maps(rng, -7.5)
    found = calibrate_sources(3 * heat + 1, target, SOURCES, float((target[:, 2] >= 0).mean()))
    scaled = found.slope * (3 * heat + 1) + found.intercept
    total = np.where(possible(target), np.exp(scaled), 0).sum(axis=1)
    assert np.mean(total / (1 + total)) == pytest.approx((target[:, 2] >= 0).mean(), abs=0.02)


def test_redshifts_are_right_within_three_cells_and_of_the_kind() -> None:
    n_elg = SOURCES[0].n_bins
    heat = np.zeros((7, len(CELLS)), np.float16)
    target = np.array([
        [0, 0, 30, -1], [0, 0, 30, -1], [0, 0, 30, n_elg + 9], [0, 0, n_elg + 2, -1],
        [0, 0, -1, -1], [15, 20, 30, -1], [15, 20, 10, -1],
    ])  # fmt: skip
    for row, place in enumerate((33, 34, n_elg + 8, n_elg - 1, 50, 30, 10)):
        heat[row, place] = 5
    heat[5, 10] = 9  # not behind its lens
    assert redshifts_right(heat, target, SOURCES) == pytest.approx(3 / 5)


def test_f4_a_network_that_learned_nothing_is_refused(rng: np.random.Generator) -> None:
    heat, target = true_maps(rng, -7.5)
    with pytest.raises(RunError, match="the network learned nothing"):
        calibrate_sources(-heat, target, SOURCES, 0.1)
