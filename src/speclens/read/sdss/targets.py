"""Catalogue rows of any SDSS table as `TARGET_DTYPE`, whatever its columns are called.

In: columns by upper-case name (spZbest, SPALL, SPECOBJ, a survey catalogue). Out: target rows.
Which targets are searched is left to `speclens.sample.selection`.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.read.sdss.identity import ID_LIMITS, targetid
from speclens.read.values import numbers, texts, whole
from speclens.spectra import TARGET_DTYPE, unit_vectors

__all__ = [
    "CATALOGUE_COLUMNS",
    "SAME_PLACE_ARCSEC",
    "TEXT_COLUMNS",
    "apart_arcsec",
    "blank_targets",
    "identify",
    "keep_what_the_file_knows",
    "make_plausible",
    "mark_lost_fibres",
    "missing_columns",
    "targets_as_stated",
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
    "SUBCLASS_NOQSO": ("SUBCLASS_NOQSO", "SUBCLASS"),
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

SAME_PLACE_ARCSEC = 3.0
"""Farthest that two sources may place one fibre apart: the width of a fibre."""

LIMITS = {
    "Z": (-0.1, 20.0),
    "Z_NOQSO": (-0.1, 20.0),
    "VDISP": (1.0, 1000.0),
    "VDISP_ERR": (0.0, 1000.0),
    "MAG_I": (0.0, 30.0),
}
"""What is measured lies between these: redshifts, km/s, magnitudes. The survey writes 0, -9999 and
the like where it knows none. No star comes at 10 % of the speed of light, and no galaxy is known
beyond redshift 15."""

ZWARNING_SKY = 1 << 0
"""Bit that the pipeline sets for sky fibres."""

ZWARNING_LOST = 1 << 7 | 1 << 8 | 1 << 9
"""Bits for fibres that were not plugged, or hold no data."""

MAX_ZWARNING = np.iinfo(np.int32).max

CATALOGUE_COLUMNS = tuple(
    dict.fromkeys([*(name for names in ALIASES.values() for name in names), *MAGNITUDES])
)
"""Every column that is looked for in a catalogue."""

REQUIRED = ("CLASS", "Z")

BLANK = np.zeros(1, TARGET_DTYPE)
BLANK[["TARGETID", "PLATE", "MJD", "FIBERID", "CATALOGID", "SDSS_ID"]] = -1
for _name in ("RA", "DEC", "Z", "Z_NOQSO", "VDISP", "VDISP_ERR", "MAG_I"):
    BLANK[_name] = np.nan


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
    return np.repeat(BLANK, n_targets)


def missing_columns(columns: Container[str]) -> list[str]:
    """Name the columns that a catalogue must have and lacks.

    Parameters
    ----------
    columns : container of str
        Columns, by upper-case name.

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
        Columns by upper-case name. A column of magnitudes of another shape counts as missing.

    Returns
    -------
    structured array of shape (N,)
        The rows. What is missing, no number or no value that can be is unknown, as in
        `blank_targets`; a ZWARNING that can be none warns of nothing. Where any of OBJTYPE and
        SOURCETYPE says SKY, OBJTYPE says SKY.

    Raises
    ------
    ValueError
        If a column has another type or shape than its field.
    """
    targets = targets_as_stated(columns)
    make_plausible(targets)
    return targets


def targets_as_stated(columns: Mapping[str, NDArray[np.generic]]) -> NDArray[np.void]:
    """Make target rows that `make_plausible` has still to see.

    For readers of many files, which show it the rows of all at once.

    Parameters
    ----------
    columns : mapping of str to array of shape (N,)
        As for `targets_from_columns`.

    Returns
    -------
    structured array of shape (N,)
        The rows, without TARGETID.

    Raises
    ------
    ValueError
        If a column has another type or shape than its field.
    """
    n_targets = len(next(iter(columns.values()), ()))
    targets = blank_targets(n_targets)
    # A number beyond single precision becomes infinite, and so unknown.
    with np.errstate(over="ignore"):
        for field, names in ALIASES.items():
            for name in names:
                if name in columns:
                    targets[field] = _read(field, name, columns, n_targets)
                    break
        targets["MAG_I"] = _i_magnitudes(columns, n_targets)
    for name in SKY_TYPES:
        if name in columns:
            is_sky = np.char.upper(_read("OBJTYPE", name, columns, n_targets)) == "SKY"
            targets["OBJTYPE"][is_sky] = "SKY"
    return targets


def make_plausible(targets: NDArray[np.void]) -> None:
    """Make measured values that cannot be unknown, and give TARGETIDs.

    Parameters
    ----------
    targets : structured array of shape (N,)
        Rows as stated, changed in place: what lies not between its `LIMITS`, and a position that is
        not on the sky, becomes NaN; a right ascension of 360 becomes 0. Blank fields of the fit
        without quasars become those of the fit with them.
    """
    _fill_blank_noqso(targets)
    for field, (low, high) in LIMITS.items():
        values = targets[field]
        # NaN fails every comparison.
        values[~((values > low) & (values < high))] = np.nan
    ra, dec = targets["RA"], targets["DEC"]
    off = ~((ra >= 0) & (ra <= 360) & (dec >= -90) & (dec <= 90))
    ra[off] = dec[off] = np.nan
    ra[ra == 360] = 0
    identify(targets, targets["PLATE"], targets["MJD"], targets["FIBERID"])


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
        The identifiers, -1 where unknown.
    """
    targets["PLATE"], targets["MJD"], targets["FIBERID"] = plate, mjd, fiberid
    targets["TARGETID"] = targetid(targets["PLATE"], targets["MJD"], targets["FIBERID"])


