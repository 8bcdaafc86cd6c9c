"""Products: whole or absent, exact, verified when read back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from numpy.typing import NDArray

from speclens.errors import RunError
from speclens.products import as_table, replacing, write_fits, write_json
from speclens.products import write_text_table as write_text
from speclens.schema import CANDIDATES, HITS, SPECTRA, Column, dtype_of
from speclens.stored_tables import iterate_rows, read_rows, read_table

COLUMNS = (
    Column("ID", "i8", "", "identifier"),
    Column("SHORT", "i4", "d", "a day"),
    Column("WIDE", "f8", "Angstrom", "a wavelength"),
    Column("NARROW", "f4", "1e-17 erg / (s cm2)", "a flux"),
    Column("NAME", "U12", "", "a name"),
    Column("TRUTH", "?", "", "a truth value"),
)
META = {"VERSION": "1.2.3", "SEED": 7, "CONFIGURATION": "a" * 64}


@pytest.fixture
def rows() -> NDArray[np.void]:
    table = np.zeros(5, dtype_of(COLUMNS))
    table["ID"] = [2**53 + 1, -(2**62) - 1, 0, 4731556560197, 2**63 - 1]
    table["SHORT"] = [-1, 2**31 - 1, 0, 55656, -(2**31)]
    table["WIDE"] = [np.nan, 4321.0987654321, np.pi * 1e-300, -0.0, np.inf]
    table["NARROW"] = [1.1, np.nan, 1e-40, -np.inf, 3.4e38]
    table["NAME"] = ["", "a b", 'say "x"', "nan", "<b>&,;"]
    table["TRUTH"] = [True, False, True, False, True]
    return table


def write(path: Path, rows: NDArray[np.void]) -> None:
    if path.suffix == ".fits":
        write_fits(path, [rows], len(rows), COLUMNS, META)
    else:
        write_text(path, rows, COLUMNS, META)


def assert_rows_equal(found: Table, rows: NDArray[np.void]) -> None:
    assert found.colnames == list(rows.dtype.names or ())
    for name in found.colnames:
        column = np.asarray(found[name])
        assert column.dtype.kind == rows.dtype[name].kind, name
        if column.dtype.kind != "U":
            assert column.dtype.itemsize == rows.dtype[name].itemsize, name
        np.testing.assert_array_equal(column, rows[name], err_msg=name)


@pytest.mark.parametrize("suffix", [".fits", ".ecsv"])
def test_c1_every_type_comes_back_exactly(
    tmp_path: Path, rows: NDArray[np.void], suffix: str
) -> None:
    path = tmp_path / f"table{suffix}"
    write(path, rows)
    found = read_table(path)
    assert_rows_equal(found, rows)
    assert found["WIDE"].unit == "Angstrom"
    assert found.meta["VERSION"] == "1.2.3"
    assert found.meta["SEED"] == 7


def test_c1_ids_are_exact_in_csv(tmp_path: Path, rows: NDArray[np.void]) -> None:
    path = tmp_path / "table.csv"
    write(path, rows)
    body = path.read_text().splitlines()
    assert body[0] == ",".join(column.name for column in COLUMNS)
    assert [line.split(",")[0] for line in body[1:]] == [str(i) for i in rows["ID"].tolist()]


@pytest.mark.parametrize("suffix", [".fits", ".ecsv", ".csv"])
def test_e2_the_same_data_give_the_same_bytes(
    tmp_path: Path, rows: NDArray[np.void], suffix: str
) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / f"table{suffix}", rows)
    first = (tmp_path / "first" / f"table{suffix}").read_bytes()
    assert first == (tmp_path / "second" / f"table{suffix}").read_bytes()


@pytest.mark.parametrize("suffix", [".fits", ".ecsv"])
@pytest.mark.parametrize("columns", [SPECTRA, HITS, CANDIDATES], ids=["spectra", "hits", "cand"])
def test_c2_an_empty_table_has_all_columns(
    tmp_path: Path, columns: tuple[Column, ...], suffix: str
) -> None:
    path = tmp_path / f"table{suffix}"
    empty = np.zeros(0, dtype_of(columns, FILE=1))
    if suffix == ".fits":
        write_fits(path, [], 0, columns, META, FILE=0)
    else:
        write_text(path, empty, columns, META)
    found = read_table(path)
    assert len(found) == 0
    assert found.colnames == [column.name for column in columns]
    assert (found["TARGETID"].dtype.kind, found["TARGETID"].dtype.itemsize) == ("i", 8)


@pytest.mark.parametrize("sizes", [[5], [1, 4], [2, 0, 3], [1] * 5])
def test_parts_give_the_bytes_of_the_whole(
    tmp_path: Path, rows: NDArray[np.void], sizes: list[int]
) -> None:
    def parts() -> Iterator[NDArray[np.void]]:
        start = 0
        for size in sizes:
            yield rows[start : start + size]
            start += size

    write_fits(tmp_path / "whole.fits", [rows], 5, COLUMNS, META)
    write_fits(tmp_path / "sub" / "whole.fits", parts(), 5, COLUMNS, META)
    whole = (tmp_path / "whole.fits").read_bytes()
    assert whole == (tmp_path / "sub" / "whole.fits").read_bytes()


@pytest.mark.parametrize("n_rows", [1, 3, 71, 1000])
def test_a_streamed_table_is_what_astropy_would_have_written(tmp_path: Path, n_rows: int) -> None:
    rng = np.random.default_rng(n_rows)
    rows = np.zeros(n_rows, dtype_of(COLUMNS))
    rows["ID"] = rng.integers(-(2**62), 2**62, n_rows)
    rows["NARROW"] = rng.normal(size=n_rows)
    rows["NAME"] = [f"n{i}" for i in range(n_rows)]
    rows["TRUTH"] = rng.random(n_rows) < 0.5
    path, twin = tmp_path / "ours.fits", tmp_path / "theirs.fits"
    write_fits(path, np.array_split(rows, 3), n_rows, COLUMNS, META)
    fits.BinTableHDU(as_table(rows, COLUMNS)).writeto(twin, checksum=True)
    with fits.open(path, checksum=True) as ours, fits.open(twin) as theirs:
        assert ours[1].verify_datasum() == 1
        assert ours[1].header["DATASUM"].strip() == theirs[1].header["DATASUM"].strip()
        assert ours[1].columns.formats == theirs[1].columns.formats
        assert ours[1].columns.units == theirs[1].columns.units
        for name in ours[1].columns.names:
            np.testing.assert_array_equal(ours[1].data[name], theirs[1].data[name])
    assert path.stat().st_size % 2880 == 0


def test_the_rows_announced_must_come(tmp_path: Path, rows: NDArray[np.void]) -> None:
    with pytest.raises(ValueError, match="5 rows came, 6 were announced"):
        write_fits(tmp_path / "table.fits", [rows], 6, COLUMNS, META)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".fits", ".ecsv"])
def test_d10_a_table_cut_short_is_recognised(
    tmp_path: Path, rows: NDArray[np.void], suffix: str
) -> None:
    path = tmp_path / f"table{suffix}"
    write(path, np.tile(rows, 200))
    content = path.read_bytes()
    lines = [i + 1 for i, byte in enumerate(content) if byte == ord("\n")]
    places = lines[-400:-1:57] if suffix == ".ecsv" else range(2880, len(content), 2880)
    cuts = [0, 100, *places, len(content) - 10]
    for cut in cuts:
        path.write_bytes(content[:cut])
        with pytest.raises(RunError, match=r"damaged|cut short"):
            read_table(path)
    path.write_bytes(content)
    assert len(read_table(path)) == 1000


@pytest.mark.parametrize("suffix", [".fits", ".ecsv"])
def test_d10_an_edited_value_is_recognised(
    tmp_path: Path, rows: NDArray[np.void], suffix: str
) -> None:
    path = tmp_path / f"table{suffix}"
    write(path, rows)
    content = path.read_bytes()
    assert content.count(b"say") == 1
    path.write_bytes(content.replace(b"say", b"sax"))
    with pytest.raises(RunError, match=r"damaged|edited"):
        read_table(path)


@pytest.mark.parametrize("suffix", [".fits", ".ecsv"])
def test_d10_any_flipped_bit_of_the_data_is_recognised(
    tmp_path: Path, rows: NDArray[np.void], suffix: str
) -> None:
    path = tmp_path / f"table{suffix}"
    write(path, rows)
    content = path.read_bytes()
    data = len(content) - 2880 if suffix == ".fits" else content.index(b"\n9007199254740993") + 1
    for place in np.random.default_rng(3).integers(data, data + 100, 30).tolist():
        changed = bytearray(content)
        changed[place] ^= 1
        path.write_bytes(changed)
        try:
            found = read_table(path)
        except RunError:
            continue
        assert suffix == ".ecsv"
        assert_rows_equal(found, rows)  # another spelling of the same values


def test_d10_rows_added_to_or_taken_from_the_text_are_recognised(
    tmp_path: Path, rows: NDArray[np.void]
) -> None:
    path = tmp_path / "table.ecsv"
    write(path, rows)
    lines = path.read_text().splitlines(keepends=True)
    for edited in ([*lines, lines[-1]], lines[:-1], [*lines[:-2], lines[-1], lines[-2]]):
        path.write_text("".join(edited))
        with pytest.raises(RunError, match="cut short or edited"):
            read_table(path)


def test_d10_a_text_table_of_other_origin_is_refused(
    tmp_path: Path, rows: NDArray[np.void]
) -> None:
    path = tmp_path / "foreign.ecsv"
    as_table(rows, COLUMNS).write(path, format="ascii.ecsv")
    with pytest.raises(RunError, match="cut short or edited"):
        read_table(path)


@pytest.mark.parametrize("suffix", [".csv", ".txt"])
def test_d10_files_that_cannot_be_verified_are_never_read_back(
    tmp_path: Path, rows: NDArray[np.void], suffix: str
) -> None:
    path = tmp_path / f"table{suffix}"
    if suffix == ".txt":
        path.write_text("ID\n5\n")
    else:
        write(path, rows)
    with pytest.raises(RunError, match=r"only \.fits and \.ecsv"):
        read_table(path)


@pytest.mark.parametrize("name", ["table.fits", "table.ecsv"])
def test_d4_a_missing_empty_or_foreign_product_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with pytest.raises(RunError, match="no such product"):
        read_table(path)
    for content in (b"", b"<html></html>", bytes(5760)):
        path.write_bytes(content)
        with pytest.raises(RunError):
            read_table(path)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("oops")])
def test_d2_the_old_file_stays_when_the_writer_fails(
    tmp_path: Path, rows: NDArray[np.void], error: Exception
) -> None:
    def parts() -> Iterator[NDArray[np.void]]:
        yield rows[:2]
        raise error

    path = tmp_path / "table.fits"
    write(path, rows)
    before = path.read_bytes()
    expected = RunError if isinstance(error, OSError) else ValueError
    with pytest.raises(expected, match=r"No space left|oops"):
        write_fits(path, parts(), 5, COLUMNS, META)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_d2_a_product_is_absent_until_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "product.bin"
    with replacing(path) as file:
        file.write(b"half")
        file.flush()
        assert not path.exists()
    assert path.read_bytes() == b"half"
    assert list(path.parent.iterdir()) == [path]


def test_d2_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "occupied").write_text("a file")
    with pytest.raises(RunError, match=r"product\.json: cannot write"):
        write_json(tmp_path / "occupied" / "product.json", {})
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(RunError, match=r"folder\.json: cannot write"):
        write_json(tmp_path / "folder.json", {})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder.json", "occupied"]


def test_json_refuses_what_json_does_not_know(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_json(path, {"id": str(2**53 + 1), "name": "é"})
    assert json.loads(path.read_text("utf-8")) == {"id": "9007199254740993", "name": "é"}
    before = path.read_bytes()
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"snr": float("nan")})
    assert path.read_bytes() == before


def test_c5_text_that_fits_cannot_hold_is_folded(tmp_path: Path, rows: NDArray[np.void]) -> None:
    rows["NAME"][0] = "Größe"
    write(tmp_path / "table.fits", rows)
    write(tmp_path / "table.ecsv", rows)
    assert read_table(tmp_path / "table.fits")["NAME"][0] == "Gr??e"
    assert read_table(tmp_path / "table.ecsv")["NAME"][0] == "Größe"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (" lead", "lead"),
        ("trail ", "trail"),
        ("  ", ""),
        ("\ttab", "tab"),
        ("line\n", "line"),
        ("a\rb", "a b"),
        ("a\r\nb", "a  b"),
        ("a\nb", "a b"),
        ("a\x0bb", "a b"),
        ("a\x85b", "a b"),
        ("\u2028a", "a"),
        ("a\u00a0", "a"),
        ("a  b", "a  b"),
        ("Größe", "Größe"),
        ("\ud800", ""),
    ],
)
def test_c6_text_that_ecsv_does_not_keep_is_folded_before_the_digest(
    tmp_path: Path, rows: NDArray[np.void], text: str, kept: str
) -> None:
    rows["NAME"][2] = text
    path = tmp_path / "table.ecsv"
    write(path, rows)
    found = read_table(path)
    assert found["NAME"].tolist() == ["", "a b", kept, "nan", "<b>&,;"]
    assert rows["NAME"][2] == text
    # Read and written again it is the same table.
    before = path.read_bytes()
    write(path, read_rows(path, COLUMNS))
    assert path.read_bytes() == before


@pytest.mark.parametrize("suffix", [".fits", ".ecsv"])
def test_rows_are_those_of_the_table_in_native_types(
    tmp_path: Path, rows: NDArray[np.void], suffix: str
) -> None:
    path = tmp_path / f"table{suffix}"
    write(path, rows)
    found, table = read_rows(path, COLUMNS), read_table(path)
    assert found.dtype == rows.dtype
    for name in table.colnames:
        np.testing.assert_array_equal(found[name], np.asarray(table[name]), err_msg=name)
        np.testing.assert_array_equal(found[name], rows[name], err_msg=name)


@pytest.mark.parametrize("suffix", [".fits", ".ecsv"])
def test_long_texts_stay_whole_and_other_columns_are_left_out(
    tmp_path: Path, rows: NDArray[np.void], suffix: str
) -> None:
    wide = rows.astype(dtype_of(COLUMNS, NAME=200))
    wide["NAME"][3] = "x" * 200
    path = tmp_path / f"table{suffix}"
    if suffix == ".fits":
        write_fits(path, [wide], len(wide), COLUMNS, META, NAME=200)
    else:
        write(path, wide)
    found = read_rows(path, (COLUMNS[4], COLUMNS[0]))
    assert found.dtype.names == ("NAME", "ID")
    assert found["NAME"][3] == "x" * 200
    np.testing.assert_array_equal(found["ID"], rows["ID"])


@pytest.mark.parametrize("suffix", [".fits", ".ecsv"])
@pytest.mark.parametrize("creator", ["speclens 0.1.7", None])
def test_c7_d8_a_missing_column_names_what_was_expected_and_found_and_who_wrote_it(
    tmp_path: Path, rows: NDArray[np.void], suffix: str, creator: str | None
) -> None:
    path = tmp_path / f"table{suffix}"
    meta = {"CREATOR": creator} if creator else {}
    older = rows[["ID", "NAME"]].astype(dtype_of((COLUMNS[0], COLUMNS[4])))
    if suffix == ".fits":
        write_fits(path, [older], 5, (COLUMNS[0], COLUMNS[4]), meta)
    else:
        write_text(path, older, (COLUMNS[0], COLUMNS[4]), meta)
    with pytest.raises(RunError) as caught:
        read_rows(path, COLUMNS)
    assert str(caught.value) == (
        f"{path}: expected columns ID, SHORT, WIDE, NARROW, NAME, TRUTH; found ID, NAME: SHORT, "
        f"WIDE, NARROW, TRUTH not there, because {creator or 'another version of speclens'} wrote "
        "it; run the search again with this version"
    )


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("WIDE", "U8"), ("NAME", "i4"), ("TRUTH", "i4"), ("ID", "?"), ("NARROW", "?")],
)
@pytest.mark.parametrize("suffix", [".fits", ".ecsv"])
def test_c7_a_column_of_another_type_is_named(
    tmp_path: Path, suffix: str, name: str, dtype: str
) -> None:
    path = tmp_path / f"table{suffix}"
    changed = tuple(
        Column(c.name, dtype, "", c.description) if c.name == name else c for c in COLUMNS
    )
    other = np.zeros(2, dtype_of(changed))
    if suffix == ".fits":
        write_fits(path, [other], 2, changed, {"CREATOR": "speclens 0.1"})
    else:
        write_text(path, other, changed, {"CREATOR": "speclens 0.1"})
    wanted = next(c.dtype for c in COLUMNS if c.name == name)
    message = rf"column {name} holds .*, not {re.escape(wanted)}; speclens 0\.1 wrote it: run"
    with pytest.raises(RunError, match=message):
        read_rows(path, COLUMNS)


@pytest.mark.parametrize("columns", [SPECTRA, HITS, CANDIDATES], ids=["spectra", "hits", "cand"])
def test_c2_an_empty_table_has_no_rows_of_every_column(
    tmp_path: Path, columns: tuple[Column, ...]
) -> None:
    write_fits(tmp_path / "a.fits", [], 0, columns, META, FILE=0)
    write_text(tmp_path / "a.ecsv", np.zeros(0, dtype_of(columns, FILE=1)), columns, META)
    for name in ("a.fits", "a.ecsv"):
        rows = read_rows(tmp_path / name, columns)
        assert len(rows) == 0
        assert rows.dtype == dtype_of(columns)
    assert list(iterate_rows(tmp_path / "a.fits")) == []


@pytest.mark.parametrize("n_rows", [1, 2, 5, 100])
def test_parts_of_a_table_are_its_rows_in_order(
    tmp_path: Path, rows: NDArray[np.void], n_rows: int
) -> None:
    path = tmp_path / "table.fits"
    write(path, rows)
    parts = list(iterate_rows(path, n_rows))
    assert [len(part) for part in parts] == [
        min(n_rows, 5 - start) for start in range(0, 5, n_rows)
    ]
    joined, whole = np.concatenate(parts), read_rows(path, COLUMNS)
    assert joined.dtype.isnative
    for name in whole.dtype.names or ():
        np.testing.assert_array_equal(joined[name], whole[name], err_msg=name)
        assert joined.dtype[name].kind == whole.dtype[name].kind


@pytest.mark.parametrize("content", [None, b"", b"<html></html>", bytes(5760), "cut"])
def test_d4_parts_of_a_missing_or_damaged_table_are_refused_in_one_line(
    tmp_path: Path, rows: NDArray[np.void], content: bytes | str | None
) -> None:
    path = tmp_path / "table.fits"
    if content == "cut":
        write(path, np.tile(rows, 100))
        path.write_bytes(path.read_bytes()[:8640])
    elif isinstance(content, bytes):
        path.write_bytes(content)
    with pytest.raises(RunError, match=r"no such product|damaged .*; run the search") as caught:
        list(iterate_rows(path))
    assert "\n" not in str(caught.value)


def test_d10_what_is_wrong_with_a_table_is_one_line(tmp_path: Path, rows: NDArray[np.void]) -> None:
    path = tmp_path / "table.fits"
    write(path, rows)
    content = path.read_bytes()
    for cut in (2880, 5760, len(content) - 2880, len(content) - 1):
        path.write_bytes(content[:cut])
        with pytest.raises(RunError, match="damaged") as caught:
            read_table(path)
        assert "\n" not in str(caught.value)
