"""Figures show the numbers that they were given, with labels, and are written whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from speclens.view.figures import (
    NoiseCurves,
    draw_completeness,
    draw_mock_and_real,
    save_figure,
)
from speclens.view.paper import SpectrumPanel, draw_side_by_side

Figures = Callable[..., Any]


def test_completeness_is_drawn_with_its_interval(figure_of: Figures) -> None:
    edges, fraction = np.array([2.0, 4.0, 6.0, 8.0]), np.array([0.1, 0.6, 0.9])
    (axes,) = figure_of(draw_completeness, edges, fraction, fraction - 0.05, fraction + 0.08).axes
    np.testing.assert_array_equal(axes.lines[0].get_xydata(), np.stack([[3, 5, 7], fraction], 1))
    band = axes.collections[0].get_paths()[0].get_extents()
    assert (band.y0, band.y1) == pytest.approx((0.05, 0.98))
    assert [line.get_ydata()[0] for line in axes.lines[1:]] == [0.5, 0.9]
    assert axes.get_xlabel()
    assert axes.get_ylabel() == "fraction found"


def curves(rng: np.random.Generator, names: tuple[str, ...]) -> NoiseCurves:
    by_wave = {name: np.sort(rng.uniform(1, 2, (3, 5)), axis=0) for name in names}
    return NoiseCurves(by_wave, rng.uniform(0.1, 1, 8), rng.uniform(-0.1, 1, 6))


def test_mock_and_real_spectra_are_told_apart(figure_of: Figures, rng: np.random.Generator) -> None:
    labels = {"noise": "noise (\u00c5)", "rms": "rms"}
    real, mock = curves(rng, tuple(labels)), curves(rng, tuple(labels))
    wave, edges = np.linspace(3800, 5000, 5), np.linspace(-4, 4, 9)
    figure = figure_of(draw_mock_and_real, labels, wave, edges, real, mock)
    *panels, histogram, correlation = figure.axes
    for axes, (name, label) in zip(panels, labels.items(), strict=True):
        assert axes.get_ylabel() == label
        for line, which, told in zip(axes.lines, (real, mock), ("real", "mock"), strict=True):
            np.testing.assert_array_equal(
                line.get_xydata(), np.stack([wave, which.by_wave[name][1]], 1)
            )
            assert line.get_label() == told
        assert axes.lines[0].get_color() != axes.lines[1].get_color()
    for patch, which in zip(histogram.patches, (real, mock), strict=True):
        np.testing.assert_array_equal(patch.get_data().values, which.density)
    for line, which in zip(correlation.lines, (real, mock), strict=False):
        np.testing.assert_array_equal(line.get_ydata(), which.correlation[1:])
        np.testing.assert_array_equal(line.get_xdata(), np.arange(1, 6))


def test_spectra_side_by_side_share_their_axes_and_name_their_line(figure_of: Figures) -> None:
    wave = np.linspace(4000, 4400, 401)
    panels = []
    for title, place, height in (("a $x$", 4100.0, 5.0), ("b", 4300.0, 12.0)):
        flux = 1 + height * np.exp(-0.5 * ((wave - place) / 4) ** 2)
        flux[50] = np.nan
        panels.append(SpectrumPanel(title, wave, flux, place))
    figure = figure_of(draw_side_by_side, panels)
    for axes, panel in zip(figure.axes, panels, strict=True):
        np.testing.assert_array_equal(axes.lines[0].get_xydata(), np.stack([wave, panel.flux], 1))
        (note,) = axes.texts
        assert note.xy[0] == panel.line_wave
        assert np.nanmax(panel.flux) < note.xy[1] < axes.get_ylim()[1]
        assert axes.get_title(loc="left") == panel.title
        assert "(\u00c5)" in axes.get_xlabel()
    low, high = figure.axes[0].get_ylim()
    assert (low, high) == figure.axes[1].get_ylim()
    assert low < 1 < 13 < high


def test_the_same_figure_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        figure = Figure(figsize=(2, 1))
        figure.subplots().plot([0, 1], [1, 0])
        save_figure(figure, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
