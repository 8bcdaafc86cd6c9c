"""Catalogue rows of any SDSS table as `TARGET_DTYPE`, whatever its columns are called.

In: columns by upper-case name (spZbest, SPALL, SPECOBJ, a survey catalogue). Out: target rows.
Which targets are searched is left to `speclens.sample.selection`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from speclens.spectra import TARGET_DTYPE, ZWARNING_SKY, targetid

__all__ = [
    "CATALOGUE_COLUMNS",
    "MAX_ID",
    "blank_targets",
    "identify",
    "missing_columns",
    "targets_from_columns",
]

ALIASES = {
    "PLATE": ("PLATE", "PLATEID"),
    "MJD": ("MJD",),
    "FIBERID": ("FIBERID", "FIBER"),
    "RA": ("PLUG_RA", "PLUGRA", "RA"),
    "DEC": ("PLUG_DEC", "PLUGDEC", "DEC"),
    "Z": ("Z",),
    "ZWARNING": ("ZWARNING",),
    "CLASS": ("CLASS",),
    "SUBCLASS": ("SUBCLASS",),
    "Z_NOQSO": ("Z_NOQSO", "Z"),
    "ZWARNING_NOQSO": ("ZWARNING_NOQSO", "ZWARNING"),
    "CLASS_NOQSO": ("CLASS_NOQSO", "CLASS"),
    "OBJTYPE": ("OBJTYPE", "SOURCETYPE"),
    "PLATEQUALITY": ("PLATEQUALITY",),
    "VDISP": ("VDISP",),
    "VDISP_ERR": ("VDISP_ERR",),
}
"""Names that each field goes by, the preferred first; SDSS-I has no *_NOQSO columns."""

SKY_TYPES = ("OBJTYPE", "SOURCETYPE")

MAGNITUDES = ("FIBER2MAG", "FIBER2MAG_I", "MAG_I", "FIBERMAG", "FIBERMAG_I", "MAG")
"""Columns with the magnitude within the fibre, the preferred first: of BOSS's fibre of 2 arcsec, of
SDSS-I/II's of 3, of a plug map. Those that end in _I hold i alone, the others u g r i z."""

N_BANDS, I_BAND = 5, 3
MAG_LIMITS = (0.0, 30.0)
"""Magnitudes lie between these; the survey writes 0, -9999 and the like where it knows none."""

CATALOGUE_COLUMNS = tuple(
    dict.fromkeys([*(name for names in ALIASES.values() for name in names), *MAGNITUDES])
)
"""Every column that is looked for in a catalogue."""

REQUIRED = ("CLASS", "Z")
IDS = ("PLATE", "MJD", "FIBERID")

MAX_ID = np.iinfo(np.int32).max
"""Largest plate, date or fibre that the products hold."""


def blank_targets(n_targets: int) -> NDArray[np.void]:
    """Return target rows of which nothing is known.

    Parameters
    ----------
    n_targets : int
        Number of rows N.

    Returns
    -------
    structured array of shape (N,)
        Ids are -1, numbers NaN, texts empty.
    """
    targets = np.zeros(n_targets, TARGET_DTYPE)
    for name in ("TARGETID", "PLATE", "MJD", "FIBERID"):
        targets[name] = -1
    for name in ("RA", "DEC", "Z", "Z_NOQSO", "VDISP", "VDISP_ERR", "MAG_I"):
        targets[name] = np.nan
    return targets


def missing_columns(columns: Mapping[str, object]) -> list[str]:
    """Name the columns that a catalogue must have and lacks.

    Parameters
    ----------
    columns : mapping
        Columns by upper-case name.

    Returns
    -------
    list of str
        Names; empty when all is there.
    """
    return [name for name in REQUIRED if name not in columns]


