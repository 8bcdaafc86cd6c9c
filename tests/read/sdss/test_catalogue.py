from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from hypothesis import given
from hypothesis import strategies as st

from speclens.errors import RunError, SpectrumFileError
from speclens.read.sdss.catalogue import PlateRows, read_catalogue
from speclens.read.sdss.lookup import Catalogue
from speclens.read.sdss.targets import blank_targets, identify
from speclens.read.table import fits_table
from speclens.read.table.cells import exact_id
from speclens.schema import flag_bit

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
    targets, reasons, flags = catalogue.lookup(spectra(1, 2, 3, 4))
    assert reasons.tolist() == ["", "", "ambiguous_catalogue", "not_in_catalogue"]
    assert flags.tolist() == [0, flag_bit("CATALOGUE_ROWS"), 0, 0]
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


# Columns of other eras and exports.


def table_of(tmp_path, header, *rows, name="table.csv"):
    path = tmp_path / name
    path.write_text("\n".join([header, *rows]) + "\n")
    return str(path)


def targets_of(tmp_path, header, *rows):
    return read_catalogue(table_of(tmp_path, header, *rows)).targets


def notes_of(path):
    rows = PlateRows(path)
    list(rows)
    return rows.notes


@pytest.mark.parametrize(
    "header",
    [
        "plate,mjd,fiberID,class,subClass,z,zWarning,zNoQSO,zWarningNoQSO,classNoQSO,plateQuality,"
        "velDisp,velDispErr",
        "PLATE,MJD,FIBERID,CLASS,SUBCLASS,Z,ZWARNING,Z_NOQSO,ZWARNING_NOQSO,CLASS_NOQSO,"
        "PLATEQUALITY,VDISP,VDISP_ERR",
        "PlateID,M_J_D,Fiber,Class,sub_class,Z,Z_Warning,z_NoQSO,zwarning_noqso,class_noqso,"
        "plate quality,v.disp,vdisp err",
    ],
)
def test_names_are_compared_without_case_and_underscores(tmp_path, header):
    row = "3655,55240,5,QSO,BROADLINE,2.1,4,0.5736,0,GALAXY,good,231,12"
    (target,) = targets_of(tmp_path, header, row)
    assert target["TARGETID"] == 3655552400005
    assert (target["CLASS"], target["SUBCLASS"], target["Z"]) == ("QSO", "BROADLINE", 2.1)
    assert (target["ZWARNING"], target["ZWARNING_NOQSO"]) == (4, 0)
    assert (target["CLASS_NOQSO"], target["Z_NOQSO"]) == ("GALAXY", 0.5736)
    assert target["PLATEQUALITY"] == "good"
    assert (target["VDISP"], target["VDISP_ERR"]) == (231, 12)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("GALAXY,0.5,0,,0,0", ("GALAXY", 0.5, 0)),
        ("GALAXY,0.5,4,,,", ("GALAXY", 0.5, 4)),
        ("GALAXY,0.5,4,null,0.0,0", ("GALAXY", 0.5, 4)),
        ("QSO,2.1,4,GALAXY,0.6,0", ("GALAXY", 0.6, 0)),
        ("STAR,0.0,0,STAR,0,0", ("STAR", 0.0, 0)),
    ],
)
def test_blank_noqso_columns_give_way_row_by_row(tmp_path, row, expected):
    header = "plate,mjd,fiberid,class,z,zwarning,class_noqso,z_noqso,zwarning_noqso"
    other = "3655,55240,6,QSO,2.1,0,GALAXY,0.7,0"
    target, second = targets_of(tmp_path, header, "3655,55240,5," + row, other)
    assert tuple(target[["CLASS_NOQSO", "Z_NOQSO", "ZWARNING_NOQSO"]]) == expected
    assert second["Z_NOQSO"] == 0.7


BANDS = "u,g,r,i,"


