"""The surveys that can be read.

In: nothing. Out: `SURVEYS`, each known by its name; those of this package, and those that others
add by entry points (`speclens.plugins`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.metadata import EntryPoint

from speclens.instrument import INSTRUMENTS
from speclens.plugins import INSTRUMENTS_GROUP, SURVEYS_GROUP, offered, package_of
from speclens.read.added import AddedSurvey
from speclens.read.arrays.survey import Arrays
from speclens.read.desi.survey import Desi
from speclens.read.sdss.survey import Sdss
from speclens.read.sdssv.survey import SdssV
from speclens.read.survey import FileKind, Survey

__all__ = [
    "SURVEYS", "add_surveys", "kind_of_content", "kind_of_file", "kind_of_name", "kinds",
    "survey_named", "wanted_files",
]  # fmt: skip

ASKED = [name for name in vars(Survey) if not name.startswith("_")]
"""What a survey answers."""

SURVEYS: list[Survey] = [Sdss(), SdssV(), Desi(), Arrays()]
"""All of them; what the first does not know is asked of the next."""


def _added(entry: EntryPoint) -> Survey:
    """Load the survey of another package, and see that it can be asked; guard it."""
    survey: Survey = entry.load()()
    missing = [name for name in ASKED if not hasattr(survey, name)]
    if missing:
        raise TypeError(f"it lacks {', '.join(missing)} of speclens.read.survey.Survey")
    if survey.name not in INSTRUMENTS:
        raise LookupError(f"no record {survey.name} in an instruments.toml ({INSTRUMENTS_GROUP})")
    taken = {other.name for other in SURVEYS} | {kind.name for kind in kinds()}
    again = taken.intersection([survey.name, *(kind.name for kind in survey.kinds)])
    if again:
        raise ValueError(f"there is {', '.join(sorted(again))} already")
    survey.kind_of_name("a.fits"), survey.is_companion("a.fits")
    return AddedSurvey(survey, package_of(entry))


def add_surveys() -> None:
    """Put the surveys of other packages among those that are known, before plain tables."""
    for survey in offered(SURVEYS_GROUP, _added):
        SURVEYS.insert(-1, survey)


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
        Where no survey knows its content, that of its name, or else the last kind of the first: its
        reader tells what is wrong.
    """
    name = os.path.basename(path)
    named = kind_of_name(name, surveys)
    if named is not None and named.owns(name):
        return named
    return kind_of_content(path, surveys) or named or surveys[0].kinds[-1]


def kind_of_name(name: str, surveys: Sequence[Survey] = SURVEYS) -> FileKind | None:
    """Say of which kind a file is, or may be, as far as its name tells."""
    found = (survey.kind_of_name(name) for survey in surveys)
    return next((kind for kind in found if kind is not None), None)


def kind_of_content(path: str, surveys: Sequence[Survey] = SURVEYS) -> FileKind | None:
    """Say of which kind a file is by what is in it; None where it is unknown or unreadable."""
    found = (survey.kind_of_content(path) for survey in surveys)
    return next((kind for kind in found if kind is not None), None)


def wanted_files() -> str:
    """Return the names of files that can be searched, to tell the user."""
    return ", ".join(survey.wanted for survey in SURVEYS)


add_surveys()
