"""Numbers, units and names as a page shows them.

In: values of the tables. Out: plain text; what is not known is a dash. Escaping is left to the
templates.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from speclens.candidates.bounds import DASH, Bound, skewness_bound
from speclens.instrument import INSTRUMENTS
from speclens.names import is_position
from speclens.schema import CANDIDATES, FLUX_DENSITY_UNIT, FLUX_UNIT, TARGET_IDS, Column

__all__ = [
    "COLUMNS",
    "DASH",
    "Quantity",
    "capitalised",
    "counted",
    "has_id",
    "is_lya",
    "label_of",
    "measured",
    "number",
    "on_page",
    "printable",
    "quantities",
    "skewness",
    "sky_links",
    "unit_of",
    "with_unit",
]


COLUMNS = {column.name: column for column in CANDIDATES}
"""Columns of hits and candidates, by name."""

_FLUX = "10\u207b\u00b9\u2077 erg s\u207b\u00b9 cm\u207b\u00b2"
UNITS = {
    "Angstrom": "\u00c5",
    FLUX_UNIT: _FLUX,
    FLUX_DENSITY_UNIT: f"{_FLUX} \u00c5\u207b\u00b9",
    "1e42 erg / s": "10\u2074\u00b2 erg s\u207b\u00b9",
    "km/s": "km s\u207b\u00b9",
    "deg": "\u00b0",
    "d": "",
}
_SIGNS = {
    "1e-17 erg/s/cm2": _FLUX, "/Angstrom": " \u00c5\u207b\u00b9", "Angstrom": "\u00c5",
    " +- ": " \u00b1 ",
}  # fmt: skip
DECIMALS = {
    "RA": 6, "DEC": 6, "Z": 5, "Z_SOURCE": 4, "Z_OII": 4, "WAVE": 2, "FIT_WAVE": 2, "SNR": 1,
    "MAG_I": 2, "PROBABILITY": 4, "P_LYA": 3, "P_HYPOTHESIS": 3, "P_LENSED": 3,
    "EDGE_PIXELS": 0, "FWHM_KMS": 0,
    "LENS_LINE_KMS": 0,
}  # fmt: skip
LABELS = {
    "SIGMA_ASSUMED": "typical velocity dispersion, in want of a measured one",
    "EINSTEIN_RADIUS": "Einstein radius of a singular isothermal sphere",
    "P_LENSED": "probability that the source is strongly lensed, if it is what it seems",
    "VDISP": "velocity dispersion in the survey's catalogue",
    "MAG_I": "magnitude within the fibre, i band",
    "SKEWNESS": "skewness: shape of the fitted line before the spectrograph",
    "SKEWNESS_LOW": "skewness, lower end of its 68 % interval",
    "SKEWNESS_HIGH": "skewness, upper end of its 68 % interval",
    "LENS_LINE_KMS": "distance from the nearest emission line of the lens galaxy",
    "OTHER_EVIDENCE": "ln likelihood ratio of another line of a source against a lone line",
    "REPEAT_DSIGMA": "flux in other spectra of the object minus the flux here, over its error",
    "EXPOSURE_DSIGMA": "flux of the other exposures minus that of the brightest, over its error",
    "RANK": "place among the candidates, by the probability of a lensed source",
    "KNOWN": "published as",
    "TARGETID": "target (TARGETID)",
}
"""What a page says where a column's description needs its neighbours to be understood."""

SIGNIFICANT = 3
MAX_DECIMALS = 6
UNKNOWN_ID = -1


@dataclass(frozen=True)
class Quantity:
    """One line of a table of measurements: what it is, its value, its unit, its column."""

    label: str
    value: str
    unit: str
    name: str


