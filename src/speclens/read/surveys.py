"""The surveys that can be read.

In: nothing. Out: `SURVEYS`, each known by its name.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from speclens.read.arrays.survey import Arrays
from speclens.read.sdss.survey import Sdss
from speclens.read.sdssv.survey import SdssV
from speclens.read.survey import FileKind, Survey

__all__ = [
    "SURVEYS", "kind_of_content", "kind_of_file", "kind_of_name", "kinds", "survey_named",
    "wanted_files",
]  # fmt: skip

SURVEYS: list[Survey] = [Sdss(), SdssV(), Arrays()]
"""All of them; what the first does not know is asked of the next."""


def survey_named(name: str) -> Survey:
    """Return a survey.

    Parameters
    ----------
    name : str
        Its name, as in the column SURVEY.

    Returns
    -------
    Survey
        The survey.

    Raises
    ------
    KeyError
        If there is none of this name.
    """
    for survey in SURVEYS:
        if survey.name == name:
            return survey
    raise KeyError(name)


def kinds() -> Sequence[FileKind]:
    """Return all kinds of files, in the order in which they are searched."""
    return [kind for survey in SURVEYS for kind in survey.kinds]


def kind_of_file(path: str, surveys: Sequence[Survey] = SURVEYS) -> FileKind:
    """Say of which kind a file is that holds spectra, by its name or else by its content.

    Parameters
    ----------
    path : str
        A file.
    surveys : sequence of Survey, optional
        Those that it may be of.

    Returns
    -------
    FileKind
        Where no survey knows it, the last kind of the first: its reader tells what is wrong.
    """
    named = kind_of_name(os.path.basename(path), surveys)
    return named or kind_of_content(path, surveys) or surveys[0].kinds[-1]


def kind_of_name(name: str, surveys: Sequence[Survey] = SURVEYS) -> FileKind | None:
    """Say of which kind a file is, as far as its name tells."""
    found = (survey.kind_of_name(name) for survey in surveys)
    return next((kind for kind in found if kind is not None), None)


def kind_of_content(path: str, surveys: Sequence[Survey] = SURVEYS) -> FileKind | None:
    """Say of which kind a file is by what is in it; None where it is unknown or unreadable."""
    found = (survey.kind_of_content(path) for survey in surveys)
    return next((kind for kind in found if kind is not None), None)


def wanted_files() -> str:
    """Return the names of files that can be searched, to tell the user."""
    return ", ".join(survey.wanted for survey in SURVEYS)
