"""The optimisers of a training: AdamW on one cycle, and the plain ones of 2019.

In: settings, a network's parameters. Out: torch's optimiser, and the learning rate at each step.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from speclens.train.settings import Settings

__all__ = ["gradient_max", "open_optimizer", "rate_at"]

LEAST_RATE = 1e-3
"""Of the highest rate: a cycle does not begin or end with steps that do nothing."""


def open_optimizer(settings: Settings, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Return the optimiser of a training.

    Parameters
    ----------
    settings : Settings
        Its name, learning rate and weight decay.
    parameters : iterable of torch.nn.Parameter
        What it changes.

    Returns
    -------
    torch.optim.Optimizer
        AdamW (Loshchilov & Hutter 2019); Adam (Kingma & Ba 2015) with the constants that Keras
        gives it; or stochastic gradient descent without momentum, as Keras's SGD is.
    """
    rate = settings.learning_rate
    if settings.optimizer == "adam":
        return torch.optim.Adam(parameters, rate, betas=(0.9, 0.999), eps=1e-7)
    if settings.optimizer == "sgd":
        return torch.optim.SGD(parameters, rate)
    return torch.optim.AdamW(parameters, rate, weight_decay=settings.weight_decay)


def rate_at(settings: Settings, done: float) -> float:
    """Return the learning rate of a step.

    Parameters
    ----------
    settings : Settings
        The optimiser, its rate, and the warm-up.
    done : float
        Fraction of all steps that are done.

    Returns
    -------
    float
        Of AdamW on one cycle: up in a line, down along a cosine. Of the others constant.
    """
    if settings.optimizer != "adamw":
        return settings.learning_rate
    warm_up = settings.warm_up
    rise = done / warm_up
    fall = 0.5 * (1 + math.cos(math.pi * (done - warm_up) / (1 - warm_up)))
    return settings.learning_rate * max(min(rise, fall), LEAST_RATE)


def gradient_max(settings: Settings) -> float:
    """Return the norm at which gradients are clipped.

    Parameters
    ----------
    settings : Settings
        The optimiser, and the norm for AdamW.

    Returns
    -------
    float
        Infinite for the others.
    """
    return settings.gradient_max if settings.optimizer == "adamw" else math.inf
