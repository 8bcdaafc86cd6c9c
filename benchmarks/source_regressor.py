"""A network that gives one number for the redshift of a source, as GaSNet-I does.

    python benchmarks/source_regressor.py SET -o FILE [--epochs 2]

It stands beside the network of redshifts in `redshift_network.py`: the same training set, the same
channels, and, in place of a map, the logit of a source and its log(1 + z) (Zhong et al. 2022 give a
probability and a redshift). Residual blocks with max-pools end in fully connected layers, since a
number for the redshift needs to know where a line is. The weights of FILE are those of the end.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path
from time import monotonic

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from speclens.networks.blocks import Block
from speclens.networks.source_bins import SourceBins
from speclens.train.labelled_set import LabelledSet, Split, bins_of, open_set

__all__ = ["SourceRegressor", "read_regressor"]

WIDTHS = (8, 16, 32, 32, 32, 32, 32)
N_UNITS = 128
BATCH, LEARNING_RATE, WEIGHT_DECAY = 128, 2e-3, 1e-4
SHIFT_SCALE = 0.01
"""In log(1 + z): what a wrong redshift costs grows with its square below, in a line above."""

SHIFT_WEIGHT = 0.05
"""Of the redshift's loss, in units of that scale, beside the cross entropy."""


class SourceRegressor(nn.Module):
    """Blocks, max-pools, and two numbers.

    Parameters
    ----------
    n_channels, n_pixels : int
        Of the input.
    """

    def __init__(self, n_channels: int, n_pixels: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(*n) for n in pairwise([n_channels, *WIDTHS]))
        n_features = WIDTHS[-1] * (n_pixels >> len(WIDTHS))
        self.connected = nn.Sequential(
            nn.Linear(n_features, N_UNITS), nn.ReLU(), nn.Linear(N_UNITS, 2)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (N, C, L) to the logits of a source and to log(1 + z), each of shape (N,)."""
        y = x[:, :, None].contiguous(memory_format=torch.channels_last)
        for block in self.blocks:
            y = functional.max_pool2d(block(y), (1, 2))
        logit, shift = self.connected(y.flatten(1)).float().unbind(1)
        return logit, shift


def read_regressor(path: Path, n_channels: int, n_pixels: int) -> SourceRegressor:
    """Read a network that was trained."""
    network = SourceRegressor(n_channels, n_pixels)
    network.load_state_dict(load_file(path))
    return network.eval()


def train(data: LabelledSet, epochs: int, seed: int) -> SourceRegressor:
    """Fit the network by AdamW on one cycle."""
    torch.manual_seed(seed)
    bins, grid = bins_of(data.manifest), data.manifest["grid"]
    network = SourceRegressor(len(data.manifest["channels"]), grid["n_pixels"])
    optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    n_steps = sum(data.n_train[data.draw_of(epoch)] // BATCH for epoch in range(epochs))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=n_steps)
    for epoch in range(epochs):
        split, started = data.train(epoch), monotonic()
        shift = torch.from_numpy(true_shift(split, bins))
        label = torch.from_numpy(split.label)
        order = np.random.default_rng([seed, epoch]).permutation(len(split))
        total = 0.0
        for step in range(len(split) // BATCH):
            rows = np.sort(order[step * BATCH : (step + 1) * BATCH])
            inputs = torch.from_numpy(split.rows(rows))
            with torch.autocast("cpu", torch.bfloat16):
                logit, said = network(inputs)
            loss = loss_of(logit, said, label[rows], shift[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            total += loss.item()
        rate = len(split) / (monotonic() - started)
        print(f"epoch {epoch + 1}: loss {total / (step + 1):.4f}, {rate:.0f} a second", flush=True)
    return network


def true_shift(split: Split, bins: tuple[SourceBins, ...]) -> NDArray[np.float32]:
    """Return log(1 + z) of the first source of each spectrum; NaN where there is none."""
    z = np.concatenate([of_kind.z for of_kind in bins])
    place = np.where(split.label > 0, split.sources[:, 2], -1)
    return np.where(place >= 0, np.log1p(z[place]), np.nan).astype(np.float32)


def loss_of(logit: Tensor, shift: Tensor, label: Tensor, truth: Tensor) -> Tensor:
    """Cross entropy of a source, and how far its redshift is off."""
    known = torch.isfinite(truth)
    off = (shift[known] - truth[known]) / SHIFT_SCALE
    apart = functional.smooth_l1_loss(off, torch.zeros_like(off), reduction="sum")
    present = functional.binary_cross_entropy_with_logits(logit, label)
    return present + SHIFT_WEIGHT * apart / len(label)


def main() -> None:
    """Train, and keep the weights."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("set", type=Path, help="of `speclens simulate -c redshift`")
    parser.add_argument("-o", "--output", type=Path, required=True, help="a file .safetensors")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    network = train(open_set(arguments.set), arguments.epochs, arguments.seed)
    save_file(network.state_dict(), arguments.output)


if __name__ == "__main__":
    main()
