"""Catalogue rows of SDSS-V's tables as `TARGET_DTYPE`: SPALL, spAll, PLUGMAP, spZbest.

In: columns by upper-case name. Out: target rows, with SPECTRUM as far as they tell it. What a
column means is as of SDSS to eBOSS, but for who the spectrum is and which fibre it went through.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.read.fits.file import FitsFile
from speclens.read.fits.hdus import Hdu
from speclens.read.sdss.checks import targets_of
from speclens.read.sdss.targets import CATALOGUE_COLUMNS, TEXT_COLUMNS, blank_targets
from speclens.read.sdssv.identity import (
    FieldIds,
    ids_of_name,
    object_texts,
    spectrum_text,
)
from speclens.read.values import MAX_ID, texts, whole

__all__ = [
    "COLUMNS", "MAX_FIBRES", "OF_PLATES", "OWN_TEXTS", "PLACES", "field_targets_of", "identify",
    "identify_each", "own_columns",
]  # fmt: skip

Columns = Mapping[str, NDArray[Any]]

OF_PLATES = ("PLATE", "PLATEID", "FIBERID", "FIBER", "PLATEQUALITY")
"""Columns that say something else here, or nothing."""

PLACES = (("PLUG_RA", "PLUG_DEC"), ("RACAT", "DECCAT"), ("RA", "DEC"))
"""Columns of a target's place, the preferred first. RA and DEC of a robot's fibre are of the day of
the exposure."""

OBJECTS = ("CATALOGID", "ICATALOGID")
"""The identifier in the file's name, a number or text, and the number alone."""

ASSIGNED = ("ASSIGNED_LIST", "ASSIGNED")
"""Whether the fibre was given a target; a list of exposures, or one number."""

FIBRES = ("FIBERID_LIST", "FIBERID")
"""Numbers of the fibres, of all exposures; in Data Release 18 of one."""

OF_IMAGING = ("RUN", "RERUN", "CAMCOL")
"""Beside these FIELD is a field of SDSS's imaging."""

MAX_FIBRES = 500
"""Fibres of a spectrograph."""

FIRST_CATALOGID = 10**6
"""Lower numbers in names are those of fibres without a target, of Data Release 18."""

MAX_SDSS_ID = 1 << 53
"""No float beyond it is a whole number for certain."""

COLUMNS = tuple(
    dict.fromkeys(
        (
            *(name for name in CATALOGUE_COLUMNS if name not in OF_PLATES), *FIBRES, *ASSIGNED,
            *(name for pair in PLACES for name in pair), *OBJECTS, *OF_IMAGING,
            "FIELD", "FIELDQUALITY", "SDSS_ID", "SPEC_FILE", "TARGET_INDEX",
        )
    )
)  # fmt: skip
"""Every column that is looked for."""


OWN_TEXTS = TEXT_COLUMNS | {"FIELDQUALITY", "SPEC_FILE", *OBJECTS, "FIBERID_LIST", "ASSIGNED_LIST"}
"""Those that are read as text."""


def field_targets_of(file: FitsFile, hdu: Hdu, columns: dict[str, NDArray[Any]]) -> NDArray[Any]:
    """Make target rows of a table's columns; `make_plausible` has still to see them.

    Parameters
    ----------
    file : FitsFile
        The file, to blame.
    hdu : Hdu
        The table.
    columns : dict of str to array of shape (N,)
        Its columns.

    Returns
    -------
    structured array of shape (N,)
        The rows; SPECTRUM tells what they know of field, date and object.

    Raises
    ------
    SpectrumFileError
        If a column is of another type or shape than it should be.
    """
    rows = targets_of(file, hdu, own_columns(columns))
    if not len(rows):
        rows = blank_targets(len(next(iter(columns.values()), ())))
    try:
        _read_fibres(rows, columns)
        _identify_rows(rows, columns)
    except (TypeError, ValueError) as error:
        file.fail("bad_header", f"columns of another type or shape: {error}", hdu.index)
    return rows


def own_columns(columns: Columns) -> dict[str, NDArray[Any]]:
    """Give columns the names that they have in SDSS to eBOSS.

    Parameters
    ----------
    columns : mapping of str to array
        Columns of SDSS-V by upper-case name.

    Returns
    -------
    dict of str to array
        The columns that `speclens.read.sdss.targets` knows, and means the same by.
    """
    known = {name: columns[name] for name in CATALOGUE_COLUMNS if name in columns}
    for name in OF_PLATES:
        known.pop(name, None)
    if "FIELDQUALITY" in columns:
        known["PLATEQUALITY"] = columns["FIELDQUALITY"]
    place = _places(columns)
    return known if place is None else {**known, "PLUG_RA": place[0], "PLUG_DEC": place[1]}


