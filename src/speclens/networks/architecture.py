"""The shape of the networks, for those who build, store or run them; without torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from speclens.networks.source_bins import SourceBins

__all__ = [
    "N_FEATURES", "N_HIDDEN", "N_POOLED", "PLACE_BLOCK", "SKEWNESS_SIGNS", "Architecture",
    "dilations", "weight_shapes",
]  # fmt: skip

PLACE_BLOCK = 3
"""The block, from 0, whose output tells the place: after three poolings a place is 8 pixels."""

N_POOLED = 3
"""Blocks of the network of redshifts before each but the first of which pixels are halved: after
them a cell is 4 pixels. Those that follow see further, not coarser."""

N_FEATURES, N_HIDDEN = 12, 32
"""What the network of redshifts says of a cell, and units of the layers that weigh a redshift."""

SKEWNESS_SIGNS = {"blue": -1, "red": 1}
"""Sign of the skewness of the lines of a class."""

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Architecture:
    """What is needed to build a network.

    Parameters
    ----------
    kind : str
        `resnet`, `redshift`, or the plain networks `lenet` and `alexnet`.
    n_channels : int
        Channels C of the input.
    n_pixels : int
        Pixels L of the input.
    widths : sequence of int
        Channels of the blocks of a residual network, each of three convolutions.
    dropout : float
        Fraction of the last features that training leaves out at random.
    sources : sequence of SourceBins, optional
        Redshifts and lines of each kind of source, for the network of redshifts.
    classes : sequence of str, optional
        K classes of lines that the residual network tells apart: `line`, or `blue` and `red` by
        their skewness.
    """

    kind: str
    n_channels: int
    n_pixels: int
    widths: Sequence[int]
    dropout: float
    sources: Sequence[SourceBins] = field(default=(), repr=False)
    classes: Sequence[str] = ("line",)

    @property
    def n_places(self) -> int:
        """Number of places P: of lines, class by class, or of sources on the redshift axes."""
        if self.kind == "redshift":
            return sum(bins.n_bins for bins in self.sources)
        return (self.n_pixels >> PLACE_BLOCK) * len(self.classes)

    @property
    def least_blocks(self) -> int:
        """Blocks that a residual network must have."""
        return N_POOLED if self.kind == "redshift" else PLACE_BLOCK + 1

    @property
    def coarsest(self) -> int:
        """Pixels that the last block sees."""
        n_poolings = (
            min(len(self.widths), N_POOLED) if self.kind == "redshift" else len(self.widths)
        )
        return self.n_pixels >> max(n_poolings - 1, 0)


def dilations(n_blocks: int) -> list[int]:
    """Return the distances between the pixels of the kernels of the network of redshifts.

    Parameters
    ----------
    n_blocks : int
        Number of its blocks.

    Returns
    -------
    list of int
        1 for the blocks with a pooling, then 2, 4 and so on, cells.
    """
    return [1] * min(n_blocks, N_POOLED) + [2**i for i in range(1, n_blocks - N_POOLED + 1)]


def weight_shapes(architecture: Architecture) -> Shapes:
    """Return the shapes of the weights of a residual network.

    Parameters
    ----------
    architecture : Architecture
        Of kind `resnet` or `redshift`.

    Returns
    -------
    dict
        Shapes by the name in the state of `speclens.networks.layers.ResNet`, or of
        `speclens.networks.redshift_layers.RedshiftNetwork`.
    """
    widths = list(architecture.widths)
    shapes = _shapes_of_blocks(architecture.n_channels, widths)
    if architecture.kind == "redshift":
        return shapes | _shapes_of_heads(widths[-1], architecture.sources)
    shapes["probability.weight"], shapes["probability.bias"] = (1, widths[-1]), (1,)
    n_classes = len(architecture.classes)
    shapes["place.weight"] = (n_classes, widths[PLACE_BLOCK], 1, 1)
    shapes["place.bias"] = (n_classes,)
    return shapes


def _shapes_of_blocks(n_channels: int, widths: Sequence[int]) -> Shapes:
    shapes: Shapes = {}
    for b, (n_in, n_out) in enumerate(zip([n_channels, *widths[:-1]], widths, strict=True)):
        for k in range(3):
            shapes[f"blocks.{b}.convolutions.{k}.weight"] = (n_out, n_out if k else n_in, 1, 3)
            for name in ("weight", "bias", "running_mean", "running_var"):
                shapes[f"blocks.{b}.norms.{k}.{name}"] = (n_out,)
        if n_in != n_out:
            shapes[f"blocks.{b}.shortcut.weight"] = (n_out, n_in, 1, 1)
            shapes[f"blocks.{b}.shortcut.bias"] = (n_out,)
    return shapes


def _shapes_of_heads(n_last: int, sources: Sequence[SourceBins]) -> Shapes:
    shapes: Shapes = {
        "features.weight": (N_FEATURES, n_last, 1, 1), "features.bias": (N_FEATURES,),
    }  # fmt: skip
    for bins in sources:
        n_lines = len(bins.names)
        units = [n_lines * (N_FEATURES + 1), N_HIDDEN, N_HIDDEN, 1]
        for k, (n_in, n_out) in enumerate(pairwise(units)):
            shapes[f"heads.{bins.kind}.{k}.weight"] = (n_out, n_in, 1, 1)
            shapes[f"heads.{bins.kind}.{k}.bias"] = (n_out,)
    return shapes
