"""Catalogue rows of DESI's tables as `TARGET_DTYPE`: FIBERMAP, REDSHIFTS.

In: columns by upper-case name. Out: target rows. SPECTYPE, SUBTYPE and ZWARN mean what CLASS,
SUBCLASS and ZWARNING mean in SDSS's tables, down to the bits of a fibre that saw no light.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.read.desi import INSTRUMENT
from speclens.read.fits.file import FitsFile
from speclens.read.fits.hdus import Hdu
from speclens.read.sdss.lookup import Key
from speclens.read.sdss.targets import targets_from_columns

__all__ = ["FIBERMAP", "REDSHIFTS", "TARGET_KEY", "fibermap_targets", "read_columns", "redshifts"]

Columns = Mapping[str, NDArray[Any]]

COADD_STATUS, STATUS = "COADD_FIBERSTATUS", "FIBERSTATUS"
"""Bits of the fibre: of all exposures of a target, and of a single one."""

FLUXES = ("FIBERFLUX_R", "FIBERFLUX_Z")
FIBERMAP = ("TARGETID", "TARGET_RA", "TARGET_DEC", "OBJTYPE", COADD_STATUS, STATUS, *FLUXES)
"""Columns that are read of the table of the same name."""

REDSHIFTS = {
    "TARGETID": "TARGETID", "Z": "Z", "ZWARN": "ZWARNING", "SPECTYPE": "CLASS",
    "SUBTYPE": "SUBCLASS",
}  # fmt: skip
"""The same, with what SDSS calls each."""

SHARE_Z = 0.53
"""Where the band i lies between r and z, by the logarithm of wavelength: 6420, 7790, 9260."""

ZERO_POINT = 22.5
"""Magnitude of a flux of one nanomaggy."""

TARGETS_TOGETHER = 1 << 22
"""Targets of a brick of the sky, whose numbers follow each other."""

TARGET_KEY = Key(
    lambda rows: (rows["TARGETID"], rows["TARGETID"] != -1),
    lambda rows: rows["TARGETID"].copy(),
    TARGETS_TOGETHER,
    ("TARGETID", "SPECTRUM"),
)
"""TARGETID; catalogues hold none that is negative, of a fibre without a target."""


def read_columns(file: FitsFile, hdu: Hdu, names: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """Read columns of a table of targets.

    Parameters
    ----------
    file : FitsFile
        The file.
    hdu : Hdu
        Its table.
    names : tuple of str
        Columns; those that the table lacks are left out.

    Returns
    -------
    dict of str to array of shape (N,)
        The columns, TARGETID as whole numbers of 64 bits.

    Raises
    ------
    SpectrumFileError
        If there is no TARGETID, or it holds no whole numbers.
    """
    columns = file.table(hdu, names)
    ids = columns.get("TARGETID")
    if ids is None:
        file.fail("missing_column", f"{hdu.name}: no TARGETID", hdu.index, "fetch the file again")
    if ids.dtype.kind != "i" or ids.ndim != 1:
        file.fail(
            "bad_header", f"{hdu.name}: TARGETID holds {ids.dtype}; its digits need whole numbers "
            "of 64 bits", hdu.index, "fetch the file again",
        )  # fmt: skip
    columns["TARGETID"] = np.ma.filled(ids.astype(np.int64), -1)
    return columns


def fibermap_targets(file: FitsFile, hdu: Hdu, columns: Columns) -> NDArray[np.void]:
    """Make target rows of the fibre map.

    Parameters
    ----------
    file : FitsFile
        The file, to blame.
    hdu : Hdu
        The table.
    columns : mapping of str to array of shape (N,)
        Its columns.

    Returns
    -------
    structured array of shape (N,)
        The rows. OBJTYPE is `SKY` of sky fibres, `UNPLUGGED` of stuck ones, of those without a
        target and of those whose status rules them out.

    Raises
    ------
    SpectrumFileError
        If a column is of another type or shape than it should be.
    """
    known = {"RA": "TARGET_RA", "DEC": "TARGET_DEC", "OBJTYPE": "OBJTYPE"}
    try:
        rows = _targets(columns, {name: own for name, own in known.items() if own in columns})
        rows["MAG_I"] = _i_magnitudes(columns, len(rows))
        status = _status(columns, len(rows))
    except (TypeError, ValueError) as error:
        file.fail("bad_header", f"columns of another type or shape: {error}", hdu.index)
    is_target = rows["OBJTYPE"] == "TGT" if "OBJTYPE" in columns else rows["TARGETID"] >= 0
    lost = ~is_target | INSTRUMENT.is_lost(status)
    rows["OBJTYPE"][lost & (rows["OBJTYPE"] != "SKY")] = "UNPLUGGED"
    return rows


def redshifts(file: FitsFile, hdu: Hdu, columns: Columns) -> NDArray[np.void]:
    """Make target rows of a table of redshifts.

    Parameters
    ----------
    file : FitsFile
        The file, to blame.
    hdu : Hdu
        The table.
    columns : mapping of str to array of shape (N,)
        Its columns.

    Returns
    -------
    structured array of shape (N,)
        The rows.

    Raises
    ------
    SpectrumFileError
        If a column is missing, or of another type or shape than it should be.
    """
    missing = [name for name in ("Z", "SPECTYPE") if name not in columns]
    if missing:
        file.fail("missing_column", f"{hdu.name}: no {' and '.join(missing)}", hdu.index)
    names = {name: own for own, name in REDSHIFTS.items() if own in columns and own != "TARGETID"}
    try:
        return _targets(columns, names)
    except ValueError as error:
        file.fail("bad_header", f"columns of another type or shape: {error}", hdu.index)


def _targets(columns: Columns, names: Mapping[str, str]) -> NDArray[np.void]:
    """Make target rows of columns by the names that SDSS gives them."""
    rows = targets_from_columns(
        {"PLATE": np.full(len(columns["TARGETID"]), -1)}
        | {name: columns[own] for name, own in names.items()}
    )
    rows["TARGETID"] = columns["TARGETID"]
    return rows


def _status(columns: Columns, n_rows: int) -> NDArray[np.int64]:
    """Bits of the fibres, shape (N,); 0 where nothing is told."""
    name = COADD_STATUS if COADD_STATUS in columns else STATUS
    status = np.ma.filled(columns.get(name, np.zeros(n_rows, np.int64)), 0)
    if status.shape != (n_rows,) or status.dtype.kind not in "iu":
        raise ValueError(f"{name} holds {status.dtype} of shape {status.shape}, not bits")
    return status.astype(np.int64)


def _i_magnitudes(columns: Columns, n_rows: int) -> NDArray[np.float64]:
    """Magnitude in i of the light in the fibre, between r and z, shape (N,); NaN if unknown."""
    if any(name not in columns for name in FLUXES):
        return np.full(n_rows, np.nan)
    r, z = (np.ma.filled(columns[name].astype(np.float64), np.nan) for name in FLUXES)
    seen = (r > 0) & (z > 0)
    r, z = np.where(seen, r, 1), np.where(seen, z, 1)
    magnitude = ZERO_POINT - 2.5 * ((1 - SHARE_Z) * np.log10(r) + SHARE_Z * np.log10(z))
    return np.where(seen, magnitude, np.nan)
