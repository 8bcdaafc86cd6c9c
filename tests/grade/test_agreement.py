"""Kappas are those of the papers that defined them."""

from __future__ import annotations

import math

import pytest

from speclens.grade.agreement import cohen_kappa, disagreement, fleiss_kappa, pairwise_kappas

FLEISS_EXAMPLE = (
    (0, 0, 0, 0, 14), (0, 2, 6, 4, 2), (0, 0, 3, 5, 6), (0, 3, 9, 2, 0),
    (2, 2, 8, 1, 1), (7, 7, 0, 0, 0), (3, 2, 6, 3, 0), (2, 5, 3, 2, 2), (6, 5, 2, 1, 0),
    (0, 2, 2, 3, 7),
)  # fmt: skip
"""Fourteen raters, ten subjects, five categories: a worked example that gives 0.210."""


def test_cohens_kappa_of_a_worked_table() -> None:
    # Both yes 20, both no 15, 5 and 10 apart: seen 0.7, by chance 0.5.
    one = ["A"] * 25 + ["X"] * 25
    other = ["A"] * 20 + ["X"] * 5 + ["A"] * 10 + ["X"] * 15
    assert cohen_kappa(one, other) == pytest.approx(0.4)


def test_fleiss_kappa_of_a_worked_table() -> None:
    counts = [dict(enumerate(row)) for row in FLEISS_EXAMPLE]
    assert fleiss_kappa([{str(k): n for k, n in of.items()} for of in counts]) == pytest.approx(
        0.210, abs=5e-4
    )


def test_full_agreement_is_one_and_that_of_chance_is_none() -> None:
    assert cohen_kappa("ABCX", "ABCX") == 1
    assert cohen_kappa("AABB", "ABAB") == 0
    assert fleiss_kappa([{"A": 3}, {"B": 3}]) == 1
    for nothing in (cohen_kappa("", ""), cohen_kappa("AA", "AA"), fleiss_kappa([])):
        assert math.isnan(nothing)


def test_fleiss_kappa_of_unequal_numbers_is_refused() -> None:
    for counts in ([{"A": 2}, {"A": 3}], [{"A": 1}]):
        with pytest.raises(ValueError, match="as many"):
            fleiss_kappa(counts)


def test_graders_are_compared_where_both_graded() -> None:
    grades = {1: {"ann": "A", "bob": "A"}, 2: {"ann": "X", "bob": "C"}, 3: {"cyd": "A"}}
    assert pairwise_kappas(grades) == {("ann", "bob"): (pytest.approx(1 / 3), 2)}


def test_disagreement_counts_steps() -> None:
    assert disagreement({"ann": "A", "bob": "X", "cyd": "B"}) == 3
    assert disagreement({"ann": "B", "bob": "C"}) == 1
    assert disagreement({"ann": "B"}) == disagreement({}) == 0
