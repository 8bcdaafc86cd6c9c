"""Skewness put in and recovered, its interval, and what symmetric lines and bad spectra give."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.config import Config
from speclens.lines import pixel_width_angstrom
from speclens.simulate.emitters import Lines, draw_emitters, line_spectra
from speclens.spectra import FittedSpectra, LogGrid
from speclens.vet.line_fits import Cutouts, cut_out, fit_lines, skew_normal
from speclens.vet.skewness import fit_skewness

Floats = NDArray[np.float64]
Measured = dict[str, NDArray[np.generic]]

GRID = LogGrid.covering(3800, 5000)
DISPERSION = 1.05
MEASURED = (
    "CHI2", "CHI2_NU", "FIT_WAVE", "CONTINUUM", "LYA_FLUX", "LYA_FLUX_ERR", "PEAK", "WIDTH",
    "SKEWNESS", "SKEWNESS_LOW", "SKEWNESS_HIGH", "SKEWNESS_ERR", "SKEW_DCHI2",
)  # fmt: skip


@pytest.fixture
def measure(
    defaults: Config, spectra_of: Callable[..., FittedSpectra]
) -> Callable[[Lines, Floats | float, np.random.Generator], Measured]:
    """`measure(lines, snr, rng)`: put lines into noise that gives them these S/N, and fit them."""

    def put_and_fit(lines: Lines, snr: Floats | float, rng: np.random.Generator) -> Measured:
        clean = line_spectra(lines, GRID, DISPERSION).astype(np.float64)
        sigma = np.sqrt((clean**2).sum(1)) / snr
        spectra = spectra_of(GRID, clean, sigma[:, None], rng)
        # The search finds a line only to within a pixel.
        wave = lines.wave + 0.5 * rng.uniform(-1, 1, len(lines)) * pixel_width_angstrom(lines.wave)
        usual = np.full(len(lines), DISPERSION)
        cutouts = cut_out(spectra, wave, defaults.vet.fit_half_width, usual)
        return dict(fit_skewness(cutouts, defaults.vet))

    return put_and_fit


def lines_of(n_lines: int, skewness: float, rng: np.random.Generator) -> Lines:
    """Lines of flux 15 that are 2.8 pixels wide as observed."""
    wave = rng.uniform(3850, 4950, n_lines)
    width = 2.8 * pixel_width_angstrom(wave)
    return Lines(wave, np.full(n_lines, 15.0), width, np.full(n_lines, skewness))


@pytest.mark.parametrize("snr", [12.0, 40.0])
@pytest.mark.parametrize("skewness", [-4.0, -1.5, 1.5, 4.0])
def test_the_median_skewness_is_the_one_put_in_and_so_are_flux_place_and_width(
    measure: Callable[..., Measured], rng: np.random.Generator, skewness: float, snr: float
) -> None:
    lines = lines_of(160, skewness, rng)
    found = measure(lines, snr, rng)
    # Beyond 3 or so, profiles hardly differ: the arctangent is what the data know.
    x = np.arctan(np.asarray(found["SKEWNESS"]) / 3)
    error = 1.25 * np.std(x) / np.sqrt(160)
    assert np.median(x) == pytest.approx(np.arctan(skewness / 3), abs=2.5 * error)
    pull = (found["LYA_FLUX"] - lines.flux) / found["LYA_FLUX_ERR"]
    assert abs(np.mean(pull)) < 0.2
    assert 0.9 < np.std(pull) < 1.1
    pixel = pixel_width_angstrom(lines.wave)
    assert np.median((found["FIT_WAVE"] - lines.wave) / pixel) == pytest.approx(0, abs=0.1)
    intrinsic = np.sqrt(2.8**2 - DISPERSION**2)
    assert np.median(found["WIDTH"] / pixel) == pytest.approx(intrinsic, rel=2.0 / snr)
    assert np.median(found["CHI2_NU"]) == pytest.approx(1, abs=0.06)
    assert abs(np.median(found["CONTINUUM"] / found["PEAK"])) < 0.01


def test_the_interval_covers_the_skewness_of_lines_as_published_as_often_as_it_says(
    measure: Callable[..., Measured], rng: np.random.Generator, defaults: Config
) -> None:
    lines = draw_emitters(500, (3850, 4950), defaults.emitters, rng)
    found = measure(lines, rng.uniform(8, 30, 500), rng)
    low, high = found["SKEWNESS_LOW"], found["SKEWNESS_HIGH"]
    covers = (low <= lines.skewness) & (lines.skewness <= high)
    assert 0.60 < covers.mean() < 0.76
    assert (low <= found["SKEWNESS"]).all()
    assert (found["SKEWNESS"] <= high).all()
    np.testing.assert_allclose(found["SKEWNESS_ERR"], (high - low) / 2)
    # The lines are skewed to the red, and most fits say so.
    assert (found["SKEWNESS"] > 0).mean() > 0.7


def test_the_interval_shrinks_with_the_noise(
    measure: Callable[..., Measured], rng: np.random.Generator
) -> None:
    error = [
        np.median(measure(lines_of(60, 1.5, rng), snr, rng)["SKEWNESS_ERR"])
        for snr in (10.0, 30.0, 90.0)
    ]
    assert error[0] > 2 * error[1] > 4 * error[2] > 0


@pytest.mark.parametrize("snr", [15.0, 40.0])
def test_symmetric_lines_gain_little_from_skewness_and_lean_to_neither_side(
    measure: Callable[..., Measured], rng: np.random.Generator, snr: float
) -> None:
    found = measure(lines_of(240, 0.0, rng), snr, rng)
    gain = np.asarray(found["SKEW_DCHI2"])
    # One more parameter: chi2 with one degree of freedom, whose median is 0.45.
    assert 0.3 < np.median(gain) < 0.7
    assert (gain > 3.84).mean() < 0.1
    assert (gain > 9).mean() < 0.02
    skewness = np.asarray(found["SKEWNESS"])
    assert (skewness > 0).mean() == pytest.approx(0.5, abs=0.09)
    assert (found["SKEWNESS_LOW"] > 0).mean() == pytest.approx(0.16, abs=0.06)
    assert (found["SKEWNESS_HIGH"] < 0).mean() == pytest.approx(0.16, abs=0.06)


def test_mirrored_lines_have_the_opposite_skewness(
    cutouts_of: Callable[..., Cutouts], defaults: Config, rng: np.random.Generator
) -> None:
    offset = np.arange(-20, 21.0)
    columns = (np.full(41, v) for v in (2.2, 3.0, DISPERSION))
    flux = 20 * skew_normal(offset, *columns) + 0.3 * rng.normal(size=(20, 41))
    red, blue = (
        fit_skewness(cutouts_of(lines, 0.3**-2), defaults.vet) for lines in (flux, flux[:, ::-1])
    )
    # Where two skewnesses are as good, either may be chosen.
    assert np.mean(np.isclose(red["SKEWNESS"], -np.asarray(blue["SKEWNESS"]), atol=0.1)) > 0.8
    np.testing.assert_allclose(red["CHI2"], blue["CHI2"], atol=0.1)


def test_what_is_gained_is_the_difference_of_two_fits(
    cutouts_of: Callable[..., Cutouts], defaults: Config, rng: np.random.Generator
) -> None:
    offset = np.arange(-20, 21.0)
    columns = (np.full(41, v) for v in (2.5, 5.0, DISPERSION))
    flux = 20 * skew_normal(offset, *columns) + 0.2 * rng.normal(size=(30, 41))
    cutouts = cutouts_of(flux, 0.2**-2)
    found = fit_skewness(cutouts, defaults.vet)
    shapes = np.linspace(-24, 24, 121)
    chi2 = fit_lines(cutouts, skew_normal, shapes, defaults.vet.fit_sigma_range, 5.0).chi2
    np.testing.assert_allclose(found["CHI2"], chi2.min(axis=1), atol=0.1)
    gain = chi2[:, 60] - chi2.min(axis=1)
    np.testing.assert_allclose(found["SKEW_DCHI2"], gain, atol=0.1)
    assert np.median(gain) > 9


def test_a_fit_at_the_largest_skewness_says_so(
    cutouts_of: Callable[..., Cutouts], defaults: Config, rng: np.random.Generator
) -> None:
    offset = np.arange(-20, 21.0)
    edge, soft = (
        skew_normal(offset, *(np.full(41, v) for v in (3.0, skewness, 0.5)))
        for skewness in (1000.0, 1.5)
    )
    flux = np.repeat([20 * edge, -20 * edge[::-1], 20 * soft], 40, axis=0)
    cutouts = cutouts_of(flux + 0.1 * rng.normal(size=flux.shape), 0.1**-2, dispersion=0.5)
    found = fit_skewness(cutouts, defaults.vet)
    at_bound = found["FIT_STATUS"] == "at_bound"
    largest = np.abs(found["SKEWNESS"]) > 0.999 * defaults.vet.fit_skewness_max
    np.testing.assert_array_equal(at_bound, largest)
    assert set(found["FIT_STATUS"]) == {"at_bound", "fitted"}
    assert at_bound[:40].mean() > 0.3
    assert not at_bound[80:].any()
    assert (np.abs(found["SKEWNESS"]) <= defaults.vet.fit_skewness_max * (1 + 1e-9)).all()
    np.testing.assert_allclose(
        found["SKEWNESS_HIGH"][:40][at_bound[:40]], defaults.vet.fit_skewness_max
    )


@pytest.mark.parametrize("end", [1.0, 5.0, 30.0])
def test_the_largest_skewness_is_the_configuration_s(
    cutouts_of: Callable[..., Cutouts], defaults: Config, rng: np.random.Generator, end: float
) -> None:
    config = defaults.vet.model_copy(update={"fit_skewness_max": end})
    found = fit_skewness(cutouts_of(rng.normal(size=(20, 41)), 1.0), config)
    assert np.abs(found["SKEWNESS"]).max() <= end * (1 + 1e-9)
    assert np.abs(found["SKEWNESS_LOW"]).max() <= end * (1 + 1e-9)


@pytest.mark.parametrize("n_good", [0, 1, 3, 7])
def test_a_line_of_few_pixels_has_no_fit(
    cutouts_of: Callable[..., Cutouts], defaults: Config, rng: np.random.Generator, n_good: int
) -> None:
    ivar = np.ones((2, 41))
    ivar[0, n_good:] = 0
    found = fit_skewness(cutouts_of(rng.normal(size=(2, 41)), ivar), defaults.vet)
    assert found["FIT_STATUS"].tolist() == ["no_data", "fitted"]
    assert set(found) == {"FIT_STATUS", *MEASURED}
    for name in MEASURED:
        assert np.isnan(found[name][0]), name
        assert np.isfinite(found[name][1]), name


@pytest.mark.parametrize("flux", [0.0, 7.0, 1e5, -1e5])
@pytest.mark.parametrize("ivar", [1e-6, 1.0, 1e8])
def test_a_featureless_spectrum_gives_numbers(
    cutouts_of: Callable[..., Cutouts], defaults: Config, flux: float, ivar: float
) -> None:
    found = fit_skewness(cutouts_of(np.full(41, flux), ivar), defaults.vet)
    for name in MEASURED:
        assert np.isfinite(found[name]).all(), name
    assert found["CONTINUUM"][0] == pytest.approx(flux, rel=1e-3, abs=1e-3)


def test_a_spike_and_a_second_line_give_numbers(
    cutouts_of: Callable[..., Cutouts], defaults: Config, rng: np.random.Generator
) -> None:
    offset = np.arange(-20, 21.0)
    line = 15 * skew_normal(offset, *(np.full(41, v) for v in (2.0, 3.0, DISPERSION)))
    flux = np.stack(
        [line + np.roll(line, 8), np.where(offset == 0, 1e5, 0), np.roll(line, 19), -line]
    )
    found = fit_skewness(cutouts_of(flux + rng.normal(size=flux.shape), 1.0), defaults.vet)
    for name in MEASURED:
        assert np.isfinite(found[name]).all(), name
    assert (found["SKEWNESS_LOW"] <= found["SKEWNESS"]).all()
    assert (found["SKEWNESS"] <= found["SKEWNESS_HIGH"]).all()
