"""Fits of one line: against a slow twin, on many noisy lines, and on what is no line at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.optimize import least_squares
from scipy.special import ndtr

from speclens.lines import gaussian_pixels, pixel_width_angstrom, skew_normal_pixels
from speclens.spectra import FittedSpectra, LogGrid
from speclens.vet.line_fits import Cutouts, LineFits, cut_out, doublet, fit_lines, skew_normal

Floats = NDArray[np.float64]

OFFSET = np.arange(-20, 21.0)
DISPERSION = 1.05
SIGMA_RANGE = (0.1, 8.0)
REACH = 5.0
PIXEL_WIDTH = float(pixel_width_angstrom(4400.0))
DOUBLET_PIXELS = 3.24


def skew_normal_density(x: Floats, sigma: float, skewness: float) -> Floats:
    """A skew-normal density with mean 0, as the textbooks have it."""
    location = -sigma * np.sqrt(2 / np.pi) * skewness / np.sqrt(1 + skewness**2)
    t = (x - location) / sigma
    return 2 / sigma * np.exp(-0.5 * t**2) / np.sqrt(2 * np.pi) * ndtr(skewness * t)


def slow_skew_normal(
    offset: Floats, sigma: float, skewness: float, dispersion: float, n_steps: int = 301
) -> Floats:
    """The slow, obvious twin of the profile: the density convolved by a sum over fine steps."""
    spread = np.sqrt(dispersion**2 + 1 / 12)
    t = sigma * np.linspace(-7, 7, n_steps)
    kernel = np.exp(-0.5 * ((offset[:, None] - t) / spread) ** 2) / (np.sqrt(2 * np.pi) * spread)
    return kernel @ skew_normal_density(t, sigma, skewness) * (t[1] - t[0])


def slow_fit(cutouts: Cutouts, row: int, skewness: float) -> tuple[Floats, Floats, float]:
    """The slow, obvious twin: all four parameters at once from several starts.

    Returns (centre, ln scale, flux, continuum), their errors, and chi2.
    """
    good = cutouts.ivar[row] > 0
    x, d, root = cutouts.offset[good], cutouts.flux[row][good], np.sqrt(cutouts.ivar[row][good])
    centre, width = cutouts.centre[row], float(cutouts.pixel_width[row])
    spread = cutouts.dispersion[row]

    def residual(p: Floats) -> Floats:
        line = slow_skew_normal(x - p[0], float(np.exp(p[1])), skewness, spread)
        return np.asarray((d - p[3] - p[2] / width * line) * root)

    low = [centre - REACH, np.log(SIGMA_RANGE[0]), -np.inf, -np.inf]
    high = [centre + REACH, np.log(SIGMA_RANGE[1]), np.inf, np.inf]
    fits = [
        least_squares(residual, [centre, log_sigma, 10.0, 0.0], bounds=(low, high))
        for log_sigma in (0.0, 1.2)
    ]
    best = min(fits, key=lambda fit: fit.cost)
    covariance = np.linalg.inv(best.jac.T @ best.jac)
    return best.x, np.sqrt(np.diag(covariance)), 2 * best.cost


def line_on_noise(
    n_lines: int, skewness: float, snr: float, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Lines of flux 20 with a place and a scale of their own, on noise and a faint continuum."""
    place, sigma = rng.uniform(-1, 1, n_lines), rng.uniform(1, 3, n_lines)
    pairs = zip(place, sigma, strict=True)
    lines = np.array([slow_skew_normal(OFFSET - p, s, skewness, DISPERSION) for p, s in pairs])
    lines *= 20 / PIXEL_WIDTH
    error = np.sqrt((lines**2).sum(1, keepdims=True)) / snr * rng.uniform(0.7, 1.4, lines.shape)
    return lines + 0.2 + rng.normal(size=lines.shape) * error, error**-2


def values_of(fits: LineFits) -> dict[str, Floats]:
    return {field.name: getattr(fits, field.name) for field in fields(fits)}


@pytest.mark.parametrize("skewness", [-25.0, -3.0, 0.0, 1.0, 4.0, 25.0])
@pytest.mark.parametrize("sigma", [0.1, 1.0, 3.0, 8.0])
def test_the_profile_is_the_skew_normal_line_behind_the_spectrograph(
    skewness: float, sigma: float
) -> None:
    x = np.linspace(-20, 20, 201)
    profile = skew_normal(x, *(np.full(201, v) for v in (sigma, skewness, DISPERSION)))
    slow = slow_skew_normal(x, sigma, skewness, DISPERSION, 4001)
    np.testing.assert_allclose(profile, slow, atol=1e-6)


