"""The surveys that can be read.

In: nothing. Out: `SURVEYS`, each known by its name.
"""

from __future__ import annotations

from collections.abc import Sequence

from speclens.read.sdss.survey import Sdss
from speclens.read.survey import Kind, Survey

__all__ = ["SURVEYS", "kind_of_content", "kinds", "survey_named", "wanted_files"]

SURVEYS: list[Survey] = [Sdss()]
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


def kinds() -> Sequence[Kind]:
    """Return all kinds of files, in the order in which they are searched."""
    return [kind for survey in SURVEYS for kind in survey.kinds]


def kind_of_content(path: str) -> Kind:
    """Say of which kind a file is, whatever its name.

    Parameters
    ----------
    path : str
        A file.

    Returns
    -------
    Kind
        Where no survey knows it, the last kind of the first: its reader tells what is wrong.
    """
    found = (survey.kind_of_content(path) for survey in SURVEYS)
    return next((kind for kind in found if kind is not None), SURVEYS[0].kinds[-1])


def wanted_files() -> str:
    """Return the names of files that can be searched, to tell the user."""
    return ", ".join(survey.wanted for survey in SURVEYS)