def apart_arcsec(one: NDArray[np.void], other: NDArray[np.void]) -> NDArray[np.float64]:
    """Return how far apart targets are said to be by two sources.

    Parameters
    ----------
    one, other : structured arrays of shape (N,)
        Rows of the same targets.

    Returns
    -------
    array of shape (N,)
        Arcsec; NaN where either place is unknown.
    """
    chord = np.linalg.norm(unit_vectors(one) - unit_vectors(other), axis=1)
    return np.asarray(np.degrees(2 * np.arcsin(chord / 2)) * 3600, np.float64)


def keep_what_the_file_knows(targets: NDArray[np.void], file: NDArray[np.void]) -> None:
    """Complete catalogue rows with what the survey file says of its own spectra.

    Parameters
    ----------
    targets : structured array of shape (N,)
        Rows of a catalogue, changed in place: a sky fibre stays one whatever the catalogue says,
        and a position, a magnitude or an SDSS_ID that it lacks is filled in.
    file : structured array of shape (N,)
        Rows of the same spectra from their file.
    """
    targets["ZWARNING"] |= file["ZWARNING"] & ZWARNING_SKY
    targets["OBJTYPE"] = np.where(file["OBJTYPE"] != "", file["OBJTYPE"], targets["OBJTYPE"])
    targets["SDSS_ID"] = np.where(targets["SDSS_ID"] > 0, targets["SDSS_ID"], file["SDSS_ID"])
    for name in ("RA", "DEC", "MAG_I"):
        targets[name] = np.where(np.isfinite(targets[name]), targets[name], file[name])


def mark_lost_fibres(targets: NDArray[np.void]) -> None:
    """Let OBJTYPE say what the pipeline's warnings say of the fibre.

    Parameters
    ----------
    targets : structured array of shape (N,)
        Rows with all that file and catalogue know, changed in place: OBJTYPE is `SKY` where either
        says so, else `UNPLUGGED` where there was no light to be had.
    """
    sky = (targets["ZWARNING"] & ZWARNING_SKY) != 0
    lost = (targets["ZWARNING"] & ZWARNING_LOST) != 0
    targets["OBJTYPE"][lost & (targets["OBJTYPE"] != "SKY")] = "UNPLUGGED"
    targets["OBJTYPE"][sky] = "SKY"


def _fill_blank_noqso(targets: NDArray[np.void]) -> None:
    """Let the plain columns stand where SDSS-I/II left those without quasars blank."""
    z = targets["Z_NOQSO"]
    blank = (targets["CLASS_NOQSO"] == "") & ((z == 0) | np.isnan(z))
    for name in ("CLASS", "SUBCLASS", "Z", "ZWARNING"):
        targets[f"{name}_NOQSO"][blank] = targets[name][blank]


def _read(
    field: str, name: str, columns: Mapping[str, NDArray[np.generic]], n_targets: int
) -> NDArray[Any]:
    column = columns[name]
    if isinstance(column, np.ma.MaskedArray):
        column = np.ma.filled(column.astype(np.float64), np.nan)
    if column.shape != (n_targets,):
        raise ValueError(f"{name} has shape {column.shape}, not one value a row")
    try:
        return READ[field](field, column)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: {error}") from error


def _read_id(field: str, column: NDArray[Any]) -> NDArray[Any]:
    return whole(column, ID_LIMITS[field])


def _read_bits(_: str, column: NDArray[Any]) -> NDArray[Any]:
    return np.maximum(whole(column, (0, MAX_ZWARNING)), 0)


def _read_number(_: str, column: NDArray[Any]) -> NDArray[Any]:
    return numbers(column)


def _read_text(field: str, column: NDArray[Any]) -> NDArray[Any]:
    found = texts(column, TEXT_WIDTHS[field])
    change = str.lower if field == "PLATEQUALITY" else str.upper
    listed = found.tolist()
    changed = {text: change(text) for text in set(listed)}
    return np.array([changed[text] for text in listed], found.dtype)


TEXT_WIDTHS = {
    name: TARGET_DTYPE[name].itemsize // np.dtype("U1").itemsize
    for name in ALIASES
    if TARGET_DTYPE[name].kind == "U"
}

TEXT_COLUMNS = frozenset(name for field in TEXT_WIDTHS for name in ALIASES[field])
"""Columns that are read as text."""

READ: dict[str, Callable[[str, NDArray[Any]], NDArray[Any]]] = {
    **dict.fromkeys(ID_LIMITS, _read_id),
    **dict.fromkeys(("ZWARNING", "ZWARNING_NOQSO"), _read_bits),
    **dict.fromkeys(("RA", "DEC", "Z", "Z_NOQSO", "VDISP", "VDISP_ERR"), _read_number),
    **dict.fromkeys(TEXT_WIDTHS, _read_text),
}
"""How the column of each field is read."""


def _i_magnitudes(
    columns: Mapping[str, NDArray[np.generic]], n_targets: int
) -> NDArray[np.float64]:
    """Magnitudes in i of the first column that can hold them, shape (N,); NaN where none can."""
    for name in MAGNITUDES:
        column = np.ma.filled(columns.get(name, ()), 0)
        if column.shape == (n_targets, N_BANDS) and column.dtype.kind in "fiu":
            return numbers(column[:, I_BAND])
        if name.endswith("_I") and column.shape == (n_targets,) and column.dtype.kind in "fiuU":
            try:
                return numbers(column)
            except ValueError:
                break
    return np.full(n_targets, np.nan)
