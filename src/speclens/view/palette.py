"""Colours of all figures, by what they show.

In: nothing. Out: names.
"""

from __future__ import annotations

__all__ = ["ACCENT", "DATA", "MODEL", "QUIET"]

DATA, MODEL, ACCENT, QUIET = "#31485c", "#d98324", "#b3261e", "#9aa7b2"
