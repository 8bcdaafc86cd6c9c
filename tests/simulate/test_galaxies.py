"""Principal components, broadening, the model galaxies and the bundled population."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.eigenspectra import Eigenspectra
from speclens.lines import PIXEL_KMS, gaussian_pixels
from speclens.simulate import galaxies, galaxy_library
from speclens.simulate.galaxies import GalaxyPopulation
from speclens.simulate.galaxy_library import StellarPopulations
from speclens.spectra import LogGrid

Floats = NDArray[np.float64]
REST = LogGrid.covering(1500.0, 10000.0)
WINDOW = LogGrid.covering(3800.0, 5000.0)


def overlap(first: Floats, second: Floats) -> float:
    """Return the smallest cosine between two subspaces with orthonormal rows."""
    return float(np.linalg.svd(first @ second.T, compute_uv=False).min())


@pytest.fixture
def low_rank() -> Callable[..., tuple[Floats, Floats]]:
    """Return a maker of spectra of exactly three components."""

    def make(n_spectra: int, n_pixels: int, seed: int = 0) -> tuple[Floats, Floats]:
        rng = np.random.default_rng(seed)
        truth = np.linalg.qr(rng.normal(size=(n_pixels, 3)))[0].T
        return rng.normal(size=(n_spectra, 3)) * [9.0, 4.0, 2.0] @ truth, truth

    return make


@pytest.fixture(scope="module")
def populations() -> StellarPopulations:
    """Return three smooth stellar populations with a few absorption lines."""
    offset = (
        np.arange(REST.n_pixels) - REST.pixel(np.array([2800.0, 3934.8, 3969.6, 4300.0]))[:, None]
    )
    lines = 1 - 2 * gaussian_pixels(offset, 2.0).sum(axis=0)
    log_age = np.array([-1.0, 0.0, 1.0])
    flux = (REST.wave / 4250) ** (2 * log_age[:, None]) * lines
    return StellarPopulations(galaxies.normalise(flux, REST), log_age, 100.0, REST)


def test_components_are_those_of_the_singular_value_decomposition() -> None:
    flux = np.random.default_rng(1).normal(size=(40, 90)) + np.linspace(0, 3, 90)
    components = galaxies.principal_components(flux, np.full(flux.shape, 2.0), 5)
    expected = np.linalg.svd(flux, full_matrices=False)[2][:5]
    np.testing.assert_allclose(np.abs((components * expected).sum(axis=1)), 1, atol=1e-9)


@pytest.mark.parametrize("shape", [(60, 30), (30, 60)])
def test_components_do_not_see_missing_pixels(
    low_rank: Callable[..., tuple[Floats, Floats]], shape: tuple[int, int]
) -> None:
    flux, truth = low_rank(*shape)
    weights = np.random.default_rng(2).uniform(0.5, 2, shape)
    weights[np.random.default_rng(3).random(shape) < 0.2] = 0
    flux[weights == 0] = np.nan
    components = galaxies.principal_components(flux, weights, 3)
    assert overlap(components, truth) > 0.9999


def test_components_are_orthonormal_and_do_not_depend_on_the_order_of_spectra(
    low_rank: Callable[..., tuple[Floats, Floats]],
) -> None:
    flux, _ = low_rank(50, 80)
    flux += np.random.default_rng(4).normal(0, 0.1, flux.shape)
    weights = np.random.default_rng(5).uniform(0.5, 2, flux.shape)
    components = galaxies.principal_components(flux, weights, 3)
    np.testing.assert_allclose(components @ components.T, np.eye(3), atol=1e-10)
    assert (components.max(axis=1) == np.abs(components).max(axis=1)).all()
    again = galaxies.principal_components(flux[::-1], weights[::-1], 3)
    np.testing.assert_allclose(again, components, atol=1e-8)


def test_weights_lower_the_influence_of_noisy_pixels(
    low_rank: Callable[..., tuple[Floats, Floats]],
) -> None:
    flux, truth = low_rank(80, 60)
    sigma = np.where(np.random.default_rng(6).random(flux.shape) < 0.3, 3.0, 0.05)
    noisy = flux + np.random.default_rng(7).normal(size=flux.shape) * sigma
    weighted = galaxies.principal_components(noisy, sigma**-2, 3)
    unweighted = galaxies.principal_components(noisy, np.ones_like(sigma), 3)
    assert overlap(weighted, truth) > 0.999 > overlap(unweighted, truth)


def test_a_pixel_that_no_spectrum_has_is_zero(
    low_rank: Callable[..., tuple[Floats, Floats]],
) -> None:
    flux, _ = low_rank(40, 50)
    weights = np.ones_like(flux)
    weights[:, 7] = 0
    components = galaxies.principal_components(flux, weights, 3)
    np.testing.assert_allclose(components[:, 7], 0, atol=1e-6)


def test_broadening_adds_dispersions_in_quadrature() -> None:
    offset = np.arange(400) - 200.0
    narrow = gaussian_pixels(offset, 3.0)
    sigma = np.array([0.0, 100.0, 250.0])
    wide = galaxies.broaden(np.tile(narrow, (3, 1)), sigma)
    expected = [gaussian_pixels(offset, np.hypot(3.0, s / PIXEL_KMS)) for s in sigma]
    np.testing.assert_allclose(wide, expected, atol=1e-5)


def test_broadening_keeps_a_constant_and_takes_one_spectrum() -> None:
    np.testing.assert_allclose(galaxies.broaden(np.full(37, 2.5), 400.0), 2.5)


def test_mismatch_is_zero_for_a_mixture_of_the_models(populations: StellarPopulations) -> None:
    observed = np.array([0.1, 0.3, 0.6]) @ populations.at(200.0)
    np.testing.assert_allclose(galaxy_library.mismatch(observed, populations), 0, atol=1e-6)


def test_mismatch_finds_a_feature_and_ignores_what_is_unknown(
    populations: StellarPopulations,
) -> None:
    observed = populations.at(200.0)[2].copy()
    pixel = int(REST.pixel(3200.0))
    observed[pixel - 3 : pixel + 4] += 0.2
    observed[REST.wave < 2300] = np.nan
    found = galaxy_library.mismatch(observed, populations)
    assert found[pixel] == pytest.approx(0.2, abs=0.01)
    assert (found[REST.wave < 2290] == 0).all()


def test_library_is_normalised_and_spans_the_dispersions(populations: StellarPopulations) -> None:
    none = np.zeros((1, REST.n_pixels))
    flux, vdisp = galaxy_library.library_of_galaxies(
        populations, none, 60, np.random.default_rng(8)
    )
    low, high = galaxies.NORMALISATION_ANGSTROM
    band = (REST.wave >= low) & (REST.wave < high)
    np.testing.assert_allclose(flux[:, band].mean(axis=1), 1)
    assert vdisp.min() >= 100
    assert vdisp.max() <= 400
    assert vdisp.mean() == pytest.approx(230, abs=25)


def test_library_components_reproduce_the_library(populations: StellarPopulations) -> None:
    none = np.zeros((1, REST.n_pixels))
    flux, _ = galaxy_library.library_of_galaxies(populations, none, 60, np.random.default_rng(9))
    components, coefficients = galaxy_library.library_components(flux, REST, 6)
    seen = (REST.wave > 2300) & (REST.wave < 4300)
    assert np.std((coefficients @ components - flux)[:, seen]) < 0.01
    power = (coefficients**2).sum(axis=0)
    assert (np.diff(power) < 0).all()


def test_bundled_basis_is_what_the_search_needs() -> None:
    basis = Eigenspectra.read()
    assert len(basis.components) == 10
    assert basis.grid == REST
    z = np.array([0.3, 1.5])
    assert basis.at(z, WINDOW)[1].all()
    used = (REST.wave > 2000) & (REST.wave < 9000)
    assert (basis.components[0, used] > 0).all()


def test_bundled_population_is_normalised_and_nearly_positive() -> None:
    population = GalaxyPopulation.bundled()
    flux = population.coefficients @ population.basis.components
    low, high = galaxies.NORMALISATION_ANGSTROM
    band = (REST.wave >= low) & (REST.wave < high)
    np.testing.assert_allclose(flux[:, band].mean(axis=1), 1, atol=1e-5)
    assert flux[:, REST.wave > 2000].min() > -0.05
    assert np.median(population.vdisp) == pytest.approx(230, abs=10)


def test_drawn_galaxies_follow_the_generator_and_the_redshift() -> None:
    population = GalaxyPopulation.bundled()
    z = np.linspace(0.3, 1.4, 300)
    flux, vdisp = population.draw(z, WINDOW, np.random.default_rng(10))
    again, _ = population.draw(z, WINDOW, np.random.default_rng(10))
    assert flux.shape == (300, WINDOW.n_pixels)
    assert flux.dtype == np.float32
    assert np.isfinite(flux).all()
    np.testing.assert_array_equal(flux, again)
    assert vdisp.min() >= 100
    assert vdisp.max() <= 400
    low, high = galaxies.NORMALISATION_ANGSTROM
    at_rest = LogGrid.covering(low, high)
    rest_flux, _ = population.draw(np.zeros(20), at_rest, np.random.default_rng(11))
    np.testing.assert_allclose(rest_flux.mean(axis=1), 1, atol=1e-4)


def test_larger_dispersion_means_shallower_lines() -> None:
    population = GalaxyPopulation.bundled()
    grid = LogGrid.covering(3900.0, 4600.0)
    flux, vdisp = population.draw(np.zeros(600), grid, np.random.default_rng(12))
    sharpness = np.abs(np.diff(flux, n=2, axis=1)).mean(axis=1)
    assert np.corrcoef(sharpness, vdisp)[0, 1] < -0.6


def test_no_drawn_galaxy_lies_in_the_basis_that_is_fitted() -> None:
    population = GalaxyPopulation.bundled()
    z = np.full(5, 0.55)
    flux, _ = population.draw(z, WINDOW, np.random.default_rng(13))
    fitted = population.basis.at(z[:1], WINDOW, 6)[0][0]
    left = flux.T - fitted.T @ np.linalg.lstsq(fitted.T, flux.T, rcond=None)[0]
    assert (left.std(axis=0) > 1e-4).all()
