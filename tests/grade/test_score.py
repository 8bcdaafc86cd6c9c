"""Completeness and purity count what they say, with errors that hold."""

from __future__ import annotations

import numpy as np
import pytest

from speclens.grade.score import Fraction, score_of
from speclens.grade.truth import Truth

SOURCE, DECOY = Truth("lya", "a source"), Truth("line", "a decoy")


def test_completeness_is_of_sources_and_purity_of_what_was_kept() -> None:
    truth = {0: SOURCE, 1: SOURCE, 2: SOURCE, 3: DECOY, 4: DECOY}
    grades = {
        0: {"ann": "A"}, 1: {"ann": "B", "bob": "X"}, 2: {"ann": "C"},
        3: {"ann": "B"}, 4: {"bob": "A"}, 9: {"ann": "A"},
    }  # fmt: skip
    score = score_of("ann", grades, truth)
    assert score.completeness == Fraction(2, 3)
    assert score.purity == Fraction(2, 3)
    assert score_of("bob", grades, truth).purity == Fraction(0, 1)
    assert score_of("cyd", grades, truth).completeness == Fraction(0, 0)


@pytest.mark.parametrize(("n", "p"), [(20, 0.5), (20, 0.9), (60, 0.8)])
def test_the_interval_holds_the_truth_in_two_thirds_of_cases(n: int, p: float) -> None:
    rng = np.random.default_rng(3)
    holds = [
        low < p < high for k in rng.binomial(n, p, 4000) for low, high in [Fraction(k, n).interval]
    ]
    assert 0.6 < np.mean(holds) < 0.78


def test_the_interval_of_nothing_is_everything() -> None:
    assert Fraction(0, 0).interval == (0, 1)
    assert Fraction(0, 5).interval[0] == pytest.approx(0)
    assert Fraction(5, 5).interval[1] == pytest.approx(1)


def test_a_grade_of_possible_is_neither_right_nor_wrong() -> None:
    assert [SOURCE.agrees(grade) for grade in ("A", "B", "C", "X", "")] == [
        True, True, None, False, None,
    ]  # fmt: skip
    assert DECOY.agrees("X")
    assert DECOY.agrees("A") is False
