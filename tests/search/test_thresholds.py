"""The published searches of lines: several lines at one redshift are found, one alone is not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from speclens.config import Config, load_config
from speclens.lines import PIXEL_LOGLAM, REST_LINES, gaussian_pixels, pixel_width_angstrom
from speclens.read.discovery import find_survey_files
from speclens.read.sdss.spec import read_spec_files
from speclens.sample.preparation import Preparation, PreparedSpectra
from speclens.search.matched_filter import MatchedFilter
from speclens.search.search import Found
from speclens.search.thresholds import ThresholdSearch
from speclens.spectra import LogGrid

Floats = NDArray[np.float64]
SIGMA = 2.2
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
    """Lines of a width and of ratios to their errors, without noise, shape (N, L)."""
    grid = LogGrid.covering(*config.preparation.window)
    pixel = np.arange(grid.n_pixels)
    flux = np.zeros((len(z), grid.n_pixels))
    for name, ratio in snr.items():
        offset = pixel - grid.pixel(REST_LINES[name].wave * (1 + z))[:, None]
        profile = gaussian_pixels(offset, SIGMA)
        flux += ratio * profile / np.sqrt((gaussian_pixels(pixel - 100, SIGMA) ** 2).sum())
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


@pytest.mark.parametrize(("name", "rate"), [("slacs", 3e-4), ("bells", 3e-4), ("silo", 0.12)])
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


@pytest.mark.parametrize(("other", "hits"), [(3.0, 0), (6.0, 1)])
def test_the_rule_for_quasars_can_be_said(other: float, hits: int) -> None:
    """A peak above 6, and a quadrature sum 1.5 above it (Meyer et al. 2017)."""
    config = load_config(
        "bells",
        [
            "thresholds.n_lines=1", "thresholds.first_snr=6.0", "thresholds.line_snr=0.0",
            "thresholds.total_over_first=1.5", "thresholds.lone=[]",
        ],
    )  # fmt: skip
    flux = lines(config, np.array([Z_SOURCE]), {"[O III] 5008": 8.0, "[O II]": other})
    assert len(found(config, flux).hits) == hits


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
