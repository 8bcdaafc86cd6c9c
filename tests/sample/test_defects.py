"""What is light and what is not, and runs of pixels by a slow twin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from speclens.config import Config
from speclens.sample.defects import Runs, judge, runs_of

N_PIXELS, SPREAD = 60, 1.1
ONE = np.ones(1, np.intp)


def verdict(
    flux: NDArray[np.floating],
    start: int,
    stop: int,
    config: Config,
    spread: float = SPREAD,
    ivar: NDArray[np.floating] | None = None,
) -> tuple[bool, int]:
    """Whether a run is damaged and its hot pixel, without noise."""
    bright = np.array([flux[start] > 0])
    run = Runs(0 * ONE, start * ONE, stop * ONE, np.ones(1), bright)
    shape = (1, N_PIXELS)
    seen = np.ones(N_PIXELS) if ivar is None else ivar
    values = np.asarray(flux, "f4").reshape(shape), np.asarray(seen, "f4").reshape(shape)
    alone, spreads = np.zeros(shape, bool), np.array([spread])
    damaged, hot = judge(run, *values, alone, spreads, config.preparation)
    return bool(damaged[0]), int(hot[0])


DAMAGED, LIGHT = (True, -1), (False, -1)


@given(
    st.lists(st.tuples(st.floats(25, 35), st.floats(0.1, 10)), min_size=1, max_size=6),
    st.floats(1, 3),
)
def test_a_sum_of_spreads_of_any_width_is_light(
    config: Config, sources: list[tuple[float, float]], width: float
) -> None:
    pixels = np.arange(N_PIXELS)
    flux = sum(h * np.exp(-0.5 * ((pixels - c) / (width * SPREAD)) ** 2) for c, h in sources)
    run = np.flatnonzero(flux > 0.3 * np.max(flux))
    assert verdict(1e3 * flux, run[0], run[-1] + 1, config) == LIGHT


@pytest.mark.parametrize("width", [2, 3, 4, 5, 6, 8, 9, 12, 20, 40])
@pytest.mark.parametrize("height", [30, 1e3, -30, -1e3])
@pytest.mark.parametrize("spread", [0.85, 1.1, 1.3])
def test_a_box_is_none(config: Config, width: int, height: float, spread: float) -> None:
    flux = np.zeros(N_PIXELS)
    flux[10 : 10 + width] = height
    assert verdict(flux, 10, 10 + width, config, spread) == DAMAGED


def test_through_a_sharp_spectrograph_it_may_be_some(config: Config) -> None:
    flux = np.zeros(N_PIXELS)
    flux[10:12] = 1e3
    assert verdict(flux, 10, 12, config, 0.4) == LIGHT


@pytest.mark.parametrize("sigma", [3, 6, 10])
@pytest.mark.parametrize("height", [10, 100, 1e4, -1e4])
def test_broad_emission_is_light_and_so_is_its_mirror_image(
    config: Config, sigma: float, height: float
) -> None:
    flux = height * np.exp(-0.5 * ((np.arange(N_PIXELS) - 30.3) / sigma) ** 2)
    run = np.flatnonzero(np.abs(flux) > max(4.5, 0.1 * abs(height)))
    assert verdict(flux, run[0], run[-1] + 1, config) == LIGHT


@pytest.mark.parametrize("pixel", [28, 29, 30, 31, 32])
@pytest.mark.parametrize("height", [30, 300])
def test_a_hot_pixel_on_a_line_is_told_from_it(config: Config, pixel: int, height: float) -> None:
    flux = 60 * np.exp(-0.5 * ((np.arange(N_PIXELS) - 30.2) / (1.5 * SPREAD)) ** 2)
    flux[pixel] += height
    assert verdict(flux, 27, 34, config) == (False, pixel)


@pytest.mark.parametrize("decay", [0.5, 0.7])
@pytest.mark.parametrize("height", [30, 1e3])
def test_the_tail_of_a_cosmic_ray_is_no_line(config: Config, decay: float, height: float) -> None:
    flux = np.zeros(N_PIXELS)
    flux[30:35] = height * decay ** np.arange(5)
    run = np.flatnonzero(flux > max(4.5, 0.1 * height))
    assert verdict(flux, 30, run[-1] + 1, config) == DAMAGED


def test_light_from_masked_pixels_is_none(config: Config) -> None:
    flux = 1e3 * np.exp(-0.5 * ((np.arange(N_PIXELS) - 28) / SPREAD) ** 2)
    flux[:30] = 0
    seen = np.ones(N_PIXELS)
    seen[:30] = 0
    assert verdict(flux, 30, 32, config, ivar=seen) == DAMAGED


def slow_runs(snr: NDArray[np.floating], limit: float) -> list[tuple[int, ...]]:
    runs = []
    for row, values in enumerate(snr):
        high = np.abs(values) > max(limit, 0.1 * np.abs(values).max())
        start = 0
        while start < len(values):
            stop = start + 1
            while (
                high[start]
                and stop < len(values)
                and high[stop]
                and values[stop] * values[start] > 0
            ):
                stop += 1
            if high[start] and stop - start >= 2:
                runs.append((row, start, stop))
            start = stop
    return runs


@pytest.mark.parametrize("seed", range(20))
def test_runs_are_those_of_a_slow_twin(seed: int) -> None:
    rng = np.random.default_rng(seed)
    snr = (rng.normal(size=(5, 40)) * 10 ** rng.uniform(0, 2, (5, 40))).round(2)
    snr[rng.random((5, 40)) < 0.3] = 0
    residual = snr.astype("f4")
    snr2 = residual.ravel() ** 2
    high = np.flatnonzero(snr2 > 4)
    found = runs_of(high, snr2[high], residual, 0.1)
    expected = slow_runs(residual, 2.0)
    assert list(zip(found.row, found.start, found.stop, strict=True)) == expected
    tops = [np.abs(snr[row, start:stop]).max() for row, start, stop in expected]
    np.testing.assert_allclose(found.excess, tops, rtol=1e-5)


def test_nothing_high_is_no_run() -> None:
    nothing = np.zeros(0, "f4")
    assert len(runs_of(np.zeros(0, np.intp), nothing, np.zeros((3, 10), "f4"), 0.1)) == 0
