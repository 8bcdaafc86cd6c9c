"""The shape of the networks, for those who build, store or run them; without torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["PLACE_BLOCK", "Architecture", "weight_shapes"]

PLACE_BLOCK = 3
"""The block, from 0, whose output tells the place: after three poolings a place is 8 pixels."""


@dataclass(frozen=True)
class Architecture:
    """What is needed to build a network.

    Parameters
    ----------
    kind : str
        `resnet`, or the plain networks `lenet` and `alexnet`.
    n_channels : int
        Channels C of the input.
    n_pixels : int
        Pixels L of the input.
    widths : sequence of int
        Channels of the blocks of the residual network, each of three convolutions.
    dropout : float
        Fraction of the last features that training leaves out at random.
    """

    kind: str
    n_channels: int
    n_pixels: int
    widths: Sequence[int]
    dropout: float


def weight_shapes(n_channels: int, widths: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the weights of the residual network.

    Parameters
    ----------
    n_channels : int
        Channels C of the input.
    widths : sequence of int
        Channels of its blocks.

    Returns
    -------
    dict
        Shapes by the name in the state of `speclens.networks.layers.ResNet`.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for b, (n_in, n_out) in enumerate(zip([n_channels, *widths[:-1]], widths, strict=True)):
        for k in range(3):
            shapes[f"blocks.{b}.convolutions.{k}.weight"] = (n_out, n_out if k else n_in, 1, 3)
            for name in ("weight", "bias", "running_mean", "running_var"):
                shapes[f"blocks.{b}.norms.{k}.{name}"] = (n_out,)
        if n_in != n_out:
            shapes[f"blocks.{b}.shortcut.weight"] = (n_out, n_in, 1, 1)
            shapes[f"blocks.{b}.shortcut.bias"] = (n_out,)
    shapes["probability.weight"], shapes["probability.bias"] = (1, widths[-1]), (1,)
    shapes["place.weight"], shapes["place.bias"] = (1, widths[PLACE_BLOCK], 1, 1), (1,)
    return shapes
