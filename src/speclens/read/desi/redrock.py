"""Classes and redshifts of a coadd: its redrock file, if it is of the same targets.

In: the file of the spectra and their target rows. Out: catalogue rows. Rows belong together by
TARGETID, in whatever order they stand.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speclens.read.desi.identity import group_of_name
from speclens.read.desi.targets import REDSHIFTS, TARGET_KEY, read_columns, redshifts
from speclens.read.fits.file import FitsFile
from speclens.read.fits.opening import open_fits
from speclens.read.sdss.checks import verify_hdus
from speclens.read.sdss.lookup import Catalogue
from speclens.releases import fetch_line

__all__ = ["find_redrock", "is_redrock", "read_redrock"]

OWN_NAME = re.compile(r"^(?:coadd|spectra)-", re.IGNORECASE)
TABLE = ("REDSHIFTS",)


def is_redrock(name: str) -> bool:
    """Say whether a file has the name of a redrock file."""
    return name.lower().startswith("redrock-")


def find_redrock(path: str) -> str | None:
    """Find the redrock file beside a file of spectra.

    Parameters
    ----------
    path : str
        The file of spectra.

    Returns
    -------
    str or None
        The file of the same name that begins with redrock; None where there is none.
    """
    own = Path(path)
    name = OWN_NAME.sub("redrock-", own.name).removesuffix(".gz")
    found = (own.with_name(name + end) for end in ("", ".gz") if name != own.name)
    return next((os.fspath(other) for other in found if other.is_file()), None)


def read_redrock(
    file: FitsFile, fibres: NDArray[np.void], verify: bool
) -> tuple[NDArray[np.void], NDArray[np.str_], NDArray[np.int32]]:
    """Read the redrock file of a file of spectra.

    Parameters
    ----------
    file : FitsFile
        The file of spectra.
    fibres : structured array of shape (N,)
        What it knows of its targets.
    verify : bool
        Refuse data that disagree with their DATASUM.

    Returns
    -------
    targets : structured array of shape (N,)
        Catalogue rows.
    reasons : array of shape (N,)
        As of `Catalogue.lookup`.
    flags : array of shape (N,)
        Quality bits.

    Raises
    ------
    SpectrumFileError
        If there is no redrock file, or it cannot be read, or knows none of the targets.
    """
    path = find_redrock(file.path)
    if path is None:
        file.fail(
            "no_catalogue", "no redrock file of the same name beside it",
            hint=f"{_how_to_fetch(file.path)}, or give --catalogue",
        )  # fmt: skip
    with open_fits(path) as redrock:
        hdu = redrock.find(TABLE, len(redrock.hdus))
        if hdu is None:
            redrock.fail(
                "missing_hdu", "REDSHIFTS, the table of redshifts, is not there", "REDSHIFTS",
                "fetch the file again",
            )  # fmt: skip
        columns = read_columns(redrock, hdu, tuple(REDSHIFTS))
        quality = verify_hdus(redrock, [redrock.hdus[0], hdu], verify)
        rows = redshifts(redrock, hdu, columns)
        targets, reasons, flags = Catalogue.of(rows, path, TARGET_KEY).lookup(fibres)
        aimed = np.flatnonzero(~np.isin(fibres["OBJTYPE"], ("SKY", "UNPLUGGED")))
        if len(aimed) and (reasons[aimed] == "not_in_catalogue").all():
            redrock.fail(
                "bad_identity", f"no row of TARGETID {fibres['TARGETID'][aimed[0]]}, row "
                f"{aimed[0]} of {os.path.basename(file.path)}, nor of any other of its "
                f"{len(aimed)} targets: it is of another file", hdu.index,
                "fetch the redrock file of these spectra, or give --catalogue",
            )  # fmt: skip
    return targets, reasons, flags | np.int32(quality)


def _how_to_fetch(path: str) -> str:
    stem = OWN_NAME.sub("", os.path.basename(path)).partition(".")[0]
    return f"get both: {fetch_line(stem)}" if group_of_name(path) else "fetch redrock too"
