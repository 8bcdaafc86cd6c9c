"""Parquet files of spectra, by pyarrow, which is installed only where they are read.

In: the bytes of a file. Out: a table of astropy: columns of numbers, of lists that are all of one
length, and what the file's metadata say of units and header entries.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from speclens.errors import SpectraError

__all__ = ["MARK", "column_names", "table_of"]

MARK = b"PAR1"
OF_ASTROPY = "table_meta_yaml"
"""Entry in which astropy writes units and `meta`."""


def column_names(path: str) -> Sequence[str] | None:
    """Return the names of the columns of a Parquet file.

    Parameters
    ----------
    path : str
        The file.

    Returns
    -------
    sequence of str or None
        None where pyarrow is not installed, or the file is damaged.
    """
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import read_schema
    except ImportError:
        return None
    try:
        return [*read_schema(path).names]
    except (ArrowException, OSError):
        return None


def table_of(content: bytes) -> Any:
    """Read a Parquet file.

    Parameters
    ----------
    content : bytes
        All of the file.

    Returns
    -------
    astropy.table.Table
        Its columns; a column of lists has the shape (N, L).

    Raises
    ------
    SpectraError
        If pyarrow is not installed, or lists of a column differ in length.
    """
    try:
        from pyarrow.parquet import read_table
    except ImportError as error:
        raise SpectraError(
            "Parquet files are read by pyarrow, which is not installed; pip install pyarrow",
            "unknown_layout",
        ) from error
    from astropy.table import Table

    arrow = read_table(io.BytesIO(content))
    units, meta = _stated(arrow.schema)
    table = Table({name: _values(name, arrow.column(name)) for name in arrow.column_names})
    table.meta.update(meta)
    for name, unit in units.items():
        if name in table.colnames:
            table[name].unit = unit
    return table


def _values(name: str, column: Any) -> Any:
    values = column.to_numpy()
    if values.dtype.kind != "O" or not len(values) or not hasattr(values[0], "__len__"):
        return values
    if isinstance(values[0], str | bytes):
        return values.astype(str)
    if len({len(row) for row in values}) > 1:
        raise SpectraError(
            f"column {name}: lists of several lengths; fill them up to one length, with an inverse "
            "variance of 0, or write a file for each spectrum"
        )
    return np.stack([*values])


def _stated(schema: Any) -> tuple[Mapping[str, str], Mapping[str, Any]]:
    """Return the units of columns, and header entries, of the file's metadata."""
    entries = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
    units = {
        field.name: field.metadata[b"unit"].decode()
        for field in schema
        if field.metadata and b"unit" in field.metadata
    }
    if OF_ASTROPY in entries:
        from astropy.table.meta import get_header_from_yaml

        header = get_header_from_yaml(entries[OF_ASTROPY].split("\n"))
        units |= {c["name"]: str(c["unit"]) for c in header["datatype"] if c.get("unit")}
        entries |= header.get("meta", {})
    return units, {key: _listed(value) for key, value in entries.items()}


def _listed(value: Any) -> Any:
    """Return a list that stands as text; all else stays text, for a name may look like a number."""
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value
    return found if isinstance(found, list) else value
