"""VOTable files, of which nothing but the file itself is opened.

In: the XML of a VOTable. Out: its tables. A VOTable may name files and addresses where its data
lie; astropy's reader would fetch them, so such a file is refused before it is read.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO
from xml.parsers import expat

from speclens.errors import SpectrumFileError
from speclens.read.table.table import PIECE_ROWS, Pieces, Table

__all__ = ["votables"]

MAX_ROWS_STATED = 10
"""Rows that a byte of the file may stand for, of those that a table says it has."""


def votables(path: str, stream: BinaryIO) -> list[Table]:
    """Read the tables of a VOTable.

    Parameters
    ----------
    path : str
        The file, for messages.
    stream : file
        Its bytes, decompressed, from the first.

    Returns
    -------
    list of Table
        The tables, in the order of the file.

    Raises
    ------
    SpectrumFileError
        If it names another file or address, declares entities, or is not a readable VOTable.
    """
    from astropy.io import votable

    _refuse_references(path, stream)
    stream.seek(0)
    try:
        with warnings.catch_warnings(action="ignore"):
            parsed = votable.parse(stream, verify="ignore")
            return [_table(table) for table in parsed.iter_tables()]
    except Exception as error:
        # astropy has no common class for what a damaged file raises.
        detail = (
            "not a table of any kind: it begins as XML or HTML and is no readable VOTable "
            f"({' '.join(str(error).split())[:200]}); save the table itself"
        )
        raise SpectrumFileError(path, "bad_header", detail) from error


def _refuse_references(path: str, stream: BinaryIO) -> None:
    """Walk through the XML once: no reference, no entity, no more rows than it can hold."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)

    def start(name: str, attributes: Mapping[str, str]) -> None:
        if not attributes:
            return
        plain = {key.rpartition(":")[2].lower(): value for key, value in attributes.items()}
        if name.rpartition(":")[2].lower() == "stream" and plain.get("href", "").strip():
            raise SpectrumFileError(
                path, "bad_header", f"its data lie elsewhere, at {plain['href'][:60]!r}, and no "
                "other file or address is opened", hint="save the table with its data in it",
            )  # fmt: skip
        rows = plain.get("nrows", "0").strip()
        if rows.isdecimal() and int(rows) > MAX_ROWS_STATED * size:
            detail = f"says it has {rows[:20]} rows in {size} bytes"
            raise SpectrumFileError(path, "bad_header", detail)

    def entity(name: str, *_: object) -> None:
        raise SpectrumFileError(path, "bad_header", f"declares the entity {name[:40]!r}")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EntityDeclHandler = start, entity
    try:
        parser.ParseFile(stream)
    except expat.ExpatError as error:
        raise SpectrumFileError(path, "bad_header", f"not readable XML: {error}") from error


def _table(table: Any) -> Table:
    names = [str(field.name or field.ID) for field in table.fields]
    units = {i: str(field.unit or "") for i, field in enumerate(table.fields)}
    return Table(names, units, _reader(table.array))


def _reader(array: Any) -> Callable[[Sequence[int]], Pieces]:
    def pieces(columns: Sequence[int]) -> Pieces:
        keys = array.dtype.names or ()
        for start in range(0, max(len(array), 1), PIECE_ROWS):
            part = array[start : start + PIECE_ROWS]
            yield start + 1, {i: part[keys[i]] for i in columns}

    return pieces
