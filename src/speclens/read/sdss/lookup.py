"""Catalogue rows of spectra, by what names a spectrum.

In: rows of a catalogue. Out: `Catalogue`, which looks up the rows of spectra. A row without a
spectrum costs nothing; a spectrum without a row is skipped with its reason.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from speclens.read.sdss.targets import (
    SAME_PLACE_ARCSEC,
    apart_arcsec,
    blank_targets,
    keep_what_the_file_knows,
)
from speclens.read.table.cells import IDS
from speclens.schema import flag_bit

__all__ = ["PLATE_KEY", "Catalogue", "Key", "TargetLookup"]

DECIDING = ["CLASS", "SUBCLASS", "Z", "ZWARNING", "CLASS_NOQSO", "SUBCLASS_NOQSO", "Z_NOQSO",
            "ZWARNING_NOQSO", "OBJTYPE", "PLATEQUALITY"]  # fmt: skip
"""Fields in which the rows of one spectrum must agree."""
MEASURED = ["VDISP", "VDISP_ERR", "MAG_I"]
"""Fields that are unknown where the rows of one spectrum do not agree."""
SAME_PLACE = 1 / 3600
"""Degrees within which they must lie."""


class TargetLookup(Protocol):
    """Finds the catalogue rows of spectra: `Catalogue`, `CatalogueStore`."""

    def lookup(
        self, spectra: NDArray[np.void]
    ) -> tuple[NDArray[np.void], NDArray[np.str_], NDArray[np.int32]]:
        """Find the rows of spectra; see `Catalogue.lookup`."""


@dataclass(frozen=True)
class Key:
    """What names a spectrum among the rows of a catalogue.

    Parameters
    ----------
    names : callable
        Returns the names of target rows, shape (N,), that can be sorted, and which are known.
    order : callable
        Returns whole numbers of target rows, shape (N,), by which a stored catalogue is sorted;
        below 0 for a row that belongs to no spectrum.
    n_together : int
        Rows whose numbers are the same, divided by this, are read together.
    fields : sequence of str
        Identifiers, of which those that a spectrum's own file states are kept.
    """

    names: Callable[[NDArray[np.void]], tuple[NDArray[Any], NDArray[np.bool_]]]
    order: Callable[[NDArray[np.void]], NDArray[np.int64]]
    n_together: int
    fields: Sequence[str]


PLATE_KEY = Key(
    lambda rows: (rows["TARGETID"], rows["TARGETID"] > 0),
    lambda rows: rows["TARGETID"].copy(),
    10**9,
    ("TARGETID", *IDS),
)
"""Plate, date and fibre, as TARGETID has them; a plate's rows are read together."""


@dataclass(frozen=True)
class Catalogue:
    """Catalogue rows that can be looked up by the names of their spectra.

    Parameters
    ----------
    targets : structured array of shape (N,)
        Rows, `TARGET_DTYPE`, sorted by name.
    source : str
        The file they came from.
    key : Key, optional
        What names a spectrum.
    """

    targets: NDArray[np.void]
    source: str
    key: Key = PLATE_KEY

    @classmethod
    def of(cls, targets: NDArray[np.void], source: str, key: Key = PLATE_KEY) -> Catalogue:
        """Make a catalogue of rows in any order.

        Parameters
        ----------
        targets : structured array of shape (N,)
            Rows, `TARGET_DTYPE`.
        source : str
            The file they came from.
        key : Key, optional
            What names a spectrum.

        Returns
        -------
        Catalogue
            The rows, sorted by name; those of one name in the order in which they were.
        """
        return cls(targets[np.argsort(key.names(targets)[0], kind="stable")], source, key)

    def lookup(
        self, spectra: NDArray[np.void]
    ) -> tuple[NDArray[np.void], NDArray[np.str_], NDArray[np.int32]]:
        """Find the rows of spectra.

        Parameters
        ----------
        spectra : structured array of shape (N,)
            Target rows of which the identifiers are known.

        Returns
        -------
        targets : structured array of shape (N,)
            The catalogue's rows; where there is none, or none that can be told, class and redshift
            are unknown. A spectrum whose own file says that it is sky stays sky; a position that
            the catalogue lacks is taken from the file.
        reasons : array of shape (N,)
            `not_in_catalogue`, `ambiguous_catalogue` (rows with other classes or redshifts), or
            empty. A spectrum without an identifier is in no catalogue.
        flags : array of shape (N,)
            Quality bits: where several rows agree, and where the catalogue gives another place than
            the file, which is kept.
        """
        ids, _ = self.key.names(self.targets)
        wanted, known = self.key.names(spectra)
        start = np.searchsorted(ids, wanted, "left")
        stop = np.where(known, np.searchsorted(ids, wanted, "right"), start)
        targets = blank_targets(len(spectra))
        reasons = np.zeros(len(spectra), "U24")
        several = np.zeros(len(spectra), bool)
        reasons[stop == start] = "not_in_catalogue"
        for i in np.flatnonzero(stop > start):
            rows = self.targets[start[i] : stop[i]]
            if not _agree(rows):
                reasons[i] = "ambiguous_catalogue"
                continue
            targets[i], several[i] = rows[0], len(rows) > 1
            for name in MEASURED if several[i] else ():
                if len(np.unique(rows[name])) > 1:
                    targets[name][i] = np.nan
        for name in self.key.fields:
            targets[name] = spectra[name]
        elsewhere = (apart_arcsec(targets, spectra) > SAME_PLACE_ARCSEC) & (
            spectra["OBJTYPE"] != "SKY"
        )
        for name in ("RA", "DEC"):
            targets[name][elsewhere] = spectra[name][elsewhere]
        keep_what_the_file_knows(targets, spectra)
        flags = several * flag_bit("CATALOGUE_ROWS") | elsewhere * flag_bit("CATALOGUE_PLACE")
        return targets, reasons, flags.astype(np.int32)


def _agree(rows: NDArray[np.void]) -> bool:
    """Say whether the rows of one spectrum agree in all that decides."""
    if len(rows) == 1:
        return True
    one_place = all(not np.ptp(rows[name]) > SAME_PLACE for name in ("RA", "DEC"))
    return one_place and all(len(np.unique(rows[name])) == 1 for name in DECIDING)
