"""Emission lines that are put in: in the place and with the flux that they are told."""

from __future__ import annotations

import numpy as np
import pytest

from speclens.config import Config, load_config
from speclens.lines import pixel_width_angstrom
from speclens.simulate.emitters import Lines, draw_emitters, ideal_snr, line_spectra
from speclens.spectra import LogGrid

WINDOW = (3800.0, 5000.0)
GRID = LogGrid.covering(3700, 5100)
CONFIG = load_config()


@pytest.fixture(scope="module")
def config() -> Config:
    return CONFIG


@pytest.fixture
def many(config: Config, rng: np.random.Generator) -> Lines:
    return draw_emitters(20000, WINDOW, config.emitters, rng)


def test_fluxes_are_those_of_the_published_candidates(many: Lines) -> None:
    np.testing.assert_allclose(np.percentile(many.flux, [5, 50, 95]), [6.3, 13.5, 46], rtol=0.05)


def test_widths_and_skewness_are_those_of_the_published_candidates(many: Lines) -> None:
    assert np.median(many.width) == pytest.approx(2.5, rel=0.05)
    assert np.median(many.skewness) == pytest.approx(3.2, rel=0.05)
    assert (many.skewness > 0).all()


def test_lines_fill_the_window_evenly_and_keep_their_limits(many: Lines, config: Config) -> None:
    counts = np.histogram(many.wave, 10, WINDOW)[0]
    assert counts.sum() == len(many) == 20000
    assert abs(counts - 2000).max() < 5 * np.sqrt(2000)
    for values, (low, high) in (
        (many.flux, config.emitters.flux_range),
        (many.width, config.emitters.width_range),
    ):
        assert ((values >= low) & (values <= high)).all()
    assert many.skewness.max() <= config.emitters.skewness_max


def test_the_generator_alone_decides(config: Config) -> None:
    one, two, other = (
        draw_emitters(5, WINDOW, config.emitters, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    for name in ("wave", "flux", "width", "skewness"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
        assert (getattr(one, name) != getattr(other, name)).any()


@pytest.mark.parametrize("skewness", [0.0, 1.0, 3.15, 10.0, -3.0])
@pytest.mark.parametrize("width", [1.0, 2.46, 7.0])
def test_a_spectrum_holds_the_flux_and_the_mean_of_its_line(width: float, skewness: float) -> None:
    wave = np.array([3900.3, 4300.7, 4987.6])
    flux = np.array([5.0, 20.0, 80.0])
    lines = Lines(wave, flux, np.full(3, width), np.full(3, skewness))
    spectra = line_spectra(lines, GRID).astype(np.float64)
    pixel = np.asarray(pixel_width_angstrom(GRID.wave))
    np.testing.assert_allclose(spectra @ pixel, flux, rtol=2e-4)
    mean = (spectra * pixel) @ GRID.wave / (spectra @ pixel)
    np.testing.assert_allclose(mean, wave, atol=0.05)
    delta = skewness / np.hypot(1, skewness)
    spread = np.sqrt((spectra * pixel) @ GRID.wave**2 / (spectra @ pixel) - mean**2)
    in_a_pixel = pixel_width_angstrom(wave) / np.sqrt(12)
    expected = np.hypot(width * np.sqrt(1 - 2 * delta**2 / np.pi), in_a_pixel)
    np.testing.assert_allclose(spread, expected, rtol=0.1)


def test_a_skewed_line_has_its_tail_in_the_red() -> None:
    line = Lines(np.array([4300.0]), np.array([10.0]), np.array([4.0]), np.array([5.0]))
    spectrum = line_spectra(line, GRID)[0]
    peak = GRID.wave[spectrum.argmax()]
    assert peak < 4300
    weight = spectrum / spectrum.sum()
    assert (weight * (GRID.wave - 4300) ** 3).sum() > 0


@pytest.mark.parametrize("wave", [GRID.wave[0], GRID.wave[-1]])
def test_b4_a_line_at_the_edge_is_cut_and_one_outside_is_not_there(wave: float) -> None:
    half = Lines(np.array([wave]), np.array([10.0]), np.array([2.0]), np.array([0.0]))
    pixel = np.asarray(pixel_width_angstrom(GRID.wave))
    assert (line_spectra(half, GRID) @ pixel)[0] == pytest.approx(5, rel=0.3)
    outside = Lines(np.array([2 * wave]), np.array([10.0]), np.array([2.0]), np.array([0.0]))
    assert not line_spectra(outside, GRID).any()


def test_no_lines_give_no_spectra(config: Config, rng: np.random.Generator) -> None:
    none = draw_emitters(0, WINDOW, config.emitters, rng)
    assert line_spectra(none, GRID).shape == (0, GRID.n_pixels)


def test_the_ideal_ratio_is_the_scatter_of_an_ideal_measurement(rng: np.random.Generator) -> None:
    line = Lines(np.array([4300.0]), np.array([12.0]), np.array([2.5]), np.array([3.0]))
    shape = line_spectra(line, GRID)
    ivar = rng.uniform(2, 20, shape.shape)
    ideal = ideal_snr(shape, ivar)[0]
    noise = rng.standard_normal((4000, GRID.n_pixels)) / np.sqrt(ivar)
    amplitude = ((shape + noise) * shape * ivar).sum(1) / (shape**2 * ivar).sum()
    assert 1 / amplitude.std() == pytest.approx(ideal, rel=0.05)
    assert ideal_snr(3 * shape, ivar)[0] == pytest.approx(3 * ideal)
    assert ideal_snr(shape, 0 * ivar)[0] == 0


def test_no_line_is_narrower_than_the_spread_of_the_spectrograph() -> None:
    grid = LogGrid.covering(4200, 4400)
    line = Lines(np.array([4300.0]), np.array([50.0]), np.array([0.3]), np.array([8.0]))
    (spectrum,) = line_spectra(line, grid, np.array([1.2]))
    pixel = np.arange(grid.n_pixels)
    mean = np.average(pixel, weights=spectrum)
    width = np.sqrt(np.average((pixel - mean) ** 2, weights=spectrum))
    assert width == pytest.approx(np.hypot(1.2, np.sqrt(1 / 12)), rel=0.02)


def test_some_lines_are_mirrored_where_that_is_wanted(config: Config) -> None:
    half = config.emitters.model_copy(update={"blue_fraction": 0.5})
    plain, mirrored = (
        draw_emitters(2000, (3800, 5000), own, np.random.default_rng(4))
        for own in (config.emitters, half)
    )
    np.testing.assert_array_equal(np.abs(mirrored.skewness), plain.skewness)
    np.testing.assert_array_equal(mirrored.wave, plain.wave)
    assert (plain.skewness > 0).all()
    assert (mirrored.skewness < 0).mean() == pytest.approx(0.5, abs=0.05)
