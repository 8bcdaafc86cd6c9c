"""Classes and redshifts of a plate: its spZbest file, if it is of the same plate.

In: an open spPlate file and its fibres. Out: their catalogue rows. Two files belong together when
nothing that both know differs: plate, date, fibres, and where these point.
"""

from __future__ import annotations

import filecmp
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.errors import SpectrumFileError
from speclens.read.fits.file import FitsFile
from speclens.read.fits.hdus import Hdu
from speclens.read.fits.header import HeaderError
from speclens.read.fits.opening import open_fits
from speclens.read.sdss.checks import targets_of, verify_hdus
from speclens.read.sdss.fibres import refuse_repeats
from speclens.read.sdss.identity import Ids, agreed, ids_of_header, ids_of_name, ids_of_rows
from speclens.read.sdss.targets import (
    CATALOGUE_COLUMNS,
    SAME_PLACE_ARCSEC,
    apart_arcsec,
    identify,
    keep_what_the_file_knows,
    make_plausible,
    missing_columns,
)
from speclens.releases import fetch_line

__all__ = ["HINT", "find_zbest", "own_zbest", "read_zbest", "redshift_table", "refuse_other_run"]

ZBEST_TABLE = (("ZBEST", "SPZBEST"), 1)

HINT = "fetch the spZbest file of this plate, or give --catalogue"

OWN_NAME = re.compile("sp(Plate|Field|Fullsky)", re.IGNORECASE)
"""Beginning of the name of a file of spectra, for which that of its redshifts has spZbest."""


def read_zbest(
    file: FitsFile, ids: Ids, fibres: NDArray[np.void], verify: bool
) -> tuple[NDArray[np.void], NDArray[np.str_], int]:
    """Read the spZbest file of a plate.

    Parameters
    ----------
    file : FitsFile
        The spPlate file.
    ids : Ids
        Its plate and date.
    fibres : structured array of shape (N,)
        What it knows of its fibres. Identifiers that it lacks are filled in.
    verify : bool
        Refuse data that disagree with their DATASUM.

    Returns
    -------
    targets : structured array of shape (N,)
        Catalogue rows in the order of the fibres.
    reasons : array of shape (N,)
        `bad_identity` for a fibre of which the two files disagree, else empty.
    flags : int
        Quality bits.

    Raises
    ------
    SpectrumFileError
        If there is no spZbest file, or it cannot be read, or it is of another plate.
    """
    with open_fits(own_zbest(file)) as zbest:
        hdu, columns = redshift_table(zbest, CATALOGUE_COLUMNS)
        if len(columns["Z"]) != len(fibres):
            zbest.fail(
                "bad_identity", f"{len(columns['Z'])} rows for {len(fibres)} fibres",
                hdu.index, HINT,
            )  # fmt: skip
        flags = verify_hdus(zbest, [zbest.hdus[0], hdu], verify)
        rows = targets_of(zbest, hdu, columns)
        make_plausible(rows)
        ids = _agreed_ids(zbest, hdu, ids, rows)
        refuse_other_run(file, zbest)
        targets = rows[_order(zbest, hdu, rows["FIBERID"], fibres)]
        numbers = np.maximum(targets["FIBERID"], fibres["FIBERID"])
        differ = _differ(targets, fibres, ids)
        if 2 * differ.sum() > np.count_nonzero(fibres["OBJTYPE"] != "SKY"):
            first = int(np.flatnonzero(differ)[0])
            zbest.fail("bad_identity", _difference(targets[first], fibres[first]), hdu.index, HINT)
    identify(fibres, ids.plate, ids.mjd, numbers)
    identify(targets, ids.plate, ids.mjd, numbers)
    keep_what_the_file_knows(targets, fibres)
    quality = file.hdus[0].header.get("QUALITY", "")
    targets["PLATEQUALITY"] = np.where(
        targets["PLATEQUALITY"] != "", targets["PLATEQUALITY"], str(quality)
    )
    return targets, np.where(differ, "bad_identity", "").astype("U24"), flags


def redshift_table(zbest: FitsFile, names: Sequence[str]) -> tuple[Hdu, dict[str, NDArray[Any]]]:
    """Read the table of an spZbest file.

    Parameters
    ----------
    zbest : FitsFile
        The open file.
    names : sequence of str
        Columns that are wanted.

    Returns
    -------
    hdu : Hdu
        The table.
    columns : dict of str to array of shape (N,)
        Those that it has.

    Raises
    ------
    SpectrumFileError
        If it is not there, or lacks a column that no search can do without.
    """
    hdu = zbest.find(*ZBEST_TABLE)
    if hdu is None:
        zbest.fail("missing_hdu", "the table of redshifts (HDU 1) is not there", 1)
    columns = zbest.table(hdu, names)
    missing = missing_columns(columns)
    if missing:
        zbest.fail("missing_column", f"no {' and '.join(missing)}", hdu.index)
    return hdu, columns


def find_zbest(path: str) -> str | None:
    """Find the spZbest file of a plate.

    Parameters
    ----------
    path : str
        The spPlate file.

    Returns
    -------
    str or None
        The spZbest file beside it, in its RUN2D folder or in another subfolder; None when there is
        none, or when the plate cannot be read.
    """
    try:
        with open_fits(path) as file:
            found = _find(Path(path), file.hdus[0])
    except (SpectrumFileError, HeaderError):
        return None
    return str(found[0]) if found else None


