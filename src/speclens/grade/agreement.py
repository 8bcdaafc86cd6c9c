"""How far graders agree: kappas, and the hits that they disagree about.

In: grades by hit and grader. Out: numbers. A kappa compares how often two graders agree with how
often they would by chance, each with grades as frequent as his own.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations

from speclens.inspections.events import GRADES

__all__ = ["Grades", "cohen_kappa", "disagreement", "fleiss_kappa", "pairwise_kappas"]

Grades = Mapping[int, Mapping[str, str]]
"""Grades by row of the hit and by grader."""

PLACE = {grade: place for place, grade in enumerate(GRADES)}


def cohen_kappa(one: Sequence[str], other: Sequence[str]) -> float:
    """Return the agreement of two graders beyond chance.

    Parameters
    ----------
    one, other : sequence of str, length N
        Their grades of the same hits.

    Returns
    -------
    float
        1 for full agreement, 0 for that of chance; NaN where chance alone agrees always, or
        without a hit.

    Notes
    -----
    Cohen 1960, Educational and Psychological Measurement 20, 37, equation 1.
    """
    n = len(one)
    if not n:
        return math.nan
    seen = sum(a == b for a, b in zip(one, other, strict=True)) / n
    share, other_share = Counter(one), Counter(other)
    return _beyond(seen, sum(share[grade] * other_share[grade] for grade in share) / n**2)


def fleiss_kappa(counts: Sequence[Mapping[str, int]]) -> float:
    """Return the agreement of several graders beyond chance.

    Parameters
    ----------
    counts : sequence of mapping of str to int, length N
        How many gave each grade, for each hit; as many for each hit, at least two.

    Returns
    -------
    float
        As `cohen_kappa`.

    Raises
    ------
    ValueError
        If not all hits have as many grades.

    Notes
    -----
    Fleiss 1971, Psychological Bulletin 76, 378, equations 3 to 7.
    """
    if not counts:
        return math.nan
    n = sum(counts[0].values())
    if n < 2 or any(sum(of.values()) != n for of in counts):
        raise ValueError("each hit must have as many grades, at least two")
    total: Counter[str] = Counter()
    agreed = 0.0
    for of in counts:
        total.update(of)
        agreed += sum(k * (k - 1) for k in of.values()) / (n * (n - 1))
    chance = sum((k / (n * len(counts))) ** 2 for k in total.values())
    return _beyond(agreed / len(counts), chance)


def pairwise_kappas(grades: Grades) -> dict[tuple[str, str], tuple[float, int]]:
    """Return Cohen's kappa of each two graders.

    Parameters
    ----------
    grades : mapping of int to mapping of str to str
        Grades by hit and grader.

    Returns
    -------
    dict of (str, str) to (float, int)
        Kappa and the number of hits that both graded, of those who share any.
    """
    graders = sorted({grader for of in grades.values() for grader in of})
    found = {}
    for one, other in combinations(graders, 2):
        both = [of for of in grades.values() if one in of and other in of]
        if both:
            kappa = cohen_kappa([of[one] for of in both], [of[other] for of in both])
            found[one, other] = kappa, len(both)
    return found


def disagreement(of: Mapping[str, str]) -> int:
    """Say how far apart the grades of a hit are.

    Parameters
    ----------
    of : mapping of str to str
        Grades by grader.

    Returns
    -------
    int
        Steps between the best and the worst grade, 3 between A and X.
    """
    places = [PLACE[grade] for grade in of.values() if grade in PLACE]
    return max(places) - min(places) if places else 0


def _beyond(seen: float, chance: float) -> float:
    return (seen - chance) / (1 - chance) if chance < 1 else math.nan