@pytest.mark.parametrize("skewness", [-6.0, 0.0, 2.0, 13.0])
def test_the_profile_holds_the_whole_flux_with_its_mean_where_it_says(skewness: float) -> None:
    def profile(x: float) -> float:
        return float(skew_normal(*(np.array([v]) for v in (x, 2.5, skewness, DISPERSION)))[0])

    assert quad(profile, -30, 30, limit=200)[0] == pytest.approx(1, abs=1e-7)
    assert quad(lambda x: x * profile(x), -30, 30, limit=200)[0] == pytest.approx(0, abs=1e-6)


def test_a_skewness_of_zero_is_a_gaussian_and_its_sign_mirrors_the_line() -> None:
    columns = np.full(41, 2.0), np.full(41, DISPERSION)
    symmetric = skew_normal(OFFSET, columns[0], np.zeros(41), columns[1])
    np.testing.assert_allclose(
        symmetric, gaussian_pixels(OFFSET, np.hypot(2.0, DISPERSION)), atol=2e-4
    )
    red, blue = (skew_normal(OFFSET, columns[0], np.full(41, s), columns[1]) for s in (5.0, -5.0))
    np.testing.assert_allclose(red, blue[::-1], atol=1e-12)
    assert red[OFFSET > 5].sum() > red[OFFSET < -5].sum()


def test_a_line_of_the_profile_is_what_the_spectrograph_integrates_over_pixels() -> None:
    total, shape = np.hypot(2.0, DISPERSION), 1.7
    location = -total * np.sqrt(2 / np.pi) * shape / np.hypot(1, shape)
    pixels = skew_normal_pixels(OFFSET - location, total, shape)
    delta = shape / np.hypot(1, shape) * total / 2.0
    skewness = delta / np.sqrt(1 - delta**2)
    columns = (np.full(41, v) for v in (2.0, skewness, DISPERSION))
    np.testing.assert_allclose(skew_normal(OFFSET, *columns), pixels, atol=0.01 * pixels.max())


@pytest.mark.parametrize("ratio", [0.4, 1.0, 1.45])
def test_a_doublet_holds_the_whole_flux_in_the_ratio_of_its_lines(ratio: float) -> None:
    x = np.linspace(-20, 20, 4001)
    columns = (np.full(4001, v) for v in (0.1, ratio, 0.3))
    profile = doublet(6.0)(x, *columns) * (x[1] - x[0])
    assert profile.sum() == pytest.approx(1, abs=1e-6)
    blue, red = profile[x < 0].sum(), profile[x > 0].sum()
    assert red / blue == pytest.approx(ratio, rel=1e-3)
    assert x[x < 0][profile[x < 0].argmax()] == pytest.approx(-3, abs=0.02)
    assert x[x > 0][profile[x > 0].argmax()] == pytest.approx(3, abs=0.02)


@pytest.mark.parametrize("snr", [15.0, 50.0])
@pytest.mark.parametrize("skewness", [-2.0, 0.0, 3.0])
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked pixels"])
def test_a_fit_is_that_of_slow_least_squares(
    cutouts_of: Callable[..., Cutouts],
    rng: np.random.Generator,
    snr: float,
    skewness: float,
    masked: bool,
) -> None:
    flux, ivar = line_on_noise(3, skewness, snr, rng)
    if masked:
        ivar[rng.random(ivar.shape) < 0.15] = 0
    cutouts = cutouts_of(flux, ivar, rng.uniform(-0.5, 0.5, 3))
    shapes = np.array([0.0, skewness or 5.0])
    fits = values_of(fit_lines(cutouts, skew_normal, shapes, SIGMA_RANGE, REACH))
    for row in range(3):
        for column, shape in enumerate(shapes):
            fit = {name: values[row, column] for name, values in fits.items()}
            (mean, log_sigma, line, continuum), error, chi2 = slow_fit(cutouts, row, shape)
            assert fit["chi2"] == pytest.approx(chi2, abs=0.05)
            assert fit["mean"] == pytest.approx(mean, abs=0.2 * error[0])
            assert np.log(fit["sigma"]) == pytest.approx(log_sigma, abs=0.2 * error[1])
            assert fit["flux"] == pytest.approx(line, abs=0.2 * error[2])
            assert fit["flux_err"] == pytest.approx(error[2], rel=0.05)
            assert fit["continuum"] == pytest.approx(continuum, abs=0.2 * error[3])
            profile = slow_skew_normal(OFFSET - mean, np.exp(log_sigma), shape, DISPERSION)
            peak = line / PIXEL_WIDTH * profile.max()
            assert fit["peak"] == pytest.approx(peak, rel=0.03)


