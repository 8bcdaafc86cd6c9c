"""Spec files of SDSS-V: what is read of them, and what is said of those that lack something."""

from __future__ import annotations

import os

import numpy as np
import pytest
from astropy.io import fits
from numpy.testing import assert_allclose, assert_array_equal

from fixtures.fields import CATALOGID, SIGMA
from speclens.read.sdss.spec import read_spec_files
from speclens.read.sdssv import INSTRUMENT
from speclens.read.sdssv.dialect import SDSSV
from speclens.read.sdssv.survey import FIELD_SPECS, SdssV
from speclens.schema import flag_bit
from speclens.spectra import LogGrid

GRID = LogGrid.covering(3800, 5000)
RELEASES = (18, 19, 20)


def read(*paths, catalogue=None, verify=True):
    return read_spec_files([str(path) for path in paths], GRID, catalogue, verify, SDSSV)


def failure_of(path):
    specs = read(path)
    assert not len(specs.targets)
    return specs.failures[0]


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("n_exposures", [0, 2])
def test_a_spec_file_of_every_release(tmp_path, write_field_spec, release, n_exposures):
    rng = np.random.default_rng(1)
    bits, wdisp = rng.integers(0, 2**28, 1730), rng.uniform(1, 2, 1730)
    path = write_field_spec(
        tmp_path, release=release, n_exposures=n_exposures, and_mask=bits, wdisp=wdisp
    )
    specs = read(path)
    assert not specs.failures
    assert specs.survey == "sdssv"
    coadd = fits.getdata(path, 1)
    here, there = GRID.overlap(LogGrid(35515, 1730))
    batch = specs.batch
    assert_array_equal(batch.flux[0, here], coadd["FLUX"][there])
    assert_array_equal(batch.ivar[0, here], coadd["IVAR"][there])
    assert_array_equal(batch.dispersion[0, here], coadd["WDISP"][there])
    assert_array_equal(batch.mask[0, here], INSTRUMENT.is_masked(bits[None])[0][there])
    (row,) = specs.targets
    assert (row["CLASS"], row["OBJTYPE"], row["FIBERID"]) == ("GALAXY", "SCIENCE", 1)
    assert (row["Z"], row["VDISP"], row["ZWARNING"], row["PLATE"]) == (0.5, 220.0, 0, -1)
    assert row["PLATEQUALITY"] == ("good" if release > 18 else "")
    assert row["SDSS_ID"] == (54000001 if release > 18 else -1)
    assert_allclose((row["RA"], row["DEC"], row["MAG_I"]), (150.1, 2.0, 20.125))


@pytest.mark.parametrize(
    ("fibres", "number"),
    [("12 12 12", 12), ("12", 12), ("12 13", -1), ("", -1), ("12 -999", -1), ("x", -1),
     ("100000", -1)],
)  # fmt: skip
def test_a_fibre_is_told_where_one_saw_all_of_it(tmp_path, write_field_spec, fibres, number):
    specs = read(write_field_spec(tmp_path, row={"FIBERID_LIST": fibres}))
    assert specs.targets["FIBERID"].tolist() == [number]


@pytest.mark.parametrize(
    ("row", "objtype"),
    [({"OBJTYPE": "SKY"}, "SKY"), ({"ZWARNING": 1}, "SKY"), ({"ASSIGNED": "0 0"}, "UNPLUGGED"),
     ({"ASSIGNED": "0 1"}, "SCIENCE"), ({"ASSIGNED": ""}, "SCIENCE"),
     ({"ZWARNING": 1 << 7}, "UNPLUGGED"), ({"OBJTYPE": "SKY", "ASSIGNED": "0"}, "SKY")],
)  # fmt: skip
def test_fibres_that_saw_no_target(tmp_path, write_field_spec, row, objtype):
    assert read(write_field_spec(tmp_path, row=row)).targets["OBJTYPE"].tolist() == [objtype]


@pytest.mark.parametrize(
    ("row", "place"),
    [({"PLUG_RA": 0.0, "PLUG_DEC": 0.0}, (150.1, 2.0)),
     ({"PLUG_RA": -999.0, "PLUG_DEC": -999.0}, (150.1, 2.0)),
     ({"PLUG_RA": 10.0, "RACAT": np.nan}, (10.0, 2.0)),
     ({"PLUG_RA": np.nan, "RACAT": np.nan}, (np.nan, np.nan))],
)  # fmt: skip
def test_a_place_that_is_none_is_taken_from_the_catalogue(tmp_path, write_field_spec, row, place):
    (found,) = read(write_field_spec(tmp_path, row=row)).targets
    assert_allclose((found["RA"], found["DEC"]), place)


