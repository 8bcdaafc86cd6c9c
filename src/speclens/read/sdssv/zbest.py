"""Classes and redshifts of a field: its spZbest file, if it is of the same field.

In: an open spField file and its targets. Out: their catalogue rows. Rows belong together by the
number of the target in the field, which both files state since Data Release 19, else by their
order; nothing else that both know may differ: field, date, catalogue identifiers, places.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from speclens.read.fits.file import FitsFile
from speclens.read.fits.hdus import Hdu
from speclens.read.fits.opening import open_fits
from speclens.read.sdss.checks import verify_hdus
from speclens.read.sdss.targets import (
    SAME_PLACE_ARCSEC,
    apart_arcsec,
    blank_targets,
    keep_what_the_file_knows,
    make_plausible,
)
from speclens.read.sdss.zbest import HINT, own_zbest, redshift_table, refuse_other_run
from speclens.read.sdssv.identity import (
    FieldIds,
    agreed,
    ids_of_field_name,
    ids_of_header,
    ids_of_rows,
)
from speclens.read.sdssv.targets import COLUMNS, field_targets_of, identify

__all__ = ["read_field_zbest"]

KEPT = ("SPECTRUM", "CATALOGID", "SDSS_ID", "MJD", "FIBERID")


def read_field_zbest(
    file: FitsFile, ids: FieldIds, rows: NDArray[np.void], index: NDArray[np.int64], verify: bool
) -> tuple[NDArray[np.void], NDArray[np.str_], int]:
    """Read the spZbest file of a field.

    Parameters
    ----------
    file : FitsFile
        The spField file.
    ids : FieldIds
        Its field and date.
    rows : structured array of shape (N,)
        What it knows of its targets.
    index : array of shape (N,)
        Their numbers, TARGET_INDEX; -1 where it states none.
    verify : bool
        Refuse data that disagree with their DATASUM.

    Returns
    -------
    targets : structured array of shape (N,)
        Catalogue rows in the order of `rows`.
    reasons : array of shape (N,)
        `bad_identity` for a target of which the two files disagree, else empty.
    flags : int
        Quality bits.

    Raises
    ------
    SpectrumFileError
        If there is no spZbest file, or it cannot be read, or it is of another field.
    """
    with open_fits(own_zbest(file)) as zbest:
        # FIBERID counts targets there.
        hdu, columns = redshift_table(zbest, [name for name in COLUMNS if name != "FIBERID"])
        flags = verify_hdus(zbest, [zbest.hdus[0], hdu], verify)
        found = field_targets_of(zbest, hdu, columns)
        make_plausible(found)
        _refuse_another(zbest, hdu, ids, found)
        refuse_other_run(file, zbest)
        targets = found[_order(zbest, hdu, columns.get("TARGET_INDEX"), index, len(found))]
        differ = _differ(targets, rows)
        if 2 * differ.sum() > np.count_nonzero(rows["OBJTYPE"] != "SKY"):
            i = int(np.flatnonzero(differ)[0])
            zbest.fail("bad_identity", _difference(i, targets, rows), hdu.index, HINT)
    # Which of two identifiers is right is not chosen, nor of two fibres.
    other = (targets["FIBERID"] > 0) & (targets["FIBERID"] != rows["FIBERID"])
    unknown = blank_targets(1)
    identify(unknown, ids)
    for name in KEPT:
        targets[name] = np.where(differ, unknown[name], rows[name])
    targets["FIBERID"][other] = -1
    keep_what_the_file_knows(targets, rows)
    return targets, np.where(differ, "bad_identity", "").astype("U24"), flags


def _refuse_another(zbest: FitsFile, hdu: Hdu, ids: FieldIds, rows: NDArray[np.void]) -> None:
    """Refuse redshifts of another field or date."""
    _, contradiction = agreed(
        {
            "the spField file": ids,
            "the header": ids_of_header(zbest.hdus[0].header)[0],
            "the file's name": ids_of_field_name(zbest.path),
            "all rows": ids_of_rows(rows).of_field,
        }
    )
    if contradiction:
        zbest.fail("bad_identity", contradiction, hdu.index, HINT)


def _order(
    zbest: FitsFile,
    hdu: Hdu,
    stated: NDArray[np.integer] | None,
    index: NDArray[np.int64],
    n_found: int,
) -> NDArray[np.intp]:
    """Row of each target, shape (N,)."""
    if stated is None or (index < 1).any():
        if n_found != len(index):
            zbest.fail("bad_identity", f"{n_found} rows for {len(index)} targets", hdu.index, HINT)
        return np.arange(n_found)
    unique, first = np.unique(stated, return_index=True)
    place = np.searchsorted(unique, index).clip(0, len(unique) - 1)
    strange = unique[place] != index if len(unique) else np.ones(len(index), bool)
    if strange.any() or len(unique) < n_found:
        what = f"no row of TARGET_INDEX {index[strange][0]}" if strange.any() else "a row twice"
        zbest.fail("bad_identity", f"{what} of the spField file", hdu.index, HINT)
    return np.asarray(first[place])


def _differ(found: NDArray[np.void], rows: NDArray[np.void]) -> NDArray[np.bool_]:
    """Say of which targets the files disagree, shape (N,); of sky fibres nothing is used.

    Places are compared where the identifiers are not known: a robot's fibre is not where the target
    was when it was catalogued.
    """
    named = (found["CATALOGID"] > 0) & (rows["CATALOGID"] > 0)
    apart = apart_arcsec(found, rows) > SAME_PLACE_ARCSEC
    differ = np.where(named, found["CATALOGID"] != rows["CATALOGID"], apart)
    return np.asarray(differ & (rows["OBJTYPE"] != "SKY"))


def _difference(i: int, found: NDArray[np.void], rows: NDArray[np.void]) -> str:
    places = [
        f"CATALOGID {row['CATALOGID']} at {row['RA']:.5f} {row['DEC']:+.5f}"
        for row in (found[i], rows[i])
    ]
    return f"row {i} is of {places[0]}; the plug map has {places[1]}"
