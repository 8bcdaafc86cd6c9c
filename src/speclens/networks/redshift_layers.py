"""The network of redshifts: how likely a source is in each bin of redshift, and of which kind.

In: whole spectra as (N, C, L) arrays. Out: a heat map, the logit of a source of each kind in each
bin over that of none, which is 0. Shape letters: N spectra, C channels, L pixels, W width of a
block, M cells, F features of a cell, J lines of a kind, B bins of a kind, P bins of all kinds.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from speclens.networks.architecture import N_FEATURES, N_HIDDEN, N_POOLED, Architecture, dilations
from speclens.networks.blocks import Block, Dropout, in_memory_order
from speclens.networks.source_bins import CELL_PIXELS, SPREAD_CELLS, SourceBins

__all__ = ["RedshiftNetwork", "source_loss"]

IMPOSSIBLE = -1e4
"""Logit of a bin at the lens; infinity has no gradient."""


class Head(nn.ModuleList):
    """Weigh every redshift of one kind of source by the features where its lines would be.

    Parameters
    ----------
    bins : SourceBins
        Redshifts and lines.
    n_cells : int
        Cells M of a spectrum.

    Notes
    -----
    A redshift is a shift: the features at a line, bin by bin, are a slice of the features, and all
    lines of all bins are J slices laid on each other. Where a line is out of the spectrum its
    features are 0 and a flag is 1.
    """

    def __init__(self, bins: SourceBins, n_cells: int) -> None:
        units = [len(bins.names) * (N_FEATURES + 1), N_HIDDEN, N_HIDDEN, 1]
        super().__init__(nn.Conv2d(*n, 1) for n in pairwise(units))
        self._cells, self._n_bins = bins.cells, bins.n_bins
        self._before = max(0, -min(self._cells))
        self._after = max(0, max(self._cells) + bins.n_bins - n_cells)
        out = ~torch.from_numpy(bins.seen(n_cells))
        self.out: Tensor
        self.register_buffer("out", out[None, :, None].float(), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Map the features of cells, (N, F, 1, M), to logits of bins, (N, B)."""
        padded = functional.pad(features, (self._before, self._after))
        starts = [cell + self._before for cell in self._cells]
        slices = [padded[..., start : start + self._n_bins] for start in starts]
        out = self.out.to(features.dtype).expand(len(features), -1, -1, -1)
        y = torch.cat([*slices, out], dim=1)  # (N, J * (F + 1), 1, B)
        for i, layer in enumerate(self):
            y = layer(functional.relu(y) if i else y)
        return y.flatten(1)


class RedshiftNetwork(nn.Module):
    """A trunk over the spectrum, and a head for each kind of source.

    Parameters
    ----------
    architecture : Architecture
        Channels, pixels, widths, and the redshifts and lines of each kind of source.

    Notes
    -----
    Two poolings make cells of 4 pixels; the blocks that follow look further by dilated kernels, not
    more coarsely, so that a spectrum moved by a cell has its map moved by a bin.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        widths = list(architecture.widths)
        inputs = [architecture.n_channels, *widths[:-1]]
        shapes = zip(inputs, widths, dilations(len(widths)), strict=True)
        self.blocks = nn.ModuleList(Block(*shape) for shape in shapes)
        self.features = nn.Conv2d(widths[-1], N_FEATURES, 1)
        self.dropout = Dropout(architecture.dropout)
        n_cells = architecture.n_pixels // CELL_PIXELS
        self.heads = nn.ModuleDict(
            {bins.kind: Head(bins, n_cells) for bins in architecture.sources}
        )
        for name, parameter in self.heads.named_parameters():
            if name.endswith("2.bias"):  # at the start a source is as likely as none, anywhere
                nn.init.constant_(parameter, -math.log(architecture.n_places))
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
            Logit of any source.
        heat : Tensor of shape (N, P)
            Logit of each bin of each kind over that of none.
        """
        y = x[:, :, None].contiguous(memory_format=torch.channels_last)  # (N, C, 1, L)
        for i, block in enumerate(self.blocks):
            y = functional.max_pool2d(y, (1, 2)) if 0 < i < N_POOLED else y
            y = block(y)
        features = self.dropout(functional.relu(self.features(y)))  # (N, F, 1, M)
        heat = torch.cat([head(features) for head in self.heads.values()], dim=1)
        return heat.float().logsumexp(dim=1), heat


def source_loss(heat: Tensor, target: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
    """Return the cross entropy of each spectrum, over none and all bins but those at its lens.

    Parameters
    ----------
    heat : Tensor of shape (N, P)
        Logits over that of none.
    target : Tensor of shape (N, 4)
        First cell that is not before the lens, first one behind, and the places of up to two
        galaxies among the P bins, -1 for none.
    cells : Tensor of shape (2, P)
        Of each place the cells by which it moves lines, and the number of its kind.

    Returns
    -------
    loss : Tensor of shape (N,)
        Cross entropy with a target that is spread evenly over the bins within one of each galaxy.
    logit : Tensor of shape (N,)
        Logit of any source behind the lens.

    Notes
    -----
    A galaxy before the lens is no source. But its bins explain its lines, which are taken for lone
    lines of sources otherwise.
    """
    before, behind = cells[0] < target[:, :1], cells[0] >= target[:, 1:2]
    possible = before | behind
    heat = heat.masked_fill(~possible, IMPOSSIBLE)
    share = torch.zeros_like(heat)
    for place in target[:, 2:].unbind(1):
        known = (place >= 0)[:, None]
        at = cells[:, place.clamp(min=0)][:, :, None]  # (2, N, 1)
        near = (cells[0] - at[0]).abs() <= SPREAD_CELLS
        near = near & (cells[1] == at[1]) & possible & known
        share = share + near / near.sum(dim=1, keepdim=True).clamp(min=1)
    total = share.sum(dim=1, keepdim=True).clamp(min=1)
    right = (share / total * torch.where(share > 0, heat, 0)).sum(dim=1)
    of_source, of_rival = (
        heat.masked_fill(~some, IMPOSSIBLE).logsumexp(1) for some in (behind, before)
    )
    return functional.softplus(heat.logsumexp(dim=1)) - right, of_source - functional.softplus(
        of_rival
    )
