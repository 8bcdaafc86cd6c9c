"""The picture of one candidate: its spectrum, the window, the line, and what speaks against it.

In: a row of the candidate table, its spectrum with the foreground, over the window and whole. Out:
a PNG file. Masked pixels are gaps.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speclens.config import VetConfig
from speclens.lines import REST_LINES, SPEED_OF_LIGHT_KMS
from speclens.report.figures import ACCENT, DATA, MODEL, QUIET
from speclens.report.panels import Panel, Sheet
from speclens.report.profiles import REST_RANGE, dispersion_at, fitted_line
from speclens.spectra import FittedSpectra

__all__ = ["draw_candidate"]

LENS_FEATURES = (
    "[O II]", "Ca II H and K", "H delta", "G band", "H beta", "[O III] 5008", "Mg b", "Na D",
    "H alpha",
)  # fmt: skip
"""Features of the lens galaxy that are named; nothing is measured with them."""

OII_COLUMNS = ("SNR_HBETA", "SNR_OIII4959", "SNR_OIII5007", "SNR_HALPHA")
"""S/N at each of `VetConfig.oii_companions`."""

SMOOTHING = 5
LINE_ANGSTROM = 12.0
COMPANION_KMS = 1500.0
NOTE_COLOR = "#5d6b77"
FLUX_WORDS = (
    "flux densities in 10\u207b\u00b9\u2077 erg s\u207b\u00b9 cm\u207b\u00b2 \u00c5\u207b\u00b9"
)
FLUX_PLACE = (1088.0, 788.0)

WHOLE = (0.06, 0.735, 0.93, 0.225)
WINDOW = (0.06, 0.43, 0.93, 0.225)
LINE = (0.06, 0.165, 0.36, 0.18)
RESIDUAL = (0.06, 0.075, 0.36, 0.08)
COMPANIONS = (0.475, 0.075, 0.515, 0.27)

Floats = NDArray[np.float64]
STEPS = {"color": DATA, "drawstyle": "steps-mid"}


def draw_candidate(
    path: Path, row: np.void, window: FittedSpectra, whole: FittedSpectra, config: VetConfig
) -> None:
    """Draw one candidate.

    Parameters
    ----------
    path : Path
        PNG file.
    row : record
        Its row of candidates.*.
    window : FittedSpectra
        One spectrum: the window that was searched.
    whole : FittedSpectra
        One spectrum: all of it.
    config : VetConfig
        Other lines of an [O II] emitter, emission lines of the lens.
    """
    sheet = Sheet(10, 7.4)
    _draw_whole(sheet, row, whole)
    _draw_window(sheet, row, window, config)
    _draw_line(sheet, row, window)
    _draw_companions(sheet, row, whole, config)
    sheet.write(*FLUX_PLACE, FLUX_WORDS, "rs", color=NOTE_COLOR)
    sheet.save(path)


def _shown(spectrum: FittedSpectra, values: NDArray[np.float32]) -> Floats:
    """Return the values of one spectrum, NaN where it holds no measurement."""
    good = (spectrum.ivar[0] > 0) & np.isfinite(values)
    return np.where(good, values, np.nan).astype(np.float64)


def _smoothed(values: Floats) -> Floats:
    """Average over a few good pixels; a gap stays a gap."""
    box = np.ones(SMOOTHING)
    good = np.isfinite(values)
    weight = np.convolve(good, box, "same")
    total = np.convolve(np.where(good, values, 0.0), box, "same")
    return np.where(good, total / np.maximum(weight, 1), np.nan)


def _limits(
    values: Floats, also: Floats, percent: tuple[float, float], room: float = 0.07
) -> tuple[float, float]:
    """Return the ends of the flux axis: most of the values, all of `also`, and room above."""
    finite, extra = values[np.isfinite(values)], also[np.isfinite(also)]
    if not len(finite):
        return -1.0, 1.0
    low, high = np.percentile(finite, percent)
    low, high = min(low, extra.min(initial=low)), max(high, extra.max(initial=high))
    height = max(high - low, 1e-3)
    return float(low - 0.07 * height), float(high + room * height)


def _near(spectrum: FittedSpectra, row: np.void) -> NDArray[np.bool_]:
    return np.asarray(np.abs(spectrum.grid.wave - row["WAVE"]) < LINE_ANGSTROM)


def _draw_whole(sheet: Sheet, row: np.void, spectrum: FittedSpectra) -> None:
    wave = spectrum.grid.wave
    flux = _smoothed(_shown(spectrum, spectrum.flux[0]))
    model = _shown(spectrum, spectrum.model[0])
    wanted = np.concatenate([flux[_near(spectrum, row)], model])
    panel = Panel(sheet, WHOLE, _ends(wave), _limits(flux, wanted, (0.5, 99.5), 0.2))
    _mark(panel, row)
    panel.line(wave, flux, color=DATA, lw=0.5)
    panel.line(wave, model, color=MODEL, lw=0.9)
    features = [REST_LINES[name] for name in LENS_FEATURES]
    _name(panel, [(line.symbol, line.wave * (1 + float(row["Z"]))) for line in features])
    panel.frame(n_x=14)
    panel.title(
        f"{row['NAME']}   {row['SPECTRUM']}   lens at z = {row['Z']:.4f}   "
        f"(mean of {SMOOTHING} pixels; foreground)"
    )


def _draw_window(sheet: Sheet, row: np.void, spectrum: FittedSpectra, config: VetConfig) -> None:
    wave = spectrum.grid.wave
    flux, model = _shown(spectrum, spectrum.flux[0]), _shown(spectrum, spectrum.model[0])
    limits = _limits(flux, flux[_near(spectrum, row)], (0.3, 99.7), 0.2)
    panel = Panel(sheet, WINDOW, _ends(wave), limits)
    _mark(panel, row)
    panel.line(wave, flux, lw=0.5, **STEPS)
    panel.line(wave, model, color=MODEL, lw=1.1)
    _name(panel, [(line.name, line.wave * (1 + float(row["Z"]))) for line in config.lens_lines])
    panel.frame("observed wavelength, vacuum (Å)", n_x=14)
    panel.title(f"the window searched   line at {row['WAVE']:.2f} A, S/N {row['SNR']:.1f}")


def _draw_line(sheet: Sheet, row: np.void, spectrum: FittedSpectra) -> None:
    stretch = 1 + float(row["Z_SOURCE"])
    with np.errstate(divide="ignore"):
        rest = spectrum.grid.wave / np.float64(stretch)
    near = (rest > REST_RANGE[0]) & (rest < REST_RANGE[1])
    flux = _shown(spectrum, spectrum.residual[0])[near]
    ivar = spectrum.ivar[0][near].astype(np.float64)
    error = 1 / np.sqrt(np.where(ivar > 0, ivar, np.nan))
    dispersion = dispersion_at(spectrum, float(row["FIT_WAVE"]))
    fine = np.linspace(*REST_RANGE, 300)
    fit = fitted_line(row, fine * stretch, dispersion)
    panel = Panel(sheet, LINE, REST_RANGE, _limits(flux, fit, (0, 100)))
    panel.band(rest[near], flux - error, flux + error, QUIET)
    panel.rules(y=[0], color=QUIET, lw=0.6)
    panel.line(rest[near], flux, lw=0.9, **STEPS)
    panel.line(fine, fit, color=ACCENT, lw=1.3, ls="--")
    panel.frame(numbers=False)
    panel.title(f"as Lyman alpha at z = {row['Z_SOURCE']:.4f}   (fit; residual / error)")
    pull = (flux - fitted_line(row, spectrum.grid.wave[near], dispersion)) / error
    below = Panel(sheet, RESIDUAL, REST_RANGE, (-4.5, 4.5))
    below.rules(y=[0], color=ACCENT, lw=0.8)
    below.line(rest[near], pull, lw=0.7, **STEPS)
    below.frame("wavelength in the frame of the emitter (Å)", n_x=6, n_y=3)


def _draw_companions(
    sheet: Sheet, row: np.void, spectrum: FittedSpectra, config: VetConfig
) -> None:
    """Draw side by side, in velocity, where the lines of an [O II] emitter would be."""
    residual, z = _shown(spectrum, spectrum.residual[0]), float(row["Z_OII"])
    parts = []
    for line in config.oii_companions:
        kms = (spectrum.grid.wave / (line.wave * (1 + z)) - 1) * SPEED_OF_LIGHT_KMS
        near = np.abs(kms) < COMPANION_KMS if z > -1 else np.zeros(len(kms), bool)
        parts.append((kms[near], residual[near]))
    seen = np.concatenate([flux for _, flux in parts])
    limits = _limits(seen, seen, (1, 99), 0.35)
    left, bottom, width, height = COMPANIONS
    for i, (line, column, (kms, flux)) in enumerate(
        zip(config.oii_companions, OII_COLUMNS, parts, strict=True)
    ):
        place = (left + i * width / len(parts), bottom, 0.92 * width / len(parts), height)
        panel = Panel(sheet, place, (-COMPANION_KMS, COMPANION_KMS), limits)
        panel.rules(x=[0], height=0.82, color=MODEL, lw=0.8, ls=":")
        panel.rules(y=[0], color=QUIET, lw=0.6)
        panel.line(kms, flux, lw=0.7, **STEPS)
        snr = float(row[column])
        said = f"S/N {snr:.1f}" if np.isfinite(snr) else "not measured"
        panel.text(0, 0.95, line.name)
        panel.text(0, 0.88, said)
        if not np.isfinite(flux).any():
            panel.text(0, 0.45, "no data", color=NOTE_COLOR)
        panel.frame("velocity (km/s)", n_x=3, n_y=4 if i == 0 else 0)
        if i == 0:
            redshift = f"z = {z:.4f}" if np.isfinite(z) else "an unknown redshift"
            panel.title(f"if it were [O II] at {redshift}   (without the foreground)")


def _ends(wave: Floats) -> tuple[float, float]:
    return float(wave[0]), float(wave[-1])


def _name(panel: Panel, lines: list[tuple[str, float]]) -> None:
    inside = [(name, wave) for name, wave in lines if panel.xlim[0] < wave < panel.xlim[1]]
    panel.rules([wave for _, wave in inside], height=0.88, color=QUIET, lw=0.6, ls=":")
    for i, (name, wave) in enumerate(sorted(inside, key=lambda line: line[1])):
        # Neighbours at two heights do not overlap.
        panel.text(wave, 0.9 + 0.07 * (i % 2), name, size=6.5, color=NOTE_COLOR)


def _mark(panel: Panel, row: np.void) -> None:
    if np.isfinite(row["WAVE"]):
        panel.shade(row["WAVE"] - LINE_ANGSTROM, row["WAVE"] + LINE_ANGSTROM, "#e8b4b0")
