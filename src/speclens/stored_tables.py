"""Tables of a run, read back: whole, unchanged, and with the columns that this version knows.

In: FITS and ECSV products. Out: tables and rows; an error that says what to do when a product is
damaged, or of another version.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from speclens.errors import RunError
from speclens.products import one_line, text_digest
from speclens.schema import Column, dtype_of

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["iterate_rows", "read_rows", "read_table"]


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
    import warnings

    from astropy.io import fits
    from astropy.table import Table

    if path.suffix not in (".fits", ".ecsv"):
        raise RunError(f"{path}: only .fits and .ecsv carry what proves them whole; read that one")
    try:
        if path.suffix == ".ecsv":
            # astropy takes an empty text for a missing one.
            table = Table.read(path, format="ascii.ecsv").filled("")
            whole = table.meta.get("NROWS") == len(table) and (
                table.meta.get("SHA256") == text_digest(table)
            )
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                # The stream is opened here: astropy leaves it open when a warning stops it.
                with (
                    path.open("rb") as file,
                    fits.open(file, memmap=False, checksum=True) as hdus,
                ):
                    table = Table.read(hdus[1], character_as_bytes=False)
            whole = True
    except FileNotFoundError:
        raise RunError(f"{path}: no such product") from None
    except Exception as error:
        # astropy has no common class for what a damaged file raises.
        raise RunError(f"{path}: damaged ({one_line(error)}); run the search again") from error
    if not whole:
        raise RunError(f"{path}: cut short or edited (NROWS, SHA256); run the search again")
    return table


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
    table = read_table(path)
    dtype = dtype_of(columns)
    creator = str(table.meta.get("CREATOR", "another version of speclens"))
    missing = [name for name in dtype.names or () if name not in table.colnames]
    if missing:
        raise RunError(
            f"{path}: expected columns {', '.join(dtype.names or ())}; found "
            f"{', '.join(table.colnames)}: {', '.join(missing)} not there, because {creator} wrote "
            "it; run the search again with this version"
        )
    widths: dict[str, int] = {}
    for column in columns:
        found = table[column.name].dtype
        kinds = "US" if dtype[column.name].kind == "U" else "b" if column.dtype == "?" else "iuf"
        if found.kind not in kinds:
            raise RunError(
                f"{path}: column {column.name} holds {found}, not {column.dtype}; {creator} wrote "
                "it: run the search again with this version"
            )
        if found.kind == "U":
            widths[column.name] = max(found.itemsize // 4, dtype[column.name].itemsize // 4)
    rows = np.zeros(len(table), dtype_of(columns, **widths))
    for column in columns:
        rows[column.name] = np.asarray(table[column.name])
    return rows


def iterate_rows(path: Path, n_rows: int = 100_000) -> Iterator[NDArray[np.void]]:
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
        If the file is missing or cut short.
    """
    import warnings

    from astropy.io import fits

    try:
        # The stream is opened here: astropy leaves it open when a warning stops it.
        with path.open("rb") as file, fits.open(file, memmap=True) as hdus:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                data = hdus[1].data
            for start in range(0, len(data), n_rows):
                part = data[start : start + n_rows]
                fields = {name: np.array(part[name]) for name in data.names}
                rows = np.zeros(
                    len(part), [(n, f.dtype.newbyteorder("=")) for n, f in fields.items()]
                )
                for name, values in fields.items():
                    rows[name] = values
                yield rows
    except FileNotFoundError:
        raise RunError(f"{path}: no such product") from None
    except (OSError, ValueError, TypeError, IndexError, UserWarning) as error:
        raise RunError(f"{path}: damaged ({one_line(error)}); run the search again") from error
