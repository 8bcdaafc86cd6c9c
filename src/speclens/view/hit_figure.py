"""The picture of one hit: its spectrum, the window, the line, and what speaks against it.

In: a row of the tables, its spectrum with the foreground, over the window and whole. Out: an SVG
file, and a thumbnail of the line for the lists. Masked pixels are gaps.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speclens.config import VetConfig
from speclens.evidence.fixed_line import fixed_line
from speclens.hypotheses import GALAXY_LINES, OII
from speclens.lines import LYMAN_ALPHA, REST_LINES, SPEED_OF_LIGHT_KMS
from speclens.names import spectrum_name
from speclens.spectra import FittedSpectra
from speclens.vet.reasons import OII_COLUMNS
from speclens.view.close_up import (
    FLUX_LABEL,
    close_up,
    flux_limits,
    shown,
    undisturbed,
)
from speclens.view.content import Thumbnail
from speclens.view.fitted import dispersion_at, fitted_line
from speclens.view.palette import ACCENT, DATA, MODEL, QUIET
from speclens.view.panels import Panel, Sheet
from speclens.view.paths import curve, steps
from speclens.view.wording import is_lya, number

__all__ = ["FIGURE_SIZE", "draw_hit", "thumbnail"]

LENS_FEATURES = (
    "[O II]", "Ca II H and K", "H delta", "G band", "H beta", "[O III] 5008", "Mg b", "Na D",
    "H alpha",
)  # fmt: skip
"""Features of the lens galaxy that are named; nothing is measured with them."""

SMOOTHING = 5
LINE_ANGSTROM = 12.0
COMPANION_KMS = 1500.0

NOTE_COLOR, LINE_COLOR = "#5d6b77", "#e8b4b0"
WAVE_LABEL = "observed wavelength, vacuum (\u00c5)"

FIGURE_SIZE = (1100, 880)
WHOLE = (72.0, 52.0, 1010.0, 176.0)
WINDOW = (72.0, 322.0, 1010.0, 176.0)
LINE = (72.0, 592.0, 400.0, 150.0)
RESIDUAL = (72.0, 754.0, 400.0, 74.0)
COMPANIONS = (548.0, 606.0, 534.0, 222.0)

TITLE_ROOM = 32.0
"""Pixels between a panel and its title, for two lines of names."""

THUMBNAIL_SIZE = (120, 32)
THUMBNAIL_PIXELS = 24

SOURCE_LINES = ("[O II]", "H beta", "[O III] 5008", "H alpha", "[N II] 6585")
"""Drawn of a source that shows several lines."""

SOURCE_PIXELS, SOURCE_SIGMA = 15, 1.5
"""Of their measurement: pixels on either side, width as seen, pixels."""

GALAXY_WAVES = {
    name: wave for g in GALAXY_LINES for (name, _), wave in zip(g.lines, g.waves, strict=True)
}

Expected = tuple[str, float, float]
"""A line's name, its wavelength at rest, its S/N."""

Floats = NDArray[np.float64]


@undisturbed
def draw_hit(
    path: Path, row: np.void, window: FittedSpectra, whole: FittedSpectra, config: VetConfig
) -> None:
    """Draw one hit.

    Parameters
    ----------
    path : Path
        SVG file.
    row : record
        Its row of hits.fits or candidates.*.
    window : FittedSpectra
        One spectrum: the window that was searched.
    whole : FittedSpectra
        One spectrum: all of it.
    config : VetConfig
        Other lines of an [O II] emitter, emission lines of the lens.
    """
    sheet = Sheet(*FIGURE_SIZE)
    _draw_whole(sheet, row, whole)
    _draw_window(sheet, row, window, config)
    _draw_line(sheet, row, window)
    _draw_companions(sheet, row, whole)
    sheet.save(path)


@undisturbed
def thumbnail(row: np.void, spectrum: FittedSpectra) -> Thumbnail:
    """Draw the line of a hit small, for the lists.

    Parameters
    ----------
    row : record
        Its row of hits.fits or candidates.*.
    spectrum : FittedSpectra
        One spectrum: the window that was searched.

    Returns
    -------
    Thumbnail
        The residual and the fitted line, as paths of SVG within `THUMBNAIL_SIZE`.
    """
    offset = np.arange(spectrum.grid.n_pixels) - spectrum.grid.pixel(_wave(row))
    near = np.abs(offset) <= THUMBNAIL_PIXELS
    flux = shown(spectrum, spectrum.residual[0])[near]
    wave = spectrum.grid.wave[near]
    fit = fitted_line(row, wave, dispersion_at(spectrum, float(row["FIT_WAVE"])))
    low, high = flux_limits(flux, fit, (0, 100))
    width, height = THUMBNAIL_SIZE
    across = (offset[near] / (2 * THUMBNAIL_PIXELS + 1) + 0.5) * width / 10
    return Thumbnail(
        steps(across, (high - flux) / (high - low) * height / 10),
        curve(across, (high - fit) / (high - low) * height / 10),
    )


