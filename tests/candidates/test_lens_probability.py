"""P_LENSED against rays that are traced, and in the limits that are known."""

from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import quad

from speclens.candidates import lens_probability as lensing
from speclens.candidates.lens_model import einstein_radius
from speclens.candidates.lens_probability import Fibre, lens_probability, lensed_share
from speclens.config import CandidatesConfig, load_config
from speclens.cosmology import cosmology_named, luminosity_of_unit_flux
from speclens.lines import LYMAN_ALPHA
from speclens.luminosity_functions import source_populations
from speclens.schema import HITS, dtype_of

Floats = NDArray[np.float64]

BOSS = Fibre(1.0, 0.65)
OII = 3728.48
SIGMAS = (150.0, 200.0, 250.0, 300.0, 350.0)
REDSHIFTS = ((0.1, 0.3), (0.1, 1.0), (0.3, 0.7), (0.5, 0.9), (0.5, 2.5), (0.8, 1.2), (0.8, 3.0))


def share(
    theta: Floats | float, luminosity: float, alpha: float, fibre: Fibre, error: float = 0.0
) -> Floats:
    radii = np.atleast_1d(np.asarray(theta, np.float64))
    one = np.ones(len(radii))
    return lensed_share(radii, error * one, luminosity * one, alpha * one, fibre)


