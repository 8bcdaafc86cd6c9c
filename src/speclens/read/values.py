"""What a survey's numbers and texts can be; what lies outside is unknown.

In: columns as any table holds them - floats, integers, text - with whatever damage. Out: numbers,
or NaN; whole numbers within their limits, or -1; texts that fit their field; line spreads, or 0.
Nothing is clipped or rounded into its limits, and no conversion wraps or warns.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "MAX_ID",
    "numbers",
    "plausible_dispersion",
    "texts",
    "whole",
]

Floats = NDArray[np.float64]

MAX_ID = np.iinfo(np.int32).max
"""Largest plate, date or fibre that the products hold."""

WHOLE = re.compile(r"\s*\+?(\d{1,18})(?:\.0*)?\s*", re.ASCII)
"""A whole number to its last digit; one with an exponent may have been rounded."""

CUT = "~"


def numbers(column: NDArray[Any]) -> Floats:
    """Read a column as numbers.

    Parameters
    ----------
    column : array of shape (N,)
        Numbers, or their text.

    Returns
    -------
    array of shape (N,)
        The numbers; NaN for a text that is none.

    Raises
    ------
    TypeError
        If the column holds neither numbers nor text.
    ValueError
        If there are texts and none of them is a number: this is no such column.
    """
    if column.dtype.kind not in "fiubU":
        raise TypeError(f"{column.dtype} instead of numbers")
    if column.dtype.kind != "U":
        return column.astype(np.float64)
    try:
        return column.astype(np.float64)
    except ValueError:
        found = np.array([_number(text) for text in column.tolist()], np.float64)
        if np.isnan(found).all() and (column != "").any():
            raise ValueError(f"{_first_text(column)!r} is no number") from None
        return found


def whole(column: NDArray[Any], limits: tuple[int, int]) -> NDArray[np.int64]:
    """Read a column as whole numbers.

    Parameters
    ----------
    column : array of shape (N,)
        Numbers or their text; 3650.0 is a whole number, 903.5 and 3.65E+03 are none.
    limits : (int, int)
        The lowest and the highest that can be, neither negative.

    Returns
    -------
    array of shape (N,)
        The numbers; -1 where there is none.

    Raises
    ------
    TypeError
        If the column holds neither numbers nor text.
    """
    if column.dtype.kind == "U":
        column = _whole_texts(column)
    elif column.dtype.kind not in "fiub":
        raise TypeError(f"{column.dtype} instead of whole numbers")
    low, high = limits
    # NaN fails every comparison.
    known = (column >= low) & (column <= high)
    if column.dtype.kind == "f":
        column = np.where(known, column, 0)
        known &= column == np.floor(column)
    # What does not fit 64 bits is not known.
    return np.where(known, column.astype(np.int64), -1)


def texts(column: NDArray[Any], width: int) -> NDArray[np.str_]:
    """Read a column as texts of a field.

    Parameters
    ----------
    column : array of shape (N,)
        Text; numbers are written out, and NaN is no text.
    width : int
        Characters that the field holds.

    Returns
    -------
    array of shape (N,)
        The texts; one that is too long is cut and ends in "~", so that it is never taken for one
        that the survey knows.

    Raises
    ------
    TypeError
        If the column holds neither text nor numbers.
    """
    if column.dtype.kind not in "fiubU":
        raise TypeError(f"{column.dtype} instead of text")
    if column.dtype.kind != "U":
        column = np.where(column == column, column.astype(str), "")
    if column.dtype.itemsize <= width * np.dtype("U1").itemsize:
        return column
    column = np.char.strip(column)
    too_long = np.char.str_len(column) > width
    cut = column.astype(f"U{width}")
    if too_long.any():
        cut[too_long] = np.char.add(column[too_long].astype(f"U{width - 1}"), CUT)
    return cut


def plausible_dispersion(
    dispersion: NDArray[np.float32], limits: tuple[float, float]
) -> NDArray[np.float32]:
    """Leave out line spreads that no spectrograph of the survey has.

    Parameters
    ----------
    dispersion : array
        Standard deviation of the line spread, pixels of the global grid.
    limits : (float, float)
        Between which it can be.

    Returns
    -------
    array
        The same; 0, which is unknown, beyond the limits and where it is no number.
    """
    low, high = limits
    return np.where((dispersion >= low) & (dispersion <= high), dispersion, np.float32(0))


def _whole_texts(column: NDArray[Any]) -> NDArray[np.int64]:
    try:
        return column.astype(np.int64)
    except (ValueError, OverflowError):
        found = (WHOLE.fullmatch(text) for text in column.tolist())
        return np.array([int(match[1]) if match else -1 for match in found], np.int64)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan


def _first_text(column: NDArray[Any]) -> str:
    return str(next(text for text in column.tolist() if text))[:40]
