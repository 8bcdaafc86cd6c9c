"""Figures: completeness, mock beside real spectra, and how all are written.

In: plain arrays. Out: PNG files, written whole or not at all. Matplotlib's object interface is
used, so that nothing depends on a display.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from speclens.products import replacing
from speclens.view.palette import DATA, MODEL, QUIET

__all__ = [
    "NoiseCurves",
    "draw_completeness",
    "draw_mock_and_real",
    "save_figure",
]

FLUX_LABEL = r"flux density (10$^{-17}$ erg s$^{-1}$ cm$^{-2}$ Å$^{-1}$)"

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class NoiseCurves:
    """What is compared of a set of spectra.

    Parameters
    ----------
    by_wave : dict of str to array of shape (3, B)
        16th, 50th and 84th percentile of each quantity in bins of wavelength.
    density : array of shape (H,)
        Distribution of the residuals over their stated errors, of unit area.
    correlation : array of shape (K,)
        Autocorrelation of the same at lags 0 to K - 1 pixels.
    """

    by_wave: dict[str, Floats]
    density: Floats
    correlation: Floats


def draw_completeness(
    path: Path, edges: Floats, fraction: Floats, low: Floats, high: Floats
) -> None:
    """Draw completeness by ideal signal-to-noise ratio.

    Parameters
    ----------
    path : Path
        PNG file.
    edges : array of shape (B + 1,)
        Bin edges.
    fraction, low, high : array of shape (B,)
        Completeness and its interval.
    """
    figure = Figure(figsize=(5.5, 3.6), layout="constrained")
    axes = figure.subplots()
    centre = 0.5 * (edges[1:] + edges[:-1])
    axes.fill_between(centre, low, high, color=QUIET, alpha=0.4, lw=0)
    axes.plot(centre, fraction, color=DATA, marker="o", ms=4)
    for level in (0.5, 0.9):
        axes.axhline(level, color=QUIET, lw=0.8, ls=":")
    axes.set(
        xlabel="ideal signal-to-noise ratio of the line",
        ylabel="fraction found",
        ylim=(-0.05, 1.05),
    )
    save_figure(figure, path)


def draw_mock_and_real(
    path: Path,
    labels: Mapping[str, str],
    wave: Floats,
    edges: Floats,
    real: NoiseCurves,
    mock: NoiseCurves,
) -> None:
    """Draw what is compared of real and of mock spectra.

    Parameters
    ----------
    path : Path
        PNG file.
    labels : mapping of str to str
        Axis label of each quantity in `NoiseCurves.by_wave`, top to bottom.
    wave : array of shape (B,)
        Wavelengths of the bins, Angstrom.
    edges : array of shape (H + 1,)
        Bin edges of the normalised residuals.
    real, mock : NoiseCurves
        The two sets of spectra.
    """
    figure = Figure(figsize=(8, 2.0 * len(labels) + 2.8), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=[2.0 * len(labels), 2.8])
    upper, lower = parts
    panels = upper.subplots(len(labels), 1, sharex=True, squeeze=False)[:, 0]
    histogram, correlation = lower.subplots(1, 2)
    for curves, colour, text in ((real, DATA, "real"), (mock, MODEL, "mock")):
        for panel, (name, label) in zip(panels, labels.items(), strict=True):
            low, middle, high = curves.by_wave[name]
            panel.fill_between(wave, low, high, color=colour, alpha=0.2, lw=0)
            panel.plot(wave, middle, color=colour, label=text)
            panel.set_ylabel(label, fontsize=8)
        histogram.stairs(curves.density, edges, color=colour)
        correlation.plot(np.arange(1, len(curves.correlation)), curves.correlation[1:],
                         color=colour, marker="o", ms=4)  # fmt: skip
    panels[0].legend(frameon=False)
    panels[-1].set_xlabel("observed wavelength, vacuum (Å)")
    centre = 0.5 * (edges[1:] + edges[:-1])
    histogram.plot(centre, np.exp(-0.5 * centre**2) / np.sqrt(2 * np.pi), color=QUIET, ls=":")
    histogram.set(yscale="log", ylim=(3e-6, 1), xlabel="residual / stated error", ylabel="density")
    correlation.axhline(0, color=QUIET, lw=0.8, ls=":")
    correlation.set(xlabel="lag (pixels)", ylabel="autocorrelation")
    save_figure(figure, path)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, whole or not at all.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The figure.
    path : Path
        PNG file.
    """
    FigureCanvasAgg(figure)
    with replacing(path) as file:
        # Without the software's version the same data give the same bytes.
        figure.savefig(file, format="png", dpi=110, metadata={"Software": None})
