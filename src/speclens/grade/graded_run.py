"""A run as graders see it: its hits, their spectra, what was said of them.

In: RUN. Out: rows, spectra and inspections. Tables that have changed are read anew, and grades
follow their hits.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config
from speclens.errors import RunError
from speclens.grade.hidden import SHARE, hidden_rows, with_hidden
from speclens.grade.run_tables import RunTables, read_tables, signature
from speclens.grade.truth import Truth, truth_of
from speclens.inspections.events import Inspection, hidden_event
from speclens.inspections.gradebook import Gradebook
from speclens.inspections.store import NAME, GradeStore
from speclens.inspections.subjects import Subjects
from speclens.run.kinds import HIDDEN
from speclens.spectra import FittedSpectra
from speclens.vet.probability import odds_terms
from speclens.view.content import RunContent

__all__ = ["GradedRun"]

HIDING_SEED = 1
"""The same hits are hidden whenever the page is opened."""


class GradedRun:
    """A run with its store of grades.

    Parameters
    ----------
    path : Path
        A run, or a vetting of one.
    training : bool, optional
        Whether graders are told at once what they graded; of runs of mock surveys.
    hidden : Path, optional
        Lines hidden in its own spectra, or a run of a mock survey: some of its candidates are
        mixed in.
    share : float, optional
        Hidden hits for each candidate.

    Raises
    ------
    RunError
        If it is none, is being written, has not ended, or its store cannot be used; if nothing is
        known of the lines that were put in, where that is asked for.
    """

    def __init__(
        self,
        path: Path,
        training: bool = False,
        hidden: Path | None = None,
        share: float = SHARE,
    ) -> None:
        self.path, self.training, self._share = path, training, share
        self._mock = None if hidden is None else read_tables(hidden, HIDDEN)
        self._mock_truth = {} if self._mock is None else _told(truth_of(self._mock), self._mock)
        self._read()
        if training:
            _told(self._known, self._own)
        self.store = GradeStore(self.path / NAME)
        self.store.back_up()
        self.book = self._opened_book()

    def close(self) -> None:
        """Close the store."""
        self.store.close()

    def refresh(self) -> None:
        """Take in what others graded, and the tables of another vetting.

        Raises
        ------
        RunError
            If the store or the new tables cannot be read.
        """
        if signature(self.path) != self._own.signature:
            self._read()
            self.book = self._opened_book()
        self.book.refresh()

    def config_of(self, row: int) -> Config:
        """Return the configuration of the search that found a hit.

        Parameters
        ----------
        row : int
            Row of `content.hits`.

        Returns
        -------
        Config
            With the limits of vetting.
        """
        return self.content.config.of(str(self.content.hits["SEARCH"][row]))

    def table_row(self, row: int) -> np.void:
        """Return what the tables say of a hit.

        Parameters
        ----------
        row : int
            Row of `content.hits`.

        Returns
        -------
        record
            Its row of candidates.*, or of hits.fits where it is none.
        """
        candidate = self.content.candidate_of.get(row)
        table: NDArray[np.void] = self.content.hits
        if candidate is not None:
            table, row = self.content.candidates, candidate
        found: np.void = table[row]
        return found

    def spectrum(self, row: int) -> tuple[FittedSpectra, FittedSpectra]:
        """Return the spectrum of a hit.

        Parameters
        ----------
        row : int
            Row of `content.hits`.

        Returns
        -------
        window, whole : FittedSpectra
            One spectrum: the window as it was searched, and all of it.

        Raises
        ------
        RunError
            If it was not gathered, or cannot be read.
        """
        place = row - len(self._own.hits)
        if place >= 0 and self._mock is not None:
            return self._mock.spectra.of(int(self._hidden[place]))
        return self._own.spectra.of(row)

    def answer(self, row: int) -> Truth | None:
        """Return what a hit is, for graders in training.

        Parameters
        ----------
        row : int
            Row of `content.hits`.

        Returns
        -------
        Truth or None
            None when it is not to be told.
        """
        return self._known.get(row) if self.training else None

    @property
    def truth(self) -> Mapping[int, Truth]:
        """What hits are of which that is known, the hidden ones among them."""
        return self._known

    @property
    def inspections(self) -> list[tuple[int | None, Inspection]]:
        """What was said of spectra of this run, by row of hits.fits; None for hits that it lost.

        Without what was said of hidden hits, now or before.
        """
        n_own, hidden = len(self._own.hits), self.book.hidden
        return [
            (row, of)
            for row, of in self.book.all
            if (of.subject not in hidden if row is None else row < n_own)
        ]

    @property
    def n_hidden(self) -> int:
        """How many hits are hidden among those of the run."""
        return len(self.content.hits) - len(self._own.hits)

    def _opened_book(self) -> Gradebook:
        """Say in the store which hits are hidden, whatever becomes of it, and read it."""
        keys = self.subjects.keys[len(self._own.hits) :]
        if keys:
            self.store.merge([hidden_event(key) for key in keys])
        return Gradebook(self.store, self.subjects)

    def _read(self) -> None:
        tables = self._own = read_tables(self.path)
        known = dict(truth_of(tables))
        if self._mock is not None:
            rng = np.random.default_rng(HIDING_SEED)
            self._hidden = hidden_rows(tables, self._mock, self._share, rng)
            rows = self._hidden.tolist()
            known |= {len(tables.hits) + i: self._mock_truth[row] for i, row in enumerate(rows)}
            tables = with_hidden(tables, self._mock, self._hidden)
        self.path, self._known = tables.path, known
        self.content = _content(tables)
        # Both tables are of one vetting, or this says so.
        _ = self.content.candidate_of
        self.subjects = Subjects(tables.hits)


def _told(truth: Mapping[int, Truth], tables: RunTables) -> Mapping[int, Truth]:
    """Refuse a run of whose lines nothing is known."""
    if not truth:
        raise RunError(f"{tables.path}: of no mock survey, or it is gone; speclens demo makes one")
    return truth


def _content(tables: RunTables) -> RunContent:
    return RunContent(
        tables.record,
        tables.hits,
        tables.candidates,
        tables.companions,
        None,
        tables.config,
        odds_terms(tables.hits),
        (),
        tables.hypotheses,
    )
