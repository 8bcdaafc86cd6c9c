"""What a fit says of the skewness of a line: a value, a bound, or nothing.

In: a row of hits or candidates. Out: what tables and pages may say of it.
"""

from __future__ import annotations

import math
from enum import Enum

import numpy as np

__all__ = ["DASH", "Bound", "skewness_bound"]

AS_SKEWED = 3.0
"""A typical skewness of Lyman alpha (Cao et al. 2020: median 3.15)."""

DASH = "\u2014"


class Bound(Enum):
    """What a fit says of the skewness of a line: the value, an end of its interval, or nothing."""

    VALUE = ""
    LOWER = ">"
    UPPER = "<"
    NONE = "unconstrained"
    UNKNOWN = DASH


def skewness_bound(row: np.void) -> tuple[Bound, float]:
    """Return what a fit says of the skewness of a line.

    Parameters
    ----------
    row : structured row
        A row of hits.fits or candidates.*.

    Returns
    -------
    bound : Bound
        At an end of the fit's range only the other end of the interval means something; nothing
        does where the interval holds lines skewed like Lyman alpha either way.
    value : float
        The value, or that end of the interval; NaN where there is none.
    """
    value, low, high = (float(row[name]) for name in ("SKEWNESS", "SKEWNESS_LOW", "SKEWNESS_HIGH"))
    if not math.isfinite(value):
        return Bound.UNKNOWN, math.nan
    if low < -AS_SKEWED and high > AS_SKEWED:
        return Bound.NONE, math.nan
    if row["FIT_STATUS"] != "at_bound":
        return Bound.VALUE, value
    return (Bound.LOWER, low) if value > 0 else (Bound.UPPER, high)
