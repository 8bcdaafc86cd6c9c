"""Luminosities and Einstein radii against sums that are slow and obvious."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.candidates.lens_model import einstein_radius
from speclens.cosmology import cosmology_named, luminosity_of_unit_flux
from speclens.errors import ConfigError

HUBBLE, MATTER = 67.66, 0.30966  # Planck Collaboration 2018
CM_PER_MPC = 3.0856775814913673e24
KMS = 299792.458


def distance_mpc(z: float) -> float:
    """Comoving distance in a flat universe of matter and a constant; radiation is 0.3 per cent."""
    step = z / 20000
    middle = (np.arange(20000) + 0.5) * step
    return float(KMS / HUBBLE * np.sum(step / np.sqrt(MATTER * (1 + middle) ** 3 + 1 - MATTER)))


@pytest.fixture
def redshifts(rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return rng.uniform(0.2, 1.2, 20), rng.uniform(2.1, 3.2, 20)


def test_the_radius_is_that_of_a_sphere_at_those_distances(
    redshifts: tuple[NDArray[np.float64], NDArray[np.float64]], rng: np.random.Generator
) -> None:
    z_lens, z_source = redshifts
    sigma = rng.uniform(100, 350, 20)
    found = einstein_radius(sigma, z_lens, z_source, cosmology_named("Planck18"))
    for i in range(20):
        to_lens, to_source = distance_mpc(z_lens[i]), distance_mpc(z_source[i])
        angular = (to_source - to_lens) / (1 + z_source[i]), to_source / (1 + z_source[i])
        expected = 4 * np.pi * (sigma[i] / KMS) ** 2 * angular[0] / angular[1]
        assert found[i] == pytest.approx(expected * 206264.806, rel=2e-3)


def test_the_luminosity_spreads_the_flux_over_a_sphere(
    redshifts: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> None:
    z_source = redshifts[1]
    found = luminosity_of_unit_flux(z_source, cosmology_named("Planck18"))
    for z, luminosity in zip(z_source, found, strict=True):
        radius = (1 + z) * distance_mpc(z) * CM_PER_MPC
        assert luminosity * 1e42 == pytest.approx(4 * np.pi * radius**2 * 1e-17, rel=5e-3)


def test_a_lens_of_200_km_s_bends_light_by_1_15_arc_seconds() -> None:
    found = einstein_radius(
        np.array([200.0]), np.array([0.0]), np.array([2.5]), cosmology_named("Planck18")
    )
    assert found[0] == pytest.approx(1.154, abs=1e-3)  # of a lens nearby, D_LS / D_S = 1


@pytest.mark.parametrize("z", [0.0, -0.5, np.nan, np.inf])
def test_a_line_without_a_redshift_has_no_luminosity(z: float) -> None:
    assert np.isnan(luminosity_of_unit_flux(np.array([z]), cosmology_named("Planck18"))).all()


def test_nothing_gives_nothing() -> None:
    none = np.zeros(0)
    cosmology = cosmology_named("Planck18")
    assert luminosity_of_unit_flux(none, cosmology).shape == (0,)
    assert einstein_radius(none, none, none, cosmology).shape == (0,)


def test_every_cosmology_of_astropy_is_flat_as_the_radius_needs() -> None:
    from astropy.cosmology import available

    for name in available:
        assert cosmology_named(name).Ok0 == 0


@pytest.mark.parametrize(
    ("name", "near"), [("planck18", "Planck18"), ("Planck2018", "Planck18"), ("WMAP_9", "WMAP9")]
)
def test_an_unknown_cosmology_is_refused_with_the_nearest(name: str, near: str) -> None:
    with pytest.raises(ConfigError, match=f"candidates.cosmology: '{name}'.*mean '{near}'"):
        cosmology_named(name)


@pytest.mark.parametrize("name", ["", "__name__", "units", "FlatLambdaCDM", "Einstein-de Sitter"])
def test_what_is_no_cosmology_is_refused_with_all_there_are(name: str) -> None:
    with pytest.raises(ConfigError, match=r"known: .*Planck18"):
        cosmology_named(name)
