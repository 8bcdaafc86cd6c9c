"""Spectra side by side, on the same axes (Li et al. 2019, figure 5).

In: plain arrays. Out: a PNG file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from speclens.view.figures import FLUX_LABEL, save_figure
from speclens.view.palette import ACCENT, DATA

__all__ = ["SpectrumPanel", "draw_side_by_side"]

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class SpectrumPanel:
    """A spectrum with a line.

    Parameters
    ----------
    title : str
        What it is.
    wave, flux : array of shape (L,)
        Wavelength, Angstrom, and flux density, 1e-17 erg/s/cm2/Angstrom; NaN leaves a gap.
    line_wave : float
        Observed wavelength of the line, Angstrom.
    """

    title: str
    wave: Floats
    flux: Floats
    line_wave: float


def draw_side_by_side(path: Path, panels: Sequence[SpectrumPanel]) -> None:
    """Draw spectra side by side, on the same axes.

    Parameters
    ----------
    path : Path
        PNG file.
    panels : sequence of SpectrumPanel
        At least one spectrum.
    """
    figure = Figure(figsize=(5.5 * len(panels), 3.2), layout="constrained")
    row: Any = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
    top = max(float(np.nanmax(panel.flux)) for panel in panels)
    bottom = min(float(np.nanpercentile(panel.flux, 0.5)) for panel in panels)
    height = top - bottom
    for axes, panel in zip(row, panels, strict=True):
        axes.plot(panel.wave, panel.flux, color=DATA, lw=0.5, drawstyle="steps-mid")
        near = np.abs(panel.wave - panel.line_wave) < 10.0
        axes.annotate(
            r"Ly$\alpha$", (panel.line_wave, np.nanmax(panel.flux[near]) + 0.02 * height),
            (0, 14), textcoords="offset points", ha="center", color=ACCENT,
            arrowprops={"arrowstyle": "-", "color": ACCENT},
        )  # fmt: skip
        axes.set_title(panel.title, fontsize=9, loc="left", parse_math=False)
        axes.set_xlabel("observed wavelength, vacuum (Å)")
    row[0].set(xlim=panels[0].wave[[0, -1]], ylim=(bottom - 0.05 * height, top + 0.2 * height))
    row[0].set_ylabel(FLUX_LABEL, fontsize=8)
    save_figure(figure, path)
