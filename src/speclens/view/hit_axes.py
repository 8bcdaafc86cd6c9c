"""The picture of one hit on axes of matplotlib, for notebooks and papers.

In: a row of the tables, its spectrum with the foreground, what its line may be. Out: four axes of a
figure. The figure of the report is drawn by `speclens.view.hit_figure`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from speclens.lines import REST_LINES
from speclens.spectra import FittedSpectra
from speclens.view.figures import FLUX_LABEL
from speclens.view.fitted import dispersion_at, fitted_line
from speclens.view.hit_figure import LENS_FEATURES
from speclens.view.palette import ACCENT, DATA, MODEL, QUIET
from speclens.view.wording import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FIGURE_INCHES", "draw_on_axes"]

FIGURE_INCHES = (9.0, 8.0)
WAVE_LABEL = "observed wavelength, vacuum (\u00c5)"
LINE_PIXELS = 40
SMOOTHING = 5
MOST_HYPOTHESES = 6
PERCENT = (0.5, 99.5)

Floats = NDArray[np.float64]


def draw_on_axes(
    figure: Figure,
    row: np.void,
    window: FittedSpectra,
    whole: FittedSpectra,
    hypotheses: NDArray[np.void],
) -> list[Axes]:
    """Draw one hit.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Where to draw.
    row : record
        Its row of hits.fits or candidates.*.
    window, whole : FittedSpectra
        One spectrum: the window that was searched, and all of it.
    hypotheses : structured array
        Rows of `speclens.schema.HIT_HYPOTHESES`, the likeliest first.

    Returns
    -------
    list of matplotlib.axes.Axes
        Whole spectrum, window, line, alternatives.
    """
    places: Any = figure.subplot_mosaic("AA;BB;CD")
    axes: list[Axes] = [places[name] for name in "ABCD"]
    _draw_spectrum(axes[0], row, whole, SMOOTHING)
    _draw_spectrum(axes[1], row, window, 1)
    _draw_line(axes[2], row, window)
    _draw_alternatives(axes[3], hypotheses)
    name = str(row["NAME"]) or f"spectrum {row['SPECTRUM']}"
    axes[0].set_title(f"{name} \u00b7 lens at z = {number(row['Z'], 4)}", fontsize=10)
    axes[1].set_title(
        f"line at {number(row['WAVE'], 2)} \u00c5, S/N {number(row['SNR'], 1)}", fontsize=10
    )
    axes[1].set_xlabel(WAVE_LABEL)
    figure.supylabel(FLUX_LABEL, fontsize=9)
    return axes


def _shown(spectrum: FittedSpectra, values: NDArray[np.float32]) -> Floats:
    """Return the values of one spectrum, NaN where it holds no measurement."""
    return np.where(spectrum.ivar[0] > 0, values[0], np.nan).astype(np.float64)


def _smoothed(values: Floats, n_pixels: int) -> Floats:
    """Average over a few good pixels; a gap stays a gap."""
    good, box = np.isfinite(values), np.ones(n_pixels)
    total = np.convolve(np.where(good, values, 0), box, "same")
    weight = np.convolve(good, box, "same")
    return np.where(good, total / np.maximum(weight, 1), np.nan)


def _draw_spectrum(axes: Axes, row: np.void, spectrum: FittedSpectra, smoothing: int) -> None:
    """Draw flux and foreground, with the line shaded and the lens's features dotted."""
    wave = spectrum.grid.wave
    flux = _smoothed(_shown(spectrum, spectrum.flux), smoothing)
    model = _shown(spectrum, spectrum.model)
    near = np.abs(wave - row["WAVE"]) < LINE_PIXELS / 4
    axes.axvspan(float(row["WAVE"]) - 12, float(row["WAVE"]) + 12, color=ACCENT, alpha=0.15, lw=0)
    for name in LENS_FEATURES:
        place = REST_LINES[name].wave * (1 + float(row["Z"]))
        if wave[0] < place < wave[-1]:
            axes.axvline(place, color=QUIET, lw=0.7, ls=":")
    axes.plot(wave, flux, color=DATA, lw=0.6, drawstyle="steps-mid")
    axes.plot(wave, model, color=MODEL, lw=1.2)
    seen = flux[np.isfinite(flux)]
    if len(seen):
        low, high = np.percentile(seen, PERCENT)
        top = max(high, np.nanmax(flux[near], initial=high))
        axes.set_ylim(low - 0.1 * (top - low), top + 0.1 * (top - low))
    measured = wave[np.isfinite(model)]
    if len(measured):
        axes.set_xlim(measured[0], measured[-1])


def _draw_line(axes: Axes, row: np.void, spectrum: FittedSpectra) -> None:
    """Draw the line without the foreground, and the fit of its profile."""
    grid = spectrum.grid
    near = np.abs(np.arange(grid.n_pixels) - grid.pixel(float(row["WAVE"]))) <= LINE_PIXELS
    wave, flux = grid.wave[near], _shown(spectrum, spectrum.residual)[near]
    with np.errstate(divide="ignore"):
        error = np.where(spectrum.ivar[0] > 0, spectrum.ivar[0] ** -0.5, np.nan)[near]
    fine = np.linspace(wave[0], wave[-1], 400)
    fit = fitted_line(row, fine, dispersion_at(spectrum, float(row["FIT_WAVE"])))
    axes.fill_between(wave, flux - error, flux + error, step="mid", color=QUIET, alpha=0.4, lw=0)
    axes.axhline(0, color=QUIET, lw=0.8)
    axes.plot(wave, flux, color=DATA, lw=1, drawstyle="steps-mid")
    axes.plot(fine, fit, color=ACCENT, lw=1.5, ls="--")
    axes.set_xlabel(WAVE_LABEL)
    axes.set_title("without the foreground; fit", fontsize=10)


def _draw_alternatives(axes: Axes, hypotheses: NDArray[np.void]) -> None:
    """Draw the probabilities of what the line may be, as bars."""
    shown = hypotheses[:MOST_HYPOTHESES]
    labels = [
        f"{h['HYPOTHESIS']}, z = {h['Z_SOURCE']:.3f}"
        if np.isfinite(h["Z_SOURCE"])
        else str(h["HYPOTHESIS"])
        for h in shown
    ]
    axes.barh(np.arange(len(shown)), shown["PROBABILITY"], height=0.5, color=DATA)
    axes.set_yticks(np.arange(len(shown)), labels, fontsize=8)
    axes.invert_yaxis()
    axes.set(xlim=(0, 1), xlabel="probability")
    axes.set_title("what it may be", fontsize=10)
