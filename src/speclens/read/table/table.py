"""One table of a file: what every format is read into.

In: nothing. Out: `Table`, of which the wanted columns are read some rows at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

__all__ = ["PIECE_ROWS", "Pieces", "Table", "found_columns"]

PIECE_ROWS = 50_000
"""Most rows that are held at once."""

NAMES_SHOWN = 30

Pieces = Generator[tuple[int, Mapping[int, NDArray[Any]]], None, None]
"""Number of the first row, from 1; columns by their place: numbers or text, masked or not."""


@dataclass(frozen=True)
class Table:
    """One table of a file.

    Parameters
    ----------
    names : sequence of str
        Names of its columns as they stand in the file.
    units : mapping of int to str
        Units that the table states, by place of the column.
    pieces : callable
        Reads columns, given by their places, some rows at a time; to be called once. A table
        without rows gives one piece without rows.
    notes : sequence of str, optional
        What its reader must know, once all is read.
    """

    names: Sequence[str]
    units: Mapping[int, str]
    pieces: Callable[[Sequence[int]], Pieces]
    notes: Sequence[str] = ()


def found_columns(names: Sequence[str]) -> str:
    """Return names of columns for a message, printable and few.

    Parameters
    ----------
    names : sequence of str
        The names.

    Returns
    -------
    str
        The names.
    """
    shown = ", ".join(ascii(name[:40])[1:-1] for name in [*names][:NAMES_SHOWN]) or "none"
    return shown + (f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else "")
