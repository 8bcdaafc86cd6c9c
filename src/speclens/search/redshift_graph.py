"""OpenVINO's twin of the network of redshifts, built from a model's weights.

In: a `Model`. Out: a graph that OpenVINO compiles. What lines out of the spectrum add to a bin is
the same for all spectra, and computed here. Shape letters: N spectra, C channels, L pixels,
M cells, F features of a cell, J lines of a kind, B bins of a kind, P bins of all kinds.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from speclens.networks.architecture import N_FEATURES, N_POOLED, dilations
from speclens.networks.model import Model
from speclens.networks.source_bins import CELL_PIXELS, SourceBins
from speclens.search.openvino_graph import block, constant, convolution, load_openvino

__all__ = ["redshift_graph"]


def redshift_graph(model: Model, n_spectra: int) -> Any:
    """Build the graph of `speclens.networks.redshift_layers.RedshiftNetwork`.

    Parameters
    ----------
    model : Model
        The network.
    n_spectra : int
        Spectra N of a batch; a graph of fixed shapes runs faster.

    Returns
    -------
    openvino.Model
        Maps (N, C, L) to the logits of any source, (N,), and of each bin, (N, P).
    """
    openvino, weights = load_openvino(), model.weights
    ops = openvino.opset13
    shape = [n_spectra, len(model.inputs), model.grid.n_pixels]
    spectra = ops.parameter(shape, np.float32)
    x = ops.unsqueeze(spectra, ops.constant(2))  # (N, C, 1, L)
    for b, dilation in enumerate(dilations(len(model.widths))):
        if 0 < b < N_POOLED:
            x = ops.max_pool(x, [1, 2], [1, 1], [0, 0], [0, 0], [1, 2]).output(0)
        x = block(ops, weights, b, x, dilation)
    features = convolution(ops, x, weights["features.weight"], weights["features.bias"])
    features = ops.relu(features)  # (N, F, 1, M)
    heat = ops.concat([_head(ops, model, bins, features) for bins in model.sources], 3)
    heat = ops.squeeze(heat, ops.constant([1, 2]))  # (N, P)
    highest = ops.reduce_max(heat, ops.constant([1]), True)
    total = ops.reduce_sum(ops.exp(ops.subtract(heat, highest)), ops.constant([1]), True)
    logit = ops.squeeze(ops.add(ops.log(total), highest), ops.constant([1]))
    return openvino.Model([logit, heat], [spectra])


def _head(ops: Any, model: Model, bins: SourceBins, features: Any) -> Any:
    """Map the features of cells, (N, F, 1, M), to logits of bins, (N, 1, 1, B)."""
    n_cells = model.grid.n_pixels // CELL_PIXELS
    layers = [
        [model.weights[f"heads.{bins.kind}.{k}.{name}"] for name in ("weight", "bias")]
        for k in range(3)
    ]
    (first, bias), *rest = layers
    cells, n_of_lines = bins.cells, len(bins.names) * N_FEATURES
    before = max(0, -min(cells))
    after = max(0, max(cells) + bins.n_bins - n_cells)
    zeros, ends = (ops.constant([0, 0, 0, n]) for n in (before, after))
    padded = ops.pad(features, zeros, ends, "constant", ops.constant(np.float32(0)))
    step, axis = ops.constant([1]), ops.constant([3])
    starts = [cell + before for cell in cells]
    slices = [
        ops.slice(padded, ops.constant([i]), ops.constant([i + bins.n_bins]), step, axis)
        for i in starts
    ]
    y = convolution(ops, ops.concat(slices, 1), first[:, :n_of_lines], np.zeros_like(bias))
    out = ~bins.seen(n_cells)  # (J, B)
    of_lines_out = first[:, n_of_lines:, 0, 0] @ out.astype(np.float32) + bias[:, None]
    y = ops.relu(ops.add(y, constant(ops, of_lines_out[None, :, None])))
    for i, (weight, bias) in enumerate(rest):
        y = convolution(ops, y, weight, bias)
        y = ops.relu(y) if i == 0 else y
    return y