def own_zbest(file: FitsFile) -> Path:
    """Find the spZbest file of a plate or a field.

    Parameters
    ----------
    file : FitsFile
        The file of its spectra.

    Returns
    -------
    Path
        The spZbest file.

    Raises
    ------
    SpectrumFileError
        If there is none, or several that differ.
    """
    paths = _find(Path(file.path), file.hdus[0])
    if not paths:
        file.fail(
            "no_catalogue", "no spZbest file beside it or in its RUN2D folder",
            hint=f"{_how_to_fetch(file.hdus[0])}, or give --catalogue",
        )  # fmt: skip
    for other in paths[1:]:
        if not filecmp.cmp(paths[0], other, shallow=False):
            file.fail(
                "bad_identity", f"{paths[0]} and {other} differ: which is this plate's?",
                hint="leave one of them, or give --catalogue",
            )  # fmt: skip
    return paths[0]


def _find(path: Path, flux: Hdu) -> list[Path]:
    """Find the spZbest file in the folder that the plate names; else all that are at hand."""
    names = [OWN_NAME.sub("spZbest", path.name.removesuffix(".gz"), count=1)]
    ids, _ = ids_of_header(flux.header)
    if ids.plate > 0 and ids.mjd > 0:
        names.append(f"spZbest-{ids.plate:04d}-{ids.mjd:05d}.fits")
    run2d = _run2d(flux)
    own = _in_folder(path.parent / run2d, names, path) if run2d else []
    if own:
        return own[:1]
    subfolders = sorted(p for p in path.parent.iterdir() if p.is_dir())
    folders = (path.parent, *subfolders)
    return [p for folder in folders for p in _in_folder(folder, names, path)[:1]]


def _in_folder(folder: Path, names: Sequence[str], plate: Path) -> list[Path]:
    tried = (folder / f"{name}{end}" for name in dict.fromkeys(names) for end in ("", ".gz"))
    return [path for path in tried if path != plate and path.is_file()]


def _run2d(hdu: Hdu) -> str:
    return str(hdu.header.get("RUN2D", "")).strip()


def _how_to_fetch(hdu: Hdu) -> str:
    ids, _ = ids_of_header(hdu.header)
    if ids.plate < 0 or ids.mjd < 0:
        return "fetch spZbest too"
    return f"get both: {fetch_line(f'{ids.plate:04d}-{ids.mjd:05d}', _run2d(hdu))}"


def _agreed_ids(zbest: FitsFile, hdu: Hdu, of_plate: Ids, rows: NDArray[np.void]) -> Ids:
    """Plate and date in which both files agree."""
    of_header, within = ids_of_header(zbest.hdus[0].header)
    ids, between = agreed(
        {
            "the spPlate file": of_plate,
            "the header": of_header.of_plate,
            "the file's name": ids_of_name(zbest.path),
            "all rows": ids_of_rows(rows).of_plate,
        }
    )
    if within or between:
        zbest.fail("bad_identity", within or between, hdu.index, HINT)
    return ids


def refuse_other_run(file: FitsFile, zbest: FitsFile) -> None:
    """Refuse redshifts of another version of the reduction.

    Parameters
    ----------
    file : FitsFile
        The file of the spectra.
    zbest : FitsFile
        Its spZbest file.

    Raises
    ------
    SpectrumFileError
        If both name their RUN2D, and it differs.
    """
    of_plate, of_zbest = _run2d(file.hdus[0]), _run2d(zbest.hdus[0])
    if of_plate and of_zbest and of_plate != of_zbest:
        zbest.fail(
            "bad_identity",
            f"RUN2D is {of_zbest}, and {of_plate} of the file of its spectra",
            0,
            HINT,
        )


def _order(
    zbest: FitsFile, hdu: Hdu, stated: NDArray[np.integer], fibres: NDArray[np.void]
) -> NDArray[np.intp]:
    """Row of each fibre, shape (N,); that of the same place where one file numbers no fibres."""
    refuse_repeats(zbest, hdu, stated)
    numbers = fibres["FIBERID"]
    in_place = np.arange(len(fibres))
    if (stated == numbers)[(stated > 0) & (numbers > 0)].all():
        return in_place
    order = np.argsort(stated, kind="stable")
    order = order[np.searchsorted(stated[order], numbers).clip(0, len(stated) - 1)]
    strange = (stated[order] != numbers) | (numbers < 0)
    if strange.any():
        zbest.fail(
            "bad_identity", f"no row of FIBERID {numbers[strange][0]} of the spPlate file",
            hdu.index, HINT,
        )  # fmt: skip
    return np.asarray(order)


def _differ(rows: NDArray[np.void], fibres: NDArray[np.void], ids: Ids) -> NDArray[np.bool_]:
    """Say of which fibres the files disagree, shape (N,); of sky fibres nothing is used."""
    differ = apart_arcsec(rows, fibres) > SAME_PLACE_ARCSEC
    for field, value in (("PLATE", ids.plate), ("MJD", ids.mjd)):
        differ |= (rows[field] > 0) & (value > 0) & (rows[field] != value)
    return np.asarray(differ & (fibres["OBJTYPE"] != "SKY"))


def _difference(row: np.void, fibre: np.void) -> str:
    places = [f"{r['RA']:.5f} {r['DEC']:+.5f}" for r in (fibre, row)]
    return (
        f"row of fibre {fibre['FIBERID']} is of plate {row['PLATE']}, date {row['MJD']}, at "
        f"{places[1]}; the plug map has it at {places[0]}, plate {fibre['PLATE']}, date "
        f"{fibre['MJD']}"
    )
