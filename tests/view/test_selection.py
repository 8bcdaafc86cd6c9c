"""Figures of an evaluation show what is known, and say what is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from speclens.schema import COMPLETENESS, FALSE_HITS, LIMITS, dtype_of
from speclens.view.selection import LABELS, draw_by_quantity, draw_false_hits, draw_limits

Figures = Callable[..., Any]


def false_hits(null: str, counts: list[int], n_spectra: int = 41) -> np.ndarray:
    """The candidates of a null above thresholds, with an upper end of 1.8 more."""
    rows = np.zeros(len(counts), dtype_of(FALSE_HITS))
    rows["NULL"], rows["COLUMN"], rows["LEVEL"] = null, "SCORE", "candidate"
    rows["N_SPECTRA"], rows["N_FALSE"] = n_spectra, counts
    rows["THRESHOLD"] = np.linspace(0, 1, len(counts))
    rows["RATE"] = 1e3 * np.array(counts) / n_spectra
    rows["RATE_HIGH"] = rows["RATE"] + 1e3 * 1.8 / n_spectra
    return rows


@pytest.mark.parametrize("some", [False, True])
def test_a_null_without_a_candidate_says_below_which_rate(figure_of: Figures, some: bool) -> None:
    table = np.concatenate([false_hits("plain", [0]), false_hits("flipped", [3, 1] * some or [0])])
    names = {name: name for name in ("plain", "flipped", "shuffled", "sky")}
    (axes,) = figure_of(draw_false_hits, table, names).axes
    told = [text.get_text() for text in axes.get_legend().get_texts()]
    assert "plain: none in 41; below 43.9 per 1000" in told
    assert len(told) == 2
    assert len(axes.containers) == some


def test_no_limit_is_drawn_where_its_interval_has_no_end(figure_of: Figures) -> None:
    table = np.zeros(3, dtype_of(LIMITS))
    table["LEVEL"], table["WAVE"] = "hit", (4000, 4400, 4800)
    for share in (50, 90):
        for end in ("", "_LOW", "_HIGH"):
            table[f"FLUX_{share}{end}"] = 5
    table["FLUX_90_HIGH"][0] = np.nan
    (axes,) = figure_of(draw_limits, table).axes
    half, most = axes.lines[:2]
    assert half.get_ydata().tolist() == [5, 5, 5]
    assert np.isfinite(most.get_ydata()).tolist() == [False, True, True]


def test_equal_levels_are_all_seen_and_no_mark_is_cut(figure_of: Figures) -> None:
    rows = [
        ("lya", "lya", level, quantity, 1, 2, 9, 9, 1.0, 0.9, 1.0)
        for level in ("hit", "candidate", "top")
        for quantity in LABELS
    ]
    figure = figure_of(draw_by_quantity, np.array(rows, dtype_of(COMPLETENESS)))
    for axes in figure.axes:
        widths = [container.lines[0].get_linewidth() for container in axes.containers]
        assert widths[0] > widths[-1]
        assert axes.get_ylim() == (-0.05, 1.05)