def _places(columns: Columns) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Return the first place of each row that is one; 0 0 is written where none is known."""
    pairs = [(columns[ra], columns[dec]) for ra, dec in PLACES if {ra, dec} <= set(columns)]
    pairs = [pair for pair in pairs if all(c.dtype.kind == "f" and c.ndim == 1 for c in pair)]
    if not pairs:
        return None
    ra, dec = pairs[-1]
    for better in reversed(pairs[:-1]):
        known = (better[0] >= 0) & (np.abs(better[1]) <= 90) & ((better[0] != 0) | (better[1] != 0))
        ra, dec = (
            np.where(known, one, other) for one, other in zip(better, (ra, dec), strict=True)
        )
    return ra, dec


def _identify_rows(rows: NDArray[np.void], columns: Columns) -> None:
    """Set the identifiers of target rows; the name of their file, where it is stated, counts."""
    n_rows = len(rows)
    files = _column(columns, "SPEC_FILE", "", n_rows).tolist()
    field = np.full(n_rows, -1)
    if "FIELD" in columns and not any(name in columns for name in OF_IMAGING):
        field = whole(_column(columns, "FIELD", -1, n_rows), (1, MAX_ID))
    objects = [object_texts(_column(columns, name, "", n_rows)) for name in OBJECTS]
    stated = zip(files, field.tolist(), rows["MJD"].tolist(), *objects, strict=True)
    found = []
    for file, own, mjd, *names in stated:
        of_file = ids_of_name(str(file))
        # Two that differ name nobody.
        known = {*names} - {""}
        name = known.pop() if len(known) == 1 else ""
        ids = FieldIds(str(own) if own > 0 else "", mjd, name)
        found.append(of_file if of_file.catalogid else ids)
    identify_each(rows, found)
    rows["SDSS_ID"] = whole(_column(columns, "SDSS_ID", -1, n_rows), (1, MAX_SDSS_ID))


def identify(rows: NDArray[np.void], ids: FieldIds) -> None:
    """Set the identifiers that all of some target rows share.

    Parameters
    ----------
    rows : structured array of shape (N,)
        Changed in place.
    ids : FieldIds
        Their identifiers.
    """
    identify_each(rows, [ids] * len(rows))


def identify_each(rows: NDArray[np.void], ids: Sequence[FieldIds]) -> None:
    """Set the identifiers of target rows.

    Parameters
    ----------
    rows : structured array of shape (N,)
        Changed in place.
    ids : sequence of FieldIds, length N
        Their identifiers.
    """
    # One that is cut would be the name of another.
    longest = rows.dtype["SPECTRUM"].itemsize // 4
    names = [spectrum_text(own) for own in ids]
    rows["SPECTRUM"] = [name if len(name) <= longest else "" for name in names]
    rows["MJD"] = [own.mjd for own in ids]
    rows["CATALOGID"] = [_number(own.catalogid) for own in ids]


def _number(catalogid: str) -> int:
    number = int(catalogid) if catalogid.isdecimal() else -1
    return number if number >= FIRST_CATALOGID else -1


def _read_fibres(rows: NDArray[np.void], columns: Columns) -> None:
    """Set the number of the fibre, if one saw all of a spectrum, and tell if it had no target."""
    n_rows = len(rows)
    name = next((name for name in FIBRES if name in columns), FIBRES[0])
    rows["FIBERID"] = [_only(text) for text in _words(columns, name, n_rows)]
    for name in ASSIGNED:
        idle = [{*text} == {"0"} for text in _words(columns, name, n_rows)]
        rows["OBJTYPE"][np.array(idle, bool) & (rows["OBJTYPE"] != "SKY")] = "UNPLUGGED"


def _only(numbers: list[str]) -> int:
    known = {int(number) if number.isdecimal() else 0 for number in numbers}
    return known.pop() if len(known) == 1 and max(known) in range(1, 2 * MAX_FIBRES + 1) else -1


def _words(columns: Columns, name: str, n_rows: int) -> list[list[str]]:
    """Words of each cell of a column; none where there is no such column."""
    column = _column(columns, name, "", n_rows)
    return [text.split() for text in texts(column, 4096).tolist()]


def _column(columns: Columns, name: str, missing: object, n_rows: int) -> NDArray[Any]:
    column = np.ma.filled(columns.get(name, np.full(n_rows, missing)), -1)
    if column.shape != (n_rows,):
        raise ValueError(f"{name} has shape {column.shape}, not one value a row")
    return np.asarray(column)
