from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from hypothesis import given
from hypothesis import strategies as st

from speclens.errors import RunError, SpectrumFileError
from speclens.read import fits_table
from speclens.read.catalogue import read_catalogue
from speclens.read.cells import exact_id
from speclens.read.targets import blank_targets, identify

ROWS = [
    {"FIBERID": 1, "Z": 0.5},
    {"FIBERID": 2, "Z": 0.6, "CLASS": "QSO"},
    {"FIBERID": 2, "Z": 0.6, "CLASS": "QSO"},
    {"FIBERID": 3, "Z": 0.7},
    {"FIBERID": 3, "Z": 0.8},
    {"PLATE": 4000, "FIBERID": 1, "Z": 0.9},
]


def spectra(*fibres, plate=3655):
    targets = blank_targets(len(fibres))
    identify(targets, plate, 55240, np.array(fibres))
    return targets


def specobjid(plate, mjd, fiberid):
    return plate << 50 | fiberid << 38 | (mjd - 50000) << 24 | 42 << 10


@given(st.integers(-(2**63), 2**64), st.sampled_from(["{}", " {} ", "b' {}'", '"{}"', "'{} '"]))
def test_c1_identifiers_are_exact_to_the_last_digit(number, form):
    assert exact_id(form.format(number)) == number
    assert exact_id(form.format(number).encode()) == number
    assert exact_id(number) == number


@pytest.mark.parametrize("text", ["3.72236E+18", "4616000000000000000.0", 4.616e18, "1e3", "1."])
def test_c1_rounded_identifiers_are_refused_as_rounded(text):
    with pytest.raises(ValueError, match="already rounded"):
        exact_id(text)


@pytest.mark.parametrize("text", ["", "x", "12 34", "0x10", None, "--", "nan"])
def test_c1_what_is_no_identifier_is_refused(text):
    with pytest.raises(ValueError, match="not a number"):
        exact_id(text)


def test_c2_lookup_tells_every_case_apart(tmp_path, write_catalogue):
    catalogue = read_catalogue(str(write_catalogue(tmp_path / "spAll.fits", ROWS)))
    targets, reasons, several = catalogue.lookup(spectra(1, 2, 3, 4))
    assert reasons.tolist() == ["", "", "ambiguous_catalogue", "not_in_catalogue"]
    assert several.tolist() == [False, True, False, False]
    assert targets["CLASS"][:2].tolist() == ["GALAXY", "QSO"]
    assert targets["Z"][0] == np.float32(0.5)
    assert targets["TARGETID"].tolist() == spectra(1, 2, 3, 4)["TARGETID"].tolist()


def test_a_fibre_that_its_file_calls_sky_stays_sky(tmp_path, write_catalogue):
    catalogue = read_catalogue(str(write_catalogue(tmp_path / "spAll.fits", ROWS)))
    wanted = spectra(1)
    wanted["OBJTYPE"] = "SKY"
    assert catalogue.lookup(wanted)[0]["OBJTYPE"][0] == "SKY"


def test_c2_an_empty_catalogue_knows_no_spectrum(tmp_path, write_catalogue):
    catalogue = read_catalogue(str(write_catalogue(tmp_path / "spAll.fits", [])))
    assert len(catalogue.targets) == 0
    assert catalogue.lookup(spectra(1))[1].tolist() == ["not_in_catalogue"]


def test_only_the_rows_of_the_plates_asked_for_are_kept(tmp_path, write_catalogue):
    path = str(write_catalogue(tmp_path / "spAll.fits.gz", ROWS))
    assert set(read_catalogue(path, {4000}).targets["PLATE"]) == {4000}
    assert len(read_catalogue(path).targets) == len(ROWS)


@pytest.mark.parametrize("n_bytes", [1, 500, 10**6])
def test_reading_in_pieces_is_reading_at_once(tmp_path, write_catalogue, monkeypatch, n_bytes):
    rows = [{"FIBERID": i, "Z": i / 100} for i in range(1, 40)]
    path = str(write_catalogue(tmp_path / "spAll.fits", rows))
    whole = read_catalogue(path).targets
    monkeypatch.setattr(fits_table, "PIECE_BYTES", n_bytes)
    np.testing.assert_array_equal(read_catalogue(path).targets, whole)


