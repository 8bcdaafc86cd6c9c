"""The search of lines: a galaxy that is put behind a lens comes back, and nothing else does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.config import Config, load_config
from speclens.lines import LYMAN_ALPHA, PIXEL_LOGLAM, REST_LINES, gaussian_pixels
from speclens.sample.preparation import PreparedSpectra
from speclens.search.lines import LineSearch
from speclens.search.matched_filter import MatchedFilter
from speclens.search.search import Found
from speclens.simulate.emission_galaxies import GalaxyEmission, draw_emission, emission_spectra
from speclens.spectra import LogGrid

Floats = NDArray[np.float64]
N = 60


def prepared(grid: LogGrid, flux: Floats, z: Floats, error: float = 1.0) -> PreparedSpectra:
    """Spectra without a foreground."""
    shape, n = flux.shape, len(flux)
    zeros = np.zeros(shape, np.float32)
    return PreparedSpectra(
        grid, flux.astype(np.float32), np.full(shape, error**-2, np.float32), zeros, zeros + 1,
        np.zeros(n, "U24"), np.zeros(n, np.int32), *np.ones((2, n), np.float32), z,
    )  # fmt: skip


def found(search: LineSearch, elg: Config, spectra: PreparedSpectra) -> Found:
    matched_filter = MatchedFilter(spectra.grid, elg.matched_filter)
    return search(spectra, matched_filter.search(spectra.residual, spectra.ivar))


def emission(galaxies: GalaxyEmission, grid: LogGrid, snr: float) -> Floats:
    """Lines of galaxies, of a total S/N over errors of 1, before they grow."""
    spread = np.ones((len(galaxies.z), grid.n_pixels))
    lines = emission_spectra(galaxies, grid, spread).sum(axis=0)
    return np.asarray(lines * snr / np.sqrt((lines**2).sum(axis=1, keepdims=True)))


def sources(grid: LogGrid, z: Floats, snr: float, rng: np.random.Generator) -> Floats:
    """Lines of star-forming galaxies."""
    return emission(draw_emission(z, (30, 120), rng), grid, snr)


def test_a_galaxy_behind_comes_back_at_its_redshift(
    search: LineSearch, elg: Config, grid: LogGrid, rng: np.random.Generator
) -> None:
    z_lens = rng.uniform(0.1, 0.5, N)
    z = rng.uniform(0.6, 1.5, N)
    flux = sources(grid, z, 25, rng) + rng.standard_normal((N, grid.n_pixels))
    hits = found(search, elg, prepared(grid, flux, z_lens))
    row = hits.hits["ROW"]
    assert hits.sources is not None
    assert len(row) >= 0.95 * N
    right = np.abs(hits.sources["Z_SOURCE"] - z[row]) < 0.001 * (1 + z[row])
    assert right.mean() > 0.95
    assert (hits.sources["LN_EVIDENCE"] > elg.lines.ln_evidence_min).all()
    assert (np.diff(row) > 0).all()
    several = hits.sources["N_LINES"] > 1
    assert set(hits.sources["HYPOTHESIS"][several]) == {"elg"}


def test_what_is_found_in_a_spectrum_does_not_depend_on_the_others(
    search: LineSearch, elg: Config, grid: LogGrid, rng: np.random.Generator
) -> None:
    # Those that are searched together begin at one redshift, and end at one place of the cache.
    n, z_lens = 100, rng.uniform(0.05, 0.9, 100)
    flux = sources(grid, z_lens + rng.uniform(0.06, 0.6, n), 25, rng)
    flux += rng.standard_normal(flux.shape)
    together = found(search, elg, prepared(grid, flux, z_lens))
    assert together.sources is not None
    assert len(together.hits) > 0.7 * n
    for i, row in list(enumerate(together.hits["ROW"]))[::7]:
        alone = found(search, elg, prepared(grid, flux[[row]], z_lens[[row]]))
        assert alone.sources is not None
        np.testing.assert_allclose(alone.hits["WAVE"], together.hits["WAVE"][i])
        np.testing.assert_allclose(alone.sources["Z_SOURCE"], together.sources["Z_SOURCE"][i])
        evidence = together.sources["LN_EVIDENCE"][i]
        np.testing.assert_allclose(alone.sources["LN_EVIDENCE"], evidence, rtol=1e-4)


def test_noise_gives_noise(
    search: LineSearch, elg: Config, grid: LogGrid, rng: np.random.Generator
) -> None:
    noise = rng.standard_normal((400, grid.n_pixels))
    assert len(found(search, elg, prepared(grid, noise, np.full(400, 0.3))).hits) == 0


def test_nothing_is_found_before_or_at_the_lens(
    search: LineSearch, elg: Config, grid: LogGrid, rng: np.random.Generator
) -> None:
    z = np.full(4, 0.5)
    flux = sources(grid, z, 40, rng) + rng.standard_normal((4, grid.n_pixels))
    at, before = (prepared(grid, flux, z_lens) for z_lens in (z, z + 0.3))
    for spectra in (at, before):
        hits = found(search, elg, spectra)
        assert hits.sources is not None
        assert (hits.sources["Z_SOURCE"] > spectra.z[hits.hits["ROW"]] + elg.lines.z_margin).all()
    # At the lens its lines are those of the lens, and masked.
    assert len(found(search, elg, at).hits) == 0


def test_two_sources_in_one_fibre_are_two_hits(
    search: LineSearch, elg: Config, grid: LogGrid, rng: np.random.Generator
) -> None:
    n, z_lens = 30, np.full(30, 0.15)
    z = np.stack([rng.uniform(0.35, 0.6, n), rng.uniform(0.8, 1.3, n)], axis=1)
    near, far = (sources(grid, own, snr, rng) for own, snr in zip(z.T, (35, 25), strict=True))
    noise = rng.standard_normal((n, grid.n_pixels))
    hits = found(search, elg, prepared(grid, near + far + noise, z_lens))
    assert hits.sources is not None
    row, found_z = hits.hits["ROW"], hits.sources["Z_SOURCE"]
    right = [
        np.isin(np.arange(n), row[np.abs(found_z - own[row]) < 0.001 * (1 + found_z)])
        for own in z.T
    ]
    assert (right[0] & right[1]).mean() >= 0.9
    # Of one spectrum they come one after the other, the likelier first, and none comes twice.
    assert (np.diff(row) >= 0).all()
    assert np.bincount(row).max() <= elg.lines.n_sources
    assert len(row) <= 2.2 * n
    for spectrum in range(n):
        evidence = hits.sources["LN_EVIDENCE"][row == spectrum]
        assert (np.diff(evidence) <= 0).all()


def test_a_spectrum_with_three_sources_has_another_redshift(
    search: LineSearch, elg: Config, grid: LogGrid, rng: np.random.Generator
) -> None:
    z = np.array([0.36, 0.62, 1.21])
    flux = sources(grid, z, 40, rng).sum(axis=0) + rng.standard_normal((4, grid.n_pixels))
    hits = found(search, elg, prepared(grid, flux, np.full(4, 0.15)))
    assert hits.many_hits.all()
    assert len(hits.hits) == 0


SEYFERT = {
    "[O III] 5008": 8.0, "[O III] 4960": 2.7, "[N II] 6585": 4.0, "[N II] 6550": 1.3,
    "[O II] 3727": 2.0, "[O II] 3730": 2.0, "[S II] 6718": 1.5, "[S II] 6733": 1.5,
    "[Ne III]": 1.0, "H alpha": 3.0, "[Ne V] 3427": 0.8, "[O III] 4364": 0.15,
    "He II 4687": 0.25, "[O I] 6302": 0.5,
}  # fmt: skip
"""Fluxes of an active galaxy over that of H beta."""


@pytest.mark.parametrize(
    ("active", "sigma_kms", "snr"),
    [(False, (30, 120), 200), (False, (120, 200), 200), (False, (200, 300), 40),
     (True, (30, 120), 100), (True, (120, 200), 100), (True, (200, 300), 40)],
)  # fmt: skip
def test_a_lens_with_strong_emission_of_its_own_gives_no_hit(
    search: LineSearch,
    elg: Config,
    grid: LogGrid,
    rng: np.random.Generator,
    active: bool,
    sigma_kms: tuple[float, float],
    snr: float,
) -> None:
    z = rng.uniform(0.1, 0.9, N)
    lenses = draw_emission(z, sigma_kms, rng)
    if active:
        names = tuple({**dict.fromkeys(lenses.names), **SEYFERT})
        fluxes = np.array([
            [{**dict(zip(lenses.names, row, strict=True)), **SEYFERT}[name] for name in names]
            for row in lenses.fluxes
        ])  # fmt: skip
        lenses = replace(lenses, fluxes=fluxes, names=names)
    flux = emission(lenses, grid, snr) + rng.standard_normal((N, grid.n_pixels))
    assert len(found(search, elg, prepared(grid, flux, z)).hits) == 0
    # The same light is a source, or too many of them, where the redshift of the lens is another's.
    behind = found(search, elg, prepared(grid, flux, z - 0.08))
    assert len(np.unique(behind.hits["ROW"])) + behind.many_hits.sum() > 0.8 * N


def test_a_redshift_of_the_lens_that_is_wrong_makes_its_own_lines_a_source_and_no_other(
    search: LineSearch, elg: Config, grid: LogGrid, rng: np.random.Generator
) -> None:
    quiet, bright = 40, 10
    z, wrong = np.full(quiet + bright, 0.5), np.full(quiet + bright, 0.3)
    flux = rng.standard_normal((quiet + bright, grid.n_pixels))
    flux[quiet:] += sources(grid, z[quiet:], 25, rng)
    hits = found(search, elg, prepared(grid, flux, wrong))
    assert hits.sources is not None
    assert set(hits.hits["ROW"]) <= set(range(quiet, quiet + bright))
    assert len(hits.hits) >= 0.8 * bright
    # Of the galaxy itself, whose redshift the hit tells.
    np.testing.assert_allclose(hits.sources["Z_SOURCE"], 0.5, atol=0.002)


@pytest.mark.parametrize("window", [(3600.0, 6000.0), (6000.0, 9800.0)])
def test_spectra_without_an_arm_are_searched_in_the_other(
    elg: Config,
    grid: LogGrid,
    window: tuple[float, float],
    rng: np.random.Generator,
    search: LineSearch,
) -> None:
    z = np.full(8, 0.55)
    flux = sources(grid, z, 60, rng) + rng.standard_normal((8, grid.n_pixels))
    spectra = prepared(grid, flux, np.full(8, 0.2))
    inside = (grid.wave > window[0]) & (grid.wave < window[1])
    spectra = replace(spectra, ivar=np.where(inside, spectra.ivar, np.float32(0)))
    hits = found(search, elg, spectra)
    assert hits.sources is not None
    assert len(hits.hits) >= 6
    waves = grid.wave[np.round(grid.pixel(hits.hits["WAVE"])).astype(int)]
    assert ((waves > window[0]) & (waves < window[1])).all()


def test_lines_of_galaxies_are_where_their_redshifts_put_them(rng: np.random.Generator) -> None:
    grid = LogGrid.covering(3600, 9800)
    z = np.array([0.4, 0.9])
    galaxies = draw_emission(z, (30, 120), rng)
    lines = emission_spectra(galaxies, grid, np.ones((2, grid.n_pixels)))
    width = grid.wave * PIXEL_LOGLAM * np.log(10)
    for i, name in enumerate(galaxies.names):
        for j in range(2):
            wave = REST_LINES[name].wave * (1 + z[j])
            if 3650 < wave < 9700:
                total = (lines[i, j] * width).sum()
                assert total == pytest.approx(galaxies.fluxes[j, i], rel=1e-3)
                assert (lines[i, j] * width * grid.wave).sum() / total == pytest.approx(
                    wave, rel=1e-4
                )


@pytest.fixture(scope="module")
def qso() -> Config:
    return load_config("qso")


@pytest.fixture(scope="module")
def behind_quasars(qso: Config, grid: LogGrid) -> LineSearch:
    return LineSearch(qso, MatchedFilter(grid, qso.matched_filter))


def lya_lines(grid: LogGrid, z: Floats, snr: float) -> Floats:
    """Lyman-alpha lines of a total S/N over errors of 1, before they grow."""
    place = grid.pixel(LYMAN_ALPHA * (1 + z))
    lines = gaussian_pixels(np.arange(grid.n_pixels) - place[:, None], np.full((len(z), 1), 1.8))
    return np.asarray(snr * lines / np.sqrt((lines**2).sum(axis=1, keepdims=True)))


def with_continuum(spectra: PreparedSpectra, level: float) -> PreparedSpectra:
    """The same residuals on a quasar's light."""
    return replace(spectra, flux=spectra.flux + level, model=spectra.model + np.float32(level))


