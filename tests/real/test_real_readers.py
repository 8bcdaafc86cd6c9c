"""Real survey files, read as astropy reads them; skipped where SPECLENS_DATA names no folder."""

from __future__ import annotations

import os

import numpy as np
import pytest
from astropy.io import fits
from numpy.testing import assert_array_equal

from speclens.eigenspectra import Eigenspectra
from speclens.errors import RunError, SpectrumFileError
from speclens.read.desi.survey import COADDS, Desi
from speclens.read.discovery import find_survey_files
from speclens.read.sdss import INSTRUMENT
from speclens.read.sdss.catalogue import read_catalogue
from speclens.read.sdss.exposures import read_exposures
from speclens.read.sdss.plate import open_plate
from speclens.read.sdss.spec import read_spec_files
from speclens.read.survey import ReadSettings
from speclens.schema import flag_bit
from speclens.spectra import LogGrid

GRID = LogGrid.covering(3800, 5000)


def read_folder(folder):
    return read_spec_files(find_survey_files([str(folder)]).paths, GRID)


def in_window(loglam):
    """Pixels of a file that lie in the window, by their wavelength alone."""
    return np.searchsorted(loglam, GRID.loglam - 5e-5).clip(0, len(loglam) - 1)


def check_like_astropy(batch, i):
    with fits.open(batch.files[i]) as hdus:
        coadd, catalogue = hdus[1].data, hdus[2].data
        names = {name.upper(): name for name in hdus[1].columns.names}
        loglam = coadd[names["LOGLAM"]]
        pixels = in_window(loglam)
        covered = np.abs(loglam[pixels] - GRID.loglam) < 1e-5
        assert covered.mean() > 0.99
        columns = {"flux": "FLUX", "ivar": "IVAR", "dispersion": "WDISP"}
        for ours, theirs in columns.items():
            expected = coadd[names[theirs]][pixels][covered]
            assert_array_equal(getattr(batch, ours)[i][covered], expected)
        bits = coadd[names["AND_MASK"]][pixels].astype(np.int32)
        assert_array_equal(batch.mask[i][covered], INSTRUMENT.is_masked(bits)[covered])
        assert (batch.ivar[i][~covered] == 0).all()
        target = batch.targets[i]
        for name in ("PLATE", "MJD", "FIBERID", "Z", "ZWARNING", "CLASS", "SUBCLASS"):
            assert target[name] == catalogue[name][0]
        for ours, theirs in {"RA": ("PLUG_RA", "PLUGRA"), "DEC": ("PLUG_DEC", "PLUGDEC")}.items():
            known = hdus[2].columns.names
            assert target[ours] in [catalogue[n][0] for n in theirs if n in known]


@pytest.mark.parametrize(
    ("folder", "number"),
    [("galaxies", 49), ("sky_fibres", 3), ("stars_and_quasars", 13), ("full", 1)],
)
def test_single_files_are_read_as_astropy_reads_them(survey_data, folder, number):
    specs = read_folder(survey_data / "boss" / folder)
    assert not specs.failures
    assert len(specs.batch) == number
    assert (specs.flags == flag_bit("UNVERIFIED")).all()
    for i in range(number):
        check_like_astropy(specs.batch, i)


def test_galaxies_have_magnitudes_and_sky_fibres_none(survey_data):
    magnitude = read_folder(survey_data / "boss" / "galaxies").targets["MAG_I"]
    assert ((magnitude > 18) & (magnitude < 23)).all()
    assert np.isnan(read_folder(survey_data / "boss" / "sky_fibres").targets["MAG_I"]).all()


@pytest.fixture
def full_file(survey_data):
    return str(survey_data / "boss" / "full" / "spec-7338-57859-0739.fits")


def test_the_blue_exposures_of_a_full_file_make_its_coadd(full_file):
    exposures = read_exposures(full_file, (3800, 5000))
    assert [e.name[:11] for e in exposures] == ["B2-00241937", "B2-00241938", "B2-00241939"]
    assert len(read_exposures(full_file, (3800, 7000))) == 6
    coadd = fits.getdata(full_file, 1)

    def mean_at_4500(spectra):
        total = weight = 0.0
        for wave, flux, ivar in spectra:
            near = np.abs(wave - 4500) < 20
            total += np.sum(flux[near].astype(float) * ivar[near])
            weight += np.sum(ivar[near], dtype=float)
        return total / weight, weight**-0.5

    ours, our_error = mean_at_4500([(e.wave, e.flux, e.ivar) for e in exposures])
    whole, error = mean_at_4500([(10 ** coadd["loglam"], coadd["flux"], coadd["ivar"])])
    assert abs(ours - whole) < error
    assert our_error == pytest.approx(error, rel=0.1)


