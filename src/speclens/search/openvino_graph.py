"""OpenVINO's twin of the residual network, built from a model's weights.

In: a `Model`. Out: a graph that OpenVINO compiles, with the batch norms folded into the
convolutions. There is no second file of weights and no converter: torch is not needed to search.
Shape letters: N spectra, C channels, L pixels, W channels of a block, K kernel pixels, P places.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from speclens.errors import RunError
from speclens.networks.architecture import PLACE_BLOCK
from speclens.networks.model import Model

__all__ = ["load_openvino", "network_graph", "openvino_core"]

Floats = NDArray[np.float32]

_held: WeakValueDictionary[str, Any] = WeakValueDictionary()
"""The core, while anybody holds it."""

BATCH_NORM_EPSILON = 1e-5
"""What torch adds to a variance."""


def load_openvino() -> Any:
    """Import OpenVINO, which then reports nothing to its maker.

    Returns
    -------
    module
        The package.

    Raises
    ------
    RunError
        If it is not installed, or not for this machine.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        return importlib.import_module("openvino")
    except ImportError as error:
        raise RunError(
            f"the network needs OpenVINO ({error}): pip install openvino, or search with --method "
            "matched-filter"
        ) from error


def openvino_core() -> Any:
    """Return OpenVINO's core: one for all who hold it at a time.

    Its plugin gives signal handlers a stack of their own. When a core is given up before one that
    was made later, that stack is gone and still in use: the next signal, an alarm or Ctrl-C,
    would kill the process. A core that is held for ever would hang the processes that are forked:
    they have none of its threads.

    Returns
    -------
    openvino.Core
        The core.

    Raises
    ------
    RunError
        If OpenVINO is missing.
    """
    openvino = load_openvino()
    core = _held.get("core")
    if core is None:
        core = _held["core"] = openvino.Core()
    return core


def network_graph(model: Model, n_spectra: int) -> Any:
    """Build the graph of `speclens.networks.layers.ResNet`.

    Parameters
    ----------
    model : Model
        The network.
    n_spectra : int
        Spectra N of a batch; a graph of fixed shapes runs faster.

    Returns
    -------
    openvino.Model
        Maps (N, C, L) to the logits of a line, (N,), and of its place, (N, P).
    """
    openvino, weights = load_openvino(), model.weights
    ops = openvino.opset13
    shape = [n_spectra, len(model.inputs), model.grid.n_pixels]
    spectra = ops.parameter(shape, np.float32)
    x = ops.unsqueeze(spectra, ops.constant(2))  # (N, C, 1, L)
    for b in range(len(model.widths)):
        if b:
            x = ops.max_pool(x, [1, 2], [1, 1], [0, 0], [0, 0], [1, 2]).output(0)
        x = _block(ops, weights, b, x)
        if b == PLACE_BLOCK:
            place = _convolution(ops, x, weights["place.weight"], weights["place.bias"])
    features = ops.reduce_max(x, ops.constant([2, 3]))  # (N, W)
    logit = ops.matmul(features, _constant(ops, weights["probability.weight"]), False, True)
    logit = ops.add(logit, _constant(ops, weights["probability.bias"]))
    outputs = [ops.squeeze(logit, ops.constant(1)), ops.squeeze(place, ops.constant([1, 2]))]
    return openvino.Model(outputs, [spectra])


def _block(ops: Any, weights: Mapping[str, Floats], b: int, x: Any) -> Any:
    y = x
    for k in range(3):
        y = _convolution(ops, y, *_folded(weights, b, k))
        y = ops.relu(y) if k < 2 else y
    shortcut = f"blocks.{b}.shortcut"
    if f"{shortcut}.weight" in weights:
        x = _convolution(ops, x, weights[f"{shortcut}.weight"], weights[f"{shortcut}.bias"])
    return ops.relu(ops.add(y, x))


def _folded(weights: Mapping[str, Floats], b: int, k: int) -> tuple[Floats, Floats]:
    """Return the weights and bias of a convolution together with its batch norm."""
    norm = {
        name: weights[f"blocks.{b}.norms.{k}.{name}"].astype(np.float64)
        for name in ("weight", "bias", "running_mean", "running_var")
    }
    scale = norm["weight"] / np.sqrt(norm["running_var"] + BATCH_NORM_EPSILON)
    weight = weights[f"blocks.{b}.convolutions.{k}.weight"] * scale[:, None, None, None]
    bias = norm["bias"] - norm["running_mean"] * scale
    return weight.astype(np.float32), bias.astype(np.float32)


def _convolution(ops: Any, x: Any, weight: Floats, bias: Floats) -> Any:
    """Convolve (N, W_in, 1, L) with (W_out, W_in, 1, K), odd K."""
    pad = [0, weight.shape[3] // 2]
    y = ops.convolution(x, _constant(ops, weight), [1, 1], pad, pad, [1, 1])
    return ops.add(y, _constant(ops, bias.reshape(1, -1, 1, 1)))


def _constant(ops: Any, array: Floats) -> Any:
    return ops.constant(np.ascontiguousarray(array))
