"""What is light and what is not, and runs of pixels by a slow twin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from speclens.sample.defects import Runs, misfits, runs_of

N_PIXELS, SPREAD = 60, 1.1
ONE = np.ones(1, np.intp)


def misfit(flux: NDArray[np.floating], start: int, stop: int, spread: float = SPREAD) -> float:
    """Misfit of a run in units of its power; without noise, and with unit errors."""
    run = Runs(0 * ONE, start * ONE, stop * ONE, np.ones(1))
    shape = (1, N_PIXELS)
    values = np.asarray(flux, "f4").reshape(shape), np.ones(shape, "f4"), np.zeros(shape, bool)
    found, power = misfits(run, *values, np.array([spread]))
    return float(found[0] / power[0])


@given(
    st.lists(st.tuples(st.floats(25, 35), st.floats(0.1, 10)), min_size=1, max_size=6),
    st.floats(1, 3),
)
def test_a_sum_of_spreads_of_any_width_is_light(
    sources: list[tuple[float, float]], width: float
) -> None:
    pixels = np.arange(N_PIXELS)
    flux = sum(h * np.exp(-0.5 * ((pixels - c) / (width * SPREAD)) ** 2) for c, h in sources)
    run = np.flatnonzero(flux > 0.3 * np.max(flux))
    assert misfit(flux, run[0], run[-1] + 1) < 1e-3


@pytest.mark.parametrize("width", [2, 3, 4, 5, 6])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_box_is_none(width: int, sign: int) -> None:
    flux = np.zeros(N_PIXELS)
    flux[30 : 30 + width] = sign
    assert misfit(flux, 30, 30 + width) > 0.03
    # Through a sharper spectrograph less is sure.
    assert misfit(flux, 30, 30 + width, 0.9) < misfit(flux, 30, 30 + width, 1.3)


def test_light_from_masked_pixels_is_none() -> None:
    flux = np.exp(-0.5 * ((np.arange(N_PIXELS) - 28) / SPREAD) ** 2)
    flux[:30] = 0
    run = Runs(0 * ONE, 30 * ONE, 32 * ONE, np.ones(1))
    shape = (1, N_PIXELS)
    seen = np.ones(shape, "f4")
    seen[:, :30] = 0
    found, power = misfits(
        run, flux.astype("f4").reshape(shape), seen, np.zeros(shape, bool), np.array([SPREAD])
    )
    assert found[0] > 0.02 * power[0]


def slow_runs(snr: NDArray[np.floating], limit: float, longest: int) -> list[tuple[int, ...]]:
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
            if high[start] and 2 <= stop - start <= longest:
                runs.append((row, start, stop))
            start = stop
    return runs


@pytest.mark.parametrize("seed", range(20))
def test_runs_are_those_of_a_slow_twin(seed: int) -> None:
    rng = np.random.default_rng(seed)
    snr = (rng.normal(size=(5, 40)) * 10 ** rng.uniform(0, 2, (5, 40))).round(2)
    snr[rng.random((5, 40)) < 0.3] = 0
    residual = snr.astype("f4")
    chi2 = residual**2
    found = runs_of(np.flatnonzero(chi2 > 4), chi2, residual, 0.1, 6)
    expected = slow_runs(residual, 2.0, 6)
    assert list(zip(found.row, found.start, found.stop, strict=True)) == expected
    tops = [np.abs(snr[row, start:stop]).max() for row, start, stop in expected]
    np.testing.assert_allclose(found.excess, tops, rtol=1e-5)


def test_nothing_high_is_no_run() -> None:
    zero = np.zeros((3, 10), "f4")
    assert len(runs_of(np.zeros(0, np.intp), zero, zero, 0.1, 6)) == 0


def test_a_run_of_which_nothing_is_known_but_damage_is_left_alone() -> None:
    shape = (1, N_PIXELS)
    flux, seen, hot = np.zeros(shape, "f4"), np.zeros(shape, "f4"), np.zeros(shape, bool)
    seen[:, 26:36], hot[:, 26:36] = 1, True
    flux[:, 30:32] = 30, 20
    run = Runs(0 * ONE, 30 * ONE, 32 * ONE, np.ones(1))
    found, power = misfits(run, flux, seen, hot, np.array([SPREAD]))
    assert (found[0], power[0]) == (0, 0)