@pytest.mark.parametrize(
    ("header", "row", "z"),
    [
        (f"{BANDS}z,class,redshift", "21,20,19,18,17.5,GALAXY,0.57", 0.57),
        (f"{BANDS}redshift,class,z", "21,20,19,18,0.57,GALAXY,17.5", 0.57),
        ("z,class,redshift", "17.5,GALAXY,0.57", 0.57),
        ("redshift,class", "0.57,GALAXY", 0.57),
        ("class,zSpec", "GALAXY,0.57", 0.57),
        (f"{BANDS}class,z", "21,20,19,18,GALAXY,0.57", 0.57),  # the magnitude in z was left out
        ("z,class,redshift", "0.5712,GALAXY,0.57", 0.57),
    ],
)
def test_the_redshift_is_the_column_that_holds_redshifts(tmp_path, header, row, z):
    (target,) = targets_of(tmp_path, f"plate,mjd,fiberid,{header}", f"3655,55240,5,{row}")
    assert target["Z"] == target["Z_NOQSO"] == z


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        (f"{BANDS}z,class", ["21,20,19,18,17.5,GALAXY", "21,20,19,18,,STAR"]),
        (f"{BANDS}z,class", ["21,20,19,18,17.5,GALAXY", "9,9,9,9,9.5,STAR"]),
        ("z,class", ["17.5,GALAXY", "22.1,GALAXY"]),
        ("z,class", ["-9999,GALAXY", "-9999,GALAXY"]),
        ("z,class", ["45000,GALAXY", "61000,GALAXY"]),  # velocities
    ],
)
def test_a_table_of_which_no_z_can_be_a_redshift_is_refused(tmp_path, header, rows):
    rows = [f"3655,55240,{i},{row}" for i, row in enumerate(rows, 1)]
    with pytest.raises(RunError, match=r"column 'z' holds no redshifts.*Found plate, mjd"):
        targets_of(tmp_path, f"plate,mjd,fiberid,{header}", *rows)


def test_a_bad_redshift_among_good_ones_is_one_row(tmp_path):
    rows = [f"3655,55240,{i},GALAXY,{z}" for i, z in enumerate(["0.5", "-9999", "99", "0.6"], 1)]
    assert len(targets_of(tmp_path, "plate,mjd,fiberid,class,z", *rows)) == 4


def test_two_columns_of_a_redshift_that_differ_are_refused(tmp_path):
    with pytest.raises(RunError, match=r"'z' and 'redshift' differ \(0\.5 and 0\.9\)"):
        targets_of(tmp_path, "plate,mjd,fiberid,class,z,redshift", "3655,55240,5,GALAXY,0.5,0.9")


@pytest.mark.parametrize("names", ["z,Z", "z,z", "Z_NOQSO,zNoQSO", "class,CLASS", "mjd,MJD"])
def test_i6_two_columns_of_one_name_are_refused_where_they_differ(tmp_path, names):
    header = f"plate,mjd,fiberid,class,z,{names}"
    same = {"z": "0.5", "Z": "0.50"}
    rows = ["3655,55240,5,GALAXY,0.5," + ",".join(
        {"mjd": "55240", "class": "GALAXY", "z_noqso": "0.5", "znoqso": "0.5"}.get(
            name.lower(), same.get(name, "")) for name in names.split(","))]  # fmt: skip
    assert len(targets_of(tmp_path, header, *rows)) == 1
    second = "3655,55240,6,GALAXY,0.5," + rows[0].partition("0.5,")[2]
    changed = second.rpartition(",")[0] + {"class": ",QSO", "mjd": ",55241"}.get(
        names.split(",")[0], ",0.7"
    )
    with pytest.raises(RunError, match="have one name and differ, first in row 2"):
        targets_of(tmp_path, header, *rows, changed)


@pytest.mark.parametrize(
    ("cell", "plate"),
    [("3655", 3655), ("3655.0", 3655), ("3,655", 3655), (" 3655 ", 3655), ("03655", 3655)],
)
def test_whole_numbers_are_read_as_programs_write_them(tmp_path, cell, plate):
    (target,) = targets_of(
        tmp_path, "plate,mjd,fiberid,class,z", f'"{cell}","55,240.0",5.0,GALAXY,0.5'
    )
    assert tuple(target[["PLATE", "MJD", "FIBERID"]]) == (plate, 55240, 5)