def targets_from_columns(columns: Mapping[str, NDArray[np.generic]]) -> NDArray[np.void]:
    """Make target rows of a catalogue's columns.

    Parameters
    ----------
    columns : mapping of str to array of shape (N,)
        Columns by upper-case name; those that are missing, and empty texts, stay blank. A column of
        magnitudes of another shape counts as missing.

    Returns
    -------
    structured array of shape (N,)
        The rows. Where any of OBJTYPE and SOURCETYPE says SKY, OBJTYPE says SKY.

    Raises
    ------
    ValueError
        If a column has another type or shape than its field, or an identifier has too many digits.
    """
    n_targets = len(next(iter(columns.values()), ()))
    targets = blank_targets(n_targets)
    for field, names in ALIASES.items():
        name = next((n for n in names if n in columns), None)
        if name is None:
            continue
        column = columns[name]
        if column.shape != (n_targets,):
            raise ValueError(f"{name} holds {column.shape[1:]} values a row")
        known: NDArray[np.bool_] | slice = slice(None)
        if isinstance(column, np.ma.MaskedArray):
            column, known = column.data, ~np.ma.getmaskarray(column)
        elif column.dtype.kind == "U":
            known = column != ""
        if field in IDS and (column[known].astype(np.float64) > MAX_ID).any():
            raise ValueError(f"{name} above {MAX_ID}")
        targets[field][known] = column[known]
    for name in SKY_TYPES:
        if name in columns:
            targets["OBJTYPE"][np.char.upper(columns[name].astype("U16")) == "SKY"] = "SKY"
    targets["MAG_I"] = _i_magnitudes(columns, n_targets)
    identify(targets, targets["PLATE"], targets["MJD"], targets["FIBERID"])
    return targets


def identify(
    targets: NDArray[np.void],
    plate: NDArray[np.integer] | int,
    mjd: NDArray[np.integer] | int,
    fiberid: NDArray[np.integer] | int,
) -> None:
    """Set the identifiers of target rows.

    Parameters
    ----------
    targets : structured array of shape (N,)
        Changed in place.
    plate, mjd, fiberid : array of shape (N,) or int
        The identifiers; where any is negative, TARGETID stays -1.
    """
    targets["PLATE"], targets["MJD"], targets["FIBERID"] = plate, mjd, fiberid
    known = (targets["PLATE"] >= 0) & (targets["MJD"] >= 0) & (targets["FIBERID"] >= 0)
    targets["TARGETID"] = np.where(known, targetid(plate, mjd, fiberid), -1)


def keep_what_the_file_knows(targets: NDArray[np.void], file: NDArray[np.void]) -> None:
    """Complete catalogue rows with what the survey file says of its own spectra.

    Parameters
    ----------
    targets : structured array of shape (N,)
        Rows of a catalogue, changed in place: a sky fibre stays one whatever the catalogue says,
        and a position or a magnitude that it lacks is filled in.
    file : structured array of shape (N,)
        Rows of the same spectra from their file.
    """
    targets["ZWARNING"] |= file["ZWARNING"] & ZWARNING_SKY
    targets["OBJTYPE"] = np.where(file["OBJTYPE"] != "", file["OBJTYPE"], targets["OBJTYPE"])
    for name in ("RA", "DEC", "MAG_I"):
        targets[name] = np.where(np.isfinite(targets[name]), targets[name], file[name])


def _i_magnitudes(
    columns: Mapping[str, NDArray[np.generic]], n_targets: int
) -> NDArray[np.float64]:
    """Magnitudes in i of the first column that can hold them, shape (N,); NaN where unknown."""
    for name in MAGNITUDES:
        column = np.ma.filled(columns.get(name, ()), 0)
        if column.shape == (n_targets, N_BANDS) and column.dtype.kind in "fiu":
            magnitude = column[:, I_BAND].astype(np.float64)
        elif name.endswith("_I") and column.shape == (n_targets,) and column.dtype.kind in "fiuU":
            magnitude = _numbers(column)
        else:
            continue
        low, high = MAG_LIMITS
        return np.where((magnitude > low) & (magnitude < high), magnitude, np.nan)
    return np.full(n_targets, np.nan)


def _numbers(column: NDArray[np.generic]) -> NDArray[np.float64]:
    """Numbers of a column that may be text; NaN where it says something else."""
    try:
        return column.astype(np.float64)
    except ValueError:
        return np.array([_number(text) for text in column.tolist()], np.float64)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan
