"""The funnel: how many spectra were read, how many hits are left after each vet test.

In: the counts of a run, its hits, the flags that veto. Out: the steps, and an SVG file that shows
them beside those of the paper. What sets the flags is left to `speclens.vet`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speclens.schema import VET_FLAGS, VET_TESTS, vet_bits
from speclens.view.palette import ACCENT, DATA
from speclens.view.panels import FRAME_COLOR, Sheet

__all__ = ["LI_2019", "Step", "draw_funnel", "funnel"]

COLUMN_WIDTH, LABEL_WIDTH, BAR_LENGTH = 550, 165, 290.0
BAR_STEP, TITLE_HEIGHT = 33, 26
PAPER_COLOR = "#8a98a5"


@dataclass(frozen=True)
class Step:
    """One step of a funnel.

    Parameters
    ----------
    label : str
        What is counted.
    n : int
        How many are left.
    detail : str
        What decides.
    """

    label: str
    n: int
    detail: str = ""


LI_2019 = (
    Step("searched", 1_241_799, "galaxies of DR12, z > 0.3"),
    Step("hits", 1232, "probability above 0.5"),
    Step("new hits", 536, "not among the hits of Shu et al. 2016"),
    Step("after the eye", 124, "noise, low peaks"),
    Step("after over-densities", 47, "observed and rest wavelength"),
    Step("after skewness", 21, "skewness above 0"),
    Step("candidates", 5, "no [O III], H alpha, H beta of an [O II] line"),
)
"""The funnel of Li et al. 2019, sections 3.3 and 4; from its third step on it counts new hits."""

TEST_LABELS = {
    "overdensity": "over-densities", "double_peak": "two peaks", "other_searches": "other searches",
}  # fmt: skip


def funnel(
    counts: Mapping[str, int], hits: NDArray[np.void], vetoes: Sequence[str]
) -> tuple[Step, ...]:
    """Count what is left after each step.

    Parameters
    ----------
    counts : mapping of str to int
        Spectra of the run by status: `read` and `scored`.
    hits : structured array of shape (N,)
        Rows of hits.fits.
    vetoes : sequence of str
        Names of the flags that rule a hit out.

    Returns
    -------
    tuple of Step
        Spectra read, spectra scored, hits, hits left after each test of `VET_TESTS` and those
        before it, candidates.

    Notes
    -----
    Li et al. 2019, section 4. A test without a vetoing flag leaves all hits.
    """
    steps = [
        Step("read", counts["read"], "spectra in the files"),
        Step("scored", counts["scored"], "galaxies of the sample with data"),
        Step("hits", len(hits), "the search fired"),
    ]
    left = np.ones(len(hits), bool)
    for test in VET_TESTS:
        names = [flag.name for flag in VET_FLAGS if flag.test == test and flag.name in vetoes]
        left &= hits["VET_FLAGS"] & vet_bits(names) == 0
        label = f"after {TEST_LABELS.get(test, test)}"
        steps.append(Step(label, int(left.sum()), ", ".join(names) or "marks only"))
    steps.append(Step("candidates", int(hits["CANDIDATE"].sum()), "no vetoing flag"))
    return tuple(steps)


def draw_funnel(path: Path, steps: Sequence[Step], paper: Sequence[Step] = LI_2019) -> None:
    """Draw the funnel of a run beside that of the paper.

    Parameters
    ----------
    path : Path
        SVG file.
    steps : sequence of Step
        The run's.
    paper : sequence of Step, optional
        The paper's.
    """
    height = BAR_STEP * max(len(steps), len(paper)) + TITLE_HEIGHT
    sheet = Sheet(2 * COLUMN_WIDTH, round(height + 8))
    _draw_steps(sheet, 0, height, steps, "this run", DATA, ACCENT)
    _draw_steps(sheet, COLUMN_WIDTH, height, paper, "Li et al. 2019", PAPER_COLOR, PAPER_COLOR)
    sheet.save(path)


def _draw_steps(
    sheet: Sheet, left: float, bottom: float, steps: Sequence[Step], title: str, color: str,
    last: str,
) -> None:  # fmt: skip
    """Draw bars from top to bottom, as long as the logarithms of their numbers."""
    lengths = np.log10([1 + step.n for step in steps])
    longest = max(float(lengths.max()), 0.1)
    apart, axis = (bottom - TITLE_HEIGHT) / len(steps), left + LABEL_WIDTH
    sheet.write(axis, TITLE_HEIGHT - 10, title, size=12.5)
    for i, (length, step) in enumerate(zip(lengths.tolist(), steps, strict=True)):
        middle = TITLE_HEIGHT + (i + 0.5) * apart
        width = BAR_LENGTH * length / longest
        sheet.write(axis - 7, middle + 4, step.label, "end", 12)
        sheet.add(
            f'<rect x="{axis:.1f}" y="{middle - 0.36 * apart:.1f}" width="{width:.1f}" '
            f'height="{0.72 * apart:.1f}" fill="{last if i == len(steps) - 1 else color}"/>'
        )
        sheet.write(axis + width + 7, middle + 4, f"{step.n:,}", size=12)
    down = bottom - TITLE_HEIGHT
    sheet.add(f'<path d="M{axis:.1f} {TITLE_HEIGHT}v{down:.1f}" stroke="{FRAME_COLOR}"/>')
