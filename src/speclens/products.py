"""Products on disk: complete or absent, and verified when read back.

In: structured arrays with a schema. Out: FITS, ECSV, CSV, LaTeX and JSON files that are written
beside their place and renamed. A table carries its number of rows and a digest, so that a product
cut short or edited is recognised. The same data give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from speclens.errors import RunError
from speclens.schema import Column, dtype_of

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = [
    "as_table",
    "fits_checksum",
    "fits_seal",
    "one_line",
    "refuse_irregular",
    "refuse_link",
    "replacing",
    "text_digest",
    "write_fits",
    "write_json",
    "write_text_table",
]

BLOCK = 2880
TEXT_FORMATS = {".ecsv": "ascii.ecsv", ".csv": "ascii.csv"}

OWN_NUMBER = int.from_bytes(os.urandom(4), "big")
"""Tells this process from those of the same number on other machines."""


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that takes its name only when it is complete.

    Parameters
    ----------
    path : Path
        Final place; what stands there stays until the new file is whole.

    Yields
    ------
    binary file
        To write to.

    Raises
    ------
    RunError
        If the file cannot be written (a full disk, a read-only folder), or if a link stands in its
        place: what it leads to is not ours.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{OWN_NUMBER}.part")
    refuse_link(path)
    refuse_link(temporary)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb", opener=_open_new) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise RunError(f"{path}: cannot write: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def _open_new(path: str, flags: int) -> int:
    """Open a file that must not be there yet: nothing is followed, nothing overwritten."""
    return os.open(path, flags | os.O_EXCL, 0o666)


def refuse_irregular(path: Path) -> None:
    """Refuse to read what is no regular file: a named pipe would never answer.

    Parameters
    ----------
    path : Path
        A file to read.

    Raises
    ------
    RunError
        If it is something else; what is missing its reader complains of.
    """
    if path.exists() and not path.is_file():
        told = "it is a folder; give a file" if path.is_dir() else "not a regular file"
        raise RunError(f"{path}: {told}")


def refuse_link(path: Path) -> None:
    """Refuse a symbolic link where the package would write a file or a folder.

    Parameters
    ----------
    path : Path
        Where it would write.

    Raises
    ------
    RunError
        If a link stands there.
    """
    if path.is_symlink():
        raise RunError(
            f"{path}: a link to {os.readlink(path)}, and speclens writes through no link; remove it"
        )


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file.

    Parameters
    ----------
    path : Path
        Final place.
    content : mapping
        What to write; NaN is refused.
    """
    # ASCII: names of files may hold bytes that are no UTF-8.
    text = json.dumps(content, indent=2, allow_nan=False)
    with replacing(path) as file:
        file.write(text.encode() + b"\n")


def as_table(rows: NDArray[np.void], columns: Sequence[Column]) -> Table:
    """Return an astropy table with units and descriptions.

    Parameters
    ----------
    rows : structured array of shape (N,)
        The rows.
    columns : sequence of Column
        Their schema.

    Returns
    -------
    astropy.table.Table
        The table.
    """
    from astropy.table import Table

    table = Table(rows)
    for column in columns:
        table[column.name].unit = column.unit or None
        table[column.name].description = column.description
    return table


def write_text_table(
    path: Path, rows: NDArray[np.void], columns: Sequence[Column], meta: Mapping[str, Any]
) -> None:
    """Write a table as ECSV or CSV, by its suffix.

    Parameters
    ----------
    path : Path
        Final place.
    rows : structured array of shape (N,)
        The rows.
    columns : sequence of Column
        Their schema.
    meta : mapping
        Provenance; ECSV keeps it, with NROWS and SHA256 of the rows.

    Notes
    -----
    Text becomes one line without blanks at its ends, which ECSV does not keep.
    """
    import io

    table = as_table(rows, columns)
    for name in table.colnames:
        if table[name].dtype.kind == "U":
            table[name][:] = [one_line(text) for text in table[name].tolist()]
    table.meta.update({**meta, "NROWS": len(rows), "SHA256": text_digest(table)})
    buffer = io.StringIO(newline="")
    if path.suffix == ".csv":
        for column in columns:
            # Single precision holds seven digits; the rest would be noise of the conversion.
            table[column.name].format = "%.7g" if column.dtype == "f4" else None
    table.write(buffer, format=TEXT_FORMATS[path.suffix])
    with replacing(path) as file:
        file.write(buffer.getvalue().encode())


