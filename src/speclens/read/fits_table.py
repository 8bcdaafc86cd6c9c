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
from speclens.read.fits import BLOCK, FitsFile, Hdu
from speclens.read.table import PIECE_ROWS, Pieces, Table

__all__ = ["fits_tables"]

PIECE_BYTES = CHECKED_BYTES = 64 << 20
MAX_FIELDS = 999
"""Most columns that the FITS standard allows."""


def fits_tables(file: FitsFile) -> list[Table]:
    """Return the tables of a FITS file.

    Parameters
    ----------
    file : FitsFile
        The open file.

    Returns
    -------
    list of Table
        The tables, in the order of the file.
    """
    tables = []
    for hdu in file.hdus:
        kind = str(hdu.header.get("XTENSION", "")).strip()
        if hdu.is_table or (kind == "TABLE" and len(hdu.shape) == 2):
            keys = range(1, min(int(hdu.header.number("TFIELDS", 0)), MAX_FIELDS) + 1)
            names = [str(hdu.header.get(f"TTYPE{i}", f"COLUMN{i}")) for i in keys]
            units = {i - 1: str(hdu.header.get(f"TUNIT{i}", "")) for i in keys}
            tables.append(Table(names, units, _fits_reader(file, hdu, names, kind == "TABLE")))
    return tables


def _fits_reader(
    file: FitsFile, hdu: Hdu, names: Sequence[str], is_ascii: bool
) -> Callable[[Sequence[int]], Pieces]:
    def pieces(columns: Sequence[int]) -> Pieces:
        _verify(file, hdu)
        n_rows, width = hdu.shape
        step = max(1, min(PIECE_ROWS, PIECE_BYTES // max(width, 1)))
        for start in range(0, max(n_rows, 1), step):
            stop = min(start + step, n_rows)
            if is_ascii:
                yield start + 1, {i: _ascii_cells(file, hdu, i, start, stop) for i in columns}
                continue
            found = file.table(hdu, [names[i].upper() for i in columns], start, stop)
            piece = {i: found[names[i].upper()] for i in columns}
            for i in columns:
                form = str(hdu.header.get(f"TFORM{i + 1}", ""))
                if form.lstrip("01").startswith(("PA", "QA")):
                    piece[i] = _heap_texts(file, hdu, names[i].upper(), form, start, stop)
            yield start + 1, piece

    return pieces


def _verify(file: FitsFile, hdu: Hdu) -> None:
    """Compare the data with their DATASUM, in little memory."""
    stated = str(hdu.header.get("DATASUM", "")).strip()
    if not stated.isdecimal():
        return
    total, end = 0, min(hdu.offset + -(-hdu.size // BLOCK) * BLOCK, file.size)
    for start in range(hdu.offset, end, CHECKED_BYTES):
        total = fits_checksum(file.read(start, min(CHECKED_BYTES, end - start)), total)
    if total != int(stated):
        file.fail("checksum", "the table disagrees with its DATASUM", hdu.index, "fetch it again")


def _ascii_cells(file: FitsFile, hdu: Hdu, column: int, start: int, stop: int) -> NDArray[Any]:
    """Cells of a column of an ASCII table as text; empty where they are its TNULL."""
    header, width, key = hdu.header, hdu.shape[1], column + 1
    form, place = str(header.get(f"TFORM{key}", "")).strip(), header.number(f"TBCOL{key}", 0)
    size = form[1:].partition(".")[0]
    if not size.isdecimal() or not 1 <= place <= width - int(size) + 1:
        file.fail("bad_header", f"TFORM{key} = {form!r}, TBCOL{key} = {place!r}", hdu.index)
    if header.number(f"TSCAL{key}", 1) != 1 or header.number(f"TZERO{key}", 0) != 0:
        file.fail("bad_header", f"TSCAL{key} and TZERO{key} of an ASCII table", hdu.index)
    data = file.read(hdu.offset + start * width, (stop - start) * width)
    null = str(header.get(f"TNULL{key}", "")).strip()
    lines = (data[i : i + width] for i in range(0, len(data), width))
    cells = (line[place - 1 : place - 1 + int(size)].decode("latin-1").strip() for line in lines)
    if form[0] in "DEF":
        cells = (cell.upper().replace("D", "E") for cell in cells)
    return np.array(["" if cell == null else cell for cell in cells], object)


def _heap_texts(
    file: FitsFile, hdu: Hdu, name: str, form: str, start: int, stop: int
) -> NDArray[Any]:
    """Texts of variable length, which stand in the heap of a binary table."""
    record = hdu.header.record((name,))
    data = file.read(hdu.offset + start * record.itemsize, (stop - start) * record.itemsize)
    raw = np.frombuffer(data, record, stop - start)[name].tobytes()
    places = np.frombuffer(raw, ">i4" if "P" in form else ">i8").reshape(-1, 2).tolist()
    heap = hdu.offset + int(hdu.header.number("THEAP", hdu.shape[0] * hdu.shape[1]))
    end = hdu.offset + hdu.size
    cells = []
    for size, offset in places:
        if size < 0 or offset < 0 or heap + offset + size > end:
            file.fail("bad_header", f"column {name}: a text beyond the table's heap", hdu.index)
        cells.append(file.read(heap + offset, size).decode("latin-1").partition("\0")[0].strip())
    return np.array(cells, object)
