"""The fit of the lens galaxy, held to a slow and obvious twin."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.polynomial.legendre import Legendre
from numpy.typing import NDArray

from speclens.config import Config
from speclens.eigenspectra import Eigenspectra
from speclens.sample.foreground import Foreground
from speclens.spectra import LogGrid, SpectrumBatch

Batch = Callable[..., tuple[SpectrumBatch, NDArray[np.float64]]]


@pytest.fixture(scope="module", params=["speclens", "shu2016"])
def fitted(request: pytest.FixtureRequest) -> tuple[Foreground, LogGrid, int, int]:
    from speclens.config import load_config

    config = load_config(request.param)
    grid = LogGrid.covering(*config.preparation.window)
    numbers = config.foreground.n_components, config.foreground.n_polynomial
    return Foreground(grid, config.foreground), grid, *numbers


def design_of(z: float, grid: LogGrid, n_components: int, n_terms: int) -> NDArray[np.float64]:
    """One spectrum's design matrix, (L, M)."""
    components = Eigenspectra.read().at(np.array([z]), grid, n_components)[0][0]
    x = np.linspace(-1, 1, grid.n_pixels)
    terms = [Legendre.basis(order)(x) for order in range(n_terms)]
    return np.vstack([components, *terms]).T


def slow_fit(
    flux: NDArray[np.float64], ivar: NDArray[np.float64], design: NDArray[np.float64]
) -> NDArray[np.float64]:
    root = np.sqrt(ivar)
    scale = np.linalg.norm(design * root[:, None], axis=0)
    solution = np.linalg.lstsq(design * root[:, None] / scale, flux * root, rcond=None)[0]
    return design / scale @ solution


@pytest.mark.parametrize(
    ("seen", "tolerance"),
    [("all", 0.04), ("scattered", 0.04), ("blue", 0.5), ("red", 0.5)],
)
@pytest.mark.parametrize("snr", [0.6, 10.0])
def test_batch_fit_is_the_weighted_least_squares_of_each_spectrum(
    fitted: tuple[Foreground, LogGrid, int, int], seen: str, tolerance: float, snr: float
) -> None:
    # The fast fit sums in single precision; a narrow window makes its components nearly equal.
    foreground, grid, n_components, n_terms = fitted
    rng = np.random.default_rng(1)
    z = rng.uniform(0.35, 1.2, 100)
    galaxy = Eigenspectra.read().at(z, grid, 1)[0][:, 0]
    galaxy = galaxy / galaxy.mean(axis=1, keepdims=True)
    sigma = rng.uniform(0.5, 2, galaxy.shape) / snr
    flux = (galaxy + sigma * rng.normal(size=galaxy.shape)).astype("f4")
    ivar = (sigma**-2).astype("f4")
    hidden = {
        "all": rng.random(flux.shape) < 0,
        "scattered": rng.random(flux.shape) < 0.5,
        "blue": np.broadcast_to(np.arange(grid.n_pixels) >= 220, flux.shape),
        "red": np.broadcast_to(np.arange(grid.n_pixels) < grid.n_pixels - 220, flux.shape),
    }[seen]
    ivar[hidden] = 0
    model, covered = foreground.fit(flux, ivar, z)
    assert covered.all()
    for i in range(len(z)):
        expected = slow_fit(
            flux[i].astype(float), ivar[i].astype(float),
            design_of(z[i], grid, n_components, n_terms),
        )  # fmt: skip
        used = ~hidden[i]
        error = (model[i] - expected)[used] * np.sqrt(ivar[i, used])
        assert np.abs(error).max() < tolerance


def test_a_combination_of_the_basis_is_recovered(
    fitted: tuple[Foreground, LogGrid, int, int],
) -> None:
    foreground, grid, n_components, n_terms = fitted
    rng = np.random.default_rng(2)
    z = rng.uniform(0.35, 1.0, 5)
    flux = np.empty((5, grid.n_pixels), "f4")
    for i in range(5):
        design = design_of(z[i], grid, n_components, n_terms)
        design /= np.abs(design).max(axis=0)
        flux[i] = design @ rng.normal(0, 3, design.shape[1])
    ivar = rng.uniform(1, 5, flux.shape).astype("f4")
    model, _ = foreground.fit(flux, ivar, z)
    np.testing.assert_allclose(model, flux, atol=0.01)
    assert np.std(flux) > 2


