from __future__ import annotations

import os

import numpy as np
import pytest
from astropy.io import fits
from numpy.testing import assert_array_equal

from speclens.errors import SpectrumFileError
from speclens.read import disk
from speclens.read.sdss import INSTRUMENT
from speclens.read.sdss.catalogue import read_catalogue
from speclens.read.sdss.plate import open_plate
from speclens.read.sdss.spec import read_spec_files
from speclens.schema import flag_bit
from speclens.spectra import LogGrid

GRID = LogGrid.covering(3800, 5000)
LAYOUTS = {
    "lite": {},
    "upper case": {"upper_case": True},
    "no names": {"hdu_names": False},
    "SPECOBJ": {"catalogue": "SPECOBJ"},
    "no model": {"with_model": False},
    "no loglam": {"with_loglam": False},
    "no COEFF": {"with_coeffs": False},
    "no checksum": {"datasum": False},
}


def read_one(path, catalogue=None, verify=True):
    """Read one spec file, or raise what is wrong with it."""
    specs = read_spec_files([str(path)], GRID, catalogue, verify)
    if specs.failures:
        assert len(specs.batch) == 0
        raise specs.failures[0]
    return specs


def error_of(path):
    with pytest.raises(SpectrumFileError) as caught:
        read_one(path)
    assert "\n" not in str(caught.value)
    return caught.value


def plate_error(path):
    with pytest.raises(SpectrumFileError) as caught, open_plate(str(path), GRID):
        pass
    return caught.value


def window_of(values, coeff0):
    """The window of GRID of a spectrum, cut the slow way."""
    first = round(coeff0 * 1e4)
    window = np.zeros(GRID.n_pixels, np.asarray(values).dtype)
    for i in range(GRID.n_pixels):
        j = GRID.first + i - first
        if 0 <= j < len(values):
            window[i] = values[j]
    return window


