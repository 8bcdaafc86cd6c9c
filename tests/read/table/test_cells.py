"""Cells of tables: what an identifier is, and what only looks like one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from speclens.read.table.cells import exact_ids


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (np.array([4544978190, -7]), [4544978190, -7]),
        (np.array([4544978190.0, 2.5, np.nan]), [4544978190, None, None]),
        (np.array([2.0**53, 5.0]), [None, 5]),
        (np.array([4544978190, 7], np.float32), [None, 7]),
        (np.array(["4544978190", "4.54498E+09", "9007199254740993.0", "12.0", ""]),
         [4544978190, None, None, 12, None]),
        (np.ma.masked_array([1, 2], [True, False]), [None, 2]),
    ],
)  # fmt: skip
def test_c1_an_identifier_that_was_rounded_is_none(column: Any, expected: list[Any]) -> None:
    ids, bad = exact_ids(column)
    assert ids == expected
    missing = [number is None for number in expected]
    assert not (bad & ~np.array(missing)).any()
