"""DESI's catalogues: classes and redshifts by TARGETID.

In: zcatalog files (zpix, ztile, zall), redrock files, or tables of any other format with their
columns. Out: target rows, piece by piece, and a catalogue that can be stored. Of a catalogue that
says of which program or tile its rows are, those of others than the files' are left out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.errors import RunError
from speclens.read.desi.identity import spectrum_texts
from speclens.read.desi.targets import TARGET_KEY
from speclens.read.sdss.catalogue import OTHER_NAMES, PlateRows
from speclens.read.sdss.catalogue_store import PlateCatalogue
from speclens.read.sdss.targets import targets_from_columns
from speclens.read.table.cells import exact_ids, texts
from speclens.read.table.columns import Wanted
from speclens.read.table.table import Table, found_columns

__all__ = ["TargetCatalogue", "TargetRows"]

Places = Mapping[str, Sequence[int]]

GROUPS = (
    ("SURVEY", "PROGRAM", "{}-{}"), ("TILEID", "LASTNIGHT", "{}-thru{}"),
    ("TILEID", "LASTNIGHT", "{}-{}"),
)  # fmt: skip
"""Columns that name the group of a row, and how it is written. Of tiles a row has all of them: its
program too, of which no file of a tile is named."""

WANTED = Wanted(
    {
        "TARGETID": ("targetid",), "Z": ("z",), "ZWARNING": ("zwarn", "zwarning"),
        "CLASS": ("spectype", "class"), "SUBCLASS": ("subtype", "subclass"),
        "PLUG_RA": ("targetra", "ra"), "PLUG_DEC": ("targetdec", "dec"),
        **{name: (name.lower(),) for one, other, _ in GROUPS for name in (one, other)},
        **OTHER_NAMES,
    },
    (frozenset(("TARGETID", "CLASS", "Z")), frozenset(("TARGETID", "CLASS", "REDSHIFT"))),
)  # fmt: skip
IDS = ("TARGETID", *(name for one, other, _ in GROUPS for name in (one, other)))

ALLOWED = "all digits of the identifier, not already rounded by another program"


class TargetRows(PlateRows):
    """Reads a catalogue of DESI in pieces, and counts what it holds; see `PlateRows`.

    Parameters
    ----------
    path : str
        The catalogue.
    groups : collection of str, optional
        Keep only the rows of these groups, as of `group_of_name`, where it tells them.
    """

    wanted = WANTED
    id_columns = frozenset(IDS)
    missing_ids = "{} of {} rows have no TARGETID"

    def __init__(self, path: str, groups: Collection[str] | None = None) -> None:
        super().__init__(path)
        self._groups = None if groups is None else [*groups]

    def _fields(self, table: Table) -> Places:
        fields = WANTED.columns(table.names)
        if WANTED.rank(table.names) == 0:
            return fields
        missing = [name for name in ("TARGETID",) if name not in fields]
        missing += [] if "Z" in fields or "REDSHIFT" in fields else ["Z"]
        missing += [] if "CLASS" in fields else ["SPECTYPE"]
        raise RunError(
            f"catalogue {self.path}: no column {', '.join(missing)}; the spectra that are searched "
            f"are of DESI: give its zcatalog. Found {found_columns(table.names)}"
        )

    def _targets(
        self, table: Table, fields: Places, columns: Mapping[int, NDArray[Any]], first_row: int
    ) -> NDArray[np.void]:
        place = fields["TARGETID"][0]
        found, bad = exact_ids(columns[place])
        inside = [-(1 << 63) <= one < 1 << 63 if one is not None else False for one in found]
        ids = np.array([one if ok else -1 for one, ok in zip(found, inside, strict=True)], np.int64)
        known = ids != -1
        numbers = first_row + np.arange(len(ids))
        self._unread.add(table.names[place], numbers, columns[place], bad, int(known.sum()))
        self.n_rows += len(ids)
        self.n_unknown += int(np.count_nonzero(~known))
        told = _groups(fields, columns)
        if self._groups is not None and told:
            known &= np.any([np.isin(groups, self._groups) for groups in told], axis=0)
        rows = np.flatnonzero(known)
        read = {"PLATE": np.full(len(rows), -1)}
        targets = targets_from_columns(read | self._values(table, fields, columns, first_row, rows))
        targets["TARGETID"] = ids[rows]
        targets["SPECTRUM"] = spectrum_texts("", ids[rows])
        return targets

    def _check_ids(self, names: Sequence[str], fields: Places) -> None:
        self._unread.refuse(names[fields["TARGETID"][0]], ALLOWED)


class TargetCatalogue(TargetRows, PlateCatalogue):
    """A catalogue of DESI that can be stored; see `TargetRows`."""

    key = TARGET_KEY

    def strangers(self, spectra: Iterable[NDArray[np.void]]) -> str:
        """Say that the catalogue holds no spectrum that was read.

        Parameters
        ----------
        spectra : iterable of structured arrays
            Rows of spectra.fits, none of which it holds.

        Returns
        -------
        str
            A sentence, with a remedy.
        """
        some = next((part["TARGETID"][0] for part in spectra if len(part)), -1)
        return (
            f"{self.path}: none of its {self.n_rows} rows has the TARGETID of a spectrum, as "
            f"{some}; give the zcatalog of these programs or tiles, and see whether its "
            "identifiers were rounded"
        )


def _groups(fields: Places, columns: Mapping[int, NDArray[Any]]) -> list[list[str]]:
    """Return the groups of each row, in each way to write them that the catalogue tells."""
    told = []
    for one, other, written in GROUPS:
        if one in fields and other in fields:
            cells = (texts(columns[fields[name][0]]) for name in (one, other))
            told.append([written.format(*pair).lower() for pair in zip(*cells, strict=True)])
    return told
