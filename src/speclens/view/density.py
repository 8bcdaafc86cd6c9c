"""Hits by wavelength, and where there are too many of them.

In: counts in bins, in two frames, with the limit that vetting had. Out: an SVG file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from speclens.view.content import DensityFrame
from speclens.view.palette import ACCENT, DATA, MODEL
from speclens.view.panels import Panel, Sheet

__all__ = ["draw_density"]

WIDTH, HEIGHT = 1100, 242
"""Of a frame, pixels."""

LEFT, TOP, PANEL = 66.0, 26.0, (1020.0, 166.0)
HEADROOM = 1.07


def draw_density(path: Path, frames: Sequence[DensityFrame], least: int) -> None:
    """Draw the hits by observed wavelength and by wavelength in the frame of the lens.

    Parameters
    ----------
    path : Path
        SVG file.
    frames : sequence of DensityFrame
        At least one.
    least : int
        Hits that the test of over-densities needs.
    """
    sheet = Sheet(WIDTH, HEIGHT * len(frames))
    for i, frame in enumerate(frames):
        top = TOP + i * HEIGHT
        _draw_counts(sheet, top, frame)
        if frame.limit is None:
            text = f"too few hits for the test: {frame.counts.sum():.0f}, at least {least}"
            sheet.write(LEFT + PANEL[0], top - 8, text, "end", color=ACCENT)
    sheet.save(path)


def _draw_counts(sheet: Sheet, top: float, frame: DensityFrame) -> None:
    limit = np.zeros(0) if frame.limit is None else frame.limit
    highest = max(frame.counts.max(initial=0), limit.max(initial=0), 1)
    n_ticks = 8 if len(frame.counts) else 0
    ends = (float(frame.edges[0]), float(frame.edges[-1])) if n_ticks else (0.0, 1.0)
    panel = Panel(sheet, (LEFT, top, *PANEL), ends, (0.0, HEADROOM * float(highest)))
    if n_ticks:
        panel.bars(frame.edges, frame.counts, DATA)
    if len(limit):
        panel.bars(frame.edges, np.where(frame.dense, frame.counts, 0), ACCENT)
        panel.line(0.5 * (frame.edges[1:] + frame.edges[:-1]), limit, MODEL, 1.4, stepped=True)
    panel.frame(frame.label, "hits in a bin", n_x=n_ticks)