def test_a_lyman_alpha_line_behind_a_quasar_comes_back(
    behind_quasars: LineSearch, qso: Config, grid: LogGrid, rng: np.random.Generator
) -> None:
    z_lens = rng.uniform(0.8, 2.0, N)
    z = rng.uniform(2.3, 4.0, N)
    flux = lya_lines(grid, z, 25) + rng.standard_normal((N, grid.n_pixels))
    spectra = with_continuum(prepared(grid, flux, z_lens), 20)
    hits = found(behind_quasars, qso, spectra)
    assert hits.sources is not None
    assert (hits.reasons == "").all()
    row = hits.hits["ROW"]
    assert len(np.unique(row)) >= 0.85 * N
    right = np.abs(hits.sources["Z_SOURCE"] - z[row]) < 0.001 * (1 + z[row])
    assert right.mean() > 0.95
    assert set(hits.sources["HYPOTHESIS"][right]) == {"lya"}
    # A search of galaxies behind alone does not call them so.
    only = qso.model_copy(update={"search": qso.search.model_copy(update={"sources": ("elg",)})})
    galaxies = LineSearch(only, MatchedFilter(grid, only.matched_filter))
    others = found(galaxies, only, spectra)
    assert others.sources is not None
    assert "lya" not in others.sources["HYPOTHESIS"].tolist()


