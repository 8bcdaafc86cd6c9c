"""What decides how a network is trained."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Settings"]


@dataclass(frozen=True)
class Settings:
    """How a network is trained; the fields are those of the section `training`.

    Parameters
    ----------
    epochs : int
        Passes over the spectra.
    batch_size : int
        Spectra a step.
    optimizer : str
        `adamw` on one cycle; `adam` or `sgd` at a constant rate, for which neither warm-up nor
        weight decay nor the greatest gradient counts.
    learning_rate : float
        Highest rate of the cycle, or the constant one.
    warm_up : float
        Fraction of the steps over which the rate rises.
    weight_decay : float
        Of AdamW.
    gradient_max : float
        The gradient's norm is clipped there.
    focal_gamma : float
        Exponent of the focal loss.
    place_weight : float
        Weight of the loss of the line's place.
    seed : int
        Seed of weights, order and dropout.
    """

    epochs: int
    batch_size: int
    optimizer: str
    learning_rate: float
    warm_up: float
    weight_decay: float
    gradient_max: float
    focal_gamma: float
    place_weight: float
    seed: int
