"""The numbers of Li et al. (2019) beside ours: the last step of `make paper`.

    python benchmarks/paper.py FOLDER [--model li2019] [--tables docs/tables]

In: FOLDER with the tables that `make paper` had made before (`tables`), a demo (`demo`) and the
figures; the learning curves of a model. Out: the table of training, and on stdout every number of
docs/measured.toml that is the paper's, Table 1 of the demo, and where figures 5 to 7 are. What was
not measured, because there were no real spectra, has no number.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from itertools import groupby
from pathlib import Path

from speclens.networks.model_folder import bundled_models
from tables import Tables, add_option

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))

from measured import TITLES, Aim, aims, measured  # noqa: E402

PAPER = "The paper"
"""With which the titles of the parts begin that are the paper's."""

TRAINING = "paper_training"
N_ROWS = 10
"""Of Table 1, which has a row for each candidate."""


def training(model: Path, tables: Tables) -> None:
    """Print how the training of a model ended, and keep it."""
    text = (model / "metrics.jsonl").read_text(encoding="utf-8")
    epochs = [json.loads(line) for line in text.splitlines()]
    last = epochs[-1]
    rows = [
        ["epochs", str(last["epoch"])],
        ["test accuracy", f"{last['test_accuracy']:.4f}"],
        ["test loss", f"{last['test_loss']:.4f}"],
        ["test completeness", f"{100 * last['test_completeness']:.1f} %"],
        ["test false positives", f"{last['test_false_positive_rate']:.1e}"],
    ]
    tables.show(TRAINING, ["the paper's network, trained by its recipe", "li2019"], rows)


def numbers(folder: Path) -> None:
    """Print the paper's numbers beside those that were measured."""
    kept = {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.md")}
    of_paper = [aim for aim in aims(ROOT / "docs" / "measured.toml") if aim.part.startswith(PAPER)]
    for part, rows in groupby(of_paper, key=lambda aim: aim.part):
        print(f"\n{part}\n")
        print(f"| {' | '.join(TITLES)} |\n| {' | '.join(['---'] * len(TITLES))} |")
        for aim in rows:
            print(f"| {aim.aim} | {aim.goal} | {_number(aim, kept)} | {aim.command} |")


def _folder_of(model: str) -> Path:
    bundled = ROOT / "src" / "speclens" / "data" / "models" / model
    return bundled if model in bundled_models() else Path(model)


def _number(aim: Aim, kept: dict[str, str]) -> str:
    return measured(aim, kept) or "not measured: needs SPECLENS_DATA"


def main() -> None:
    """Print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="li2019", help="bundled, or a folder")
    add_option(parser)
    arguments = parser.parse_args()
    tables = arguments.folder / "tables"
    model = _folder_of(arguments.model)
    training(model, Tables(tables))
    if arguments.tables:
        shutil.copy(tables / f"{TRAINING}.md", arguments.tables)
    numbers(tables)
    table = arguments.folder / "demo" / "candidates.tex"
    if table.is_file():
        print(f"\nTable 1, of the candidates of the demo: {table}\n")
        _, body = table.read_text(encoding="utf-8").split("\\endfirsthead")
        rows = [line for line in body.splitlines() if line.endswith("\\\\") and "SDSS J" in line]
        print("\n".join(rows[:N_ROWS]))
    figures = {
        "5, a real and an artificial spectrum": arguments.folder / "figure5.png",
        "6, accuracy and loss by epoch": model / "curves.png",
        "7, line profiles with their fits": arguments.folder / "demo" / "report" / "profiles.svg",
    }
    for name, file in figures.items():
        print(f"figure {name}: {file if file.is_file() else 'not drawn: needs SPECLENS_DATA'}")


if __name__ == "__main__":
    main()