def test_a_place_of_another_shape_is_passed_over(tmp_path, write_field_spec):
    path = write_field_spec(tmp_path)
    with fits.open(path) as hdus:
        table = hdus["SPALL"]
        others = [column for column in table.columns if column.name != "RACAT"]
        pair = fits.Column("RACAT", "2D", array=[[1.0, 2.0]])
        hdus["SPALL"] = fits.BinTableHDU.from_columns([*others, pair], name="SPALL")
        hdus.writeto(tmp_path / "other.fits")
    specs = read(tmp_path / "other.fits")
    assert specs.targets["RA"].tolist() == [150.1]


def test_ids_that_are_unknown_equal_none(tmp_path, write_field_spec):
    row = {"SDSS_ID": -999, "CATALOGID": 0}
    (found,) = read(write_field_spec(tmp_path, catalogid="u1020+0102", row=row)).targets
    assert (found["SDSS_ID"], found["CATALOGID"], found["TARGETID"]) == (-1, -1, -1)


MISSING = {
    "COADD": ("missing_hdu", "COADD"), "SPALL": ("missing_hdu", "give --catalogue"),
}  # fmt: skip


@pytest.mark.parametrize("missing", MISSING)
def test_a3_a_missing_table_is_named(tmp_path, write_field_spec, missing):
    hdus = ("COADD", "SPALL", "ZALL", "ZLINE")[: ("COADD", "SPALL").index(missing)]
    error = failure_of(write_field_spec(tmp_path, hdus=hdus))
    assert error.reason == MISSING[missing][0]
    assert MISSING[missing][1] in str(error)
    assert SdssV().spectrum_names(error.targets) == [f"102359-60089-{CATALOGID}"]


def test_a2_a_file_cut_anywhere_fails(tmp_path, write_field_spec):
    path = write_field_spec(tmp_path, n_exposures=1)
    size = path.stat().st_size
    for cut in range(2880, size, 2880 * 7):
        os.truncate(write_field_spec(tmp_path, n_exposures=1), size - cut)
        assert failure_of(path).reason in ("truncated", "missing_hdu", "not_fits", "bad_header")


def test_a4_a_flipped_bit_is_a_checksum(tmp_path, write_field_spec):
    path = write_field_spec(tmp_path)
    content = bytearray(path.read_bytes())
    content[2880 * 5] ^= 1
    path.write_bytes(content)
    assert failure_of(path).reason == "checksum"
    assert read(path, verify=False).flags.tolist() == [flag_bit("CHECKSUM")]


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ({"VACUUM": False}, "air"),
        ({"COEFF0": 3.5532}, "Angstrom"),
        ({"CUNIT1": "nm"}, "not Angstrom"),
    ],
)
def test_a18_wavelengths_that_are_not_its_own_are_refused(tmp_path, write_field_spec, header, said):
    error = failure_of(write_field_spec(tmp_path, header=header))
    assert error.reason == "bad_wavelengths"
    assert said in str(error)


def test_a14_several_rows_that_agree_are_one(tmp_path, write_field_spec):
    path = write_field_spec(tmp_path)
    with fits.open(path, mode="update") as hdus:
        twice = np.concatenate([hdus["SPALL"].data] * 2)
        hdus["SPALL"].data = twice
    specs = read(path, verify=False)
    assert specs.flags[0] & flag_bit("CATALOGUE_ROWS")
    assert specs.targets["CATALOGID"].tolist() == [CATALOGID]
    with fits.open(path, mode="update") as hdus:
        hdus["SPALL"].data["Z"][1] = 0.7
    assert read(path, verify=False).reasons.tolist() == ["ambiguous_catalogue"]


@pytest.mark.parametrize(
    ("name", "said"),
    [("spSpec-102359-60089-27021598149616104.fits", "spSpec file of SDSS-V, without class"),
     ("sdR-b1-00353048.fit", "raw frame")],
)  # fmt: skip
def test_steps_of_the_reduction_are_refused_with_what_to_fetch(
    tmp_path, write_field_spec, name, said
):
    if name.startswith("sdR"):
        path = tmp_path / name
        fits.PrimaryHDU(np.ones((4, 4), np.int16)).writeto(path)
    else:
        path = write_field_spec(tmp_path, name=name)
        with fits.open(path, mode="update") as hdus:
            hdus["SPALL"].name = "PLUGMAP"
    assert SdssV().kind_of_name(name) is None
    error = failure_of(path)
    assert error.reason == "unknown_layout"
    assert said in str(error)
    assert "fetch" in str(error)


def test_files_under_each_others_names_are_told_what_they_are(
    tmp_path, write_field_spec, write_spec
):
    plate = write_spec(tmp_path / f"spec-015143-59205-{CATALOGID}.fits")
    error = failure_of(plate)
    assert "a spec file" in str(error)
    assert "rename it to spec-3655-55240-0001.fits" in str(error)
    assert SdssV().spectrum_names(error.targets) == [""]
    field = write_field_spec(tmp_path, name="spec-3655-55240-0001.fits")
    (error,) = read_spec_files([str(field)], GRID).failures
    assert "rename it to spec-FIELD-MJD-CATALOGID.fits" in str(error)


