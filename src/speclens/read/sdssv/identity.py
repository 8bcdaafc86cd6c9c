"""Which spectrum of SDSS-V a file holds: its field, its date, its catalogue identifier.

In: names, headers, columns. Out: `FieldIds`, and the text of the column SPECTRUM. Files are named
spec-FIELD-MJD-CATALOGID. A field is a number (of plates it is the plate's), or the name of a coadd
over fields, as `allepoch_apo`. A catalogue identifier is a number of up to 64 bits, or says where
an unassigned fibre pointed (`u102030.4+012345.6`). Zeros in front, which came and went with the
releases, mean nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from speclens.read.fits.header import Header
from speclens.read.sdss.identity import compared
from speclens.read.values import MAX_ID

__all__ = [
    "FieldIds", "agreed", "field_numbers", "ids_of_field_name", "ids_of_header", "ids_of_name",
    "ids_of_rows", "ids_of_text", "is_named_so", "object_texts", "spectrum_names", "spectrum_text",
]  # fmt: skip

FIELD = r"(\d{1,6}|[a-z]\w*)"
OBJECT = r"(\d{6,19}|u\d[\d.]*[+-]\d[\d.]*)"
SPEC_NAME = re.compile(rf"spec-{FIELD}-(\d{{5}})-{OBJECT}\.fits?(?:\.gz|\.fz)?$", re.I | re.A)
"""A fibre of SDSS to eBOSS has four digits, five at most."""
FIELD_NAME = re.compile(rf"sp(?:Field|Fullsky|Zbest)-{FIELD}-(\d{{5}})(?!\d)", re.I | re.A)

MAX_MJD = 99_999
MAX_CATALOGID = np.iinfo(np.int64).max
WHOLE = re.compile(r"\s*(\d{1,19})(?:\.0*)?\s*", re.ASCII)


DATES_A_FIELD = 10**5
"""Fields and dates as one number: the field's stands before its dates."""


class FieldIds(NamedTuple):
    """Identifiers of a spectrum, or of a field; empty or -1 where unknown.

    A field that is a number has no zeros in front; no more has a catalogue identifier.
    """

    field: str = ""
    mjd: int = -1
    catalogid: str = ""

    @property
    def of_field(self) -> FieldIds:
        """The same without the object."""
        return FieldIds(self.field, self.mjd)


UNKNOWN = FieldIds()
FIELDS = ("FIELD", "MJD", "CATALOGID")


def is_named_so(name: str) -> bool:
    """Say whether a file has the name of a spectrum of SDSS-V.

    Parameters
    ----------
    name : str
        Its name, without folders.

    Returns
    -------
    bool
        True for spec-FIELD-MJD-CATALOGID.
    """
    return bool(SPEC_NAME.match(name))


def ids_of_name(path: str) -> FieldIds:
    """Return the identifiers in the name of a spectrum.

    Parameters
    ----------
    path : str
        A file; spec-FIELD-MJD-CATALOGID tells.

    Returns
    -------
    FieldIds
        What the name tells.
    """
    match = SPEC_NAME.match(os.path.basename(path))
    return FieldIds(_bare(match[1]), int(match[2]), _bare(match[3])) if match else UNKNOWN


def ids_of_field_name(path: str) -> FieldIds:
    """Return the identifiers in the name of a field.

    Parameters
    ----------
    path : str
        A file; spField-FIELD-MJD and spZbest-FIELD-MJD tell.

    Returns
    -------
    FieldIds
        What the name tells.
    """
    match = FIELD_NAME.match(os.path.basename(path))
    return FieldIds(_bare(match[1]), int(match[2])) if match else UNKNOWN


def ids_of_header(header: Header) -> tuple[FieldIds, str]:
    """Return the identifiers in a header.

    Parameters
    ----------
    header : Header
        With FIELDID and MJD.

    Returns
    -------
    ids : FieldIds
        What the header tells.
    contradiction : str
        Always empty: each is stated once.
    """
    field = _whole(header.get("FIELDID"), MAX_ID)
    return FieldIds(field, int(_whole(header.get("MJD"), MAX_MJD) or -1)), ""


def ids_of_rows(rows: NDArray[np.void]) -> FieldIds:
    """Return the identifiers that target rows share.

    Parameters
    ----------
    rows : structured array of shape (N,)
        Rows with SPECTRUM, which may tell a part alone.

    Returns
    -------
    FieldIds
        Unknown where they differ.
    """
    found = {ids_of_text(name) for name in rows["SPECTRUM"].tolist()}
    fields, dates = {ids.field for ids in found}, {ids.mjd for ids in found}
    objects = {ids.catalogid for ids in found}
    return FieldIds(
        fields.pop() if len(fields) == 1 else "",
        dates.pop() if len(dates) == 1 else -1,
        objects.pop() if len(objects) == 1 else "",
    )


