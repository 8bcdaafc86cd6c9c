"""Noise, masked pixels, the window's end, and spikes, by known answers and a slow twin."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.config import Config
from speclens.lines import gaussian_pixels
from speclens.spectra import LogGrid
from speclens.vet.line_fits import Cutouts
from speclens.vet.quality import measure_quality
from speclens.vet.skewness import fit_skewness

Floats = NDArray[np.float64]

OFFSET = np.arange(-20, 21.0)
GRID = LogGrid.covering(3800, 5000)
DISPERSION = 1.05


def quality(
    cutouts: Cutouts,
    chi2: Floats | float = 0.0,
    sigma: float = 1.5,
    wave: Floats | float = 4400.0,
) -> dict[str, Floats]:
    n = len(cutouts)
    chi2, wave = np.broadcast_to(chi2, n), np.broadcast_to(wave, n)
    return dict(measure_quality(cutouts, chi2, np.full(n, sigma), wave, GRID, 4.0))


def slow_spike_chi2(cutouts: Cutouts, row: int) -> float:
    """The slow, obvious twin: a constant and two free pixels, by least squares, at every place."""
    root = np.sqrt(cutouts.ivar[row])
    best = np.inf
    for first in range(len(OFFSET) - 1):
        if abs(OFFSET[first] + 0.5 - cutouts.centre[row]) > 4:
            continue
        design = np.zeros((len(OFFSET), 3))
        design[:, 0], design[first, 1], design[first + 1, 2] = 1, 1, 1
        solution = np.linalg.lstsq(design * root[:, None], cutouts.flux[row] * root)[0]
        chi2 = float((((cutouts.flux[row] - design @ solution) * root) ** 2).sum())
        best = min(best, chi2)
    return best


@pytest.mark.parametrize("masked", [0.0, 0.2, 0.9])
def test_the_chi2_of_a_spike_is_that_of_slow_least_squares(
    cutouts_of: Callable[..., Cutouts], rng: np.random.Generator, masked: float
) -> None:
    ivar = rng.uniform(0.2, 4, (30, 41)) * (rng.random((30, 41)) >= masked)
    flux = rng.normal(size=(30, 41)) + 3 + 20 * (rng.integers(-3, 4, (30, 1)) == OFFSET)
    cutouts = cutouts_of(flux, ivar, rng.uniform(-0.5, 0.5, 30))
    found = -quality(cutouts)["SPIKE_DCHI2"]
    slow = [slow_spike_chi2(cutouts, row) for row in range(30)]
    np.testing.assert_allclose(found, slow, rtol=1e-6, atol=1e-6)


def spike_dchi2(cutouts: Cutouts, defaults: Config) -> Floats:
    chi2 = np.asarray(fit_skewness(cutouts, defaults.vet)["CHI2"], np.float64)
    return quality(cutouts, chi2)["SPIKE_DCHI2"]


@pytest.mark.parametrize("heights", [(1.0, 0.0), (0.7, 0.7), (0.9, 0.4), (0.4, 0.9)])
@pytest.mark.parametrize("place", [-2, 0, 3])
def test_a_spike_of_one_or_two_pixels_is_better_explained_as_one(
    cutouts_of: Callable[..., Cutouts],
    defaults: Config,
    rng: np.random.Generator,
    heights: tuple[float, float],
    place: int,
) -> None:
    spike = 15 * (heights[0] * (place == OFFSET) + heights[1] * (place + 1 == OFFSET))
    flux = spike + rng.normal(size=(40, 41))
    found = spike_dchi2(cutouts_of(flux, 1.0), defaults)
    if 0.0 in heights:
        # No line behind the spectrograph is as narrow.
        assert (found > defaults.vet.spike_dchi2_max).mean() > 0.95
    assert (found > 0).mean() > 0.9


@pytest.mark.parametrize("shift", [0.0, 0.25, 0.5])
def test_a_line_that_is_not_resolved_is_no_spike(
    cutouts_of: Callable[..., Cutouts], defaults: Config, rng: np.random.Generator, shift: float
) -> None:
    line = gaussian_pixels(OFFSET - shift, DISPERSION)
    flux = 10 * line / np.sqrt((line**2).sum()) + rng.normal(size=(100, 41))
    found = spike_dchi2(cutouts_of(flux, 1.0), defaults)
    assert np.median(found) < -8
    assert (found > defaults.vet.spike_dchi2_max).mean() < 0.02


def test_a_wide_bright_line_is_far_from_a_spike(
    cutouts_of: Callable[..., Cutouts], defaults: Config, rng: np.random.Generator
) -> None:
    line = gaussian_pixels(OFFSET, 2.5)
    flux = 20 * line / np.sqrt((line**2).sum()) + rng.normal(size=(20, 41))
    assert (spike_dchi2(cutouts_of(flux, 1.0), defaults) < -50).all()


def test_a_spike_far_from_the_hit_is_not_the_hit_s(
    cutouts_of: Callable[..., Cutouts], rng: np.random.Generator
) -> None:
    noise = rng.normal(size=(20, 41))
    near, far = (
        -quality(cutouts_of(noise + 50 * (place == OFFSET), 1.0))["SPIKE_DCHI2"] for place in (4, 9)
    )
    assert (near < 100).all()
    assert (far > 1000).all()


def test_the_noise_is_the_median_error_of_the_good_pixels(
    cutouts_of: Callable[..., Cutouts],
) -> None:
    error = np.linspace(1, 3, 41)
    ivar = np.stack([error**-2, np.where(error > 2.5, 0, error**-2), np.zeros(41)])
    found = quality(cutouts_of(np.zeros((3, 41)), ivar))["NOISE"]
    np.testing.assert_allclose(found[:2], [2.0, np.median(error[error <= 2.5])])
    assert np.isnan(found[2])


@pytest.mark.parametrize(
    ("masked", "expected"),
    [
        (np.abs(OFFSET) > 30, 1.0),
        (np.abs(OFFSET) > 8, 1.0),
        (OFFSET > 0, 0.5 + gaussian_pixels(0.0, 1.5) / 2),
        (OFFSET == 0, 1 - gaussian_pixels(0.0, 1.5)),
        (np.abs(OFFSET) < 10, 0.0),
        (np.abs(OFFSET) < 30, 0.0),
    ],
    ids=["none", "not the line's", "red half", "middle", "the line", "all"],
)
def test_good_pixels_are_weighed_by_the_line(
    cutouts_of: Callable[..., Cutouts], masked: NDArray[np.bool_], expected: float
) -> None:
    found = quality(cutouts_of(np.zeros(41), np.where(masked, 0.0, 1.0)))["GOOD_PIXELS"]
    assert found[0] == pytest.approx(float(expected), abs=1e-6)


def test_good_pixels_follow_the_place_and_width_of_the_hit(
    cutouts_of: Callable[..., Cutouts],
) -> None:
    ivar = np.where(OFFSET > 0, 0.0, 1.0)
    to_the_blue, to_the_red = (
        quality(cutouts_of(np.zeros(41), ivar, centre))["GOOD_PIXELS"][0] for centre in (-0.5, 0.5)
    )
    assert to_the_blue - to_the_red == pytest.approx(0.25, abs=0.03)
    middle = np.where(np.abs(OFFSET) <= 1, 0.0, 1.0)
    narrow, wide = (
        quality(cutouts_of(np.zeros(41), middle), sigma=s)["GOOD_PIXELS"][0] for s in (1.0, 4.0)
    )
    assert narrow < 0.2 < 0.6 < wide


def test_edge_pixels_count_from_the_nearer_end_of_the_window(
    cutouts_of: Callable[..., Cutouts],
) -> None:
    wave = 10 ** (GRID.loglam[[0, 7, 600, -4, -1]] + [0, 0.5e-4, 0, 0.25e-4, 0])
    none = np.zeros((5, 41))
    found = quality(cutouts_of(none, np.ones((5, 41))), wave=wave)["EDGE_PIXELS"]
    np.testing.assert_allclose(found, [0, 7.5, GRID.n_pixels - 601, 2.75, 0], atol=1e-6)


def test_without_good_pixels_nothing_is_raised(cutouts_of: Callable[..., Cutouts]) -> None:
    found = quality(cutouts_of(np.zeros((2, 41)), np.zeros((2, 41))), chi2=np.nan)
    assert np.isnan(found["NOISE"]).all()
    assert np.isnan(found["SPIKE_DCHI2"]).all()
    assert not found["GOOD_PIXELS"].any()
    none = quality(cutouts_of(np.zeros((0, 41)), np.zeros((0, 41))))
    assert all(len(values) == 0 for values in none.values())