def test_nothing_is_found_before_a_quasar_or_in_its_forest(
    behind_quasars: LineSearch, qso: Config, grid: LogGrid, rng: np.random.Generator
) -> None:
    z_lens = rng.uniform(2.6, 3.2, N)
    before = rng.uniform(2.1, 2.5, N)
    flux = lya_lines(grid, before, 60) + rng.standard_normal((N, grid.n_pixels))
    flux += 40 * (grid.wave < LYMAN_ALPHA * (1 + z_lens[:, None])) * rng.standard_normal(flux.shape)
    hits = found(behind_quasars, qso, with_continuum(prepared(grid, flux, z_lens), 20))
    assert len(hits.hits) == 0


def test_a_quasar_with_broad_absorption_is_not_searched_and_says_so(
    behind_quasars: LineSearch, qso: Config, grid: LogGrid, rng: np.random.Generator
) -> None:
    z_lens = np.full(2, 2.0)
    residual = lya_lines(grid, np.full(2, 2.9), 40) + rng.standard_normal((2, grid.n_pixels))
    wave = grid.wave / (REST_LINES["C IV"].wave * (1 + 2.0))
    residual[0, (wave > 0.96) & (wave < 0.98)] -= 15
    spectra = with_continuum(prepared(grid, residual, z_lens), 20)
    hits = found(behind_quasars, qso, spectra)
    assert hits.reasons.tolist() == ["broad_absorption", ""]
    assert hits.hits["ROW"].tolist() == [1]
    allowed = qso.lines.model_copy(update={"balnicity_max": 0.0})
    config = qso.model_copy(update={"lines": allowed})
    again = LineSearch(config, MatchedFilter(grid, qso.matched_filter))
    assert found(again, config, spectra).reasons.tolist() == ["", ""]