def test_the_line_spread_of_an_exposure_is_that_of_the_coadd_on_its_own_pixels(full_file):
    coadd = fits.getdata(full_file, 1)
    for exposure in read_exposures(full_file, (3800, 7000)):
        loglam = np.log10(exposure.wave)
        ours = exposure.dispersion * np.gradient(loglam) / 1e-4
        theirs = np.interp(loglam, coadd["loglam"], coadd["wdisp"])
        # Between these the coadd is of both cameras.
        one_camera = (exposure.wave < 5500) | ((exposure.wave > 6400) & (exposure.wave < 10000))
        assert one_camera.sum() > 1500
        near = np.abs(ours - theirs) < 1e-3 * theirs
        # All but where the coadd lacks a pixel, or the detector's halves meet.
        assert near[one_camera].mean() > 0.99


def test_lite_files_hold_no_exposures(survey_data):
    specs = find_survey_files([str(survey_data / "boss" / "galaxies")]).paths
    assert [read_exposures(path, (3000, 11000)) for path in specs] == [[]] * 49


def test_a13_an_sdss_file_is_read_as_astropy_reads_it(survey_data):
    specs = read_spec_files([str(survey_data / "sdss1" / "spec-0266-51602-0031.fits")], GRID)
    assert not specs.failures
    check_like_astropy(specs.batch, 0)
    assert specs.targets["TARGETID"].tolist() == [266516020031]


def test_every_real_spectrum_ends_with_the_right_reason(survey_data, search_into, tmp_path):
    boss = survey_data / "boss"
    folders = [boss / name for name in ("galaxies", "sky_fibres", "stars_and_quasars", "full")]
    summary, rows, messages = search_into(tmp_path / "run", *folders)
    assert not messages
    assert summary.counts["failed"] == 0
    of = {name: rows[np.char.find(rows["FILE"], f"/{name}/") >= 0] for name in os.listdir(boss)}
    galaxies = of["galaxies"]
    assert len(galaxies) == 49
    assert set(galaxies["REASON"]) <= {"", "z_low", "subclass"}
    assert (galaxies["REASON"] == "").sum() >= 30
    assert (galaxies["Z"][galaxies["REASON"] == ""] > 0.3).all()
    assert of["sky_fibres"]["REASON"].tolist() == ["sky_fibre"] * 3
    others = of["stars_and_quasars"]
    expected = {"STAR": "class_star", "QSO": "class_qso"}
    assert others["REASON"].tolist() == [expected[c] for c in others["CLASS"].tolist()]
    assert sorted(others["CLASS"].tolist()) == ["QSO"] * 9 + ["STAR"] * 4
    assert of["full"]["REASON"].tolist() == ["class_qso"]


def test_a3_a_plate_fragment_is_refused_in_one_line(survey_data, search_into, tmp_path):
    folder = survey_data / "boss" / "plate_fragment"
    summary, rows, messages = search_into(tmp_path / "run", folder)
    assert summary.counts == summary.counts | {"read": 20, "failed": 20, "scored": 0, "hits": 0}
    assert (rows["REASON"] == "missing_hdu").all()
    assert (rows["PLATE"] == 4055).all()
    # Which of the plate's fibres these are, nothing in the file tells.
    assert (rows["FIBERID"] == -1).all()
    assert len(messages) == 1
    assert "IVAR" in messages[0]
    assert "fetch" in messages[0]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("desi/coadd-sv3-dark-26065.fits", "a DESI file"),
        ("sdss1/SDSSJ220248.31+123656.3.fits", "IRAF"),
    ],
)
def test_files_of_another_layout_are_refused_by_name(survey_data, name, text):
    path = survey_data / name
    (failure,) = read_spec_files([str(path)], GRID).failures
    assert failure.reason == "unknown_layout"
    assert text in str(failure)
    with pytest.raises(SpectrumFileError, match="unknown_layout"), open_plate(str(path), GRID):
        pass


