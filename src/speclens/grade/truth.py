"""What is known of hits whose lines were put in: those of mock surveys, and hidden ones.

In: the tables of a run. Out: the truth by hit, in words, for training and for scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from speclens.evaluate.recovery import OTHER, TRUTH, mock_surveys, put_in
from speclens.grade.run_tables import RunTables
from speclens.hypotheses import OII
from speclens.schema import INJECTED
from speclens.stored_tables import is_product, read_rows
from speclens.view.wording import number

__all__ = ["KEPT", "Truth", "truth_of"]

KEPT = ("A", "B")
"""Grades that take a hit for a source: certain and probable."""

SOURCES = ("lya", "elg")
WORDS = {
    "lya": "Lyman alpha of a source",
    "elg": "a line of a galaxy with several",
    "oii": "a decoy: [O II]",
    "line": "a decoy: a lone line",
    "spike": "a decoy: a damaged pixel",
    "sky_line": "a decoy: what is left of a sky line",
    OTHER: "nothing was put in here",
}


@dataclass(frozen=True)
class Truth:
    """What was put in where a hit is.

    Parameters
    ----------
    kind : str
        Kind of the source or decoy; `other` for none.
    text : str
        The same in words.
    is_behind : bool, optional
        Whether it is [O II] of a galaxy that happens to be behind the lens, and so a source.
    """

    kind: str
    text: str
    is_behind: bool = False

    @property
    def is_source(self) -> bool:
        """Whether there is a source behind the galaxy."""
        return self.kind in SOURCES or self.is_behind

    def agrees(self, grade: str) -> bool | None:
        """Say whether a grade is right.

        Parameters
        ----------
        grade : str
            Of `speclens.inspections.events.GRADES`.

        Returns
        -------
        bool or None
            None for one that decides nothing.
        """
        return None if grade in ("", "C") else (grade in KEPT) == self.is_source


def truth_of(tables: RunTables) -> Mapping[int, Truth]:
    """Return what was put in, where a mock survey was searched, or lines that were hidden.

    Parameters
    ----------
    tables : RunTables
        The run.

    Returns
    -------
    mapping of int to Truth
        By row of hits.fits; empty for real spectra, or when the survey is gone.

    Raises
    ------
    RunError
        If its truth table is damaged.
    """
    surveys, own = mock_surveys(tables.record.inputs), tables.path / TRUTH
    if is_product(own):
        # Of lines hidden in a run's own spectra: a row a hit.
        rows = read_rows(own, INJECTED)
    elif surveys:
        rows = put_in(surveys, tables.hits, tables.config)
    else:
        return {}
    behind = (rows["KIND"] == "oii") & (tables.hits["WAVE"] / OII.wave - 1 > tables.hits["Z"])
    return {
        i: Truth(str(row["KIND"]), _words(row, is_behind), is_behind)
        for i, (row, is_behind) in enumerate(zip(rows, behind.tolist(), strict=True))
    }


def _words(row: np.void, is_behind: bool) -> str:
    kind = str(row["KIND"])
    text = "[O II] of a galaxy behind" if is_behind else WORDS.get(kind, kind)
    if np.isfinite(row["Z_SOURCE"]):
        text += f" at z = {number(row['Z_SOURCE'], 3)}, {'' if row['LENSED'] else 'not '}lensed"
    if np.isfinite(row["IDEAL_SNR"]):
        text += f"; ideal S/N {number(row['IDEAL_SNR'], 1)}"
    return text
