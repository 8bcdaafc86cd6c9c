"""What the cells of a list of published systems say: spectra, redshifts, names.

In: columns. Out: identifiers, redshifts and names that a table of the package can hold.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.read.table.cells import (
    BLANK,
    ID_LIMITS,
    IDS,
    SIGNS,
    floats,
    specobj_ids,
    texts,
    wholes,
)
from speclens.schema import KNOWN, dtype_of, text_width

__all__ = ["name_of", "redshifts", "spectra"]

SPECTRUM_NAME = re.compile(r"\s*(?:[A-Za-z]+[ -])?0*(\d{1,5})-(\d{5})-0*(\d{1,4})\s*")
NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(?:(?:±|\+/-|\\pm|\().*)?")
SEVERAL = re.compile(r"\s*(?:[|§;/&]|,(?!\d+$)|\bor\b|\band\b)\s*", re.IGNORECASE)
"""What parts several redshifts in a cell; `2,45` may be one, and is not read."""
Z_MAX = 20.0
"""No source has a higher redshift; tables write 99 and the like where they know none."""

NAME_WIDTH = text_width(np.empty(0, dtype_of(KNOWN)), "NAME")

Cells = NDArray[Any]


def spectra(
    cells: Mapping[str, Cells], names: Sequence[str]
) -> tuple[NDArray[np.int64], dict[str, NDArray[np.bool_]]]:
    """Read plate, date and fibre of each row.

    Parameters
    ----------
    cells : mapping of str to array of shape (N,)
        Columns by field; of `IDS`, SPECTRUM and SPECOBJID those that the table has.
    names : sequence of str
        Names of the N systems, which may be those of their spectra.

    Returns
    -------
    ids : array of shape (N, 3)
        The identifiers; -1 where any of them is unknown.
    bad : dict of str to array of shape (N,)
        By field, cells that say something and are no identifier.
    """
    ids = np.full((len(names), len(IDS)), -1, np.int64)
    bad = {}
    if all(name in cells for name in IDS):
        for i, name in enumerate(IDS):
            ids[:, i], bad[name] = wholes(cells[name])
    ids[((ids < 1) | (ids >= ID_LIMITS)).any(axis=1)] = -1
    for texts_of in (texts(cells["SPECTRUM"]) if "SPECTRUM" in cells else [], names):
        for i in np.flatnonzero(ids[: len(texts_of), 0] < 0).tolist():
            match = SPECTRUM_NAME.fullmatch(texts_of[i].translate(SIGNS))
            if match:
                ids[i] = [int(number) for number in match.groups()]
    if "SPECOBJID" in cells:
        decoded, bad["SPECOBJID"] = specobj_ids(cells["SPECOBJID"])
        ids = np.where(ids[:, :1] > 0, ids, decoded)
    ids[(ids < 1).any(axis=1)] = -1
    return ids, bad


def redshifts(
    column: Cells,
) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.bool_]]:
    """Read the redshifts of each row, of which there may be several (`0.6 | 0.64 | nan`).

    Parameters
    ----------
    column : array of shape (N,)
        The cells.

    Returns
    -------
    z : array of shape (M,)
        The redshifts; a row without one has NaN.
    rows : array of shape (M,)
        The row of each, in order.
    bad : array of shape (N,)
        Cells of which a part says something and is no redshift.
    """
    z, odd = floats(column)
    bad = z >= Z_MAX
    z[bad | (z <= 0)] = np.nan
    if not odd.any():
        return z, np.arange(len(z)), bad
    several = [[value] for value in z.tolist()]
    where = np.flatnonzero(odd)
    for i, cell in zip(where.tolist(), texts(column[where]), strict=True):
        several[i], bad[i] = _parted(cell)
    rows = np.repeat(np.arange(len(z)), [len(values) for values in several])
    return np.array([value for values in several for value in values]), rows, bad


def _parted(cell: str) -> tuple[list[float], bool]:
    """Return the redshifts in a cell, and whether a part of it is none; [NaN] for none at all."""
    parts = [part for part in SEVERAL.split(cell) if part.strip().lower() not in BLANK]
    matches = [NUMBER.fullmatch(part) for part in parts]
    values = [float(match[1]) for match in matches if match]
    kept = [*dict.fromkeys(z for z in values if 0 < z < Z_MAX)]
    return kept or [np.nan], None in matches or any(z >= Z_MAX for z in values)


def name_of(name: str, spectrum: NDArray[np.integer], ra: float, dec: float) -> tuple[str, bool]:
    """Name a system in the characters and the width of its column; say if that changed it.

    Parameters
    ----------
    name : str
        The list's name.
    spectrum : array of shape (3,)
        Plate, date and fibre; -1 where unknown.
    ra, dec : float
        Position, degrees.

    Returns
    -------
    name : str
        Of several names (`26 | J0837+4937`) the first with a letter. A system without one goes by
        its spectrum or its position, because an empty name is that of no system.
    changed : bool
        True where characters were folded or cut off.
    """
    plain = name.isascii() and name.isprintable() and "|" not in name
    if plain and 0 < len(name) <= NAME_WIDTH:
        return name, False
    parts = [part.strip() for part in re.split("[|§]", name)]
    parts = [part for part in parts if part.lower() not in BLANK]
    given = next((part for part in parts if any(map(str.isalpha, part))), (*parts, "")[0])
    kept = _folded(given)[:NAME_WIDTH].strip()
    if kept:
        return kept, kept != given
    by_spectrum = "-".join(map(str, spectrum.tolist()))
    return by_spectrum if spectrum[0] > 0 else f"{ra:.5f}{dec:+.5f}", bool(given)


def _folded(text: str) -> str:
    """Fold to ASCII, which is what FITS tables hold; an accent is dropped, other signs are `?`."""
    letters = unicodedata.normalize("NFKD", text.translate(SIGNS))
    kept = "".join(c for c in letters if c.isprintable() and not unicodedata.combining(c))
    return kept.encode("ascii", "replace").decode()
