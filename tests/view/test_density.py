"""Hits by wavelength are drawn with the limit that vetting had."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from speclens.view.content import DensityFrame
from speclens.view.density import draw_density

EDGES = np.linspace(4000, 4100, 11)
COUNTS = np.array([1.0, 0, 3, 20, 2, 0, 0, 1, 4, 0])
LIMIT = np.linspace(6, 8, 10)
DENSE = COUNTS > 9


def drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *frames: DensityFrame, least: int = 100
) -> Figure:
    figures: list[Figure] = []
    monkeypatch.setattr("speclens.view.density.save_figure", lambda f, _: figures.append(f))
    draw_density(tmp_path / "density.png", frames, least)
    return figures[0]


def test_counts_limit_and_flagged_bins_are_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = DensityFrame("wavelength (\u00c5)", EDGES, COUNTS, LIMIT, DENSE)
    other = DensityFrame("at rest (\u00c5)", EDGES - 1000, COUNTS[::-1], LIMIT, ~DENSE)
    figure = drawn(tmp_path, monkeypatch, frame, other)
    assert [axes.get_xlabel() for axes in figure.axes] == [frame.label, other.label]
    for axes, shown in zip(figure.axes, (frame, other), strict=True):
        assert axes.get_ylabel() == "hits in a bin"
        counts, marked, limit = (patch.get_data() for patch in axes.patches)
        np.testing.assert_array_equal(counts.values, shown.counts)
        np.testing.assert_array_equal(counts.edges, shown.edges)
        np.testing.assert_array_equal(marked.values, np.where(shown.dense, shown.counts, 0))
        np.testing.assert_array_equal(limit.values, LIMIT)
        colors = {patch.get_facecolor() for patch in axes.patches[:2]}
        assert len(colors) == 2
        assert axes.get_xlim() == (shown.edges[0], shown.edges[-1])
        assert axes.get_title(loc="right") == ""


@pytest.mark.parametrize("n", [0, 10])
def test_too_few_hits_for_the_test_are_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n: int
) -> None:
    frame = DensityFrame("w", EDGES[: n + 1], COUNTS[:n], None, DENSE[:n])
    (axes,) = drawn(tmp_path, monkeypatch, frame, least=321).axes
    said = axes.get_title(loc="right")
    assert f"{COUNTS[:n].sum():.0f}" in said
    assert "321" in said
    assert len(axes.patches) == (n > 0)


def test_the_figure_is_written(tmp_path: Path) -> None:
    draw_density(tmp_path / "d.png", [DensityFrame("w", EDGES, COUNTS, LIMIT, DENSE)], 1)
    assert (tmp_path / "d.png").read_bytes().startswith(b"\x89PNG")