def test_faint_lines_are_fitted_as_well_but_for_a_few(
    cutouts_of: Callable[..., Cutouts], rng: np.random.Generator
) -> None:
    flux, ivar = line_on_noise(14, 2.0, 7.0, rng)
    cutouts = cutouts_of(flux, ivar)
    chi2 = fit_lines(cutouts, skew_normal, np.array([2.0]), SIGMA_RANGE, REACH).chi2[:, 0]
    excess = chi2 - [slow_fit(cutouts, row, 2.0)[2] for row in range(14)]
    assert excess.max() < 0.5
    assert (excess < 0.02).mean() > 0.7


@pytest.mark.parametrize("snr", [8.0, 15.0, 40.0])
def test_flux_and_its_error_are_true_over_many_noisy_lines(
    cutouts_of: Callable[..., Cutouts], rng: np.random.Generator, snr: float
) -> None:
    flux, ivar = line_on_noise(700, 0.0, snr, rng)
    fits = fit_lines(cutouts_of(flux, ivar), skew_normal, np.zeros(1), SIGMA_RANGE, REACH)
    pull = ((fits.flux - 20) / fits.flux_err)[:, 0]
    # At low S/N the fit that is bright by chance is also the one that is wide by chance.
    assert abs(np.median(pull)) < 0.15
    assert abs(np.mean(pull)) < 0.15
    assert 0.92 < np.std(pull) < 1.1
    assert np.median(fits.continuum) == pytest.approx(0.2, abs=0.03 * np.median(ivar**-0.5))


def awkward() -> dict[str, tuple[Floats, Floats]]:
    """Flux and inverse variance of what is no ordinary line (FAULTS B8)."""
    rng = np.random.default_rng(8)
    noise = rng.normal(size=41)
    line = 12 * gaussian_pixels(OFFSET, 1.8)
    spike = np.where(OFFSET == 1, 50.0, 0.0)
    one = np.ones(41)
    three, lone = one * (np.abs(OFFSET) <= 1), one * (OFFSET == 0)
    return {
        "zeros": (np.zeros(41), one),
        "flat": (np.full(41, 7.0), one),
        "pure noise": (noise, one),
        "negative line": (noise - 5 * line, one),
        "three good pixels": (noise + line, three),
        "one good pixel": (noise + line, lone),
        "good pixels far from the line": (noise, one * (OFFSET > 14)),
        "spike": (noise + spike, one),
        "spike alone": (spike, one),
        "two lines": (noise + line + np.roll(line, 7), one),
        "line at the end": (noise + np.roll(line, 19), one),
        "slope": (OFFSET * 3, one),
        "all 1e5": (np.full(41, 1e5), one),
        "line of 1e5": (noise + 1e5 * line, one),
        "noise of 1e5": (1e5 * noise, one),
        "huge and certain": (1e5 * noise, 1e8 * one),
        "uncertain": (noise, 1e-12 * one),
        "one certain pixel": (noise + line, np.where(OFFSET == 3, 1e8, 1e-3)),
    }


@pytest.mark.parametrize("name", awkward())
@pytest.mark.parametrize("profile", [skew_normal, doublet(DOUBLET_PIXELS)])
def test_a_fit_ends_with_numbers_wherever_a_pixel_is_good(
    cutouts_of: Callable[..., Cutouts], name: str, profile: Callable[..., Floats]
) -> None:
    cutouts = cutouts_of(*awkward()[name])
    fits = fit_lines(cutouts, profile, np.array([0.4, 1.0, 25.0]), SIGMA_RANGE, REACH)
    for values in values_of(fits).values():
        assert np.isfinite(values).all()
    w, d = cutouts.ivar[0], cutouts.flux[0]
    flat = (w * (d - (w * d).sum() / w.sum()) ** 2).sum()
    assert (fits.chi2 <= flat * (1 + 1e-9) + 1e-6).all()
    assert (fits.chi2 >= 0).all()
    assert (np.abs(fits.mean) <= 5).all()
    assert ((fits.sigma >= 0.0999) & (fits.sigma <= 8.001)).all()
    assert (fits.flux_err >= 0).all()


