"""What is declared of the targets of arrays: redshift, class, name, place.

In: a number for all or one for each. Out: catalogue rows, as every reader gives them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.errors import SpectraError
from speclens.read.sdss.targets import blank_targets
from speclens.read.table.angles import degrees
from speclens.spectra import TARGET_DTYPE

__all__ = [
    "NAME_WIDTH", "are_odd", "are_shared", "declared_targets", "refuse_odd_redshifts",
    "refuse_other_number",
]  # fmt: skip

NAME_WIDTH = TARGET_DTYPE["SPECTRUM"].itemsize // 4
Z_BELIEVED = (-0.01, 15.0)
"""Redshifts of targets, from those of stars to the highest that is known of any galaxy."""

ANGLES = ("ra", "dec")
CLASS_WIDTH = TARGET_DTYPE["CLASS"].itemsize // 4


def declared_targets(
    n_spectra: int,
    z: Any,
    classes: str | Sequence[str],
    names: Sequence[Any] | None,
    **known: Any,
) -> NDArray[np.void]:
    """Make the catalogue rows of spectra.

    Parameters
    ----------
    n_spectra : int
        Number of spectra N.
    z : float or array of shape (N,)
        Redshifts of the targets, the would-be lenses.
    classes : str or sequence of str
        GALAXY or QSO, as SDSS has it.
    names : sequence, optional
        Names of the spectra, each another; their numbers from 0 when not given.
    **known : float or array of shape (N,)
        ra and dec, degrees; vdisp, km/s; mag_i. Those that are None are not known.

    Returns
    -------
    structured array of shape (N,)
        `TARGET_DTYPE`.

    Raises
    ------
    SpectraError
        If the redshifts are missing, if numbers are not one for each, or names not unique.
    """
    if z is None:
        raise SpectraError(
            "redshifts are missing; give z=..., that of each target: its own light is fitted by it"
        )
    targets = blank_targets(n_spectra)
    targets["Z"] = targets["Z_NOQSO"] = _one_each("z", z, n_spectra)
    targets["CLASS"] = targets["CLASS_NOQSO"] = _classes(classes, n_spectra)
    targets["ZWARNING"] = targets["ZWARNING_NOQSO"] = 0
    targets["SPECTRUM"] = _names(names, n_spectra)
    for name, values in known.items():
        if values is not None:
            targets[name.upper()] = _one_each(name, values, n_spectra)
    return targets


def refuse_odd_redshifts(z: NDArray[np.float64]) -> None:
    """Refuse redshifts that nothing has, which mean something else.

    Parameters
    ----------
    z : array of shape (N,)
        Redshifts; NaN where unknown.

    Raises
    ------
    SpectraError
        If one is below 0 by more than a star's, or higher than any.
    """
    odd = np.flatnonzero((z < Z_BELIEVED[0]) | (z > Z_BELIEVED[1]))
    if len(odd):
        raise SpectraError(
            f"z={z[odd[0]]:g} of spectrum {odd[0]}: redshifts lie between 0 and "
            f"{Z_BELIEVED[1]:g}; give NaN where it is not known, and the spectrum is skipped"
        )


def _one_each(name: str, values: Any, n_spectra: int) -> NDArray[np.float64]:
    if getattr(values, "unit", None) is not None:
        values = _in_our_unit(name, values)
    elif name in ANGLES and np.asarray(values).dtype.kind in "OUS":
        values = _angles(name, values)
    try:
        filled = np.ma.filled(np.ma.asanyarray(values).astype(np.float64), np.nan)
    except (TypeError, ValueError) as error:
        raise SpectraError(f"{name}: {values!r} is no number") from error
    numbers = np.asarray(filled, np.float64)
    if numbers.shape not in ((), (1,), (n_spectra,)):
        raise SpectraError(
            f"{name} has the shape {numbers.shape} for {n_spectra} spectra: give one number for "
            f"all, or ({n_spectra},)"
        )
    return np.broadcast_to(numbers, (n_spectra,))


def _angles(name: str, values: Any) -> NDArray[np.float64]:
    """Return the degrees of text; sexagesimal right ascensions are in hours, as everywhere."""
    cells = np.atleast_1d(np.ma.asarray(values))
    found, _, bad = degrees(cells, name == "ra")
    if bad.any():
        raise SpectraError(f"{name}: {str(cells[bad][0])!r} is no number and no angle")
    return found


def _in_our_unit(name: str, values: Any) -> Any:
    from astropy import units

    wanted = {"ra": units.deg, "dec": units.deg, "vdisp": units.km / units.s, "mag_i": units.mag}
    try:
        return units.Quantity(values, values.unit).to_value(wanted.get(name, units.one))
    except units.UnitsError as error:
        if name == "z" and str(values.unit) == "redshift":
            return values.value
        ours = wanted.get(name, "a plain number")
        raise SpectraError(f"{name} in {values.unit}: expected {ours}") from error


def _classes(classes: str | Sequence[str], n_spectra: int) -> NDArray[np.str_]:
    found = np.char.upper(np.char.strip(np.asarray(classes, str)))
    if found.shape not in ((), (n_spectra,)):
        raise SpectraError(
            f"classes has the shape {found.shape} for {n_spectra} spectra: give one for all, or "
            f"({n_spectra},)"
        )
    return np.broadcast_to(found.astype(f"U{CLASS_WIDTH}"), (n_spectra,))


def _names(names: Sequence[Any] | None, n_spectra: int) -> list[str]:
    given = [names] if isinstance(names, str) else names
    found = [str(name) for name in (range(n_spectra) if given is None else given)]
    refuse_other_number(found, n_spectra)
    if any(odd := are_odd(found)):
        raise SpectraError(
            f"name {found[odd.index(True)]!r}: a name is printable ASCII of {NAME_WIDTH} "
            "characters at most",
            "bad_identity",
        )
    if any(shared := are_shared(found)):
        again = found[shared.index(True)]
        raise SpectraError(
            f"name {again!r} is that of several spectra: give each its own", "bad_identity"
        )
    return found


def refuse_other_number(names: Sequence[str], n_spectra: int) -> None:
    """Refuse names that are not one for each spectrum."""
    if len(names) != n_spectra:
        raise SpectraError(f"{len(names)} names for {n_spectra} spectra: give a name for each")


def are_odd(names: Sequence[str]) -> list[bool]:
    """Say of names which are none, for a name is printable ASCII, and not too long."""
    return [not (n.isascii() and n.isprintable() and len(n) <= NAME_WIDTH) for n in names]


def are_shared(names: Sequence[str]) -> list[bool]:
    """Say of names which are those of several spectra."""
    number = Counter(names)
    return [number[name] > 1 for name in names]
