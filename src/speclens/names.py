"""Names of systems, from their places on the sky.

In: positions. Out: text, truncated as the International Astronomical Union asks, never rounded.
"""

from __future__ import annotations

import math

import numpy as np

__all__ = ["is_position", "sexagesimal", "spectrum_name", "system_name"]

FULL_CIRCLE, POLE = 360.0, 90.0


def is_position(ra: float, dec: float) -> bool:
    """Say whether there is such a place on the sky.

    Parameters
    ----------
    ra, dec : float
        Position, J2000, degrees.

    Returns
    -------
    bool
        False for what is no number, beyond a pole, or more than one turn away.
    """
    return bool(math.isfinite(ra) and abs(ra) <= FULL_CIRCLE and abs(dec) <= POLE)


def sexagesimal(value: float, decimals: int) -> tuple[int, int, str]:
    """Split hours or degrees, truncated, never rounded.

    Parameters
    ----------
    value : float
        Hours or degrees, not negative.
    decimals : int
        Decimals of the seconds.

    Returns
    -------
    whole, minutes : int
        Hours or degrees, and minutes.
    seconds : str
        Seconds, with two digits before the point.
    """
    scale = 10**decimals
    # A hair is added before truncation: 1.1 in binary is a little less than 1.1.
    total = int(value * 3600 * scale + 1e-6)
    whole, rest = divmod(total, 3600 * scale)
    minutes, seconds = divmod(rest, 60 * scale)
    return whole, minutes, f"{seconds // scale:02d}.{seconds % scale:0{decimals}d}"


def system_name(designation: str, ra: float, dec: float) -> str:
    """Return the name of a system.

    Parameters
    ----------
    designation : str
        Acronym of its survey; empty where it is unknown.
    ra, dec : float
        Position, J2000, degrees.

    Returns
    -------
    str
        `SDSS JHHMMSS.ss+DDMMSS.s`, truncated, never rounded; empty without a position.

    Notes
    -----
    Li et al. 2019, Table 1; the convention of the International Astronomical Union.
    """
    if not is_position(ra, dec):
        return ""
    hours, minutes, seconds = sexagesimal((ra % FULL_CIRCLE) / 15, 2)
    degrees, arc_minutes, arc_seconds = sexagesimal(abs(dec), 1)
    sign = "-" if dec < 0 else "+"
    place = f"J{hours % 24:02d}{minutes:02d}{seconds}"
    place += f"{sign}{degrees:02d}{arc_minutes:02d}{arc_seconds}"
    return f"{designation} {place}".strip()


def spectrum_name(row: np.void) -> str:
    """Return how pages and notes call the spectrum of a hit.

    Parameters
    ----------
    row : record
        With SPECTRUM, FILE and ROW.

    Returns
    -------
    str
        `PPPP-MMMMM-FFFF`, as in the names of its files; its file and row where ids are unknown.
    """
    return str(row["SPECTRUM"]) or f"{row['FILE']}, row {row['ROW']}"
