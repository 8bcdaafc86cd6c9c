"""Which fibres a plate holds: as the header, the name and the plug map of an spPlate file tell.

In: an open spPlate file, even one that is cut short. Out: a target row for each fibre with the
identifiers that are known. The number of a fibre is never made up.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from speclens.instrument import INSTRUMENTS
from speclens.read.fits.file import FitsFile
from speclens.read.fits.hdus import Hdu
from speclens.read.sdss.checks import targets_of
from speclens.read.sdss.identity import (
    Ids,
    agreed,
    ids_of_header,
    ids_of_name,
    targetid,
)
from speclens.read.sdss.targets import CATALOGUE_COLUMNS, blank_targets, identify, make_plausible

__all__ = [
    "MAX_FIBRES", "detector_places", "ids_of_plate", "read_plugmap", "rows_of_plate",
]  # fmt: skip

WHOLE_PLATES = (640, 1000)
"""Fibres of SDSS's spectrographs and of BOSS's: row i of their spPlate files is of fibre i + 1."""

MAX_FIBRES = 100_000

MOST_FIBRES = 9_000
"""More than any plate has: beyond it a fibre's number would spill into the date's."""


def ids_of_plate(file: FitsFile) -> tuple[Ids, str]:
    """Return plate and date of an spPlate file.

    Parameters
    ----------
    file : FitsFile
        The file.

    Returns
    -------
    ids : Ids
        As header and name agree.
    contradiction : str
        What disagrees; empty when nothing does.
    """
    of_header, within = ids_of_header(file.hdus[0].header)
    of_name = ids_of_name(file.path)
    ids, between = agreed({"the header": of_header.of_plate, "the file's name": of_name})
    return ids, within or between


def detector_places(rows: NDArray[np.void]) -> NDArray[np.int64]:
    """Tell the places of spectra on a detector.

    Parameters
    ----------
    rows : structured array of shape (N,)
        With PLATE, MJD and FIBERID.

    Returns
    -------
    array of shape (N,)
        Neighbours differ by 1: fibres of one plate and date, and of one spectrograph, of which a
        plate has two, each for half of its fibres. -1 where it is unknown.
    """
    is_boss = rows["PLATE"] >= INSTRUMENTS["sdss"].first_plate
    n_fibres = np.array(WHOLE_PLATES)[is_boss.astype(np.intp)]
    spectrograph = (rows["FIBERID"] - 1) // (n_fibres // 2)
    places = targetid(rows["PLATE"], rows["MJD"], rows["FIBERID"] + spectrograph)
    return np.where(rows["FIBERID"] <= MOST_FIBRES, places, -1)


def rows_of_plate(file: FitsFile, ids: Ids) -> NDArray[np.void]:
    """Return a target row for each fibre.

    Parameters
    ----------
    file : FitsFile
        An spPlate file.
    ids : Ids
        Plate and date.

    Returns
    -------
    structured array of shape (N,)
        Rows; FIBERID is -1 unless it is a whole plate, until `read_plugmap` tells.
    """
    n_fibres = file.hdus[0].shape[0]
    rows = blank_targets(n_fibres)
    identify(rows, ids.plate, ids.mjd, _numbers_by_row(n_fibres))
    return rows


def read_plugmap(file: FitsFile, hdu: Hdu, fibres: NDArray[np.void]) -> None:
    """Take what the plug map knows of the fibres: their numbers, which are sky, where they point.

    Parameters
    ----------
    file : FitsFile
        The file, to blame.
    hdu : Hdu
        The plug map, one row a fibre.
    fibres : structured array of shape (N,)
        Rows with plate and date, changed in place.

    Raises
    ------
    SpectrumFileError
        If the plug map cannot be read, or two rows are of one fibre.
    """
    known = targets_of(file, hdu, file.table(hdu, CATALOGUE_COLUMNS))
    make_plausible(known)
    for name in ("OBJTYPE", "RA", "DEC", "MAG_I"):
        fibres[name] = known[name]
    stated = known["FIBERID"]
    refuse_repeats(file, hdu, stated)
    by_row = _numbers_by_row(len(fibres))
    if not (stated > 0).all() and (stated[stated > 0] == by_row[stated > 0]).all():
        stated = by_row
    identify(fibres, fibres["PLATE"], fibres["MJD"], stated)


def refuse_repeats(file: FitsFile, hdu: Hdu, numbers: NDArray[np.integer]) -> None:
    """Refuse a table of a plate that holds a fibre twice.

    Parameters
    ----------
    file : FitsFile
        The file, to blame.
    hdu : Hdu
        The table.
    numbers : array of shape (N,)
        Its FIBERID, -1 where unknown.

    Raises
    ------
    SpectrumFileError
        If a number stands twice.
    """
    found, counts = np.unique(numbers[numbers > 0], return_counts=True)
    if (counts > 1).any():
        number = found[counts > 1][0]
        rows = (np.flatnonzero(numbers == number)[:2] + 1).tolist()
        file.fail(
            "bad_identity", f"FIBERID {number} stands in rows {rows[0]} and {rows[1]}", hdu.index,
            "fetch the file again",
        )  # fmt: skip


def _numbers_by_row(n_fibres: int) -> NDArray[np.int64]:
    """FIBERID of each row where the row tells it, shape (N,); else -1."""
    if n_fibres in WHOLE_PLATES:
        return np.arange(1, n_fibres + 1)
    return np.full(n_fibres, -1)
