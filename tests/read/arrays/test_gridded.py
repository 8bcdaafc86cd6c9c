"""Resampling conserves flux and information, and leaves what lies on the grid alone."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from speclens.errors import SpectraError
from speclens.lines import pixel_width_angstrom
from speclens.read.arrays.gridded import Gridded, joined, on_grid
from speclens.spectra import LogGrid

GRID = LogGrid.covering(3800, 5000)
STEPS = (0.4, 0.9, 1.3)
"""Half a pixel of the grid at 4000 Angstrom to one and a half, Angstrom."""


def taken(wave: np.ndarray, flux: np.ndarray, ivar: np.ndarray, spread: float = 0) -> Gridded:
    return on_grid(wave, flux, ivar, np.full(flux.shape, spread))


def test_what_lies_on_the_grid_stays_as_it_is(rng: np.random.Generator) -> None:
    flux = rng.standard_normal((3, GRID.n_pixels)).astype("f4")
    ivar = rng.random(flux.shape).astype("f4")
    found = taken(GRID.wave.astype("f4").astype("f8"), flux.astype("f8"), ivar.astype("f8"), 1.25)
    assert (found.grid, found.resampled) == (GRID, False)
    assert_array_equal(found.flux, flux)
    assert_array_equal(found.ivar, ivar)
    assert (found.dispersion == 1.25).all()


@pytest.mark.parametrize("step", STEPS)
def test_a_line_keeps_its_flux_its_place_and_its_signal_to_noise(step: float) -> None:
    wave = np.arange(3850.0, 4950.0, step)
    line = 50 * np.exp(-0.5 * ((wave - 4400.3) / 3) ** 2)
    ivar = np.full((1, len(wave)), 4 * step)
    found = taken(wave, line[None], ivar)
    assert found.resampled
    width = pixel_width_angstrom(found.grid.wave)
    flux = (found.flux[0] * width).sum()
    assert_allclose(flux, line.sum() * step, rtol=1e-3)
    assert_allclose((found.flux[0] * width * found.grid.wave).sum() / flux, 4400.3, atol=0.02)
    snr2 = (line**2 * ivar).sum()
    assert_allclose((found.flux[0].astype("f8") ** 2 * found.ivar[0]).sum(), snr2, rtol=0.05)


@pytest.mark.parametrize("step", STEPS)
def test_a_line_is_as_wide_as_the_spread_says(step: float) -> None:
    """In pixels of 4000 Angstrom; the means of pixels are integrated over both grids."""
    wave = np.arange(3850.0, 4150.0, step)
    pixel = float(pixel_width_angstrom(4000.0))
    spread, variances = 2.0, []
    for offset in np.linspace(0, step, 7):
        fine = np.arange(-300, 300) * (step / 100)
        inside = np.exp(
            -0.5 * ((wave[:, None] + fine[None, :100] + offset - 4000) / (spread * pixel)) ** 2
        ).mean(axis=1)
        found = taken(wave, inside[None], np.ones((1, len(wave))), spread)
        place, weight = np.arange(found.grid.n_pixels), found.flux[0].astype("f8")
        mean = (place * weight).sum() / weight.sum()
        variances.append(((place - mean) ** 2 * weight).sum() / weight.sum() - 1 / 12)
    expected = found.dispersion[0, round(float(found.grid.pixel(4000.0)))]
    assert_allclose(np.sqrt(np.mean(variances)), expected, rtol=0.02)


def test_the_whole_information_is_kept_and_no_more(rng: np.random.Generator) -> None:
    wave = np.arange(3850.0, 4950.0, 0.7)
    ivar = rng.random((2, len(wave)))
    found = taken(wave, np.ones((2, len(wave))), ivar)
    assert_allclose(found.ivar.sum(axis=1), ivar.sum(axis=1), rtol=3e-3)
    assert_allclose(found.flux[found.ivar > 0], 1, rtol=1e-5)


def test_a_sum_of_noise_scatters_as_its_errors_say(rng: np.random.Generator) -> None:
    wave = np.arange(3850.0, 4950.0, 0.9)
    flux = rng.standard_normal((400, len(wave))) / 2
    found = taken(wave, flux, np.full(flux.shape, 4.0))
    weight = np.exp(-0.5 * ((found.grid.wave - 4400) / 4) ** 2)
    signal = (found.flux * found.ivar * weight).sum(1)
    error = np.sqrt((found.ivar * weight**2).sum(1))
    assert_allclose((signal / error).std(), 1, atol=0.1)


def test_a_bad_pixel_is_left_out_and_a_gap_is_a_gap() -> None:
    wave = np.arange(3850.0, 4950.0, 0.5)
    flux, ivar = np.ones((1, len(wave))), np.ones((1, len(wave)))
    flux[0, 400], ivar[0, 400] = 1e9, 0
    gap = (wave > 4400) & (wave < 4450)
    flux[0, gap], ivar[0, gap] = np.nan, 0
    found = taken(wave, flux, ivar)
    inside = (found.grid.wave > 4401) & (found.grid.wave < 4449)
    assert (found.ivar[0, inside] == 0).all()
    assert found.covered[0, inside].all()
    assert_allclose(found.flux[0, found.ivar[0] > 0], 1, rtol=1e-6)


def test_b4_between_two_arms_nothing_is_covered() -> None:
    wave = np.concatenate([np.arange(3850.0, 4400, 0.8), np.arange(4450.0, 4950, 0.8)])
    found = taken(wave, np.ones((1, len(wave))), np.ones((1, len(wave))))
    between = (found.grid.wave > 4402) & (found.grid.wave < 4448)
    assert not found.covered[0, between].any()
    assert (found.ivar[0, between] == 0).all()
    outside = np.abs(found.grid.wave - 4425) > 27
    assert found.covered[0, outside].all()


@pytest.mark.parametrize(
    ("wave", "said"),
    [
        (np.arange(13000.0, 14000.0), "the searches look between 2000 and 12000"),
        (np.arange(3800.0, 5000.0, 5), "pixels of 341 km/s are too wide"),
    ],
)
def test_what_cannot_be_searched_is_refused(wave: np.ndarray, said: str) -> None:
    with pytest.raises(SpectraError, match=said):
        taken(wave, np.ones((1, len(wave))), np.ones((1, len(wave))))


def test_parts_on_other_grids_are_joined_on_one_that_holds_all() -> None:
    parts = []
    for low, high in ((3800, 4200), (4100, 5000)):
        grid = LogGrid.covering(low, high)
        parts.append(
            taken(grid.wave, np.full((2, grid.n_pixels), low), np.ones((2, grid.n_pixels)))
        )
    found = joined(parts)
    assert found.grid == GRID
    assert found.covered.sum(axis=1).tolist() == [p.grid.n_pixels for p in parts for _ in "ab"]
    assert found.flux[0, 0] == found.flux[1, 0] == 3800
    assert found.ivar[0, -1] == 0
    assert found.flux[3, -1] == 4100
