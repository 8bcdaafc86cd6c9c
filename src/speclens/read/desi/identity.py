"""Which coadd a file of DESI is, and what its spectra are called.

In: names, headers, identifiers of targets. Out: the group of a file, and the text of the column
SPECTRUM: group and TARGETID. A target may be in several groups - the programs of the survey, the
tiles it was seen on - with a coadd of other exposures in each.
"""

from __future__ import annotations

import os
import re

import numpy as np
from numpy.typing import NDArray

from speclens.read.fits.header import Header
from speclens.read.sdss.identity import compared
from speclens.spectra import TARGET_DTYPE

__all__ = [
    "OWN_NAMES", "UNKNOWN_ID", "agreed_group", "group_of_name", "is_named_so", "spectrum_texts",
]  # fmt: skip

END = r"\.fits?(?:\.gz|\.fz)?$"
COADD_NAME = re.compile(rf"(?:coadd|spectra)-.+{END}", re.IGNORECASE | re.DOTALL)
HEALPIX = re.compile(rf"[a-z]+-([a-z]\w*)-([a-z]\w*)-\d+{END}", re.IGNORECASE | re.ASCII)
TILE = re.compile(rf"[a-z]+-\d-(\d+)-((?:thru)?\d{{8}}){END}", re.IGNORECASE | re.ASCII)

OWN_HEALPIX = rf"[a-z]+-(?:main|special|cmx|sv\d)-(?:dark|bright|backup|other)\w*-\d+{END}"
OWN_NAMES = rf"(?:{OWN_HEALPIX})|(?:{TILE.pattern})"
"""Names of healpixels, of the surveys and programs that there are, and of tiles: DESI's alone."""

UNKNOWN_ID = -1

LONGEST_GROUP = TARGET_DTYPE["SPECTRUM"].itemsize // 4 - len(f"-{-(1 << 63)}")
"""Beside a longer one the digits of a target would find no room."""


def is_named_so(name: str) -> bool:
    """Say whether a file has the name of spectra of DESI.

    Parameters
    ----------
    name : str
        Its name, without folders.

    Returns
    -------
    bool
        True for `coadd-*` and `spectra-*`.
    """
    return bool(COADD_NAME.match(name))


def group_of_name(path: str) -> str:
    """Return the group in the name of a file.

    Parameters
    ----------
    path : str
        A file.

    Returns
    -------
    str
        SURVEY-PROGRAM of a healpix, TILE-thruNIGHT of a tile, as `main-dark` or
        `80613-thru20210324`; empty where the name tells none.
    """
    match = HEALPIX.match(os.path.basename(path)) or TILE.match(os.path.basename(path))
    return f"{match[1]}-{match[2]}".lower() if match else ""


def agreed_group(path: str, header: Header) -> tuple[str, str]:
    """Compare the group in the name of a file with that in its header.

    Parameters
    ----------
    path : str
        The file.
    header : Header
        Its first header, which tells of a healpix.

    Returns
    -------
    group : str
        The group; empty where it is unknown.
    contradiction : str
        What disagrees; empty when nothing does.
    """
    stated = [str(header.get(key, "")).strip().lower() for key in ("SURVEY", "PROGRAM")]
    of_healpix = str(header.get("SPGRP", "")).strip().lower() == "healpix"
    of_header = "-".join(stated) if of_healpix and all(stated) else ""
    places = {"the header": (of_header,), "the file's name": (group_of_name(path),)}
    (group,), contradiction = compared(("group",), ("",), places)
    return group, contradiction


def spectrum_texts(group: str, targetids: NDArray[np.int64]) -> list[str]:
    """Name spectra.

    Parameters
    ----------
    group : str
        The group of their file; empty where it is unknown. One of more than 19 letters, of which no
        file of DESI is, is left out.
    targetids : array of shape (N,)
        Identifiers of the targets, of any sign; -1 where unknown.

    Returns
    -------
    list of str
        GROUP-TARGETID, or TARGETID; empty where it is unknown which.
    """
    prefix = f"{group}-" if 0 < len(group) <= LONGEST_GROUP else ""
    return ["" if i == UNKNOWN_ID else f"{prefix}{i}" for i in targetids.tolist()]
