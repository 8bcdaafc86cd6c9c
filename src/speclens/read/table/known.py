"""Lists of published systems, as their authors wrote them.

In: a table in any format that `speclens.read.table.table_file` knows, whose columns go by many
names. Out: `Known`, rows of `speclens.schema.KNOWN` with the TARGETID of their spectra. Which
spectra of a run these systems are is left to `speclens.vet.known`.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.errors import RunError, SpectrumFileError
from speclens.read.sdss.identity import targetid
from speclens.read.table.angles import NAME_ARCSEC_MAX, degrees, on_the_sky, position_of_name
from speclens.read.table.cells import IDS, Unread, exact_id, texts
from speclens.read.table.columns import Wanted, folded, refuse_twins
from speclens.read.table.published import name_of, redshifts, spectra
from speclens.read.table.table import Table, found_columns
from speclens.read.table.table_file import open_table
from speclens.schema import KNOWN, dtype_of

__all__ = ["Known", "read_known"]

ALIASES = {
    "NAME": ("name", "sdssname", "systemname", "system", "lensname", "targetname",
             "sdsstargetname", "target", "objectname", "jname", "alternatename"),
    "SPECTRUM": ("platemjdfiber", "platemjdfibre", "platemjdfiberid", "spectrum", "specname"),
    "PLATE": ("plate", "plateid"),
    "MJD": ("mjd",),
    "FIBERID": ("fiberid", "fiber", "fibreid", "fibre"),
    "SPECOBJID": ("specobjid",),
    "RA": ("ra", "raj2000", "ra2000", "racoord", "plugra", "rightascension", "radeg",
           "raicrs", "rahms"),
    "DEC": ("dec", "decl", "dej2000", "decj2000", "dec2000", "deccoord", "de", "plugdec",
            "declination", "decdeg", "dedeg", "deicrs", "decicrs",
            "decdms"),
    "Z_SOURCE": ("zsource", "zs", "zsrc", "zsou", "zlya", "zbackground", "zbg", "detectionz"),
}  # fmt: skip
"""Names that each field goes by, the preferred first, as `read.table.columns` folds them."""

WANTED = Wanted(
    ALIASES,
    (frozenset(("RA", "DEC")), frozenset(IDS), frozenset(("SPECTRUM",)), frozenset(("SPECOBJID",))),
    (frozenset(("NAME",)),),
)

LEAST_FOR_HOURS = 20
"""With more positions, all of them at a right ascension below 24 is no chance."""

NAMES_GUESSED = 100
"""Columns of which a misspelt name is sought."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Known:
    """Published systems, and the rows of their list that could not be used.

    Parameters
    ----------
    rows : structured array of shape (K,)
        Rows of `KNOWN`. A system of which several redshifts are published has a row for each.
    n_refused : int
        Rows of the list without a usable position and without a spectrum.
    first_refused : int
        The first of them, counted from 1 without the header; 0 for none.
    why : str
        What is wrong with that row; empty for none.
    n_renamed : int
        Systems whose name was folded to ASCII or cut to the width of its column.
    unread : sequence of str
        A sentence for each column of which cells could not be read.
    n_named : int
        Systems whose position is that of their name.
    """

    rows: NDArray[np.void]
    n_refused: int = 0
    first_refused: int = 0
    why: str = ""
    n_renamed: int = 0
    unread: Sequence[str] = ()
    n_named: int = 0

    @property
    def notes(self) -> list[str]:
        """What of the list could not be used as it was: a sentence each."""
        notes = [
            (
                self.n_refused,
                f"of the list of published systems {self.n_refused} could not be used, the first "
                f"of them in row {self.first_refused}: {self.why}",
            ),
            (
                self.n_renamed,
                f"of the published systems {self.n_renamed} have names that a table cannot hold: "
                "they were cut or written in ASCII",
            ),
            (
                self.n_named,
                f"of the published systems {self.n_named} have no position but that in their "
                f"names, good to {NAME_ARCSEC_MAX:g} arcsec or better",
            ),
        ]
        return [*self.unread, *(text for number, text in notes if number)]


