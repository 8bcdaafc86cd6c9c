"""Stars and decoys."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import find_peaks

from speclens.config import SurveyConfig, load_config
from speclens.lines import FWHM_PER_SIGMA, PIXEL_KMS, pixel_width_angstrom
from speclens.simulate.contaminants import decoy_spectra, draw_decoys, draw_stars
from speclens.simulate.emitters import Lines
from speclens.spectra import LogGrid

WINDOW = (3800.0, 5000.0)
GRID = LogGrid(35515, 4640)
KINDS = ("oii", "line", "spike", "sky_line")


@pytest.fixture(scope="module")
def config() -> SurveyConfig:
    return load_config().survey


def flux_within(spectrum: NDArray[np.floating], low: float, high: float) -> tuple[float, float]:
    """Flux and mean wavelength between two wavelengths."""
    inside = (GRID.wave > low) & (GRID.wave < high)
    wave = GRID.wave[inside]
    weight = spectrum[inside] * np.asarray(pixel_width_angstrom(wave))
    return float(weight.sum()), float((weight * wave).sum() / weight.sum())


@pytest.mark.parametrize("kind", KINDS)
def test_decoys_keep_window_fluxes_and_are_symmetric(
    config: SurveyConfig, rng: np.random.Generator, kind: str
) -> None:
    lines = draw_decoys(kind, 500, WINDOW, config, rng)
    low, high = config.decoy_flux_range
    assert ((lines.flux >= low) & (lines.flux <= high)).all()
    assert np.median(lines.flux) == pytest.approx(np.sqrt(low * high), rel=0.2)
    assert ((lines.wave > WINDOW[0] - 2) & (lines.wave < WINDOW[1] + 2)).all()
    assert not lines.skewness.any()
    spectra = decoy_spectra(kind, lines, GRID)
    assert spectra.shape == (500, GRID.n_pixels)
    assert (spectra >= -1e-4).all()


@pytest.mark.parametrize("kind", ["line", "spike", "sky_line"])
def test_a_single_decoy_has_its_flux_at_its_place(
    config: SurveyConfig, rng: np.random.Generator, kind: str
) -> None:
    lines = draw_decoys(kind, 30, WINDOW, config, rng)
    spectra = decoy_spectra(kind, lines, GRID)
    for spectrum, wave, flux in zip(spectra, lines.wave, lines.flux, strict=True):
        found, mean = flux_within(spectrum, 3600, 10000)
        assert found == pytest.approx(flux, rel=1e-3)
        assert mean == pytest.approx(wave, abs=0.1)


def test_a_spike_is_narrower_and_a_line_wider_than_the_spectrograph(
    config: SurveyConfig, rng: np.random.Generator
) -> None:
    spikes = draw_decoys("spike", 200, WINDOW, config, rng)
    spectra = decoy_spectra("spike", spikes, GRID)
    two = np.sort(spectra, axis=1)[:, -2:].sum(1) / spectra.sum(1)
    assert (two > 0.9).all()
    lines = draw_decoys("line", 200, WINDOW, config, rng)
    sigma = lines.width / np.asarray(pixel_width_angstrom(lines.wave))
    low, high = (np.hypot(fwhm / FWHM_PER_SIGMA / PIXEL_KMS, 1.1) for fwhm in config.decoy_fwhm_kms)
    assert ((sigma >= low - 1e-9) & (sigma <= high + 1e-9)).all()
    assert sigma.min() > 1.1


def test_sky_lines_lie_on_the_sky_s_lines(config: SurveyConfig, rng: np.random.Generator) -> None:
    lines = draw_decoys("sky_line", 300, (4000.0, 4400.0), config, rng)
    known = np.array(config.sky_lines)
    distance = np.abs(lines.wave[:, None] - known).min(1)
    assert distance.max() < 3
    nearest = known[np.abs(lines.wave[:, None] - known).argmin(1)]
    assert set(nearest) == {w for w in config.sky_lines if 4000 < w < 4400}


def test_the_oii_doublet_is_split_by_its_redshift() -> None:
    z = 0.25
    middle = np.sqrt(3727.092 * 3729.875) * (1 + z)
    half = (3729.875 - 3727.092) / 2 * (1 + z)
    # Lines as narrow as half a pixel, so that the two stand apart.
    width = np.hypot(half, 0.5)
    line = Lines(np.array([middle]), np.array([20.0]), np.array([width]), np.zeros(1))
    spectrum = decoy_spectra("oii", line, GRID)[0]
    near = np.abs(GRID.wave - middle) < 10
    peaks = GRID.wave[near][find_peaks(spectrum[near])[0]]
    np.testing.assert_allclose(peaks, np.array([3727.092, 3729.875]) * (1 + z), atol=0.6)
    blue, red = (
        flux_within(spectrum, *ends)[0] for ends in ((middle - 9, middle), (middle, middle + 9))
    )
    assert blue == pytest.approx(10, rel=0.1)
    assert red == pytest.approx(10, rel=0.1)


def test_the_blend_of_the_doublet_has_the_flux_place_and_width_it_was_drawn_with(
    config: SurveyConfig, rng: np.random.Generator
) -> None:
    lines = draw_decoys("oii", 20, WINDOW, config, rng)
    spectra = decoy_spectra("oii", lines, GRID).astype(np.float64)
    for spectrum, wave, flux, width in zip(
        spectra, lines.wave, lines.flux, lines.width, strict=True
    ):
        ends = (wave - 40, wave + 40)
        found, mean = flux_within(spectrum, *ends)
        assert found == pytest.approx(flux, rel=2e-3)
        assert mean == pytest.approx(wave, abs=0.1)
        near = np.abs(GRID.wave - wave) < 40
        weight = spectrum[near] * GRID.wave[near]
        spread = np.sqrt((weight * (GRID.wave[near] - mean) ** 2).sum() / weight.sum())
        pixel = pixel_width_angstrom(wave) / np.sqrt(12)
        assert spread == pytest.approx(np.hypot(width, pixel), rel=0.03)


def test_companions_of_oii_are_where_the_redshift_puts_them_with_their_ratios(
    config: SurveyConfig, rng: np.random.Generator
) -> None:
    lines = draw_decoys("oii", 20, WINDOW, config, rng)
    spectra = decoy_spectra("oii", lines, GRID).astype(np.float64)
    for spectrum, wave, flux in zip(spectra, lines.wave, lines.flux, strict=True):
        stretch = wave / np.sqrt(3727.092 * 3729.875)
        for rest, ratio in {4862.683: 0.3, 5008.239: 0.6, 6564.614: 0.9}.items():
            found, mean = flux_within(spectrum, (rest - 30) * stretch, (rest + 30) * stretch)
            assert found == pytest.approx(ratio * flux, rel=2e-3)
            assert mean == pytest.approx(rest * stretch, abs=0.15)
        total = flux_within(spectrum, 3600, 10300)[0]
        assert total == pytest.approx(flux * 2.8, rel=2e-3)


def test_no_decoys_of_any_kind_are_no_error(config: SurveyConfig, rng: np.random.Generator) -> None:
    for kind in KINDS:
        lines = draw_decoys(kind, 0, WINDOW, config, rng)
        assert decoy_spectra(kind, lines, GRID).shape == (0, GRID.n_pixels)


def test_stars_are_positive_and_have_balmer_lines(rng: np.random.Generator) -> None:
    spectra = draw_stars(50, GRID, rng)
    assert spectra.shape == (50, GRID.n_pixels)
    assert (spectra > 0).all()
    for line in (4341.684, 4862.683, 6564.614):
        centre = np.abs(GRID.wave - line).argmin()
        beside = 0.5 * (spectra[:, centre - 80] + spectra[:, centre + 80])
        assert (spectra[:, centre] < 0.97 * beside).all()
    assert draw_stars(0, GRID, rng).shape == (0, GRID.n_pixels)
