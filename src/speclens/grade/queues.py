"""In which order hits are looked at, and which of them: the queue of a grader.

In: a run, and what is asked for. Out: rows of hits.fits. Unknown values of a question are
refused, so that no queue is other than it seems.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from speclens.grade.agreement import disagreement
from speclens.grade.graded_run import GradedRun
from speclens.inspections.events import GRADES
from speclens.schema import VET_FLAGS

__all__ = ["CHOICES", "Question", "queue"]

NEAR_DEGREES = 1 / 60
"""Hits this near to a position that is searched for are shown."""

POSITION = re.compile(r"\s*(\d{1,3}(?:\.\d*)?)[\s,]+([+-]?\d{1,2}(?:\.\d*)?)\s*")
MAX_TEXT = 100

CHOICES: Mapping[str, tuple[str, ...]] = {
    "order": ("rank", "probability", "snr", "disagreement"),
    "which": ("candidates", "rejected", "all"),
    "grade": ("any", "none", "some", *GRADES),
    "known": ("any", "yes", "no"),
    "flag": ("any", *(flag.name for flag in VET_FLAGS)),
}
"""What a question can be, the first by default."""


@dataclass(frozen=True)
class Question:
    """What a grader wants to see.

    Parameters
    ----------
    order, which, grade, known, flag : str, optional
        Of `CHOICES`; grades are the grader's own.
    hypothesis : str, optional
        What the search takes the source for; `any` for all.
    text : str, optional
        A part of a name, of an id, or a position in degrees.
    """

    order: str = "rank"
    which: str = "candidates"
    grade: str = "any"
    known: str = "any"
    flag: str = "any"
    hypothesis: str = "any"
    text: str = ""

    @classmethod
    def of(cls, asked: Mapping[str, str]) -> Question:
        """Read a question from an address.

        Parameters
        ----------
        asked : mapping of str to str
            Its parameters; what is no part of a question is left alone.

        Returns
        -------
        Question
            The question.

        Raises
        ------
        ValueError
            If a value is none that can be asked for.
        """
        said = {part.name: asked[part.name] for part in fields(cls) if asked.get(part.name)}
        for name, choices in CHOICES.items():
            if said.get(name, choices[0]) not in choices:
                raise ValueError(f"{name}: one of {', '.join(choices)}")
        if len(said.get("text", "")) > MAX_TEXT or len(said.get("hypothesis", "")) > MAX_TEXT:
            raise ValueError(f"text: at most {MAX_TEXT} characters")
        return cls(**said)

    @property
    def parameters(self) -> dict[str, str]:
        """What differs from a question that asks for nothing, for an address."""
        usual = Question()
        return {
            part.name: getattr(self, part.name)
            for part in fields(self)
            if getattr(self, part.name) != getattr(usual, part.name)
        }


def queue(run: GradedRun, question: Question, grader: str) -> list[int]:
    """Return the hits that are asked for, in order.

    Parameters
    ----------
    run : GradedRun
        The run.
    question : Question
        What is asked for.
    grader : str
        Who asks.

    Returns
    -------
    list of int
        Rows of hits.fits.
    """
    hits = run.content.hits
    wanted = _wanted(hits, question) & _graded(run, question, grader)
    best = -_known_number(hits["SNR" if question.order == "snr" else "P_HYPOTHESIS"])
    first, second = best, _rank(run)
    if question.order == "rank":
        first, second = second, best
    elif question.order == "disagreement":
        first = -_apart(run)
        wanted &= first < 0
    order = np.lexsort((second, first))
    found: list[int] = order[wanted[order]].tolist()
    return found


def _wanted(hits: NDArray[np.void], question: Question) -> NDArray[np.bool_]:
    """Say which hits are asked for, by what the tables say of them."""
    wanted = np.ones(len(hits), bool)
    # Who searches by name wants that hit, rejected or not.
    if question.which != "all" and not question.text:
        wanted &= hits["CANDIDATE"] == (question.which == "candidates")
    if question.flag != "any":
        bit = next(flag.bit for flag in VET_FLAGS if flag.name == question.flag)
        wanted &= hits["VET_FLAGS"] & bit != 0
    if question.known != "any":
        wanted &= (hits["KNOWN"] != "") == (question.known == "yes")
    if question.hypothesis != "any":
        wanted &= hits["HYPOTHESIS"] == question.hypothesis
    if question.text:
        wanted &= _named(hits, question.text)
    return wanted


def _named(hits: NDArray[np.void], text: str) -> NDArray[np.bool_]:
    position = POSITION.fullmatch(text)
    if position:
        ra, dec = np.radians(float(position[1])), np.radians(float(position[2]))
        there = np.radians(hits["RA"]), np.radians(hits["DEC"])
        with np.errstate(invalid="ignore"):
            haversine = (
                np.sin((there[1] - dec) / 2) ** 2
                + np.cos(dec) * np.cos(there[1]) * np.sin((there[0] - ra) / 2) ** 2
            )
            return np.asarray(haversine < np.sin(math.radians(NEAR_DEGREES) / 2) ** 2)
    part = text.strip().lower()
    columns = [hits[name].astype(str).tolist() for name in ("NAME", "SPECTRUM", "TARGETID", "FILE")]
    return np.array(
        [any(part in value.lower() for value in row) for row in zip(*columns, strict=True)], bool
    )


def _graded(run: GradedRun, question: Question, grader: str) -> NDArray[np.bool_]:
    n_hits = len(run.content.hits)
    if question.grade == "any":
        return np.ones(n_hits, bool)
    own = np.full(n_hits, "", "U1")
    for row, of in run.book.grades.items():
        own[row] = of.get(grader, "")
    if question.grade in ("none", "some"):
        return np.asarray((own == "") == (question.grade == "none"))
    return np.asarray(own == question.grade)


def _apart(run: GradedRun) -> NDArray[np.float64]:
    apart = np.zeros(len(run.content.hits))
    for row, of in run.book.grades.items():
        apart[row] = disagreement(of)
    return apart


def _rank(run: GradedRun) -> NDArray[np.float64]:
    """Place among the candidates; rejected hits come behind them."""
    rank = np.full(len(run.content.hits), float(len(run.content.candidates)))
    for row, candidate in run.content.candidate_of.items():
        rank[row] = candidate
    return rank


def _known_number(values: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.nan_to_num(values.astype(np.float64), nan=-1.0, posinf=-1.0, neginf=-1.0)
