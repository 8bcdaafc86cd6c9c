"""What was weighed of hits stays with its hits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from speclens.schema import HEAT_MAP, HIT_HYPOTHESES, dtype_of
from speclens.search.readings import Readings


def of_hits(*numbers: int) -> Readings:
    """Readings of some hits, each marked by ten times its number."""
    tables: list[NDArray[np.void]] = []
    for columns in (HIT_HYPOTHESES, HEAT_MAP):
        rows = np.zeros(2 * len(numbers), dtype_of(columns))
        rows["HIT"] = np.repeat(numbers, 2)
        rows["Z_SOURCE"] = 10.0 * rows["HIT"]
        tables.append(rows)
    return Readings(*tables)


def test_readings_of_hits_that_are_left_out_go_and_the_others_are_renumbered() -> None:
    readings = of_hits(0, 2, 3)
    kept = readings.of(np.array([False, True, True, True]))
    for rows in (kept.hypotheses, kept.heat_map):
        assert rows["HIT"].tolist() == [1, 1, 2, 2]
        assert rows["Z_SOURCE"].tolist() == [20.0, 20.0, 30.0, 30.0]
    assert readings.heat_map["HIT"].tolist() == [0, 0, 2, 2, 3, 3]


def test_readings_of_joined_hits_count_all_of_them() -> None:
    parts = [of_hits(0), Readings(), of_hits(0, 1)]
    joined = Readings.joined(parts, [1, 4, 2])
    for rows in (joined.hypotheses, joined.heat_map):
        assert rows["HIT"].tolist() == [0, 0, 5, 5, 6, 6]
        assert rows["Z_SOURCE"].tolist() == [0.0, 0.0, 0.0, 0.0, 10.0, 10.0]
    assert len(Readings.joined([], []).heat_map) == 0
    assert parts[2].hypotheses["HIT"].tolist() == [0, 0, 1, 1]
