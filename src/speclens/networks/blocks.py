"""What the residual networks are made of: blocks of convolutions, and dropout.

In: features as (N, W, 1, L) arrays. Out: the same, of other widths. Shape letters: N spectra,
L pixels or cells, W width of a block (its channels).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Block", "Dropout", "in_memory_order"]


class Block(nn.Module):
    """Three convolutions and the shortcut around them (He et al. 2015, figure 2).

    Parameters
    ----------
    n_in, n_out : int
        Channels of input and output. Where they differ the shortcut is a convolution of one pixel.
    dilation : int, optional
        Distance between the pixels of a kernel.

    Notes
    -----
    Convolutions are two-dimensional with a height of one pixel: processors run these faster.
    """

    def __init__(self, n_in: int, n_out: int, dilation: int = 1) -> None:
        super().__init__()
        pad, apart = (0, dilation), (1, dilation)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(n, n_out, (1, 3), padding=pad, dilation=apart, bias=False)
            for n in (n_in, n_out, n_out)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(n_out) for _ in range(3))
        self.shortcut = nn.Identity() if n_in == n_out else nn.Conv2d(n_in, n_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, W_in, 1, L) to (N, W_out, 1, L)."""
        y = x
        for i, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            y = norm(convolution(y))
            if i < 2:
                y = functional.relu(y)
        return functional.relu(y + self.shortcut(x))


class Dropout(nn.Module):
    """Leave out features at random in training; the randomness comes from `generator`.

    Parameters
    ----------
    fraction : float
        Fraction left out.

    Notes
    -----
    A generator of its own, not torch's global one: so training can go on from any step, and on any
    number of threads, with the same weights as without a stop.
    """

    def __init__(self, fraction: float) -> None:
        super().__init__()
        self.fraction = fraction
        self.generator: torch.Generator | None = None

    def forward(self, features: Tensor) -> Tensor:
        """Map features of any shape to the same shape."""
        if not self.training or self.fraction == 0:
            return features
        chance = torch.rand(features.shape, generator=self.generator, device=features.device)
        return features * (chance >= self.fraction) / (1 - self.fraction)


def in_memory_order(network: nn.Module) -> None:
    """Lay the weights of convolutions as processors run them fastest, channels last."""
    for parameter in network.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
