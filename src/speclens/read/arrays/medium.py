"""In what the wavelengths of a table are measured, as far as it says.

In: names of columns, header entries. Out: vacuum, air, or nothing. The words for it are those that
readers of SDSS's files know too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from speclens.errors import SpectraError
from speclens.read.sdss.wavelengths import IN_AIR, IN_VACUUM, MAY_SAY_AIR, SAYS_VACUUM

__all__ = ["SAYING", "medium_told"]

VACUUM_WORDS = IN_VACUUM - {""}
AIR_WORDS = {"F", "FALSE", "N", "NO", "0", "0.0", "AIR"}
"""What is said of vacuum where it is none; any other word tells nothing, and is not guessed."""
AXES = {"AWAV": "air", "WAVE": "vacuum"}
"""Wavelengths of the FITS standard."""

SAYING = (*SAYS_VACUUM, *MAY_SAY_AIR, "CTYPE1")
"""Header entries that may tell."""


def medium_told(wave: str | None, entries: Mapping[str, Any]) -> str | None:
    """Say in what wavelengths are measured.

    Parameters
    ----------
    wave : str or None
        Name of their column; SDSS's own `loglam` is always in vacuum.
    entries : mapping
        Header entries, by their names in small letters.

    Returns
    -------
    str or None
        `vacuum` or `air`; None where nothing tells.

    Raises
    ------
    SpectraError
        If one tells of vacuum and another of air.
    """
    said = {f"column {wave}": _by_column((wave or "").lower())}
    for key in SAYING:
        if key.lower() in entries:
            value = str(entries[key.lower()]).strip().upper()
            said[f"{key} = {value}"] = _by_entry(key, value)
    told = {medium: who for who, medium in said.items() if medium}
    if len(told) > 1:
        raise SpectraError(
            f"wavelengths are in vacuum by {told['vacuum']}, and in air by {told['air']}; leave "
            "the one that is right",
            "bad_wavelengths",
        )
    return next(iter(told), None)


def _by_column(name: str) -> str | None:
    if "vac" in name or name == "loglam":
        return "vacuum"
    return "air" if "air" in name or name == "awav" else None


def _by_entry(key: str, value: str) -> str | None:
    if not value:
        return None
    if key in SAYS_VACUUM:
        return "vacuum" if value in VACUUM_WORDS else "air" if value in AIR_WORDS else None
    if key == "CTYPE1":
        return AXES.get(value[:4])
    if value in IN_AIR:
        return "air"
    return "vacuum" if value in ("VAC", "VACUUM") else None
