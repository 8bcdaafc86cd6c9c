"""The funnel: how many spectra were read, how many hits are left after each vet test.

In: the counts of a run, its hits, the flags that veto. Out: the steps, and a PNG file that shows
them beside those of the paper. What sets the flags is left to `speclens.vet`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from speclens.schema import VET_FLAGS, VET_TESTS, vet_bits

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["LI_2019", "Step", "draw_funnel", "funnel"]


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
        PNG file.
    steps : sequence of Step
        The run's.
    paper : sequence of Step, optional
        The paper's.
    """
    from matplotlib.figure import Figure

    from speclens.view.figures import ACCENT, DATA, save_figure

    height = 0.5 + 0.3 * max(len(steps), len(paper))
    figure = Figure(figsize=(10, height), layout="constrained")
    mine, theirs = figure.subplots(1, 2)
    _draw_steps(mine, steps, "this run", DATA, ACCENT)
    _draw_steps(theirs, paper, "Li et al. 2019", "#8a98a5", "#8a98a5")
    save_figure(figure, path)


def _draw_steps(axes: Axes, steps: Sequence[Step], title: str, color: str, last: str) -> None:
    lengths = np.log10([1 + step.n for step in steps])
    places = np.arange(len(steps))
    axes.barh(places, lengths, height=0.72, color=[color] * (len(steps) - 1) + [last])
    for place, length, step in zip(places, lengths, steps, strict=True):
        axes.annotate(
            f"{step.n:,}", (length, place), (5, 0), textcoords="offset points",
            va="center", fontsize=9,
        )  # fmt: skip
    axes.set_yticks(places, [step.label for step in steps])
    axes.set(xticks=[], xlim=(0, 1.22 * max(float(lengths.max()), 0.1)))
    axes.set_ylim(len(steps) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.set_title(title, fontsize=10, loc="left")
