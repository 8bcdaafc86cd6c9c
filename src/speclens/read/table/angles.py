"""Angles of tables: degrees, sexagesimal numbers, and the positions that names tell.

In: cells. Out: degrees. Numbers parted by colons, blanks or unit letters are taken apart for whole
columns at once; rarer spellings are left to `astropy.coordinates.Angle`, which takes thirty times
as long.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.read.table.cells import SIGNS, floats, texts

__all__ = ["degrees", "on_the_sky", "position_of_name", "scale_of_unit"]

DECIMAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?=\s*(?:(?:±|\+/-|\\pm|\().*)?$)")
SEXAGESIMAL = re.compile(
    r"([+-]?)\s*(\d{1,3})\s*([:hd°\s])\s*(\d{1,2})\s*[:m'\s]\s*(\d{1,2}(?:\.\d*)?)\s*[s\"]?"
)
WITH_UNITS = re.compile(r"[+-]?\s*\d.*[hd°].*|.*\d.*[NSEW]", re.DOTALL)
"""What `Angle` may read: numbers whose units are said."""

MAX_SPELLINGS = 2000
"""Cells that are left to `Angle`: more of them are no list of positions."""

J_NAME = re.compile(
    r".*J\s*(\d{2})\s*:?(\d{2})\s*:?(\d{2}(?:\.\d*)?)\s*([+-])(\d{2})\s*:?(\d{2})\s*:?"
    r"(\d{2}(?:\.\d*)?)\D*"
)
NAME_ARCSEC_MAX = 1.5
"""Names that tell a place no better are no position."""

DEGREES_IN = {"h": 15.0, "hr": 15.0, "hour": 15.0, "hours": 15.0, "hourangle": 15.0,
              "rad": 180 / np.pi, "radian": 180 / np.pi}  # fmt: skip

Floats = NDArray[np.float64]


def scale_of_unit(unit: str) -> float:
    """Return the degrees in a unit of an angle that a table states; 1 for others.

    Parameters
    ----------
    unit : str
        The unit.

    Returns
    -------
    float
        Degrees.
    """
    return DEGREES_IN.get(unit.strip().lower(), 1.0)


def on_the_sky(ra: Floats, dec: Floats) -> NDArray[np.bool_]:
    """Say which pairs of angles are a position.

    Parameters
    ----------
    ra, dec : array of shape (N,)
        Degrees.

    Returns
    -------
    array of shape (N,)
        True for a right ascension from 0 to below 360 and a declination from -90 to 90.
    """
    return np.asarray((ra >= 0) & (ra < 360) & (np.abs(dec) <= 90))


def degrees(
    column: NDArray[Any], is_ra: bool, unit: str = ""
) -> tuple[Floats, NDArray[np.bool_], NDArray[np.bool_]]:
    """Read angles.

    Parameters
    ----------
    column : array of shape (N,)
        Numbers, or text.
    is_ra : bool
        Sexagesimal text without a unit is in hours.
    unit : str, optional
        The unit of numbers, where the table states one.

    Returns
    -------
    values : array of shape (N,)
        Degrees; NaN where unknown.
    sexagesimal : array of shape (N,)
        True for those that were.
    bad : array of shape (N,)
        Cells that say something and are no angle.
    """
    if column.dtype.kind not in "OUS":
        values, bad = floats(column)
        return values * scale_of_unit(unit), np.zeros(len(values), bool), bad
    values, odd = floats(column)
    if not odd.any():
        return values * scale_of_unit(unit), odd, odd
    cells = texts(column)
    values = np.array([_decimal(cell) for cell in cells], np.float64) * scale_of_unit(unit)
    sexagesimal = np.zeros(len(cells), bool)
    left = np.flatnonzero(np.isinf(values))
    if len(left):
        rest = [cells[i].translate(SIGNS) for i in left]
        values[left] = _sexagesimal(rest, is_ra)
        sexagesimal[left] = np.isfinite(values[left])
    bad = np.isnan(values) & np.array([cell != "" for cell in cells], bool)
    return values, sexagesimal, bad


def _decimal(cell: str) -> float:
    """Return degrees; infinity for what may be an angle of another form."""
    if not cell:
        return np.nan
    match = DECIMAL.match(cell.translate(SIGNS))
    return float(match[0]) if match else np.inf


def _sexagesimal(cells: Sequence[str], is_ra: bool) -> Floats:
    values = np.full(len(cells), np.nan)
    matches = [SEXAGESIMAL.fullmatch(cell) for cell in cells]
    found = [i for i, match in enumerate(matches) if match]
    parts = [match.groups() for match in matches if match]
    whole, minutes, seconds = (np.array([p[k] for p in parts], np.float64) for k in (1, 3, 4))
    # The sign is the text's: -00:44:54 is negative, which the number 0 cannot say.
    sign = np.array([-1.0 if p[0] == "-" else 1.0 for p in parts])
    scale = np.array([15.0 if is_ra and p[2] not in "d°" else 1.0 for p in parts])
    size = sign * scale * (whole + minutes / 60 + seconds / 3600)
    values[found] = np.where((minutes < 60) & (seconds <= 60), size, np.nan)
    others = [i for i, match in enumerate(matches) if not match and WITH_UNITS.fullmatch(cells[i])]
    for i in others[:MAX_SPELLINGS]:
        values[i] = _spelled(cells[i], is_ra)
    return values


def _spelled(cell: str, is_ra: bool) -> float:
    """Read an angle in one of the many other ways in which it may be written."""
    import warnings

    from astropy import units
    from astropy.coordinates import Angle

    try:
        with warnings.catch_warnings(action="error"):
            angle = Angle(cell, unit=units.hourangle if is_ra else units.deg)
            return float(angle.to_value(units.deg))
    except Exception:  # noqa: BLE001 - astropy has no common class for what is no angle
        return float(np.nan)


def position_of_name(names: Sequence[str]) -> tuple[Floats, Floats, Floats]:
    """Read the positions that names such as SDSS J091205.31+002901.2 tell.

    Parameters
    ----------
    names : sequence of str
        Names of N systems.

    Returns
    -------
    ra, dec : array of shape (N,)
        Degrees; NaN where a name tells none, or none to 1.5 arcsec.
    arcsec : array of shape (N,)
        The last digit of the coarser one; NaN where a name tells none.
    """
    ra, dec, arcsec = np.full((3, len(names)), np.nan)
    matches = [J_NAME.fullmatch(name.translate(SIGNS)) for name in names]
    found = np.array([i for i, match in enumerate(matches) if match], np.intp)
    if not len(found):
        return ra, dec, arcsec
    parts = [match.groups() for match in matches if match]
    digits = [[len(p[k].partition(".")[2]) for k in (2, 6)] for p in parts]
    arcsec[found] = np.max(10.0 ** -np.array(digits) * [15.0, 1.0], axis=1)
    ra[found] = _sexagesimal([":".join(p[:3]) for p in parts], True)
    dec[found] = _sexagesimal([p[3] + ":".join(p[4:]) for p in parts], False)
    told = on_the_sky(ra, dec) & (arcsec <= NAME_ARCSEC_MAX)
    return np.where(told, ra, np.nan), np.where(told, dec, np.nan), arcsec