def test_exposures_of_a_full_file(tmp_path, write_field_spec):
    wdisp = np.linspace(1, 2, 1730)
    path = write_field_spec(tmp_path, n_exposures=3, wdisp=wdisp, exposure_lines={1: [(4500, 90)]})
    exposures = SdssV().exposures(FIELD_SPECS, str(path), (3800, 5000))
    assert [e.name for e in exposures] == [f"MJD_EXP_60089-{i:02d}" for i in range(3)]
    peak = [e.flux[np.abs(e.wave - 4500) < 5].max() for e in exposures]
    assert np.argmax(peak) == 1
    for e in exposures:
        assert_allclose(e.ivar, SIGMA**-2, rtol=1e-6)
        # Pixels are those of the coadd, to the 0.004 pixel that LOGLAM keeps.
        assert_allclose(e.dispersion, wdisp, rtol=0.05)
    assert SdssV().exposures(FIELD_SPECS, str(write_field_spec(tmp_path)), (3800, 5000)) == []


def test_masked_pixels_of_an_exposure_say_nothing(tmp_path, write_field_spec):
    bits = np.zeros(1730, int)
    bits[700] = 1 << INSTRUMENT.no_data_bit
    path = write_field_spec(tmp_path, n_exposures=1, and_mask=bits)
    (exposure,) = SdssV().exposures(FIELD_SPECS, str(path), (3800, 5000))
    assert np.flatnonzero(exposure.ivar == 0).tolist() == [700]


def _rewritten(path, change):
    with fits.open(path) as hdus:
        made = change(fits.HDUList([hdu.copy() for hdu in hdus]))
        made.writeto(path, overwrite=True, checksum=True)
    return path


def _without_names(hdus):
    for hdu in hdus[1:]:
        del hdu.header["EXTNAME"]
    return hdus


def _in_small_letters(hdus):
    for hdu in hdus[1:]:
        for i, name in enumerate(hdu.columns.names, 1):
            hdu.header[f"TTYPE{i}"] = name.lower()
    return hdus


def _other_order(hdus):
    return fits.HDUList([hdus[0], hdus["ZLINE"], hdus["ZALL"], hdus["SPALL"], hdus["COADD"]])


def _coadd_without(*names):
    def change(hdus):
        kept = [column for column in hdus["COADD"].columns if column.name not in names]
        hdus["COADD"] = fits.BinTableHDU.from_columns(fits.ColDefs(kept), name="COADD")
        return hdus

    return change


def _text_ids(hdus):
    table = hdus["SPALL"]
    text = fits.Column("CATALOGID", "20A", array=[f"  {CATALOGID}"])
    others = [column for column in table.columns if column.name not in ("CATALOGID", "SPEC_FILE")]
    hdus["SPALL"] = fits.BinTableHDU.from_columns([*others, text], name="SPALL")
    hdus[0].header["FIELDID"] = "0102359"
    return hdus


CHANGES = {
    "without names of HDUs": _without_names, "in small letters": _in_small_letters,
    "HDUs in another order": _other_order, "without MODEL": _coadd_without("MODEL", "WRESL"),
    "without LOGLAM": _coadd_without("LOGLAM"), "identifiers as text": _text_ids,
    "nothing changed": lambda hdus: hdus,
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a14_what_may_differ_changes_nothing(tmp_path, write_field_spec, change):
    whole = read(write_field_spec(tmp_path))
    path = _rewritten(write_field_spec(tmp_path), CHANGES[change])
    found = read(path)
    assert not found.failures
    assert_array_equal(found.batch.flux, whole.batch.flux)
    for name in ("SPECTRUM", "CATALOGID", "SDSS_ID", "Z", "CLASS", "FIBERID", "RA"):
        assert_array_equal(found.targets[name], whole.targets[name])
    assert SdssV().kind_of_content(str(path)) is FIELD_SPECS


def test_a14_without_a_line_spread_or_a_mask_it_is_read(tmp_path, write_field_spec):
    path = _rewritten(write_field_spec(tmp_path), _coadd_without("WDISP", "AND_MASK"))
    found = read(path)
    assert found.flags[0] & flag_bit("NO_MASK")
    assert (found.batch.dispersion == 0).all()


@pytest.mark.parametrize("name", ["FLUX", "IVAR"])
def test_a_missing_column_is_named(tmp_path, write_field_spec, name):
    path = _rewritten(write_field_spec(tmp_path), _coadd_without(name))
    error = failure_of(path)
    assert error.reason == "missing_column"
    assert name in str(error)
