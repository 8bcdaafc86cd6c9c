"""Tables read back: exact and whole, or refused with what is wrong and who wrote them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from numpy.typing import NDArray

from fixtures.tables import COLUMNS, META, rows_of_every_type, write
from speclens.errors import RunError
from speclens.products import as_table, write_fits
from speclens.products import write_text_table as write_text
from speclens.schema import CANDIDATES, HITS, SPECTRA, Column, dtype_of
from speclens.stored_tables import iterate_rows, read_rows, read_table


@pytest.fixture
def rows() -> NDArray[np.void]:
    return rows_of_every_type()


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
    write(path, wide, NAME=200)
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
    write(path, older, (COLUMNS[0], COLUMNS[4]), meta)
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
    write(path, other, changed, {"CREATOR": "speclens 0.1"})
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
