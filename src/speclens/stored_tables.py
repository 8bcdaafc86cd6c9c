"""Tables of a run, read back: whole, unchanged, and with the columns that this version knows.

In: FITS and ECSV products. Out: tables and rows; an error that says what to do when a product is
damaged, or of another version.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from speclens.errors import RunError, refusal_of
from speclens.products import fits_seal, one_line, text_digest
from speclens.schema import Column, dtype_of

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["is_product", "iterate_rows", "read_rows", "read_table"]

FITS, ECSV, GZIP = b"SIMPLE  =", b"# %ECSV", b"\x1f\x8b"
OWN = re.compile(rb"CREATOR *[=:] *['\"]?speclens ")
HEAD_BYTES = 1 << 18
"""Holds the header of any of our tables."""

PIECE_BYTES = 1 << 22


def is_product(path: Path) -> bool:
    """Say whether a file calls itself a table that this package wrote.

    Parameters
    ----------
    path : Path
        Any file.

    Returns
    -------
    bool
        True for a FITS or ECSV table whose header names speclens as its creator, whatever the
        file's name. `read_table` then says whether it is whole.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return False
    return head.startswith((FITS, ECSV)) and OWN.search(head) is not None


def read_table(path: Path) -> Table:
    """Read one of the package's own tables and verify that it is whole.

    Parameters
    ----------
    path : Path
        A FITS or ECSV product.

    Returns
    -------
    astropy.table.Table
        The table.

    Raises
    ------
    RunError
        If the file is missing, cut short or was changed.
    """
    from astropy.table import Table

    with _damage_named(path):
        if _is_text(path):
            # astropy takes an empty text for a missing one.
            table = Table.read(path, format="ascii.ecsv").filled("")
            _refuse_edited(path, table.meta, len(table), text_digest(table))
            return table
        with _sealed_hdu(path) as hdu, _warnings_as_errors():
            table = Table.read(hdu, character_as_bytes=False)
    for i, name in enumerate(table.colnames, 1):
        table[name].description = table.meta.pop(f"TCOMM{i}", None)
    return table


def _is_text(path: Path) -> bool:
    """Tell ECSV from FITS, by content, and refuse what carries no proof that it is whole."""
    with path.open("rb") as file:
        head = file.read(len(FITS))
        if head.startswith(GZIP):
            file.seek(0)
            head = gzip.GzipFile(fileobj=file).read(len(ECSV))
            if head.startswith(ECSV):
                return True
    if head.startswith((FITS, ECSV)):
        return head.startswith(ECSV)
    if path.suffix not in (".fits", ".ecsv"):
        raise RunError(f"{path}: only .fits and .ecsv carry what proves them whole; read that one")
    return path.suffix == ".ecsv"


@contextmanager
def _sealed_hdu(path: Path) -> Iterator[Any]:
    """Open a FITS product and give its table, once its rows are those that were written."""
    from astropy.io import fits

    # The stream is opened here: astropy leaves it open when a warning stops it.
    with path.open("rb") as file:
        with _warnings_as_errors():
            hdus = fits.open(file, memmap=False)
        with hdus:
            with _warnings_as_errors():
                hdu = hdus[1]
                header, place = hdu.header, hdu.fileinfo()["datLoc"]
            seal, left = fits_seal(header), header["NAXIS1"] * header["NAXIS2"]
            file.seek(place)
            while left > 0 and (data := file.read(min(left, PIECE_BYTES))):
                seal.update(data)
                left -= len(data)
            _refuse_edited(path, header, header["NAXIS2"], seal.hexdigest())
            yield hdu


