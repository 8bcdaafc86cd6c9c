"""What wavelengths, fluxes and errors are, as whoever hands them over declares it.

In: numbers or quantities of astropy. Out: vacuum Angstrom that increase, flux densities in
1e-17 erg/s/cm2/Angstrom and their inverse variance; or a refusal that says what to do. Nothing is
guessed: what a number means is stated, or is as everywhere in this package.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.errors import SpectraError

__all__ = [
    "MEDIA", "declared_errors", "declared_flux", "declared_wave", "numbers", "vacuum_wave",
]  # fmt: skip

Floats = NDArray[np.floating]
"""Double precision, or single where that is what was given: nothing is copied without need."""

MEDIA = ("vacuum", "air")

BELIEVED = (1000.0, 30000.0)
"""Wavelengths that can be meant, Angstrom."""

LOGARITHMS = (3.0, 4.6)
"""Their decimal logarithms, which they may be mistaken for."""

FLUX_UNIT = "1e-17 erg / (s cm2 Angstrom)"
FAINTEST = 1e-8
"""Largest flux that numbers without a unit may have: what is fainter is not in that unit."""

AIR_ROUNDS = 3
HIGHEST_IVAR = 1e30
"""What is above is no measurement."""

IGNORED = frozenset(("true", "t", "yes", "y", "1"))
USED = frozenset(("false", "f", "no", "n", "0"))
"""What a mask of words says of a pixel."""


def declared_wave(wave: Any, medium: str) -> Floats:
    """Return wavelengths in vacuum.

    Parameters
    ----------
    wave : array or Quantity of shape (L,) or (N, L)
        Wavelengths, frequencies or energies with a unit; numbers are Angstrom.
    medium : str
        `vacuum` or `air`: in what they are measured.

    Returns
    -------
    array of shape (L,) or (N, L)
        Vacuum Angstrom.

    Raises
    ------
    SpectraError
        If they are no wavelengths, do not increase, or are in an unknown unit or medium.
    """
    if medium not in MEDIA:
        raise SpectraError(f"medium={medium!r}: wavelengths are in 'vacuum' or in 'air'")
    if (unit := getattr(wave, "unit", None)) is not None:
        values = _in_angstrom(wave, unit)
    else:
        values = numbers(wave, "wavelengths").astype(np.float64, copy=False)
    if values.ndim not in (1, 2) or values.shape[-1] < 2:
        raise SpectraError(
            f"wavelengths have the shape {values.shape}: give (L,) for all spectra, or (N, L)",
            "bad_wavelengths",
        )
    _refuse_impossible(values)
    _refuse_disordered(values)
    return vacuum_wave(values) if medium == "air" else values


def _in_angstrom(wave: Any, unit: Any) -> Floats:
    from astropy import units

    try:
        quantity = units.Quantity(numbers(_bare(wave), "wavelengths"), unit)
        return np.asarray(quantity.to_value(units.AA, units.spectral()), np.float64)
    except (units.UnitsError, TypeError, ValueError) as error:
        raise SpectraError(
            f"wavelengths in {unit}: that is no unit of a wavelength, frequency or energy; give "
            "wave * astropy.units.AA",
            "bad_wavelengths",
        ) from error


def numbers(values: Any, what: str) -> Floats:
    """Read numbers, whatever holds them.

    Parameters
    ----------
    values : array
        Numbers, or text that is numbers.
    what : str
        What they are, for the message.

    Returns
    -------
    array
        Of floats; NaN where they are masked.

    Raises
    ------
    SpectraError
        If not all are numbers, or there are none.
    """
    try:
        found = _masked(values)
        if found.dtype.kind == "c":
            raise TypeError("complex numbers")
        if found.dtype != np.float32:
            found = found.astype(np.float64, copy=False)
    except (TypeError, ValueError) as error:
        raise SpectraError(
            f"{what}: not all of it is numbers, or rows are of several lengths; give arrays of "
            "numbers, and spectra of several lengths one by one, or filled up with ivar 0"
        ) from error
    filled = np.asarray(np.ma.filled(found, np.nan))
    return filled if filled.size else _refuse_empty(what)


def _masked(values: Any) -> NDArray[Any]:
    """Return an array; a masked one of numpy where numpy or astropy mask any of it."""
    if np.ma.isMaskedArray(values):
        return values
    plain = getattr(values, "unmasked", None)
    if plain is None:
        return np.asarray(values)
    return np.ma.MaskedArray(np.asarray(plain), values.mask)


def _refuse_empty(what: str) -> Floats:
    raise SpectraError(f"{what}: there are none")


def _refuse_impossible(wave: Floats) -> None:
    if not np.isfinite(wave).all():
        at = np.argwhere(~np.isfinite(wave))[0].tolist()
        raise SpectraError(
            f"wavelengths: pixel {at[-1]} has none (NaN); leave such pixels out, and those of flux "
            "and errors with them",
            "bad_wavelengths",
        )
    low, high = float(wave.min()), float(wave.max())
    if LOGARITHMS[0] <= low and high <= LOGARITHMS[1]:
        raise SpectraError(
            f"wavelengths from {low:g} to {high:g}: these look like decimal logarithms; give 10**x",
            "bad_wavelengths",
        )
    if not BELIEVED[0] <= low <= high <= BELIEVED[1]:
        raise SpectraError(
            f"wavelengths from {low:g} to {high:g} Angstrom: expected {BELIEVED[0]:g} to "
            f"{BELIEVED[1]:g}; give them with their unit, e.g. wave * astropy.units.um",
            "bad_wavelengths",
        )


def _refuse_disordered(wave: Floats) -> None:
    steps = np.diff(wave, axis=-1)
    if (steps > 0).all():
        return
    if (steps < 0).all():
        raise SpectraError(
            "wavelengths descend; give wave[::-1], and flux and errors reversed likewise",
            "bad_wavelengths",
        )
    at = np.argwhere(steps <= 0)[0].tolist()
    pixel = tuple(at)
    raise SpectraError(
        f"wavelengths do not increase: after pixel {at[-1]}, {wave[pixel]:g} Angstrom, comes "
        f"{wave[pixel] + steps[pixel]:g}; sort them, and join arms that overlap first",
        "bad_wavelengths",
    )


def vacuum_wave(wave: Floats) -> Floats:
    """Return wavelengths in vacuum of wavelengths in air.

    Parameters
    ----------
    wave : array
        Wavelengths in standard air, Angstrom.

    Returns
    -------
    array
        Vacuum Angstrom.

    Notes
    -----
    Ciddor 1996 (Applied Optics 35, 1566), dry air at 15 C with 450 ppm of CO2, inverted by
    iteration.
    """
    vacuum = wave
    for _ in range(AIR_ROUNDS):
        k2 = (1e4 / vacuum) ** 2
        index = 1 + 0.05792105 / (238.0185 - k2) + 0.00167917 / (57.362 - k2)
        vacuum = wave * index
    return vacuum


def declared_flux(flux: Any, wave: Floats) -> tuple[Floats, Floats]:
    """Return flux densities.

    Parameters
    ----------
    flux : array or Quantity of shape (L,) or (N, L)
        With any unit of flux density; numbers are 1e-17 erg/s/cm2/Angstrom.
    wave : array of shape (L,) or (N, L)
        Vacuum Angstrom.

    Returns
    -------
    flux : array of shape (N, L)
        1e-17 erg/s/cm2/Angstrom; NaN where there is no number.
    factor : array of shape (L,) or (N, L)
        By which it was multiplied.

    Raises
    ------
    SpectraError
        If it has another shape than the wavelengths, or another unit than of a flux density.
    """
    unit = getattr(flux, "unit", None)
    values = np.atleast_2d(numbers(flux if unit is None else _bare(flux), "flux"))
    n_pixels = wave.shape[-1]
    if values.ndim != 2 or values.shape[1] != n_pixels:
        hint = "; transpose it" if values.shape[0] == n_pixels and values.ndim == 2 else ""
        raise SpectraError(
            f"flux has the shape {np.shape(flux)} for {n_pixels} wavelengths: give ({n_pixels},) "
            f"for one spectrum, or (N, {n_pixels}){hint}"
        )
    if wave.ndim == 2 and len(wave) != len(values):
        raise SpectraError(
            f"{len(wave)} rows of wavelengths for {len(values)} spectra: give a row for each, or "
            "one for all"
        )
    if unit is None:
        _refuse_cgs(values)
    factor = _flux_factor(unit, wave)
    return (values if unit is None else values * factor), factor


def _refuse_cgs(flux: Floats) -> None:
    """Refuse numbers that no spectrum has in our unit, but has in erg/s/cm2/Angstrom."""
    sizes = np.abs(flux[np.isfinite(flux)])
    highest = float(sizes.max(initial=0))
    if 0 < highest < FAINTEST:
        raise SpectraError(
            f"flux of {highest:g} at most: numbers without a unit are 1e-17 erg/s/cm2/Angstrom; "
            "give flux * astropy.units.Unit('erg / (s cm2 Angstrom)') if that is meant, and ivar "
            "or error with their unit too"
        )


def _bare(quantity: Any) -> Any:
    """Return the numbers of a quantity or of a column with a unit."""
    return getattr(quantity, "value", quantity)


def _flux_factor(unit: Any, wave: Floats) -> Floats:
    if unit is None:
        return np.ones(wave.shape)
    from astropy import units

    try:
        ours, of_pixel = units.Unit(FLUX_UNIT), units.spectral_density(wave * units.AA)
        factor = units.Quantity(np.ones(wave.shape), unit).to_value(ours, of_pixel)
    except (units.UnitsError, TypeError, ValueError) as error:
        raise SpectraError(
            f"flux in {str(unit) or 'no unit'}: that is no flux density; searches need one, e.g. "
            "flux * 1e-17 * astropy.units.Unit('erg / (s cm2 Angstrom)')"
        ) from error
    return np.asarray(factor, np.float64)


def declared_errors(
    flux: Floats,
    factor: Floats,
    wave: Floats,
    ivar: Any = None,
    error: Any = None,
    mask: Any = None,
) -> Floats:
    """Return the inverse variance of flux densities, 0 where there is no measurement.

    Parameters
    ----------
    flux : array of shape (N, L)
        1e-17 erg/s/cm2/Angstrom.
    factor : array of shape (L,) or (N, L)
        By which it was multiplied to have that unit.
    wave : array of shape (L,) or (N, L)
        Vacuum Angstrom.
    ivar, error : array or Quantity of shape (L,) or (N, L), optional
        Inverse variance, or standard deviation; one of them. Numbers are in the unit of the flux.
    mask : array of shape (L,) or (N, L), optional
        True for pixels that are to be ignored.

    Returns
    -------
    array of shape (N, L)
        Inverse variance; 0 where masked, where flux or error are no numbers, and where the error
        is not above 0.

    Raises
    ------
    SpectraError
        If neither or both are given, or have another shape or unit than the flux.
    """
    if (ivar is None) == (error is None):
        raise SpectraError(
            "errors are missing; give ivar=... or error=...: a search weighs pixels by them"
            if ivar is None
            else "ivar and error are both given; give one of them"
        )
    name, power, given = ("ivar", -2, ivar) if error is None else ("error", 1, error)
    unit = getattr(given, "unit", None)
    values = np.atleast_2d(numbers(given if unit is None else _bare(given), name))
    _refuse_other_shape(name, values, flux)
    _refuse_negative(name, values)
    scale = factor**power if unit is None else _error_factor(name, unit, power, wave)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        found = values if (scale == 1).all() else values * scale
        found = found if power < 0 else found**-2.0
        # NaN fails every comparison, and flux that is no number makes a difference that is none.
        good = (values > 0) & (found < HIGHEST_IVAR) & (flux - flux == 0)
    if mask is not None:
        ignored = np.atleast_2d(_said_by(mask))
        _refuse_other_shape("mask", ignored, flux)
        good &= ~ignored
    return np.where(good, found, found.dtype.type(0))


def _said_by(mask: Any) -> NDArray[np.bool_]:
    """Return a mask as truth values: of numbers all but 0 are true, of words those for it."""
    values = np.ma.filled(_masked(mask), True)
    if values.dtype.kind not in "US":
        return values.astype(bool)
    words = np.char.lower(np.char.strip(values.astype(str)))
    odd = ~np.isin(words, [*IGNORED, *USED])
    if odd.any():
        raise SpectraError(
            f"mask says {str(values[odd][0])!r} of a pixel: expected true where it is to be "
            "ignored, and false elsewhere"
        )
    return np.isin(words, [*IGNORED])


def _refuse_other_shape(name: str, values: NDArray[Any], flux: Floats) -> None:
    if values.shape != flux.shape and values.shape != (1, flux.shape[1]):
        raise SpectraError(
            f"{name} has the shape {values.shape}, and the flux {flux.shape}: give one number a "
            "pixel"
        )


def _refuse_negative(name: str, values: Floats) -> None:
    """Refuse errors that are negative in most pixels; single ones mark what was not measured."""
    negative = values < 0
    number = np.count_nonzero(negative)
    if 2 * number > values.size:
        meant = "error" if name == "error" else "inverse variance"
        raise SpectraError(
            f"{name} is below 0 in {number} of {values.size} pixels, as {values[negative][0]:g}: "
            f"that is no {meant}; give 0 where nothing was measured"
        )


def _error_factor(name: str, unit: Any, power: int, wave: Floats) -> Floats:
    """Return the factor of errors that have a unit of their own."""
    try:
        return np.asarray(_flux_factor(unit ** (1 / power), wave) ** power, np.float64)
    except SpectraError as error:
        wanted = "the unit of the flux" + (", to the power -2" if power < 0 else "")
        raise SpectraError(f"{name} in {str(unit) or 'no unit'}: expected {wanted}") from error
