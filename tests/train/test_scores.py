"""Counts of a classification are those of a plain loop, however it is cut into batches."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from speclens.networks.layers import focal_loss
from speclens.train.scores import Scores


@pytest.fixture
def classified(rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    logit = torch.from_numpy(rng.normal(0, 3, 500).astype(np.float32))
    return logit, torch.from_numpy((rng.random(500) < 0.3).astype(np.float32))


def scored(logit: torch.Tensor, label: torch.Tensor, n_batch: int, gamma: float = 2.0) -> Scores:
    scores = Scores()
    for start in range(0, len(label), n_batch):
        some = logit[start : start + n_batch], label[start : start + n_batch]
        scores.add(*some, focal_loss(*some, gamma))
    return scores


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_they_are_what_a_loop_counts(
    classified: tuple[torch.Tensor, torch.Tensor], gamma: float
) -> None:
    found = scored(*classified, 64, gamma).summary()
    right = found_lines = alarms = lines = 0
    loss = 0.0
    for logit, label in zip(*(values.tolist() for values in classified), strict=True):
        positive = logit > 0
        right += positive == (label == 1)
        lines += label == 1
        found_lines += positive and label == 1
        alarms += positive and label == 0
        p_true = 1 / (1 + math.exp(-logit if label == 1 else logit))
        loss -= (1 - p_true) ** gamma * math.log(p_true)
    assert found["accuracy"] == pytest.approx(right / 500)
    assert found["completeness"] == pytest.approx(found_lines / lines)
    assert found["false_positive_rate"] == pytest.approx(alarms / (500 - lines))
    assert found["loss"] == pytest.approx(loss / 500, rel=1e-5)


def test_batches_do_not_matter(classified: tuple[torch.Tensor, torch.Tensor]) -> None:
    one, many = scored(*classified, 500).summary(), scored(*classified, 7).summary()
    assert one == pytest.approx(many)


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_f4_one_class_alone_gives_numbers(label: float) -> None:
    summary = scored(torch.tensor([3.0, -3.0]), torch.full((2,), label), 2).summary()
    assert all(np.isfinite(value) for value in summary.values())
    assert summary["accuracy"] == 0.5


def test_nothing_gives_numbers_too() -> None:
    assert all(np.isfinite(value) for value in Scores().summary().values())
