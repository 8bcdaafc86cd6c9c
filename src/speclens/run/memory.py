"""Memory that a process frees and will need again at once, kept.

In: nothing. Out: nothing. Arrays of a plate are some MB each. The C library of Linux gives such
pieces back to the system when they are freed, and the system clears them before it hands them out
again: for every plate anew, and of a Dask worker, which is told to keep nothing, at every step.
"""

from __future__ import annotations

import ctypes
from functools import cache

__all__ = ["keep_freed_memory"]

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Names of the two settings in glibc's malloc.h."""

KEPT_BYTES = 1 << 28
"""What is freed beyond this goes back."""

LARGEST_PIECE = 1 << 25
"""Larger ones always come from the system; glibc allows no more."""


@cache
def keep_freed_memory() -> None:
    """Keep up to 256 MB of what this process frees, until it ends; nothing where that is not glibc.

    Notes
    -----
    `mallopt(3)`; an environment variable would do the same only for processes that start later.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(MMAP_THRESHOLD, LARGEST_PIECE)
        set_option(TRIM_THRESHOLD, KEPT_BYTES)