@pytest.mark.parametrize("cell", ["3655.5", "3.7E+18", "high", "99999999999", "3655 or 3656"])
def test_an_identifier_that_cannot_be_read_is_one_row(tmp_path, cell):
    path = table_of(
        tmp_path, "plate,mjd,fiberid,class,z",
        "3655,55240,5,GALAXY,0.5", f"{cell},55240,6,GALAXY,0.5", ",55240,7,GALAXY,0.5",
    )  # fmt: skip
    assert read_catalogue(path).targets["FIBERID"].tolist() == [5]
    (unread, unknown) = notes_of(path)
    for said in ("1 of the cells", "'plate'", "row 2", repr(cell)):
        assert said in unread
    assert "2 of 3 rows" in unknown


def test_identifiers_of_which_none_can_be_read_are_refused(tmp_path):
    rows = ["3.7E+03,55240,5,GALAXY,0.5", ",55240,6,GALAXY,0.5"]
    with pytest.raises(RunError, match=r"'plate'.*row 1.*'3\.7E\+03'.*whole numbers"):
        targets_of(tmp_path, "plate,mjd,fiberid,class,z", *rows)


@pytest.mark.parametrize("cell", ["high", "0.5a", "0,5736", "1e999", "inf"])
def test_a_cell_that_cannot_be_read_is_one_unknown_row(tmp_path, cell):
    path = table_of(
        tmp_path, "plate,mjd,fiberid,class,z",
        "3655,55240,5,GALAXY,0.5", f'3655,55240,6,GALAXY,"{cell}"', "3655,55240,7,GALAXY,null",
    )  # fmt: skip
    targets = read_catalogue(path).targets
    np.testing.assert_array_equal(targets["Z"], [0.5, np.nan, np.nan])
    (note,) = notes_of(path)
    assert "1 of the cells of column 'z'" in note
    assert f"row 2: {cell!r}" in note


@pytest.mark.parametrize(
    "ids", [("-1", "-1", "-1"), ("", "", ""), ("0", "0", "0"), ("3655", "55240", "-1"),
            ("3655", "55240", "10001")],
)  # fmt: skip
def test_i5_rows_and_spectra_without_ids_meet_nothing(tmp_path, ids):
    path = table_of(
        tmp_path, "plate,mjd,fiberid,class,z",
        ",".join(ids) + ",GALAXY,0.45", "3655,55240,7,GALAXY,0.5",
    )  # fmt: skip
    catalogue = read_catalogue(path)
    assert catalogue.targets["FIBERID"].tolist() == [7]
    nameless = blank_targets(2)
    assert catalogue.lookup(nameless)[1].tolist() == ["not_in_catalogue"] * 2
    assert np.isnan(catalogue.lookup(nameless)[0]["Z"]).all()


def test_i5_a_spectrum_without_an_id_finds_no_row_without_one():
    catalogue = Catalogue(blank_targets(2), "memory")
    assert catalogue.lookup(blank_targets(1))[1].tolist() == ["not_in_catalogue"]


@pytest.mark.parametrize("classes", ["galaxy,agn broadline", "Galaxy ,AGN Broadline"])
def test_classes_are_known_in_any_case(tmp_path, classes):
    header = "plate,mjd,fiberid,z,class,subclass,platequality,objtype"
    (target,) = targets_of(tmp_path, header, f"3655,55240,5,0.5,{classes},GOOD,sky")
    assert (target["CLASS"], target["SUBCLASS"]) == ("GALAXY", "AGN BROADLINE")
    assert (target["PLATEQUALITY"], target["OBJTYPE"]) == ("good", "SKY")


def test_positions_of_a_catalogue_may_be_sexagesimal(tmp_path):
    header = "plate,mjd,fiberid,class,z,ra,dec"
    (target,) = targets_of(tmp_path, header, "3655,55240,5,GALAXY,0.5,14:43:20.73,-00:44:54.17")
    assert target["RA"] == pytest.approx(220.836375)
    assert target["DEC"] == pytest.approx(-0.748381, abs=1e-6)


@pytest.mark.parametrize("changed", ["OBJTYPE", "PLATEQUALITY", "SUBCLASS", "ZWARNING", "RA"])
def test_i4_rows_that_differ_in_what_decides_are_ambiguous(tmp_path, changed):
    values = {"OBJTYPE": "GALAXY", "PLATEQUALITY": "good", "SUBCLASS": "", "ZWARNING": "0",
              "RA": "150.1", "DEC": "2.1"}  # fmt: skip
    other = values | {changed: {"RA": "150.2", "ZWARNING": "4"}.get(changed, "SKY")}
    rows = [f"3655,55240,5,GALAXY,0.5,{','.join(row.values())}" for row in (values, other, values)]
    header = f"plate,mjd,fiberid,class,z,{','.join(values)}"
    catalogue = read_catalogue(table_of(tmp_path, header, *rows))
    assert catalogue.lookup(spectra(5))[1].tolist() == ["ambiguous_catalogue"]


