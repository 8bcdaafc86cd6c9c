"""Statistics on pure noise, and lines put in to be measured: what the numbers of a hit are worth.

Lines have an ideal signal-to-noise ratio of ten, on BOSS-like noise that falls from blue to red,
alone and on galaxies through the complete preparation. Noise is seeded: the numbers are exact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.config import Config, load_config
from speclens.eigenspectra import Eigenspectra
from speclens.lines import (
    FWHM_PER_SIGMA,
    PIXEL_KMS,
    gaussian_pixels,
    pixel_width_angstrom,
    skew_normal_pixels,
)
from speclens.read.sdss.spec import read_spec_files
from speclens.sample.preparation import Preparation, line_mask
from speclens.search.detection import Detector
from speclens.search.matched_filter import MatchedFilter
from speclens.search.peaks import PeakSearch
from speclens.spectra import TARGET_DTYPE, LogGrid, SpectrumBatch

Floats = NDArray[np.float64]
CONFIGURATIONS = ("speclens", "shu2016")
IDEAL_SNR = 10.0
N_LINES = 900


@dataclass(frozen=True)
class Setup:
    """A configuration with its filter and preparation, and noise to go with it."""

    config: Config
    grid: LogGrid
    matched_filter: MatchedFilter
    preparation: Preparation

    @property
    def detector(self) -> Detector:
        search = PeakSearch(self.config, self.matched_filter)
        return Detector(self.preparation, self.matched_filter, search)

    @property
    def sigma(self) -> Floats:
        """Noise per pixel as in BOSS galaxies."""
        return np.interp(self.grid.wave, [3600, 3800, 5000], [1.0, 0.71, 0.31])

    def batch(self, flux: Floats, z: Floats) -> SpectrumBatch:
        shape = flux.shape
        targets = np.zeros(shape[0], TARGET_DTYPE)
        targets["Z"] = z
        return SpectrumBatch(
            self.grid, flux.astype("f4"), np.broadcast_to(self.sigma**-2, shape).astype("f4"),
            np.zeros(shape, bool), np.ones(shape, bool), np.ones(shape, "f4"), targets,
            [""] * shape[0],
        )  # fmt: skip

    def noise(self, n_spectra: int, rng: np.random.Generator) -> Floats:
        return rng.normal(size=(n_spectra, self.grid.n_pixels)) * self.sigma

    def galaxies(self, z: Floats, rng: np.random.Generator) -> Floats:
        galaxy = Eigenspectra.read().at(z, self.grid, 1)[0][:, 0]
        level = rng.uniform(0.3, 2, (len(z), 1))
        return np.asarray(level * galaxy / galaxy.mean(axis=1, keepdims=True))


@dataclass(frozen=True)
class Measured:
    """What came back of lines put in, one row a line that lies on no mask."""

    n_lines: int
    flux_ratio: Floats
    flux_pull: Floats
    offset_pixels: Floats
    wave_pull: Floats


@cache
def load(name: str) -> Setup:
    config = load_config(name)
    grid = LogGrid.covering(*config.preparation.window)
    return Setup(config, grid, MatchedFilter(grid, config.matched_filter), Preparation(config))


@pytest.fixture(params=CONFIGURATIONS)
def setup(request: pytest.FixtureRequest) -> Setup:
    return load(str(request.param))


Profile = Callable[[Setup, Floats], tuple[Floats, Floats]]


def gaussian_of_pixels(sigma: float) -> Profile:
    """A Gaussian of a width in pixels, whatever the spectrograph."""

    def profile(setup: Setup, centre: Floats) -> tuple[Floats, Floats]:
        offset = np.arange(setup.grid.n_pixels) - centre[:, None]
        return gaussian_pixels(offset, sigma), centre

    return profile


def gaussian_of_kms(fwhm: float) -> Profile:
    """A Gaussian of a width in km/s, widened by the spectrograph."""

    def profile(setup: Setup, centre: Floats) -> tuple[Floats, Floats]:
        table = np.array(setup.config.matched_filter.dispersion).T
        spread = np.interp(10 ** ((setup.grid.first + centre) * 1e-4), *table)
        sigma = np.hypot(fwhm / FWHM_PER_SIGMA / PIXEL_KMS, spread)
        offset = np.arange(setup.grid.n_pixels) - centre[:, None]
        return gaussian_pixels(offset, sigma[:, None]), centre

    return profile


def published_candidates(setup: Setup, location: Floats) -> tuple[Floats, Floats]:
    """The median line of the published candidates: 2.5 Angstrom wide, skewness 3.2."""
    skewness = 3.2
    wave = 10 ** ((setup.grid.first + location) * 1e-4)
    sigma = 2.5 / np.asarray(pixel_width_angstrom(wave))
    mean = location + sigma * skewness / np.sqrt(1 + skewness**2) * np.sqrt(2 / np.pi)
    offset = np.arange(setup.grid.n_pixels) - location[:, None]
    return skew_normal_pixels(offset, sigma[:, None], skewness), mean


def measure(setup: Setup, profile: Profile, complete: bool, seed: int = 1) -> Measured:
    """Put lines in and measure those that come back at their place."""
    rng = np.random.default_rng(seed)
    grid = setup.grid
    z = rng.uniform(0.35, 0.7, N_LINES)
    shape, mean = profile(setup, rng.uniform(150, grid.n_pixels - 150, N_LINES))
    density = shape / np.asarray(pixel_width_angstrom(grid.wave))
    flux = IDEAL_SNR / np.sqrt((density**2 / setup.sigma**2).sum(axis=1))
    spectra = flux[:, None] * density + setup.noise(N_LINES, rng)
    seen = np.ones(N_LINES, bool)
    if complete:
        spectra += setup.galaxies(z, rng)
        masked = line_mask(grid, z, setup.config.preparation)
        near = np.abs(np.arange(grid.n_pixels) - mean[:, None]) <= 25
        seen = ~(masked & near).any(axis=1)
        batch = setup.batch(spectra, z)
        hits = setup.detector(batch, z).hits
    else:
        batch = setup.batch(spectra, z)
        hits = setup.matched_filter.search(batch.flux, batch.ivar).hits
    row = hits["ROW"]
    offset = grid.pixel(hits["WAVE"]) - mean[row]
    kept = seen[row] & (np.abs(offset) < 8)
    hits, row, offset = hits[kept], row[kept], offset[kept]
    wave = 10 ** ((grid.first + mean[row]) * 1e-4)
    return Measured(
        int(seen.sum()),
        hits["FLUX"] / flux[row],
        (hits["FLUX"] - flux[row]) / hits["FLUX_ERR"],
        offset,
        (hits["WAVE"] - wave) / hits["WAVE_ERR"],
    )


MATCHED = {
    "shu2016-2.2-pixels": ("shu2016", gaussian_of_pixels(2.2)),
    "speclens-160-kms": ("speclens", gaussian_of_kms(160.0)),
    "speclens-250-kms": ("speclens", gaussian_of_kms(250.0)),
    "speclens-350-kms": ("speclens", gaussian_of_kms(350.0)),
}


@pytest.mark.parametrize("complete", [False, True], ids=["filter", "complete"])
@pytest.mark.parametrize("case", MATCHED)
def test_flux_and_wavelength_are_unbiased_and_their_errors_honest(
    case: str, complete: bool
) -> None:
    name, profile = MATCHED[case]
    found = measure(load(name), profile, complete)
    assert len(found.flux_ratio) > 0.995 * found.n_lines
    assert found.flux_ratio.mean() == pytest.approx(1, abs=0.02)
    assert found.offset_pixels.mean() == pytest.approx(0, abs=0.03)
    assert found.flux_pull.std() == pytest.approx(1, abs=0.1)
    assert found.wave_pull.std() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("complete", [False, True], ids=["filter", "complete"])
@pytest.mark.parametrize(("fwhm", "bias"), [(100.0, 0.02), (500.0, -0.03)])
def test_at_the_ends_of_the_bank_widths_are_clipped_and_flux_is_off_by_a_few_per_cent(
    fwhm: float, bias: float, complete: bool
) -> None:
    found = measure(load("speclens"), gaussian_of_kms(fwhm), complete)
    assert found.flux_ratio.mean() - 1 == pytest.approx(bias, abs=0.015)
    assert found.flux_pull.std() == pytest.approx(0.95, abs=0.1)
    assert found.wave_pull.std() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("complete", [False, True], ids=["filter", "complete"])
def test_the_bank_measures_the_skewed_lines_of_published_candidates(complete: bool) -> None:
    found = measure(load("speclens"), published_candidates, complete)
    assert len(found.flux_ratio) > 0.995 * found.n_lines
    assert found.flux_ratio.mean() == pytest.approx(1, abs=0.02)
    assert found.flux_pull.std() == pytest.approx(1, abs=0.1)
    # A skewed line peaks blueward of its mean: by 20 km/s.
    assert found.offset_pixels.mean() * PIXEL_KMS == pytest.approx(-20, abs=4)


@pytest.mark.parametrize("complete", [False, True], ids=["filter", "complete"])
@pytest.mark.parametrize(
    ("profile", "bias"),
    [
        (gaussian_of_pixels(1.5), 0.165),
        (gaussian_of_pixels(3.0), -0.163),
        (published_candidates, 0.125),
    ],
    ids=["narrow", "wide", "candidates"],
)
def test_a_kernel_of_one_width_is_biased_for_lines_of_another(
    profile: Profile, bias: float, complete: bool
) -> None:
    # C1 / C2 of a line of sigma s and a kernel of sigma k is sqrt(2 k^2 / (s^2 + k^2)) of its flux.
    found = measure(load("shu2016"), profile, complete)
    assert found.flux_ratio.mean() - 1 == pytest.approx(bias, abs=0.02)
    assert np.abs(found.offset_pixels.mean()) < 0.3


def test_a_line_left_in_the_foreground_fit_would_lose_flux() -> None:
    setup = load("speclens")
    rng = np.random.default_rng(2)
    z = rng.uniform(0.35, 0.7, 300)
    shape, _ = gaussian_of_kms(350.0)(setup, np.full(300, 700.0))
    line = 60 * shape / np.asarray(pixel_width_angstrom(setup.grid.wave))
    batch = setup.batch(line + setup.galaxies(z, rng) + setup.noise(300, rng), z)
    found = setup.detector(batch, z)
    prepared = found.prepared
    first = setup.matched_filter.search(prepared.residual, prepared.ivar).hits
    once, again = (
        hits["FLUX"][np.abs(setup.grid.pixel(hits["WAVE"]) - 700) < 6].mean() / 60
        for hits in (first, found.hits)
    )
    assert once < 0.97
    assert again == pytest.approx(1, abs=0.015)


def test_pure_noise_has_mean_zero_and_width_one_in_every_kernel(setup: Setup) -> None:
    batch = setup.batch(setup.noise(1500, np.random.default_rng(3)), np.full(1500, 0.5))
    snr = setup.matched_filter.apply(batch.flux, batch.ivar).snr
    for kernel in range(snr.shape[1]):
        values = snr[:, kernel].astype(float)
        assert values.mean() == pytest.approx(0, abs=0.01)
        assert values.std() == pytest.approx(1, abs=0.01)
        assert (np.abs(values.std(axis=0) - 1) < 0.15).all()  # everywhere, edges included


def test_noise_on_galaxies_has_mean_zero_and_nearly_width_one(setup: Setup) -> None:
    rng = np.random.default_rng(4)
    z = rng.uniform(0.35, 0.7, 800)
    batch = setup.batch(setup.noise(800, rng) + setup.galaxies(z, rng), z)
    prepared = setup.preparation(batch, z)
    snr = setup.matched_filter.apply(prepared.residual, prepared.ivar).snr
    for kernel in range(snr.shape[1]):
        values = snr[:, kernel][snr[:, kernel] != 0].astype(float)
        assert values.mean() == pytest.approx(0, abs=0.01)
        # The fit takes the noise that looks like a galaxy, most of it in the widest kernel.
        assert 0.93 < values.std() < 1.005


def test_noise_alone_gives_no_hit_in_thousands_of_spectra(setup: Setup) -> None:
    rng = np.random.default_rng(5)
    highest = []
    for _ in range(8):
        z = rng.uniform(0.35, 0.7, 500)
        batch = setup.batch(setup.noise(500, rng) + setup.galaxies(z, rng), z)
        found = setup.detector(batch, z)
        assert len(found.prepared) == 500
        assert len(found.hits) == 0
        highest.append(found.snr)
    top = np.concatenate(highest)
    assert 4.3 < top.max() < 6
    assert 2.4 < np.median(top) < 3.4


def test_lines_below_the_threshold_are_found_as_often_as_noise_allows(setup: Setup) -> None:
    rng = np.random.default_rng(6)
    n_lines = 1000
    shape, _ = gaussian_of_pixels(2.2)(setup, rng.uniform(150, 1000, n_lines))
    density = shape / np.asarray(pixel_width_angstrom(setup.grid.wave))
    ideal = 1 / np.sqrt((density**2 / setup.sigma**2).sum(axis=1))
    fractions = []
    for snr in (4.0, 6.0, 8.0):
        spectra = (snr * ideal)[:, None] * density + setup.noise(n_lines, rng)
        batch = setup.batch(spectra, np.full(n_lines, 0.5))
        hits = setup.matched_filter.search(batch.flux, batch.ivar).hits
        fractions.append(len(np.unique(hits["ROW"])) / n_lines)
    assert fractions[0] < 0.08
    assert 0.45 < fractions[1] < 0.65
    assert fractions[2] > 0.95


def test_b7_a_grid_that_starts_one_pixel_later_moves_hits_by_one_pixel(setup: Setup) -> None:
    rng = np.random.default_rng(7)
    shape, _ = gaussian_of_pixels(2.2)(setup, rng.uniform(150, 1000, 50))
    flux = 60 * shape / np.asarray(pixel_width_angstrom(setup.grid.wave))
    batch = setup.batch(flux + setup.noise(50, rng), np.full(50, 0.5))
    later = LogGrid(setup.grid.first + 1, setup.grid.n_pixels)
    other = MatchedFilter(later, setup.config.matched_filter)
    here = setup.matched_filter.search(batch.flux, batch.ivar)
    there = other.search(batch.flux, batch.ivar)
    assert len(here.hits) == len(there.hits) > 40
    np.testing.assert_allclose(there.snr, here.snr, rtol=1e-4)
    moved = np.log10(there.hits["WAVE"] / here.hits["WAVE"]) / 1e-4
    np.testing.assert_allclose(moved, 1, atol=2e-3)
    np.testing.assert_allclose(there.hits["SNR"], here.hits["SNR"], rtol=1e-4)


def test_b7_a_file_shifted_by_one_pixel_gives_the_hit_one_pixel_later(
    tmp_path: Path, write_spec: Callable[..., Path]
) -> None:
    setup = load("speclens")
    rng = np.random.default_rng(8)
    offset = np.arange(1700) - 800
    flux = 8 * np.exp(-0.5 * (offset / 2.0) ** 2) + rng.normal(0, 0.5, 1700)
    hits = []
    for coeff0 in (3.5515, 3.5516):
        path = write_spec(
            tmp_path / f"spec-{coeff0}.fits", flux=flux, ivar=np.full(1700, 4.0), coeff0=coeff0
        )
        batch = read_spec_files([str(path)], setup.grid).batch
        hits.append(setup.matched_filter.search(batch.flux, batch.ivar).hits)
    assert len(hits[0]) == len(hits[1]) == 1
    pixels = [float(setup.grid.pixel(found["WAVE"][0])) for found in hits]
    assert pixels[1] - pixels[0] == pytest.approx(1, abs=2e-3)
    assert hits[1]["SNR"][0] == pytest.approx(hits[0]["SNR"][0], rel=1e-4)


def test_b7_single_precision_wavelengths_give_the_same_spectrum_as_the_header(
    tmp_path: Path, write_spec: Callable[..., Path]
) -> None:
    setup = load("speclens")
    flux = np.random.default_rng(9).normal(1, 0.5, 1700)
    batches = []
    for name, options in {
        "loglam": {"with_coeffs": False},
        "header": {"with_loglam": False},
    }.items():
        path = write_spec(tmp_path / f"spec-{name}.fits", flux=flux, **options)
        found = read_spec_files([str(path)], setup.grid)
        assert found.failures == []
        batches.append(found.batch)
    np.testing.assert_array_equal(batches[0].flux, batches[1].flux)
    np.testing.assert_array_equal(batches[0].mask, batches[1].mask)
    assert (batches[0].flux != 0).sum() == setup.grid.n_pixels
