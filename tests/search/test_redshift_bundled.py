"""The bundled network of redshifts finds bright galaxies, whatever befell their spectra."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.config import Config, load_config
from speclens.sample.preparation import Preparation
from speclens.search.matched_filter import MatchedFilter
from speclens.search.search import Found
from speclens.search.searches import open_search
from speclens.simulate.emission_galaxies import draw_emission, emission_spectra
from speclens.simulate.survey import make_plate
from speclens.simulate.training_set import on_window, survey_of_galaxies
from speclens.spectra import SpectrumBatch

N = 30
SNR = 25.0
Look = Callable[..., Found]


@pytest.fixture(scope="module")
def config() -> Config:
    return load_config("redshift")


@pytest.fixture(scope="module")
def preparation(config: Config) -> Preparation:
    return Preparation(config)


@pytest.fixture(scope="module")
def empty(config: Config, preparation: Preparation) -> SpectrumBatch:
    """Galaxies with nothing behind them."""
    plate, _ = make_plate(0, survey_of_galaxies(config, N), np.random.default_rng(4))
    return on_window(plate, preparation.grid)


@pytest.fixture(scope="module")
def z_source(empty: SpectrumBatch) -> NDArray[np.float64]:
    z = empty.targets["Z"].astype(float)
    return z + 0.08 + np.random.default_rng(5).random(N) * (0.8 - z).clip(0.05)


def lines_of(batch: SpectrumBatch, z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lines of a galaxy in each spectrum, bright where the survey saw it."""
    galaxies = draw_emission(z, (60.0, 60.0), np.random.default_rng(6))
    lines = emission_spectra(galaxies, batch.grid, batch.dispersion).sum(axis=0)
    ideal = np.sqrt((lines**2 * batch.ivar).sum(axis=1))
    return np.asarray(lines * (SNR / ideal)[:, None], np.float64)


@pytest.fixture(scope="module")
def with_sources(empty: SpectrumBatch, z_source: NDArray[np.float64]) -> SpectrumBatch:
    return replace(empty, flux=(empty.flux + lines_of(empty, z_source)).astype(np.float32))


@pytest.fixture(scope="module")
def look(config: Config, preparation: Preparation) -> Look:
    """`look(batch, z=None)`: what is found."""
    matched_filter = MatchedFilter(preparation.grid, config.matched_filter)
    search = open_search(config, matched_filter)

    def found(batch: SpectrumBatch, z: NDArray[np.float64] | None = None) -> Found:
        prepared = preparation(batch, batch.targets["Z"].astype(float) if z is None else z)
        return search(prepared, matched_filter.search(prepared.residual, prepared.ivar))

    return found


def right(found: Found, z: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which spectra have a hit at the redshift of their source."""
    assert found.sources is not None
    row = found.hits["ROW"]
    near = np.abs(found.sources["Z_SOURCE"] - z[row]) < 0.003 * (1 + z[row])
    return np.isin(np.arange(N), row[near])


def part_of(batch: SpectrumBatch, seen: NDArray[np.bool_]) -> SpectrumBatch:
    """The same spectra, of which only some pixels are there."""
    return replace(
        batch, ivar=np.where(seen, batch.ivar, np.float32(0)), covered=batch.covered & seen
    )


def test_bright_galaxies_are_found_at_their_redshift_and_nothing_is_not(
    look: Look, empty: SpectrumBatch, with_sources: SpectrumBatch, z_source: NDArray[np.float64]
) -> None:
    assert right(look(with_sources), z_source).sum() >= 0.8 * N
    assert len(look(empty).hits) <= 1


def test_f6_flux_in_another_unit_changes_nothing(look: Look, with_sources: SpectrumBatch) -> None:
    scaled = replace(
        with_sources, flux=with_sources.flux * np.float32(64), ivar=with_sources.ivar / 64**2
    )
    one, other = look(with_sources), look(scaled)
    assert one.sources is not None
    assert other.sources is not None
    np.testing.assert_array_equal(one.hits["ROW"], other.hits["ROW"])
    for name in ("Z_SOURCE", "LN_EVIDENCE"):
        np.testing.assert_allclose(one.sources[name], other.sources[name], rtol=1e-3, atol=1e-3)


def test_one_arm_is_enough_for_what_it_shows(
    look: Look, empty: SpectrumBatch, with_sources: SpectrumBatch, z_source: NDArray[np.float64]
) -> None:
    red = np.broadcast_to(empty.grid.wave > 6000, empty.flux.shape)
    found = look(part_of(with_sources, red))
    assert right(found, z_source).sum() >= 0.4 * N
    assert len(look(part_of(empty, red)).hits) <= 1


def test_a_few_pixels_tell_nothing(look: Look, empty: SpectrumBatch) -> None:
    few = np.zeros(empty.flux.shape, bool)
    few[:, 1500:1800] = True
    found = look(part_of(empty, few))
    assert len(found.hits) == 0
    assert not (found.probability > 0.5).any()


def test_a_wrong_redshift_of_the_lens_is_no_source(look: Look, empty: SpectrumBatch) -> None:
    z = empty.targets["Z"].astype(float)
    assert len(look(empty, z + 0.15).hits) <= 0.2 * N


def test_two_sources_are_two_hits(
    look: Look, with_sources: SpectrumBatch, z_source: NDArray[np.float64]
) -> None:
    second = np.clip(z_source + 0.21, None, 1.2)
    both = lines_of(with_sources, second) + with_sources.flux
    found = look(replace(with_sources, flux=both.astype(np.float32)))
    assert (right(found, z_source) & right(found, second)).sum() >= 0.4 * N


def test_a_galaxy_before_the_lens_is_no_source(look: Look, empty: SpectrumBatch) -> None:
    z = empty.targets["Z"].astype(float)
    before = np.clip(z - 0.15, 0.03, None)
    chosen = z - before > 0.08
    spectra = replace(empty, flux=(empty.flux + lines_of(empty, before)).astype(np.float32))
    hits = look(spectra).hits
    assert np.isin(np.flatnonzero(chosen), hits["ROW"]).mean() < 0.25
