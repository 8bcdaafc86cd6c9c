"""Arrays out of what holds them: tables of astropy, spectra of specutils and their like.

In: an object, known by what it has, not by its class: neither package is imported. Out: `Declared`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from speclens.config import TablesConfig
from speclens.errors import SpectraError
from speclens.read.arrays.batches import Declared
from speclens.read.arrays.declared import numbers
from speclens.read.arrays.medium import SAYING, medium_told

__all__ = [
    "ENTRIES", "LOOKED_AT", "declared_by_spectrum", "declared_by_table", "has_spectra",
    "is_spectrum", "is_table", "unsaid_by_table",
]  # fmt: skip

COLUMNS: Mapping[str, Sequence[str]] = {
    "wave": (
        "wavelength", "wave", "lambda", "lam", "wave_vac", "lambda_vac", "wavelength_vac",
        "wave_air", "lambda_air", "wavelength_air", "awav", "loglam",
    ),
    "flux": ("flux", "flam", "f_lambda", "flux_density"),
    "ivar": ("ivar", "inverse_variance", "invvar"),
    "error": ("error", "err", "sigma", "flux_error", "flux_err", "e_flux", "uncertainty", "std"),
    "mask": ("mask",),
    "resolution": ("resolution", "resolving_power", "spec_res"),
    "dispersion": ("wdisp",),
}  # fmt: skip
"""Names of columns, whatever their case, the preferred first."""

KNOWN: Mapping[str, Sequence[str]] = {
    "z": ("z", "redshift"), "classes": ("class",), "names": ("name", "spectrum", "targetid"),
    "ra": ("ra",), "dec": ("dec",), "vdisp": ("vdisp",), "mag_i": ("mag_i",),
}  # fmt: skip
"""Names of columns, or of entries of `meta`, that tell of targets."""

LOOKED_AT = tuple(
    name.upper() for part in (COLUMNS, KNOWN) for names in part.values() for name in names
)
"""All of these, in capital letters."""

ENTRIES = (
    *(name for names in KNOWN.values() for name in names), *COLUMNS["resolution"],
    *(key.lower() for key in SAYING),
)  # fmt: skip
"""Names of the entries of `meta` that are looked at, but for that of wavelengths."""

EXACT = 2**53
"""Whole numbers below it are exact in double precision."""

POWERS = {"std": "error", "ivar": "ivar", "var": "variance"}
"""What an uncertainty of astropy is, by its `uncertainty_type`."""


def is_table(thing: Any) -> bool:
    """Say whether an object is a table of astropy, or like one."""
    return hasattr(thing, "colnames") and hasattr(thing, "meta")


def has_spectra(names: Sequence[str]) -> bool:
    """Say whether a table has columns of wavelengths and fluxes, by the names of its columns."""
    folded = {name.strip().lower() for name in names}
    return all(folded.intersection(COLUMNS[what]) for what in ("wave", "flux"))


def is_spectrum(thing: Any) -> bool:
    """Say whether an object is a spectrum of specutils, or like one."""
    return hasattr(thing, "spectral_axis") and hasattr(thing, "flux")


def declared_by_table(table: Any, unsaid: TablesConfig | None = None) -> Declared:
    """Take spectra out of a table.

    Parameters
    ----------
    table : astropy.table.Table
        One spectrum, a row a pixel; or many, a row each, with columns of shape (N, L). A column of
        wavelengths that is one row for all may stand in `meta`.
    unsaid : TablesConfig, optional
        What is meant where the table does not say it.

    Returns
    -------
    Declared
        The spectra, and what columns or `meta` tell of the targets.

    Raises
    ------
    SpectraError
        If a column is missing, or has no unit.
    """
    names = _by_small_letters(table.colnames)
    meta = {str(key).lower(): value for key, value in table.meta.items()}

    def found(wanted: Sequence[str]) -> str | None:
        return next((names[name] for name in wanted if name in names), None)

    columns = {what: found(wanted) for what, wanted in COLUMNS.items()}
    wave, flux = columns["wave"], columns["flux"]
    in_meta = next((meta[name] for name in COLUMNS["wave"] if name in meta), None)
    if flux is None or (wave is None and in_meta is None):
        missing = "flux" if flux is None else "wavelength"
        raise SpectraError(
            f"no column {missing}: the table has {', '.join(table.colnames) or 'none'}; rename "
            f"yours, e.g. table.rename_column('...', '{missing}')",
            "missing_column",
        )
    many = table[flux].ndim == 2
    given: dict[str, Any] = {
        what: None if name is None else _with_unit(table, what, name, unsaid)
        for what, name in columns.items()
    }
    if wave is None:
        given["wave"] = in_meta
    elif wave.lower() == "loglam":
        given["wave"] = 10 ** numbers(_plain(table[wave]), "logarithms of wavelengths")
    if given["resolution"] is None:
        given["resolution"] = _entry(meta, COLUMNS["resolution"])
    known = {}
    for what, wanted in KNOWN.items():
        value = _of_targets(table, found(wanted), many)
        if value is None:
            value = _entry(meta, wanted)
        told = None if value is None else _listed(what, value, many)
        if told is not None:
            known[what] = told
    return Declared(**given, known=known, medium=medium_told(wave, meta))


def unsaid_by_table(table: Any) -> list[str]:
    """Name what a table of spectra does not say of its wavelengths and fluxes.

    Parameters
    ----------
    table : astropy.table.Table
        As for `declared_by_table`.

    Returns
    -------
    list of str
        Of `wave_unit`, `flux_unit` and `medium`, keys of the section `tables`; none of a table that
        lacks wavelengths or fluxes.

    Raises
    ------
    SpectraError
        If names of columns or header entries contradict each other.
    """
    names = _by_small_letters(table.colnames)
    meta = {str(key).lower(): value for key, value in table.meta.items()}
    columns = {
        what: next((names[one] for one in COLUMNS[what] if one in names), None)
        for what in ("wave", "flux")
    }
    in_meta = any(name in meta for name in COLUMNS["wave"])
    if not columns["flux"] or not (columns["wave"] or in_meta):
        return []
    unsaid = [
        f"{what}_unit"
        for what, name in columns.items()
        if name and name.lower() != "loglam" and table[name].unit is None
    ]
    return unsaid if medium_told(columns["wave"], meta) else [*unsaid, "medium"]


def _by_small_letters(columns: Sequence[str]) -> Mapping[str, str]:
    """Return the names of columns by the same in small letters."""
    names: dict[str, str] = {}
    for name in columns:
        other = names.setdefault(name.lower(), name)
        if other != name and name.upper() in LOOKED_AT:
            raise SpectraError(
                f"columns {other} and {name}: names that differ in capitals alone are one name; "
                "leave the column that is meant"
            )
    return names


def _entry(meta: Mapping[str, Any], wanted: Sequence[str]) -> Any:
    """Return the first entry that says anything."""
    said = (meta[key] for key in wanted if key in meta)
    return next((one for one in said if not isinstance(one, str) or one.strip()), None)


def _of_targets(table: Any, name: str | None, many: bool) -> Any:
    """Return a column that tells of targets: of one spectrum it has one value in all rows."""
    if name is None or many:
        return None if name is None else table[name]
    values = np.unique(np.ma.compressed(np.ma.asarray(_plain(table[name]))))
    if len(values) > 1:
        raise SpectraError(
            f"column {name} has several values, and the table one spectrum, a row a pixel; give "
            "several spectra a row each, with columns of shape (N, L)"
        )
    return values[0] if len(values) else None


def _with_unit(table: Any, what: str, name: str, unsaid: TablesConfig | None) -> Any:
    column = table[name]
    if what not in ("wave", "flux") or name.lower() == "loglam" or column.unit is not None:
        return column
    key = f"{what}_unit"
    unit = getattr(unsaid, key, "")
    if not unit:
        unit = "Angstrom" if what == "wave" else "1e-17 erg / (s cm2 Angstrom)"
        raise SpectraError(
            f"column {name} has no unit; if it is {unit}: table[{name!r}].unit = {unit!r}",
            "undeclared",
        )
    from astropy import units

    return numbers(_plain(column), f"column {name}").astype(np.float64) * units.Unit(unit)


def _plain(column: Any) -> Any:
    return getattr(column, "value", column)


def _listed(what: str, value: Any, many: bool) -> Any:
    """Return what a column or an entry tells of targets, as `declared_targets` takes it."""
    if what not in ("names", "classes"):
        return value
    of_one = _name if what == "names" else _text
    if np.ndim(value):
        return [of_one(one) for one in value]
    if what == "classes":
        return _text(value)
    # One name in the header is not that of each of many.
    return None if many else [_name(value)]


def _name(value: Any) -> str:
    """Return a name as text; an identifier is exact to its last digit, or refused."""
    if not isinstance(value, float | np.floating):
        return _text(value)
    number = float(value)
    if not (number.is_integer() and abs(number) < EXACT):
        raise SpectraError(
            f"name {value!r}: an identifier that was rounded; give whole numbers or text",
            "bad_identity",
        )
    return str(int(number))


def _text(value: Any) -> str:
    if value is np.ma.masked:
        return ""
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def declared_by_spectrum(spectrum: Any) -> Declared:
    """Take spectra out of one of specutils.

    Parameters
    ----------
    spectrum : specutils.Spectrum
        One spectrum, or many on the same spectral axis.

    Returns
    -------
    Declared
        The spectra; the redshift of its `meta`, or its own, where it states one.

    Raises
    ------
    SpectraError
        If it has no uncertainty, or one of an unknown kind.
    """
    uncertainty = getattr(spectrum, "uncertainty", None)
    if uncertainty is None:
        raise SpectraError(
            "the spectrum has no uncertainty; give it one, e.g. Spectrum(..., "
            "uncertainty=astropy.nddata.InverseVariance(ivar))"
        )
    kind = POWERS.get(str(getattr(uncertainty, "uncertainty_type", "")))
    if kind is None:
        raise SpectraError(
            f"an uncertainty of the kind {type(uncertainty).__name__}: expected StdDevUncertainty, "
            "VarianceUncertainty or InverseVariance"
        )
    values = uncertainty.array
    if uncertainty.unit is not None:
        values = values * uncertainty.unit
    if kind == "variance":
        kind, values = "error", values**0.5
    meta = {str(key).lower(): value for key, value in (spectrum.meta or {}).items()}
    known = {
        what: next(meta[key] for key in wanted if key in meta)
        for what, wanted in KNOWN.items()
        if what != "names" and any(key in meta for key in wanted)
    }
    own = _plain(getattr(spectrum, "redshift", None))
    if "z" not in known and own is not None and float(own) != 0:
        known["z"] = float(own)
    errors = {kind: values}
    mask = getattr(spectrum, "mask", None)
    return Declared(spectrum.spectral_axis, spectrum.flux, mask=mask, known=known, **errors)
