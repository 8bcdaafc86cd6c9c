"""Over-densities of hits: a slow twin of the rule of Shu et al. 2016, lines put in, and chance."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.config import Config, VetConfig
from speclens.vet.overdensity import Density, hit_density, measure_overdensity

Floats = NDArray[np.float64]
COLUMNS = ("DENSE_OBSERVED", "DENSE_REST", "SMOOTH_FRACTION")


@pytest.fixture(scope="module")
def config(defaults: Config) -> VetConfig:
    return defaults.vet


def slow_frame(wave: Sequence[float], config: VetConfig) -> tuple[list[float], list[float]]:
    """The slow, obvious twin, in plain Python: excess and smooth share of each hit in a frame."""
    place = [math.floor(math.log10(w) / config.dense_bin_dex) for w in wave]
    counts = Counter(place)
    first, last = min(place), max(place)
    half = config.dense_median_bins // 2

    def mirrored(b: int) -> int:
        if last - first + 1 < config.dense_median_bins:
            return b  # beyond a few bins there is nothing
        while not first <= b <= last:
            b = 2 * first - b if b < first else 2 * last - b
        return b

    def median(middle: int) -> float:
        bins = range(middle - half, middle + half + 1)
        around = sorted(counts[mirrored(b)] for b in bins)
        return max(around[half], 1)

    def excess(b: int) -> float:
        return (counts[b] - median(b)) / math.sqrt(median(b)) if first <= b <= last else -math.inf

    dense, smooth = [], []
    for b in place:
        # A bad bin spoils its neighbours too.
        dense.append(max(excess(b - 1), excess(b), excess(b + 1)))
        near = counts[b - 1] + counts[b] + counts[b + 1]
        others = [counts[b + i] for i in range(-half, half + 1)
                  if abs(i) > 1 and first <= b + i <= last]  # fmt: skip
        expected = 3 * sum(others) / max(len(others), 1) + 1
        smooth.append((expected + 2 * math.sqrt(expected)) / near)
    return dense, smooth


def spread(n_hits: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Hits all over the window, of lenses at all redshifts."""
    return rng.uniform(3800, 5000, n_hits), rng.uniform(0.3, 0.7, n_hits)


def test_excess_and_smooth_share_are_those_of_plain_python(
    rng: np.random.Generator, config: VetConfig
) -> None:
    wave, z = spread(400, rng)
    wave[:25] = 4046.6 * (1 + 1e-5 * rng.normal(size=25))
    wave[25:40] = 3934.8 * (1 + z[25:40])
    found = measure_overdensity(wave, z, config)
    observed, share = slow_frame(wave.tolist(), config)
    rest, share_rest = slow_frame((wave / (1 + z)).tolist(), config)
    np.testing.assert_allclose(found["DENSE_OBSERVED"], observed)
    np.testing.assert_allclose(found["DENSE_REST"], rest)
    smallest = [min(1, *pair) for pair in zip(share, share_rest, strict=True)]
    np.testing.assert_allclose(found["SMOOTH_FRACTION"], smallest)


@pytest.mark.parametrize("n_hits", [100, 3000])
def test_the_twin_agrees_on_few_hits_and_on_many(
    rng: np.random.Generator, config: VetConfig, n_hits: int
) -> None:
    wave, z = spread(n_hits, rng)
    found = measure_overdensity(wave, z, config)
    np.testing.assert_allclose(found["DENSE_OBSERVED"], slow_frame(wave.tolist(), config)[0])


@pytest.mark.parametrize("wave_line", [3800.5, 4046.6, 4358.3, 4999.0])
def test_airglow_is_found_in_the_observed_frame_alone(
    rng: np.random.Generator, config: VetConfig, wave_line: float
) -> None:
    wave, z = spread(530, rng)
    wave[:30] = wave_line * (1 + 5e-6 * rng.normal(size=30))
    found = measure_overdensity(wave, z, config)
    assert (found["DENSE_OBSERVED"][:30] > config.dense_max).all()
    # 500 hits lie in some 400 bins; one at a line's wavelength by chance is marked with it.
    assert (found["DENSE_OBSERVED"][30:] > config.dense_max).mean() < 0.03
    assert (found["DENSE_REST"] > config.dense_max).mean() < 0.03
    assert (found["SMOOTH_FRACTION"][:30] < 0.4).all()
    assert np.median(found["SMOOTH_FRACTION"][30:]) > 0.6


def test_a_residual_of_the_lens_is_found_in_its_frame_alone(
    rng: np.random.Generator, config: VetConfig
) -> None:
    wave, z = spread(530, rng)
    z[:30] = rng.uniform(0.3, 0.7, 30)
    wave[:30] = 2900.0 * (1 + z[:30]) * (1 + 5e-6 * rng.normal(size=30))
    found = measure_overdensity(wave, z, config)
    assert (found["DENSE_REST"][:30] > config.dense_max).all()
    assert (found["DENSE_REST"][30:] > config.dense_max).mean() < 0.03
    assert (found["DENSE_OBSERVED"] > config.dense_max).mean() < 0.03
    assert (found["SMOOTH_FRACTION"][:30] < 0.4).all()


def test_a_line_on_the_edge_of_two_bins_is_found_too(
    rng: np.random.Generator, config: VetConfig
) -> None:
    wave, z = spread(1030, rng)
    edge = 10 ** (config.dense_bin_dex * math.ceil(math.log10(4400) / config.dense_bin_dex))
    wave[:30] = edge * (1 + 1e-5 * rng.normal(size=30))
    found = measure_overdensity(wave, z, config)
    assert (found["DENSE_OBSERVED"][:30] > config.dense_max).all()
    assert (found["SMOOTH_FRACTION"][:30] < 0.45).all()


