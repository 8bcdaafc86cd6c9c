"""Find survey files in folders.

In: files and folders as the user typed them. Out: the spPlate and spec files to search, in a fixed
order. What is in a file is decided when it is read; here a name is enough, and a file that is named
outright is always searched, whatever its name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from speclens.errors import RunError, SpectrumFileError
from speclens.read.fits.opening import open_fits
from speclens.read.sdss import layouts

__all__ = ["SurveyFiles", "find_survey_files", "is_plate", "plate_of"]

PLATE_NAME = re.compile(r"spPlate-.*\.fits?(\.gz|\.fz)?$", re.IGNORECASE | re.DOTALL)
SPEC_NAME = re.compile(r"spec-.*\.fits?(\.gz|\.fz)?$", re.IGNORECASE | re.DOTALL)
ZBEST_NAME = re.compile(r"spZbest-", re.IGNORECASE)
MAX_IGNORED = 5
PLATE_NUMBER = re.compile(r"(?:spPlate|spec)-(\d+)-", re.IGNORECASE)


@dataclass(frozen=True)
class SurveyFiles:
    """The files of a search.

    Parameters
    ----------
    plates : tuple of str
        spPlate files.
    specs : tuple of str
        Single spec files.
    n_ignored : int
        Other files met in the folders; the spZbest of plates are none.
    ignored : tuple of str
        Names of the first of these.
    """

    plates: tuple[str, ...]
    specs: tuple[str, ...]
    n_ignored: int
    ignored: tuple[str, ...] = ()


def find_survey_files(inputs: Sequence[str]) -> SurveyFiles:
    """Find the survey files among files and folders.

    Parameters
    ----------
    inputs : sequence of str
        Files, and folders that are searched with all their subfolders.

    Returns
    -------
    SurveyFiles
        Each file once, sorted by path within its input.

    Raises
    ------
    RunError
        If an input does not exist.
    """
    plates: list[str] = []
    specs: list[str] = []
    n_ignored = 0
    ignored: list[str] = []
    seen: set[tuple[int, int]] = set()
    for path, named_outright in _walk(inputs):
        name = os.path.basename(path)
        if PLATE_NAME.match(name):
            kind = plates
        elif SPEC_NAME.match(name):
            kind = specs
        elif named_outright:
            kind = plates if is_plate(path) else specs
        else:
            if not ZBEST_NAME.match(name):
                n_ignored += 1
                ignored += [name] if n_ignored <= MAX_IGNORED else []
            continue
        if _is_new(path, seen):
            kind.append(path)
    return SurveyFiles(tuple(plates), tuple(specs), n_ignored, tuple(ignored))


def plate_of(path: str) -> int | None:
    """Return the plate number in a file's name.

    Parameters
    ----------
    path : str
        A survey file.

    Returns
    -------
    int or None
        None when the name tells nothing.
    """
    match = PLATE_NUMBER.match(os.path.basename(path))
    return int(match[1]) if match else None


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


def is_plate(path: str) -> bool:
    """Say whether a file holds a plate, whatever its name.

    Parameters
    ----------
    path : str
        A file.

    Returns
    -------
    bool
        True when it is laid out as an spPlate; False when it cannot be read.
    """
    try:
        with open_fits(path) as file:
            return layouts.is_plate(file)
    except SpectrumFileError:
        return False