@contextmanager
def _warnings_as_errors() -> Iterator[None]:
    """Take for damage what astropy only warns of: a file that is cut short, for one."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def _refuse_edited(path: Path, meta: Mapping[str, Any], n_rows: int, sha256: str) -> None:
    if meta.get("NROWS") != n_rows or meta.get("SHA256") != sha256:
        raise RunError(f"{path}: cut short or edited (NROWS, SHA256); run the search again")


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    """Name a damaged product in one line, whatever astropy raises: it has no common class."""
    try:
        yield
    except (ImportError, RunError):
        raise
    except FileNotFoundError:
        raise RunError(f"{path}: no such product") from None
    except (IsADirectoryError, PermissionError) as error:
        raise RunError(f"{path}: {refusal_of(error)}") from error
    except Exception as error:
        raise RunError(f"{path}: damaged ({one_line(error)}); run the search again") from error


def read_rows(path: Path, columns: Sequence[Column]) -> NDArray[np.void]:
    """Read a table of a run as rows of its schema.

    Parameters
    ----------
    path : Path
        A FITS or ECSV product.
    columns : sequence of Column
        The schema.

    Returns
    -------
    structured array of shape (N,)
        The rows.

    Raises
    ------
    RunError
        If it is damaged, or lacks a column of the schema or has it in another type: another
        version of the package wrote it.
    """
    stored, creator = _stored_columns(path)
    dtype = dtype_of(columns)
    missing = [name for name in dtype.names or () if name not in stored]
    if missing:
        raise RunError(
            f"{path}: expected columns {', '.join(dtype.names or ())}; found "
            f"{', '.join(stored)}: {', '.join(missing)} not there, because {creator} wrote "
            "it; run the search again with this version"
        )
    widths: dict[str, int] = {}
    for column in columns:
        found = stored[column.name].dtype
        kinds = "US" if dtype[column.name].kind == "U" else "b" if column.dtype == "?" else "iuf"
        if found.kind not in kinds:
            raise RunError(
                f"{path}: column {column.name} holds {found}, not {column.dtype}; {creator} wrote "
                "it: run the search again with this version"
            )
        if found.kind == "U":
            widths[column.name] = max(found.itemsize // 4, dtype[column.name].itemsize // 4)
    rows = np.zeros(len(stored[columns[0].name]), dtype_of(columns, **widths))
    for column in columns:
        rows[column.name] = stored[column.name]
    return rows


def _stored_columns(path: Path) -> tuple[Mapping[str, NDArray[Any]], str]:
    """Return the columns of a table and who wrote it; of FITS without astropy's tables."""
    unknown = "another version of speclens"
    with _damage_named(path):
        if not _is_text(path):
            with _sealed_hdu(path) as hdu, _warnings_as_errors():
                data = hdu.data
                columns = {name: np.array(data[name]) for name in data.names}
                return columns, str(hdu.header.get("CREATOR", unknown))
    table = read_table(path)
    columns = {name: np.asarray(table[name]) for name in table.colnames}
    return columns, str(table.meta.get("CREATOR", unknown))


def iterate_rows(path: Path, n_rows: int = 20_000) -> Iterator[NDArray[np.void]]:
    """Read a FITS table of a run part by part, in little memory.

    Parameters
    ----------
    path : Path
        A FITS product.
    n_rows : int, optional
        Rows of a part.

    Yields
    ------
    structured array
        Some rows, in order.

    Raises
    ------
    RunError
        If the file is missing, cut short or was changed.
    """
    with _damage_named(path), _sealed_hdu(path) as hdu, path.open("rb") as file:
        stored, left = hdu.columns.dtype.newbyteorder(">"), hdu.header["NAXIS2"]
        logical = [column.name for column in hdu.columns if column.format == "L"]
        file.seek(hdu.fileinfo()["datLoc"])
        while left > 0:
            # Read, not mapped: what is mapped counts as memory of the process.
            part = np.fromfile(file, stored, min(left, n_rows))
            if not len(part):
                raise EOFError(f"{left} rows fewer than it had a moment ago")
            left -= len(part)
            yield _from_stored(part, logical)


def _from_stored(part: NDArray[np.void], logical: Sequence[str]) -> NDArray[np.void]:
    """Return rows in the byte order of this machine, text as text, T and F as truth values."""
    fields: list[tuple[str, Any]] = []
    for name in part.dtype.names or ():
        field = part.dtype[name]
        native = f"U{field.itemsize}" if field.kind == "S" else field.newbyteorder("=")
        fields.append((name, "?" if name in logical else native))
    rows = np.zeros(len(part), fields)
    for name, _ in fields:
        rows[name] = part[name] == ord("T") if name in logical else part[name]
    return rows
