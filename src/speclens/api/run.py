"""A run: the tables of a search, the spectra of its hits, and their figures.

In: the folder of a run. Out: `Run`, which reads what it is asked for.
"""

from __future__ import annotations

import os
import shutil
import weakref
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from speclens.api.html import page
from speclens.api.tables import quantities, spectrum_table
from speclens.config import Config, load_config
from speclens.errors import RunError
from speclens.evidence.store import Evidence, evidence_paths, read_evidence
from speclens.run.folder import existing_folder
from speclens.run.kinds import RUN, VETTING
from speclens.run.record import RunRecord, read_record
from speclens.schema import CANDIDATES, HIT_HYPOTHESES, HITS, KNOWN, SPECTRA, Column
from speclens.spectra import FittedSpectra
from speclens.stored_tables import read_rows
from speclens.view.content import RunContent

if TYPE_CHECKING:
    from astropy.table import QTable
    from matplotlib.axes import Axes

__all__ = ["Run", "open_run"]

SHOWN = (
    "RANK", "NAME", "SPECTRUM", "Z", "HYPOTHESIS", "Z_SOURCE", "SNR", "P_HYPOTHESIS", "P_LENSED",
    "HIT",
)  # fmt: skip
"""Columns of candidates that a notebook shows."""


class Run:
    """What a search found; `speclens.search` and `speclens.open_run` make it.

    Parameters
    ----------
    path : Path
        The folder of a run, or of a vetting beside it.
    temporary : Path, optional
        Folder that is removed with this object.

    Attributes
    ----------
    path : Path
        As given.
    record : RunRecord
        What run.json holds.
    counts, reasons : dict of str to int
        Spectra by status, hits and candidates; spectra that were not scored, by reason code.
    notes : list of str
        What a reader of the tables must know.

    Raises
    ------
    RunError
        If it is no finished run of this version.
    """

    def __init__(self, path: Path, temporary: Path | None = None) -> None:
        self.path = path
        if temporary is not None:
            weakref.finalize(self, shutil.rmtree, temporary, ignore_errors=True)
        with existing_folder(path, RUN, VETTING, untouched=True) as folder:
            self.record: RunRecord = read_record(folder)
            self._work = folder.work
        record = self.record
        self.counts, self.reasons, self.notes = record.counts, record.reasons, record.notes

    def __len__(self) -> int:
        return len(self._rows)

    @cached_property
    def hits(self) -> QTable:
        """Every hit, candidate or not, with all that was measured of it: hits.fits."""
        return quantities(self._rows, HITS)

    @cached_property
    def candidates(self) -> QTable:
        """The hits that vetting left, best first: candidates.fits, and HIT, the row in `hits`."""
        rows = read_rows(self.path / "candidates.fits", CANDIDATES)
        table = quantities(rows, CANDIDATES)
        content = RunContent(self.record, self._rows, rows, rows[:0], None, self.configuration)
        hit_of = {candidate: hit for hit, candidate in content.candidate_of.items()}
        table["HIT"] = np.array([hit_of[i] for i in range(len(table))], np.int64)
        return table

    @cached_property
    def spectra(self) -> QTable:
        """Every input spectrum, scored, skipped or failed, and why: spectra.fits."""
        return self._table("spectra.fits", SPECTRA)

    @cached_property
    def known(self) -> QTable | None:
        """What became of the published systems; None where no list of them was given."""
        name = "known.ecsv"
        return self._table(name, KNOWN) if (self.path / name).exists() else None

    @property
    def completeness(self) -> QTable:
        """How many of the lines that were put in came back, by kind, of a mock survey.

        Raises
        ------
        RunError
            If nothing was put into the spectra of this run.
        """
        from astropy.table import QTable

        if not self.record.truth:
            raise RunError(
                f"{self.path}: nothing was put into its spectra; speclens evaluate FOLDER puts "
                "lines into them and counts"
            )
        return QTable(rows=self.record.truth)

    @cached_property
    def configuration(self) -> Config:
        """The configuration of the search and of its last vetting."""
        return load_config(None, (), self.record.configuration)

    @property
    def report(self) -> Path:
        """The page to open in a browser."""
        return Path(os.path.abspath(self.path)) / "report" / "index.html"

    def hypotheses(self, hit: int) -> QTable:
        """Return what the line of a hit may be.

        Parameters
        ----------
        hit : int
            Row of `hits`.

        Returns
        -------
        astropy.table.QTable
            HYPOTHESIS, Z_SOURCE, LN_EVIDENCE and PROBABILITY, the likeliest first; they add to one.
        """
        from astropy.table import QTable

        rows = self._hypotheses_of(self._row(hit))
        return QTable(rows[[name for name in rows.dtype.names or () if name != "HIT"]])

    def spectrum(self, hit: int, window: bool = False) -> QTable:
        """Return the spectrum of a hit, with the foreground that was fitted without its line.

        Parameters
        ----------
        hit : int
            Row of `hits`.
        window : bool, optional
            Only the wavelengths that were searched, with the foreground fitted there.

        Returns
        -------
        astropy.table.QTable
            WAVE (vacuum), FLUX, IVAR (0 where masked), MODEL and DISPERSION (pixels).

        Raises
        ------
        RunError
            If the spectrum could not be read again after the search.
        """
        spectrum = self._fitted(self._row(hit))[0 if window else 1]
        arrays = {"FLUX": spectrum.flux, "IVAR": spectrum.ivar, "MODEL": spectrum.model}
        return spectrum_table(spectrum.grid, **arrays, DISPERSION=spectrum.dispersion)

    def plot(self, hit: int = 0, figure: Any = None) -> list[Axes]:
        """Draw a hit: its spectrum with the foreground, the window, the line, what else it may be.

        Parameters
        ----------
        hit : int, optional
            Row of `hits`; of a candidate it stands in HIT.
        figure : matplotlib.figure.Figure, optional
            Where to draw; a new one of pyplot when not given.

        Returns
        -------
        list of matplotlib.axes.Axes
            Whole spectrum, window, line, alternatives.

        Raises
        ------
        RunError
            If the spectrum could not be read again after the search.
        """
        from speclens.view.hit_axes import FIGURE_INCHES, draw_on_axes

        number = self._row(hit)
        window, whole = self._fitted(number)
        if figure is None:
            from matplotlib import pyplot

            figure = pyplot.figure(figsize=FIGURE_INCHES, layout="constrained")
        return draw_on_axes(figure, self._rows[number], window, whole, self._hypotheses_of(number))

    def __repr__(self) -> str:
        return f"<Run: {self._said}>"

    def _repr_html_(self) -> str:
        table = self.candidates
        shown = table[[name for name in SHOWN if name in table.colnames]]
        return page("Run", self._said, shown, self.report)

    @property
    def _said(self) -> str:
        counts = self.counts
        return (
            f"{counts['read']} spectra, {counts['scored']} searched with {self.record.method}, "
            f"{counts['hits']} hits, {counts['candidates']} candidates"
        )

    def _table(self, name: str, columns: Sequence[Column]) -> QTable:
        return quantities(read_rows(self.path / name, columns), columns)

    def _row(self, hit: int) -> int:
        """Return the row of a hit, counted from the end where negative."""
        if not -len(self) <= hit < len(self):
            raise IndexError(f"hit {hit} of {len(self)}")
        return range(len(self))[hit]

    @cached_property
    def _rows(self) -> NDArray[np.void]:
        """Rows of hits.fits."""
        return read_rows(self.path / "hits.fits", HITS)

    @cached_property
    def _every_hypothesis(self) -> NDArray[np.void]:
        return read_rows(self.path / "hypotheses.fits", HIT_HYPOTHESES)

    def _hypotheses_of(self, hit: int) -> NDArray[np.void]:
        rows = self._every_hypothesis[self._every_hypothesis["HIT"] == hit]
        return np.asarray(rows[np.argsort(-rows["PROBABILITY"], kind="stable")])

    @cached_property
    def _gathered(self) -> Mapping[int, Path]:
        """File of what was gathered of each hit."""
        paths = evidence_paths(self._work, self._rows)
        return {hit: path for path in paths for hit in read_evidence(path).hit.tolist()}

    def _fitted(self, hit: int) -> tuple[FittedSpectra, FittedSpectra]:
        """Return the spectrum of a hit, the window and whole."""
        path = self._gathered.get(hit)
        if path is None:
            raise RunError(
                f"{self.path}: the spectrum of hit {hit} could not be read again after the search; "
                "the notes of the run say why"
            )
        evidence: Evidence = read_evidence(path)
        at = np.flatnonzero(evidence.hit == hit)
        return evidence.window[at], evidence.whole[at]


def open_run(path: str | Path) -> Run:
    """Open the run of an earlier search, of the command line or of `speclens.search`.

    Parameters
    ----------
    path : str or Path
        Its folder, or that of a vetting beside it.

    Returns
    -------
    Run
        The run.

    Raises
    ------
    RunError
        If it is no finished run of this version.

    Examples
    --------
    >>> import speclens
    >>> speclens.open_run("nowhere")
    Traceback (most recent call last):
    speclens.errors.RunError: nowhere: no run of speclens; give the -o of a search
    """
    return Run(Path(path))
