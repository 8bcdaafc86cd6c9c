"""Catalogue rows of many spec files, of all files of one layout at once.

In: rows as they stand in the files. Out: target rows, or the error of a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from speclens.errors import SpectrumFileError
from speclens.read.fits.file import FitsFile
from speclens.read.fits.hdus import Hdu
from speclens.read.fits.header import Header
from speclens.read.sdss.dialect import Dialect
from speclens.read.sdss.targets import blank_targets

__all__ = ["StoredRows", "read_rows"]

Told = NDArray[np.void] | SpectrumFileError


@dataclass(frozen=True)
class StoredRows:
    """Catalogue rows as they stand in a spec file.

    Parameters
    ----------
    file : FitsFile
        The file, to blame.
    table : Hdu
        Their table.
    rows : structured array of shape (n,)
        The rows, mostly one.
    """

    file: FitsFile
    table: Hdu
    rows: NDArray[np.void]

    def may_join(self, dialect: Dialect) -> bool:
        """Say whether rows mean the same beside those of other files.

        Text that should be numbers does not: a column of which none is a number is refused.
        """
        dtype = self.rows.dtype
        names = dtype.names or ()
        return (
            bool(names) and {n for n in names if dtype[n].base.kind == "S"} <= dialect.text_columns
        )


def read_rows(stored: Sequence[StoredRows | None], dialect: Dialect) -> list[Told]:
    """Say what the catalogue rows of files mean.

    Parameters
    ----------
    stored : sequence of StoredRows or None
        Of each file.
    dialect : Dialect
        The survey's own words.

    Returns
    -------
    list of array or SpectrumFileError
        Target rows of each file, which `make_plausible` has still to see, or what is wrong in it.
    """
    found: list[Told] = [blank_targets(0)] * len(stored)
    of_header: dict[Header, dict[int, StoredRows]] = {}
    for i, own in enumerate(stored):
        if own is not None:
            of_header.setdefault(own.table.header, {})[i] = own
    for group in of_header.values():
        for i, told in zip(group, _told([*group.values()], dialect), strict=True):
            found[i] = told
    return found


def _told(group: Sequence[StoredRows], dialect: Dialect) -> Iterator[Told]:
    """Read rows whose tables have one header."""
    if len(group) > 1 and group[0].may_join(dialect):
        with suppress(SpectrumFileError):  # each is asked who is to blame
            yield from _joined(group, dialect)
            return
    for one in group:
        try:
            yield _targets(one, one.rows, dialect)
        except SpectrumFileError as error:
            yield error


def _joined(group: Sequence[StoredRows], dialect: Dialect) -> list[NDArray[np.void]]:
    rows = b"".join([own.rows.tobytes() for own in group])
    targets = _targets(group[0], np.frombuffer(rows, group[0].rows.dtype), dialect)
    ends = np.cumsum([len(own.rows) for own in group]).tolist()
    return [targets[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _targets(own: StoredRows, rows: NDArray[np.void], dialect: Dialect) -> NDArray[np.void]:
    return dialect.targets_of(own.file, own.table, own.file.columns(own.table, rows))
