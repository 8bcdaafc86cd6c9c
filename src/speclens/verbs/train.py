"""`speclens train`: a network and its curves from a training set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from speclens.networks.model import Model
from speclens.train import training
from speclens.train.training import TrainingRequest

__all__ = ["train"]


def train(
    request: TrainingRequest, tell: Callable[[dict[str, Any]], None] | None = None
) -> Model | None:
    """Train a network and write it as a model.

    Parameters
    ----------
    request : TrainingRequest
        What the user asks for.
    tell : callable, optional
        Told of each epoch.

    Returns
    -------
    Model or None
        As `speclens.train.training.train`.
    """
    return training.train(request, _draw, tell)


def _draw(path: Path, records: list[dict[str, Any]]) -> None:
    from speclens.view.learning import draw_learning_curves

    draw_learning_curves(path, records)