def test_i4_of_rows_that_agree_what_is_measured_twice_is_not_chosen(tmp_path):
    header = "plate,mjd,fiberid,class,z,vdisp,mag_i"
    rows = ["3655,55240,5,GALAXY,0.5,200,19.5", "3655,55240,5,GALAXY,0.5,210,19.5"]
    targets, reasons, flags = read_catalogue(table_of(tmp_path, header, *rows)).lookup(spectra(5))
    assert (reasons.tolist(), flags.tolist()) == ([""], [flag_bit("CATALOGUE_ROWS")])
    assert np.isnan(targets["VDISP"][0])
    assert targets["MAG_I"][0] == 19.5


def test_an_sdssv_catalogue_is_named_as_what_it_is(survey_data):
    path = survey_data / "reports" / "01_sdssv_catalogue" / "spAll-v6_1_3-subset.fits"
    with pytest.raises(RunError, match="SDSS-V"):
        read_catalogue(str(path))


@pytest.mark.parametrize("number", [1237648704577142001, 454497819059205001, 17, -5])
def test_numbers_that_are_no_specobjid_are_not_taken_apart(tmp_path, number):
    good = specobjid(3655, 55240, 8)
    rows = [f"{number},GALAXY,0.5", f"{good},GALAXY,0.5"]
    path = table_of(tmp_path, "specobjid,class,z", *rows)
    assert read_catalogue(path).targets["TARGETID"].tolist() == [3655552400008]
    with pytest.raises(RunError, match="already rounded"):
        targets_of(tmp_path, "specobjid,class,z", "3.72E+18,GALAXY,0.5", "3.64E+17,GALAXY,0.6")


def test_what_a_catalogue_holds_is_counted(tmp_path):
    path = table_of(
        tmp_path, "plate,mjd,fiberid,class,z", *[f"{p},55240,5,GALAXY,0.5" for p in (9, 4, 7)]
    )
    rows = PlateRows(path, {7})
    assert [len(part) for part in rows] == [1]
    assert (rows.n_rows, rows.n_unknown, rows.plate_range, rows.notes) == (3, 0, (4, 9), [])


def test_a_long_cell_is_read_in_little_memory(tmp_path):
    lines = ["plate,mjd,fiberid,class,z,note"]
    lines += [f"{1 + i // 1000},55240,{1 + i % 1000},GALAXY,0.5,{'x' * 200}" for i in range(8_000)]
    lines[5_000] = lines[5_000].replace("GALAXY", "G" * 100_000)
    path = table_of(tmp_path, *lines)
    tracemalloc.start()
    (count,) = [sum(map(len, PlateRows(path, {3})))]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 1000
    assert peak < 40e6


@pytest.mark.parametrize(
    "cell", ["b'GALAXY'", "'GALAXY'", "b'GALAXY  '", " galaxy ", "GALAXY\0QSO"]
)
def test_a_class_is_read_as_programs_write_it(tmp_path, cell):
    (target,) = targets_of(tmp_path, "plate,mjd,fiberid,z,class", f"3655,55240,5,0.5,{cell}")
    assert target["CLASS"] == "GALAXY"


def test_i8_another_place_than_the_file_gives_is_told_and_the_file_s_is_kept(
    tmp_path,
):
    path = tmp_path / "list.csv"
    path.write_text("plate,mjd,fiberid,class,z,ra,dec\n" + "".join(
        f"7,55240,{i},GALAXY,0.5,{10 + shift},1.0\n" for i, shift in ((1, 0.0), (2, 0.1))
    ))  # fmt: skip
    asked = spectra(1, 2, plate=7)
    asked["RA"], asked["DEC"] = 10.0, 1.0
    targets, reasons, flags = read_catalogue(str(path)).lookup(asked)
    assert reasons.tolist() == ["", ""]
    assert targets["RA"].tolist() == [10.0, 10.0]
    assert flags.tolist() == [0, flag_bit("CATALOGUE_PLACE")]
