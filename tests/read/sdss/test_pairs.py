"""Files, headers, rows and names of one spectrum: whether they belong together."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits

from speclens.errors import SpectrumFileError
from speclens.read.sdss.catalogue import read_catalogue
from speclens.read.sdss.plate import open_plate
from speclens.read.sdss.spec import read_spec_files
from speclens.schema import flag_bit
from speclens.spectra import LogGrid

GRID = LogGrid(35800, 120)
KEEP = {"n_pixels": 200, "coeff0": 3.5780}
NAME = "spec-3655-55240-0001.fits"


def read(path, catalogue=None):
    return read_spec_files([str(path)], GRID, catalogue)


def refusal(path):
    (failure,) = read(path).failures
    assert failure.reason == "bad_identity"
    return failure


def plate_error(path, catalogue=None):
    with (
        pytest.raises(SpectrumFileError) as caught,
        open_plate(str(path), GRID, catalogue),
    ):
        pass
    return caught.value


def edit(path, change):
    """Change the HDUs of a file; checksums are left out."""
    with fits.open(path) as hdus:
        copies = [hdu.copy() for hdu in hdus]
    change(copies)
    for hdu in copies:
        for key in ("CHECKSUM", "DATASUM"):
            hdu.header.remove(key, ignore_missing=True)
    fits.HDUList(copies).writeto(path, overwrite=True)
    return path


@pytest.mark.parametrize(("field", "other"), [("PLATE", 3656), ("MJD", 55241), ("FIBERID", 2)])
@pytest.mark.parametrize("place", ["header", "row", "name"])
def test_i4_header_row_and_name_that_disagree_are_a_reason(
    tmp_path, write_spec, field, other, place
):
    ids = {"PLATE": 3655, "MJD": 55240, "FIBERID": 1} | {field: other}
    name = "spec-{PLATE:04d}-{MJD:05d}-{FIBERID:04d}.fits".format(**ids)
    card = "PLATEID" if field == "PLATE" else field
    path = write_spec(
        tmp_path / (name if place == "name" else NAME),
        header={card: other} if place == "header" else {},
        row={field: other} if place == "row" else {},
        **KEEP,
    )
    failure = refusal(path)
    assert f"{field} is" in str(failure)
    assert str(other) in str(failure)
    # Those in which all agree are known.
    assert failure.targets[field][0] == -1
    assert (failure.targets["PLATE"][0] == 3655) == (field != "PLATE")


@pytest.mark.parametrize("known", ["header", "row", "name"])
def test_what_is_unknown_contradicts_nothing(tmp_path, write_spec, known):
    unknown = {"PLATE": -1, "MJD": -1, "FIBERID": -1}
    header = {"PLATEID": -1, "MJD": -1, "FIBERID": -1}
    path = write_spec(
        tmp_path / (NAME if known == "name" else "my spectrum.fits"),
        header={} if known == "header" else header,
        row={} if known == "row" else unknown,
        **KEEP,
    )
    assert read(path).targets["TARGETID"].tolist() == [3655552400001]


def test_a_catalogue_row_is_looked_up_by_what_header_and_name_say(
    tmp_path, write_spec, write_catalogue
):
    catalogue = read_catalogue(str(write_catalogue(tmp_path / "spAll.fits", [{"Z": 0.7}])))
    path = write_spec(tmp_path / NAME, catalogue=None, header={"PLATEID": "?"}, **KEEP)
    specs = read(path, catalogue)
    assert specs.targets["Z"].tolist() == [np.float32(0.7)]
    assert specs.reasons.tolist() == [""]


@pytest.mark.parametrize(
    ("second", "reason", "flagged"),
    [
        ({}, "", True), ({"Z": 0.6}, "ambiguous_catalogue", False),
        ({"CLASS": "QSO"}, "ambiguous_catalogue", False),
        ({"PLUG_DEC": 3.0}, "ambiguous_catalogue", False),
        ({"FIBERID": 2}, "ambiguous_catalogue", False),
    ],
)  # fmt: skip
def test_of_two_catalogue_rows_none_is_chosen(
    tmp_path, write_spec, write_catalogue, second, reason, flagged
):
    def twice(hdus):
        hdus[2] = fits.BinTableHDU.from_columns(hdus[2].columns, nrows=2, name="SPALL")
        for name in hdus[2].columns.names:
            hdus[2].data[name][1] = hdus[2].data[name][0]
        for name, value in second.items():
            hdus[2].data[name][1] = value

    path = edit(write_spec(tmp_path / NAME, **KEEP), twice)
    specs = read(path)
    assert specs.reasons.tolist() == [reason]
    assert bool(specs.flags[0] & flag_bit("CATALOGUE_ROWS")) == flagged
    assert specs.targets["TARGETID"].tolist() == [3655552400001]
    assert np.isnan(specs.targets["Z"][0]) == bool(reason)
    catalogue = read_catalogue(str(write_catalogue(tmp_path / "spAll.fits", [{}])))
    assert read(path, catalogue).reasons.tolist() == [""]


@pytest.mark.parametrize("number", [2**32 + 3655, 3655.5, -3655])
def test_an_id_of_a_row_never_wraps_nor_is_rounded(tmp_path, write_spec, number):
    def other_id(hdus):
        columns = [c for c in hdus[2].columns if c.name != "PLATE"]
        form = "D" if isinstance(number, float) else "K"
        columns.append(fits.Column("PLATE", form, array=[number]))
        hdus[2] = fits.BinTableHDU.from_columns(columns, name="SPALL")

    path = edit(write_spec(tmp_path / NAME, **KEEP), other_id)
    assert read(path).targets["PLATE"].tolist() == [3655]


def test_a_file_without_a_mask_is_flagged(tmp_path, write_spec):
    with_mask = write_spec(tmp_path / "a.fits", **KEEP)
    without = write_spec(tmp_path / "b.fits", with_and_mask=False, **KEEP)
    assert read(with_mask).flags.tolist() == [0]
    assert read(without).flags.tolist() == [flag_bit("NO_MASK")]


UNITS = ["1E-17 erg/cm^2/s/Ang", "1e-17 erg/s/cm2/Angstrom", "10**-17 erg/(s cm2 Angstrom)",
         "1.0E-17 erg/cm/s/Ang", "10^(-17) ergs s^-1 cm^-2 A^-1", "", " "]  # fmt: skip
OTHER_UNITS = ["erg/s/cm2/A", "1E-16 erg/cm^2/s/Ang", "1E-17 erg/cm^2/s/Hz", "Jy", "FLUX", "counts",
               "1E-17 W/m2/um", "10^12 erg/s/Ang/M_sun_init"]  # fmt: skip


@pytest.mark.parametrize("unit", UNITS)
def test_the_unit_of_the_survey_is_known_however_it_is_written(tmp_path, write_spec, unit):
    assert not read(write_spec(tmp_path / NAME, header={"BUNIT": unit}, **KEEP)).failures


@pytest.mark.parametrize("unit", OTHER_UNITS)
def test_i9_another_unit_is_refused_by_name(tmp_path, write_spec, write_plate, unit):
    spec = write_spec(tmp_path / NAME, header={"BUNIT": unit}, **KEEP)
    column = edit(
        write_spec(tmp_path / "b.fits", **KEEP),
        lambda hdus: hdus[1].columns.change_unit("flux", unit),
    )
    plate = write_plate(tmp_path, n_fibres=2, header={"BUNIT": unit}, **KEEP)
    errors = [*read(spec).failures, *read(column).failures, plate_error(plate)]
    assert [error.reason for error in errors] == ["bad_values"] * 3
    assert all(unit in str(error) for error in errors)


@pytest.mark.parametrize("value", [np.inf, np.nan, 1e38, -1.0, 0.0, 40.0])
def test_a_line_spread_that_cannot_be_is_unknown(tmp_path, write_spec, write_plate, value):
    wdisp = np.full(200, 1.1)
    wdisp[60] = value
    specs = read(write_spec(tmp_path / NAME, wdisp=wdisp, **KEEP))
    path = write_plate(tmp_path, n_fibres=2, wavedisp=np.array([wdisp, wdisp]), **KEEP)
    with open_plate(str(path), GRID) as plate:
        batches = specs.batch, plate.spectra(np.arange(2))
    first = GRID.first - 35780
    for batch in batches:
        assert (batch.dispersion[:, 60 - first] == 0).all()
        assert (np.delete(batch.dispersion, 60 - first, axis=1) == np.float32(1.1)).all()
