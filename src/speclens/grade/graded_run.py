"""A run as graders see it: its hits, their spectra, what was said of them.

In: RUN. Out: rows, spectra and inspections. RUN is locked only while its tables are read, so that
it can be vetted again meanwhile; tables that have changed are read anew, and grades follow their
hits.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config, load_config
from speclens.errors import RunError
from speclens.evidence.store import Evidence, evidence_paths, read_evidence
from speclens.grade.gradebook import Gradebook
from speclens.grade.store import NAME, GradeStore
from speclens.grade.subjects import Subjects
from speclens.run.folder import existing_folder
from speclens.run.kinds import RUN, VETTING
from speclens.run.record import read_record
from speclens.schema import CANDIDATES, HIT_HYPOTHESES
from speclens.spectra import FittedSpectra
from speclens.stored_tables import read_rows
from speclens.vet.probability import odds_terms
from speclens.vet.vetting import Vetted
from speclens.view.content import RunContent

__all__ = ["GradedRun"]

KEPT_FILES = 2
"""Survey files whose gathered spectra stay in memory."""


class GradedRun:
    """A run with its store of grades.

    Parameters
    ----------
    path : Path
        A run, or a vetting of one.

    Raises
    ------
    RunError
        If it is none, is being written, has not ended, or its store cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read()
        self.store = GradeStore(self.path / NAME)
        self.store.back_up()
        self.book = Gradebook(self.store, self.subjects)

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
        if _signature(self.path) != self._signature:
            self._read()
            self.book = Gradebook(self.store, self.subjects)
        self.book.refresh()

    def config_of(self, row: int) -> Config:
        """Return the configuration of the search that found a hit.

        Parameters
        ----------
        row : int
            Row of hits.fits.

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
            Row of hits.fits.

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
            Row of hits.fits.

        Returns
        -------
        window, whole : FittedSpectra
            One spectrum: the window as it was searched, and all of it.

        Raises
        ------
        RunError
            If it was not gathered, or cannot be read.
        """
        while row not in self._place and self._unread:
            path = self._unread.pop(0)
            for i, hit in enumerate(self._gathered(path).hit.tolist()):
                self._place[hit] = path, i
        if row not in self._place:
            raise RunError("the spectrum could not be read again when the run was searched")
        path, i = self._place[row]
        evidence, one = self._gathered(path), np.array([i])
        return evidence.window[one], evidence.whole[one]

    def _gathered(self, path: Path) -> Evidence:
        if path not in self._kept:
            self._kept[path] = read_evidence(path)
            while len(self._kept) > KEPT_FILES:
                self._kept.popitem(last=False)
        self._kept.move_to_end(path)
        return self._kept[path]

    def _read(self) -> None:
        """Read the tables, between two writers of them."""
        with existing_folder(self.path, RUN, VETTING, untouched=True) as folder:
            record = read_record(folder)
            if record.stage != "done":
                raise RunError(
                    f"{folder.path}: its vetting has not ended; run speclens vet {folder.path}"
                )
            signature = _signature(folder.path)
            vetted = Vetted.read(folder.path)
            candidates = read_rows(folder.path / "candidates.fits", CANDIDATES)
            hypotheses = read_rows(folder.path / "hypotheses.fits", HIT_HYPOTHESES)
            unread = evidence_paths(folder.work, vetted.hits)
        config = load_config(None, (), record.configuration)
        self.path, self._signature = folder.path, signature
        self.content = RunContent(
            record,
            vetted.hits,
            candidates,
            vetted.companions,
            None,
            config,
            odds_terms(vetted.hits),
            (),
            hypotheses,
        )
        # Both tables are of one vetting, or this says so.
        _ = self.content.candidate_of
        self.subjects = Subjects(vetted.hits)
        self._unread = unread
        self._place: dict[int, tuple[Path, int]] = {}
        self._kept: OrderedDict[Path, Evidence] = OrderedDict()


def _signature(folder: Path) -> tuple[Any, ...]:
    """Return what changes when the tables of a run are written again; run.json comes last."""
    try:
        found = (folder / "run.json").stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino
