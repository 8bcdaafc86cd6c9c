"""Tables of FITS files, binary and ASCII, read some rows at a time.

In: an open file whose structure was checked. Out: its tables. Texts of variable length are read
from their heap; data that carry a DATASUM are compared with it first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.products import fits_checksum
from speclens.read.fits.file import FitsFile
from speclens.read.fits.hdus import Hdu, padded
from speclens.read.table.table import PIECE_ROWS, Pieces, Table

__all__ = ["fits_tables"]

PIECE_BYTES = CHECKED_BYTES = 64 << 20
MAX_FIELDS = 999
"""Most columns that the FITS standard allows."""


def fits_tables(file: FitsFile, forwards: bool) -> list[Table]:
    """Return the tables of a FITS file.

    Parameters
    ----------
    file : FitsFile
        The open file.
    forwards : bool
        The file is read forwards only: a gzipped one too large to be kept, whose CRC stands for the
        DATASUM, and of which the first binary table alone is known.

    Returns
    -------
    list of Table
        The tables, in the order of the file.
    """
    tables = []
    for hdu in file.hdus:
        if hdu.is_table:
            tables.append(_binary_table(file, hdu, forwards))
        elif _is_ascii_table(hdu) and not forwards:
            tables.append(_ascii_table(file, hdu))
    return tables


def _binary_table(file: FitsFile, hdu: Hdu, forwards: bool) -> Table:
    header = hdu.header
    fields = [*header.fields.values()]
    names = [str(header.get(f"TTYPE{f.number}", f"COLUMN{f.number}")).strip() for f in fields]
    units = {i: str(header.get(f"TUNIT{field.number}", "")) for i, field in enumerate(fields)}

    def read(columns: Sequence[int], start: int, stop: int) -> dict[int, NDArray[Any]]:
        found = file.table(hdu, [names[i].upper() for i in columns], start, stop)
        piece = {i: found[names[i].upper()] for i in columns}
        for i in columns:
            form = str(header.get(f"TFORM{fields[i].number}", "")).strip().upper()
            if form.lstrip("01").startswith(("PA", "QA")):
                if forwards:
                    hint = "decompress the file first"
                    file.fail("too_large", f"{names[i]}: texts in a heap", hdu.index, hint)
                piece[i] = _heap_texts(file, hdu, names[i].upper(), start, stop)
        return piece

    return Table(names, units, _reader(file, hdu, read, verify=not forwards))


def _is_ascii_table(hdu: Hdu) -> bool:
    kind = str(hdu.header.get("XTENSION", "")).strip()
    return kind == "TABLE" and len(hdu.shape) == 2 and hdu.header.get("BITPIX") == 8


def _ascii_table(file: FitsFile, hdu: Hdu) -> Table:
    keys = range(1, min(int(hdu.header.number("TFIELDS", 0)), MAX_FIELDS) + 1)
    names = [str(hdu.header.get(f"TTYPE{i}", f"COLUMN{i}")).strip() for i in keys]
    units = {i - 1: str(hdu.header.get(f"TUNIT{i}", "")) for i in keys}

    def read(columns: Sequence[int], start: int, stop: int) -> dict[int, NDArray[Any]]:
        width = hdu.shape[1]
        data = file.read(hdu.offset + start * width, (stop - start) * width)
        lines = [data[i : i + width].decode("latin-1") for i in range(0, len(data), width)]
        return {i: _ascii_cells(file, hdu, i + 1, lines) for i in columns}

    return Table(names, units, _reader(file, hdu, read, verify=True))


def _reader(
    file: FitsFile,
    hdu: Hdu,
    read: Callable[[Sequence[int], int, int], dict[int, NDArray[Any]]],
    verify: bool,
) -> Callable[[Sequence[int]], Pieces]:
    def pieces(columns: Sequence[int]) -> Pieces:
        if verify:
            _verify(file, hdu)
        n_rows, width = hdu.shape
        step = max(1, min(PIECE_ROWS, PIECE_BYTES // max(width, 1)))
        for start in range(0, max(n_rows, 1), step):
            yield start + 1, read(columns, start, min(start + step, n_rows))

    return pieces


def _verify(file: FitsFile, hdu: Hdu) -> None:
    """Compare the data with their DATASUM, in little memory."""
    stated = str(hdu.header.get("DATASUM", "")).strip()
    if not stated.isdecimal():
        return
    total, end = 0, min(hdu.offset + padded(hdu.size), file.size)
    for start in range(hdu.offset, end, CHECKED_BYTES):
        total = fits_checksum(file.read(start, min(CHECKED_BYTES, end - start)), total)
    if total != int(stated):
        file.fail("checksum", "the table disagrees with its DATASUM", hdu.index, "fetch it again")


def _ascii_cells(file: FitsFile, hdu: Hdu, key: int, lines: Sequence[str]) -> NDArray[Any]:
    """Cells of a column of an ASCII table as text; empty where they are its TNULL."""
    header, width = hdu.header, hdu.shape[1]
    form, place = str(header.get(f"TFORM{key}", "")).strip(), header.number(f"TBCOL{key}", 0)
    size = form[1:].partition(".")[0]
    if not size.isdecimal() or not 1 <= place <= width - int(size) + 1:
        file.fail("bad_header", f"TFORM{key} = {form!r}, TBCOL{key} = {place!r}", hdu.index)
    scaling = header.scaling(f"TSCAL{key}", f"TZERO{key}", f"TNULL{key}")
    if scaling.factor != 1 or scaling.offset != 0:
        file.fail("bad_header", f"TSCAL{key} and TZERO{key} of an ASCII table", hdu.index)
    null = str(header.get(f"TNULL{key}", "")).strip()
    start = int(place) - 1
    cells = [line[start : start + int(size)].partition("\0")[0].strip() for line in lines]
    if form[0] in "DEF":
        cells = [cell.upper().replace("D", "E") if cell != null else "" for cell in cells]
    return np.array(["" if cell == null else cell for cell in cells], object)


def _heap_texts(file: FitsFile, hdu: Hdu, name: str, start: int, stop: int) -> NDArray[Any]:
    """Texts of variable length, which stand in the heap of a binary table."""
    record = hdu.header.record((name,)).dtype
    data = file.read(hdu.offset + start * record.itemsize, (stop - start) * record.itemsize)
    raw = np.frombuffer(data, record, stop - start)[name]
    places = np.frombuffer(raw.tobytes(), ">i4" if raw.dtype.itemsize == 8 else ">i8")
    heap = hdu.offset + int(hdu.header.number("THEAP", hdu.shape[0] * hdu.shape[1]))
    cells = []
    for size, offset in places.reshape(-1, 2).tolist():
        if size < 0 or offset < 0 or heap + offset + size > hdu.offset + hdu.size:
            file.fail("bad_header", f"{name}: a text beyond the table's heap", hdu.index)
        cells.append(file.read(heap + offset, size).decode("latin-1").partition("\0")[0].strip())
    return np.array(cells, object)
