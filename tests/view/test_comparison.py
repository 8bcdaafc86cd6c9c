"""Figures that compare show the numbers that they were given, whichever bins are empty."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from speclens.view.comparison import (
    RecoveredLines,
    draw_recovery,
    draw_reliability,
    draw_searches,
)

Figures = Callable[..., Any]


def recovered(n_lines: int, rng: np.random.Generator) -> RecoveredLines:
    skewness = rng.choice([0.0, 1.0, 3.0, 8.0], n_lines)
    found = np.clip(skewness + 3 * rng.standard_normal(n_lines), -25, 25)
    flux = np.exp(rng.uniform(1, 5, n_lines))
    return RecoveredLines(
        rng.uniform(5, 60, n_lines), flux, flux * 1.1, skewness, found, found - 3, found + 3
    )


@pytest.mark.parametrize("n_lines", [1, 300])
def test_lines_that_came_back_are_drawn_by_their_s_n(
    figure_of: Figures, rng: np.random.Generator, n_lines: int
) -> None:
    lines = recovered(n_lines, rng)
    left, right = figure_of(draw_recovery, lines, (6.0, 20.0)).axes
    points = [line for line in left.lines if line.get_marker() == "."]
    assert [line.get_label() for line in points] == ["S/N 6-20", "S/N > 20"]
    for line, among in zip(points, (lines.snr < 20, lines.snr >= 20), strict=True):
        among = among & (lines.snr >= 6)
        np.testing.assert_array_equal(line.get_xdata(), lines.flux[among])
        np.testing.assert_array_equal(line.get_ydata(), lines.found_flux[among])
    diagonal = left.lines[0]
    np.testing.assert_array_equal(diagonal.get_xdata(), diagonal.get_ydata())
    assert left.get_xscale() == left.get_yscale() == "log"
    assert "erg" in left.get_xlabel()
    assert right.get_xlabel() == "skewness put in"
    medians = [line for line in right.lines if line.get_marker() == "o"]
    assert len(medians) == len(right.collections) == (2 if n_lines > 1 else 0)
    for line, bars, among in zip(
        medians, right.collections, (lines.snr < 20, lines.snr >= 20), strict=False
    ):
        symmetric = among & (lines.snr >= 6) & (lines.skewness == 0)
        assert line.get_ydata()[0] == np.median(lines.found[symmetric])
        ends = bars.get_segments()[0][:, 1]
        np.testing.assert_allclose(
            ends, [np.median(lines.low[symmetric]), np.median(lines.high[symmetric])]
        )


def test_a_line_that_could_not_be_fitted_is_left_out(
    figure_of: Figures, rng: np.random.Generator
) -> None:
    lines = recovered(50, rng)
    lines.flux[:10] = np.median(lines.flux)  # no end of an axis
    without = figure_of(draw_recovery, lines[np.arange(50) >= 10], (6.0, 20.0))
    for values in (lines.found, lines.low, lines.high, lines.found_flux):
        values[:10] = np.nan
    found = figure_of(draw_recovery, lines, (6.0, 20.0))
    for one, other in zip(found.axes, without.axes, strict=True):
        assert len(one.lines) == len(other.lines)
        for line, expected in zip(one.lines, other.lines, strict=True):
            np.testing.assert_array_equal(line.get_xydata(), expected.get_xydata())


def test_each_search_has_its_curve(figure_of: Figures) -> None:
    edges = np.array([2.0, 4.0, 8.0])
    fractions = {"one": np.array([0.25, 0.75]), "the oracle": np.array([0.5, 1.0])}
    ends = {"one": (fractions["one"] - 0.1, fractions["one"] + 0.05)}
    (axes,) = figure_of(draw_searches, edges, fractions, "what", ends).axes
    (bars,) = axes.containers[0].lines[2]
    heights = [float(np.ptp(path.vertices[:, 1])) for path in bars.get_paths()]
    np.testing.assert_allclose(heights, 0.15)
    curves = zip(axes.containers, axes.lines, fractions.items(), strict=False)
    for container, line, (name, fraction) in curves:
        assert container.get_label() == name
        np.testing.assert_array_equal(line.get_xydata(), np.stack([[3.0, 6.0], fraction], 1))
    assert [line.get_linestyle() for line in axes.lines[:2]] == ["-", ":"]
    assert axes.get_title() == "what"
    assert axes.get_ylabel() == "fraction found"


def test_reliability_is_drawn_with_its_errors(figure_of: Figures) -> None:
    probability, fraction = np.array([0.1, 0.5, 0.9]), np.array([0.15, 0.45, 0.95])
    error = np.array([0.05, 0.1, 0.02])
    (axes,) = figure_of(draw_reliability, probability, fraction, error).axes
    (container,) = axes.containers
    points, _, (bars,) = container
    np.testing.assert_array_equal(points.get_xydata(), np.stack([probability, fraction], 1))
    heights = [float(np.ptp(path.vertices[:, 1])) for path in bars.get_paths()]
    np.testing.assert_allclose(heights, 2 * error)
