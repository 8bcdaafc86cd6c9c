"""Figures of an evaluation and of what a list of candidates is worth.

In: rows of its tables. Out: PNG files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from speclens.view.figures import save_figure
from speclens.view.palette import ACCENT, DATA, MODEL, QUIET

__all__ = [
    "draw_by_quantity", "draw_calibration", "draw_false_hits", "draw_limits", "draw_worth",
]  # fmt: skip

LEVEL_COLORS = {"hit": DATA, "top": ACCENT, "candidate": MODEL}
LEVEL_STYLES: Mapping[str, Mapping[str, Any]] = {
    "hit": {"lw": 4, "ms": 9, "alpha": 0.35}, "top": {"lw": 1, "ms": 6},
    "candidate": {"lw": 1, "ms": 3.5},
}  # fmt: skip
"""The widest is drawn first: where levels are equal each is seen beneath the next."""

FRACTIONS = (-0.05, 1.05)
"""Limits of axes of fractions, which leave the marks at 0 and 1 whole."""

FLUX = r"flux (10$^{-17}$ erg s$^{-1}$ cm$^{-2}$)"
LABELS = {
    "FLUX": FLUX,
    "WAVE": "wavelength (Å)",
    "Z": "redshift of the lens",
    "Z_SOURCE": "redshift of the source",
    "WIDTH": "width (Å)",
    "IDEAL_ERR": "noise: best error of the flux",
    "FOREGROUND": "foreground's flux density",
    "IDEAL_SNR": "ideal S/N",
}

Rows = NDArray[np.void]


def draw_by_quantity(path: Path, table: Rows) -> None:
    """Draw completeness by each quantity, of one kind of source.

    Parameters
    ----------
    path : Path
        PNG file.
    table : structured array
        `speclens.schema.COMPLETENESS`.
    """
    figure = Figure(figsize=(11, 5.2), layout="constrained")
    panels = figure.subplots(2, 4, sharey=True)
    for axes, (quantity, label) in zip(panels.flat, LABELS.items(), strict=True):
        for level, color in LEVEL_COLORS.items():
            rows = table[(table["QUANTITY"] == quantity) & (table["LEVEL"] == level)]
            ends = rows["LOW"], rows["HIGH"]
            middle = np.mean(ends, axis=0)
            error = (
                rows["COMPLETENESS"] - rows["COMPLETENESS_LOW"],
                rows["COMPLETENESS_HIGH"] - rows["COMPLETENESS"],
            )
            axes.errorbar(
                middle, rows["COMPLETENESS"], np.maximum(error, 0), color=color, fmt="o-",
                elinewidth=1, label=level, **LEVEL_STYLES[level],
            )  # fmt: skip
        axes.set(xlabel=label, ylim=FRACTIONS)
    for axes in panels[:, 0]:
        axes.set_ylabel("fraction that comes back")
    panels[0, 0].legend(frameon=False, fontsize=8, loc="lower right")
    save_figure(figure, path)


def draw_limits(path: Path, table: Rows) -> None:
    """Draw the fluxes at which half and nine tenths come back, by wavelength.

    Parameters
    ----------
    path : Path
        PNG file.
    table : structured array
        `speclens.schema.LIMITS`, of one kind of source.
    """
    figure = Figure(figsize=(6, 3.8), layout="constrained")
    axes = figure.subplots()
    for level in ("hit", "candidate"):
        rows = table[table["LEVEL"] == level]
        color = LEVEL_COLORS[level]
        for share, style in ((50, "-"), (90, "--")):
            low, high = rows[f"FLUX_{share}_LOW"], rows[f"FLUX_{share}_HIGH"]
            axes.fill_between(rows["WAVE"], low, high, color=color, alpha=0.2, lw=0)
            # A limit whose interval has no end is not known.
            limit = np.where(np.isfinite(low) & np.isfinite(high), rows[f"FLUX_{share}"], np.nan)
            axes.plot(rows["WAVE"], limit, style, color=color, label=f"{level}, {share} %")
    axes.set(xlabel="wavelength (Å)", ylabel=FLUX, ylim=(0, None))
    axes.legend(frameon=False, fontsize=8)
    save_figure(figure, path)


def draw_false_hits(path: Path, table: Rows, names: Mapping[str, str]) -> None:
    """Draw how many candidates nulls have in 1000 spectra, above what they are ranked by.

    Parameters
    ----------
    path : Path
        PNG file.
    table : structured array
        `speclens.schema.FALSE_HITS`, of one search.
    names : mapping of str to str
        What each null is.
    """
    figure = Figure(figsize=(6, 3.8), layout="constrained")
    axes = figure.subplots()
    colors = (QUIET, ACCENT, MODEL, DATA)
    for (name, told), color in zip(names.items(), colors, strict=True):
        rows = table[(table["NULL"] == name) & (table["COLUMN"] == "SCORE")]
        rows = rows[(rows["LEVEL"] == "candidate") & (rows["N_SPECTRA"] > 0)]
        if not len(rows):
            continue
        if not rows["N_FALSE"].any():
            axes.plot([], [], color=color, label=_none_in(told, rows))
            continue
        error = np.stack([rows["RATE"] - rows["RATE_LOW"], rows["RATE_HIGH"] - rows["RATE"]])
        label = f"{told} ({rows['N_SPECTRA'][0]:,})"
        axes.errorbar(
            rows["THRESHOLD"], rows["RATE"], np.maximum(error, 0), fmt="o-", ms=3.5, lw=1,
            color=color, capsize=2, label=label,
        )  # fmt: skip
    axes.set(
        xlabel="probability of the source times P_LENSED, at least",
        ylabel="candidates in 1000 spectra",
        xlim=(-0.02, 1.02),
    )
    if axes.containers:
        axes.set_yscale("symlog", linthresh=0.1)
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False, fontsize=8)
    else:
        axes.set_yticks([])
        axes.legend(frameon=False, loc="center", handlelength=0)
    save_figure(figure, path)


def _none_in(null: str, rows: Rows) -> str:
    """Say that a null has no candidate, and below which rate that leaves them."""
    return f"{null}: none in {rows['N_SPECTRA'][0]:,}; below {rows['RATE_HIGH'].max():.3g} per 1000"


def draw_calibration(path: Path, table: Rows) -> None:
    """Draw how often probabilities come true.

    Parameters
    ----------
    path : Path
        PNG file.
    table : structured array
        `speclens.schema.RELIABILITY`, of one search; at least one row.
    """
    columns = list(dict.fromkeys(table["COLUMN"].tolist()))
    figure = Figure(figsize=(3.7 * len(columns), 3.7), layout="constrained")
    panels = figure.subplots(1, len(columns), squeeze=False)[0]
    for axes, column in zip(panels, columns, strict=True):
        rows = table[table["COLUMN"] == column]
        axes.plot([0, 1], [0, 1], color=QUIET, lw=0.8)
        axes.errorbar(
            rows["STATED"], rows["TRUE"], rows["TRUE_ERR"], fmt="o-", color=DATA, ms=4, capsize=2
        )
        axes.set(
            xlabel=column, ylabel="fraction for which it is true", xlim=FRACTIONS,
            ylim=FRACTIONS,
        )  # fmt: skip
    save_figure(figure, path)


def draw_worth(path: Path, worth: Sequence[Mapping[str, Any]]) -> None:
    """Draw what a list of candidates is worth, by how many are listed.

    Parameters
    ----------
    path : Path
        PNG file.
    worth : sequence of mapping
        As in run.json: candidates, how many of them are true, completeness.
    """
    listed, true, completeness = (
        np.array([np.nan if row[name] is None else row[name] for row in worth], np.float64)
        for name in ("candidates", "true", "completeness")
    )
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, listed.max()], [0, listed.max()], color=QUIET, lw=0.8, ls=":")
    axes.plot(listed, true, color=DATA, marker=".", label="expected true")
    axes.set(xlabel="candidates listed", ylabel="expected true", xlim=(0, None), ylim=(0, None))
    share = axes.twinx()
    share.plot(listed, completeness, color=MODEL, marker=".")
    share.set_ylabel("completeness for bright sources", color=MODEL)
    share.set_ylim(0, FRACTIONS[1])
    save_figure(figure, path)
