"""Products: whole or absent, exact, and the same bytes of the same data."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from fixtures.tables import COLUMNS, META, rows_of_every_type, write
from speclens.errors import RunError
from speclens.products import as_table, replacing, write_fits, write_json
from speclens.schema import dtype_of
from speclens.stored_tables import read_rows, read_table


@pytest.fixture
def rows() -> NDArray[np.void]:
    return rows_of_every_type()


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


def test_e2_two_machines_may_write_one_file_at_once_by_processes_of_one_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.shard"
    code = (
        "import os, pathlib; os.getpid = lambda: 7\nfrom speclens.products import replacing\n"
        f"with replacing(pathlib.Path({str(path)!r})) as file: file.write(b'theirs')"
    )
    monkeypatch.setattr(os, "getpid", lambda: 7)
    with replacing(path) as file:
        file.write(b"ours")
        subprocess.run([sys.executable, "-c", code], check=True)
        assert path.read_bytes() == b"theirs"
    assert path.read_bytes() == b"ours"
    assert [found.name for found in tmp_path.iterdir()] == ["a.shard"]
