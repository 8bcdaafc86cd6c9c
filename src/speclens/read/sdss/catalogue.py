"""Survey catalogues: classes and redshifts by plate, date and fibre.

In: spAll or specObj FITS files, of which only the needed columns are kept, read in pieces; or
tables of any other format, such as CasJobs writes. Out: target rows, piece by piece.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.errors import RunError
from speclens.read.sdss.lookup import Catalogue
from speclens.read.sdss.targets import (
    ALIASES,
    CATALOGUE_COLUMNS,
    blank_targets,
    targets_from_columns,
)
from speclens.read.table.angles import degrees
from speclens.read.table.cells import ID_LIMITS, IDS, Unread, floats, specobj_ids, texts, wholes
from speclens.read.table.columns import Wanted, folded, refuse_twins
from speclens.read.table.table import Table, found_columns
from speclens.read.table.table_file import open_table
from speclens.spectra import TARGET_DTYPE

__all__ = ["PlateRows", "read_catalogue"]

OTHER_NAMES = {
    "REDSHIFT": ("redshift", "zspec", "specz"),
    "VDISP": ("vdisp", "veldisp"),
    "VDISP_ERR": ("vdisperr", "veldisperr"),
}
"""Names in tables of servers and authors, which survey files do not use."""

FIELD_OF = {name: field for field, names in reversed(ALIASES.items()) for name in names}
FIELD_OF["REDSHIFT"] = "Z"
"""The field of each column but magnitudes, which are in several."""
ID_COLUMNS = {"SPECOBJID", *(name for field in IDS for name in ALIASES[field])}
WANTED = Wanted(
    {name: (folded(name),) for name in (*CATALOGUE_COLUMNS, "SPECOBJID")} | OTHER_NAMES,
    tuple(
        frozenset(("CLASS", z, *ids))
        for z in ("Z", "REDSHIFT")
        for ids in (*itertools.product(*(ALIASES[field] for field in IDS)), ("SPECOBJID",))
    ),
)
BANDS = ("u", "g", "r", "i")
Z_RANGE = (-0.1, 10.0)
"""No redshift lies beyond these; magnitudes do."""
SAME_Z = 0.01
"""Two columns of a redshift may differ by this, in which one was rounded."""

ALLOWED_IDS = "whole numbers above 0, as 3650 or 3650.0"
ALLOWED_SPECOBJID = "all digits of SDSS's identifier, not already rounded by another program"
SDSSV = frozenset(("field", "mjd", "catalogid"))
TEXT = "U64"
QUOTED = re.compile(r"b?(['\"])(.*)\1")

_Places = Mapping[str, Sequence[int]]
"""Places of the columns of each name: the one that counts, then its twins."""


def read_catalogue(path: str, plates: Collection[int] | None = None) -> Catalogue:
    """Read a survey catalogue.

    Parameters
    ----------
    path : str
        spAll or specObj, or another table with their columns; see `PlateRows`.
    plates : collection of int, optional
        Keep only the rows of these plates.

    Returns
    -------
    Catalogue
        The rows.

    Raises
    ------
    SpectrumFileError
        If the file cannot be read.
    RunError
        If columns are missing or contradict each other, or hold nothing that can be read.
    """
    targets = np.concatenate([blank_targets(0), *PlateRows(path, plates)])
    return Catalogue.of(targets, path)


class PlateRows:
    """Reads a survey catalogue in pieces, and counts what it holds.

    Parameters
    ----------
    path : str
        FITS, VOTable, ECSV, CSV or other text, plain or gzipped; its content says which.
    plates : collection of int, optional
        Keep only the rows of these plates.

    Attributes
    ----------
    n_rows : int
        Rows read so far.
    n_unknown : int
        Those without plate, date and fibre.
    plate_range : tuple of int or None
        Lowest and highest plate of the file; None without one.
    """

    wanted = WANTED
    id_columns = frozenset(ID_COLUMNS)
    missing_ids = "{} of {} rows have no plate, date and fibre"

    def __init__(self, path: str, plates: Collection[int] | None = None) -> None:
        self.path = path
        self.n_rows = self.n_unknown = 0
        self.plate_range: tuple[int, int] | None = None
        self._wanted = None if plates is None else np.array(sorted(plates), np.int64)
        self._unread = Unread(path)
        self._n_z = self._n_beyond = self._n_magnitudes = 0
        self._some_z = np.nan
        self._table_notes: list[str] = []

    def __iter__(self) -> Iterator[NDArray[np.void]]:
        """Read the rows.

        Yields
        ------
        structured array
            Rows with identifiers, `TARGET_DTYPE`, in the order of the file.

        Raises
        ------
        SpectrumFileError
            If the file cannot be read.
        RunError
            If columns are missing or contradict each other, or hold nothing that can be read.
        """
        with open_table(self.path, self.wanted) as table:
            fields = self._fields(table)
            places = sorted({place for columns in fields.values() for place in columns})
            with closing(table.pieces(places)) as pieces:
                for first_row, columns in pieces:
                    refuse_twins(self.path, table.names, columns, fields, first_row)
                    yield self._targets(table, fields, columns, first_row)
        self._table_notes = [*table.notes]
        self._check(table.names, fields)

    @property
    def notes(self) -> list[str]:
        """What a reader of the results must know of the catalogue."""
        notes = [*self._table_notes, *self._unread.notes]
        if self.n_unknown:
            notes.append(
                f"{self.path}: {self.missing_ids.format(self.n_unknown, self.n_rows)} and belong "
                "to no spectrum"
            )
        return notes

    def _fields(self, table: Table) -> _Places:
        """Choose the columns; say what is missing."""
        fields = WANTED.columns(table.names)
        if all(any(name in fields for name in ALIASES[field]) for field in IDS):
            fields.pop("SPECOBJID", None)
        if WANTED.rank(table.names) == 0 and not _is_sdssv(table.names, fields):
            return fields
        if _is_sdssv(table.names, fields):
            raise RunError(
                f"catalogue {self.path}: an SDSS-V catalogue, whose spectra go by FIELD, MJD and "
                "CATALOGID; the spectra that are searched go by plate and fibre: give spAll of "
                "Data Release 8 to 17, or specObj"
            )
        missing = [] if "CLASS" in fields else ["CLASS"]
        missing += [] if "Z" in fields or "REDSHIFT" in fields else ["Z"]
        if not all(any(name in fields for name in ALIASES[field]) for field in IDS):
            missing += [] if "SPECOBJID" in fields else ["PLATE, MJD, FIBERID (or SPECOBJID)"]
        raise RunError(
            f"catalogue {self.path}: no column {', '.join(missing)}; found "
            f"{found_columns(table.names)}"
        )

    def _targets(
        self, table: Table, fields: _Places, columns: Mapping[int, NDArray[Any]], first_row: int
    ) -> NDArray[np.void]:
        ids = self._ids(table, fields, columns, first_row)
        known = (ids > 0).all(axis=1) & (ids < ID_LIMITS).all(axis=1)
        self._count(ids[known, 0], len(ids))
        if self._wanted is not None:
            known &= np.isin(ids[:, 0], self._wanted)
        rows = np.flatnonzero(known)
        read = dict(zip(IDS, ids[rows].T, strict=True))
        read |= self._values(table, fields, columns, first_row, rows)
        return targets_from_columns(read)

    def _values(
        self,
        table: Table,
        fields: _Places,
        columns: Mapping[int, NDArray[Any]],
        first_row: int,
        rows: NDArray[np.integer],
    ) -> dict[str, NDArray[Any]]:
        """Read what is no identifier of some rows, by the names of the columns."""
        read = {}
        for name, (place, *_) in fields.items():
            if name not in self.id_columns:
                cells, unit = columns[place][rows], table.units.get(place, "")
                read[name] = self._read(name, cells, unit, table.names[place], first_row + rows)
        self._choose_redshift(table, fields, read)
        return read

    def _ids(
        self, table: Table, fields: _Places, columns: Mapping[int, NDArray[Any]], first_row: int
    ) -> NDArray[np.int64]:
        """Plate, date and fibre of some rows, shape (N, 3); -1 where unknown."""
        if "SPECOBJID" in fields:
            place = fields["SPECOBJID"][0]
            ids, bad = specobj_ids(columns[place])
            rows = first_row + np.arange(len(ids))
            n_read = np.count_nonzero(ids[:, 0] > 0)
            self._unread.add(table.names[place], rows, columns[place], bad, n_read)
            return ids
        found = []
        for field in IDS:
            place = next(fields[name][0] for name in ALIASES[field] if name in fields)
            values, bad = wholes(columns[place])
            rows = first_row + np.arange(len(values))
            n_read = np.count_nonzero(values > 0)
            self._unread.add(table.names[place], rows, columns[place], bad, n_read)
            found.append(values)
        return np.stack(found, axis=1)

    def _count(self, plates: NDArray[np.int64], n_rows: int) -> None:
        self.n_rows += n_rows
        self.n_unknown += n_rows - len(plates)
        if len(plates):
            low, high = self.plate_range or (plates[0], plates[0])
            self.plate_range = min(int(plates.min()), int(low)), max(int(plates.max()), int(high))

    def _read(
        self, name: str, cells: NDArray[Any], unit: str, label: str, rows: NDArray[np.integer]
    ) -> NDArray[Any]:
        """Bring cells to the type of their field; what cannot be read is unknown."""
        field = FIELD_OF.get(name)
        if field is None:
            # A magnitude, which may be a vector, and decides nothing.
            return floats(cells)[0] if cells.dtype.kind in "OUS" else np.ma.filled(cells, 0)
        kind = TARGET_DTYPE[field].kind
        if kind == "U":
            # NA is a type of object.
            said = np.ma.filled(cells, "").tolist() if field == "OBJTYPE" else texts(cells)
            change = str.lower if field == "PLATEQUALITY" else str.upper
            return np.array([*(change(_bare(cell)) for cell in said), ""], TEXT)[:-1]
        if field in ("RA", "DEC"):
            values, _, bad = degrees(cells, field == "RA", unit)
        else:
            values, bad = floats(cells)
        if kind == "i":
            fraction = values != np.floor(values)
            bad, values = bad | (fraction & np.isfinite(values)), np.where(fraction, np.nan, values)
        known = np.isfinite(values)
        self._unread.add(label, rows, cells, bad, np.count_nonzero(known))
        return np.where(known, values, 0).astype(np.int64) if kind == "i" else values

    def _choose_redshift(
        self, table: Table, fields: _Places, read: dict[str, NDArray[Any]]
    ) -> None:
        """Let a column called redshift stand for z, which beside u g r i is a magnitude."""
        redshift = read.pop("REDSHIFT", None)
        if redshift is not None:
            z = read.get("Z")
            if z is not None and not _has_bands(table.names) and not _beyond(z).any():
                differ = np.abs(z - redshift) > SAME_Z
                if differ.any():
                    raise RunError(
                        f"catalogue {self.path}: columns {table.names[fields['Z'][0]]!r} and "
                        f"{table.names[fields['REDSHIFT'][0]]!r} differ ({z[differ][0]:g} and "
                        f"{redshift[differ][0]:g}); remove the one that is not meant"
                    )
            read["Z"] = redshift
        z = read["Z"]
        beyond = _beyond(z)
        self._n_z += int(np.count_nonzero(np.isfinite(z)))
        self._n_beyond += int(np.count_nonzero(beyond))
        if redshift is None:
            self._n_magnitudes += int(np.count_nonzero(z > Z_RANGE[1]))
        if beyond.any() and np.isnan(self._some_z):
            self._some_z = float(z[beyond][0])

    def _check_ids(self, names: Sequence[str], fields: _Places) -> None:
        for field in (*ALIASES["PLATE"], "MJD", *ALIASES["FIBERID"]):
            for place in fields.get(field, ())[:1]:
                self._unread.refuse(names[place], ALLOWED_IDS)
        for place in fields.get("SPECOBJID", ())[:1]:
            self._unread.refuse(names[place], ALLOWED_SPECOBJID)

    def _check(self, names: Sequence[str], fields: _Places) -> None:
        """Refuse a catalogue of which a needed column holds nothing that can be read."""
        self._check_ids(names, fields)
        used = names[fields["REDSHIFT" if "REDSHIFT" in fields else "Z"][0]]
        self._unread.refuse(used, "redshifts, as 0.5736")
        magnitudes = _has_bands(names) and self._n_magnitudes > 0
        if magnitudes or 0 < self._n_z == self._n_beyond:
            raise RunError(
                f"catalogue {self.path}: column {used!r} holds no redshifts ({self._some_z:g}; "
                f"allowed: {Z_RANGE[0]:g} to {Z_RANGE[1]:g})"
                f"{': beside u, g, r, i it is a magnitude' if magnitudes else ''}; call the column "
                f"of redshifts 'redshift'. Found {found_columns(names)}"
            )


def _bare(cell: str) -> str:
    """Return a text up to a NUL, without the quotes that Python writes around bytes."""
    text = cell.partition("\0")[0].strip()
    match = QUOTED.fullmatch(text)
    return match[2].strip() if match else text


def _is_sdssv(names: Sequence[str], fields: _Places) -> bool:
    return {folded(name) for name in names} >= SDSSV and not {"PLATE", "PLATEID"} & set(fields)


def _has_bands(names: Sequence[str]) -> bool:
    return {*BANDS} <= {name.strip().lower() for name in names}


def _beyond(z: NDArray[Any]) -> NDArray[np.bool_]:
    return np.asarray((z < Z_RANGE[0]) | (z > Z_RANGE[1]))
