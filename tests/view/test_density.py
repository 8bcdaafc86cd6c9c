"""Hits by wavelength are drawn with the limit that vetting had."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from speclens.view.content import DensityFrame
from speclens.view.density import draw_density
from speclens.view.panels import Panel, Sheet

EDGES = np.linspace(4000, 4100, 11)
COUNTS = np.array([1.0, 0, 3, 20, 2, 0, 0, 1, 4, 0])
LIMIT = np.linspace(6, 8, 10)
DENSE = COUNTS > 9


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Panel, edges, heights and color of the histograms drawn since."""
    drawn: list[Any] = []
    monkeypatch.setattr(Panel, "bars", lambda *given: drawn.append(given))
    return drawn


def drawn(path: Path, *frames: DensityFrame, least: int = 100) -> list[str]:
    """Draw the frames; return what is written."""
    draw_density(path, frames, least)
    root = ElementTree.fromstring(path.read_text())  # noqa: S314 - our own
    return [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]


def test_counts_limit_and_flagged_bins_are_drawn(
    tmp_path: Path, bars: list[Any], curves: list[Any]
) -> None:
    frame = DensityFrame("wavelength (\u00c5)", EDGES, COUNTS, LIMIT, DENSE)
    other = DensityFrame("at rest (\u00c5)", EDGES - 1000, COUNTS[::-1], LIMIT, ~DENSE)
    said = drawn(tmp_path / "density.svg", frame, other)
    assert [text for text in said if text in (frame.label, other.label)] == [
        frame.label,
        other.label,
    ]
    assert said.count("hits in a bin") == 2
    assert not any("too few" in text for text in said)
    pairs = zip(bars[::2], bars[1::2], strict=True)
    for (counts, marked), limit, shown in zip(pairs, curves, (frame, other), strict=True):
        panel, edges, heights, color = counts
        np.testing.assert_array_equal(heights, shown.counts)
        np.testing.assert_array_equal(edges, shown.edges)
        np.testing.assert_array_equal(marked[2], np.where(shown.dense, shown.counts, 0))
        assert marked[3] != color
        np.testing.assert_array_equal(limit.y, LIMIT)
        assert panel.xlim == (shown.edges[0], shown.edges[-1])
        assert panel.ylim[0] == 0
        assert panel.ylim[1] > max(COUNTS)


@pytest.mark.parametrize("n", [0, 10])
def test_too_few_hits_for_the_test_are_said_to_be(tmp_path: Path, bars: list[Any], n: int) -> None:
    frame = DensityFrame("w", EDGES[: n + 1], COUNTS[:n], None, DENSE[:n])
    said = drawn(tmp_path / "density.svg", frame, least=321)
    assert f"too few hits for the test: {COUNTS[:n].sum():.0f}, at least 321" in said
    assert len(bars) == (n > 0)


def test_bars_are_as_high_as_their_counts(tmp_path: Path) -> None:
    sheet = Sheet(20, 10)
    panel = Panel(sheet, (0, 0, 20, 10), (0, 2), (0, 10))
    panel.bars(np.array([0.0, 1.0, 2.0]), np.array([4.0, 10.0]), "#123")
    panel.frame()
    sheet.save(tmp_path / "bars.svg")
    assert (
        'd="M0 100l0 -40 100 0 0 -60 100 0 0 100z" fill="#123"'
        in (tmp_path / "bars.svg").read_text()
    )