@pytest.mark.parametrize("ending", ["csv", "ecsv"])
def test_c1_text_tables_keep_every_digit(tmp_path, ending):
    path = tmp_path / f"table.{ending}"
    ids = [specobjid(12000, 55240, 7), specobjid(3655, 55240, 8)]
    assert ids[0] > 2**63
    table = Table(
        {"specObjID": [str(i) for i in ids], "class": ["GALAXY", "STAR"], "z": [0.5, 0.0]}
    )
    table.write(path, format=f"ascii.{ending}")
    targets = read_catalogue(str(path)).targets
    assert sorted(targets["TARGETID"]) == [3655552400008, 12000552400007]
    assert set(targets["CLASS"]) == {"GALAXY", "STAR"}


@pytest.mark.parametrize(
    ("form", "value"),
    [("22A", str), ("K", int), ("uint64", int)],
    ids=["text", "int64", "uint64"],
)
def test_c1_fits_identifiers_keep_every_digit(tmp_path, write_hdus, form, value):
    plate = 12000
    number = specobjid(plate, 55241, 999)
    if form == "K":  # as a program without unsigned integers wraps it
        number -= 2**64
    offset = {"bzero": 2**63} if form == "uint64" else {}
    dtype = {"22A": "S22", "K": "i8", "uint64": "u8"}[form]
    array = np.array([value(number)], dtype)
    columns = [
        fits.Column("SPECOBJID", form.replace("uint64", "K"), array=array, **offset),
        fits.Column("CLASS", "6A", array=["GALAXY"]),
        fits.Column("Z", "D", array=[0.5]),
    ]
    path = write_hdus(
        tmp_path / "specObj.fits", [fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns)]
    )
    targets = read_catalogue(str(path)).targets
    assert targets["TARGETID"].tolist() == [plate * 10**9 + 552410999]


@pytest.mark.parametrize("value", ["3.72236E+18", "4616189618054758400.0"])
def test_c1_identifiers_rounded_by_another_program_are_refused(tmp_path, value):
    path = tmp_path / "table.csv"
    path.write_text(f"specobjid,class,z\n{value},GALAXY,0.5\n")
    with pytest.raises(RunError, match="already rounded"):
        read_catalogue(str(path))


def test_a_table_as_the_survey_server_writes_it_is_read(tmp_path):
    path = tmp_path / "result.csv"
    path.write_text(
        "#Table1\nplate,mjd,fiberid,ra,dec,z,class,subclass,zwarning\n"
        "3655,55240,5,150.25,2.5,0.52,GALAXY,,0\n"
    )
    targets = read_catalogue(str(path)).targets
    assert targets["TARGETID"].tolist() == [3655552400005]
    assert targets["RA"][0] == 150.25
    assert targets["SUBCLASS"][0] == ""


def test_c7_empty_cells_are_unknown_not_zero(tmp_path):
    path = tmp_path / "result.csv"
    path.write_text(
        "plate,mjd,fiberid,ra,dec,z,class,subclass\n3655,55240,5,,,,,\n"
        "3655,55240,6,1,2,0.5,STAR,F5\n"
    )
    unknown, known = read_catalogue(str(path)).targets
    assert np.isnan(unknown["RA"])
    assert np.isnan(unknown["Z"])
    assert unknown["CLASS"] == ""
    assert (known["RA"], known["Z"], known["CLASS"], known["SUBCLASS"]) == (1, 0.5, "STAR", "F5")


def test_c2_a_text_table_without_rows_knows_no_spectrum(tmp_path):
    path = tmp_path / "empty.csv"
    path.write_text("plate,mjd,fiberid,z,class\n")
    assert len(read_catalogue(str(path)).targets) == 0


@pytest.mark.parametrize("columns", [["CLASS", "PLATE", "MJD", "FIBERID"], ["CLASS", "Z", "PLATE"]])
def test_c7_missing_columns_are_named_with_those_found(tmp_path, write_catalogue, columns):
    path = write_catalogue(tmp_path / "spAll.fits", ROWS, columns)
    with pytest.raises(RunError, match=r"no column (Z|PLATE, MJD, FIBERID).*found .*CLASS"):
        read_catalogue(str(path))


