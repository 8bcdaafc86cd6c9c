"""Figures that compare searches: completeness by signal-to-noise ratio, and calibration.

In: plain arrays. Out: PNG files.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from speclens.report.figures import ACCENT, DATA, MODEL, QUIET, save_figure

__all__ = ["draw_reliability", "draw_searches"]

COLORS = (ACCENT, MODEL, DATA, QUIET, "#5b8c5a", "#7a5c99")

Floats = NDArray[np.floating]


def draw_searches(path: Path, edges: Floats, fractions: Mapping[str, Floats], title: str) -> None:
    """Draw the completeness of several searches by ideal signal-to-noise ratio.

    Parameters
    ----------
    path : Path
        PNG file.
    edges : array of shape (B + 1,)
        Bin edges.
    fractions : mapping of str to array of shape (B,)
        Completeness of each search.
    title : str
        What they have in common.
    """
    figure = Figure(figsize=(6.5, 4), layout="constrained")
    axes = figure.subplots()
    centres = (edges[1:] + edges[:-1]) / 2
    for i, (name, fraction) in enumerate(fractions.items()):
        style = ":" if "oracle" in name else "-"
        color = COLORS[i % len(COLORS)]
        axes.plot(centres, fraction, style, marker=".", color=color, label=name)
    axes.axhline(0.5, color=QUIET, linewidth=0.6)
    axes.axhline(0.9, color=QUIET, linewidth=0.6)
    axes.set_xlabel("ideal signal-to-noise ratio of the line")
    axes.set_ylabel("fraction found")
    axes.set_ylim(0, 1.02)
    axes.set_title(title, fontsize=10)
    axes.legend(frameon=False, fontsize=8)
    save_figure(figure, path)


def draw_reliability(path: Path, probability: Floats, fraction: Floats, error: Floats) -> None:
    """Draw how often a line is there, by the probability that the network gave.

    Parameters
    ----------
    path : Path
        PNG file.
    probability : array of shape (B,)
        Mean probability of each bin.
    fraction, error : array of shape (B,)
        Fraction of its spectra with a line, and its standard error.
    """
    figure = Figure(figsize=(4, 3.8), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=QUIET, linewidth=0.8)
    axes.errorbar(probability, fraction, error, fmt="o-", color=DATA, markersize=4, capsize=2)
    axes.set_xlabel("probability of a line")
    axes.set_ylabel("fraction with a line")
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    save_figure(figure, path)
