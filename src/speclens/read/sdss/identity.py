"""Which spectrum a file holds: what its headers, its rows and its name say, compared.

In: identifiers from each place that states them. Out: the identifiers in which the places agree,
and the contradiction where they do not: which of two is right is never chosen. What is unknown (-1)
contradicts nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from speclens.read.fits.header import Header
from speclens.read.values import MAX_ID

__all__ = [
    "ID_LIMITS", "Ids", "agreed", "compared", "identified", "ids_of_header", "ids_of_name",
    "ids_of_rows", "spectrum_names", "targetid",
]  # fmt: skip

ID_LIMITS = {"PLATE": (1, MAX_ID), "MJD": (1, 99_999), "FIBERID": (1, MAX_ID)}
"""Lowest and highest that can be; 99,999 is a day of 2132."""

FIELDS = tuple(ID_LIMITS)
KEYWORDS = {"PLATE": ("PLATEID", "PLATE"), "MJD": ("MJD",), "FIBERID": ("FIBERID", "FIBER")}

SURVEY_NAME = re.compile(
    r"(?:spec-(\d{1,5})-(\d{5})-(\d{1,5})|sp(?:Plate|Zbest)-(\d{1,5})-(\d{5}))(?!\d)",
    re.IGNORECASE | re.ASCII,
)
"""SDSS to eBOSS; longer numbers are SDSS-V's, fields and objects instead of plates and fibres."""

NUMBER_TEXT = re.compile(r"\s*(\d{1,18})(?:\.0*)?\s*", re.ASCII)


class Ids(NamedTuple):
    """Identifiers of a spectrum, or of a plate; -1 where unknown."""

    plate: int = -1
    mjd: int = -1
    fiberid: int = -1

    @property
    def of_plate(self) -> Ids:
        """The same without the fibre."""
        return Ids(self.plate, self.mjd)


UNKNOWN = Ids()


def targetid(
    plate: NDArray[np.integer] | int,
    mjd: NDArray[np.integer] | int,
    fiberid: NDArray[np.integer] | int,
) -> NDArray[np.int64]:
    """Return PLATE * 10^9 + MJD * 10^4 + FIBERID.

    Parameters
    ----------
    plate, mjd, fiberid : array of shape (N,) or int
        SDSS's identifiers; fibres count from 1.

    Returns
    -------
    array of shape (N,)
        The identifier, int64; -1 where the three could not be told from it again: where one is
        unknown, or has more digits than its place.
    """
    plate, mjd, fiberid = (np.asarray(number, np.int64) for number in (plate, mjd, fiberid))
    known = (plate > 0) & (mjd > 0) & (mjd < 10**5) & (fiberid > 0) & (fiberid < 10**4)
    known &= plate <= MAX_ID
    return np.where(known, plate * 10**9 + mjd * 10**4 + fiberid, -1)


def identified(rows: NDArray[np.void]) -> NDArray[np.bool_]:
    """Tell of which rows plate, date and fibre are all known; of the others none equals another.

    Parameters
    ----------
    rows : structured array of shape (N,)
        With PLATE, MJD and FIBERID.

    Returns
    -------
    array of shape (N,)
        True where they are.
    """
    known = (rows["PLATE"] > 0) & (rows["MJD"] > 0) & (rows["FIBERID"] > 0)
    return np.asarray(known)


def spectrum_names(rows: NDArray[np.void]) -> list[str]:
    """Name spectra as their files are named: PPPP-MMMMM-FFFF.

    Parameters
    ----------
    rows : structured array of shape (N,)
        With PLATE, MJD and FIBERID.

    Returns
    -------
    list of str
        Names; empty where any of the three is unknown.
    """
    ids = zip(*(rows[name].tolist() for name in ("PLATE", "MJD", "FIBERID")), strict=True)
    names = (f"{plate:04d}-{mjd:05d}-{fibre:04d}" for plate, mjd, fibre in ids)
    return [name if known else "" for name, known in zip(names, identified(rows), strict=True)]


