"""Mock coadds of DESI: what is put in comes out of the files, through the reader."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from speclens.config import Config, load_config
from speclens.read.desi.survey import COADDS
from speclens.read.discovery import find_survey_files
from speclens.read.shards import make_shards, open_shard
from speclens.read.survey import ReadSettings
from speclens.sample.selection import is_sky
from speclens.simulate.arms import ARM_PIXELS, Arms, arms_noise
from speclens.simulate.coadds import Coadd
from speclens.simulate.emission_galaxies import draw_emission, emission_spectra
from speclens.simulate.linear_grid import Grid, LinearGrid
from speclens.simulate.mock_survey import make_survey
from speclens.simulate.plates import Plate
from speclens.simulate.sky import PlateNoise, draw_noise
from speclens.simulate.spectrographs import that_saw
from speclens.simulate.survey import make_plate, make_survey_plate
from speclens.simulate.training_set import survey_of_galaxies
from speclens.spectra import LogGrid, SpectrumBatch

WHOLE = LogGrid.covering(3610, 9810)
Drawn = tuple[Plate, NDArray[np.void], NDArray[np.float32]]
MANY = (
    "survey.lya_fraction=0.3", "survey.elg_fraction=0.3", "survey.quasar_fraction=0.2",
    "survey.sky_fraction=0.2", "survey.star_fraction=0.1", "survey.oii_fraction=0.1",
)  # fmt: skip


def config_of(*overrides: str) -> Config:
    return load_config("desi", ["survey.n_fibres=30", "survey.n_plates=2", *MANY, *overrides])


def read(path: Path, grid: LogGrid) -> tuple[SpectrumBatch, NDArray[np.str_]]:
    """All spectra of a coadd, as a search reads them, and why some cannot be used."""
    (shard,) = make_shards(find_survey_files([str(path)]))
    assert shard.kind is COADDS
    with open_shard(shard, grid, ReadSettings()) as (source, failures):
        assert not failures
        return source.spectra(np.arange(len(source.targets))), source.reasons


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    """A coadd, its truth, and its flux before anything was put in."""
    without: list[NDArray[np.float32]] = []

    def listen(flux: NDArray[np.float32], *given: Any, **more: Any) -> PlateNoise:
        seen = draw_noise(flux, *given, **more)
        without.append(seen.flux.copy())
        return seen

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("speclens.simulate.survey.draw_noise", listen)
        plate, truth = make_plate(0, config_of(), np.random.default_rng(3))
    return plate, truth, without[0]


@pytest.fixture(scope="module")
def path(drawn: Drawn, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drawn[0].write(tmp_path_factory.mktemp("coadd"))


def test_a_coadd_depends_on_its_number_and_the_seed_alone(tmp_path: Path) -> None:
    config = config_of('survey.arms=["B"]', "survey.n_fibres=20")
    make_survey(tmp_path / "survey", config, 8, 1)
    make_survey_plate(tmp_path / "alone", 1, config, 8)
    names = sorted(path.name for path in (tmp_path / "survey" / "9902").iterdir())
    assert names == ["coadd-mock-dark-9902.fits", "redrock-mock-dark-9902.fits"]
    for name in names:
        one, other = (tmp_path / folder / "9902" / name for folder in ("survey", "alone"))
        assert one.read_bytes() == other.read_bytes()
    assert (tmp_path / "survey" / "truth.fits").is_file()
    assert not [*tmp_path.rglob("spAll*")]
    first, second = (
        fits.getdata(tmp_path / "survey" / f"{n}" / f"coadd-mock-dark-{n}.fits", "B_FLUX")
        for n in (9901, 9902)
    )
    assert (first != second).mean() > 0.99


def test_the_reader_takes_a_coadd_for_one_of_the_survey(drawn: Drawn, path: Path) -> None:
    own = drawn[0].targets
    batch, reasons = read(path, WHOLE)
    assert (reasons == "").all()
    assert batch.targets["SPECTRUM"][0] == f"mock-dark-{own['TARGETID'][0]}"
    for name in ("TARGETID", "CLASS", "ZWARNING", "RA"):
        np.testing.assert_array_equal(batch.targets[name], own[name])
    np.testing.assert_allclose(batch.targets["Z"], own["Z"])
    np.testing.assert_allclose(batch.targets["MAG_I"], own["MAG_I"], rtol=1e-6)
    np.testing.assert_array_equal(is_sky(batch.targets), own["OBJTYPE"] == "SKY")
    assert is_sky(batch.targets).sum() == 6
    assert (batch.dispersion > 0).all()
    # Narrower, in pixels of the grid, than any of BOSS.
    assert 0.5 < np.median(batch.dispersion[:, WHOLE.nearest(np.array([4200.0]))]) < 0.8


@pytest.mark.parametrize("window", [(3800, 5000), (5600, 5900), (3610, 9810)])
def test_training_sees_what_the_reader_sees(
    drawn: Drawn, path: Path, window: tuple[float, float]
) -> None:
    grid = LogGrid.covering(*window)
    of_file, of_arrays = read(path, grid)[0], drawn[0].on(grid)
    for name in ("flux", "ivar", "mask", "covered"):
        np.testing.assert_array_equal(getattr(of_file, name), getattr(of_arrays, name))
    # The reader looks at every fourth pixel of the resolution matrix.
    np.testing.assert_allclose(of_file.dispersion, of_arrays.dispersion, atol=0.01)


def test_the_flux_of_what_is_put_in_comes_back_through_the_reader(drawn: Drawn, path: Path) -> None:
    plate, truth, without = drawn
    bare = replace(plate, observed=replace(plate.observed, flux=without))
    added = read(path, WHOLE)[0].flux.astype(np.float64) - bare.on(WHOLE).flux
    rows = plate.rows(truth["TARGETID"])
    assert len(rows) == len(np.unique(rows)) > 8
    assert not np.delete(added, rows, axis=0).any()
    # Other lines of a galaxy may stand beside its brightest.
    alone = truth["KIND"] != "elg"
    lines, added = truth[alone], added[rows[alone]]
    light = added * WHOLE.width(WHOLE.wave) * (np.abs(WHOLE.wave - lines["WAVE"][:, None]) < 40)
    np.testing.assert_allclose(light.sum(axis=1), lines["FLUX"], rtol=0.01)
    place = (light * WHOLE.wave).sum(axis=1) / light.sum(axis=1)
    np.testing.assert_allclose(place, lines["WAVE"], atol=0.1)


def test_noise_is_noise_on_the_arms_pixels_and_on_the_grid() -> None:
    arms = Arms.of("BRZ")
    model, config = arms_noise(arms), load_config("desi")
    quiet = config.survey.noise.model_copy(update={"sky_line_rms": 0.0, "error_ratio_scatter": 0.0})
    n = 60
    seen = draw_noise(np.zeros((n, model.n_pixels)), model, quiet, np.random.default_rng(1))
    pull = np.where(seen.ivar > 0, seen.flux * np.sqrt(seen.ivar), np.nan)
    for part in arms.parts:
        own = pull[:, part]
        ratio = np.sqrt(np.mean(model.error_ratio[part] ** 2))
        assert np.nanstd(own) == pytest.approx(ratio, rel=0.01)
        assert abs(np.nanmean(own[:, 1:] * own[:, :-1])) < 0.01
    targets = np.zeros(n, [("PLATE", "i4"), ("TARGETID", "i8")])
    coadd = Coadd(targets, WHOLE, seen.flux, seen, "", arms)
    batch = coadd.on(WHOLE)
    good = ~batch.mask
    on_grid = (batch.flux * np.sqrt(batch.ivar))[good].std()
    # 0.956 of what it is on DESI's pixels: docs/desi.md.
    assert on_grid == pytest.approx(0.956 * np.nanstd(pull), rel=0.015)


@pytest.mark.parametrize("preset", ["desi", None])
def test_what_is_known_of_a_plate_leaves_its_noise(preset: str | None) -> None:
    plain = survey_of_galaxies(load_config(preset), 20)
    plate, _ = make_plate(0, plain, np.random.default_rng(2))
    seen, spectrograph = plate.observed, that_saw(plate)
    known = spectrograph.of_models(plate.model) + seen.smooth + seen.spikes
    assert known.shape == seen.flux.shape
    assert spectrograph.line_spread(seen.dispersion).shape[1] == spectrograph.grid.n_pixels
    pull = ((seen.flux - known) * np.sqrt(seen.true_ivar))[seen.ivar > 0]
    assert pull.std() == pytest.approx(1, abs=0.02)


def test_arms_that_overlap_have_seen_a_wavelength_twice(
    drawn: Drawn,
) -> None:
    plate = drawn[0]
    assert isinstance(plate, Coadd)
    blue, red = plate.by_arm["B"], plate.by_arm["R"]
    assert [len(grid.wave) for grid in ARM_PIXELS.values()] == [2751, 2326, 2881]
    same = np.isclose(blue.wave[:, None], red.wave).argmax(axis=1)[-50:]
    assert red.wave[same[-1]] == pytest.approx(5800.0)
    twice = blue.flux[:, -50:], red.flux[:, same]
    both = np.sqrt(1 / blue.ivar[:, -50:] + 1 / red.ivar[:, same])
    pull = ((twice[0] - twice[1]) / both)[np.isfinite(both)]
    assert pull.std() == pytest.approx(1, abs=0.08)


def test_the_doublet_of_oii_is_resolved() -> None:
    galaxy = draw_emission(np.array([0.9]), (40.0, 40.0), np.random.default_rng(2))
    doublet = [name.startswith("[O II]") for name in galaxy.names]

    def depth(grid: Grid, dispersion: float) -> float:
        spread = np.full((1, grid.n_pixels), dispersion)
        line = emission_spectra(galaxy, grid, spread)[doublet].sum(axis=0)[0]
        first, last = grid.nearest(np.array([3727.1, 3729.9]) * 1.9)
        return float(line[first : last + 1].min() / line.max())

    assert depth(LinearGrid(7000.0, 0.8, 200), 0.75) < 0.35
    assert depth(LogGrid.covering(7000, 7160), 0.9) > 0.5


def test_the_files_say_that_they_are_mock(path: Path) -> None:
    with fits.open(path) as hdus:
        assert hdus[0].header["MOCK"] is True
        assert hdus["Z_RESOLUTION"].shape == (30, 11, 2881)
        np.testing.assert_allclose(hdus["R_RESOLUTION"].data.sum(axis=1), 1, rtol=1e-5)
        assert hdus["B_MASK"].data.dtype == np.uint32
        bad = hdus["Z_MASK"].data > 0
        np.testing.assert_array_equal(bad, hdus["Z_IVAR"].data == 0)
