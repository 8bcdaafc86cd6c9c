"""Find survey files in folders.

In: files and folders as the user typed them. Out: the files to search, in a fixed order. What is in
a file is decided when it is read; here a name is enough, and a file that is named outright is
always searched, whatever its name.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from speclens.errors import RunError
from speclens.read.survey import CatalogueRows, FileKind
from speclens.read.surveys import SURVEYS, kind_of_file, kinds, survey_named, wanted_files

__all__ = ["SurveyFiles", "find_survey_files"]

MAX_IGNORED = 5


@dataclass(frozen=True)
class SurveyFiles:
    """The files of a search.

    Parameters
    ----------
    of_kind : dict of FileKind to list of str
        The files of each kind; no kind without files.
    ignored : list of str
        Names of the first of the other files met in the folders; files that are read with others
        are none of them.
    n_ignored : int
        How many these are.
    """

    of_kind: dict[FileKind, list[str]] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)
    n_ignored: int = 0

    def catalogue(self, path: str | None) -> CatalogueRows | None:
        """Open a survey catalogue for these files.

        Parameters
        ----------
        path : str, optional
            The catalogue.

        Returns
        -------
        CatalogueRows or None
            The catalogue, of which the rows are kept that the files need; None without one.

        Raises
        ------
        RunError
            If the files are of several surveys, or it cannot be read.
        """
        if not path:
            return None
        surveys = sorted({kind.survey for kind in self.of_kind})
        if len(surveys) > 1:
            raise RunError(
                f"catalogue {path}: it is of one survey, and the inputs are of "
                f"{' and '.join(surveys)}; search them one by one"
            )
        return survey_named(surveys[0]).catalogue(path, self.paths)

    @property
    def paths(self) -> list[str]:
        """All of the files."""
        return [path for paths in self.of_kind.values() for path in paths]

    @property
    def counts(self) -> dict[str, int]:
        """How many there are of each kind that can be read, by its name."""
        return {kind.name: len(self.of_kind.get(kind, ())) for kind in kinds()}


def find_survey_files(inputs: Sequence[str]) -> SurveyFiles:
    """Find the survey files among files and folders.

    Parameters
    ----------
    inputs : sequence of str
        Files, and folders that are searched with all their subfolders.

    Returns
    -------
    SurveyFiles
        Each file once, sorted by path within its input; at least one.

    Raises
    ------
    RunError
        If an input does not exist, or there is no survey file.
    """
    found: dict[FileKind, list[str]] = {kind: [] for kind in kinds()}
    ignored: list[str] = []
    n_ignored = 0
    seen: set[tuple[int, int]] = set()
    for path, named_outright in _walk(inputs):
        name = os.path.basename(path)
        kind = _kind_of_name(name)
        if kind is None and named_outright:
            kind = kind_of_file(path)
        if kind is not None:
            if _is_new(path, seen):
                found[kind].append(path)
        elif not any(survey.is_companion(name) for survey in SURVEYS):
            n_ignored += 1
            ignored += [name] if n_ignored <= MAX_IGNORED else []
    of_kind = {kind: paths for kind, paths in found.items() if paths}
    if not of_kind:
        raise RunError(
            f"no {wanted_files()} in {', '.join(inputs)} "
            f"({n_ignored} other files{': ' * bool(ignored)}{', '.join(ignored)}); speclens fetch "
            "gets survey files from the archives"
        )
    return SurveyFiles(of_kind, ignored, n_ignored)


def _kind_of_name(name: str) -> FileKind | None:
    found = (survey.kind_of_name(name) for survey in SURVEYS)
    return next((kind for kind in found if kind is not None), None)


def _walk(inputs: Sequence[str]) -> Iterator[tuple[str, bool]]:
    for given in inputs:
        if not os.path.lexists(given):
            raise RunError(f"input {given!r}: no such file or folder")
        if not os.path.isdir(given):
            yield given, True
            continue
        visited: set[str] = set()
        closed: list[OSError] = []
        for folder, subfolders, names in os.walk(given, onerror=closed.append, followlinks=True):
            real = os.path.realpath(folder)
            if real in visited:
                subfolders.clear()
                continue
            visited.add(real)
            subfolders.sort()
            for name in sorted(names):
                yield os.path.join(folder, name), False
        # A folder that cannot be listed is searched like a file, and fails like one.
        yield from ((os.fspath(error.filename), True) for error in closed)


def _is_new(path: str, seen: set[tuple[int, int]]) -> bool:
    """Say whether a file was not met before under another name."""
    try:
        status = os.stat(path)
    except OSError:
        return True
    key = (status.st_dev, status.st_ino)
    if key in seen:
        return False
    seen.add(key)
    return True
