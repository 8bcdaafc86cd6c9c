"""The networks: Li et al. 2019's residual network, and the plain ones that it replaced.

In: spectra as (N, C, L) arrays. Out: the logit of the probability that a spectrum holds an emission
line, and the logits of the line's place. That of redshifts is in
`speclens.networks.redshift_layers`. What the channels are is decided in `speclens.search`,
how the weights are found in `speclens.train`. Shape letters: N spectra, C channels, L pixels,
W width of a block (its channels), P places.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from speclens.networks.architecture import PLACE_BLOCK, Architecture
from speclens.networks.blocks import Block, Dropout, in_memory_order
from speclens.networks.redshift_layers import RedshiftNetwork

__all__ = ["ResNet", "build", "focal_loss"]


class ResNet(nn.Module):
    """Residual network of Li et al. 2019, section 3.3: 8 blocks, 28 convolutions.

    Between two blocks a max-pool halves the pixels; the highest value of each last feature goes
    through dropout into one fully connected unit.

    Parameters
    ----------
    architecture : Architecture
        Channels and widths. Widths that double three times and 1 channel give 4 shortcuts with a
        convolution, with those of the blocks 28; 16 16 32 32 64 64 128 128 have 372,721 weights.

    Notes
    -----
    Differs: beside the probability it gives the place of the line, from the block after which a
    place is 8 pixels. The paper does not give widths.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        widths = list(architecture.widths)
        inputs = [architecture.n_channels, *widths[:-1]]
        self.blocks = nn.ModuleList(Block(*n) for n in zip(inputs, widths, strict=True))
        self.dropout = Dropout(architecture.dropout)
        self.probability = nn.Linear(widths[-1], 1)
        self.place = nn.Conv2d(widths[PLACE_BLOCK], len(architecture.classes), 1)
        in_memory_order(self)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Score spectra.

        Parameters
        ----------
        x : Tensor of shape (N, C, L)
            Spectra.

        Returns
        -------
        logit : Tensor of shape (N,)
            Logit of the probability of a line.
        place : Tensor of shape (N, P)
            Logits of its place, P = L // 8 for each class, one class after the other.
        """
        y = x[:, :, None].contiguous(memory_format=torch.channels_last)  # (N, C, 1, L)
        for i, block in enumerate(self.blocks):
            y = functional.max_pool2d(y, (1, 2)) if i else y
            y = block(y)
            if i == PLACE_BLOCK:
                place = self.place(y).contiguous().flatten(1)  # (N, K, 1, L // 8) to (N, P)
        features = y.amax(dim=(2, 3))  # (N, W)
        return self.probability(self.dropout(features))[:, 0], place


class PlainNetwork(nn.Module):
    """Convolutions, poolings and fully connected layers in a row, as in LeNet and AlexNet.

    Parameters
    ----------
    architecture : Architecture
        Channels, pixels and dropout.
    convolutions : sequence of (int, int, int)
        Channels, kernel pixels and pooled pixels of each convolution; 1 for no pooling.
    connected : sequence of int
        Units of the fully connected layers before the last.
    """

    def __init__(
        self,
        architecture: Architecture,
        convolutions: Sequence[tuple[int, int, int]],
        connected: Sequence[int],
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        n_in, n_pixels = architecture.n_channels, architecture.n_pixels
        for n_out, kernel, pooled in convolutions:
            layers += [nn.Conv1d(n_in, n_out, kernel, padding=kernel // 2), nn.ReLU()]
            if pooled > 1:
                layers.append(nn.MaxPool1d(pooled))
            n_in, n_pixels = n_out, n_pixels // pooled
        layers.append(nn.Flatten())
        n_features = n_in * n_pixels
        for n_units in connected:
            layers += [nn.Linear(n_features, n_units), nn.ReLU(), Dropout(architecture.dropout)]
            n_features = n_units
        self.layers = nn.Sequential(*layers, nn.Linear(n_features, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Score spectra (N, C, L): logits (N,), and no places, (N, 0)."""
        logit: Tensor = self.layers(x)
        return logit[:, 0], x.new_zeros(len(x), 0)


def build(architecture: Architecture) -> nn.Module:
    """Build a network with new weights, drawn from torch's generator.

    Parameters
    ----------
    architecture : Architecture
        Which network.

    Returns
    -------
    torch.nn.Module
        Maps (N, C, L) to logits (N,) and logits of places (N, P): of a line, or of sources.

    Raises
    ------
    ValueError
        If the kind is unknown.
    """
    if architecture.kind == "resnet":
        return ResNet(architecture)
    if architecture.kind == "redshift":
        return RedshiftNetwork(architecture)
    if architecture.kind == "lenet":  # 5 layers (Lecun et al. 1998)
        return PlainNetwork(architecture, [(6, 5, 4), (16, 5, 4)], [120, 84])
    if architecture.kind == "alexnet":  # 5 convolutions and 3 connected (Krizhevsky et al. 2012)
        convolutions = [(32, 11, 4), (64, 5, 4), (96, 3, 1), (96, 3, 1), (64, 3, 4)]
        return PlainNetwork(architecture, convolutions, [256, 256])
    raise ValueError(f"unknown kind of network: {architecture.kind!r}")


def focal_loss(logit: Tensor, label: Tensor, gamma: float) -> Tensor:
    """Return the focal loss of each spectrum.

    Parameters
    ----------
    logit : Tensor of shape (N,)
        Logits of the probabilities.
    label : Tensor of shape (N,)
        1 for a line, 0 for none.
    gamma : float
        Exponent; 0 is the cross entropy.

    Returns
    -------
    Tensor of shape (N,)
        -(1 - p)^gamma log p, with p the probability of the true label.

    Notes
    -----
    Li et al. 2019, equation 1 (Lin et al. 2017).
    """
    cross_entropy = functional.binary_cross_entropy_with_logits(logit, label, reduction="none")
    if gamma == 0:
        return cross_entropy
    log_missed = functional.logsigmoid(torch.where(label > 0.5, -logit, logit))
    # Not as a power of 1 - p, whose derivative is infinite at p = 1 when gamma is below 1.
    return torch.exp(gamma * log_missed) * cross_entropy
