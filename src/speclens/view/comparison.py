"""Figures that compare searches and fits: completeness, calibration, what came back of lines.

In: plain arrays. Out: PNG files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter
from numpy.typing import NDArray

from speclens.view.figures import save_figure
from speclens.view.palette import ACCENT, DATA, MODEL, QUIET

__all__ = [
    "Quantiles",
    "RecoveredLines",
    "draw_quantiles",
    "draw_recovery",
    "draw_reliability",
    "draw_roc",
    "draw_searches",
]

COLORS = (ACCENT, MODEL, DATA, QUIET, "#5b8c5a", "#7a5c99")
STYLES = ("-", "--", "-.")
"""Of the first curves, and of those that take the same colours again."""

SKEWNESS_EDGES = (-0.5, 0.5, 1.5, 2.5, 4.0, 7.0, 10.0)
"""Bins of the skewness put in; symmetric lines have one of their own."""

LEAST_IN_BIN = 5
LINEAR_SKEWNESS = 2.0
"""Skewness is drawn on a linear scale up to this, and on a logarithmic one beyond."""

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Quantiles:
    """Values of real spectra in order, beside those of as many mock ones, arrays of shape (N,).

    Parameters
    ----------
    real : array
        The real ones.
    mock, low, high : array
        Median of many draws of the mock ones, and the ends of the band that most of them fill.
    """

    real: Floats
    mock: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True)
class RecoveredLines:
    """Lines put in, and what came back of them, arrays of shape (N,).

    Parameters
    ----------
    snr : array
        Ideal signal-to-noise ratio.
    flux, found_flux : array
        Line flux put in and found, 1e-17 erg/s/cm2.
    skewness, found, low, high : array
        Skewness put in, as fitted, and the ends of the fit's 68 % interval.
    """

    snr: Floats
    flux: Floats
    found_flux: Floats
    skewness: Floats
    found: Floats
    low: Floats
    high: Floats

    def __getitem__(self, rows: NDArray[np.bool_]) -> RecoveredLines:
        return RecoveredLines(*(values[rows] for values in vars(self).values()))


def draw_recovery(path: Path, lines: RecoveredLines, edges: tuple[float, ...]) -> None:
    """Draw what came back of lines: flux, and skewness with its interval.

    Parameters
    ----------
    path : Path
        PNG file.
    lines : RecoveredLines
        The lines; those with a skewness of 0 are symmetric.
    edges : tuple of float
        Edges of the classes of signal-to-noise ratio; the last class is open.
    """
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    ends = np.array([max(lines.flux.min() / 1.3, 1.0), lines.flux.max() * 1.3])
    left.plot(ends, ends, color=QUIET, lw=0.8)
    right.plot(SKEWNESS_EDGES, SKEWNESS_EDGES, color=QUIET, lw=0.8)
    right.axhline(0, color=QUIET, lw=0.8, ls=":")
    for i, (low, high) in enumerate(pairwise((*edges, np.inf))):
        part = lines[(lines.snr >= low) & (lines.snr < high) & np.isfinite(lines.found)]
        label = f"S/N {low:.0f}-{high:.0f}" if np.isfinite(high) else f"S/N > {low:.0f}"
        color = COLORS[i % len(COLORS)]
        left.plot(part.flux, part.found_flux, ".", ms=2.5, alpha=0.5, color=color, label=label)
        _draw_skewness(right, part, color, 0.12 * (i - (len(edges) - 1) / 2))
    left.set(xscale="log", yscale="log", xlim=ends, ylim=ends)
    left.set_xlabel(r"line flux put in (10$^{-17}$ erg s$^{-1}$ cm$^{-2}$)")
    left.set_ylabel("line flux recovered")
    left.legend(frameon=False, fontsize=8, markerscale=4)
    right.set_xscale("symlog", linthresh=LINEAR_SKEWNESS)
    right.set_yscale("symlog", linthresh=LINEAR_SKEWNESS)
    for axis in (right.xaxis, right.yaxis):
        axis.set_major_formatter("{x:.0f}")
    right.set_xticks([0, 1, 2, 5, 10])
    right.set_yticks([-25, -10, -5, -2, 0, 2, 5, 10, 25])
    right.set_xlim(SKEWNESS_EDGES[0], SKEWNESS_EDGES[-1] * 1.1)
    right.set_xlabel("skewness put in")
    right.set_ylabel("skewness fitted: median, and median of the intervals' ends", fontsize=8)
    save_figure(figure, path)


def draw_searches(
    path: Path,
    edges: Floats,
    fractions: Mapping[str, Floats],
    title: str,
    intervals: Mapping[str, tuple[Floats, Floats]] | None = None,
    what: str = "fraction found",
) -> None:
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
    intervals : mapping of str to (array, array) of shape (B,), optional
        Lower and upper ends of the fractions' intervals.
    what : str, optional
        Which fraction of the lines it is.
    """
    figure = Figure(figsize=(6.5, 4), layout="constrained")
    axes = figure.subplots()
    centres = (edges[1:] + edges[:-1]) / 2
    for i, (name, fraction) in enumerate(fractions.items()):
        style = ":" if "oracle" in name else "-"
        color = COLORS[i % len(COLORS)]
        low, high = (intervals or {}).get(name, (fraction, fraction))
        error = np.maximum([fraction - low, high - fraction], 0)
        axes.errorbar(
            centres, fraction, error, ls=style, marker=".", color=color, elinewidth=0.8, label=name
        )
    axes.axhline(0.5, color=QUIET, linewidth=0.6)
    axes.axhline(0.9, color=QUIET, linewidth=0.6)
    axes.set_xlabel("ideal signal-to-noise ratio of the line")
    axes.set_ylabel(what)
    axes.set_ylim(-0.05, 1.05)
    axes.set_title(title, fontsize=10)
    axes.legend(frameon=False, fontsize=8)
    save_figure(figure, path)