def _wave(row: np.void) -> float:
    wave = float(row["WAVE"])
    return wave if np.isfinite(wave) and wave > 0 else np.nan


def _smoothed(values: Floats) -> Floats:
    """Average over a few good pixels; a gap stays a gap."""
    box = np.ones(SMOOTHING)
    good = np.isfinite(values)
    weight = np.convolve(good, box, "same")
    total = np.convolve(np.where(good, values, 0.0), box, "same")
    return np.where(good, total / np.maximum(weight, 1), np.nan)


def _near(spectrum: FittedSpectra, row: np.void) -> NDArray[np.bool_]:
    return np.asarray(np.abs(spectrum.grid.wave - row["WAVE"]) < LINE_ANGSTROM)


def _draw_whole(sheet: Sheet, row: np.void, spectrum: FittedSpectra) -> None:
    wave = spectrum.grid.wave
    flux = _smoothed(shown(spectrum, spectrum.flux[0]))
    model = shown(spectrum, spectrum.model[0])
    wanted = np.concatenate([flux[_near(spectrum, row)], model])
    panel = Panel(sheet, WHOLE, _ends(wave), flux_limits(flux, wanted, (0.5, 99.5)))
    _mark(panel, row)
    features = [REST_LINES[name] for name in LENS_FEATURES]
    _name(panel, [(line.symbol, line.wave * (1 + float(row["Z"]))) for line in features])
    panel.line(wave, flux, DATA, 0.6)
    panel.line(wave, model, MODEL, 1.3)
    panel.frame(WAVE_LABEL, FLUX_LABEL, n_x=14)
    panel.title(
        f"{row['NAME'] or 'position unknown'} \u00b7 {spectrum_name(row)} \u00b7 lens at z = "
        f"{number(row['Z'], 4)} \u00b7 mean of {SMOOTHING} pixels, foreground", TITLE_ROOM,
    )  # fmt: skip


def _draw_window(sheet: Sheet, row: np.void, spectrum: FittedSpectra, config: VetConfig) -> None:
    wave = spectrum.grid.wave
    flux, model = shown(spectrum, spectrum.flux[0]), shown(spectrum, spectrum.model[0])
    limits = flux_limits(flux, flux[_near(spectrum, row)], (0.3, 99.7))
    panel = Panel(sheet, WINDOW, _ends(wave), limits)
    _mark(panel, row)
    _name(panel, [(line.name, line.wave * (1 + float(row["Z"]))) for line in config.lens_lines])
    panel.line(wave, flux, DATA, 0.7, stepped=True)
    panel.line(wave, model, MODEL, 1.5)
    panel.frame(WAVE_LABEL, FLUX_LABEL, n_x=14)
    panel.title(
        f"the window searched \u00b7 line at {number(row['WAVE'], 2)} \u00c5, "
        f"matched-filter S/N {number(row['SNR'], 1)}", TITLE_ROOM,
    )  # fmt: skip


def _draw_line(sheet: Sheet, row: np.void, spectrum: FittedSpectra) -> None:
    name, line = _strongest_line(row)
    near = close_up(row, spectrum, line)
    panel = near.draw(sheet, LINE)
    panel.frame(y_label=FLUX_LABEL, numbers=False)
    panel.title(f"as {name} at z = {number(row['Z_SOURCE'], 4)} \u00b7 fit, residual / error")
    below = Panel(sheet, RESIDUAL, near.ends, (-4.5, 4.5))
    below.rules(y=[0], color=ACCENT, width=1.0)
    below.line(near.rest, (near.flux - near.expected) / near.error, DATA, 1.0, stepped=True)
    below.frame("wavelength in the frame of the emitter (\u00c5)", "\u03c3", n_x=6)