def agreed(stated: Mapping[str, FieldIds]) -> tuple[FieldIds, str]:
    """Compare what several places say of one spectrum.

    Parameters
    ----------
    stated : mapping of str to FieldIds
        Identifiers by the place that states them. Beside the name of a coadd over fields, the
        numbers of fields and their dates are those of its parts, and are left out.

    Returns
    -------
    ids : FieldIds
        Those that no place contradicts.
    contradiction : str
        What disagrees, with values and places; empty when nothing does.
    """
    if any(ids.field and not ids.field.isdecimal() for ids in stated.values()):
        stated = {
            place: ids._replace(field="", mjd=-1) if ids.field.isdecimal() or not ids.field else ids
            for place, ids in stated.items()
        }
    found, contradiction = compared(FIELDS, UNKNOWN, stated)
    return FieldIds(*found), contradiction


def spectrum_text(ids: FieldIds) -> str:
    """Name a spectrum, as in the column SPECTRUM.

    Parameters
    ----------
    ids : FieldIds
        Its identifiers.

    Returns
    -------
    str
        `015143-59205-4544978190`; parts that are unknown are empty.
    """
    field = f"{int(ids.field):06d}" if ids.field.isdecimal() else ids.field
    return f"{field}-{ids.mjd if ids.mjd > 0 else ''}-{ids.catalogid}"


def spectrum_names(rows: NDArray[np.void]) -> list[str]:
    """Return the names of spectra, as in the column SPECTRUM.

    Parameters
    ----------
    rows : structured array of shape (N,)
        Rows with SPECTRUM, which may tell a part alone.

    Returns
    -------
    list of str
        Names; empty where field, date or object is unknown.
    """
    names = rows["SPECTRUM"].tolist()
    return [name if _is_whole(ids_of_text(name)) else "" for name in names]


def field_numbers(names: Sequence[str]) -> NDArray[np.int64]:
    """Return field and date of spectra as one number.

    Parameters
    ----------
    names : sequence of str, length N
        Their names, as in the column SPECTRUM.

    Returns
    -------
    array of shape (N,)
        FIELD * `DATES_A_FIELD` + MJD; FIELD is 0 of coadds over fields. -1 where either is unknown.
    """
    numbers = []
    for name in names:
        field, mjd, _ = ids_of_text(name)
        number = int(field) if field.isdecimal() else 0
        numbers.append(number * DATES_A_FIELD + mjd if field and mjd > 0 else -1)
    return np.array(numbers, np.int64)


def object_texts(column: NDArray[Any]) -> list[str]:
    """Read catalogue identifiers as they stand in names.

    Parameters
    ----------
    column : array of shape (N,)
        Numbers or text.

    Returns
    -------
    list of str
        Their text; empty where there is none, and for 0, -1 and -999.
    """
    if column.dtype.kind == "U":
        return [_object(text) for text in column.tolist()]
    if column.dtype.kind not in "iu":
        # A float of this size has lost its last digits.
        return [""] * len(column)
    return [str(number) if 0 < number <= MAX_CATALOGID else "" for number in column.tolist()]


def _object(text: str) -> str:
    match = re.fullmatch(OBJECT, text.strip(), re.I | re.A)
    return _bare(match[1]) if match else ""


def ids_of_text(name: str) -> FieldIds:
    """Return the identifiers in a name of the column SPECTRUM, of which parts may be empty."""
    field, mjd, catalogid = (*name.split("-", 2), "", "")[:3]
    return FieldIds(_bare(field), int(mjd) if mjd.isdecimal() else -1, catalogid)


def _is_whole(ids: FieldIds) -> bool:
    return bool(ids.field and ids.mjd > 0 and ids.catalogid)


def _bare(text: str) -> str:
    """Leave out what two names of one thing may differ in: zeros in front, capitals."""
    return text.lstrip("0") if text.isdecimal() else text.lower()


def _whole(value: object, highest: int) -> str:
    """Return a whole number of a card as text; empty when it states none."""
    if isinstance(value, bool) or value is None:
        return ""
    match = WHOLE.fullmatch(str(value))
    return str(int(match[1])) if match and 0 < int(match[1]) <= highest else ""
