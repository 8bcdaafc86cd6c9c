"""Line profiles in the frame of the emitter (Li et al. 2019, figure 7).

In: candidate rows and the window of each with its foreground. Out: an SVG file. The fit itself is
left to `speclens.vet`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speclens.spectra import FittedSpectra
from speclens.view.close_up import FLUX_LABEL, close_up, undisturbed
from speclens.view.panels import Sheet
from speclens.view.wording import skewness

__all__ = ["draw_profiles"]

N_COLUMNS = 4
LEFT, TOP, BOTTOM, RIGHT = 66.0, 26.0, 52.0, 12.0
"""Pixels around the panels."""

PANEL = (214.0, 178.0)
APART = (48.0, 36.0)
"""Width and height of a panel, and pixels between two of them."""


@undisturbed
def draw_profiles(path: Path, rows: NDArray[np.void], spectra: Sequence[FittedSpectra]) -> None:
    """Draw the lines of candidates close up, by decreasing flux.

    Parameters
    ----------
    path : Path
        SVG file.
    rows : structured array of shape (N,)
        Rows of candidates.*, at least one.
    spectra : sequence of FittedSpectra, length N
        The window of each.
    """
    order = np.argsort(-rows["FLUX"], kind="stable").tolist()
    n_columns = min(N_COLUMNS, len(rows))
    n_rows = -(-len(rows) // n_columns)
    across, down = PANEL[0] + APART[0], PANEL[1] + APART[1]
    width = round(LEFT + n_columns * across - APART[0] + RIGHT)
    height = round(TOP + n_rows * down - APART[1] + BOTTOM)
    sheet = Sheet(width, height)
    for i, k in enumerate(order):
        row, column = divmod(i, n_columns)
        # The last of each column has the numbers of all above it.
        numbers = i + n_columns >= len(order)
        corner = LEFT + column * across, TOP + row * down
        _draw_profile(sheet, corner, rows[k], spectra[k], numbers)
    label = "wavelength in the frame of the emitter (\u00c5)"
    sheet.write(width / 2, height - 10, label, "middle", 11.5)
    sheet.write(16, height / 2, FLUX_LABEL, "middle", 11.5, turned=True)
    sheet.save(path)


def _draw_profile(
    sheet: Sheet, corner: tuple[float, float], row: np.void, spectrum: FittedSpectra, numbers: bool
) -> None:
    panel = close_up(row, spectrum).draw(sheet, (*corner, *PANEL))
    panel.frame(n_x=5, n_y=6, numbers=numbers)
    left, top = corner
    sheet.write(left, top - 7, str(row["NAME"]) or str(row["SPECTRUM"]), size=10.5)
    said = (f"z = {row['Z_SOURCE']:.3f}", "skewness", skewness(row))
    for i, text in enumerate(said):
        sheet.write(left + PANEL[0] - 4, top + 14 + 13 * i, text, "end", 10)
