"""Tables of what lines may be: as they were weighed, and heat maps only where there are any."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from speclens.candidates.readings import stored_readings, write_readings
from speclens.schema import HEAT_MAP, HIT_HYPOTHESES, dtype_of


def test_what_is_written_is_read_again(tmp_path: Path, make_hits: Callable[..., Any]) -> None:
    hits = make_hits(2)
    hypotheses, heat_map = np.zeros(1, dtype_of(HIT_HYPOTHESES)), np.zeros(3, dtype_of(HEAT_MAP))
    hypotheses["HIT"], hypotheses["HYPOTHESIS"] = 1, "oii"
    heat_map["HIT"], heat_map["KIND"], heat_map["PROBABILITY"] = 1, "elg", [0.5, 0.3, 0.1]
    write_readings(tmp_path, hits, hypotheses, heat_map, {})
    told, heat = stored_readings(tmp_path)
    assert told[told["HIT"] == 1]["HYPOTHESIS"].tolist() == ["oii"]
    np.testing.assert_array_equal(heat, heat_map)


def test_heat_maps_are_written_where_a_search_made_any(
    tmp_path: Path, make_hits: Callable[..., Any]
) -> None:
    none, some = np.zeros(0, dtype_of(HEAT_MAP)), np.zeros(1, dtype_of(HEAT_MAP))
    hypotheses = np.zeros(0, dtype_of(HIT_HYPOTHESES))
    write_readings(tmp_path, make_hits(1), hypotheses, none, {})
    assert not (tmp_path / "heat_map.fits").exists()
    assert len(stored_readings(tmp_path)[1]) == 0
    write_readings(tmp_path, make_hits(1), hypotheses, some, {})
    assert len(stored_readings(tmp_path)[1]) == 1
    # Hits that are no more leave no map of before.
    write_readings(tmp_path, make_hits(0), hypotheses, none, {})
    assert len(stored_readings(tmp_path)[1]) == 0