def test_pixels_without_weight_have_no_influence(
    fitted: tuple[Foreground, LogGrid, int, int],
) -> None:
    foreground, grid, _, _ = fitted
    rng = np.random.default_rng(3)
    flux = rng.normal(2, 0.5, (3, grid.n_pixels)).astype("f4")
    ivar = np.ones_like(flux)
    ivar[:, 200:260] = 0
    z = np.array([0.4, 0.5, 0.6])
    model, _ = foreground.fit(flux, ivar, z)
    spoiled = flux.copy()
    spoiled[:, 200:260] = 1e5
    np.testing.assert_allclose(foreground.fit(spoiled, ivar, z)[0], model, atol=1e-6)


def test_the_fit_scales_with_the_flux_and_ignores_the_scale_of_the_errors(
    fitted: tuple[Foreground, LogGrid, int, int],
) -> None:
    foreground, grid, _, _ = fitted
    rng = np.random.default_rng(4)
    flux = rng.normal(2, 0.5, (2, grid.n_pixels)).astype("f4")
    ivar, z = np.ones_like(flux), np.array([0.4, 0.5])
    model, _ = foreground.fit(flux, ivar, z)
    np.testing.assert_allclose(foreground.fit(flux * 64, ivar, z)[0], model * 64, rtol=1e-6)
    np.testing.assert_allclose(foreground.fit(flux, ivar * 1e-6, z)[0], model, atol=2e-3)


def test_pixels_beyond_the_basis_are_reported_and_not_fitted(
    fitted: tuple[Foreground, LogGrid, int, int],
) -> None:
    foreground, grid, _, _ = fitted
    z = np.array([1.8, 0.5])  # the basis ends at 1500 Angstrom at rest
    flux = np.random.default_rng(5).normal(2, 0.5, (2, grid.n_pixels)).astype("f4")
    model, covered = foreground.fit(flux, np.ones_like(flux), z)
    edge = 1500 * 2.8
    assert not covered[0, grid.wave < edge - 1].any()
    assert covered[0, grid.wave > edge + 1].all()
    assert covered[1].all()
    spoiled = flux.copy()
    spoiled[0, ~covered[0]] = 1e4
    np.testing.assert_array_equal(foreground.fit(spoiled, np.ones_like(flux), z)[0], model)


def test_degenerate_spectra_raise_nothing_and_leave_their_neighbours_alone(
    fitted: tuple[Foreground, LogGrid, int, int],
) -> None:
    foreground, grid, _, _ = fitted
    flux = np.random.default_rng(6).normal(2, 0.5, (6, grid.n_pixels)).astype("f4")
    ivar, z = np.ones_like(flux), np.full(6, 0.5)
    healthy = foreground.fit(flux[:1], ivar[:1], z[:1])[0][0]
    flux[1:] = flux[0]
    ivar[1] = 0
    ivar[2, 4:] = 0
    ivar[3] = 1e-38
    ivar[4, 100] = np.nan
    model, _ = foreground.fit(flux, ivar, z)
    assert np.isfinite(model[[0, 1, 2, 5]]).all()
    assert (model[1] == 0).all()
    assert np.isnan(model[4]).all()
    for row in (0, 5):
        np.testing.assert_allclose(model[row], healthy, atol=1e-6)


def test_more_components_than_the_basis_has_are_cut(config: Config) -> None:
    grid = LogGrid.covering(3800.0, 5000.0)
    many = config.foreground.model_copy(update={"n_components": 99})
    all_of_it = config.foreground.model_copy(update={"n_components": 10})
    flux = np.random.default_rng(7).normal(2, 0.5, (1, grid.n_pixels)).astype("f4")
    z, ivar = np.array([0.5]), np.ones((1, grid.n_pixels), "f4")
    np.testing.assert_array_equal(
        Foreground(grid, many).fit(flux, ivar, z)[0],
        Foreground(grid, all_of_it).fit(flux, ivar, z)[0],
    )


def test_a_fit_without_polynomial_is_one_of_eigenspectra_only(config: Config) -> None:
    grid = LogGrid.covering(3800.0, 5000.0)
    plain = config.foreground.model_copy(update={"n_polynomial": 0, "n_components": 2})
    flux = np.random.default_rng(8).normal(2, 0.5, (1, grid.n_pixels)).astype("f4")
    model, _ = Foreground(grid, plain).fit(flux, np.ones_like(flux), np.array([0.5]))
    design = design_of(0.5, grid, 2, 0)
    expected = slow_fit(flux[0].astype(float), np.ones(grid.n_pixels), design)
    np.testing.assert_allclose(model[0], expected, atol=1e-5)
