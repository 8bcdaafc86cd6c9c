"""The matched filter, held to a slow and obvious twin; its hits and their limits."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from speclens.config import Config, load_config
from speclens.lines import (
    FWHM_PER_SIGMA,
    LYMAN_ALPHA,
    PIXEL_KMS,
    gaussian_pixels,
    pixel_width_angstrom,
)
from speclens.search.matched_filter import HIT_DTYPE, MatchedFilter
from speclens.spectra import LogGrid


@pytest.fixture(scope="module")
def shu() -> MatchedFilter:
    config = load_config("shu2016")
    return MatchedFilter(LogGrid.covering(*config.preparation.window), config.matched_filter)


@pytest.fixture(scope="module")
def config() -> Config:
    return load_config()


@pytest.fixture(scope="module")
def bank(config: Config) -> MatchedFilter:
    return MatchedFilter(LogGrid.covering(*config.preparation.window), config.matched_filter)


@pytest.fixture(scope="module", params=["shu", "bank"])
def either(request: pytest.FixtureRequest) -> MatchedFilter:
    found: MatchedFilter = request.getfixturevalue(request.param)
    return found


def with_lines(
    grid: LogGrid, *lines: tuple[float, float, float], sigma: float = 0.5
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A spectrum without noise: Gaussian lines of pixel, flux and width in pixels."""
    residual = np.zeros((1, grid.n_pixels))
    for pixel, flux, width in lines:
        offset = np.arange(grid.n_pixels) - pixel
        residual += flux * gaussian_pixels(offset, width) / pixel_width_angstrom(grid.wave)
    return residual.astype("f4"), np.full(residual.shape, sigma**-2, "f4")


