"""Profiles and Doppler arithmetic of the lines."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm, skewnorm

from speclens import lines
from speclens.lines import (
    FWHM_PER_SIGMA,
    LYMAN_ALPHA,
    PIXEL_KMS,
    PIXEL_LOGLAM,
    REST_LINES,
    SPEED_OF_LIGHT_KMS,
    broadened_skewness,
    gaussian_pixels,
    pixel_width_angstrom,
    rest_waves,
    skew_normal_pixels,
)

OFFSET = np.arange(-80.0, 81.0)


@pytest.mark.parametrize("sigma", [0.3, 0.9, 2.2, 7.0])
@pytest.mark.parametrize("place", [0.0, 0.37, -0.5])
def test_gaussian_is_the_difference_of_its_distribution_function(
    sigma: float, place: float
) -> None:
    found = gaussian_pixels(OFFSET - place, sigma)
    edges = OFFSET - place
    expected = norm.cdf(edges + 0.5, scale=sigma) - norm.cdf(edges - 0.5, scale=sigma)
    np.testing.assert_allclose(found, expected, atol=1e-14)
    assert found.sum() == pytest.approx(1, abs=1e-12)


def test_gaussian_on_pixels_is_wider_by_the_variance_of_a_pixel() -> None:
    found = gaussian_pixels(OFFSET - 0.3, 2.2)
    mean = (found * OFFSET).sum()
    assert mean == pytest.approx(0.3, abs=1e-9)
    assert (found * (OFFSET - mean) ** 2).sum() == pytest.approx(2.2**2 + 1 / 12, rel=1e-6)


@pytest.mark.parametrize("skewness", [-8.0, -1.0, 0.5, 3.2, 25.0])
@pytest.mark.parametrize("sigma", [0.8, 2.5, 6.0])
def test_skew_normal_is_the_difference_of_its_distribution_function(
    sigma: float, skewness: float
) -> None:
    edges = OFFSET - 0.2
    expected = skewnorm.cdf(edges + 0.5, skewness, scale=sigma) - skewnorm.cdf(
        edges - 0.5, skewness, scale=sigma
    )
    found = skew_normal_pixels(edges, sigma, skewness)
    np.testing.assert_allclose(found, expected, atol=1e-10)
    assert found.sum() == pytest.approx(1, abs=1e-10)


@pytest.mark.parametrize("skewness", [-3.2, 1.0, 3.2])
def test_skew_normal_has_the_moments_of_its_distribution(skewness: float) -> None:
    sigma = 4.0
    found = skew_normal_pixels(OFFSET, sigma, skewness)
    mean, variance, skew = skewnorm.stats(skewness, scale=sigma, moments="mvs")
    measured = (found * OFFSET).sum()
    spread = (found * (OFFSET - measured) ** 2).sum()
    third = (found * (OFFSET - measured) ** 3).sum()
    assert measured == pytest.approx(float(mean), abs=1e-6)
    assert spread == pytest.approx(float(variance) + 1 / 12, rel=1e-6)
    assert third / variance**1.5 == pytest.approx(float(skew), abs=1e-4)


def test_skew_normal_without_skewness_is_a_gaussian() -> None:
    np.testing.assert_array_equal(
        skew_normal_pixels(OFFSET, 2.0, 0.0), gaussian_pixels(OFFSET, 2.0)
    )


def test_negative_skewness_is_the_mirror_image() -> None:
    np.testing.assert_allclose(
        skew_normal_pixels(OFFSET, 2.0, -3.2),
        skew_normal_pixels(-OFFSET, 2.0, 3.2),
        atol=1e-12,
    )


def test_profiles_broadcast_over_lines() -> None:
    sigma, skewness = np.array([[1.0], [3.0]]), np.array([[0.0], [4.0]])
    together = skew_normal_pixels(OFFSET, sigma, skewness)
    assert together.shape == (2, len(OFFSET))
    np.testing.assert_array_equal(together[1], skew_normal_pixels(OFFSET, 3.0, 4.0))


def test_pixel_is_69_km_per_second() -> None:
    assert pytest.approx(69.03, abs=0.01) == PIXEL_KMS
    assert pytest.approx(152, abs=0.5) == 2.2 * PIXEL_KMS
    exact = SPEED_OF_LIGHT_KMS * (10**PIXEL_LOGLAM - 1)
    assert pytest.approx(exact, rel=2e-4) == PIXEL_KMS


def test_pixel_width_is_the_distance_of_neighbours() -> None:
    wave = 10 ** (3.6 + np.arange(5) * PIXEL_LOGLAM)
    np.testing.assert_allclose(
        pixel_width_angstrom(wave)[1:-1], (wave[2:] - wave[:-2]) / 2, rtol=1e-7
    )


def test_fwhm_is_where_a_gaussian_falls_to_a_half() -> None:
    assert norm.pdf(FWHM_PER_SIGMA / 2) / norm.pdf(0) == pytest.approx(0.5)


@pytest.mark.parametrize("skewness", [-4.0, 0.0, 1.0, 8.0])
def test_a_skewed_line_behind_the_spectrograph_is_the_convolved_line(skewness: float) -> None:
    fine = np.arange(-4000, 4001) / 100
    sigma, dispersion = 2.5, 1.1
    source = skewnorm.pdf(fine, skewness, scale=np.sqrt(sigma**2 - dispersion**2))
    blur = norm.pdf(fine, scale=dispersion) / 100
    observed = broadened_skewness(skewness, sigma, dispersion)
    expected = skewnorm.pdf(fine, observed, scale=sigma)
    np.testing.assert_allclose(np.convolve(source, blur, "same"), expected, atol=1e-4)


def test_a_line_that_nothing_broadens_keeps_its_skewness_and_an_unresolved_one_has_none() -> None:
    assert broadened_skewness(3.0, 2.5, 0.0) == pytest.approx(3.0)
    assert broadened_skewness(3.0, 1.0, 1.1) == 0


def test_the_lines_are_those_of_the_literature() -> None:
    """Rydberg's formula, two doublets by their members, and the vacuum list of SDSS."""
    balmer = {"H alpha": 3, "H beta": 4, "H gamma": 5, "H delta": 6}
    for name, n in balmer.items():
        expected = 1e8 / (109677.58 * (1 / 4 - 1 / n**2))
        assert REST_LINES[name].wave == pytest.approx(expected, abs=0.1)
    assert pytest.approx(1e8 / (109677.58 * 0.75), abs=0.02) == LYMAN_ALPHA
    blue, red = rest_waves("[O II] 3727", "[O II] 3730")
    assert blue < REST_LINES["[O II]"].wave < red
    assert REST_LINES["Mg II"].wave == pytest.approx(rest_waves("Mg II 2796", "Mg II 2803").mean())
    assert REST_LINES["[O III] 5008"].wave == 5008.239


def test_no_wavelength_of_a_line_stands_in_code() -> None:
    waves = np.array([line.wave for line in REST_LINES.values()])
    found = []
    for path in Path(lines.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, float):
                near = np.abs(waves - node.value) < 1
                found += [f"{path.name}:{node.lineno}: {node.value}"] * bool(near.any())
    assert found == []
