"""What a grade is of: a line in a spectrum, known again in a run that was searched anew.

In: rows of hits.fits, or the text that stands in the store. Out: the row that is meant. A grade
names the spectrum and the wavelength, never a row: rows move when files are added.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Subject", "Subjects", "spectrum_of"]

SAME_LINE_ANGSTROM = 3.0
"""A hit this near, in the same spectrum and search, is the line that was graded: a corrected file
moves a line by a fraction of its width, and no search fires twice within it."""


@dataclass(frozen=True)
class Subject:
    """A line in a spectrum, found by a search.

    Parameters
    ----------
    survey, spectrum : str
        The spectrum; its file and row where it has no name.
    search : str
        Name of the search.
    wave : float
        Observed wavelength, vacuum Angstrom, to hundredths.
    """

    survey: str
    spectrum: str
    search: str
    wave: float

    @classmethod
    def of_row(cls, row: np.void) -> Subject:
        """Return what a hit is.

        Parameters
        ----------
        row : record
            Row of hits.fits.

        Returns
        -------
        Subject
            The same in a later search of the same files.
        """
        return cls(*spectrum_of(row), str(row["SEARCH"]), round(float(row["WAVE"]), 2))

    @classmethod
    def of_key(cls, key: str) -> Subject:
        """Read what `key` wrote.

        Parameters
        ----------
        key : str
            Any text.

        Returns
        -------
        Subject
            The subject.

        Raises
        ------
        ValueError
            If the text is no key.
        """
        survey, _, rest = key.partition(":")
        parts = rest.rsplit(":", 2)
        if len(parts) != 3 or not key.isprintable():
            raise ValueError(f"{key!r}: not a line in a spectrum (survey:spectrum:search:wave)")
        return cls(survey, parts[0], parts[1], float(parts[2]))

    @property
    def key(self) -> str:
        """The text that stands in the store, in addresses and in tables."""
        return f"{self.survey}:{self.spectrum}:{self.search}:{self.wave:.2f}"


def spectrum_of(row: np.void) -> tuple[str, str]:
    """Name the spectrum of a row.

    Parameters
    ----------
    row : record
        Row of hits.fits, or of spectra.fits.

    Returns
    -------
    survey, spectrum : str
        As in `Subject`.
    """
    return str(row["SURVEY"]), str(row["SPECTRUM"]) or f"{row['FILE']}#{row['ROW']}"


class Subjects:
    """The hits of a run, found by what they are.

    Parameters
    ----------
    hits : structured array of shape (N,)
        Rows of hits.fits.
    """

    def __init__(self, hits: NDArray[np.void]) -> None:
        self.of_row = [Subject.of_row(row) for row in hits]
        self.keys = [subject.key for subject in self.of_row]
        self._exact = {key: row for row, key in reversed(list(enumerate(self.keys)))}
        self._near: dict[tuple[str, str, str], list[int]] = defaultdict(list)
        for row, subject in enumerate(self.of_row):
            self._near[_spectrum(subject)].append(row)

    def row(self, key: str) -> int | None:
        """Find a hit.

        Parameters
        ----------
        key : str
            What it is; any text.

        Returns
        -------
        int or None
            Row of hits.fits, the first of several; None when the run has no such hit.
        """
        if key in self._exact:
            return self._exact[key]
        try:
            subject = Subject.of_key(key)
        except ValueError:
            return None
        away = {row: self._distance(row, subject) for row in self._near.get(_spectrum(subject), ())}
        near = min(away, key=away.__getitem__, default=None)
        return None if near is None or away[near] > SAME_LINE_ANGSTROM else near

    def _distance(self, row: int, subject: Subject) -> float:
        away = abs(self.of_row[row].wave - subject.wave)
        return away if math.isfinite(away) else math.inf


def _spectrum(subject: Subject) -> tuple[str, str, str]:
    return subject.survey, subject.spectrum, subject.search