def test_a15_a_coadd_of_desi_keeps_its_light_and_its_information(survey_data):
    path = survey_data / "desi" / "coadd-4-80613-thru20210324.fits"
    with Desi().open(COADDS, [str(path)], GRID, ReadSettings()) as (source, _):
        batch = source.spectra(np.arange(1))
    assert source.targets["SPECTRUM"].tolist() == ["80613-thru20210324-39633345008634465"]
    redrock = fits.getdata(path.with_name(f"redrock{path.name[5:]}"), "REDSHIFTS")
    assert source.targets["Z"].tolist() == redrock["Z"].tolist()
    with fits.open(path) as hdus:
        wave, flux, ivar = (hdus[f"B_{name}"].data for name in ("WAVELENGTH", "FLUX", "IVAR"))
    edges = batch.grid.wave[[0, -1]]
    inside = (wave >= edges[0]) & (wave <= edges[1])
    width = batch.grid.wave * np.log(10) * 1e-4
    assert (batch.flux[0] * width).sum() == pytest.approx(0.8 * flux[0, inside].sum(), rel=2e-3)
    assert batch.ivar[0].sum() == pytest.approx(ivar[0, inside].sum(), rel=5e-3)
    assert ((batch.dispersion > 0.5) & (batch.dispersion < 0.9)).all()


def test_c2_a_coadd_without_redrock_says_so_of_each_target(survey_data):
    path = survey_data / "desi" / "coadd-sv3-dark-26065.fits"
    with (
        pytest.raises(SpectrumFileError, match="speclens fetch sv3-dark-26065") as caught,
        Desi().open(COADDS, [str(path)], GRID, ReadSettings()),
    ):
        pass
    ids = fits.getdata(path, "FIBERMAP")["TARGETID"]
    assert caught.value.targets["TARGETID"].tolist() == ids.tolist()
    assert (ids < 0).any()


def test_the_catalogue_is_read_as_astropy_reads_it(survey_data):
    path = survey_data / "boss" / "catalogue" / "spAll-plate3655.fits"
    targets = read_catalogue(str(path)).targets
    rows = fits.getdata(path, 1)
    assert len(targets) == len(rows) == 93
    rows = rows[np.lexsort([rows["FIBERID"], rows["MJD"], rows["PLATE"]])]
    for name in ("PLATE", "MJD", "FIBERID", "Z", "ZWARNING", "Z_NOQSO"):
        assert_array_equal(targets[name], rows[name])
    assert (rows["VDISP"] == 0).all()
    assert np.isnan(targets["VDISP"]).all()
    for name in ("CLASS", "SUBCLASS", "CLASS_NOQSO", "OBJTYPE"):
        assert_array_equal(targets[name], np.char.strip(np.asarray(rows[name], str)))
    assert_array_equal(targets["RA"], rows["PLUG_RA"])
    magnitude = rows["FIBER2MAG"][:, 3]
    known = (magnitude > 0) & (magnitude < 30)
    assert known.sum() > 50
    assert_array_equal(targets["MAG_I"], np.where(known, magnitude, np.nan))


def test_the_catalogue_serves_for_the_files_of_its_plate(survey_data):
    boss = survey_data / "boss"
    catalogue = read_catalogue(str(boss / "catalogue" / "spAll-plate3655.fits"), {3655})
    paths = find_survey_files([str(boss / "stars_and_quasars")]).paths
    of_plate = [path for path in paths if "spec-3655" in path]
    own = read_spec_files(of_plate, GRID)
    given = read_spec_files(of_plate, GRID, catalogue)
    in_catalogue = given.reasons == ""
    assert in_catalogue.sum() > 0
    assert set(given.reasons) <= {"", "not_in_catalogue"}
    for name in ("TARGETID", "CLASS", "RA"):
        assert_array_equal(given.targets[name][in_catalogue], own.targets[name][in_catalogue])
    (_, *others) = paths
    elsewhere = [path for path in others if "spec-3655" not in path]
    assert (read_spec_files(elsewhere, GRID, catalogue).reasons == "not_in_catalogue").all()


@pytest.mark.parametrize("name", ["spEigenGal-55740.fits", "spEigenGal-56436.fits"])
def test_templates_are_read_as_astropy_reads_them(survey_data, name):
    path = survey_data / "templates" / name
    basis = Eigenspectra.read(str(path))
    data, header = fits.getdata(path, header=True)
    assert_array_equal(basis.components, data)
    assert basis.grid.first == round(header["COEFF0"] * 1e4)
    assert len(data) == 4


@pytest.mark.parametrize("name", ["rrtemplate-galaxy.fits", "ndArch-ssp_galaxy_noemit-v000.fits"])
def test_templates_on_another_grid_are_refused(survey_data, name):
    with pytest.raises(RunError, match="COEFF"):
        Eigenspectra.read(str(survey_data / "templates" / name))