def draw_roc(
    path: Path,
    curves: Mapping[str, tuple[Floats, Floats]],
    n_spectra: int,
    false: str = "false alarms",
    what: str = "fraction found",
    title: str = "",
) -> None:
    """Draw the fraction found by the rate of false alarms.

    Parameters
    ----------
    path : Path
        PNG file.
    curves : mapping of str to (array, array) of shape (R,)
        Rates, increasing, and fractions of each search.
    n_spectra : int
        Spectra without a line; a rate below one false alarm in all of them is not measured.
    false : str, optional
        What is found where nothing is.
    what : str, optional
        Which fraction of the lines it is.
    title : str, optional
        What the curves are of.
    """
    figure = Figure(figsize=(6.5, 4), layout="constrained")
    axes = figure.subplots()
    for i, (name, (rates, fraction)) in enumerate(curves.items()):
        color, style = COLORS[i % len(COLORS)], STYLES[i // len(COLORS) % len(STYLES)]
        axes.plot(rates, fraction, style, marker=".", ms=4, color=color, label=name)
    axes.axvline(1 / n_spectra, color=QUIET, lw=0.8, ls=":")
    axes.annotate(
        f"one in {n_spectra:,} spectra", (1 / n_spectra, 0.02), (4, 0),
        textcoords="offset points", fontsize=8, color=DATA,
    )  # fmt: skip
    axes.set(
        xscale="log", xlim=(0.8 / n_spectra, 1), ylim=(-0.05, 1.05),
        xlabel=f"{false} a spectrum", ylabel=what,
    )  # fmt: skip
    axes.set_title(title, fontsize=10)
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    save_figure(figure, path)


def draw_quantiles(path: Path, samples: Mapping[str, Quantiles]) -> None:
    """Draw the quantiles of real spectra against those of mock ones.

    Parameters
    ----------
    path : Path
        PNG file.
    samples : mapping of str to Quantiles
        Highest S/N of spectra without a line, a panel for each title.
    """
    figure = Figure(figsize=(3.3 * len(samples), 3.4), layout="constrained")
    panels = figure.subplots(1, len(samples), squeeze=False)[0]
    for panel, (title, values) in zip(panels, samples.items(), strict=True):
        ends = [min(values.real[0], values.low[0]) - 0.1, max(values.real[-1], values.high[-1])]
        panel.plot(ends, ends, color=QUIET, lw=0.8, ls=":")
        panel.fill_between(values.mock, values.low, values.high, color=MODEL, alpha=0.25, lw=0)
        panel.plot(values.mock, values.real, color=DATA, marker="o", ms=3, lw=0)
        panel.set(xscale="log", yscale="log", xlabel="highest S/N, mock", title=title)
        panel.title.set_fontsize(9)
        for axis in (panel.xaxis, panel.yaxis):
            axis.set_major_formatter(ScalarFormatter())
            axis.set_minor_formatter(ScalarFormatter())
    panels[0].set_ylabel("highest S/N, real")
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


def _draw_skewness(axes: Axes, lines: RecoveredLines, color: str, shift: float) -> None:
    """Draw one class of S/N in bins of the skewness put in, a little beside the other classes."""
    points: list[tuple[Any, ...]] = []
    for low, high in pairwise(SKEWNESS_EDGES):
        part = lines[(lines.skewness >= low) & (lines.skewness < high)]
        if len(part.snr) >= LEAST_IN_BIN:
            points.append(
                tuple(np.median(v) for v in (part.skewness, part.found, part.low, part.high))
            )
    if not points:
        return
    x, found, low_end, high_end = np.array(points).T
    x = x + shift * np.maximum(x / LINEAR_SKEWNESS, 1.0)
    axes.vlines(x, low_end, high_end, color=color, lw=1.2)
    axes.plot(x, found, "o", ms=4, color=color)