def slow_filter(
    residual: NDArray[np.floating], ivar: NDArray[np.floating], grid: LogGrid
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Flux and S/N of Shu et al. 2016 at every pixel, sum by sum."""
    offsets = range(-7, 8)
    kernel = [norm.cdf(j + 0.5, scale=2.2) - norm.cdf(j - 0.5, scale=2.2) for j in offsets]
    kernel = [k / sum(kernel) for k in kernel]
    flux, snr = np.zeros(grid.n_pixels), np.zeros(grid.n_pixels)
    for i in range(grid.n_pixels):
        c1 = c2 = 0.0
        for j, k in zip(offsets, kernel, strict=True):
            if 0 <= i + j < grid.n_pixels:
                width = 10 ** ((grid.first + i + j) * 1e-4) * 1e-4 * np.log(10)
                weight = float(ivar[i + j]) / width**2
                c1 += float(residual[i + j]) * width * weight * k
                c2 += weight * k**2
        if c2 > 0:
            flux[i], snr[i] = c1 / c2, c1 / np.sqrt(c2)
    return flux, snr


def test_fast_filter_is_the_sum_of_the_paper_at_every_pixel(shu: MatchedFilter) -> None:
    rng = np.random.default_rng(1)
    residual = rng.normal(0, 0.6, (2, shu.grid.n_pixels)).astype("f4")
    ivar = rng.uniform(0.5, 8, residual.shape).astype("f4")
    ivar[0, rng.random(shu.grid.n_pixels) < 0.3] = 0
    ivar[0, 300:340] = 0  # wider than the kernel: nothing is seen there
    residual[ivar == 0] = 0
    output = shu.apply(residual, ivar)
    assert output.snr.shape == output.flux.shape == (2, 1, shu.grid.n_pixels)
    for i in range(2):
        flux, snr = slow_filter(residual[i], ivar[i], shu.grid)
        np.testing.assert_allclose(output.flux[i, 0], flux, rtol=2e-4, atol=1e-4)
        np.testing.assert_allclose(output.snr[i, 0], snr, rtol=2e-4, atol=1e-5)
    assert (output.snr[0, 0, 310:330] == 0).all()


def test_the_rivals_kernel_is_152_km_per_second_wide(shu: MatchedFilter) -> None:
    assert shu.sigma.shape == (1, shu.grid.n_pixels)
    np.testing.assert_allclose(shu.sigma * PIXEL_KMS, 152, atol=0.5)


def test_widths_of_the_bank_are_the_lines_widened_by_the_spectrograph(
    bank: MatchedFilter, config: Config
) -> None:
    for width, sigma in zip(config.matched_filter.line_fwhm_kms, bank.sigma, strict=True):
        for wave, dispersion in config.matched_filter.dispersion[1:]:
            pixel = min(max(round(float(bank.grid.pixel(wave))), 0), bank.grid.n_pixels - 1)
            line = width / FWHM_PER_SIGMA / PIXEL_KMS
            assert sigma[pixel] == pytest.approx(np.sqrt(line**2 + dispersion**2), rel=1e-3)


@pytest.mark.parametrize("pixel", [200, 200.3, 640.5, 1000.8])
def test_a_line_as_wide_as_the_kernel_is_measured_exactly(shu: MatchedFilter, pixel: float) -> None:
    found = shu.search(*with_lines(shu.grid, (pixel, 60.0, 2.2)))
    assert len(found.hits) == 1
    hit = found.hits[0]
    wave = 10 ** ((shu.grid.first + pixel) * 1e-4)
    assert hit["FLUX"] == pytest.approx(60, rel=5e-3)
    assert float(shu.grid.pixel(hit["WAVE"])) == pytest.approx(pixel, abs=0.02)
    assert hit["Z_SOURCE"] == pytest.approx(wave / LYMAN_ALPHA - 1, abs=2e-5)
    ideal = 0.5 * pixel_width_angstrom(wave) * np.sqrt(2 * np.sqrt(np.pi) * 2.2)
    assert hit["FLUX_ERR"] == pytest.approx(ideal, rel=0.01)
    assert found.snr[0] == pytest.approx(hit["SNR"], rel=0.02)


@pytest.mark.parametrize("fwhm", [100.0, 250.0, 500.0])
@pytest.mark.parametrize("pixel", [150.4, 900.0])
def test_lines_as_wide_as_a_kernel_of_the_bank_are_measured(
    bank: MatchedFilter, config: Config, fwhm: float, pixel: float
) -> None:
    row = config.matched_filter.line_fwhm_kms.index(fwhm)
    sigma = float(bank.sigma[row, round(pixel)])
    hits = bank.search(*with_lines(bank.grid, (pixel, 60.0, sigma))).hits
    assert len(hits) == 1
    assert hits["FLUX"][0] == pytest.approx(60, rel=0.02)
    assert hits["FWHM_KMS"][0] == pytest.approx(fwhm, rel=0.2)
    assert float(bank.grid.pixel(hits["WAVE"][0])) == pytest.approx(pixel, abs=0.03)


def test_each_contiguous_run_is_one_hit_at_its_maximum(either: MatchedFilter) -> None:
    lines = [(200.0, 60.0, 2.2), (400.0, 90.0, 2.2), (424.0, 70.0, 2.2)]
    residual, ivar = with_lines(either.grid, *lines)
    best = either.apply(residual, ivar).snr[0].max(axis=0)
    runs = np.flatnonzero(np.diff((best >= 6).astype(int)) == 1)
    assert len(runs) == 3
    hits = either.search(residual, ivar).hits
    np.testing.assert_allclose(either.grid.pixel(hits["WAVE"]), [200, 400, 424], atol=0.1)
    assert (np.diff(hits["WAVE"]) > 0).all()
    assert (hits["SNR"] >= 6).all()


def test_two_lines_in_one_run_are_one_hit(either: MatchedFilter) -> None:
    residual, ivar = with_lines(either.grid, (400.0, 90.0, 2.2), (406.0, 70.0, 2.2))
    hits = either.search(residual, ivar).hits
    assert len(hits) == 1
    assert 399 < float(either.grid.pixel(hits["WAVE"][0])) < 404


@pytest.mark.parametrize(("n_lines", "kept"), [(1, 1), (5, 5), (6, 0), (9, 0)])
def test_a_spectrum_with_too_many_hits_gives_none_and_is_marked(
    either: MatchedFilter, n_lines: int, kept: int
) -> None:
    lines = [(100.0 + 100 * i, 60.0, 2.2) for i in range(n_lines)]
    residual, ivar = with_lines(either.grid, *lines)
    quiet = np.zeros_like(residual)
    found = either.search(np.vstack([quiet, residual, quiet]), np.repeat(ivar, 3, axis=0))
    assert len(found.hits) == kept
    assert found.many_hits.tolist() == [False, n_lines > 5, False]
    assert (found.hits["ROW"] == 1).all()
    assert found.snr[1] > 6  # its signal-to-noise ratio is still told


def test_a_masked_line_gives_no_hit(either: MatchedFilter) -> None:
    residual, ivar = with_lines(either.grid, (600.0, 200.0, 2.2))
    assert len(either.search(residual, ivar).hits) == 1
    ivar[0, 585:616] = 0
    residual[0, 585:616] = 0
    found = either.search(residual, ivar)
    assert len(found.hits) == 0
    assert found.snr[0] < 3


def test_absorption_is_no_hit(either: MatchedFilter) -> None:
    residual, ivar = with_lines(either.grid, (600.0, -200.0, 2.2))
    assert len(either.search(residual, ivar).hits) == 0


@pytest.mark.parametrize("coverage", [0.0, 0.3, 0.5, 0.9])
def test_a_peak_needs_its_part_of_the_kernel_on_good_pixels(
    config: Config, coverage: float
) -> None:
    settings = config.matched_filter.model_copy(update={"min_coverage": coverage})
    grid = LogGrid.covering(*config.preparation.window)
    matched = MatchedFilter(grid, settings)
    ivar = np.ones((1, grid.n_pixels), "f4")
    ivar[0, :600] = 0
    snr = matched.apply(np.ones_like(ivar) * (ivar > 0), ivar).snr[0, 0]
    sigma = matched.sigma[0]
    for i in range(585, 611):
        seen = norm.sf(600 - 0.5, loc=i, scale=sigma[i])
        if abs(seen - coverage) > 0.02 and seen > 1e-3:
            assert (snr[i] > 0) == (seen > coverage), i


def test_the_edge_of_the_window_is_searched_with_what_is_there(either: MatchedFilter) -> None:
    for pixel in (3.0, either.grid.n_pixels - 4.0):
        hits = either.search(*with_lines(either.grid, (pixel, 80.0, 2.2))).hits
        assert len(hits) == 1
        assert float(either.grid.pixel(hits["WAVE"][0])) == pytest.approx(pixel, abs=1)


def test_nothing_to_see_is_no_signal(either: MatchedFilter) -> None:
    empty = np.zeros((2, either.grid.n_pixels), "f4")
    found = either.search(empty, empty)
    assert found.snr.tolist() == [0, 0]
    assert len(found.hits) == 0
    none = either.search(empty[:0], empty[:0])
    assert (len(none.snr), len(none.hits), len(none.many_hits)) == (0, 0, 0)
    assert none.hits.dtype == HIT_DTYPE


def test_b1_vanishing_weights_are_no_signal(either: MatchedFilter) -> None:
    residual = np.random.default_rng(2).normal(size=(1, either.grid.n_pixels)).astype("f4")
    for tiny in (1e-45, 1e-42, 1e-38, 1e-30):
        output = either.apply(residual, np.full_like(residual, tiny))
        assert np.isfinite(output.snr).all()
        assert np.isfinite(output.flux).all()
        assert np.abs(output.snr).max() < 1e-3


def test_b6_signal_to_noise_does_not_depend_on_the_unit_of_flux(either: MatchedFilter) -> None:
    rng = np.random.default_rng(3)
    residual = rng.normal(0, 0.5, (3, either.grid.n_pixels)).astype("f4")
    residual += with_lines(either.grid, (500.0, 60.0, 2.2))[0]
    ivar = np.full_like(residual, 4)
    plain, scaled = either.search(residual, ivar), either.search(residual * 1e6, ivar / 1e12)
    np.testing.assert_allclose(scaled.snr, plain.snr, rtol=1e-5)
    np.testing.assert_allclose(scaled.hits["FLUX"], plain.hits["FLUX"] * 1e6, rtol=1e-4)
    np.testing.assert_allclose(scaled.hits["WAVE"], plain.hits["WAVE"], rtol=1e-8)


@pytest.mark.parametrize("n_spectra", [5, 150])
def test_b9_batch_order_and_size_do_not_change_a_result(
    either: MatchedFilter, n_spectra: int
) -> None:
    rng = np.random.default_rng(4)
    residual = rng.normal(0, 0.5, (n_spectra, either.grid.n_pixels)).astype("f4")
    residual[::2] += with_lines(either.grid, (500.0, 60.0, 2.2))[0]
    ivar = np.full_like(residual, 4)
    together = either.search(residual, ivar)
    order = rng.permutation(n_spectra)
    shuffled = either.search(residual[order], ivar[order])
    np.testing.assert_allclose(shuffled.snr, together.snr[order], rtol=1e-6)
    assert len(shuffled.hits) == len(together.hits) > 0
    for row in {0, n_spectra // 2, n_spectra - 1}:
        alone = either.search(residual[[row]], ivar[[row]])
        mine = together.hits[together.hits["ROW"] == row]
        assert len(alone.hits) == len(mine)
        for name in ("SNR", "WAVE", "FLUX", "FLUX_ERR", "WAVE_ERR"):
            np.testing.assert_allclose(alone.hits[name], mine[name], rtol=1e-6)


def test_a_hit_measured_again_on_the_same_residual_stays_as_it_was(
    either: MatchedFilter,
) -> None:
    rng = np.random.default_rng(5)
    residual = rng.normal(0, 0.3, (4, either.grid.n_pixels)).astype("f4")
    residual += with_lines(either.grid, (500.0, 60.0, 2.2))[0]
    ivar = np.full_like(residual, 0.3**-2)
    hits = either.search(residual, ivar).hits
    again = either.measure(residual, ivar, hits, np.zeros_like(ivar))
    assert len(hits) >= 4
    for name in hits.dtype.names or ():
        np.testing.assert_allclose(again[name], hits[name], rtol=1e-6)


def test_a_hit_measured_on_another_residual_keeps_the_ratio_of_the_search(
    either: MatchedFilter,
) -> None:
    residual, ivar = with_lines(either.grid, (500.0, 60.0, 2.2))
    hits = either.search(residual, ivar).hits
    again = either.measure(residual * np.float32(1.1), ivar, hits, np.zeros_like(ivar))
    assert again["SNR"] == hits["SNR"]
    assert again["FLUX"] == pytest.approx(1.1 * hits["FLUX"], rel=1e-4)
    assert again["FLUX_ERR"] == pytest.approx(hits["FLUX_ERR"], rel=1e-4)
