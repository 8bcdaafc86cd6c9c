"""Balnicity: a trough that is put in comes back with its equivalent width, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.lines import REST_LINES, SPEED_OF_LIGHT_KMS
from speclens.sample.balnicity import DEPTH, balnicity
from speclens.spectra import FittedSpectra, LogGrid

GRID = LogGrid.covering(3600, 9800)
Z = 2.3
ERROR = 0.1


def quasars(flux: NDArray[np.floating], error: float = ERROR) -> FittedSpectra:
    """Quasars with a continuum of 1."""
    ones = np.ones(flux.shape, np.float32)
    return FittedSpectra(GRID, flux.astype(np.float32), ones * error**-2, ones, ones)


def speed(z: float = Z) -> NDArray[np.float64]:
    """How fast matter moves towards us that absorbs in C IV at each pixel, km/s."""
    wave = REST_LINES["C IV"].wave * (1 + z)
    return np.asarray(SPEED_OF_LIGHT_KMS * np.log(wave / GRID.wave))


def with_trough(slowest: float, fastest: float, left: float, n: int = 1) -> NDArray[np.float64]:
    """Spectra of which between two speeds, km/s, a part of the light is left."""
    flux = np.ones((n, GRID.n_pixels))
    flux[:, (speed() > slowest) & (speed() < fastest)] = left
    return flux


@pytest.mark.parametrize(
    ("slowest", "fastest", "left"),
    [(5000, 12000, 0.3), (4000, 7000, 0.0), (14000, 24000, 0.6), (8000, 10500, 0.5)],
)
def test_a_trough_comes_back_with_its_equivalent_width(
    slowest: float, fastest: float, left: float, rng: np.random.Generator
) -> None:
    flux = with_trough(slowest, fastest, left, 50)
    flux += ERROR * rng.standard_normal(flux.shape)
    index = balnicity(quasars(flux), np.full(50, Z))
    assert np.median(index) == pytest.approx((fastest - slowest) * (1 - left / DEPTH), rel=0.05)
    assert index.min() > 0


def test_two_troughs_add_up() -> None:
    one, other = with_trough(4000, 8000, 0.2), with_trough(12000, 16000, 0.5)
    z = np.array([Z])
    both = balnicity(quasars(np.minimum(one, other)), z)
    assert both == pytest.approx(balnicity(quasars(one), z) + balnicity(quasars(other), z))


def test_what_lies_beyond_the_range_of_speeds_does_not_count() -> None:
    z = np.array([Z])
    assert balnicity(quasars(with_trough(500, 2900, 0.0)), z) == 0
    assert balnicity(quasars(with_trough(26000, 30000, 0.0)), z) == 0
    across = balnicity(quasars(with_trough(0, 6000, 0.0)), z)
    assert across == pytest.approx(balnicity(quasars(with_trough(3000, 6000, 0.0)), z))
    assert across == pytest.approx(3000, rel=0.05)


@pytest.mark.parametrize("error", [0.05, 0.3, 1.0, 3.0])
def test_noise_gives_none(error: float, rng: np.random.Generator) -> None:
    flux = 1 + error * rng.standard_normal((300, GRID.n_pixels))
    assert (balnicity(quasars(flux, error), rng.uniform(1.5, 4.0, 300)) == 0).all()


def test_narrow_absorbers_give_none(rng: np.random.Generator) -> None:
    flux = np.ones((40, GRID.n_pixels))
    for row in flux:
        for middle in np.arange(5000, 24000, 4000) + rng.uniform(-1000, 1000, 5):
            row[np.abs(speed() - middle) < 300] = 0.1
    flux += ERROR * rng.standard_normal(flux.shape)
    assert (balnicity(quasars(flux), np.full(40, Z)) == 0).all()
    # The same light missing in one piece is a trough.
    assert (balnicity(quasars(with_trough(6000, 9000, 0.1)), np.array([Z])) > 0).all()


def test_shallow_absorption_is_none() -> None:
    assert balnicity(quasars(with_trough(5000, 15000, 0.92)), np.array([Z])) == 0


@pytest.mark.parametrize("z", [0.4, 1.2, 7.0])
def test_a_line_out_of_range_gives_none(z: float) -> None:
    dark = np.full((1, GRID.n_pixels), 0.2)
    assert balnicity(quasars(dark), np.array([z])) == 0
    assert balnicity(quasars(dark), np.array([Z])) > 10000


def test_pixels_that_are_masked_or_have_no_continuum_miss_nothing() -> None:
    z = np.array([Z])
    spectra = quasars(with_trough(5000, 12000, 0.0))
    trough = spectra.flux == 0
    masked = replace(spectra, ivar=np.where(trough, np.float32(0), spectra.ivar))
    bare = replace(spectra, model=np.where(trough, np.float32(0), spectra.model))
    assert balnicity(masked, z) == balnicity(bare, z) == 0


def test_each_spectrum_is_measured_at_its_own_redshift() -> None:
    flux = np.ones((3, GRID.n_pixels))
    z = np.array([1.9, 2.3, 3.1])
    for row, own in zip(flux, z, strict=True):
        row[(speed(own) > 6000) & (speed(own) < 10000)] = 0.3
    np.testing.assert_allclose(balnicity(quasars(flux), z), 4000 * (1 - 0.3 / DEPTH), rtol=0.05)
    wrong = balnicity(quasars(flux), z[[1, 2, 0]])
    assert (wrong == 0).all()
