"""The flux of a line of known place and width: against least squares, in noise, on few pixels."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.evidence.fixed_line import fixed_line
from speclens.lines import gaussian_pixels, pixel_width_angstrom

Floats = NDArray[np.float64]

OFFSET = np.arange(-30, 31.0)
PIXEL_WIDTH = float(pixel_width_angstrom(6500.0))


def measured(
    flux: Floats, ivar: Floats | float, sigma: float = 1.8, place: Floats | float = 0.0
) -> tuple[Floats, Floats]:
    flux = np.atleast_2d(flux)
    n = len(flux)
    offset = np.broadcast_to(OFFSET - np.reshape(place, (-1, 1)), flux.shape)
    weights = np.broadcast_to(ivar, flux.shape)
    return fixed_line(offset, flux, weights, np.full(n, sigma), np.full(n, PIXEL_WIDTH))


def slow_fixed_line(flux: Floats, ivar: Floats, sigma: float, place: float) -> tuple[float, float]:
    """The slow, obvious twin: a straight line and a Gaussian by weighted least squares."""
    good = ivar > 0
    x, root = OFFSET[good] - place, np.sqrt(ivar[good])
    line = np.exp(-0.5 * (x / sigma) ** 2) / (np.sqrt(2 * np.pi) * sigma)
    design = np.stack([np.ones_like(x), x, line], axis=1) * root[:, None]
    solution = np.linalg.lstsq(design, flux[good] * root)[0]
    error = np.sqrt(np.linalg.inv(design.T @ design)[2, 2])
    beside = np.abs(x) >= 2.5 * sigma
    pulls = np.sort(np.abs(flux[good] * root - design @ solution)[beside])
    growth = max(1.4826 * pulls[len(pulls) // 2], 1)
    return solution[2] * PIXEL_WIDTH, error * growth * PIXEL_WIDTH


@pytest.mark.parametrize("sigma", [1.1, 2.0, 5.0])
@pytest.mark.parametrize("masked", [0.0, 0.3])
def test_flux_and_error_are_those_of_slow_least_squares(
    rng: np.random.Generator, sigma: float, masked: float
) -> None:
    place = rng.uniform(-0.5, 0.5, 30)
    error = rng.uniform(0.5, 2, (30, 61))
    ivar = error**-2 * (rng.random((30, 61)) >= masked)
    scatter = rng.choice([0.5, 1.0, 3.0], (30, 1))
    flux = rng.normal(size=(30, 61)) * error * scatter + 0.05 * OFFSET + 2
    flux += 20 * gaussian_pixels(OFFSET - place[:, None], sigma)
    flux[ivar == 0] = 1e4
    found, found_err = measured(flux, ivar, sigma, place)
    for row in range(30):
        if np.isfinite(found[row]):
            slow = slow_fixed_line(flux[row], ivar[row], sigma, place[row])
            assert found[row] == pytest.approx(slow[0], rel=1e-5, abs=1e-4)
            assert found_err[row] == pytest.approx(slow[1], rel=1e-5)
    assert np.isfinite(found).mean() > 0.9


def test_on_pure_noise_fluxes_scatter_as_their_errors_say(rng: np.random.Generator) -> None:
    ivar = rng.uniform(0.3, 3, (4000, 61))
    flux, error = measured(rng.normal(size=(4000, 61)) / np.sqrt(ivar), ivar)
    pull = flux / error
    assert abs(np.mean(pull)) < 0.05
    # A little below one, because the errors only grow.
    assert 0.88 < np.std(pull) < 1.02
    assert (np.abs(pull) > 4).mean() < 1e-3


def test_a_line_is_measured_without_bias_whatever_the_continuum(rng: np.random.Generator) -> None:
    line = 12 * gaussian_pixels(OFFSET, 1.8) + 5 - 0.3 * OFFSET
    flux, error = measured(line + rng.normal(size=(2000, 61)), 1.0)
    assert np.mean(flux) == pytest.approx(12 * PIXEL_WIDTH, rel=0.03)
    assert 0.88 < np.std((flux - 12 * PIXEL_WIDTH) / error) < 1.05


@pytest.mark.parametrize("factor", [2.0, 5.0])
def test_errors_grow_where_the_continuum_scatters_more_than_it_should(
    rng: np.random.Generator, factor: float
) -> None:
    noise = rng.normal(size=(1000, 61))
    calm, wild = (measured(f * noise, 1.0)[1] for f in (1.0, factor))
    assert np.median(wild / calm) == pytest.approx(factor, rel=0.1)
    assert np.median(measured(0.1 * noise, 1.0)[1] / calm) == pytest.approx(1, abs=0.12)


def test_a_bright_line_does_not_make_its_own_error_grow(rng: np.random.Generator) -> None:
    noise = rng.normal(size=(500, 61))
    line = 500 * gaussian_pixels(OFFSET, 1.8)
    ratio = measured(noise + line, 1.0)[1] / measured(noise, 1.0)[1]
    assert np.median(ratio) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(
    ("good", "seen"),
    [
        (np.abs(OFFSET) <= 30, True),
        (np.abs(OFFSET) > 1, False),
        (np.abs(OFFSET) <= 4, False),
        (np.abs(OFFSET) < 0, False),
        (OFFSET <= 0, True),
        ((OFFSET == 0) | (OFFSET >= 25), True),
        ((OFFSET == 0) | (OFFSET >= 26), False),
        ((OFFSET == 5) | (OFFSET <= -25), False),
    ],
    ids=[
        "all", "line masked", "continuum masked", "nothing", "red half masked",
        "line and six pixels", "line and five", "wing only",
    ],
)  # fmt: skip
def test_a_flux_needs_the_line_and_some_continuum(
    rng: np.random.Generator, good: NDArray[np.bool_], seen: bool
) -> None:
    flux = rng.normal(size=61)
    flux[~good] = np.nan
    found, error = measured(flux, good.astype(np.float64))
    assert np.isfinite(found).all() == seen
    assert np.isfinite(error).all() == seen


@pytest.mark.parametrize("level", [0.0, 1e5, -1e5])
@pytest.mark.parametrize("ivar", [1e-10, 1.0, 1e8])
@pytest.mark.parametrize("sigma", [0.0, 0.3, 8.0])
def test_extreme_spectra_give_numbers(level: float, ivar: float, sigma: float) -> None:
    found, error = measured(np.full(61, level), ivar, sigma)
    assert np.isfinite(found).all()
    assert np.isfinite(error).all()
    assert (error > 0).all()


def test_no_spectra_are_no_error() -> None:
    found, error = measured(np.zeros((0, 61)), np.zeros((0, 61)))
    assert found.shape == error.shape == (0,)
