"""The published searches of lines: several lines at one redshift are found, one alone is not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from speclens.config import Config, load_config
from speclens.lines import (
    LYMAN_ALPHA,
    PIXEL_LOGLAM,
    REST_LINES,
    gaussian_pixels,
    pixel_width_angstrom,
)
from speclens.read.discovery import find_survey_files
from speclens.read.sdss.spec import read_spec_files
from speclens.sample.preparation import Preparation, PreparedSpectra
from speclens.sample.selection import refusals
from speclens.search.local_cubic import snr_about_cubic
from speclens.search.matched_filter import MatchedFilter
from speclens.search.search import Found
from speclens.search.thresholds import ThresholdSearch
from speclens.spectra import LogGrid

Floats = NDArray[np.float64]
Z_LENS, Z_SOURCE = 0.3, 0.6
SHOWN = {"[O II]": 7.0, "H beta": 5.0, "[O III] 5008": 8.0}
SEARCHES = ("slacs", "bells", "silo")


def prepared(config: Config, flux: Floats, z_lens: Floats) -> PreparedSpectra:
    """Spectra without a foreground, errors of 1 a pixel in flux."""
    grid, n = LogGrid.covering(*config.preparation.window), len(flux)
    zeros = np.zeros(flux.shape, np.float32)
    width = pixel_width_angstrom(grid.wave)
    return PreparedSpectra(
        grid, (flux / width).astype(np.float32), (zeros + width**2).astype(np.float32), zeros,
        zeros + 1, np.zeros(n, "U24"), np.zeros(n, np.int32), *np.ones((2, n), np.float32), z_lens,
    )  # fmt: skip


def lines(config: Config, z: Floats, snr: Mapping[str, float]) -> Floats:
    """Lines as wide as the filter, of ratios to their errors, without noise, shape (N, L)."""
    (sigma,) = config.matched_filter.sigma_pixels
    grid = LogGrid.covering(*config.preparation.window)
    pixel = np.arange(grid.n_pixels)
    flux = np.zeros((len(z), grid.n_pixels))
    for name, ratio in snr.items():
        offset = pixel - grid.pixel(REST_LINES[name].wave * (1 + z))[:, None]
        profile = gaussian_pixels(offset, sigma)
        flux += ratio * profile / np.sqrt((gaussian_pixels(pixel - 100, sigma) ** 2).sum())
    return flux


def found(config: Config, flux: Floats, z_lens: float = Z_LENS) -> Found:
    """Search."""
    spectra = prepared(config, flux, np.full(len(flux), z_lens))
    matched_filter = MatchedFilter(spectra.grid, config.matched_filter)
    search = ThresholdSearch(config, matched_filter)
    return search(spectra, matched_filter.search(spectra.residual, spectra.ivar))


def sources_of(hits: Found) -> NDArray[np.void]:
    assert hits.sources is not None
    return hits.sources


@pytest.mark.parametrize("name", SEARCHES)
def test_a_source_comes_back_at_its_redshift(name: str, rng: np.random.Generator) -> None:
    config = load_config(name)
    z = rng.uniform(0.5, 0.8, 200)
    flux = lines(config, z, {line: 1.5 * ratio for line, ratio in SHOWN.items()})
    hits = found(config, flux + rng.standard_normal(flux.shape))
    row, sources = hits.hits["ROW"], sources_of(hits)
    assert len(row) >= 195
    assert (np.diff(row) > 0).all()
    right = np.abs(sources["Z_SOURCE"] - z[row]) < 0.001 * (1 + z[row])
    assert right.mean() > 0.98
    assert (sources["N_LINES"][right] >= 2).all()
    assert set(sources["HYPOTHESIS"][right]) == {"elg"}
    ideal = 1.5 * np.sqrt(sum(ratio**2 for ratio in SHOWN.values()))
    assert np.median(sources["SNR_LINES"]) == pytest.approx(ideal, rel=0.1)
    assert np.isnan(sources["LN_EVIDENCE"]).all()
    assert np.isnan(sources["Z_SECOND"]).all()


def test_the_strongest_line_is_that_of_the_hit() -> None:
    config = load_config("bells")
    hits = found(config, lines(config, np.array([Z_SOURCE]), SHOWN))
    wave = REST_LINES["[O III] 5008"].wave * (1 + Z_SOURCE)
    assert hits.hits["WAVE"] == pytest.approx(wave, rel=1e-4)
    assert hits.hits["SNR"] == pytest.approx(8, abs=0.1)
    (source,) = sources_of(hits)
    assert source["SNR_LINES"] == pytest.approx(np.sqrt(7**2 + 5**2 + 8**2), rel=0.02)


@pytest.mark.parametrize("line", SHOWN)
@pytest.mark.parametrize("name", SEARCHES)
def test_a_lone_line_counts_only_where_the_paper_let_it(name: str, line: str) -> None:
    config = load_config(name)
    hits = found(config, lines(config, np.array([Z_SOURCE]), {line: 7.0}))
    # Any lone line may be [O II], and BELLS and SILO take it for that.
    assert len(hits.hits) == (name != "slacs")
    if name != "slacs":
        wave = REST_LINES[line].wave * (1 + Z_SOURCE)
        (source,) = sources_of(hits)
        assert source["HYPOTHESIS"] == "oii"
        assert source["N_LINES"] == 1
        assert source["Z_SOURCE"] == pytest.approx(wave / REST_LINES["[O II]"].wave - 1, abs=3e-4)


def test_slacs_demands_oii() -> None:
    config, z = load_config("slacs"), np.array([Z_SOURCE])
    without = {name: ratio for name, ratio in SHOWN.items() if name != "[O II]"}
    assert len(found(config, lines(config, z, SHOWN)).hits) == 1
    assert len(found(config, lines(config, z, without)).hits) == 0
    assert len(found(load_config("silo"), lines(load_config("silo"), z, without)).hits) == 1


@pytest.mark.parametrize(("z_lens", "hits"), [(0.54, 1), (0.56, 0), (0.6, 0), (0.7, 0)])
def test_a_source_is_behind_its_lens_by_the_margin(z_lens: float, hits: int) -> None:
    config = load_config("slacs")
    flux = lines(config, np.array([Z_SOURCE]), SHOWN)
    assert len(found(config, flux, z_lens).hits) == hits


@pytest.mark.parametrize(("pixels", "hits"), [(0, 1), (3, 1), (8, 0)])
def test_lines_must_agree_in_redshift(pixels: int, hits: int) -> None:
    config = load_config("slacs")
    other = (1 + Z_SOURCE) * 10 ** (pixels * PIXEL_LOGLAM) - 1
    flux = lines(config, np.array([Z_SOURCE]), {"[O II]": 9.0})
    flux += lines(config, np.array([other]), {"H beta": 6.0})
    assert len(found(config, flux).hits) == hits


@pytest.mark.parametrize(
    ("name", "rate"), [("slacs", 3e-4), ("bells", 3e-4), ("silo", 0.12), ("meyer2017", 1e-3)]
)
def test_noise_gives_no_more_hits_than_stated(
    name: str, rate: float, rng: np.random.Generator
) -> None:
    config, n = load_config(name), 2000
    n_pixels = LogGrid.covering(*config.preparation.window).n_pixels
    n_hits = sum(
        len(found(config, rng.standard_normal((500, n_pixels))).hits) for _ in range(n // 500)
    )
    assert n_hits <= rate * n + 3 * np.sqrt(rate * n)


def test_masked_and_missing_lines_are_none() -> None:
    config = load_config("slacs")
    spectra = prepared(config, lines(config, np.array([Z_SOURCE]), SHOWN), np.array([Z_LENS]))
    blue = spectra.grid.wave < 3800 * (1 + Z_SOURCE)
    spectra.ivar[:, blue] = 0
    spectra.flux[:, blue] = 0
    matched_filter = MatchedFilter(spectra.grid, config.matched_filter)
    search = ThresholdSearch(config, matched_filter)
    assert len(search(spectra, matched_filter.search(spectra.residual, spectra.ivar)).hits) == 0


def behind_quasar(wave: float, snr: float, z_quasar: float, *overrides: str) -> NDArray[np.void]:
    """Search for a lone line as Meyer et al. 2017 did."""
    config = load_config("meyer2017", overrides)
    z = np.array([wave / LYMAN_ALPHA - 1])
    return sources_of(found(config, lines(config, z, {"Ly alpha": snr}), z_quasar))


@pytest.mark.parametrize(("snr", "hits"), [(7.5, 0), (8.5, 1)])
def test_behind_quasars_a_lone_line_above_eight_is_lyman_alpha(snr: float, hits: int) -> None:
    sources = behind_quasar(4850.0, snr, 1.5)
    assert sources["HYPOTHESIS"].tolist() == ["lya"] * hits
    assert sources["Z_SOURCE"] == pytest.approx(4850.0 / LYMAN_ALPHA - 1, abs=5e-4)


@pytest.mark.parametrize("wave", [8900.0, 9100.0])
def test_a_line_is_not_its_own_companion(wave: float) -> None:
    """[N II], H alpha and [S II] are nearer to each other than lines may disagree."""
    assert len(behind_quasar(wave, 7.5, 0.25)) == 0


@pytest.mark.parametrize(
    ("first", "other", "hits"), [(7.0, 4.0, 0), (7.0, 5.5, 1), (5.5, 5.5, 0), (6.5, 6.0, 1)]
)
def test_behind_quasars_a_galaxy_has_a_peak_and_more(first: float, other: float, hits: int) -> None:
    """A peak above 6, and a quadrature sum 1.5 above it."""
    config, z = load_config("meyer2017"), 0.8
    flux = lines(config, np.array([z]), {"[O III] 5008": first, "[O II]": other})
    sources = sources_of(found(config, flux, 0.5))
    assert sources["HYPOTHESIS"].tolist() == ["elg"] * hits
    assert sources["Z_SOURCE"] == pytest.approx(z, abs=5e-4)


@pytest.mark.parametrize("line", ["C IV", "He II 1640", "C III]", "Mg II", "[Ne V] 3427", "H beta"])
def test_nothing_is_found_in_the_lines_of_a_quasar(line: str) -> None:
    config = load_config("meyer2017")
    masks = dict(config.thresholds.lens_masks)
    rest = REST_LINES[line].wave
    z = 6000.0 / rest - 1
    for side in (-1, 1):
        edge = rest + side * masks[rest]
        for beyond, hits in ((-1.5, 0), (1.5, 1)):
            wave = (edge + side * beyond) * (1 + z)
            assert len(behind_quasar(wave, 20.0, z)) == hits, (line, wave)


@pytest.mark.parametrize(("beyond", "hits"), [(290.0, 0), (310.0, 1)])
def test_no_line_counts_before_the_lyman_alpha_of_the_quasar(beyond: float, hits: int) -> None:
    z = 2.5
    assert len(behind_quasar(LYMAN_ALPHA * (1 + z) + beyond, 20.0, z)) == hits


def test_what_a_cubic_explains_is_no_line() -> None:
    config, z = load_config("meyer2017"), np.array([3.0])
    grid = LogGrid.covering(*config.preparation.window)
    offset = np.arange(grid.n_pixels) - grid.pixel(LYMAN_ALPHA * 4)
    hump = 5 * np.exp(-0.5 * (offset / 50) ** 2)[None]
    line = lines(config, z, {"Ly alpha": 10.0})
    untested = load_config("meyer2017", ["thresholds.cubic_snr=0.0"])
    assert len(found(untested, hump, 1.5).hits) == 1
    assert len(found(config, hump, 1.5).hits) == 0
    assert len(found(config, hump + line, 1.5).hits) == 1
    assert len(found(config, line, 1.5).hits) == 1


def test_a_line_about_a_cubic_keeps_its_ratio(rng: np.random.Generator) -> None:
    config = load_config("meyer2017")
    z = rng.uniform(2.2, 6.7, 400)
    grid = LogGrid.covering(*config.preparation.window)
    smooth = 3 * np.linspace(-1, 1, grid.n_pixels) ** 3
    noise = rng.standard_normal((len(z), grid.n_pixels))
    flux = lines(config, z, {"Ly alpha": 10.0}) + smooth + noise
    spectra = prepared(config, flux, np.zeros(len(z)))
    matched_filter = MatchedFilter(grid, config.matched_filter)
    pixel = grid.nearest(LYMAN_ALPHA * (1 + z))
    snr = snr_about_cubic(spectra, matched_filter, np.arange(len(z)), pixel, 75)
    assert snr.mean() == pytest.approx(9.8, abs=0.25)  # between pixels a little is lost
    assert snr.std() == pytest.approx(1.0, abs=0.15)


def test_where_nothing_is_seen_there_is_no_line_about_a_cubic() -> None:
    config = load_config("meyer2017")
    spectra = prepared(config, lines(config, np.array([3.0]), {"Ly alpha": 9.0}), np.array([1.5]))
    spectra.ivar[:] = 0
    matched_filter = MatchedFilter(spectra.grid, config.matched_filter)
    row, pixel = np.zeros(3, np.intp), np.array([0, 2000, spectra.grid.n_pixels - 1])
    assert (snr_about_cubic(spectra, matched_filter, row, pixel, 75) == 0).all()


def test_a_real_galaxy_is_found_behind_a_real_one(survey_data: Path) -> None:
    """SDSS J024411.33-005021.0: H alpha, [N II] and [O II] of z = 0.239 behind z = 0.180."""
    config = load_config("bells")
    grid = LogGrid.covering(*config.preparation.window)
    paths = find_survey_files([str(survey_data / "boss" / "galaxies")]).paths
    batch = read_spec_files(paths, grid).batch
    z_lens = np.asarray(batch.targets["Z"], np.float64)
    spectra = Preparation(config)(batch, z_lens)
    matched_filter = MatchedFilter(grid, config.matched_filter)
    search = ThresholdSearch(config, matched_filter)
    hits = search(spectra, matched_filter.search(spectra.residual, spectra.ivar))
    assert z_lens[hits.hits["ROW"]] == pytest.approx([0.1805], abs=1e-3)
    assert sources_of(hits)["Z_SOURCE"] == pytest.approx([0.2393], abs=1e-3)


def test_lines_that_are_not_searched_cannot_be_demanded() -> None:
    section = load_config("slacs").thresholds
    with pytest.raises(ValidationError, match="required and lone"):
        type(section).model_validate({**section.model_dump(), "required": ("H alpha",)})
    with pytest.raises(ValidationError, match="no such line"):
        type(section).model_validate({**section.model_dump(), "lines": ("H omega",)})


def test_real_quasars_have_no_more_hits_than_stated(survey_data: Path) -> None:
    config = load_config("meyer2017")
    grid = LogGrid.covering(*config.preparation.window)
    batch = read_spec_files(find_survey_files([str(survey_data / "quasars")]).paths, grid).batch
    batch = batch[refusals(batch.targets, config.selection) == ""]
    spectra = Preparation(config)(batch, np.asarray(batch.targets["Z"], np.float64))
    matched_filter = MatchedFilter(grid, config.matched_filter)
    search = ThresholdSearch(config, matched_filter)
    hits = search(spectra, matched_filter.search(spectra.residual, spectra.ivar))
    assert len(batch) > 60
    assert len(hits.hits) == 0


def test_one_line_can_be_searched_alone() -> None:
    config = load_config("bells", ['thresholds.lines=["[O II]"]'])
    hits = found(config, lines(config, np.array([Z_SOURCE]), {"[O II]": 7.0}))
    assert sources_of(hits)["Z_SOURCE"] == pytest.approx(Z_SOURCE, abs=3e-4)
