"""The mock survey: the seed alone decides, and the truth is what was put in."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from speclens.config import Config, load_config
from speclens.hypotheses import GALAXY_LINES
from speclens.lines import REST_LINES, pixel_width_angstrom
from speclens.read.sdss.catalogue import read_catalogue
from speclens.read.sdss.plate import open_plate
from speclens.schema import INJECTED
from speclens.simulate.emitters import ideal_snr
from speclens.simulate.mock_survey import make_survey
from speclens.simulate.plates import Plate, write_plate, write_spall
from speclens.simulate.quasars import draw_quasars
from speclens.simulate.sky import PlateNoise, draw_noise
from speclens.simulate.survey import make_plate, make_survey_plate, write_truth
from speclens.simulate.training_set import survey_of_galaxies
from speclens.spectra import LogGrid
from speclens.stored_tables import read_table

KINDS = ("lya", "oii", "line", "spike", "sky_line")
NONE_BEHIND = tuple(f"survey.{name}_fraction=0" for name in ("elg", "quasar_elg", "quasar_lya"))
LINES = (*(f"survey.{kind}_fraction=0.15" for kind in KINDS), *NONE_BEHIND)
BEHIND = (
    "survey.quasar_fraction=0.4", "survey.elg_fraction=0.2", "survey.quasar_elg_fraction=0.25",
    "survey.quasar_lya_fraction=0.4",
)  # fmt: skip
QUIET = tuple(
    f"survey.noise.{name}=0"
    for name in ("sky_line_rms", "sky_line_common_rms", "low_order_rms", "spike_rate",
                 "error_ratio_scatter", "error_jitter", "bad_run_rate")
)  # fmt: skip


Without = tuple[Plate, NDArray[np.void], NDArray[np.float64]]


@pytest.fixture(scope="module")
def behind() -> Without:
    """A plate with many sources, its truth, and what these add to its spectra."""
    plate, truth = make_plate(0, config_of(200, *BEHIND), np.random.default_rng(6))
    bare, _ = make_plate(0, config_of(200, *BEHIND[:1], *NONE_BEHIND), np.random.default_rng(6))
    return plate, truth, plate.observed.flux.astype(np.float64) - bare.observed.flux


def config_of(n_fibres: int, *overrides: str) -> Config:
    return load_config(None, [f"survey.n_fibres={n_fibres}", "survey.n_plates=2", *overrides])


@pytest.fixture(scope="module")
def config() -> Config:
    return config_of(60, "survey.n_pixels=1700", *LINES)


@pytest.fixture(scope="module")
def survey(config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("survey")
    make_survey(folder, config, 8, 1)
    return folder


@pytest.fixture(scope="module")
def full() -> tuple[Plate, NDArray[np.void]]:
    """A plate with all its wavelengths and many galaxies."""
    return make_plate(0, config_of(300, *LINES), np.random.default_rng(4))


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_e5_a_survey_has_the_same_bytes_for_any_number_of_workers(
    survey: Path, config: Config, tmp_path: Path
) -> None:
    make_survey(tmp_path, config, 8, 2)
    assert bytes_of(tmp_path) == bytes_of(survey)
    assert len(bytes_of(survey)) == 2 * 2 + 4


def test_a_plate_depends_on_its_number_and_the_seed_alone(
    survey: Path, config: Config, tmp_path: Path
) -> None:
    make_survey_plate(tmp_path / "same", 1, config, 8)
    make_survey_plate(tmp_path / "other", 1, config, 9)
    path = Path("9902") / "spPlate-9902-58002.fits"
    assert (tmp_path / "same" / path).read_bytes() == (survey / path).read_bytes()
    first, other = (fits.getdata(root / path) for root in (survey, tmp_path / "other"))
    assert (first != other).mean() > 0.99
    plate = fits.getdata(survey / "9901" / "spPlate-9901-58001.fits")
    assert (plate != first).mean() > 0.99


def test_the_catalogue_and_the_truth_hold_all_plates(survey: Path) -> None:
    rows = fits.getdata(survey / "spAll-mock.fits", 1)
    assert Counter(rows["PLATE"].tolist()) == {9901: 60, 9902: 60}
    truth = read_table(survey / "truth.fits")
    assert truth.colnames == [column.name for column in INJECTED]
    assert truth.meta["SEED"] == 8
    text = read_table(survey / "truth.ecsv")
    np.testing.assert_array_equal(text["WAVE"], truth["WAVE"])
    ids = 10**9 * rows["PLATE"].astype(int) + 10**4 * rows["MJD"].astype(int) + rows["FIBERID"]
    assert np.isin(truth["TARGETID"], ids).all()
    assert len(np.unique(truth["TARGETID"])) == len(truth)


def test_a_survey_without_lines_has_an_empty_truth_table(tmp_path: Path) -> None:
    none = [*(f"survey.{kind}_fraction=0" for kind in KINDS), *NONE_BEHIND]
    _, truth = make_plate(0, config_of(20, "survey.n_pixels=300", *none), np.random.default_rng(1))
    assert len(truth) == 0
    write_truth(tmp_path, [truth], 1)
    assert read_table(tmp_path / "truth.fits").colnames == [column.name for column in INJECTED]


def test_sky_fibres_say_so_and_may_be_called_galaxies(full: tuple[Plate, NDArray[np.void]]) -> None:
    plate, truth = full
    sky = plate.targets["OBJTYPE"] == "SKY"
    assert sky.sum() == round(0.08 * len(sky))
    assert (plate.targets["CLASS"][sky] == "GALAXY").any()
    assert (plate.targets["ZWARNING"][sky] & 1 == 1).all()
    assert (plate.targets["ZWARNING"][~sky] == 0).all()
    assert not plate.model[sky].any()
    assert not np.isin(plate.targets["TARGETID"][sky], truth["TARGETID"]).any()
    spacing = np.diff(np.flatnonzero(sky))
    assert spacing.max() <= spacing.min() + 1
    mean = plate.observed.flux[sky].mean()
    assert abs(mean) < 0.1


def test_kinds_of_targets_have_their_fractions_and_coordinates(
    full: tuple[Plate, NDArray[np.void]],
) -> None:
    targets = full[0].targets
    counts = Counter(targets["CLASS"].tolist())
    assert counts["STAR"] == pytest.approx(0.05 * 300, abs=14)
    assert counts["QSO"] == pytest.approx(0.12 * 300, abs=22)
    assert ((targets["RA"] >= 0) & (targets["RA"] < 360)).all()
    assert np.ptp(targets["DEC"]) < 3.0
    assert (np.abs(targets["DEC"]) <= 90).all()
    galaxies = (targets["CLASS"] == "GALAXY") & (targets["OBJTYPE"] == "GALAXY")
    z = targets["Z"][galaxies]
    assert ((z >= 0.12) & (z <= 1.0)).all()
    assert np.median(z) == pytest.approx(0.52, abs=0.05)
    assert (targets["VDISP"][galaxies] > 50).all()
    assert np.median(targets["VDISP"][galaxies]) == pytest.approx(230, abs=40)


def test_each_kind_of_line_has_its_share_of_the_galaxies(
    full: tuple[Plate, NDArray[np.void]],
) -> None:
    plate, truth = full
    galaxies = (plate.targets["CLASS"] == "GALAXY") & (plate.targets["OBJTYPE"] == "GALAXY")
    assert Counter(truth["KIND"].tolist()) == dict.fromkeys(KINDS, round(0.15 * galaxies.sum()))
    assert np.isin(truth["TARGETID"], plate.targets["TARGETID"][galaxies]).all()


def test_the_flux_that_the_lines_add_is_that_of_the_truth(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without: list[NDArray[np.floating]] = []

    def listen(flux: NDArray[np.float32], *given: Any, **more: Any) -> PlateNoise:
        seen = draw_noise(flux, *given, **more)
        without.append(seen.flux.copy())
        return seen

    monkeypatch.setattr("speclens.simulate.survey.draw_noise", listen)
    plate, truth = make_plate(0, config_of(120, *LINES), np.random.default_rng(4))
    rows = truth["TARGETID"] % 10**4 - 1
    added = (plate.observed.flux - without[0].astype(np.float64))[rows]
    wave, width = plate.grid.wave, np.asarray(pixel_width_angstrom(plate.grid.wave))
    near = np.abs(wave - truth["WAVE"][:, None]) < 60
    flux = (added * width * near).sum(1)
    np.testing.assert_allclose(flux, truth["FLUX"], rtol=5e-3)
    mean = (added * width * near * wave).sum(1) / flux
    np.testing.assert_allclose(mean, truth["WAVE"], atol=0.3)
    single = truth["KIND"] != "oii"
    np.testing.assert_allclose((added * width).sum(1)[single], truth["FLUX"][single], rtol=5e-3)
    others = np.setdiff1d(np.arange(120), rows)
    np.testing.assert_array_equal(plate.observed.flux[others], without[0][others])
    ideal = ideal_snr(added, plate.observed.ivar[rows])
    np.testing.assert_allclose(truth["IDEAL_SNR"], ideal, rtol=2e-2)
    assert (truth["IDEAL_SNR"] > 0).all()


def test_what_is_observed_is_the_spectrum_with_its_lines_within_the_stated_errors() -> None:
    plate, truth = make_plate(0, config_of(150, *LINES, *QUIET), np.random.default_rng(4))
    rows = truth["TARGETID"] % 10**4 - 1
    wave, width = plate.grid.wave, np.asarray(pixel_width_angstrom(plate.grid.wave))
    ivar = plate.observed.ivar[rows].astype(np.float64)
    near = np.abs(wave - truth["WAVE"][:, None]) < 12
    whole = ~((ivar == 0) & near).any(1)
    excess = (plate.observed.flux.astype(np.float64) - plate.model)[rows]
    flux = (excess * width * near).sum(1)
    error = np.sqrt((width**2 / np.where(ivar > 0, ivar, np.inf) * near).sum(1))
    pull = ((flux - truth["FLUX"]) / error)[whole]
    assert len(pull) > 40
    assert abs(pull.mean()) < 0.5
    assert 0.6 < pull.std() < 1.7


def test_galaxies_are_as_faint_in_the_window_as_real_ones() -> None:
    config = config_of(150, "survey.n_pixels=1700")
    medians = []
    for seed in range(6):
        plate, _ = make_plate(0, config, np.random.default_rng(seed))
        rows = (plate.targets["OBJTYPE"] == "GALAXY") & (plate.targets["Z"] > 0.3)
        window = (plate.grid.wave > 3800) & (plate.grid.wave < 5000)
        ratio = plate.observed.flux * np.sqrt(plate.observed.ivar)
        medians.append(np.median(ratio[np.ix_(rows, window)]))
    # 41 real galaxies have 0.6.
    assert 0.4 < np.median(medians) < 0.8


def test_the_plates_start_at_different_pixels_of_the_global_grid(config: Config) -> None:
    starts = {
        make_plate(0, config_of(20, "survey.n_pixels=100"), np.random.default_rng(i))[0].grid.first
        for i in range(20)
    }
    low, high = config.survey.first_pixel_range
    assert len(starts) > 5
    assert low <= min(starts) <= max(starts) <= high


def test_stated_errors_do_not_tell_where_a_line_is() -> None:
    faint, bright = (
        make_plate(0, config_of(60, *LINES, f"emitters.flux_median={flux}",
                                f"emitters.flux_range=[{flux}, {flux}]"),
                   np.random.default_rng(5))[0].observed
        for flux in (5.0, 200.0)
    )  # fmt: skip
    np.testing.assert_allclose(faint.ivar, bright.ivar, rtol=1e-5)
    assert (np.abs(bright.flux - faint.flux).max(1) > 1).sum() >= 5


def test_magnitudes_are_those_of_the_light_in_the_band(
    full: tuple[Plate, NDArray[np.void]],
) -> None:
    plate = full[0]
    magnitude = plate.targets["MAG_I"].astype(np.float64)
    wave = plate.grid.wave
    band = np.flatnonzero((wave >= 6900) & (wave <= 8200))
    seen = np.flatnonzero(plate.targets["OBJTYPE"] != "SKY")
    assert np.isfinite(magnitude[seen]).all()
    assert np.isnan(np.delete(magnitude, seen)).all()
    for row in seen[:20]:
        # A source of the same f_nu everywhere has the same mean f_lambda in the band.
        f_nu = 10 ** (-0.4 * (magnitude[row] + 48.6))
        flat = f_nu * 2.99792458e18 / wave[band] ** 2 / 1e-17
        mean, expected = (np.trapezoid(flux, wave[band]) for flux in (plate.model[row, band], flat))
        assert mean == pytest.approx(expected, rel=2e-3)
    galaxies = plate.targets["OBJTYPE"] == "GALAXY"
    assert 19 < np.median(magnitude[galaxies]) < 21.5


def test_a_plate_that_ends_before_the_band_has_no_magnitudes(survey: Path) -> None:
    assert (fits.getdata(survey / "spAll-mock.fits", 1)["FIBER2MAG"] == 0).all()
    plate = survey / "9901" / "spPlate-9901-58001.fits"
    assert (fits.getdata(plate, "PLUGMAP")["MAG"] == 0).all()


def test_what_is_searched_of_the_mock_has_its_magnitudes(
    full: tuple[Plate, NDArray[np.void]], tmp_path: Path
) -> None:
    plate = full[0]
    path = write_plate(tmp_path, plate)
    write_spall(tmp_path / "spAll.fits", plate.targets)
    grid = LogGrid.covering(3800, 5000)
    with open_plate(str(path), grid) as read:
        np.testing.assert_array_equal(read.targets["MAG_I"], plate.targets["MAG_I"])
    rows = read_catalogue(str(tmp_path / "spAll.fits")).targets
    np.testing.assert_array_equal(rows["MAG_I"], plate.targets["MAG_I"])


def test_what_lies_behind_changes_nothing_else(behind: Without) -> None:
    """The same seed: other rows, and all truth but that of the new sources, byte for byte."""
    plate, truth, added = behind
    bare, before = make_plate(0, config_of(200, *BEHIND[:1], *NONE_BEHIND),
                              np.random.default_rng(6))  # fmt: skip
    assert truth[: len(before)].tobytes() == before.tobytes()
    rows = plate.rows(truth["TARGETID"][len(before) :])
    assert len(np.unique(rows)) == len(rows) > 40
    assert not np.isin(truth["TARGETID"][len(before) :], before["TARGETID"]).any()
    np.testing.assert_array_equal(np.flatnonzero(np.abs(added).max(axis=1) > 0), np.sort(rows))
    np.testing.assert_array_equal(plate.observed.ivar, bare.observed.ivar)
    assert plate.targets.tobytes() == bare.targets.tobytes()


def test_quasars_change_no_galaxy(monkeypatch: pytest.MonkeyPatch) -> None:
    one, truth = make_plate(0, config_of(60, *LINES), np.random.default_rng(4))
    monkeypatch.setattr(
        "speclens.simulate.survey.draw_quasars",
        lambda z, grid, config, rng: draw_quasars(z, grid, config, rng) * 3,
    )
    other, same = make_plate(0, config_of(60, *LINES), np.random.default_rng(4))
    galaxies = one.targets["CLASS"] != "QSO"
    assert truth.tobytes() == same.tobytes()
    assert one.observed.flux[galaxies].tobytes() == other.observed.flux[galaxies].tobytes()
    assert (one.observed.flux[~galaxies] != other.observed.flux[~galaxies]).any(axis=1).all()


def test_sources_lie_behind_galaxies_and_quasars_as_often_as_asked_for(behind: Without) -> None:
    plate, truth, _ = behind
    rows = plate.rows(truth["TARGETID"])
    quasar = plate.targets["CLASS"] == "QSO"
    galaxy = (plate.targets["CLASS"] == "GALAXY") & (plate.targets["OBJTYPE"] == "GALAXY")
    elg, lya = truth["KIND"] == "elg", truth["KIND"] == "lya"
    assert (elg & galaxy[rows]).sum() == round(0.2 * galaxy.sum())
    assert (elg & quasar[rows]).sum() == min(round(0.25 * quasar.sum()), 27)
    assert (lya & quasar[rows]).sum() == round(0.4 * quasar.sum())
    source = elg | lya
    gap = (truth["Z_SOURCE"] - plate.targets["Z"][rows])[source]
    assert (gap > 0.049).all()
    assert np.isnan(truth["Z_SOURCE"][~source]).all()
    assert not truth["LENSED"][~source].any()
    assert truth["LENSED"][lya & galaxy[rows]].all()
    for of_kind in (elg & galaxy[rows], elg & quasar[rows], lya & quasar[rows]):
        assert 0.05 < truth["LENSED"][of_kind].mean() < 0.95
    ratio = (1 + truth["Z_SOURCE"][lya]) * REST_LINES["Ly alpha"].wave / truth["WAVE"][lya]
    np.testing.assert_allclose(ratio, 1, rtol=1e-12)


def test_the_lines_of_galaxies_behind_are_where_their_redshift_puts_them(behind: Without) -> None:
    plate, truth, added = behind
    wave, width = plate.grid.wave, np.asarray(pixel_width_angstrom(plate.grid.wave))
    elg = truth[truth["KIND"] == "elg"]
    spectra = added[plate.rows(elg["TARGETID"])]
    waves = np.array([w for group in GALAXY_LINES for w in group.waves])
    expected = waves * (1 + elg["Z_SOURCE"])[:, None]
    near = (np.abs(wave / expected[:, :, None] - 1) < 0.004).any(axis=1)
    total = (spectra * width).sum(axis=1)
    np.testing.assert_allclose((spectra * width * near).sum(axis=1), total, rtol=0.01)
    for row, spectrum, places in zip(elg, spectra, expected, strict=True):
        inside = (places > wave[0] * 1.004) & (places < wave[-1] / 1.004)
        fluxes = [(spectrum * width)[np.abs(wave / w - 1) < 0.0015].sum() for w in places[inside]]
        assert min(fluxes) > 0
        # The strongest line is that of the truth: alone, or with what blends with it.
        own = np.abs(wave - row["WAVE"]) < 5 * row["WIDTH"]
        flux = (spectrum * width)[own].sum()
        alone = np.sum(np.abs(places / row["WAVE"] - 1) < 0.008) - 1
        assert flux == pytest.approx(row["FLUX"], rel=0.01 if not alone else 0.8)
        assert row["FLUX"] > 0.8 * max(fluxes) - 0.1 * total.max()
        assert np.abs(places / row["WAVE"] - 1).min() < 4e-4
    snr = ideal_snr(spectra, plate.observed.ivar[plate.rows(elg["TARGETID"])])
    np.testing.assert_allclose(elg["IDEAL_SNR"], snr, rtol=0.02)


def test_lyman_alpha_behind_quasars_has_the_flux_of_the_truth(behind: Without) -> None:
    plate, truth, added = behind
    rows = plate.rows(truth["TARGETID"])
    lya = (truth["KIND"] == "lya") & (plate.targets["CLASS"][rows] == "QSO")
    width = np.asarray(pixel_width_angstrom(plate.grid.wave))
    flux = (added[rows[lya]] * width).sum(axis=1)
    inside = np.abs(truth["WAVE"][lya] - 4800) < 1150
    np.testing.assert_allclose(flux[inside], truth["FLUX"][lya][inside], rtol=0.01)


def test_training_spectra_hold_neither_quasars_nor_galaxies_behind() -> None:
    config = load_config(None, BEHIND)
    plain = survey_of_galaxies(config, 30)
    plate, truth = make_plate(0, plain, np.random.default_rng(2))
    assert len(truth) == 0
    assert set(plate.targets["CLASS"].tolist()) == {"GALAXY"}
    decided = config.deciding("training set")["survey"]
    assert not {name for name in decided if name.startswith(("elg", "quasar_", "background"))} - {
        "quasar_fraction"
    }
    assert {"background", "elg_fraction", "quasar_redshifts"} <= set(
        config.deciding("survey")["survey"]
    )
