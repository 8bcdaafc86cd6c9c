"""What the user names to be read: whether it is there, said before anything is imported for it."""

from __future__ import annotations

import os
from collections.abc import Sequence

from speclens.errors import RunError

__all__ = ["refuse_absent"]


def refuse_absent(inputs: Sequence[str]) -> None:
    """Refuse inputs that are not there.

    Parameters
    ----------
    inputs : sequence of str
        Files and folders.

    Raises
    ------
    RunError
        If there is no such file or folder; a link that leads nowhere is one, and fails when read.
    """
    for given in inputs:
        if not os.path.lexists(given):
            raise RunError(f"input {given!r}: no such file or folder")
