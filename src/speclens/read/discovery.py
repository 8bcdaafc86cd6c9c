"""Find survey files in folders.

In: files and folders as the user typed them. Out: the files to search, in a fixed order. What is in
a file is decided when it is read; here a name is enough, and a file that is named outright is
always searched, whatever its name. Plain tables have names of their own: only of a folder without
survey files they are told by what is in them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from speclens.errors import RunError
from speclens.read.arrays.files import is_of_plain_table, is_readable
from speclens.read.arrays.survey import TABLES
from speclens.read.inputs import refuse_absent, refuse_products
from speclens.read.survey import CatalogueRows, FileKind
from speclens.read.surveys import (
    SURVEYS,
    kind_of_content,
    kind_of_file,
    kind_of_name,
    kinds,
    survey_named,
    wanted_files,
)

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

    A folder in which no file has a name of a survey's is looked into: its tables of spectra count.

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
        If an input does not exist, is a folder of products, or there is no survey file.
    """
    found = _Found({kind: [] for kind in kinds()})
    for given in inputs:
        unknown: list[str] = []
        n_before = found.n_files
        for path, named_outright in _walk(given):
            kind = _kind(path, named_outright)
            if kind is None and is_of_plain_table(path) and not _is_companion(path):
                unknown.append(path)
            else:
                found.add(path, kind)
        told = _looked_into(unknown) if found.n_files == n_before else [None] * len(unknown)
        for path, kind in zip(unknown, told, strict=True):
            found.add(path, kind)
    of_kind = {kind: paths for kind, paths in found.of_kind.items() if paths}
    if not of_kind:
        raise RunError(
            f"no {wanted_files()} in {', '.join(inputs)} "
            f"({found.n_ignored} other files{': ' * bool(found.ignored)}"
            f"{', '.join(found.ignored)}); speclens fetch gets survey files from the archives"
        )
    return SurveyFiles(of_kind, sorted(found.ignored), found.n_ignored)


def _kind(path: str, named_outright: bool) -> FileKind | None:
    """Say of which kind a file is; None of a plain table in a folder, and of what no name tells."""
    name = os.path.basename(path)
    kind = kind_of_name(name)
    if kind is not None and kind.owns(name):
        return kind
    if kind is None and not named_outright:
        return None
    told = kind_of_file(path)
    return None if told == TABLES and not named_outright else told


@dataclass
class _Found:
    """What was met: files of each kind, and names of others."""

    of_kind: dict[FileKind, list[str]]
    ignored: list[str] = field(default_factory=list)
    n_ignored: int = 0
    n_files: int = 0
    seen: set[tuple[int, int]] = field(default_factory=set)

    def add(self, path: str, kind: FileKind | None) -> None:
        """Take a file of a kind, or of none."""
        if kind is not None:
            self.n_files += 1
            if _is_new(path, self.seen):
                self.of_kind[kind].append(path)
        elif not _is_companion(path):
            self.n_ignored += 1
            self.ignored += [os.path.basename(path)] if self.n_ignored <= MAX_IGNORED else []


def _is_companion(path: str) -> bool:
    return any(survey.is_companion(os.path.basename(path)) for survey in SURVEYS)


def _looked_into(paths: Sequence[str]) -> list[FileKind | None]:
    """Say of which kinds files are by what is in them; one that cannot be read fails as a table."""
    found = [kind_of_content(path) for path in paths]
    if TABLES not in found:
        return found
    return [
        TABLES if kind is None and not is_readable(path) else kind
        for path, kind in zip(paths, found, strict=True)
    ]


def _walk(given: str) -> Iterator[tuple[str, bool]]:
    """Return the files of an input, and whether they are named outright."""
    refuse_absent([given])
    if not os.path.isdir(given):
        yield given, True
        return
    refuse_products(given)
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
