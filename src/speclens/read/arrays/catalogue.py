"""Catalogues of spectra that came as arrays or tables: classes and redshifts by their names.

In: a table in any format that `speclens.read.table.table_file` knows, with SPECTRUM and Z. Out:
target rows, which are stored as a whole, and looked up by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from speclens.errors import RunError
from speclens.read.arrays.targets import NAME_WIDTH
from speclens.read.sdss.catalogue_store import CatalogueStore, store_rows
from speclens.read.sdss.lookup import Key
from speclens.read.sdss.targets import blank_targets, make_plausible
from speclens.read.table.cells import Unread, floats, texts
from speclens.read.table.columns import Wanted, refuse_twins
from speclens.read.table.table import Table, found_columns
from speclens.read.table.table_file import open_table

__all__ = ["NameCatalogue", "NameStore"]

WANTED = Wanted(
    {
        "SPECTRUM": ("spectrum", "name", "targetid"),
        "Z": ("redshift", "zspec", "z"),
        "CLASS": ("class",),
        "SUBCLASS": ("subclass",),
        "RA": ("ra",),
        "DEC": ("dec",),
        "VDISP": ("vdisp", "veldisp"),
        "MAG_I": ("magi",),
    },
    (frozenset(("SPECTRUM", "Z")),),
)
TEXTS = ("SPECTRUM", "CLASS", "SUBCLASS")

ROWS_A_GROUP = 2**47
"""Names whose hashes of 63 bits agree but for so many are read together: 65,536 groups."""


def _hashes(rows: NDArray[np.void]) -> NDArray[np.int64]:
    """Return a number of each name; -1 of none."""
    names = rows["SPECTRUM"].tolist()
    numbers = [xxh3_64_intdigest(name.encode()) >> 1 if name else -1 for name in names]
    return np.array(numbers, np.int64)


BY_NAME = Key(
    lambda rows: (rows["SPECTRUM"], rows["SPECTRUM"] != ""), _hashes, ROWS_A_GROUP, ("SPECTRUM",)
)


class NameStore(CatalogueStore):
    """Catalogue rows on disk, by the names of their spectra.

    Parameters
    ----------
    path : Path
        What `NameCatalogue.store` wrote.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, BY_NAME)

    def lookup(
        self, spectra: NDArray[np.void]
    ) -> tuple[NDArray[np.void], NDArray[np.str_], NDArray[np.int32]]:
        """Find the rows of spectra, whose own class stands where the catalogue has none.

        Parameters
        ----------
        spectra : structured array of shape (N,)
            Target rows, with their names.

        Returns
        -------
        targets, reasons, flags : arrays of shape (N,)
            As `Catalogue.lookup`.
        """
        targets, reasons, flags = super().lookup(spectra)
        blank = (targets["CLASS"] == "") & (reasons == "")
        for name in ("CLASS", "SUBCLASS", "CLASS_NOQSO", "SUBCLASS_NOQSO"):
            targets[name][blank] = spectra[name][blank]
        return targets, reasons, flags


class NameCatalogue:
    """A catalogue that the user gave, as `speclens.read.survey.CatalogueRows` asks.

    Parameters
    ----------
    path : str
        FITS, VOTable, ECSV, CSV or other text, plain or gzipped.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.n_rows = 0
        self._some_name = ""
        self._unread = Unread(path)

    @property
    def notes(self) -> Sequence[str]:
        """Columns of which cells could not be read."""
        return [*self._unread.notes]

    def store(self, path: Path) -> NameStore:
        """Read the catalogue and store its rows.

        Parameters
        ----------
        path : Path
            File to write.

        Returns
        -------
        NameStore
            The rows.

        Raises
        ------
        SpectrumFileError
            If the catalogue cannot be read.
        RunError
            If columns are missing or contradict each other, or hold nothing that can be read.
        """
        store_rows(self._rows(), path, BY_NAME)
        return NameStore(path)

    def strangers(self, spectra: Iterable[NDArray[np.void]]) -> str:
        """Say how the names of the catalogue and of spectra differ.

        Parameters
        ----------
        spectra : iterable of structured arrays
            Rows of spectra.fits, none of which it holds.

        Returns
        -------
        str
            A sentence, with a remedy.
        """
        theirs = next((name for part in spectra for name in part["SPECTRUM"].tolist()), "none")
        return (
            f"{self.path} names {self.n_rows} spectra, as {self._some_name or 'none'}, and those "
            f"that are searched have names as {theirs}; give a column SPECTRUM of the same names"
        )

    def _rows(self) -> Iterator[NDArray[np.void]]:
        """Read target rows, piece by piece; what names no spectrum is left out."""
        with open_table(self.path, WANTED) as table:
            fields = self._fields(table)
            places = sorted({place for columns in fields.values() for place in columns})
            with closing(table.pieces(places)) as pieces:
                for first_row, columns in pieces:
                    refuse_twins(self.path, table.names, columns, fields, first_row)
                    chosen = {name: columns[place[0]] for name, place in fields.items()}
                    yield self._targets(chosen, first_row)
        self._unread.refuse("Z", "redshifts, as 0.5736")

    def _fields(self, table: Table) -> Mapping[str, Sequence[int]]:
        fields = WANTED.columns(table.names)
        missing = [name for name in ("SPECTRUM", "Z") if name not in fields]
        if missing:
            raise RunError(
                f"catalogue {self.path}: no column {' and '.join(missing)}: spectra of tables are "
                "looked up by their names, as in the column SPECTRUM of spectra.fits; found "
                f"{found_columns(table.names)}"
            )
        return fields

    def _targets(self, cells: Mapping[str, NDArray[Any]], first_row: int) -> NDArray[np.void]:
        rows = blank_targets(len(cells["Z"]))
        for name, column in cells.items():
            if name in TEXTS:
                rows[name] = texts(column)
                continue
            rows[name], bad = floats(column)
            numbers = first_row + np.arange(len(column))
            self._unread.add(name, numbers, column, bad, np.isfinite(rows[name]).sum())
        # Cut off, a longer name might be that of a spectrum.
        rows["SPECTRUM"][[len(text) > NAME_WIDTH for text in texts(cells["SPECTRUM"])]] = ""
        rows["CLASS"] = np.char.upper(rows["CLASS"])
        for name in ("Z", "CLASS", "SUBCLASS"):
            rows[f"{name}_NOQSO"] = rows[name]
        make_plausible(rows)
        named: NDArray[np.void] = rows[rows["SPECTRUM"] != ""]
        self.n_rows += len(named)
        self._some_name = self._some_name or next(iter(named["SPECTRUM"].tolist()), "")
        return named
