"""A survey catalogue on disk, sorted by target, from which a plate's rows are read at a time.

In: a catalogue of millions of rows. Out: `CatalogueStore`, which looks up spectra in little memory
and is shared by all workers. Making it needs the memory of one piece of the catalogue, not of the
whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speclens.products import replacing
from speclens.read.sdss.catalogue import PlateRows
from speclens.read.sdss.lookup import PLATE_KEY, Catalogue, Key
from speclens.read.sdss.targets import blank_targets
from speclens.spectra import TARGET_DTYPE

__all__ = ["CatalogueStore", "PlateCatalogue", "span", "store_rows"]

ROWS_AT_ONCE = 100_000
INDEX_DTYPE = np.dtype([("GROUP", "i8"), ("START", "i8"), ("STOP", "i8")])


class CatalogueStore:
    """Catalogue rows on disk.

    Parameters
    ----------
    path : Path
        What `store_rows` wrote.
    key : Key, optional
        What names a spectrum.
    """

    def __init__(self, path: Path, key: Key = PLATE_KEY) -> None:
        self._path, self._key = path, key
        self._index = np.fromfile(_index_of(path), INDEX_DTYPE)

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
        targets, reasons, flags : arrays of shape (N,)
            As `Catalogue.lookup`.
        """
        groups = self._key.order(spectra) // self._key.n_together
        wanted = self._index[np.isin(self._index["GROUP"], groups[groups >= 0])]
        parts = [self._rows(start, stop) for _, start, stop in wanted.tolist()]
        rows = np.concatenate([blank_targets(0), *parts])
        return Catalogue.of(rows, str(self._path), self._key).lookup(spectra)

    def _rows(self, start: int, stop: int) -> NDArray[np.void]:
        size = TARGET_DTYPE.itemsize
        return np.fromfile(self._path, TARGET_DTYPE, stop - start, offset=start * size)


def store_rows(pieces: Iterable[NDArray[np.void]], path: Path, key: Key) -> CatalogueStore:
    """Store the rows of a catalogue, sorted.

    Parameters
    ----------
    pieces : iterable of structured arrays
        The rows, piece by piece.
    path : Path
        File to write; an index is written beside it.
    key : Key
        What names a spectrum.

    Returns
    -------
    CatalogueStore
        The rows.
    """
    unsorted = path.with_suffix(".unsorted")
    numbers = [np.zeros(0, np.int64)]
    with replacing(unsorted) as file:
        for piece in pieces:
            file.write(piece.tobytes())
            # No view: it would keep the piece in memory.
            numbers.append(key.order(piece))
    order = np.argsort(np.concatenate(numbers), kind="stable")
    with replacing(path) as file:
        for start in range(0, len(order), ROWS_AT_ONCE):
            # Mapped anew for each part: what was read is given back.
            stored = np.memmap(unsorted, TARGET_DTYPE, "r")
            file.write(stored[order[start : start + ROWS_AT_ONCE]].tobytes())
    unsorted.unlink()
    group, first = np.unique(np.concatenate(numbers)[order] // key.n_together, return_index=True)
    index = np.zeros(len(group), INDEX_DTYPE)
    index["GROUP"], index["START"] = group, first
    index["STOP"] = [*first[1:], len(order)]
    with replacing(_index_of(path)) as file:
        file.write(index.tobytes())
    return CatalogueStore(path, key)


class PlateCatalogue(PlateRows):
    """A survey catalogue that can be stored; see `PlateRows`."""

    key = PLATE_KEY
    noun, compared = "plate", "MJD and FIBERID, and whether the identifiers were rounded"
    """What rows are grouped by, and what a user compares where groups are the same."""

    def store(self, path: Path) -> CatalogueStore:
        """Read the catalogue and store its rows, sorted by their names.

        Parameters
        ----------
        path : Path
            File to write; an index is written beside it.

        Returns
        -------
        CatalogueStore
            The rows.

        Raises
        ------
        SpectrumFileError
            If the catalogue cannot be read.
        RunError
            If columns are missing or contradict each other, or hold nothing that can be read.
        """
        return store_rows(self, path, self.key)

    def strangers(self, spectra: Iterable[NDArray[np.void]]) -> str:
        """Say how the plates, or fields, of the catalogue and of spectra differ.

        Parameters
        ----------
        spectra : iterable of structured arrays
            Rows of spectra.fits, none of which it holds.

        Returns
        -------
        str
            A sentence, with a remedy.
        """
        parts = [np.unique(self.groups_of(part)) for part in spectra]
        groups = np.concatenate([np.zeros(0, np.int64), *parts])
        groups = groups[groups >= 0]
        ours, theirs, same = "the spectra's are unknown", "none", False
        if len(groups):
            ours = f"the spectra's {span(groups.min(), groups.max())}"
        if self.plate_range is not None:
            low, high = self.plate_range
            theirs = span(low, high)
            same = bool(len(groups)) and groups.max() >= low and groups.min() <= high
        remedy = f"compare {self.compared}" if same else f"give the catalogue of these {self.noun}s"
        held = f"the {self.noun}s of the {self.n_rows} rows of {self.path} are {theirs}"
        return f"{held}, {ours}; {remedy}"

    @staticmethod
    def groups_of(spectra: NDArray[np.void]) -> NDArray[np.integer]:
        """Return the plate, or field, of each of rows of spectra.fits; negative for none."""
        return np.where(spectra["PLATE"] > 0, spectra["PLATE"], -1)


def span(low: int, high: int) -> str:
    """Return two whole numbers as a range, one alone where they are the same."""
    return str(low) if low == high else f"{low} to {high}"


def _index_of(path: Path) -> Path:
    return path.with_suffix(".index")