def test_a_quasar_too_faint_for_its_redshift_is_not_searched_and_says_so(
    behind_quasars: LineSearch, qso: Config, grid: LogGrid, rng: np.random.Generator
) -> None:
    flux = lya_lines(grid, np.full(2, 2.9), 40) + rng.standard_normal((2, grid.n_pixels))
    spectra = prepared(grid, flux, np.full(2, 2.0))
    bright = with_continuum(spectra, 20)
    mixed = replace(
        spectra, flux=np.stack([spectra.flux[0], bright.flux[1]]),
        model=np.stack([spectra.model[0], bright.model[1]]),
    )  # fmt: skip
    hits = found(behind_quasars, qso, mixed)
    assert hits.reasons.tolist() == ["faint", ""]
    assert hits.hits["ROW"].tolist() == [1]


def test_a_line_whose_likeliest_source_is_too_weak_is_not_taken_for_another(
    behind_quasars: LineSearch, qso: Config, grid: LogGrid, rng: np.random.Generator
) -> None:
    n = 100
    z_lens, z = np.full(n, 0.6), rng.uniform(5.3, 6.4, n)
    flux = lya_lines(grid, z, 7.0) + rng.standard_normal((n, grid.n_pixels))
    hits = found(behind_quasars, qso, with_continuum(prepared(grid, flux, z_lens), 20))
    assert hits.sources is not None
    assert len(hits.hits) > n / 4
    # What is likelier than a hit is a source before the quasar, of which a lone line is no proof.
    likelier = hits.sources["LN_ODDS"] < 0
    assert (hits.sources["Z_SECOND"][likelier] < z_lens[0]).all()
