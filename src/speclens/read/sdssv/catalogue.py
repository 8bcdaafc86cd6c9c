"""SDSS-V's catalogues: classes and redshifts by field, date and catalogue identifier.

In: spAll files, daily, by epoch or over all epochs, or tables of any other format with their
columns. Out: target rows, piece by piece, and a catalogue that can be stored. Identifiers are read
to their last digit: one that another program rounded names nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.errors import RunError
from speclens.read.sdss.catalogue import OTHER_NAMES, PlateRows
from speclens.read.sdss.catalogue_store import PlateCatalogue
from speclens.read.sdss.lookup import Key
from speclens.read.sdss.targets import CATALOGUE_COLUMNS, targets_from_columns
from speclens.read.sdssv.identity import (
    DATES_A_FIELD,
    FieldIds,
    agreed,
    field_numbers,
    ids_of_name,
    object_texts,
    spectrum_names,
    spectrum_text,
)
from speclens.read.sdssv.targets import OF_PLATES, PLACES, identify_each
from speclens.read.table.cells import exact_ids, texts, wholes
from speclens.read.table.columns import Wanted, folded
from speclens.read.table.table import Table, found_columns

__all__ = ["FIELD_KEY", "FieldCatalogue", "FieldRows"]

Places = Mapping[str, Sequence[int]]

IDS = ("FIELD", "MJD", "CATALOGID")
OWN = ("SPEC_FILE", "SDSS_ID", "FIBERID_LIST", "FIBERID")
"""What else tells who a spectrum is."""

READ = tuple(name for name in CATALOGUE_COLUMNS if name not in (*OF_PLATES, *IDS))
WANTED = Wanted(
    {name: (folded(name),) for name in (*READ, *IDS, *OWN)}
    | {
        "PLUG_RA": tuple(folded(ra) for ra, _ in PLACES),
        "PLUG_DEC": tuple(folded(dec) for _, dec in PLACES),
        "PLATEQUALITY": ("fieldquality",),
    }
    | OTHER_NAMES,
    tuple(
        frozenset(("CLASS", z, *ids)) for z in ("Z", "REDSHIFT") for ids in (IDS, ("SPEC_FILE",))
    ),
)

ALLOWED = "all digits of the identifier, not already rounded by another program"
ALLOWED_WHOLE = "whole numbers above 0, as 102359 or 60089"


def _names(rows: NDArray[np.void]) -> tuple[NDArray[np.str_], NDArray[np.bool_]]:
    names = np.array(spectrum_names(rows), rows["SPECTRUM"].dtype)
    return names, names != ""


FIELD_KEY = Key(
    _names,
    lambda rows: field_numbers(rows["SPECTRUM"].tolist()),
    1,
    ("SPECTRUM", "CATALOGID", "MJD", "FIBERID"),
)
"""Field, date and catalogue identifier; the rows of a field and date are read together."""


class FieldRows(PlateRows):
    """Reads a catalogue of SDSS-V in pieces, and counts what it holds; see `PlateRows`.

    Parameters
    ----------
    path : str
        The catalogue.
    fields : collection of int, optional
        Keep only the rows of these fields and dates, as of `field_numbers`.
    """

    wanted = WANTED
    id_columns = frozenset((*IDS, *OWN))
    missing_ids = "{} of {} rows have no FIELD, MJD and CATALOGID"

    def __init__(self, path: str, fields: Collection[int] | None = None) -> None:
        super().__init__(path, fields)

    def _fields(self, table: Table) -> Places:
        fields = WANTED.columns(table.names)
        if WANTED.rank(table.names) == 0:
            return fields
        missing = [] if "CLASS" in fields else ["CLASS"]
        missing += [] if "Z" in fields or "REDSHIFT" in fields else ["Z"]
        if "SPEC_FILE" not in fields and not set(IDS) <= set(fields):
            missing += ["FIELD, MJD, CATALOGID (or SPEC_FILE)"]
        raise RunError(
            f"catalogue {self.path}: no column {', '.join(missing)}; the spectra that are searched "
            f"are of SDSS-V: give its spAll. Found {found_columns(table.names)}"
        )

    def _targets(
        self, table: Table, fields: Places, columns: Mapping[int, NDArray[Any]], first_row: int
    ) -> NDArray[np.void]:
        ids = self._identifiers(table, fields, columns, first_row)
        groups = field_numbers([spectrum_text(own) if own.catalogid else "" for own in ids])
        known = groups >= 0
        self._count(groups[known] // DATES_A_FIELD, len(ids))
        if self._wanted is not None:
            known &= np.isin(groups, self._wanted)
        rows = np.flatnonzero(known)
        targets = targets_from_columns(self._values(table, fields, columns, first_row, rows))
        identify_each(targets, [ids[row] for row in rows.tolist()])
        if "SDSS_ID" in fields:
            targets["SDSS_ID"] = wholes(columns[fields["SDSS_ID"][0]][rows])[0]
        return targets

    def _identifiers(
        self, table: Table, fields: Places, columns: Mapping[int, NDArray[Any]], first_row: int
    ) -> list[FieldIds]:
        """Return who the spectra of some rows are, as the names of their files say too."""
        n_rows = len(next(iter(columns.values()), ()))
        rows = first_row + np.arange(n_rows)
        found: list[Any] = [[-1] * n_rows, [-1] * n_rows, [""] * n_rows]
        for i, name in enumerate(IDS):
            if name not in fields:
                continue
            place = fields[name][0]
            values, bad = (wholes if i < 2 else _objects)(columns[place])
            found[i] = values if isinstance(values, list) else values.tolist()
            n_read = sum(value not in (-1, "") for value in found[i])
            self._unread.add(table.names[place], rows, columns[place], bad, n_read)
        files = texts(columns[fields["SPEC_FILE"][0]]) if "SPEC_FILE" in fields else [""] * n_rows
        ids = []
        for file, field, mjd, own in zip(files, *found, strict=True):
            of_file = ids_of_name(file)
            of_row = FieldIds(str(field) if field > 0 else "", mjd, own)
            if of_file.catalogid and of_file != of_row:
                # A row that names two spectra belongs to none.
                of_row, _ = agreed({"SPEC_FILE": of_file, "the columns": of_row})
            ids.append(of_row)
        return ids

    def _check_ids(self, names: Sequence[str], fields: Places) -> None:
        for name, allowed in zip(IDS, (ALLOWED_WHOLE, ALLOWED_WHOLE, ALLOWED), strict=True):
            for place in fields.get(name, ())[:1] if "SPEC_FILE" not in fields else ():
                self._unread.refuse(names[place], allowed)


class FieldCatalogue(FieldRows, PlateCatalogue):
    """A catalogue of SDSS-V that can be stored; see `FieldRows`."""

    key = FIELD_KEY
    noun, compared = "field", "MJD and CATALOGID, and whether it is the catalogue of these coadds"

    @staticmethod
    def groups_of(spectra: NDArray[np.void]) -> NDArray[np.integer]:
        """Return the field of each of rows of spectra.fits; 0 of coadds over fields."""
        return field_numbers(spectra["SPECTRUM"].tolist()) // DATES_A_FIELD


def _objects(column: NDArray[Any]) -> tuple[list[str], NDArray[np.bool_]]:
    """Read catalogue identifiers, and tell which cells say something else, or a rounded one."""
    values = np.ma.getdata(column)
    hidden = np.ma.getmaskarray(column)
    if values.dtype.kind in "iu":
        found = object_texts(values)
        known = ["" if h else text for text, h in zip(found, hidden.tolist(), strict=True)]
        return known, np.zeros(len(known), bool)
    found, bad = [], []
    for cell, number, wrong in zip(texts(column), *exact_ids(column), strict=True):
        name = next(iter(object_texts(np.array([cell]))), "") if cell else ""
        found.append(name or (str(number) if number is not None and number > 0 else ""))
        bad.append(bool(wrong) and not name)
    return found, np.array(bad, bool)
