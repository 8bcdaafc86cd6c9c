"""Damaged pixels are found, and lines are not taken for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.config import Config
from speclens.sample.damage import DamagedPixels
from speclens.sample.preparation import Preparation, PreparedSpectra
from speclens.spectra import LogGrid, SpectrumBatch

Batch = Callable[..., tuple[SpectrumBatch, NDArray[np.float64]]]
SIGMA, N_PIXELS, SPREAD = 0.5, 400, 1.1
MIDDLE = N_PIXELS // 2
GRID = LogGrid(36000, N_PIXELS)
IN_A_ROW = [[1.0] * width for width in (2, 3, 4, 5, 6, 9, 12, 20)]
TAIL = [1.0, 0.5, 0.25, 0.12, 0.06]


def noise(n_spectra: int, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0, SIGMA, (n_spectra, N_PIXELS)).astype("f4")


def found_in(residual: NDArray[np.float32], config: Config) -> NDArray[np.bool_]:
    ivar = np.full(residual.shape, SIGMA**-2, "f4")
    return DamagedPixels(GRID, config)(residual, ivar, np.full(residual.shape, SPREAD, "f4"))


def prepared_sigma(spectra: PreparedSpectra) -> float:
    return float(np.median(spectra.ivar[spectra.ivar > 0]) ** -0.5)


def gaussian(centre: float, sigma: float, snr: float) -> NDArray[np.float64]:
    """A line of the given ideal signal-to-noise ratio in noise of SIGMA."""
    profile = np.exp(-0.5 * ((np.arange(N_PIXELS) - centre) / sigma) ** 2)
    return np.asarray(profile * snr * SIGMA / np.sqrt((profile**2).sum()))


@pytest.mark.parametrize("snr", [8.0, 30.0, 1e4, -8.0, -30.0, -1e4])
def test_a_pixel_alone_is_damaged(config: Config, snr: float) -> None:
    residual = noise(300, 1)
    residual[:, MIDDLE] += snr * SIGMA
    found = found_in(residual, config)
    assert found[:, MIDDLE].mean() > 0.97
    found[:, MIDDLE] = False
    assert found.mean() < 1e-4


@pytest.mark.parametrize("profile", [*IN_A_ROW, TAIL])
@pytest.mark.parametrize("snr", [30.0, 1e3, -30.0, -1e3])
def test_several_in_a_row_are_damaged(config: Config, profile: list[float], snr: float) -> None:
    residual = noise(200, 10)
    damage = snr * SIGMA * np.array(profile)
    residual[:, MIDDLE : MIDDLE + len(profile)] += damage.astype("f4")
    found = found_in(residual, config)
    # What is much lower than the rest is judged when the foreground is fitted without that.
    highest = MIDDLE + np.flatnonzero(np.array(profile) > 0.2)
    assert found[:, highest].all(axis=1).mean() > 0.97
    found[:, MIDDLE - 1 : MIDDLE + len(profile) + 1] = False
    assert found.mean() < 1e-4


@pytest.mark.parametrize("place", ["first", "last", "beside a gap"])
@pytest.mark.parametrize("width", [1, 2, 3, 5])
@pytest.mark.parametrize("snr", [40.0, 1e4, -40.0, -1e4])
def test_at_the_ends_and_beside_a_gap_too(
    config: Config, place: str, width: int, snr: float
) -> None:
    residual = noise(100, 11)
    ivar = np.full(residual.shape, SIGMA**-2, "f4")
    start = {"first": 0, "last": N_PIXELS - width, "beside a gap": MIDDLE}[place]
    where = slice(start, start + width)
    residual[:, where] += snr * SIGMA
    if place == "beside a gap":
        ivar[:, MIDDLE - 20 : MIDDLE] = 0
    seen = np.full(residual.shape, True)
    for _ in range(3):
        seen &= ~DamagedPixels(GRID, config)(residual, ivar * seen, np.full_like(ivar, SPREAD))
    assert (~seen[:, where]).all(axis=1).mean() > 0.97


@pytest.mark.parametrize("snr", [5.0, 8.0, 15.0, 60.0, 200.0])
@pytest.mark.parametrize("width", [1.0, 2.0, 4.0])
def test_a_line_through_the_spectrograph_is_not(config: Config, snr: float, width: float) -> None:
    rng = np.random.default_rng(2)
    lines = [gaussian(MIDDLE + c, SPREAD * width, snr) for c in rng.uniform(-0.5, 0.5, 400)]
    found = found_in(noise(400, 3) + np.array(lines, "f4"), config)
    assert found[:, MIDDLE - 8 : MIDDLE + 9].any(axis=1).mean() < 0.01


@pytest.mark.parametrize("snr", [12.0, 40.0, 200.0])
@pytest.mark.parametrize("shape", ["skewed", "doublet", "narrower than stated"])
def test_nor_is_a_line_of_another_shape(config: Config, shape: str, snr: float) -> None:
    rng = np.random.default_rng(12)
    lines = np.zeros((400, N_PIXELS))
    for line, place in zip(lines, MIDDLE + rng.uniform(-0.5, 0.5, 400), strict=True):
        if shape == "skewed":  # a sharp edge and a long wing, through the spectrograph
            for step in np.arange(0, 12, 0.25):
                line += np.exp(-step / 3) * gaussian(place + step, SPREAD, 1)
        elif shape == "doublet":
            line += gaussian(place, 1.2 * SPREAD, 1) + 1.4 * gaussian(place + 3.2, 1.2 * SPREAD, 1)
        else:
            line += gaussian(place, 0.97 * SPREAD, 1)
        line *= snr * SIGMA / np.sqrt((line**2).sum())
    found = found_in(noise(400, 13) + lines.astype("f4"), config)
    assert found[:, MIDDLE - 10 : MIDDLE + 25].any(axis=1).mean() < 0.01


@pytest.mark.parametrize("snr", [15.0, 20.0, 40.0, 60.0, 100.0])
@pytest.mark.parametrize("height", [10.0, 20.0, 40.0, 60.0, 300.0])
@pytest.mark.parametrize("offset", [-2, -1, 0, 1, 2])
def test_a_line_with_a_hot_pixel_keeps_its_top(
    config: Config, snr: float, height: float, offset: int
) -> None:
    residual = noise(100, 14) + gaussian(MIDDLE + 0.2, 1.5 * SPREAD, snr).astype("f4")
    residual[:, MIDDLE + offset] += height * SIGMA
    found = found_in(residual, config)
    if height >= 60:
        assert found[:, MIDDLE + offset].mean() > 0.97
    found[:, MIDDLE + offset] = False
    assert found.any(axis=1).mean() < 0.2


@pytest.mark.parametrize("sigma", [5.0, 10.0, 20.0])
@pytest.mark.parametrize("height", [6.0, 10.0, 30.0, 300.0])
def test_broad_emission_is_not_damaged(config: Config, sigma: float, height: float) -> None:
    broad = height * SIGMA * np.exp(-0.5 * ((np.arange(N_PIXELS) - MIDDLE) / sigma) ** 2)
    assert found_in(noise(200, 15) + broad.astype("f4"), config).any(axis=1).mean() < 0.03


@pytest.mark.parametrize("understated", [5, 20])
def test_errors_that_are_too_small_make_no_damage(config: Config, understated: float) -> None:
    assert not found_in(understated * noise(50, 16), config).any()


def test_noise_alone_is_hardly_ever_damage(config: Config) -> None:
    assert found_in(noise(5000, 4), config).mean() < 1e-5


def test_a_wide_dip_is_damage_and_a_shallow_one_is_not(config: Config) -> None:
    residual = noise(2, 5)
    residual[0, MIDDLE : MIDDLE + 3] -= 20 * SIGMA
    residual[1] -= gaussian(MIDDLE, 5, 20).astype("f4")
    found = found_in(residual, config)
    assert found[0, MIDDLE : MIDDLE + 3].all()
    assert not found[1].any()


def test_pixels_at_the_ends_and_without_neighbours_are_damaged(config: Config) -> None:
    residual = noise(1, 6)
    residual[0, [0, MIDDLE, -1]] = 40 * SIGMA
    ivar = np.full(residual.shape, SIGMA**-2, "f4")
    ivar[0, MIDDLE - 3 : MIDDLE + 4] = 0
    ivar[0, MIDDLE] = SIGMA**-2
    found = DamagedPixels(GRID, config)(residual, ivar, np.full_like(ivar, SPREAD))
    # A pixel without neighbours shows no line, and would bend the foreground.
    assert np.flatnonzero(found[0]).tolist() == [0, MIDDLE, N_PIXELS - 1]


def test_none_is_sought_for_the_search_of_shu_et_al(
    config: Config, shu: Config, make_batch: Batch
) -> None:
    batch, z = make_batch(1, 7)
    pixel = int(np.argmax(Preparation(config)(batch, z).ivar[0]))
    batch.flux[0, pixel] = 100
    assert Preparation(config)(batch, z).ivar[0, pixel] == 0
    assert shu.preparation.spike_snr == 0
    section = config.preparation.model_copy(update={"spike_snr": 0.0})
    without = Preparation(config.model_copy(update={"preparation": section}))
    assert without(batch, z).ivar[0, pixel] > 0


@pytest.mark.parametrize("value", [30.0, -1e4, 9e4])
def test_i8_one_pixel_does_not_change_what_the_search_sees_of_the_others(
    config: Config, make_batch: Batch, value: float
) -> None:
    batch, z = make_batch(3, 8)
    pixel = 700
    spoilt = replace(batch, flux=batch.flux.copy())
    spoilt.flux[1, pixel] = value
    masked = replace(batch, ivar=batch.ivar.copy())
    masked.ivar[1, pixel] = 0
    prepare = Preparation(config)
    found, expected = prepare(spoilt, z), prepare(masked, z)
    np.testing.assert_array_equal(found.ivar > 0, expected.ivar > 0)
    np.testing.assert_allclose(found.residual, expected.residual, atol=1e-3)


@pytest.mark.parametrize("profile", [*IN_A_ROW, TAIL])
@pytest.mark.parametrize("height", [20.0, 1e4, -20.0, -1e4])
@pytest.mark.parametrize("pixel", [0, 700])
def test_i8_nor_do_several_in_a_row(
    config: Config, make_batch: Batch, profile: list[float], height: float, pixel: int
) -> None:
    batch, z = make_batch(3, 8)
    prepare = Preparation(config)
    first = int(np.argmax(prepare(batch, z).ivar[1] > 0)) if pixel == 0 else pixel
    if pixel == 0:  # what falls off from an end is like half a line, and what rises from it is not
        profile = profile[::-1]
    where = slice(first, first + len(profile))
    spoilt = replace(batch, flux=batch.flux.copy())
    spoilt.flux[1, where] += (height * np.array(profile)).astype("f4")
    masked = replace(batch, ivar=batch.ivar.copy())
    masked.ivar[1, where] = 0
    found, expected = prepare(spoilt, z), prepare(masked, z)
    assert ((found.ivar > 0) != (expected.ivar > 0)).sum() <= 3
    both = (found.ivar > 0) & (expected.ivar > 0)
    # A few pixels more or less do not bend the foreground, but at the ends they do a little.
    difference = (found.model - expected.model)[both]
    assert np.abs(difference).max() < (0.1 if pixel else 0.4) * prepared_sigma(expected)


def test_the_foreground_is_fitted_without_damage_and_without_the_line(
    config: Config, make_batch: Batch
) -> None:
    batch, z = make_batch(1, 9)
    flux = batch.flux.copy()
    flux[0, 300] = 5e4
    flux[0] += 30 * np.exp(-0.5 * ((np.arange(flux.shape[1]) - 620) / 12) ** 2)
    line = np.zeros(flux.shape, bool)
    line[0, 560:680] = True
    found = Preparation(config)(replace(batch, flux=flux), z, line)
    assert found.ivar[0, 300] == 0
    assert found.residual[0, 610:631].mean() == pytest.approx(26.6, abs=1)
