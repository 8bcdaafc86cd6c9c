"""Learning curves of a network (Li et al. 2019, figure 6).

In: the record of each epoch. Out: a PNG file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from speclens.view.figures import save_figure
from speclens.view.palette import ACCENT, DATA

__all__ = ["draw_learning_curves"]


def draw_learning_curves(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Draw accuracy and loss by epoch, for training and test.

    Parameters
    ----------
    path : Path
        PNG file.
    records : sequence of mapping
        With `epoch`, and `train_` and `test_` of `accuracy` and `loss`.
    """
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    epochs = [record["epoch"] for record in records]
    for axes, name in zip(figure.subplots(1, 2), ("accuracy", "loss"), strict=True):
        for split, color, style in (("train", DATA, "-"), ("test", ACCENT, "--")):
            values = [record[f"{split}_{name}"] for record in records]
            axes.plot(epochs, values, style, color=color, marker=".", label=split)
        axes.set_xlim(0.5, len(epochs) + 0.5)
        axes.set_xlabel("epoch")
        axes.set_ylabel(name)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(frameon=False)
    if any(record[f"{split}_loss"] > 0 for record in records for split in ("train", "test")):
        axes.set_yscale("log")
    save_figure(figure, path)
