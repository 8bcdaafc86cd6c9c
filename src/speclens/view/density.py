"""Hits by wavelength, and where there are too many of them.

In: counts in bins, in two frames, with the limit that vetting had. Out: a PNG file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from speclens.view.content import DensityFrame
from speclens.view.figures import ACCENT, DATA, MODEL, save_figure

__all__ = ["draw_density"]


def draw_density(path: Path, frames: Sequence[DensityFrame], least: int) -> None:
    """Draw the hits by observed wavelength and by wavelength in the frame of the lens.

    Parameters
    ----------
    path : Path
        PNG file.
    frames : sequence of DensityFrame
        At least one.
    least : int
        Hits that the test of over-densities needs.
    """
    figure = Figure(figsize=(10, 2.2 * len(frames)), layout="constrained")
    panels: Any = figure.subplots(len(frames), 1, squeeze=False)[:, 0]
    for axes, frame in zip(panels, frames, strict=True):
        _draw_counts(axes, frame)
        axes.set_xlabel(frame.label, fontsize=9)
        axes.set_ylabel("hits in a bin", fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
        if frame.limit is None:
            text = f"too few hits for the test: {frame.counts.sum():.0f}, at least {least}"
            axes.set_title(text, fontsize=9, loc="right", color=ACCENT)
    save_figure(figure, path)


def _draw_counts(axes: Axes, frame: DensityFrame) -> None:
    if not len(frame.counts):
        return
    axes.stairs(frame.counts, frame.edges, fill=True, color=DATA)
    if frame.limit is not None:
        dense = np.where(frame.dense, frame.counts, 0)
        axes.stairs(dense, frame.edges, fill=True, color=ACCENT)
        axes.stairs(frame.limit, frame.edges, color=MODEL, baseline=None, lw=1.2)
    axes.set_xlim(frame.edges[0], frame.edges[-1])
    axes.set_ylim(bottom=0)
