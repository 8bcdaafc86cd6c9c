"""How well a grader tells sources from what is none, where that is known.

In: grades and the truth, by hit. Out: completeness and purity, with binomial errors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from speclens.grade.truth import KEPT, Truth
from speclens.view.wording import DASH, number

__all__ = ["Fraction", "Score", "score_of"]


@dataclass(frozen=True)
class Fraction:
    """A part of some hits.

    Parameters
    ----------
    part, n : int
        How many of how many.
    """

    part: int
    n: int

    @property
    def interval(self) -> tuple[float, float]:
        """Ends of Wilson's interval of one standard deviation, within which the fraction lies.

        Notes
        -----
        Wilson 1927, Journal of the American Statistical Association 22, 209.
        """
        if not self.n:
            return 0.0, 1.0
        p = self.part / self.n
        middle = (p + 0.5 / self.n) / (1 + 1 / self.n)
        half = math.sqrt(p * (1 - p) / self.n + 0.25 / self.n**2) / (1 + 1 / self.n)
        return middle - half, middle + half

    def __str__(self) -> str:
        """Tell it with its interval, and the numbers that it is of."""
        if not self.n:
            return DASH
        value, low, high = (number(part, 2) for part in (self.part / self.n, *self.interval))
        return f"{value} ({low} to {high}), {self.part} of {self.n}"


@dataclass(frozen=True)
class Score:
    """What a grader found.

    Parameters
    ----------
    completeness : Fraction
        Of the sources that were graded, those graded A or B.
    purity : Fraction
        Of those graded A or B, the sources.
    """

    completeness: Fraction
    purity: Fraction

    @property
    def n(self) -> int:
        """How many hits it is of: sources that were graded, and others taken for one."""
        return self.completeness.n + self.purity.n - self.purity.part


def score_of(
    grader: str, grades: Mapping[int, Mapping[str, str]], truth: Mapping[int, Truth]
) -> Score:
    """Compare a grader with the truth.

    Parameters
    ----------
    grader : str
        Who.
    grades : mapping of int to mapping of str to str
        Grades by hit and grader.
    truth : mapping of int to Truth
        What the hits are of which that is known.

    Returns
    -------
    Score
        Over the hits that were graded and are known.
    """
    graded = [(truth[hit].is_source, of[grader] in KEPT) for hit, of in grades.items()
              if hit in truth and grader in of]  # fmt: skip
    found = sum(source and kept for source, kept in graded)
    return Score(
        Fraction(found, sum(source for source, _ in graded)),
        Fraction(found, sum(kept for _, kept in graded)),
    )
