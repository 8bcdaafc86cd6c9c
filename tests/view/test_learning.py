"""Learning curves are a picture of every epoch, however the training went."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from speclens.view.learning import draw_learning_curves


def records(n_epochs: int, loss: float = 0.1) -> list[dict[str, Any]]:
    return [
        {
            "epoch": epoch,
            "train_accuracy": 1 - 0.1 / epoch,
            "test_accuracy": 1 - 0.2 / epoch,
            "train_loss": loss / epoch,
            "test_loss": 2 * loss / epoch,
        }
        for epoch in range(1, n_epochs + 1)
    ]


def test_accuracy_and_loss_of_both_splits_are_drawn_by_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(
        "speclens.view.learning.save_figure", lambda figure, _: drawn.append(figure)
    )
    draw_learning_curves(tmp_path / "curves.png", records(5))
    left, right = drawn[0].axes
    assert [axes.get_ylabel() for axes in (left, right)] == ["accuracy", "loss"]
    for axes, name in ((left, "accuracy"), (right, "loss")):
        curves = {line.get_label(): line for line in axes.lines}
        for split in ("train", "test"):
            assert list(curves[split].get_xdata()) == [1, 2, 3, 4, 5]
            expected = [record[f"{split}_{name}"] for record in records(5)]
            assert list(curves[split].get_ydata()) == expected
    assert right.get_yscale() == "log"


@pytest.mark.parametrize(("n_epochs", "loss"), [(1, 0.1), (3, 0.0), (3, float("nan"))])
def test_odd_trainings_are_drawn_too(tmp_path: Path, n_epochs: int, loss: float) -> None:
    path = tmp_path / "curves.png"
    draw_learning_curves(path, records(n_epochs, loss))
    assert path.read_bytes().startswith(b"\x89PNG")
