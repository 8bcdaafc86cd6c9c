"""What a network is trained to make small, and what its learning curves count.

In: the outputs of a network, labels, and what else is known of spectra. Out: losses, and the logits
that say yes or no. A loss goes with the kind of a network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from speclens.networks.architecture import PLACE_BLOCK, SKEWNESS_SIGNS, Architecture
from speclens.networks.layers import focal_loss
from speclens.networks.redshift_layers import source_loss
from speclens.networks.source_bins import places_of
from speclens.train.labelled_set import Split
from speclens.train.settings import Settings

__all__ = ["LineLoss", "Loss", "SourceLoss", "loss_of"]


class Loss(Protocol):
    """A loss."""

    def target(self, split: Split, /) -> NDArray[np.int64]:
        """Return what it is told of spectra beside their labels, an array of N rows."""

    def total(self, logit: Tensor, place: Tensor, label: Tensor, target: Tensor, /) -> Tensor:
        """Return the sum of what is made small over N spectra."""

    def score(
        self, logit: Tensor, place: Tensor, label: Tensor, target: Tensor, /
    ) -> tuple[Tensor, Tensor]:
        """Return the loss of each spectrum that curves show, and the logit of yes, shape (N,)."""


class LineLoss:
    """Focal loss of a line, and cross entropy of its place (Li et al. 2019, equation 1).

    Parameters
    ----------
    architecture : Architecture
        Places, and classes of lines.
    settings : Settings
        Exponent of the focal loss, and weight of the place's.
    """

    def __init__(self, architecture: Architecture, settings: Settings) -> None:
        self._gamma, self._weight = settings.focal_gamma, settings.place_weight
        self._classes = tuple(architecture.classes)
        self._n_cells = architecture.n_pixels >> PLACE_BLOCK

    def target(self, split: Split) -> NDArray[np.int64]:
        """Return the places of lines, class by class, as `Loss` does; -1 for none."""
        number = np.array([_class_of(skew, self._classes) for skew in (-1, 0, 1)])[split.skew + 1]
        cell = np.minimum(split.pixel >> PLACE_BLOCK, self._n_cells - 1)
        told = (split.pixel >= 0) & (number >= 0)
        return np.where(told, number * self._n_cells + cell, -1)

    def total(self, logit: Tensor, place: Tensor, label: Tensor, target: Tensor) -> Tensor:
        """Sum over spectra, as `Loss` does."""
        loss = focal_loss(logit, label, self._gamma).sum()
        if self._weight > 0 and place.shape[1]:
            loss = loss + self._weight * _place_loss(place.float(), target)
        return loss

    def score(
        self, logit: Tensor, _place: Tensor, label: Tensor, _target: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the focal loss and the logit of a line, as `Loss` does."""
        return focal_loss(logit.float(), label, self._gamma), logit


class SourceLoss:
    """Cross entropy over none and all redshifts behind the lens.

    Parameters
    ----------
    architecture : Architecture
        The redshifts.
    device : torch.device
        Where spectra are.
    """

    def __init__(self, architecture: Architecture, device: torch.device) -> None:
        self._cells = torch.from_numpy(np.stack(places_of(architecture.sources))).to(device)

    def target(self, split: Split) -> NDArray[np.int64]:
        """Return first cells behind lenses and places of sources, as `Loss` does."""
        return split.sources

    def total(self, logit: Tensor, place: Tensor, label: Tensor, target: Tensor) -> Tensor:
        """Sum over spectra, as `Loss` does."""
        return self.score(logit, place, label, target)[0].sum()

    def score(
        self, _logit: Tensor, place: Tensor, _label: Tensor, target: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the cross entropy and the logit of a source behind the lens, as `Loss` does."""
        return source_loss(place.float(), target, self._cells)


def loss_of(architecture: Architecture, settings: Settings, device: torch.device) -> Loss:
    """Return the loss of a network.

    Parameters
    ----------
    architecture : Architecture
        The network.
    settings : Settings
        How it is trained.
    device : torch.device
        Where.

    Returns
    -------
    Loss
        The loss.
    """
    if architecture.kind == "redshift":
        return SourceLoss(architecture, device)
    return LineLoss(architecture, settings)


def _class_of(skew: int, classes: Sequence[str]) -> int:
    """Return the number of the class of lines with a sign of their skewness; -1 for none."""
    names = {sign: name for name, sign in SKEWNESS_SIGNS.items()}
    name = "line" if "line" in classes else names.get(skew, "")
    return list(classes).index(name) if name in classes else -1


def _place_loss(place: Tensor, target: Tensor) -> Tensor:
    """Sum the cross entropy of the places of the lines; 0 when there is none."""
    has_line = target >= 0
    return functional.cross_entropy(place[has_line], target[has_line], reduction="sum")