@pytest.fixture(scope="module")
def ray_tracing() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "ray_tracing.py"
    spec = importlib.util.spec_from_file_location("ray_tracing", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["ray_tracing"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def config() -> CandidatesConfig:
    return load_config().candidates


@pytest.fixture
def hits() -> NDArray[np.void]:
    rows = np.zeros(4, dtype_of(HITS))
    rows["SURVEY"], rows["PLATE"] = "sdss", 4731
    rows["Z"], rows["Z_SOURCE"], rows["WAVE"] = 0.5, 2.5, LYMAN_ALPHA * 3.5
    rows["VDISP"], rows["VDISP_ERR"], rows["FLUX"] = 180, 20, 12
    return rows


@pytest.mark.parametrize(("z_lens", "z_source"), REDSHIFTS)
def test_it_is_what_traced_rays_say(
    z_lens: float, z_source: float, rng: np.random.Generator, ray_tracing: ModuleType
) -> None:
    cosmology, z = cosmology_named("Planck18"), np.array([z_source])
    wave = np.array([LYMAN_ALPHA if z_source > 2 else OII])
    l_star, alpha = source_populations(wave, z)
    # At arm's length: angular diameter distances, where the package has comoving ones.
    to_source = cosmology.angular_diameter_distance(z_source)
    ratio = (cosmology.angular_diameter_distance(z_lens, z_source) / to_source).value
    for sigma in SIGMAS:
        bright = luminosity_of_unit_flux(z, cosmology) * rng.uniform(5, 25) / l_star
        case = ray_tracing.Case(sigma, 20.0, ratio, bright[0], alpha[0])
        theta = einstein_radius(np.array([sigma]), np.array([z_lens]), z, cosmology)
        found = lensed_share(theta, np.array([20 / sigma]), bright, alpha, BOSS)
        assert found[0] == pytest.approx(ray_tracing.trace(case, 40_000, rng), abs=0.02)


def test_a_lens_of_no_mass_makes_no_image_more() -> None:
    found = share(np.array([1e-6, 1e-3, 1e-2]), 1.0, -1.75, BOSS)
    assert found[0] < 1e-9
    assert found[2] / found[1] == pytest.approx(100, rel=0.1)  # as the area


def test_it_grows_with_the_velocity_dispersion() -> None:
    sigma = np.linspace(50, 400, 60)
    for fibre in (Fibre(0.75, 0.6), BOSS, Fibre(1.5, 0.65)):
        for luminosity in (0.01, 0.3, 3.0):
            found = share(1.4 * (sigma / 220) ** 2, luminosity, -1.6, fibre, 0.1)
            assert (np.diff(found) > -1e-6).all()
            assert found[0] < 0.25
            assert found[-1] > 0.95


def test_without_magnification_it_is_the_bare_ratio_of_areas(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As many sources at every brightness (alpha -1) do not mind how magnified they are."""
    monkeypatch.setattr(lensing, "N_OUTSIDE", 800)
    theta = np.array([0.02, 0.1, 0.3])
    found = share(theta, 1e-4, -1.0, Fibre(1.0, 0.002))
    # A source whose image enters at the edge of the fibre lies one Einstein radius further in.
    np.testing.assert_allclose(found, theta**2 / (1 - theta) ** 2, rtol=0.05)
    assert found[0] == pytest.approx(0.02**2, rel=0.1)


@pytest.mark.parametrize("alpha", [-1.35, -1.75])
def test_in_a_wide_fibre_it_is_the_magnified_area_over_that_of_the_fibre(alpha: float) -> None:
    # All light of both images enters: 2 theta / beta. Of faint sources L^alpha counts.
    inside = 2 ** (-alpha - 1) / (3 + alpha)
    for radius in (20.0, 40.0):
        outside, _ = quad(lambda b: (1 + 1 / b) ** (-alpha - 1) * b, 1, radius - 1)
        found = share(1.0, 1e-4, alpha, Fibre(radius, 0.65))[0]
        assert found == pytest.approx(inside / (inside + outside), rel=0.1)


def test_bright_sources_are_magnified_ones() -> None:
    found = [share(0.4, luminosity, -1.75, BOSS)[0] for luminosity in (0.01, 0.1, 1, 3, 10)]
    assert (np.diff(found) > 0).all()
    assert found[0] < 0.5
    assert found[-1] > 0.99


def test_an_uncertain_dispersion_makes_it_less_certain() -> None:
    low, high = share(np.array([0.15, 1.3]), 1.0, -1.6, BOSS)
    vague = share(np.array([0.15, 1.3]), 1.0, -1.6, BOSS, 0.25)
    assert vague[0] > low
    assert vague[1] < high


def test_light_enters_a_fibre_as_photons_do(rng: np.random.Generator) -> None:
    photons = rng.normal(0, 0.65, (2, 400_000))
    middle = (np.hypot(*photons) < 1).mean()
    for distance in (0.0, 0.4, 1.0, 1.7):
        entered = (np.hypot(photons[0] + distance, photons[1]) < 1).mean()
        found = BOSS.light(np.array([distance]))[0]
        assert found == pytest.approx(entered / middle, abs=0.005)
    assert BOSS.light(np.array([30.0]))[0] < 1e-9


def test_hits_have_it_where_it_can_be_told(
    hits: NDArray[np.void], config: CandidatesConfig
) -> None:
    found = lens_probability(hits, config)
    assert (found == found[0]).all()
    assert 0.5 < found[0] < 1
    swapped = hits.astype(hits.dtype.newbyteorder(">"))
    assert lens_probability(swapped, config).tolist() == found.tolist()
    assert lens_probability(hits[:0], config).shape == (0,)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("Z_SOURCE", 0.4), ("Z_SOURCE", np.nan), ("Z_SOURCE", -1.0), ("Z", np.nan), ("FLUX", 0),
        ("FLUX", -3), ("FLUX", np.nan), ("FLUX", np.inf), ("WAVE", 5000.0), ("SURVEY", "toy"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_no_number(
    hits: NDArray[np.void], config: CandidatesConfig, column: str, value: float | str
) -> None:
    before = lens_probability(hits, config)
    hits[column][1] = value
    found = lens_probability(hits, config)
    assert np.isnan(found[1])
    assert found[[0, 2, 3]].tolist() == before[[0, 2, 3]].tolist()


def test_the_wide_fibres_of_sdss_see_more_sources_that_are_not_lensed(
    hits: NDArray[np.void], config: CandidatesConfig
) -> None:
    hits["PLATE"] = [3509, 3510, -1, 266]
    found = lens_probability(hits, config)
    assert found[0] == found[3] < found[1] == found[2]


def test_a_typical_dispersion_stands_for_an_unknown_one(
    hits: NDArray[np.void], config: CandidatesConfig
) -> None:
    hits["VDISP"][1], hits["VDISP_ERR"][1] = config.vdisp_typical
    hits["VDISP"][2] = np.nan
    found = lens_probability(hits, config)
    assert found[1] == pytest.approx(found[2])


def test_the_line_that_is_seen_says_which_sources_there_are(
    hits: NDArray[np.void], config: CandidatesConfig
) -> None:
    hits["Z_SOURCE"], hits["Z"], hits["FLUX"] = 0.8, 0.3, 30
    hits["WAVE"] = np.array([OII, 4862.683, 5008.239, 4341.684]) * 1.8
    found = lens_probability(hits, config)
    assert np.isfinite(found).all()
    assert len(np.unique(found)) == 4


def test_ten_thousand_hits_take_seconds(hits: NDArray[np.void], config: CandidatesConfig) -> None:
    many = np.repeat(hits, 2500)
    many["FLUX"] = np.linspace(3, 50, 10_000)
    start = time.perf_counter()
    assert np.isfinite(lens_probability(many, config)).all()
    assert time.perf_counter() - start < 10