@pytest.mark.parametrize("n_hits", [150, 1200, 12_000])
def test_hits_spread_by_chance_are_almost_never_marked(
    rng: np.random.Generator, config: VetConfig, n_hits: int
) -> None:
    found = measure_overdensity(*spread(n_hits, rng), config)
    for name in ("DENSE_OBSERVED", "DENSE_REST"):
        assert (found[name] > config.dense_max).mean() < 0.04, name
    assert (found["SMOOTH_FRACTION"] > 0).all()
    assert (found["SMOOTH_FRACTION"] <= 1).all()


def test_hits_at_the_ends_of_the_window_are_as_likely_as_in_its_middle(
    rng: np.random.Generator, config: VetConfig
) -> None:
    wave, z = spread(20_000, rng)
    z[:] = 0.5
    found = measure_overdensity(wave, z, config)
    ends = (wave < 3820) | (wave > 4975)
    assert np.median(found["SMOOTH_FRACTION"][~ends]) > 0.9
    assert np.median(found["SMOOTH_FRACTION"][ends]) > 0.85
    assert (found["DENSE_OBSERVED"][ends] > config.dense_max).mean() < 0.02


@pytest.mark.parametrize("bins", [3, 4, 5001])
def test_any_width_of_the_median_gives_numbers(
    rng: np.random.Generator, config: VetConfig, bins: int
) -> None:
    asked = config.model_copy(update={"dense_median_bins": bins})
    for values in measure_overdensity(*spread(300, rng), asked).values():
        assert np.isfinite(values).all()


def test_a_slow_rise_of_the_hits_is_no_over_density(
    rng: np.random.Generator, config: VetConfig
) -> None:
    z = rng.uniform(0.3, 0.7, 8000)
    wave = 3800 + 1200 * rng.beta(2, 2, 8000)
    found = measure_overdensity(wave, z, config)
    assert (found["DENSE_OBSERVED"] > config.dense_max).mean() < 0.02


@pytest.mark.parametrize("n_hits", [0, 1, 99])
def test_too_few_hits_are_not_tested(
    rng: np.random.Generator, config: VetConfig, n_hits: int
) -> None:
    found = measure_overdensity(*spread(n_hits, rng), config)
    for name in COLUMNS:
        assert found[name].shape == (n_hits,)
        assert np.isnan(found[name]).all()
    assert hit_density(np.full(n_hits, 4400.0), config) is None


@pytest.mark.parametrize("n_hits", [1, 2, 500])
def test_hits_all_at_one_wavelength_give_numbers(config: VetConfig, n_hits: int) -> None:
    asked = config.model_copy(update={"dense_min_hits": 0})
    found = measure_overdensity(np.full(n_hits, 4400.0), np.full(n_hits, 0.5), asked)
    for name in COLUMNS:
        assert np.isfinite(found[name]).all(), name
    assert found["SMOOTH_FRACTION"] == pytest.approx(np.full(n_hits, min(1, 3 / n_hits)))
    # They are no surroundings of their own.
    assert found["DENSE_OBSERVED"] == pytest.approx(np.full(n_hits, n_hits - 1.0))


def test_without_hits_there_is_nothing_to_count(config: VetConfig) -> None:
    asked = config.model_copy(update={"dense_min_hits": 0})
    found = measure_overdensity(np.zeros(0), np.zeros(0), asked)
    assert all(len(found[name]) == 0 for name in COLUMNS)


def test_the_order_of_the_hits_is_of_no_matter(rng: np.random.Generator, config: VetConfig) -> None:
    wave, z = spread(300, rng)
    order = rng.permutation(300)
    found, shuffled = (
        measure_overdensity(w, r, config) for w, r in ((wave, z), (wave[order], z[order]))
    )
    for name in COLUMNS:
        np.testing.assert_array_equal(found[name][order], shuffled[name])


@pytest.mark.parametrize("wave", [np.nan, np.inf, -4000.0, 0.0, 1e300])
@pytest.mark.parametrize("z", [0.5, np.nan, -1.0, -3.0, np.inf])
def test_i2_a_hit_nowhere_is_not_counted(
    rng: np.random.Generator, config: VetConfig, wave: float, z: float
) -> None:
    wavelengths, redshifts = spread(300, rng)
    before = measure_overdensity(wavelengths, redshifts, config)
    found = measure_overdensity(np.append(wavelengths, wave), np.append(redshifts, z), config)
    for name in COLUMNS:
        if wave != 1e300:  # far away, but somewhere
            np.testing.assert_array_equal(found[name][:-1], before[name])
            assert np.isnan(found[name][-1])


def test_the_limit_is_the_median_and_some_roots_of_it(config: VetConfig) -> None:
    # Nine hits a bin, and eighty in one.
    place = np.repeat(np.arange(300), 9)
    wave = 10 ** ((11_800 + np.append(place, np.full(71, 150)) + 0.5) * config.dense_bin_dex)
    density = Density(wave, config)
    np.testing.assert_allclose(density.limit, 9 + 3 * config.dense_max)
    assert density.counts[150] == 80
    assert density.edges[150] < wave[-1] < density.edges[151]
    assert len(density.edges) == len(density.counts) + 1
