"""What the user names to be read: whether it is there, said before anything is imported for it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

from speclens.errors import RunError
from speclens.run.kinds import FETCHED, MARKER, SURVEY

__all__ = ["refuse_absent", "refuse_products"]


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


def refuse_products(folder: str) -> None:
    """Refuse a folder that speclens wrote and in which there are no spectra to search.

    Parameters
    ----------
    folder : str
        An input.

    Raises
    ------
    RunError
        If its marker says that it is of another kind than mock surveys and fetched files.
    """
    try:
        with open(os.path.join(folder, MARKER), "rb") as file:
            name = json.load(file)["kind"]
    except (OSError, ValueError, LookupError, TypeError):
        return  # not ours, or no longer
    if name not in (SURVEY.name, FETCHED.name):
        raise RunError(
            f"input {folder!r}: it is speclens' {name}, which holds no spectra to search; give "
            "survey files, or folders of them"
        )