def test_without_good_pixels_there_is_no_chi2_and_no_error(
    cutouts_of: Callable[..., Cutouts],
) -> None:
    fits = fit_lines(cutouts_of(np.full(41, 3.0), 0), skew_normal, np.zeros(2), SIGMA_RANGE, REACH)
    assert not fits.chi2.any()
    assert not fits.flux.any()
    assert np.isnan(fits.flux_err).all()


def test_a_negative_line_has_a_negative_flux(
    cutouts_of: Callable[..., Cutouts], rng: np.random.Generator
) -> None:
    flux, ivar = line_on_noise(20, 0.0, 20, rng)
    fits = fit_lines(cutouts_of(-flux, ivar), skew_normal, np.zeros(1), SIGMA_RANGE, REACH)
    assert (fits.flux < -10).all()


def test_fits_do_not_depend_on_their_neighbours(
    cutouts_of: Callable[..., Cutouts], rng: np.random.Generator
) -> None:
    flux, ivar = line_on_noise(30, 2.0, 12, rng)
    shapes = np.array([-1.0, 0.0, 3.0])
    together = values_of(fit_lines(cutouts_of(flux, ivar), skew_normal, shapes, SIGMA_RANGE, REACH))
    for row in range(30):
        cutouts = cutouts_of(flux[row], ivar[row])
        alone = values_of(fit_lines(cutouts, skew_normal, shapes[1:], SIGMA_RANGE, REACH))
        for name, values in alone.items():
            np.testing.assert_allclose(values[0], together[name][row, 1:], rtol=1e-6, err_msg=name)


def test_no_lines_are_no_error(cutouts_of: Callable[..., Cutouts]) -> None:
    none = np.zeros((0, 41))
    fits = fit_lines(cutouts_of(none, none), skew_normal, np.zeros(3), SIGMA_RANGE, REACH)
    assert fits.chi2.shape == (0, 3)


GRID = LogGrid.covering(3800, 5000)


def ramp(n_spectra: int) -> FittedSpectra:
    """Spectra whose flux over the foreground is the number of the pixel."""
    shape = (n_spectra, GRID.n_pixels)
    model = np.full(shape, 2, "f4")
    flux = np.arange(GRID.n_pixels, dtype="f4") + model
    return FittedSpectra(GRID, flux, np.ones(shape, "f4"), model, np.zeros(shape, "f4"))


def test_a_cutout_is_centred_on_the_pixel_nearest_to_the_line() -> None:
    wave = 10 ** (GRID.loglam[[100, 700]] + [0.3e-4, -0.4e-4])
    cutouts = cut_out(ramp(2), wave, 20, np.array([1.0, 2.0]))
    np.testing.assert_allclose(cutouts.flux, np.array([[100], [700]]) + OFFSET)
    np.testing.assert_allclose(cutouts.centre, [0.3, -0.4], atol=1e-6)
    np.testing.assert_allclose(cutouts.wave, GRID.wave[[100, 700]])
    np.testing.assert_allclose(cutouts.pixel_width, GRID.wave[[100, 700]] * 1e-4 * np.log(10))


def test_pixels_beyond_the_spectrum_and_masked_ones_are_not_used() -> None:
    spectra = ramp(2)
    spectra.ivar[1, 1180], spectra.flux[1, 1180] = 0, np.nan
    cutouts = cut_out(spectra, GRID.wave[[3, 1185]], 20, np.ones(2))
    np.testing.assert_array_equal(cutouts.ivar[0] > 0, OFFSET >= -3)
    np.testing.assert_array_equal(cutouts.ivar[1] > 0, (OFFSET <= 6) & (OFFSET != -5))
    assert not cutouts.flux[cutouts.ivar == 0].any()


def test_the_usual_dispersion_stands_where_the_spectrum_does_not_know_its_own() -> None:
    spectra = ramp(3)
    spectra.dispersion[1] = 1.3
    spectra.dispersion[2, 500] = 0.9
    cutouts = cut_out(spectra, np.full(3, GRID.wave[500]), 20, np.array([1.1, 1.2, 1.3]))
    np.testing.assert_allclose(cutouts.dispersion, [1.1, 1.3, 0.9], rtol=1e-6)