def read_known(path: str | Path) -> Known:
    """Read a list of published systems.

    Parameters
    ----------
    path : str or Path
        FITS, VOTable, ECSV, CSV or other text; plain or gzipped. A table that an earlier run wrote
        will do.

    Returns
    -------
    Known
        The systems, and what was refused.

    Raises
    ------
    RunError
        If the file cannot be read, has no column of a position or a spectrum, has columns that
        contradict each other, has right ascension in hours or swapped with declination, or has
        rows of which none can be used.
    """
    reader = _Reader(os.fspath(path))
    try:
        return _read(reader)
    except SpectrumFileError as error:
        raise RunError(str(error)) from error


def _read(reader: _Reader) -> Known:
    with open_table(reader.path, WANTED) as table:
        if WANTED.rank(table.names) > 1:
            raise RunError(f"{reader.path}: {_expected(table.names)}")
        fields = WANTED.columns(table.names)
        places = sorted({place for columns in fields.values() for place in columns})
        with closing(table.pieces(places)) as pieces:
            for first_row, columns in pieces:
                refuse_twins(reader.path, table.names, columns, fields, first_row)
                reader.add(table, fields, columns, first_row)
        return reader.known(table)


class _Reader:
    """Gathers the systems of a list some rows at a time."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._unread = Unread(path)
        self._rows = np.zeros(0, dtype_of(KNOWN))
        self._places = [np.zeros((3, 0))]
        self._n_read = self._n_refused = self._first_refused = self._n_renamed = self._n_named = 0
        self._why = ""
        self._z_label = ""

    def add(
        self,
        table: Table,
        fields: Mapping[str, Sequence[int]],
        columns: Mapping[int, NDArray[Any]],
        first_row: int,
    ) -> None:
        """Read some rows."""
        cells = {field: columns[places[0]] for field, places in fields.items()}
        labels = {field: table.names[places[0]] for field, places in fields.items()}
        units = {field: table.units.get(places[0], "") for field, places in fields.items()}
        n_rows = len(next(iter(cells.values())))
        numbers = first_row + np.arange(n_rows)
        names = texts(cells["NAME"]) if "NAME" in cells else [""] * n_rows
        ids, unread = spectra(cells, names)
        for field, bad in unread.items():
            n_read = np.count_nonzero(ids[:, 0] > 0)
            self._unread.add(labels[field], numbers, cells[field], bad, n_read)
        ra, dec = self._positions(cells, units, names)
        usable = (ids[:, 0] > 0) | np.isfinite(ra)
        self._n_read += n_rows
        self._refuse(cells, usable, first_row)
        kept = np.flatnonzero(usable)
        z, of_kept = np.full(len(kept), np.nan), np.arange(len(kept))
        if "Z_SOURCE" in cells:
            column, self._z_label = cells["Z_SOURCE"][kept], labels["Z_SOURCE"]
            z, of_kept, bad = redshifts(column)
            n_read = np.count_nonzero(np.isfinite(z))
            self._unread.add(self._z_label, numbers[kept], column, bad, n_read)
        self._append(names, ids, ra, dec, kept, z, of_kept)

    def known(self, table: Table) -> Known:
        """Return the systems, once all rows are read."""
        ra, dec, sexagesimal = np.concatenate(self._places, axis=1)
        _check_positions(self.path, ra, dec, sexagesimal > 0)
        if self._n_refused and not len(self._rows):
            if WANTED.rank(table.names):
                raise RunError(f"{self.path}: {_expected(table.names)}")
            raise RunError(f"{self.path}: none of its {self._n_read} rows can be used: {self._why}")
        self._unread.refuse(self._z_label, "redshifts of the source, as 2.157 or 2.2 | 2.25")
        return Known(
            self._rows,
            self._n_refused,
            self._first_refused,
            self._why,
            self._n_renamed,
            [*table.notes, *self._unread.notes],
            self._n_named,
        )

    def _positions(
        self, cells: Mapping[str, NDArray[Any]], units: Mapping[str, str], names: Sequence[str]
    ) -> tuple[Floats, Floats]:
        """Right ascension and declination, degrees; both NaN where either is no angle."""
        ra, dec = np.full((2, len(names)), np.nan)
        given = np.zeros(len(names), bool)
        if "RA" in cells and "DEC" in cells:
            ra, sexagesimal, bad_ra = degrees(cells["RA"], True, units["RA"])
            dec, _, bad_dec = degrees(cells["DEC"], False, units["DEC"])
            self._places.append(np.stack([ra, dec, sexagesimal]))
            given = np.isfinite(ra) | np.isfinite(dec) | bad_ra | bad_dec
            good = on_the_sky(ra, dec)
            ra, dec = np.where(good, ra, np.nan), np.where(good, dec, np.nan)
        left = np.flatnonzero(~given)
        if len(left):
            ra[left], dec[left], _ = position_of_name([names[i] for i in left.tolist()])
            self._n_named += int(np.count_nonzero(np.isfinite(ra[left])))
        return ra, dec

    def _refuse(
        self, cells: Mapping[str, NDArray[Any]], usable: NDArray[np.bool_], first_row: int
    ) -> None:
        if usable.all():
            return
        if not self._n_refused:
            row = int(np.argmin(usable))
            self._first_refused = first_row + row
            self._why = _why({field: texts(column[row : row + 1])[0] or str(column[row])
                              for field, column in cells.items()})  # fmt: skip
        self._n_refused += int(np.count_nonzero(~usable))

    def _append(
        self,
        names: Sequence[str],
        ids: NDArray[np.int64],
        ra: Floats,
        dec: Floats,
        kept: NDArray[np.intp],
        z: Floats,
        of_kept: NDArray[np.intp],
    ) -> None:
        """Add the systems of some rows, one row for each of their redshifts."""
        named = [name_of(names[i], ids[i], ra[i], dec[i]) for i in kept.tolist()]
        self._n_renamed += sum(changed for _, changed in named)
        start = len(self._rows)
        # In place: a list may have a million rows, and a copy would double them.
        self._rows.resize(start + len(z), refcheck=False)
        rows = self._rows[start:]
        rows["NAME"] = np.array([name for name, _ in named], self._rows.dtype["NAME"])[of_kept]
        for name, values in zip(IDS, ids.T, strict=True):
            rows[name] = values[kept][of_kept]
        rows["RA"], rows["DEC"] = ra[kept][of_kept], dec[kept][of_kept]
        rows["Z_SOURCE"], rows["TARGETID"] = z, targetid(*ids[kept][of_kept].T)


def _check_positions(path: str, ra: Floats, dec: Floats, sexagesimal: NDArray[np.bool_]) -> None:
    """Refuse lists whose positions are of another kind: every hit would look new."""
    good = on_the_sky(ra, dec)
    decimal = good & ~sexagesimal
    if (
        decimal.sum() > LEAST_FOR_HOURS
        and ra[decimal].max() <= 24
        # A true strip of the sky would hardly be longer from north to south than it may be wide.
        and np.ptp(dec[decimal]) > 24
    ):
        raise RunError(
            f"{path}: right ascension looks like hours (at most {ra[decimal].max():g} in "
            f"{decimal.sum()} rows); give degrees, or hours as 14:43:20.73"
        )
    if good.sum() < len(good) / 2 and on_the_sky(dec, ra).sum() > len(good) / 2:
        raise RunError(f"{path}: right ascension and declination look swapped")


def _expected(names: Sequence[str]) -> str:
    lacking = [field for field in ALIASES if field not in WANTED.columns(names)]
    meant = {alias: field for field in lacking for alias in ALIASES[field]}
    close = [
        (name, match[0])
        for name in [*names][:NAMES_GUESSED]
        if (match := difflib.get_close_matches(folded(name[:40]), meant, n=1, cutoff=0.6))
    ]
    guesses = ", ".join(f"{alias!r} for {name[:40]!a}" for name, alias in close)
    expected = "a position (ra, dec) or a spectrum (plate, mjd, fiberid; or plate-mjd-fiber in one)"
    hint = f"; did you mean {guesses}?" if guesses else ""
    return f"no columns of {expected}; found: {found_columns(names)}{hint}"


def _why(record: Mapping[str, str]) -> str:
    given = ", ".join(f"{name} {value[:40]!r}" for name, value in record.items() if name != "NAME")
    try:
        exact_id(record.get("SPECOBJID", "0"))
    except ValueError as error:
        given += f" ({error})"
    arcsec = position_of_name([record.get("NAME", "")])[2][0]
    if arcsec > NAME_ARCSEC_MAX:
        given += f" (its name tells its place to {arcsec:g} arcsec only)"
    return (
        "neither a position (right ascension from 0 to below 360 degrees, declination from -90 to "
        f"90) nor a plate, date and fibre: {given or 'nothing given'}"
    )