def _strongest_line(row: np.void) -> tuple[str, float]:
    """Name the line of the hit, and return its wavelength at rest."""
    if is_lya(row):
        return "Lyman alpha", LYMAN_ALPHA
    rest = float(row["WAVE"]) / (1 + float(row["Z_SOURCE"]))
    name = min(GALAXY_WAVES, key=lambda name: abs(np.log(GALAXY_WAVES[name] / rest)))
    return name, GALAXY_WAVES[name]


def _lines_of_source(row: np.void, spectrum: FittedSpectra) -> tuple[str, float, list[Expected]]:
    """Say what else would be seen of the source, and how it is: lines with their S/N."""
    if is_lya(row):
        z = float(row["Z_OII"])
        pairs = zip(OII.companions, OII_COLUMNS, strict=True)
        return "if it were [O II]", z, [(c.name, c.wave, float(row[n])) for c, n in pairs]
    z, grid = float(row["Z_SOURCE"]), spectrum.grid
    found: list[Expected] = []
    for name in SOURCE_LINES:
        wave = REST_LINES[name].wave
        offset = np.arange(grid.n_pixels) - float(grid.pixel(wave * (1 + z)))
        near = np.abs(offset) <= SOURCE_PIXELS
        snr = np.nan
        if near.any():
            flux, error = fixed_line(
                offset[near][None], spectrum.residual[:, near].astype(np.float64),
                spectrum.ivar[:, near].astype(np.float64), np.array([SOURCE_SIGMA]), np.ones(1),
            )  # fmt: skip
            snr = float(flux[0] / error[0])
        found.append((name, wave, snr))
    return "the lines of the source", z, found


def _draw_companions(sheet: Sheet, row: np.void, spectrum: FittedSpectra) -> None:
    """Draw side by side, in velocity, where other lines of the source would be."""
    residual = shown(spectrum, spectrum.residual[0])
    said, z, lines = _lines_of_source(row, spectrum)
    parts = []
    for _, wave, _ in lines:
        rest = wave * (1 + z) if z > -1 else np.nan
        kms = (spectrum.grid.wave / rest - 1) * SPEED_OF_LIGHT_KMS
        near = np.abs(kms) < COMPANION_KMS
        parts.append((kms[near], residual[near]))
    seen = np.concatenate([flux for _, flux in parts])
    limits = flux_limits(seen, seen, (1, 99))
    left, top, width, height = COMPANIONS
    redshift = f"z = {z:.4f}" if np.isfinite(z) else "an unknown redshift"
    said = f"{said} at {redshift} \u00b7 without the foreground"
    sheet.write(left, LINE[1] - 8, said, size=12.5)
    for i, ((name, _, snr), (kms, flux)) in enumerate(zip(lines, parts, strict=True)):
        place = (left + i * width / len(parts), top + 24, 0.92 * width / len(parts), height - 24)
        panel = Panel(sheet, place, (-COMPANION_KMS, COMPANION_KMS), limits)
        panel.rules(x=[0], color=MODEL, width=1.0, dashes="10 30")
        panel.rules(y=[0], color=QUIET, width=0.8)
        panel.line(kms, flux, DATA, 1.0, stepped=True)
        panel.above(0, name, 1)
        panel.above(0, f"fitted S/N {snr:z.1f}" if np.isfinite(snr) else "not measured")
        if not np.isfinite(flux).any():
            panel.within("no data", color=NOTE_COLOR)
        label = FLUX_LABEL if i == 0 else ""
        panel.frame("velocity (km/s)", label, n_x=3, n_y=4 if i == 0 else 0)


def _ends(wave: Floats) -> tuple[float, float]:
    return float(wave[0]), float(wave[-1])


def _name(panel: Panel, lines: Iterable[tuple[str, float]]) -> None:
    """Name lines in the strip over the panel; neighbours at two heights do not overlap."""
    inside = [(name, wave) for name, wave in lines if panel.xlim[0] < wave < panel.xlim[1]]
    panel.rules([wave for _, wave in inside], color=QUIET, width=0.8, dashes="10 30")
    for i, (name, wave) in enumerate(sorted(inside, key=lambda line: line[1])):
        panel.above(wave, name, i % 2, size=9.5, color=NOTE_COLOR)


def _mark(panel: Panel, row: np.void) -> None:
    """Shade the line."""
    x = np.array([-LINE_ANGSTROM, LINE_ANGSTROM]) + _wave(row)
    if np.isfinite(x).all():
        panel.band(x, np.full(2, panel.ylim[0]), np.full(2, panel.ylim[1]), LINE_COLOR)
