"""The heat map of a hit: how likely a source is at every redshift, kind by kind.

In: rows of heat_map.fits of one hit. Out: an SVG file.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speclens.view.panels import Panel, Sheet
from speclens.view.wording import number

__all__ = ["HEAT_SIZE", "draw_heat_map"]

HEAT_SIZE = (1100, 190)

PANELS = {
    "elg": ("galaxies with emission lines", (72.0, 42.0, 480.0, 100.0), (0.0, 1.6)),
    "lya": ("emitters of Lyman alpha", (602.0, 42.0, 480.0, 100.0), (1.9, 6.6)),
}
"""Title, place and redshifts of each kind."""

POWERS = (-4.0, 0.0)
"""Ends of the axis, powers of ten."""

BAR_COLOR, LENS_COLOR = "#b3261e", "#d98324"

HALF_BIN = 4.6e-4
"""Of a bin of redshift, in z / (1 + z)."""

LEAST_BAR = 0.0015
"""Half width of a bar as a share of the axis: a bin alone would be too narrow to be seen."""


def draw_heat_map(path: Path, row: np.void, rows: NDArray[np.void]) -> None:
    """Draw the heat map of a hit.

    Parameters
    ----------
    path : Path
        SVG file.
    row : record
        Its row of hits.fits or candidates.*.
    rows : structured array
        Its rows of heat_map.fits.
    """
    sheet = Sheet(*HEAT_SIZE)
    for kind, (title, place, zlim) in PANELS.items():
        of_kind = rows[rows["KIND"] == kind]
        panel = Panel(sheet, place, zlim, POWERS)
        panel.rules(x=[float(row["Z"])], color=LENS_COLOR, width=1.0, dashes="10 30")
        for z, probability in of_kind[["Z_SOURCE", "PROBABILITY"]].tolist():
            half = max(HALF_BIN * (1 + z), LEAST_BAR * (zlim[1] - zlim[0]))
            bottom, top = np.full(2, POWERS[0]), np.full(2, np.log10(probability))
            panel.band(np.array([z - half, z + half]), bottom, top, BAR_COLOR)
        label = "log\u2081\u2080 of the probability" if kind == "elg" else ""
        panel.frame("redshift of the source", label, n_x=8, n_y=4)
        share = number(of_kind["PROBABILITY"].sum(), 3)
        panel.title(f"{title} \u00b7 together {share}")
    sheet.save(path)