@pytest.mark.parametrize("ending", [".fits", ".fits.gz"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a14_every_layout_of_a_spec_file_gives_the_same_spectrum(
    tmp_path, write_spec, rng, layout, ending
):
    flux = rng.standard_normal(1730).astype("f4")
    ivar = rng.random(1730).astype("f4")
    mask = rng.integers(0, 2**28, 1730)
    path = write_spec(
        tmp_path / f"spec-3655-55240-0007{ending}", fiberid=7, z=0.61, flux=flux, ivar=ivar,
        and_mask=mask, coeff0=3.5557, **LAYOUTS[layout],
    )  # fmt: skip
    specs = read_one(path)
    batch = specs.batch
    assert_array_equal(batch.flux[0], window_of(flux, 3.5557))
    assert_array_equal(batch.ivar[0], window_of(ivar, 3.5557))
    bits = window_of(mask, 3.5557)
    assert_array_equal(batch.mask[0], INSTRUMENT.is_masked(bits))
    assert_array_equal(batch.covered[0], INSTRUMENT.is_covered(bits))
    assert_array_equal(batch.dispersion[0], np.float32(1.1))
    assert batch.targets["TARGETID"].tolist() == [3655552400007]
    assert batch.targets["CLASS"].tolist() == ["GALAXY"]
    assert batch.targets["Z"][0] == np.float32(0.61)
    assert batch.files == [str(path)]
    assert specs.flags[0] == (flag_bit("UNVERIFIED") if layout == "no checksum" else 0)


def test_a14_without_dispersion_or_mask_they_are_unknown(tmp_path, write_spec):
    path = write_spec(tmp_path / "spec.fits", with_wdisp=False, with_and_mask=False)
    batch = read_one(path).batch
    assert (batch.dispersion == 0).all()
    assert not batch.mask.any()


def test_a14_a_file_without_pixels_covers_nothing(tmp_path, write_spec):
    batch = read_one(write_spec(tmp_path / "spec.fits", n_pixels=0)).batch
    assert batch.mask.all()
    assert not batch.covered.any()
    assert (batch.ivar == 0).all()


@pytest.mark.parametrize("coeff0", [3.5515, 3.6, 3.69])
def test_pixels_beyond_the_file_are_marked_not_padded(tmp_path, write_spec, coeff0):
    batch = read_one(write_spec(tmp_path / "spec.fits", n_pixels=300, coeff0=coeff0)).batch
    covered = window_of(np.ones(300), coeff0) == 1
    assert_array_equal(batch.covered[0], covered)
    assert_array_equal(batch.mask[0], ~covered)
    assert_array_equal(batch.ivar[0] > 0, covered)


def test_a14_further_columns_change_nothing(tmp_path, write_spec):
    extra = [fits.Column("calib_corr", "E", array=np.ones(1730)),
             fits.Column("WRESL", "3D", array=np.ones((1730, 3)))]  # fmt: skip
    plain = read_one(write_spec(tmp_path / "a.fits")).batch
    other = read_one(write_spec(tmp_path / "b.fits", extra_columns=extra)).batch
    assert_array_equal(plain.flux, other.flux)
    assert_array_equal(plain.ivar, other.ivar)


def test_a_sky_fibre_is_known_by_either_column(tmp_path, write_spec):
    for i, name in enumerate(("SPALL", "SPECOBJ")):
        path = write_spec(tmp_path / f"{i}.fits", objtype="SKY", catalogue=name)
        assert read_one(path).targets["OBJTYPE"][0] == "SKY"


def test_without_a_catalogue_row_the_remedy_is_named(tmp_path, write_spec):
    error = error_of(write_spec(tmp_path / "spec.fits", catalogue=None))
    assert error.reason == "missing_hdu"
    assert "--catalogue" in str(error)


@pytest.mark.parametrize("missing", ["flux", "ivar"])
def test_c7_a_missing_column_is_named_with_those_found(tmp_path, write_hdus, missing):
    names = {"flux", "loglam", "ivar"} - {missing}
    table = fits.BinTableHDU.from_columns([fits.Column(n, "E", array=[1.0]) for n in names])
    path = write_hdus(tmp_path / "spec.fits", [fits.PrimaryHDU(), table])
    error = error_of(path)
    assert error.reason == "missing_column"
    assert f"no column {missing.upper()}" in str(error)
    assert "LOGLAM" in str(error)


@pytest.mark.parametrize(
    "column",
    [
        fits.Column("flux", "3E", array=np.ones((5, 3))),
        fits.Column("flux", "8A", array=["high"] * 5),
        fits.Column("flux", "5X", array=np.ones((5, 5), bool)),
        fits.Column("flux", "PE()", array=np.array([[1.0]] * 5, object)),
    ],
    ids=["vector", "text", "bits", "variable length"],
)
def test_a7_columns_that_hold_no_numbers_are_refused(tmp_path, write_hdus, column):
    others = [fits.Column(n, "E", array=np.ones(5)) for n in ("loglam", "ivar")]
    table = fits.BinTableHDU.from_columns([column, *others])
    error = error_of(write_hdus(tmp_path / "spec.fits", [fits.PrimaryHDU(), table]))
    assert error.reason == "bad_header"
    assert "FLUX" in str(error)


def test_c7_a_redshift_that_is_text_is_refused(tmp_path, write_spec, write_hdus):
    with fits.open(write_spec(tmp_path / "spec.fits")) as hdus:
        columns = [
            fits.Column("Z", "8A", array=["high"]),
            fits.Column("CLASS", "8A", array=["QSO"]),
        ]
        row = fits.BinTableHDU.from_columns(columns)
        path = write_hdus(tmp_path / "text.fits", [hdus[0].copy(), hdus[1].copy(), row])
    assert error_of(path).reason == "bad_header"


WAVE = 10 ** (3.5515 + 1e-4 * np.arange(1730))


@pytest.mark.parametrize(
    "loglam",
    [
        np.log10(WAVE)[::-1],
        np.log10(WAVE * 1e-10),
        np.log10(WAVE / 10),
        np.log10(WAVE / 1.00028),
        np.repeat(np.log10(WAVE[::2]), 2),
        np.r_[np.log10(WAVE)[:800], np.log10(WAVE)[790:1720]],
        np.log10(np.linspace(3560, 5300, 1730)),
        WAVE,
        np.log10(WAVE) + 4e-5,
        np.full(1730, np.nan),
        np.r_[np.log10(WAVE)[:-1], np.inf],
        np.zeros(1730),
    ],
    ids=["descending", "metres", "nanometres", "air", "duplicated", "not monotonic", "linear",
         "not logarithms", "off the grid", "NaN", "infinite", "zeros"],
)  # fmt: skip
def test_a18_wavelengths_that_are_not_the_survey_grid_are_refused(tmp_path, write_spec, loglam):
    column = fits.Column("loglam", "D", array=loglam)
    path = write_spec(tmp_path / "spec.fits", with_loglam=False, extra_columns=[column])
    assert error_of(path).reason == "bad_wavelengths"


@pytest.mark.parametrize(
    "header",
    [
        {"COEFF0": -6.4485}, {"COEFF0": 2.5515}, {"COEFF0": 3.55154}, {"COEFF0": "text"},
        {"COEFF0": True}, {"COEFF1": -1e-4}, {"COEFF1": 1e-3}, {"COEFF1": 0}, {"COEFF1": 1e300},
        {"COEFF0": -1e300}, {"VACUUM": False},
    ],
    ids=str,
)  # fmt: skip
def test_a18_a_header_that_is_not_the_survey_grid_is_refused(
    tmp_path, write_spec, write_plate, header
):
    spec = write_spec(tmp_path / "spec.fits", with_loglam=False, header=header)
    assert error_of(spec).reason == "bad_wavelengths"
    plate = write_plate(tmp_path, n_fibres=2, header=header)
    assert plate_error(plate).reason == "bad_wavelengths"


def test_a18_wavelengths_in_air_are_refused(tmp_path, write_spec):
    error = error_of(write_spec(tmp_path / "spec.fits", header={"VACUUM": False}))
    assert error.reason == "bad_wavelengths"
    assert "vacuum" in str(error)


def test_b7_single_precision_wavelengths_fall_on_the_right_pixels(tmp_path, write_spec):
    flux = np.arange(4650, dtype="f4")
    path = write_spec(tmp_path / "spec.fits", flux=flux, coeff0=3.5571, with_coeffs=False)
    assert_array_equal(read_one(path).batch.flux[0], window_of(flux, 3.5571))


@pytest.mark.parametrize("plateid", [10**12, -5, 3.5, "no number", True])
def test_a7_identifiers_that_cannot_be_are_unknown(
    tmp_path, write_spec, write_plate, write_catalogue, plateid
):
    header = {"PLATEID": plateid}
    path = write_spec(tmp_path / "spec.fits", header=header, row={"PLATE": -1})
    assert read_one(path).targets["TARGETID"][0] == -1
    plate = write_plate(tmp_path, n_fibres=2, header=header, zbest_columns=["CLASS", "Z"])
    plate.rename(tmp_path / "plate.fits")
    (tmp_path / "spZbest-3655-55240.fits").rename(tmp_path / "zbest.fits")
    catalogue = read_catalogue(str(write_catalogue(tmp_path / "spAll.fits", [{}])))
    with open_plate(str(tmp_path / "plate.fits"), GRID, catalogue) as file:
        assert (file.targets["TARGETID"] == -1).all()


def test_the_header_knows_the_fibre_where_the_catalogue_row_does_not(tmp_path, write_spec):
    path = write_spec(tmp_path / "spec.fits", row={"PLATE": -1})
    assert read_one(path).targets["TARGETID"][0] == 3655552400001


@pytest.mark.parametrize("zbest", ["beside", "run2d"])
@pytest.mark.parametrize("gz", [False, True])
@pytest.mark.parametrize("names", [True, False])
def test_a13_a_plate_is_read_from_wherever_its_parts_are(tmp_path, write_plate, zbest, gz, names):
    path = write_plate(tmp_path, zbest=zbest, gz=gz, names=names)
    with open_plate(str(path), GRID) as plate, fits.open(path) as hdus:
        batch = plate.spectra(np.arange(12))
        for i in range(12):
            assert_array_equal(batch.flux[i], window_of(hdus[0].data[i], 3.5515))
            assert_array_equal(batch.ivar[i], window_of(hdus[1].data[i], 3.5515))
            bits = window_of(hdus[2].data[i], 3.5515)
            assert_array_equal(batch.mask[i], INSTRUMENT.is_masked(bits))
            assert_array_equal(batch.dispersion[i], window_of(hdus[4].data[i], 3.5515))
        assert plate.targets["FIBERID"].tolist() == list(range(1, 13))
        assert plate.targets["OBJTYPE"][1] == "SKY"
        assert plate.targets["CLASS"][[1, 3, 5]].tolist() == ["GALAXY", "STAR", "QSO"]
        assert (plate.flags == 0).all()


def test_a13_an_sdss_plate_with_its_own_grid_and_hdus_in_another_order(tmp_path, write_plate, rng):
    shape = (16, 3850)
    images = {
        "flux": rng.standard_normal(shape).astype("f4"),
        "ivar": rng.random(shape).astype("f4"),
    }
    order = ("FLUX", "SKY", "PLUGMAP", "WAVEDISP", "ORMASK", "ANDMASK", "IVAR")
    columns = ["PLATE", "MJD", "FIBERID", "CLASS", "SUBCLASS", "Z", "Z_ERR", "ZWARNING", "OBJTYPE"]
    path = write_plate(
        tmp_path, plate=266, mjd=51602, coeff0=3.5785, order=order, zbest_columns=columns,
        fibres=[{"FIBERID": i + 1} for i in range(16)], **images,
    )  # fmt: skip
    with open_plate(str(path), GRID) as plate:
        batch = plate.spectra(np.arange(16))
        assert_array_equal(batch.flux[9], window_of(images["flux"][9], 3.5785))
        assert_array_equal(batch.ivar[9], window_of(images["ivar"][9], 3.5785))
        assert plate.targets["TARGETID"][15] == 266516020016
        assert plate.targets["CLASS_NOQSO"][0] == "GALAXY"


def test_rows_of_the_redshift_file_are_matched_by_fibre(tmp_path, write_plate, rng):
    sorted_plate = write_plate(tmp_path / "a")
    shuffled = write_plate(tmp_path / "b", zbest_order=rng.permutation(12))
    with open_plate(str(sorted_plate), GRID) as one, open_plate(str(shuffled), GRID) as other:
        assert_array_equal(one.targets, other.targets)


def test_only_the_rows_asked_for_are_read(tmp_path, write_plate):
    path = write_plate(tmp_path)
    with open_plate(str(path), GRID) as plate:
        everything, some = plate.spectra(np.arange(12)), plate.spectra(np.array([2, 7]))
    assert_array_equal(some.flux, everything.flux[[2, 7]])
    assert some.targets["FIBERID"].tolist() == [3, 8]


def test_a_window_outside_the_plate_is_all_uncovered(tmp_path, write_plate):
    path = write_plate(tmp_path, n_fibres=2)
    with open_plate(str(path), LogGrid.covering(8000, 8100)) as plate:
        batch = plate.spectra(np.arange(2))
    assert batch.mask.all()
    assert not batch.covered.any()
    assert (batch.ivar == 0).all()


@pytest.mark.parametrize("name", ["IVAR", "ANDMASK", "PLUGMAP"])
def test_a3_a_plate_without_a_needed_hdu_names_it(tmp_path, write_plate, name):
    order = ["FLUX", "IVAR", "ANDMASK", "ORMASK", "WAVEDISP", "PLUGMAP", "SKY"]
    order.remove(name)
    error = plate_error(write_plate(tmp_path, order=order))
    assert error.reason == "missing_hdu"
    assert name in str(error)
    assert error.targets is not None
    assert len(error.targets) == 12


def test_without_redshifts_the_remedy_is_named(tmp_path, write_plate):
    error = plate_error(write_plate(tmp_path, zbest=None))
    assert error.reason == "no_catalogue"
    assert "--catalogue" in str(error)
    assert "speclens fetch 3655-55240 --release dr12 -o FOLDER" in str(error)
    assert error.targets["FIBERID"].tolist() == list(range(1, 13))


def test_redshifts_of_another_plate_are_refused(tmp_path, write_plate):
    path = write_plate(tmp_path)
    other = write_plate(tmp_path / "other", n_fibres=11)
    zbest = "spZbest-3655-55240.fits"
    (other.parent / zbest).replace(path.parent / zbest)
    error = plate_error(path)
    assert error.reason == "bad_identity"
    assert zbest in str(error)


def test_redshifts_of_other_fibres_are_refused(tmp_path, write_plate):
    path = write_plate(tmp_path, n_fibres=3)
    other = write_plate(tmp_path / "other", fibres=[{"FIBERID": i} for i in (1, 2, 9)])
    zbest = "spZbest-3655-55240.fits"
    (other.parent / zbest).replace(path.parent / zbest)
    assert plate_error(path).reason == "bad_identity"


def test_images_of_different_shapes_are_refused(tmp_path, write_plate):
    error = plate_error(write_plate(tmp_path, n_fibres=3, ivar=np.ones((3, 99))))
    assert error.reason == "bad_header"
    assert "ivar" in str(error)


def test_a_spec_file_is_no_plate(tmp_path, write_spec):
    assert plate_error(write_spec(tmp_path / "spec.fits")).reason == "unknown_layout"


def test_a_plate_is_no_spec_file(tmp_path, write_plate):
    assert error_of(write_plate(tmp_path, n_fibres=2)).reason == "unknown_layout"


def test_a15_a_desi_file_is_refused_by_name(tmp_path, write_hdus):
    fibermap = fits.BinTableHDU.from_columns([fits.Column("TARGETID", "K", array=[1])])
    fibermap.name = "FIBERMAP"
    wave = fits.ImageHDU(np.linspace(3600, 5800, 10), name="B_WAVELENGTH")
    error = error_of(write_hdus(tmp_path / "coadd.fits", [fits.PrimaryHDU(), fibermap, wave]))
    assert error.reason == "unknown_layout"
    assert "DESI" in str(error)


def test_a9_a_plate_that_shrinks_while_it_is_read_tells_its_fibres(
    tmp_path, write_plate, monkeypatch
):
    monkeypatch.setattr(disk, "SMALL_FILE", 0)
    path = write_plate(tmp_path)
    with open_plate(str(path), GRID) as plate:
        os.truncate(path, 2880 * 3)
        with pytest.raises(SpectrumFileError) as caught:
            plate.spectra(np.arange(12))
    assert caught.value.reason == "truncated"
    assert caught.value.targets["FIBERID"].tolist() == list(range(1, 13))


def test_files_that_are_read_together_are_those_that_are_read_alone(tmp_path, write_spec):
    """Rows of like files are read at once, and who is to blame is told of each."""
    kept = {"plate": 1, "mjd": 55000}
    paths = [tmp_path / f"spec-0001-55000-000{i}.fits" for i in range(1, 6)]
    for i, path in enumerate(paths, 1):
        write_spec(path, **kept, fiberid=i, z=0.1 * i, row={"FIBERID": 9} if i == 3 else None)
    for path, z in ((paths[3], "0.4"), (paths[4], "none")):
        with fits.open(path) as hdus:
            text = fits.Column("Z", "4A", array=[z])
            others = [column for column in hdus[2].columns if column.name != "Z"]
            hdus[2] = fits.BinTableHDU.from_columns([*others, text], name="SPALL")
            hdus[2].columns.del_col("Z_NOQSO")
            hdus.writeto(path, overwrite=True)
    together = read_spec_files([*map(str, paths)], GRID)
    alone = [read_spec_files([str(path)], GRID) for path in paths]
    assert [*map(str, together.failures)] == [str(one.failures[0]) for one in alone if one.failures]
    assert [failure.reason for failure in together.failures] == ["bad_identity", "bad_header"]
    assert_array_equal(together.targets, np.concatenate([one.targets for one in alone]))
    assert together.targets["Z"] == pytest.approx([0.1, 0.2, 0.4])