def write_fits(
    path: Path,
    parts: Iterable[NDArray[np.void]],
    n_rows: int,
    columns: Sequence[Column],
    meta: Mapping[str, str | int | float],
    **widths: int,
) -> None:
    """Write a binary table part by part, in little memory.

    Parameters
    ----------
    path : Path
        Final place.
    parts : iterable of structured arrays
        The rows, in order.
    n_rows : int
        Their total number.
    columns : sequence of Column
        Their schema.
    meta : mapping
        Provenance, as header cards; NROWS and SHA256 of the rows are added.
    **widths : int
        Widths of text columns that depend on the data.
    """
    from astropy.io import fits

    dtype = dtype_of(columns, **widths)
    hdu = fits.BinTableHDU(as_table(np.zeros(0, dtype), columns), name=path.stem.upper())
    header, stored = hdu.header, _stored_dtype(dtype)
    header["NAXIS1"], header["NAXIS2"] = stored.itemsize, n_rows
    for i, column in enumerate(columns, 1):
        width = dtype[column.name].itemsize // 4
        if dtype[column.name].kind == "U":
            header[f"TFORM{i}"] = f"{max(width, 1)}A"
        header[f"TCOMM{i}"] = column.description
    for key, value in meta.items():
        header[f"HIERARCH {key}" if len(key) > 8 else key] = value
    header["NROWS"] = (n_rows, "rows as written")
    header["SHA256"] = "0" * 64
    header["DATASUM"] = ("0".rjust(10), "checksum of the data")
    primary = fits.PrimaryHDU()
    with replacing(path) as file:
        file.write(primary.header.tostring().encode("ascii"))
        place = file.tell()
        file.write(header.tostring().encode("ascii"))
        seal, total, written, pending = fits_seal(header), 0, 0, b""
        for part in parts:
            rows = _to_stored(part, stored).tobytes()
            seal.update(rows)
            data = pending + rows
            whole = len(data) - len(data) % 4
            total = fits_checksum(data[:whole], total)
            file.write(data[:whole])
            written, pending = written + len(part), data[whole:]
        if written != n_rows:
            raise ValueError(f"{path}: {written} rows came, {n_rows} were announced")
        size = n_rows * stored.itemsize
        tail = pending + bytes(-size % BLOCK)
        file.write(tail)
        header["DATASUM"] = str(fits_checksum(tail, total)).rjust(10)
        header["SHA256"] = seal.hexdigest()
        file.seek(place)
        file.write(header.tostring().encode("ascii"))


def fits_seal(header: Mapping[str, Any]) -> hashlib._Hash:
    """Begin the digest of a FITS table, to which the bytes of its rows are to be added.

    Parameters
    ----------
    header : mapping
        Header of the table.

    Returns
    -------
    hash
        SHA-256 that knows names and formats of the columns: a program that writes an edited table
        again gives it a valid DATASUM, but leaves SHA256 as it was.
    """
    columns = range(1, int(header["TFIELDS"]) + 1)
    names = [f"{header[f'TTYPE{i}']}:{header[f'TFORM{i}']}" for i in columns]
    return hashlib.sha256("\n".join(names).encode())


def fits_checksum(data: bytes, total: int = 0) -> int:
    """Sum bytes as the FITS checksum does: a ones'-complement sum of 32-bit words.

    Parameters
    ----------
    data : bytes
        A part of an HDU; only the last part may have a length that is no multiple of 4.
    total : int, optional
        Sum of the parts before.

    Returns
    -------
    int
        The sum, below 2^32.
    """
    words = np.frombuffer(data + bytes(-len(data) % 4), ">u4")
    total += int(words.sum(dtype=np.uint64))
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total


def one_line(text: object) -> str:
    """Return a text on one line, without blanks at its ends, which ECSV would strip.

    Parameters
    ----------
    text : object
        Any text.

    Returns
    -------
    str
        Its words, with single blanks between them.
    """
    return "".join(c if c.isprintable() else " " for c in str(text)).strip()


def text_digest(table: Table) -> str:
    """Return the digest of a table's rows as ECSV writes them, which survives the round trip.

    Parameters
    ----------
    table : astropy.table.Table
        The table.

    Returns
    -------
    str
        SHA-256, hexadecimal.
    """
    digest = hashlib.sha256()
    for name in table.colnames:
        digest.update(name.encode())
        digest.update("\x1f".join(str(value) for value in table[name].tolist()).encode())
    return digest.hexdigest()


def _stored_dtype(dtype: np.dtype[np.void]) -> np.dtype[np.void]:
    """Big-endian twin of a table's dtype: text as bytes, truth values as T and F."""
    fields = []
    for name in dtype.names or ():
        field = dtype[name]
        if field.kind == "U":
            fields.append((name, f"S{max(field.itemsize // 4, 1)}"))
        elif field.kind == "b":
            fields.append((name, "S1"))
        else:
            fields.append((name, field.newbyteorder(">").str))
    return np.dtype(fields)


def _encoded(texts: NDArray[np.str_]) -> NDArray[np.bytes_]:
    try:
        return texts.astype(np.bytes_)
    except UnicodeEncodeError:
        return np.char.encode(texts, "ascii", "replace")


def _to_stored(rows: NDArray[np.void], stored: np.dtype[np.void]) -> NDArray[np.void]:
    out = np.zeros(len(rows), stored)
    for name in stored.names or ():
        column = rows[name]
        if column.dtype.kind == "b":
            column = np.where(column, b"T", b"F")
        elif column.dtype.kind == "U":
            column = _encoded(column)
        out[name] = column
    return out
