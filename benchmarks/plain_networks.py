"""The plain networks that Li et al. 2019 gave up, by each optimiser, beside the residual network.

    python benchmarks/plain_networks.py MODEL... [--tables docs/tables] [--figures docs/figures]

MODEL are folders that `make plain` trained, named KIND-OPTIMISER; the residual network is the
bundled `li2019`. All were trained on the same set. In: their learning curves. Out: a table of the
last epoch of each, and a figure of the test losses. The paper (section 3.3) found plain networks
"difficult to converge".
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

import speclens
from tables import Tables, add_option

RESIDUAL = Path(speclens.__file__).parent / "data" / "models" / "li2019"
LINES = {"adamw": "-", "adam": "--", "sgd": ":"}
COLOURS = {"lenet": "tab:orange", "alexnet": "tab:blue"}

Curves = Sequence[Mapping[str, Any]]


def main() -> None:
    """Print the table, and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL")
    parser.add_argument("--figures", type=Path, help="draw the test losses here")
    add_option(parser)
    arguments = parser.parse_args()
    curves = {folder.name: curves_of(folder) for folder in arguments.models}
    residual = curves_of(RESIDUAL)
    rows = [row_of(name, of) for name, of in curves.items()]
    n_epochs = max(map(len, curves.values()))
    rows += [row_of("residual network", residual[:n_epochs]), row_of("residual network", residual)]
    titles = ["network", "epochs", "accuracy", "loss", "completeness", "false positives"]
    Tables(arguments.tables).show("plain_networks", titles, rows)
    if arguments.figures is not None:
        draw(curves, residual, arguments.figures / "plain_networks.png")


def curves_of(model: Path) -> Curves:
    """Read the learning curves of a model."""
    lines = (model / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def row_of(name: str, curves: Curves) -> list[str]:
    """Return the cells of a network: its last epoch."""
    last = curves[-1]
    return [
        name, f"{len(curves)}", f"{last['test_accuracy']:.4f}", f"{last['test_loss']:.4f}",
        f"{100 * last['test_completeness']:.1f} %", f"{last['test_false_positive_rate']:.1e}",
    ]  # fmt: skip


def draw(curves: Mapping[str, Curves], residual: Curves, path: Path) -> None:
    """Draw the test losses by epoch."""
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.add_subplot()
    for name, of in curves.items():
        kind, _, optimizer = name.partition("-")
        axes.plot(
            [epoch["epoch"] for epoch in of], [epoch["test_loss"] for epoch in of], "o",
            linestyle=LINES.get(optimizer, "-"), color=COLOURS.get(kind), label=name, markersize=3,
        )  # fmt: skip
    epochs = [epoch["epoch"] for epoch in residual]
    losses = [epoch["test_loss"] for epoch in residual]
    axes.plot(epochs, losses, color="black", label="residual network")
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch")
    axes.set_ylabel("focal loss of the test spectra")
    axes.legend(fontsize="small", loc="center right")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
