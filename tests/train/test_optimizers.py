"""The optimisers take the steps that their papers and Keras's defaults say."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from speclens.config import load_config
from speclens.errors import ConfigError
from speclens.train.optimizers import gradient_max, open_optimizer, rate_at
from speclens.train.settings import Settings

GRADIENTS = np.array([[0.5, -2.0, 1e-8], [1.0, 3.0, -1e-8], [-4.0, 0.1, 0.0]])
"""Of three weights in three steps."""


def settings_of(optimizer: str, rate: float = 0.01) -> Settings:
    return Settings(2, 128, optimizer, rate, 0.15, 0.1, 5.0, 2.0, 0.0, 1)


def steps_of(settings: Settings) -> np.ndarray:
    """Take the steps; return the weights, from 1."""
    weight = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))
    optimizer = open_optimizer(settings, [weight])
    for gradient in GRADIENTS:
        weight.grad = torch.from_numpy(gradient.copy())
        optimizer.step()
    return weight.detach().numpy()


def test_sgd_goes_down_the_gradient_and_has_no_memory() -> None:
    np.testing.assert_allclose(steps_of(settings_of("sgd")), 1 - 0.01 * GRADIENTS.sum(axis=0))


@pytest.mark.parametrize(
    ("optimizer", "decay", "epsilon"), [("adam", 0.0, 1e-7), ("adamw", 0.1, 1e-8)]
)
def test_adam_is_that_of_its_paper(optimizer: str, decay: float, epsilon: float) -> None:
    weight, mean, square = np.ones(3), np.zeros(3), np.zeros(3)
    for step, gradient in enumerate(GRADIENTS, 1):
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        ratio = mean / (1 - 0.9**step) / (np.sqrt(square / (1 - 0.999**step)) + epsilon)
        weight = weight - 0.01 * (decay * weight + ratio)
    np.testing.assert_allclose(steps_of(settings_of(optimizer)), weight)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_the_others_have_neither_a_cycle_nor_a_greatest_gradient(optimizer: str) -> None:
    settings = settings_of(optimizer)
    assert {rate_at(settings, done) for done in (0.0, 0.15, 0.5, 1.0)} == {0.01}
    assert gradient_max(settings) == math.inf


def test_adamw_has_both() -> None:
    settings = settings_of("adamw")
    assert rate_at(settings, 0.15) == pytest.approx(0.01)
    assert rate_at(settings, 0.0) == rate_at(settings, 1.0) == pytest.approx(1e-5)
    assert gradient_max(settings) == 5


def test_an_optimiser_that_is_not_there_is_refused() -> None:
    assert load_config().training.optimizer == "adamw"
    with pytest.raises(ConfigError, match=r"training\.optimizer.*'adamw', 'adam' or 'sgd'"):
        load_config(None, ["training.optimizer=rmsprop"])
