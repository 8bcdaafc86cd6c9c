"""Sources behind targets: bright enough, behind, and lensed where the lens makes them bright."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.cosmology import Planck18
from numpy.typing import NDArray

from speclens.candidates.lens_model import einstein_radius
from speclens.config import BackgroundConfig, load_config
from speclens.luminosity_functions import LUMINOSITY_FUNCTIONS, LuminosityFunction
from speclens.simulate.background import draw_sources, fibre_magnification

Floats = NDArray[np.float64]

PLAIN = LuminosityFunction("[O II]", 42.0, 0.0, (0.0, 9.0), -1.5, log_phi_star=0.0)


@pytest.fixture(scope="module")
def config() -> BackgroundConfig:
    return load_config().survey.background


@pytest.mark.parametrize(("line", "z_max"), [("[O II]", 1.5), ("Ly alpha", 3.5)])
def test_sources_are_behind_and_bright_enough(
    config: BackgroundConfig, rng: np.random.Generator, line: str, z_max: float
) -> None:
    z_lens = rng.uniform(0.2, z_max, 200)
    low, high = config.elg_redshifts if line == "[O II]" else config.lya_redshifts
    function = LUMINOSITY_FUNCTIONS[line]
    sources = draw_sources(z_lens, np.full(200, 220.0), function, (low, high), config, rng)
    assert (sources.z >= np.maximum(z_lens + config.z_margin, low)).all()
    assert (sources.z <= high).all()
    assert (sources.flux >= config.flux_min).all()
    assert np.median(sources.flux) < 2.5 * config.flux_min
    assert 0.2 < sources.lensed.mean() < 0.95


def test_strong_deflectors_lens_more_of_what_is_seen_and_none_lens_nothing(
    config: BackgroundConfig,
) -> None:
    function = LUMINOSITY_FUNCTIONS["[O II]"]

    def share(sigma: float) -> float:
        rng = np.random.default_rng(2)
        z_lens, sigmas = np.full(300, 0.5), np.full(300, sigma)
        redshifts = config.elg_redshifts
        drawn = draw_sources(z_lens, sigmas, function, redshifts, config, rng)
        return float(drawn.lensed.mean())

    assert share(1.0) == 0
    assert share(120.0) < share(200.0) - 0.1 < share(300.0) - 0.2


def test_fluxes_without_a_lens_follow_the_luminosity_function(config: BackgroundConfig) -> None:
    """Counts of a Schechter function, integrated over the cone by hand."""
    plain = config.model_copy(update={"impact_max": 1e-3, "fibre_radius": 50.0})
    rng = np.random.default_rng(3)
    sources = draw_sources(np.zeros(4000), np.zeros(4000), PLAIN, (0.5, 1.2), plain, rng)
    z, flux = np.linspace(0.5, 1.2, 200)[:, None], np.geomspace(config.flux_min, 300, 400)
    distance = Planck18.comoving_distance(z).to_value("cm")
    volume = distance**2 * np.gradient(distance[:, 0], z[:, 0])[:, None]
    x = 4 * np.pi * ((1 + z) * distance) ** 2 * flux * 1e-17 / 1e42
    counts = volume * x**-0.5 * np.exp(-x)  # of ln flux
    for values, grid, weights in (
        (sources.flux, flux, counts.sum(axis=0)),
        (sources.z, z[:, 0], counts.sum(axis=1)),
    ):
        cumulative = np.cumsum(weights) / weights.sum()
        expected = np.interp([0.25, 0.5, 0.75], cumulative, grid)
        np.testing.assert_allclose(np.quantile(values, [0.25, 0.5, 0.75]), expected, rtol=0.05)


def test_without_a_fibre_the_magnification_is_that_of_an_isothermal_sphere(
    config: BackgroundConfig,
) -> None:
    wide = config.model_copy(update={"fibre_radius": 50.0, "source_radius": 1e-6})
    beta, radius = np.array([0.2, 0.5, 0.99, 1.5, 2.0]), np.ones(5)
    expected = np.where(beta < 1, 2 / beta, 1 + 1 / beta)
    np.testing.assert_allclose(fibre_magnification(beta, radius, wide), expected, rtol=1e-6)


def test_the_fibre_takes_what_the_blurred_images_put_into_it(
    config: BackgroundConfig, rng: np.random.Generator
) -> None:
    photons = config.seeing_sigma * rng.standard_normal((2, 400000))
    for beta, radius in ((0.4, 1.1), (1.3, 0.9), (0.7, 0.0)):
        images = [(beta + radius, 1 + radius / beta)]
        if beta < radius:
            images.append((beta - radius, radius / beta - 1))
        seen = sum(
            weight * (np.hypot(photons[0] + place, photons[1]) < config.fibre_radius).mean()
            for place, weight in images
        )
        found = fibre_magnification(np.array([beta]), np.array([radius]), config)[0]
        assert found == pytest.approx(seen, rel=0.01)


def test_a_source_is_lensed_within_the_einstein_radius_of_the_candidates(
    config: BackgroundConfig,
) -> None:
    """All sources at one redshift: the lensed share of a cone is its area within the radius."""
    even = config.model_copy(update={"flux_min": 1e-30, "impact_max": 3.0})
    n, rng = 4000, np.random.default_rng(4)
    sources = draw_sources(np.full(n, 0.5), np.full(n, 300.0), PLAIN, (1.0, 1.1), even, rng)
    radius = einstein_radius(np.array([300.0]), np.array([0.5]), np.array([1.05]), Planck18)[0]
    assert sources.lensed.mean() == pytest.approx((radius / 3) ** 2, rel=0.12)
