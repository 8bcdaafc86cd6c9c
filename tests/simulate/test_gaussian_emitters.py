"""The paper's Gaussian lines: their widths, peaks and places."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import kstest, truncnorm

from speclens.config import TrainingSetConfig, load_config
from speclens.errors import ConfigError
from speclens.lines import (
    FWHM_PER_SIGMA,
    LYMAN_ALPHA,
    SPEED_OF_LIGHT_KMS,
    pixel_width_angstrom,
)
from speclens.simulate.emitters import Lines, draw_emitters, line_spectra
from speclens.simulate.gaussian_emitters import draw_gaussian_emitters, peak_flux
from speclens.spectra import LogGrid

WINDOW = (3800.0, 5000.0)
GRID = LogGrid.covering(3700, 5100)
CONFIG = load_config("li2019")
DISPERSION = np.array(CONFIG.matched_filter.dispersion)
N_LINES = 10000


def draw(n_lines: int, rng: np.random.Generator, **changes: Any) -> Lines:
    training_set: TrainingSetConfig = CONFIG.training_set.model_copy(update=changes)
    return draw_gaussian_emitters(n_lines, WINDOW, CONFIG.emitters, training_set, DISPERSION, rng)


def line_spread(wave: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the spectrograph's standard deviation, Angstrom."""
    return np.asarray(np.interp(wave, *DISPERSION.T) * pixel_width_angstrom(wave))


def fwhm_kms(lines: Lines) -> NDArray[np.float64]:
    """Return the widths at rest, without the spectrograph's, km/s."""
    own = np.sqrt(lines.width**2 - line_spread(lines.wave) ** 2)
    return np.asarray(FWHM_PER_SIGMA * own / lines.wave * SPEED_OF_LIGHT_KMS)


@pytest.fixture
def many(rng: np.random.Generator) -> Lines:
    return draw(N_LINES, rng)


def test_lines_are_gaussians(many: Lines) -> None:
    assert len(many) == N_LINES
    assert not many.skewness.any()


def test_widths_at_rest_are_the_papers_truncated_normal(many: Lines) -> None:
    least_kms = 0.5 / LYMAN_ALPHA * SPEED_OF_LIGHT_KMS
    expected = truncnorm((least_kms - 300) / 200, np.inf, 300, 200)
    found = fwhm_kms(many)
    assert found.min() > least_kms
    assert kstest(found, expected.cdf).pvalue > 1e-3


def test_no_line_is_narrower_than_the_spectrograph_makes_it(many: Lines) -> None:
    assert (many.width > line_spread(many.wave)).all()


def test_peaks_are_those_of_the_published_candidates_above_the_least(many: Lines) -> None:
    published = peak_flux(
        draw_emitters(4 * N_LINES, WINDOW, CONFIG.emitters, np.random.default_rng(7))
    )
    found = peak_flux(many)
    assert found.min() > 1.5
    percent = [1, 25, 50, 75, 95]
    expected = np.percentile(published[published > 1.5], percent)
    np.testing.assert_allclose(np.percentile(found, percent), expected, rtol=0.05)


def test_widths_and_peaks_are_not_tied_to_each_other(many: Lines) -> None:
    assert abs(np.corrcoef(fwhm_kms(many), np.log(peak_flux(many)))[0, 1]) < 0.05


def test_the_peak_stands_in_the_spectrum(rng: np.random.Generator) -> None:
    lines = draw(200, rng)
    highest = line_spectra(lines, GRID).max(axis=1)
    # Pixels see the mean over their width, and their centre is not the line's.
    np.testing.assert_allclose(highest, peak_flux(lines), rtol=0.2)
    assert np.median(highest / peak_flux(lines)) == pytest.approx(0.97, abs=0.03)


@pytest.mark.parametrize("skewness", [0.0, 0.7, -3.15, 10.0])
def test_peak_of_a_profile_is_that_of_its_fine_spectrum(skewness: float) -> None:
    line = Lines(np.array([4000.0]), np.array([10.0]), np.array([60.0]), np.array([skewness]))
    fine = line_spectra(line, LogGrid.covering(3600, 4400)).max()
    assert peak_flux(line)[0] == pytest.approx(fine, rel=0.01)


def test_lines_fill_the_window_evenly(many: Lines) -> None:
    counts = np.histogram(many.wave, 10, WINDOW)[0]
    assert counts.sum() == N_LINES
    assert abs(counts - N_LINES / 10).max() < 5 * np.sqrt(N_LINES / 10)


def test_the_generator_alone_decides() -> None:
    one, two, other = (draw(5, np.random.default_rng(seed)) for seed in (1, 1, 2))
    for name in ("wave", "flux", "width"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
        assert (getattr(one, name) != getattr(other, name)).all()


@pytest.mark.parametrize("n_lines", [0, 1])
def test_few_lines_can_be_drawn(n_lines: int, rng: np.random.Generator) -> None:
    lines = draw(n_lines, rng)
    assert len(lines) == len(lines.flux) == len(lines.width) == len(lines.skewness) == n_lines


@pytest.mark.parametrize("key", ["gaussian_peak_min", "gaussian_fwhm_min"])
def test_a_limit_that_no_line_passes_is_refused(key: str, rng: np.random.Generator) -> None:
    with pytest.raises(ConfigError, match=rf"training_set\.{key} = 1000: hardly any line"):
        draw(10, rng, **{key: 1000.0})