def printable(text: str) -> str:
    """Return a text with nothing hidden in it.

    Parameters
    ----------
    text : str
        Any text; names of files may hold bytes that are no text, and marks that turn it around.

    Returns
    -------
    str
        The same; what cannot be seen is written as an escape.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def counted(n: int, noun: str) -> str:
    """Return a number with its noun.

    Parameters
    ----------
    n : int
        How many.
    noun : str
        Of what, in the singular; its plural has an s.

    Returns
    -------
    str
        `no hits`, `1 hit`, `1,232 hits`.
    """
    return f"{n:,} {noun}{'' if n == 1 else 's'}" if n else f"no {noun}s"


def on_page(text: str) -> str:
    """Return a sentence of the tables, which are in ASCII, as a page shows it.

    Parameters
    ----------
    text : str
        The sentence.

    Returns
    -------
    str
        The same, with the signs of units and errors.
    """
    for plain, sign in _SIGNS.items():
        text = text.replace(plain, sign)
    return text


def capitalised(text: str) -> str:
    """Return a text with a capital first letter, the others as they are.

    Parameters
    ----------
    text : str
        Any text.

    Returns
    -------
    str
        The same, capitalised.
    """
    return text[:1].upper() + text[1:]


def number(value: float, decimals: int | None = None) -> str:
    """Return a number.

    Parameters
    ----------
    value : float
        The number.
    decimals : int, optional
        Digits after the point; without it three significant ones.

    Returns
    -------
    str
        A dash for what is not finite.
    """
    value = float(value)
    if not math.isfinite(value):
        return DASH
    if decimals is None:
        if value and not 1e-4 <= abs(value) < 1e7:
            return f"{value:.2e}"
        size = math.floor(math.log10(abs(value))) if value else 0
        decimals = min(max(SIGNIFICANT - 1 - size, 0), MAX_DECIMALS)
    return f"{value:z.{decimals}f}"


def measured(value: float, error: float, decimals: int | None = None) -> str:
    """Return a number with its standard error.

    Parameters
    ----------
    value, error : float
        The number and its error, in one unit.
    decimals : int, optional
        Digits after the point; without it two significant ones of the error.

    Returns
    -------
    str
        `30.4 +- 2.2` with the sign; without an error that is known the number alone.
    """
    error = float(error)
    if not (math.isfinite(error) and error > 0) or not math.isfinite(float(value)):
        return number(value, decimals)
    if decimals is None:
        decimals = min(max(1 - math.floor(math.log10(error)), 0), MAX_DECIMALS)
    return f"{number(value, decimals)} \u00b1 {number(error, decimals)}"


def label_of(column: Column) -> str:
    """Return what a column holds, as a page says it.

    Parameters
    ----------
    column : Column
        The column.

    Returns
    -------
    str
        A few words, with a capital first letter.
    """
    return capitalised(LABELS.get(column.name, column.description.partition(";")[0]))


def unit_of(column: Column) -> str:
    """Return the unit of a column as a page shows it.

    Parameters
    ----------
    column : Column
        The column.

    Returns
    -------
    str
        Empty for none.
    """
    return UNITS.get(column.unit, column.unit)


def skewness(row: np.void) -> str:
    """Return the skewness of a fit in words.

    Parameters
    ----------
    row : structured row
        A row of hits.fits or candidates.*.

    Returns
    -------
    str
        Value and error, a limit such as `> 1.2`, or `unconstrained`.
    """
    bound, value = skewness_bound(row)
    if bound is Bound.VALUE:
        return measured(value, row["SKEWNESS_ERR"], 1)
    return f"{bound.value} {number(value, 1)}" if math.isfinite(value) else bound.value


def with_unit(value: Any, column: Column) -> str:
    """Return a value of a table with its unit.

    Parameters
    ----------
    value : object
        The value.
    column : Column
        Its column.

    Returns
    -------
    str
        A dash for what is not known.
    """
    text = _value(value, column)
    unit = unit_of(column)
    return f"{text} {unit}" if unit and text != DASH else text


def has_id(row: np.void, name: str) -> bool:
    """Say whether a column of a row is no identifier, or one that is known.

    Parameters
    ----------
    row : record
        A row of hits.fits or candidates.*.
    name : str
        One of its columns.

    Returns
    -------
    bool
        False for the identifiers of other surveys.
    """
    return name not in TARGET_IDS or bool(row[name] != UNKNOWN_ID)


def quantities(row: np.void, names: Iterable[str]) -> list[Quantity]:
    """Say what columns of a row hold.

    Parameters
    ----------
    row : record
        A row of hits.fits or candidates.*.
    names : iterable of str
        The columns; a column's error stands beside it and is not named.

    Returns
    -------
    list of Quantity
        One a column.
    """
    found = []
    for name in names:
        column = COLUMNS[name]
        error = f"{name}_ERR"
        known = error in COLUMNS
        value = measured(row[name], row[error]) if known else _value(row[name], column)
        if name == "SKEWNESS" and skewness_bound(row)[0] is not Bound.VALUE:
            # A limit, or nothing: as everywhere else on the page.
            value = skewness(row)
        unit = unit_of(column) if value != DASH else ""
        found.append(Quantity(label_of(column), value, unit, name))
    return found


def is_lya(row: np.void) -> bool:
    """Say whether the search took the line of a hit for Lyman alpha.

    Parameters
    ----------
    row : record
        A row of hits.fits or candidates.*.

    Returns
    -------
    bool
        False where it found the source by other lines.
    """
    return str(row["HYPOTHESIS"]) in ("", "lya")


def sky_links(survey: str, ra: float, dec: float) -> Mapping[str, str]:
    """Return where pictures of a place of the sky are.

    Parameters
    ----------
    survey : str
        Whose pages.
    ra, dec : float
        Position, J2000, degrees.

    Returns
    -------
    mapping of str to str
        Name and address; empty when there is no such place.
    """
    ra, dec = float(ra), float(dec)
    if not is_position(ra, dec):
        return {}
    links = INSTRUMENTS[survey].links if survey in INSTRUMENTS else {}
    return {name: link.format(ra=ra % 360, dec=dec) for name, link in links.items()}


def _value(value: Any, column: Column) -> str:
    kind = column.dtype[0]
    if kind == "U":
        return printable(str(value)) or DASH
    if kind == "?":
        return "yes" if value else "no"
    if kind == "i":
        return DASH if column.name in TARGET_IDS and value == UNKNOWN_ID else str(int(value))
    return number(value, DECIMALS.get(column.name))