def test_c7_a_redshift_that_is_text_is_refused(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("plate,mjd,fiberid,z,class\n3655,55240,5,high,GALAXY\n")
    with pytest.raises(RunError, match=r"table\.csv"):
        read_catalogue(str(path))


@pytest.mark.parametrize("name", ["spAll.fits", "table.csv", "table.ecsv"])
@pytest.mark.parametrize("content", [None, b"", b"\0\1\2\n\3", b"<html>\n<body>a,b</body></html>"])
def test_a1_a_catalogue_that_is_none_is_refused(tmp_path, name, content):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises((RunError, SpectrumFileError), match=name):
        read_catalogue(str(path))


@pytest.mark.parametrize("n_axes", [0, 1, 3])
def test_a7_a_catalogue_table_without_two_axes_is_refused(tmp_path, write_catalogue, n_axes):
    path = write_catalogue(tmp_path / "spAll.fits", ROWS)
    head, name, table = path.read_bytes().partition(b"XTENSION")
    card = b"NAXIS   =                    "
    path.write_bytes(head + name + table.replace(card + b"2", card + b"%d" % n_axes, 1))
    with pytest.raises(SpectrumFileError):
        read_catalogue(str(path))


def test_a_catalogue_without_a_table_is_refused(tmp_path, write_hdus):
    path = write_hdus(tmp_path / "image.fits", [fits.PrimaryHDU(np.zeros((3, 3)))])
    with pytest.raises(SpectrumFileError, match="missing_hdu"):
        read_catalogue(str(path))


@pytest.mark.parametrize("name", ["FIBER2MAG_I", "mag_i", "fiber2Mag_i"])
@pytest.mark.parametrize("ending", ["csv", "ecsv"])
def test_magnitudes_of_a_text_table_are_read_whatever_their_case(tmp_path, name, ending):
    path = tmp_path / f"table.{ending}"
    table = Table({"plate": [3655] * 3, "mjd": [55240] * 3, "fiberid": [1, 2, 3]})
    table["class"], table["z"] = ["GALAXY"] * 3, [0.5, 0.6, 0.7]
    table[name] = ["19.75", "-9999", "faint"]
    table.write(path, format=f"ascii.{ending}")
    magnitude = read_catalogue(str(path)).targets["MAG_I"]
    assert magnitude[0] == 19.75
    assert np.isnan(magnitude[1:]).all()


def test_a_table_of_texts_may_hold_vectors(tmp_path):
    path = tmp_path / "table.ecsv"
    table = Table({"plate": [3655], "mjd": [55240], "fiberid": [1], "class": ["GALAXY"]})
    table["z"], table["FIBER2MAG"] = [0.5], [[23.0, 22.0, 21.0, 20.0, 19.0]]
    table.write(path, format="ascii.ecsv")
    (target,) = read_catalogue(str(path)).targets
    assert (target["FIBERID"], target["MAG_I"]) == (1, 20)


@pytest.mark.parametrize("form", ["5E", "5D"])
def test_magnitudes_of_a_survey_catalogue_go_to_their_rows(tmp_path, write_catalogue, form):
    rows = [{"FIBERID": i, "FIBER2MAG": [0, 0, 0, 20 + i, 0]} for i in (3, 1, 2)]
    path = write_catalogue(tmp_path / "spAll.fits", rows, formats={"FIBER2MAG": form})
    targets = read_catalogue(str(path)).lookup(spectra(1, 2, 3, 4))[0]
    assert targets["MAG_I"][:3].tolist() == [21, 22, 23]
    assert np.isnan(targets["MAG_I"][3])


@pytest.mark.parametrize(
    ("form", "value"),
    [("E", 20.0), ("4E", [20.0] * 4), ("PE", np.ones(5)), ("10A", "20"), ("5L", [True] * 5),
     ("8X", [True] * 8), ("5C", [20j] * 5)],
)  # fmt: skip
def test_c7_a_magnitude_column_of_another_form_costs_no_spectrum(
    tmp_path, write_catalogue, form, value
):
    rows = [{"FIBERID": i, "FIBER2MAG": value} for i in (1, 2)]
    path = write_catalogue(tmp_path / "spAll.fits", rows, formats={"FIBER2MAG": form})
    targets, reasons, _ = read_catalogue(str(path)).lookup(spectra(1, 2))
    assert reasons.tolist() == ["", ""]
    assert np.isnan(targets["MAG_I"]).all()