def ids_of_name(path: str) -> Ids:
    """Return the identifiers in a file's name.

    Parameters
    ----------
    path : str
        A file; spec-PPPP-MMMMM-FFFF, spPlate-PPPP-MMMMM and spZbest-PPPP-MMMMM tell.

    Returns
    -------
    Ids
        What the name tells.
    """
    match = SURVEY_NAME.match(os.path.basename(path))
    if not match:
        return UNKNOWN
    found = zip(FIELDS, (text for text in match.groups() if text), strict=False)
    return Ids(*(_allowed(field, int(text)) for field, text in found))


def ids_of_header(header: Header) -> tuple[Ids, str]:
    """Return the identifiers in a header.

    Parameters
    ----------
    header : Header
        With PLATEID or PLATE, MJD, FIBERID or FIBER.

    Returns
    -------
    ids : Ids
        What the header tells; 3650.0 is a number, 903.5 is none.
    contradiction : str
        Two cards that disagree; empty when none do.
    """
    found = [
        _one(field, {key: _number(field, header.get(key)) for key in keys})
        for field, keys in KEYWORDS.items()
    ]
    return Ids(*(number for number, _ in found)), "; ".join(text for _, text in found if text)


def ids_of_rows(rows: NDArray[np.void]) -> Ids:
    """Return the identifiers that target rows share.

    Parameters
    ----------
    rows : structured array of shape (N,)
        Rows.

    Returns
    -------
    Ids
        -1 where they differ.
    """
    if len(rows) == 1:
        return Ids(*rows[list(FIELDS)].item())
    unique = [np.unique(rows[field]) for field in FIELDS]
    return Ids(*(int(values[0]) if len(values) == 1 else -1 for values in unique))


def agreed(stated: Mapping[str, Ids]) -> tuple[Ids, str]:
    """Compare what several places say of one spectrum.

    Parameters
    ----------
    stated : mapping of str to Ids
        Identifiers by the place that states them.

    Returns
    -------
    ids : Ids
        Those that no place contradicts.
    contradiction : str
        What disagrees, with values and places; empty when nothing does.
    """
    found, contradiction = compared(FIELDS, UNKNOWN, stated)
    return Ids(*found), contradiction


def compared(
    fields: Sequence[str], unknown: Sequence[Any], stated: Mapping[str, Sequence[Any]]
) -> tuple[list[Any], str]:
    """Compare identifiers of any survey, field by field.

    Parameters
    ----------
    fields : sequence of str
        What the identifiers are called.
    unknown : sequence
        What stands for an identifier that is not known.
    stated : mapping of str to sequence
        Identifiers by the place that states them.

    Returns
    -------
    list
        Those that no place contradicts.
    contradiction : str
        What disagrees, with values and places; empty when nothing does.
    """
    found = [
        _one(field, {place: ids[i] for place, ids in stated.items()}, unknown[i])
        for i, field in enumerate(fields)
    ]
    return [value for value, _ in found], "; ".join(text for _, text in found if text)


def _one(field: str, stated: Mapping[str, Any], unknown: Any = -1) -> tuple[Any, str]:
    """Return what all places agree in, else what is unknown, and the contradiction."""
    values = {*stated.values()} - {unknown}
    if len(values) > 1:
        said = [f"{value} by {place}" for place, value in stated.items() if value != unknown]
        return unknown, f"{field} is {' and '.join(said)}"
    return (values.pop() if values else unknown), ""


def _number(field: str, value: object) -> int:
    """Return an identifier as a card states it; -1 when it does not."""
    if isinstance(value, bool):
        return -1
    if isinstance(value, str):
        match = NUMBER_TEXT.fullmatch(value)
        return _allowed(field, int(match[1])) if match else -1
    if isinstance(value, (int, float)) and float(value).is_integer():
        return _allowed(field, int(value))
    return -1


def _allowed(field: str, number: int) -> int:
    low, high = ID_LIMITS[field]
    return number if low <= number <= high else -1
