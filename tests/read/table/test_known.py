"""Lists of published systems: every format and spelling, and what is refused."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import MaskedColumn, Table
from hypothesis import given
from hypothesis import strategies as st

from speclens.errors import RunError
from speclens.products import write_fits, write_text_table
from speclens.read.table.known import Known, read_known
from speclens.schema import CANDIDATES, KNOWN, dtype_of
from speclens.vet.known import n_systems

HEADER = "name,plate,mjd,fiber,ra,dec,z_s"
ROW = "SDSS J111749.50+014036.9,4731,55656,197,169.456250,1.676931,2.157"


def listed(tmp_path: Path, *lines: str, name: str = "list.csv") -> Known:
    path = tmp_path / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return read_known(path)


def at(tmp_path: Path, ra: str, dec: str) -> Known:
    """Read one position, beside a row that is always usable."""
    return listed(tmp_path, "ra;dec", f"{ra};{dec}", "10.5;20.5", name="list.txt")


def one_position(tmp_path: Path, ra: str, dec: str) -> tuple[float, float]:
    known = at(tmp_path, ra, dec)
    assert known.n_refused == 0
    return float(known.rows["RA"][0]), float(known.rows["DEC"][0])


def test_every_column_of_a_plain_list_is_read(tmp_path: Path) -> None:
    known = listed(tmp_path, HEADER, ROW)
    expected = ("SDSS J111749.50+014036.9", 4731, 55656, 197, 169.45625, 1.676931, 2.157)
    assert known.rows.dtype == dtype_of(KNOWN)
    assert known.rows.tolist() == [(*expected, 4731556560197, "")]
    assert (known.n_refused, known.first_refused, known.why, known.n_renamed) == (0, 0, "", 0)


@pytest.mark.parametrize(
    "form", ["csv", "tab", "semicolon", "blank", "commented", "ecsv", "fits", "votable", "gzip"]
)
def test_formats_are_told_by_their_content_and_give_the_same_rows(
    tmp_path: Path, form: str
) -> None:
    rows = [["A 1", 4731, 55656, 197, 169.45625, 1.676931, 2.157], ["B", 1, 2, 3, 0.5, -0.5, 2.5]]
    names = HEADER.split(",")
    table = Table(rows=rows, names=names)
    path = tmp_path / "list.dat"  # the suffix says nothing
    mark = {"csv": ",", "gzip": ",", "tab": "\t", "semicolon": ";"}.get(form, "  ")
    quoted = [[f'"{cell}"' if " " in str(cell) else str(cell) for cell in row] for row in rows]
    lines = [mark.join(row) for row in [names, *quoted]]
    if form == "commented":
        lines = ["# a list", "# " + lines[0], *lines[1:]]
    if form in ("ecsv", "fits", "votable"):
        table.write(path, format={"ecsv": "ascii.ecsv"}.get(form, form))
    elif form == "gzip":
        path.write_bytes(gzip.compress("\n".join(lines).encode()))
    else:
        path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    found = read_known(path)
    assert [list(row)[:7] for row in found.rows.tolist()] == rows
    assert found.n_refused == 0


@pytest.mark.parametrize(
    ("ra", "dec"),
    [("RA", "DEC"), ("R.A.", "Decl."), ("RAJ2000", "DEJ2000"), ("PLUG_RA", "PLUG_DEC"),
     ("ra (deg)", "dec [deg]"), ("RA_deg", "DEC_deg"),
     ("Right Ascension", "declination"), (" ra ", " Dec. ")],
)  # fmt: skip
@pytest.mark.parametrize(
    "z", ["z_s", "zs", "Z_SOURCE", "zsource", "$z_s$", r"$z_\mathrm{S}$", r"$z_{\rm s}$", "z_src"]
)
def test_columns_are_known_by_many_names(tmp_path: Path, ra: str, dec: str, z: str) -> None:
    rows = listed(tmp_path, f"{ra},{dec},$z_l$,{z}", "169.5,1.5,0.5,2.25").rows
    assert [rows[name][0] for name in ("RA", "DEC", "Z_SOURCE")] == [169.5, 1.5, 2.25]


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("plate-mjd-fiber", "3865-55272-67"),
        ("Plate-MJD-Fiber", "3865-55272-0067"),
        ("name", "3865-55272-67"),
        ("target_name", "GAL-3865-55272-067"),
        ("name", "spec-3865-55272-0067"),
        ("SPECTRUM", "3865\u201355272\u201367"),
    ],
)
def test_a_spectrum_is_known_by_one_column_or_by_the_name(
    tmp_path: Path, column: str, cell: str
) -> None:
    rows = listed(tmp_path, f"{column},grade", f"{cell},A").rows
    assert rows[["PLATE", "MJD", "FIBERID"]].tolist() == [(3865, 55272, 67)]
    assert np.isnan(rows["RA"][0])
    assert np.isnan(rows["Z_SOURCE"][0])


@pytest.mark.parametrize(
    ("cell", "number"),
    [("4731", 4731), ("4731.0", 4731), ("0668", 668), (" 55 ", 55), ("-1", -1), ("0", -1),
     ("", -1), ("4731.5", -1), ("4.7e3", -1), ("99999999999", -1), ("nan", -1)],
)  # fmt: skip
def test_a_plate_is_a_whole_number_or_none(tmp_path: Path, cell: str, number: int) -> None:
    rows = listed(tmp_path, HEADER, f"x,{cell},55656,197,1,2,2.5").rows
    assert rows["PLATE"][0] == number
    assert rows["MJD"][0] == (55656 if number > 0 else -1)


@pytest.mark.parametrize("form", ["{}", "b' {}'", '"{}"'])
def test_c1_a_survey_identifier_is_exact_to_the_last_digit(tmp_path: Path, form: str) -> None:
    number = 12000 << 50 | 999 << 38 | (55241 - 50000) << 24 | 42 << 10
    assert number > 2**63
    rows = listed(tmp_path, "specObjID;z_s", form.format(number), name="list.txt").rows
    assert rows[["PLATE", "MJD", "FIBERID"]].tolist() == [(12000, 55241, 999)]
    wrapped = listed(tmp_path, "specObjID;z_s", str(number - 2**64), name="list.txt").rows
    assert wrapped[["PLATE", "MJD", "FIBERID"]].tolist() == [(12000, 55241, 999)]


@pytest.mark.parametrize("cell", ["0", "-1", "-99", "17", ""])
def test_c1_numbers_that_stand_for_none_are_no_identifier(tmp_path: Path, cell: str) -> None:
    rows = listed(tmp_path, "specObjID;ra;dec", f"{cell};1.5;2.5", name="list.txt").rows
    assert rows[["PLATE", "MJD", "FIBERID"]].tolist() == [(-1, -1, -1)]


def test_c1_a_rounded_identifier_is_refused_as_rounded(tmp_path: Path) -> None:
    known = listed(tmp_path, "specobjid,ra,dec", "3.72236E+18,,", "3.72236E+18,1,2")
    assert (len(known.rows), known.n_refused, known.first_refused) == (1, 1, 1)
    assert known.rows["PLATE"].tolist() == [-1]
    assert "already rounded" in known.why


@pytest.mark.parametrize(
    ("ra", "dec", "degrees"),
    [
        ("14:43:20.73", "+33:42:12.10", (220.836375, 33.703361)),
        ("14h43m20.73s", "+33d42m12.10s", (220.836375, 33.703361)),
        ("14 43 20.73", "33 42 12.10", (220.836375, 33.703361)),
        ("14:43:20.73", "33\u00b042\u203212.10\u2033", (220.836375, 33.703361)),
        ("00:00:01", "-00:44:54.17", (0.0041667, -0.748381)),
        ("00:00:01", "\u221200:44:54.17", (0.0041667, -0.748381)),
        ("220d50m10.95s", "0:0:0", (220.836375, 0.0)),
        ("23:59:59.99", "-90:00:00", (359.9999583, -90.0)),
        ("0", "+1.5", (0.0, 1.5)),
        ("2.5e2", "-1.5", (250.0, -1.5)),
    ],
)
def test_positions_are_read_in_degrees_and_sexagesimal(
    tmp_path: Path, ra: str, dec: str, degrees: tuple[float, float]
) -> None:
    np.testing.assert_allclose(one_position(tmp_path, ra, dec), degrees, atol=1e-6)


@given(st.integers(0, 24 * 360000 - 1), st.integers(-90 * 36000, 90 * 36000))
def test_sexagesimal_positions_are_those_that_were_written(
    tmp_path_factory: pytest.TempPathFactory, ra: int, dec: int
) -> None:
    hours = f"{ra // 360000:02d}:{ra // 6000 % 60:02d}:{ra % 6000 / 100:05.2f}"
    size = abs(dec)
    degrees = f"{'-' if dec < 0 else '+'}{size // 36000:02d}:{size // 600 % 60:02d}:"
    degrees += f"{size % 600 / 10:04.1f}"
    found = one_position(tmp_path_factory.mktemp("list"), hours, degrees)
    np.testing.assert_allclose(found, (ra / 24000, dec / 36000), atol=1e-10)


@pytest.mark.parametrize(
    ("ra", "dec"),
    [("nan", "1"), ("", "1"), ("1", ""), ("360", "1"), ("-0.1", "1"), ("1", "91"), ("1", "-90.1"),
     ("inf", "1"), ("24:00:00", "1"), ("12:60:00", "1"), ("12:00:61", "1"), ("high", "1"),
     ("14:43", "1"), ("1", "b'2'")],
)  # fmt: skip
def test_c3_a_row_off_the_sky_is_refused_and_counted(tmp_path: Path, ra: str, dec: str) -> None:
    known = at(tmp_path, ra, dec)
    assert known.rows["RA"].tolist() == [10.5]
    assert (known.n_refused, known.first_refused) == (1, 1)
    assert repr(ra) in known.why
    assert repr(dec) in known.why


def test_c3_a_bad_position_is_forgotten_where_the_spectrum_is_known(tmp_path: Path) -> None:
    known = listed(tmp_path, HEADER, "a,4731,55656,197,400,1,2.5", ROW, "c,,,,,91,2.5")
    assert np.isnan(known.rows["RA"]).tolist() == [True, False]
    assert np.isnan(known.rows["DEC"]).tolist() == [True, False]
    assert (known.n_refused, known.first_refused) == (1, 3)


def test_a_list_of_which_no_row_is_usable_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"none of its 2 rows.*RA '400'"):
        listed(tmp_path, HEADER, "a,,,,400,1,2.5", "b,,,,,,2.5")


def test_an_empty_list_knows_no_system(tmp_path: Path) -> None:
    known = listed(tmp_path, HEADER)
    assert (len(known.rows), known.n_refused) == (0, 0)
    assert known.rows.dtype == dtype_of(KNOWN)


def positions(ra: np.ndarray, dec: np.ndarray) -> list[str]:
    return ["ra,dec", *(f"{a:.5f},{d:.5f}" for a, d in zip(ra, dec, strict=True))]


def test_c3_right_ascension_in_hours_is_recognised(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    hours, dec = rng.uniform(8, 17, 30), rng.uniform(-5, 65, 30)
    with pytest.raises(RunError, match="looks like hours"):
        listed(tmp_path, *positions(hours, dec))
    assert len(listed(tmp_path, *positions(15 * hours, dec)).rows) == 30
    # Too few rows to tell, and a survey that is no wider than its right ascensions.
    assert len(listed(tmp_path, *positions(hours[:20], dec[:20])).rows) == 20
    assert len(listed(tmp_path, *positions(hours, dec / 4)).rows) == 30


@pytest.mark.parametrize("unit", ["h", "hourangle"])
def test_c3_hours_that_the_table_states_are_turned_into_degrees(tmp_path: Path, unit: str) -> None:
    table = Table({"RA": [14.5, 2.0], "DEC": [60.0, 1.0]})
    table["RA"].unit = unit
    table.write(tmp_path / "list.ecsv", format="ascii.ecsv")
    assert read_known(tmp_path / "list.ecsv").rows["RA"].tolist() == [217.5, 30.0]


def test_c3_swapped_coordinates_are_recognised(tmp_path: Path, rng: np.random.Generator) -> None:
    ra, dec = rng.uniform(110, 260, 12), rng.uniform(-5, 65, 12)
    with pytest.raises(RunError, match="swapped"):
        listed(tmp_path, *positions(dec, ra))


@pytest.mark.parametrize(
    ("cell", "redshifts"),
    [
        ("2.157", [2.157]),
        ("2.2 | 2.25 | nan", [2.2, 2.25]),
        ("2.2 | 2.20", [2.2]),
        ("2.45 ± 0.01", [2.45]),
        ("2.45(1)", [2.45]),
        ("-", [np.nan]),
        ("- | nan", [np.nan]),
        ("", [np.nan]),
        ("-99", [np.nan]),
        ("0", [np.nan]),
        ("high", [np.nan]),
        ("2.1 § 2.2", [2.1, 2.2]),
        ("2.1;2.2", [2.1, 2.2]),
        ("2.1, 2.2", [2.1, 2.2]),
        ("2.1,2.2", [2.1, 2.2]),
        ("2.1 / 2.2", [2.1, 2.2]),
        ("2.1 or 2.2", [2.1, 2.2]),
        ("2.1 and 2.2", [2.1, 2.2]),
        ("2.1 or ?", [2.1]),
        ("2,15", [np.nan]),
        ("~2.1", [np.nan]),
        ("99", [np.nan]),
        ("1e999", [np.nan]),
    ],
)
def test_c4_several_redshifts_are_several_rows_of_one_name(
    tmp_path: Path, cell: str, redshifts: list[float]
) -> None:
    rows = listed(tmp_path, HEADER, f'a,4731,55656,197,169.5,1.5,"{cell}"', ROW).rows
    np.testing.assert_array_equal(rows["Z_SOURCE"], [*redshifts, 2.157])
    assert rows["NAME"].tolist() == ["a"] * len(redshifts) + ["SDSS J111749.50+014036.9"]


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        ("- | SDSSJ0837+4937", "SDSSJ0837+4937"),
        ("26 | J0837+4937 | SDSSJ083727.02+493703.7", "J0837+4937"),
        ("26", "26"),
        ("-", "4731-55656-197"),
        ("", "4731-55656-197"),
        ("Cheshire Cat", "Cheshire Cat"),
    ],
)
def test_c4_of_several_names_the_first_with_a_letter_counts(
    tmp_path: Path, cell: str, name: str
) -> None:
    known = listed(tmp_path, HEADER, f"{cell},4731,55656,197,,,2.5")
    assert known.rows["NAME"].tolist() == [name]
    assert known.n_renamed == 0


def test_a_system_without_a_name_or_a_spectrum_goes_by_its_position(tmp_path: Path) -> None:
    rows = listed(tmp_path, "ra,dec", "10.5,-20.123456").rows
    assert rows["NAME"].tolist() == ["10.50000-20.12346"]


@pytest.mark.parametrize(
    ("given_name", "name"),
    [
        ("Œil de café", "?il de cafe"),
        ("J1234\u22120123", "J1234-0123"),
        ("a\u202eb\0c", "abc"),
        ("L" * 5000, "L" * 32),
        ("\u2605", "?"),
        ("\0", "4731-55656-197"),
    ],
)
def test_c5_names_are_folded_and_cut_to_what_a_fits_table_holds(
    tmp_path: Path, given_name: str, name: str
) -> None:
    known = listed(tmp_path, HEADER, f"{given_name},4731,55656,197,1,2,2.5", ROW)
    assert known.rows["NAME"][0] == name
    assert known.n_renamed == 1
    write_fits(tmp_path / "known.fits", [known.rows], 2, KNOWN, {})
    assert read_known(tmp_path / "known.fits").rows["NAME"][0] == name


@pytest.mark.parametrize("form", ["fits", "ascii.ecsv", "votable"])
def test_c5_masked_cells_are_cells_left_out(tmp_path: Path, form: str) -> None:
    def column(values: list[object], name: str) -> MaskedColumn:
        return MaskedColumn(values, name=name, mask=[False, True])

    table = Table(
        [
            column(["a", "b"], "name"),
            column([4731, 9], "plate"),
            column([55656, 9], "mjd"),
            column([197, 9], "fiberid"),
            MaskedColumn([1.5, 3.5], name="ra"),
            MaskedColumn([2.5, 4.5], name="dec"),
            column([2.5, 9.0], "z_s"),
            column([True, False], "lens"),
        ]
    )
    path = tmp_path / "list"
    table.write(path, format=form)
    rows = read_known(path).rows
    assert rows["NAME"].tolist() == ["a", "3.50000+4.50000"]
    assert rows["PLATE"].tolist() == [4731, -1]
    np.testing.assert_array_equal(rows["Z_SOURCE"], [2.5, np.nan])


def test_c7_missing_columns_are_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(RunError) as caught:
        listed(tmp_path, "naem,right_asc,declin,grade", "a,1,2,A")
    message = str(caught.value)
    assert "ra, dec" in message
    assert "plate, mjd, fiberid" in message
    assert "found: naem, right_asc, declin, grade" in message
    assert "'rightascension' for 'right_asc'" in message
    assert "'decl' for 'declin'" in message


def test_c7_a_redshift_column_of_words_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"'z_s'.*row 1: 'high'"):
        listed(tmp_path, HEADER, "a,,,,1,2,high", "b,,,,1,2,-")


def test_a_shifted_row_of_a_blank_separated_table_is_refused(tmp_path: Path) -> None:
    known = listed(tmp_path, "name ra dec z_s", "SDSS J1 2 1.5 2.5", "J2 10 20 2.5", "J3 10 20")
    assert known.rows["NAME"].tolist() == ["J2"]
    assert (known.n_refused, known.first_refused) == (2, 1)


def test_a_comma_without_quotes_in_the_last_column_costs_nothing(tmp_path: Path) -> None:
    known = listed(tmp_path, HEADER + ",source", ROW + ",Li et al. 2019, Table 1")
    assert known.rows["Z_SOURCE"].tolist() == [2.157]


@pytest.mark.parametrize(
    "content",
    [b"", b"\x89PNG\r\n\x1a\n" + bytes(100), b"SIMPLE  =" + bytes(50), b"<?xml version='1.0'?><a/>",
     b"\x1f\x8b\x08\0broken", b"# %ECSV 1.0\n# ---\nbroken", b'ra,dec\n"' + b"x" * 200_000 + b'"'],
    ids=["empty", "image", "fits", "xml", "gzip", "ecsv", "field"],
)  # fmt: skip
def test_what_is_no_table_is_refused_in_one_printable_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "list"
    path.write_bytes(content)
    with pytest.raises(RunError) as caught:
        read_known(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "missing.csv"], ids=["folder", "missing"])
def test_what_is_no_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(RunError, match="not_regular"):
        read_known(tmp_path / name)


def test_a_fits_file_without_a_table_is_refused(tmp_path: Path) -> None:
    fits.PrimaryHDU(np.zeros(3)).writeto(tmp_path / "image.fits")
    with pytest.raises(RunError, match="without a table"):
        read_known(tmp_path / "image.fits")


@pytest.mark.parametrize("form", ["fits", "ecsv", "csv"])
def test_the_candidates_of_an_earlier_run_are_a_list_of_published_systems(
    tmp_path: Path, form: str
) -> None:
    rows = np.zeros(2, dtype_of(CANDIDATES))
    rows["NAME"], rows["TARGETID"] = ["SDSS J1", "SDSS J2"], 2**53 + 1
    rows["PLATE"], rows["MJD"], rows["FIBERID"] = 4731, 55656, [197, 198]
    rows["RA"], rows["DEC"], rows["Z"], rows["Z_SOURCE"] = 169.5, -1.5, 0.5, 2.157
    path = tmp_path / f"candidates.{form}"
    if form == "fits":
        write_fits(path, [rows], 2, CANDIDATES, {})
    else:
        write_text_table(path, rows, CANDIDATES, {})
    known = read_known(path).rows
    for name in ("NAME", "PLATE", "MJD", "FIBERID", "RA", "DEC", "Z_SOURCE"):
        assert known[name].tolist() == rows[name].tolist()
    assert known["TARGETID"].tolist() == [4731556560197, 4731556560198]


@pytest.mark.parametrize(
    ("name", "n_rows", "n_spectra", "n_redshifts"),
    [
        ("known_lenses", 1971, 396, 419),
        ("cao2020_single_peaked", 281, 281, 281),
        ("cao2020_double_peaked", 80, 80, 80),
    ],
)
def test_the_published_lists_are_read_whole(
    survey_data: Path, name: str, n_rows: int, n_spectra: int, n_redshifts: int
) -> None:
    known = read_known(survey_data / "lenses" / f"{name}.csv")
    assert (len(known.rows), known.n_refused, known.n_renamed) == (n_rows, 0, 0)
    assert np.count_nonzero(known.rows["PLATE"] > 0) == n_spectra
    assert np.count_nonzero(np.isfinite(known.rows["Z_SOURCE"])) == n_redshifts
    assert (known.rows["NAME"] != "").all()


# What cannot be read.


@pytest.mark.parametrize("cell", ["high", "2,15", "~2.1", "2.1 § high", "99", "2.1a"])
def test_i5_a_redshift_that_cannot_be_read_is_counted_and_named(tmp_path: Path, cell: str) -> None:
    known = listed(tmp_path, HEADER, ROW, f'a,,,,1,2,"{cell}"', "b,,,,1,2,-", 'c,,,,1,2,""')
    (note,) = known.notes
    assert "1 of the cells of column 'z_s'" in note
    assert f"row 2: {cell!r}" in note


def test_several_redshifts_are_those_of_one_system(tmp_path: Path) -> None:
    known = listed(tmp_path, HEADER, "a,,,,1,2,2.1 § 2.2", "b,,,,3,4,2.3")
    assert known.rows["NAME"].tolist() == ["a", "a", "b"]
    assert n_systems(known.rows) == 2
    assert known.notes == []


def test_a_column_of_redshifts_that_are_numbers_is_not_parted(tmp_path: Path) -> None:
    Table({"ra": [1.5, 2.5], "dec": [1.0, 2.0], "z_s": [2.5, -99.0]}).write(tmp_path / "a.fits")
    np.testing.assert_array_equal(read_known(tmp_path / "a.fits").rows["Z_SOURCE"], [2.5, np.nan])


@pytest.mark.parametrize("names", ["RA,ra", "z_s,Z_S", "name,NAME"])
def test_i6_two_columns_of_one_name_are_refused_where_they_differ(
    tmp_path: Path, names: str
) -> None:
    header = f"ra,dec,z_s,name,{names}"
    value = {"RA": "1.5", "z_s": "2.5", "name": "a"}[names.split(",")[0]]
    assert len(listed(tmp_path, header, f"1.5,2,2.5,a,{value},{value}").rows) == 1
    with pytest.raises(RunError, match="have one name and differ, first in row 1"):
        listed(tmp_path, header, f"1.5,2,2.5,a,{value},7")


def test_of_two_names_of_a_field_the_preferred_counts(tmp_path: Path) -> None:
    rows = listed(tmp_path, "RA (deg),RA,Dec,z_lya,z_source", "9,1.5,2.5,2.1,2.2").rows
    assert rows[["RA", "DEC", "Z_SOURCE"]].tolist() == [(1.5, 2.5, 2.2)]


def test_the_columns_of_the_master_lens_database_are_known(tmp_path: Path) -> None:
    header = "lensid,system_name,ra_coord,dec_coord,zlens,zsource,zsource_quality,theta_e"
    known = listed(tmp_path, header, "1,SDSSJ0912+0029,138.022,0.484,0.164,0.324,1,1.63")
    assert known.rows["NAME"].tolist() == ["SDSSJ0912+0029"]
    assert known.rows[["RA", "DEC", "Z_SOURCE"]].tolist() == [(138.022, 0.484, 0.324)]


@pytest.mark.parametrize(
    ("name", "ra", "dec"),
    [
        ("SDSSJ091205.31+002901.2", 138.022125, 0.483667),
        ("SDSS J091205.31-002901.2", 138.022125, -0.483667),
        ("J091205.3+002901", 138.022083, 0.483611),
        ("J091205.31\u2212000001.2 (A)", 138.022125, -0.000333),
        ("J09:12:05.31+00:29:01.2", 138.022125, 0.483667),
    ],
)
def test_a_position_may_stand_in_the_name_alone(
    tmp_path: Path, name: str, ra: float, dec: float
) -> None:
    known = listed(tmp_path, "name,z_s", f"{name},2.5")
    assert known.rows["RA"][0] == pytest.approx(ra, abs=1e-6)
    assert known.rows["DEC"][0] == pytest.approx(dec, abs=1e-6)
    assert known.n_named == 1
    assert "1.5 arcsec" in known.notes[-1]


@pytest.mark.parametrize(
    "name", ["SDSSJ0912+0029", "J091205+002901", "J256205.31+002901.2", "J091205.31+952901.2"]
)
def test_a_name_that_tells_no_place_or_none_to_arcseconds_is_none(
    tmp_path: Path, name: str
) -> None:
    known = listed(tmp_path, "name,ra,dec,z_s", f"{name},,,2.5", "b,1,2,2.5")
    assert (len(known.rows), known.n_refused, known.n_named) == (1, 1, 0)
    assert ("15 arcsec only" in known.why) == (name == "J091205+002901")
    with pytest.raises(RunError, match="no columns of a position"):
        listed(tmp_path, "name,z_s", f"{name},2.5")


def test_a_position_that_is_given_comes_before_that_of_the_name(tmp_path: Path) -> None:
    rows = listed(tmp_path, "name,ra,dec", "J091205.31+002901.2,1.5,2.5").rows
    assert rows["RA"].tolist() == [1.5]


@pytest.mark.parametrize(
    "ids", ["-1,-1,-1", "0,0,0", "4731,55656,-1", "4731,55656,10001", "4731,100000,1"]
)
def test_i5_ids_that_are_none_are_unknown(tmp_path: Path, ids: str) -> None:
    rows = listed(tmp_path, HEADER, f"a,{ids},1,2,2.5").rows
    assert rows[["PLATE", "MJD", "FIBERID"]].tolist() == [(-1, -1, -1)]


def test_an_identifier_that_cannot_be_read_is_counted_and_named(tmp_path: Path) -> None:
    known = listed(tmp_path, HEADER, ROW, "a,4731.5,55656,197,1,2,2.5")
    assert known.rows["PLATE"].tolist() == [4731, -1]
    assert "column 'plate'" in known.notes[0]
    assert "row 2: '4731.5'" in known.notes[0]


def test_a_long_list_is_read_in_seconds_and_little_memory(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    n = 30_000
    path = tmp_path / "list.csv"
    numbers = rng.uniform(0, 1, (n, 3)) * [360, 180, 1] + [0, -90, 2]
    rows = [f"SYS {i},{a:.5f},{b:.5f},{z:.4f}" for i, (a, b, z) in enumerate(numbers)]
    path.write_text("\n".join(["name,ra,dec,z_s", *rows]))
    tracemalloc.start()
    known = read_known(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(known.rows) == n
    np.testing.assert_allclose(known.rows["DEC"], numbers[:, 1], atol=1e-5)
    assert peak < 3 * known.rows.nbytes + 60e6
