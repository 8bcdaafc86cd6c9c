"""Line profiles in the frame of the emitter (Li et al. 2019, figure 7).

In: candidate rows and the window of each with its foreground. Out: a PNG file. The fit itself is
left to `speclens.vet`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from speclens.lines import LYMAN_ALPHA
from speclens.spectra import FittedSpectra
from speclens.view.figures import ACCENT, DATA, FLUX_LABEL, QUIET, plain_text, save_figure
from speclens.view.fitted import REST_RANGE, dispersion_at, fitted_line
from speclens.view.wording import skewness

__all__ = ["draw_profiles"]

N_COLUMNS = 4


def draw_profiles(path: Path, rows: NDArray[np.void], spectra: Sequence[FittedSpectra]) -> None:
    """Draw the lines of candidates close up, by decreasing flux.

    Parameters
    ----------
    path : Path
        PNG file.
    rows : structured array of shape (N,)
        Rows of candidates.*, at least one.
    spectra : sequence of FittedSpectra, length N
        The window of each.
    """
    order = np.argsort(-rows["FLUX"], kind="stable")
    n_columns = min(N_COLUMNS, len(rows))
    n_rows = -(-len(rows) // n_columns)
    width, height = 2.6 * max(n_columns, 2), 2.1 * n_rows + 0.5
    figure = Figure(figsize=(width, height))
    panels: Any = figure.subplots(n_rows, n_columns, sharex=True, squeeze=False)
    # Fixed margins, in inches: a layout that measures every text takes longer than the drawing.
    figure.subplots_adjust(
        left=0.75 / width, right=1 - 0.1 / width, bottom=0.55 / height, top=1 - 0.25 / height,
        wspace=0.22, hspace=0.28,
    )  # fmt: skip
    for axes, k in zip(panels.flat, order, strict=False):
        _draw_profile(axes, rows[k], spectra[k])
    for axes in panels.flat[len(rows) :]:
        axes.set_axis_off()
    figure.supxlabel("wavelength in the frame of the emitter (Å)", fontsize=9, y=0.08 / height)
    figure.supylabel(FLUX_LABEL, fontsize=9, x=0.08 / width)
    save_figure(figure, path)


def _draw_profile(axes: Axes, row: np.void, spectrum: FittedSpectra) -> None:
    stretch = 1 + float(row["Z_SOURCE"])
    wave = spectrum.grid.wave
    near = (wave > REST_RANGE[0] * stretch) & (wave < REST_RANGE[1] * stretch)
    good = near & (spectrum.ivar[0] > 0)
    error = 1 / np.sqrt(np.where(good, spectrum.ivar[0], np.nan))
    flux = np.where(good, spectrum.residual[0], np.nan)
    rest = wave[near] / stretch
    flux, error = flux[near], error[near]
    axes.fill_between(rest, flux - error, flux + error, color=QUIET, alpha=0.4, lw=0, step="mid")
    axes.plot(rest, flux, color=DATA, lw=0.9, drawstyle="steps-mid")
    fine = np.linspace(*REST_RANGE, 400)
    dispersion = dispersion_at(spectrum, float(row["FIT_WAVE"]))
    fit = fitted_line(row, fine * stretch, dispersion)
    axes.plot(fine, fit, color=ACCENT, lw=1.3, ls="--")
    axes.axvline(LYMAN_ALPHA, color=QUIET, lw=0.6, ls=":")
    axes.axhline(0, color=QUIET, lw=0.6)
    name = plain_text(str(row["NAME"]) or str(row["SPECTRUM"]))
    axes.set_title(name, fontsize=7.5, loc="left", parse_math=False)
    axes.text(
        0.97, 0.93, f"z = {row['Z_SOURCE']:.3f}\nskewness\n{skewness(row)}",
        transform=axes.transAxes, ha="right", va="top", fontsize=7,
    )  # fmt: skip
    axes.set_xlim(REST_RANGE)
    axes.tick_params(labelsize=7)
