"""What a list of candidates is worth, in words, on the page and on the command line.

In: numbers of run.json or of an evaluation, some of which may not be known. Out: plain text.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

__all__ = ["UNKNOWN", "expected_true", "told"]

UNKNOWN = "not known"


def told(value: float | None, form: str) -> str:
    """Write a number that may not be known.

    Parameters
    ----------
    value : float, optional
        The number; None, as JSON has it, or NaN where it is not known.
    form : str
        How it is written, as for `format`.

    Returns
    -------
    str
        The number, or `UNKNOWN`.
    """
    return UNKNOWN if value is None or math.isnan(value) else format(value, form)


def expected_true(purpose: Mapping[str, Any]) -> str:
    """Write how many candidates of a list are true.

    Parameters
    ----------
    purpose : mapping
        A list that serves a purpose, as in run.json.

    Returns
    -------
    str
        The number, and its 68 % interval.
    """
    number, low, high = (purpose[name] for name in ("n_true", "n_true_low", "n_true_high"))
    return UNKNOWN if number is None else f"{number:.1f} ({low:.1f} to {high:.1f})"
