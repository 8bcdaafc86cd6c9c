"""`speclens.completeness`: which share of sources a search makes candidates.

In: the folder of an evaluation, fluxes and wavelengths. Out: fractions, with their interval.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from speclens.errors import ConfigError
from speclens.evaluate.levels import LEVELS
from speclens.evaluate.selection import SelectionFunction

__all__ = ["completeness"]

Floats = NDArray[np.float64]


def completeness(
    evaluation: str | Path,
    flux: Any,
    wave: Any,
    *,
    noise: Any = None,
    z_lens: Any = None,
    width: Any = None,
    foreground: Any = None,
    kind: str | None = None,
    search: str | None = None,
    level: str = "candidate",
    interval: float = 0.68,
) -> tuple[Floats, Floats, Floats]:
    """Tell which share of sources a search makes candidates.

    Parameters
    ----------
    evaluation : str or Path
        The folder of a `speclens evaluate`, or its selection.json.
    flux : float or array
        Flux of the (strongest) line, 1e-17 erg/s/cm2; broadcast against the others.
    wave : float or array
        Its observed wavelength, vacuum, Angstrom.
    noise : float or array, optional
        Error of the line's flux at best, 1e-17 erg/s/cm2; the usual one of its wavelength when not
        given.
    z_lens, width, foreground : float or array, optional
        Redshift of the target, width of the line, Angstrom, flux density around it; the usual ones
        when not given.
    kind, search : str, optional
        Kind of source and name of the search, where the evaluation has several.
    level : str, optional
        hit, candidate, or top.
    interval : float, optional
        Probability of the interval.

    Returns
    -------
    completeness, low, high : array
        Fraction of sources that come back, of those whose wavelength is not masked, and its
        interval.

    Raises
    ------
    SpeclensError
        If there is no such evaluation, kind or level, or a wavelength is outside the window.
    """
    function = SelectionFunction.read(Path(evaluation))
    of_kind, window = function.of_kind(kind, search)
    if level not in LEVELS:
        raise ConfigError(f"level={level!r}: expected {', '.join(LEVELS)}")
    given = {"noise": noise, "z_lens": z_lens, "width": width, "foreground": foreground}
    told = {name: value for name, value in given.items() if value is not None}
    flux, wave, *values = np.broadcast_arrays(
        *(np.asarray(value, np.float64) for value in (flux, wave, *told.values()))
    )
    if not ((wave >= window[0]) & (wave <= window[1])).all():
        raise ConfigError(
            f"wave: {np.min(wave):g} to {np.max(wave):g} Angstrom is outside the window of the "
            f"search, {window[0]:g} to {window[1]:g} Angstrom"
        )
    sigma = float(ndtri(0.5 + interval / 2))
    flat = {name: value.ravel() for name, value in zip(told, values, strict=True)}
    found = of_kind(flux.ravel(), wave.ravel(), level, sigma=sigma, **flat)
    shaped = tuple(np.asarray(part).reshape(flux.shape) for part in found)
    return shaped[0], shaped[1], shaped[2]
