"""Cells that others wrote: numbers, whole numbers, identifiers and text.

In: columns of a table, as text or numbers. Out: values, with a mask of the cells that say something
and cannot be read. What is unknown is NaN, -1 or empty, never a value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.errors import RunError
from speclens.read.values import MAX_ID

__all__ = [
    "BLANK",
    "IDS",
    "ID_LIMITS",
    "SIGNS",
    "Unread",
    "exact_id",
    "exact_ids",
    "floats",
    "specobj_ids",
    "texts",
    "wholes",
]

BLANK = frozenset(
    ("", "-", "--", "---", "...", "nan", "none", "null", "n/a", "na", "<na>", "nat", "masked",
     "\\n", "nodata", "#n/a")
)  # fmt: skip
"""What tables write where they know nothing, in lower case."""
LONGEST_BLANK = max(map(len, BLANK))

SIGNS = str.maketrans("\u2010\u2011\u2012\u2013\u2014\u2212\u2032\u2033", "------'\"")
"""Dashes and primes as printers set them."""

WHOLE = re.compile(r"([+-]?)(\d{1,3}(?:,\d{3})+|\d+)(?:\.0*)?")

IDS = ("PLATE", "MJD", "FIBERID")
ID_LIMITS = (MAX_ID + 1, 10**5, 10**4)
"""Plates, dates and fibres from these on are none, and would run into each other in a TARGETID."""

PLATES, DATES = (266, 0x3FFE), (51000, 63000)
"""Plates that SDSS has drilled, and days on which it took spectra."""
N_FIBRES, N_FIBRES_SDSS1, FIRST_BOSS_DATE = 1000, 640, 55000
LOW_BITS = 0x3FF
"""Bits of SPECOBJID that are 0 for a spectrum; other identifiers use them."""

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def texts(column: NDArray[Any]) -> list[str]:
    """Return cells as text.

    Parameters
    ----------
    column : array of shape (N,)
        Text or numbers, masked or not.

    Returns
    -------
    list of str
        The cells without blanks at their ends; empty for what says nothing.
    """
    values = np.ma.getdata(column)
    if values.ndim != 1 or values.dtype.kind in "Vc":
        return [""] * len(values)
    if values.dtype.kind == "S":
        values = np.char.decode(values, "latin-1")
    cells = [str(value).strip() for value in values.tolist()]
    hidden = np.ma.getmaskarray(column)
    if hidden.any():
        cells = ["" if h else cell for cell, h in zip(cells, hidden.tolist(), strict=True)]
    return ["" if len(cell) <= LONGEST_BLANK and cell.lower() in BLANK else cell for cell in cells]


def floats(column: NDArray[Any]) -> tuple[Floats, Bools]:
    """Read numbers.

    Parameters
    ----------
    column : array of shape (N,)
        Text or numbers, masked or not.

    Returns
    -------
    values : array of shape (N,)
        The numbers; NaN where unknown.
    bad : array of shape (N,)
        Cells that say something else than a finite number.
    """
    values = np.ma.getdata(column)
    if values.ndim == 1 and values.dtype.kind in "fiu":
        numbers = values.astype(np.float64)
        numbers[np.ma.getmaskarray(column)] = np.nan
    elif values.ndim == 1 and values.dtype.kind in "OUS":
        numbers = _numbers(column)
    else:
        numbers = np.full(len(values), np.inf)
    bad = np.isinf(numbers)
    numbers[bad] = np.nan
    return numbers, bad


def _numbers(column: NDArray[Any]) -> Floats:
    """Read text; an infinity stands for a cell that is no number, too."""
    try:
        return np.asarray(np.ma.filled(column, "nan").astype(np.float64))
    except ValueError:
        return np.array([_number(cell) for cell in texts(column)], np.float64)


def _number(cell: str) -> float:
    if not cell:
        return np.nan
    try:
        return float(cell)
    except ValueError:
        return np.inf


def wholes(column: NDArray[Any]) -> tuple[NDArray[np.int64], Bools]:
    """Read whole numbers above 0, which plates, dates and fibres are.

    Parameters
    ----------
    column : array of shape (N,)
        Text or numbers, masked or not. `3650.0` and `3,650` are whole, 3650.5 is not.

    Returns
    -------
    values : array of shape (N,)
        The numbers; -1 where unknown, and for numbers below 1, which tables write for that.
    bad : array of shape (N,)
        Cells that say something else, and numbers of too many digits.
    """
    values = np.ma.getdata(column)
    if values.ndim == 1 and values.dtype.kind in "iu":
        bad = values > MAX_ID
        known = (values > 0) & ~bad & ~np.ma.getmaskarray(column)
        return np.where(known, values, 0).astype(np.int64) - ~known, np.asarray(bad, bool)
    if values.ndim == 1 and values.dtype.kind in "OUS":
        try:
            return wholes(np.ma.filled(column, "-1").astype(np.int64))
        except (ValueError, OverflowError):
            numbers = np.array([_whole(cell) for cell in texts(column)], np.float64)
    else:
        numbers, odd = floats(column)
        numbers[odd] = np.inf
    bad = (numbers > MAX_ID) | (np.isfinite(numbers) & (np.floor(numbers) != numbers))
    known = (numbers > 0) & ~bad
    return np.where(known, numbers, -1).astype(np.int64), np.asarray(bad, bool)


def _whole(cell: str) -> float:
    if cell.isdecimal():
        return float(cell)
    match = WHOLE.fullmatch(cell)
    if match:
        return float(match[1] + match[2].replace(",", ""))
    return np.inf if cell else np.nan


def exact_id(text: object) -> int:
    """Read an identifier to the last digit.

    Parameters
    ----------
    text : object
        A number or text, possibly as another program wrote it (`b' 4616...'`).

    Returns
    -------
    int
        The identifier; Python's integers hold all of its digits.

    Raises
    ------
    ValueError
        If it was rounded (`3.72236E+18`) or is not a number.
    """
    plain = text.decode("latin-1") if isinstance(text, bytes) else str(text)
    match = re.fullmatch(r"\s*(?:b?(['\"]))?\s*([+-]?\d+)\s*\1?\s*", plain)
    if match:
        return int(match[2])
    rounded = re.fullmatch(r"\s*[+-]?\d+(\.\d*)?([eE][+-]?\d+)?\s*", plain)
    why = "already rounded by another program; export it as text" if rounded else "not a number"
    raise ValueError(f"identifier {plain[:40]!r}: {why}")


def exact_ids(column: NDArray[Any]) -> tuple[list[int | None], Bools]:
    """Read identifiers of a column to the last digit.

    Parameters
    ----------
    column : array of shape (N,)
        Numbers or text, masked where nothing stands.

    Returns
    -------
    ids : list of int or None
        Identifiers; None where there is none.
    bad : array of shape (N,)
        True where something stands that is no identifier, or one that was rounded: a float knows
        whole numbers up to 2^53 only, in single precision up to 2^24.
    """
    values, hidden = np.ma.getdata(column), np.ma.getmaskarray(column)
    if values.ndim == 1 and values.dtype.kind in "iu":
        found = [None if h else n for n, h in zip(values.tolist(), hidden.tolist(), strict=True)]
        return found, np.zeros(len(found), bool)
    single = values.dtype.kind == "f" and values.dtype.itemsize <= 4
    ids: list[int | None] = []
    bad = []
    for cell in texts(column):
        number = _exact(cell, 1 << (24 if single else 53))
        ids.append(number)
        bad.append(bool(cell) and number is None)
    return ids, np.array(bad, bool)


def _exact(cell: str, exact_below: int) -> int | None:
    """Return the identifier of a cell; None of an empty one, and of a rounded one."""
    whole = cell.removesuffix(".0")
    try:
        number = exact_id(whole)
    except ValueError:
        return None
    return None if whole != cell and abs(number) >= exact_below else number


def specobj_ids(column: NDArray[Any]) -> tuple[NDArray[np.int64], Bools]:
    """Decode SDSS's SPECOBJID, which has plate, fibre and date in its bits.

    Parameters
    ----------
    column : array of shape (N,)
        Whole numbers, or text of them.

    Returns
    -------
    ids : array of shape (N, 3)
        Plate, date and fibre; -1 where the identifier is unknown, or is none of SDSS's: its plate,
        date or fibre is none that the survey has.
    bad : array of shape (N,)
        Cells that say something and are no such identifier, or a rounded one.
    """
    values = np.ma.getdata(column)
    unknown = np.ma.getmaskarray(column)
    bad = np.zeros(len(values), bool)
    if values.ndim == 1 and values.dtype.kind in "iu":
        # Above 2^63 (plates from 8192 on) a program without unsigned integers writes a negative
        # number.
        numbers = values.astype(np.int64).view(np.uint64)
        unknown = unknown | ((values <= 0) & (values > -(1 << 32)))
    else:
        exact = [_specobjid(cell) for cell in texts(column)]
        bad = np.array([number is None for number in exact], bool)
        unknown = np.array([number == 0 for number in exact], bool)
        numbers = np.array([number or 0 for number in exact], np.uint64)
    plate, fiberid = (numbers >> np.uint64(50)), numbers >> np.uint64(38) & np.uint64(0xFFF)
    mjd = (numbers >> np.uint64(24) & np.uint64(0x3FFF)) + np.uint64(50000)
    ids = np.stack([plate, mjd, fiberid], axis=1).astype(np.int64)
    n_fibres = np.where(ids[:, 1] < FIRST_BOSS_DATE, N_FIBRES_SDSS1, N_FIBRES)
    good = (ids[:, 0] >= PLATES[0]) & (ids[:, 0] <= PLATES[1])
    good &= (ids[:, 1] >= DATES[0]) & (ids[:, 1] <= DATES[1])
    good &= (ids[:, 2] >= 1) & (ids[:, 2] <= n_fibres) & (numbers & np.uint64(LOW_BITS) == 0)
    good &= ~unknown & ~bad
    ids[~good] = -1
    return ids, np.asarray(~good & ~unknown, bool)


def _specobjid(cell: str) -> int | None:
    """Return an identifier modulo 2^64; 0 for none, None for what is no identifier."""
    if not cell:
        return 0
    try:
        number = exact_id(cell)
    except ValueError:
        return None
    if -(1 << 32) < number <= 0:
        return 0
    return number % (1 << 64) if abs(number) < 1 << 64 else None


@dataclass
class Unread:
    """Cells that cannot be read, counted by column.

    Parameters
    ----------
    path : str
        The file.
    """

    path: str
    _columns: dict[str, list[Any]] = field(default_factory=dict)

    def add(
        self,
        column: str,
        rows: NDArray[np.integer],
        cells: NDArray[Any],
        bad: Bools,
        n_read: int | np.integer,
    ) -> None:
        """Count the cells of some rows.

        Parameters
        ----------
        column : str
            Name of the column.
        rows : array of shape (N,)
            Numbers of the rows, from 1.
        cells : array of shape (N,)
            The cells as they stand in the file.
        bad : array of shape (N,)
            True for those that cannot be read.
        n_read : int
            Number of cells that were read.
        """
        counts = self._columns.setdefault(column, [0, 0, 0, ""])
        counts[0] += int(n_read)
        if bad.any():
            if not counts[1]:
                first = int(np.argmax(bad))
                counts[2], counts[3] = int(rows[first]), _shown(cells[first])
            counts[1] += int(np.count_nonzero(bad))

    def refuse(self, column: str, allowed: str) -> None:
        """Refuse a column of which no cell can be read.

        Parameters
        ----------
        column : str
            Name of the column.
        allowed : str
            What it must hold.

        Raises
        ------
        RunError
            If it holds cells, of which none can be read.
        """
        n_read, n_bad, row, cell = self._columns.get(column, (0, 0, 0, ""))
        if n_bad and not n_read:
            raise RunError(
                f"{self.path}: no cell of column {column!r} can be read, the first in row {row}: "
                f"{cell!r}; allowed: {allowed}"
            )

    @property
    def notes(self) -> list[str]:
        """One sentence for each column with cells that cannot be read."""
        return [
            f"{self.path}: {n_bad} of the cells of column {column!r} cannot be read and count as "
            f"unknown, the first in row {row}: {cell!r}"
            for column, (_, n_bad, row, cell) in self._columns.items()
            if n_bad
        ]


def _shown(cell: object) -> str:
    text = cell.decode("latin-1") if isinstance(cell, bytes) else str(cell)
    return text.strip()[:40]
