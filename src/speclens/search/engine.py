"""Run a trained network on spectra, on processors by OpenVINO and on NVIDIA GPUs by torch.

In: a `Model` and input channels. Out: the logits of line and place. A score never depends on the
other spectra, their order or the number of workers: the network always runs on batches of one
size, the last filled with zeros. Nothing here reaches for the network of the machine.
"""

from __future__ import annotations

import os
import shutil
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, softmax

from speclens.errors import ModelError, RunError, SpeclensError
from speclens.networks.model import Model
from speclens.search.openvino_graph import network_graph, openvino_core
from speclens.search.redshift_graph import redshift_graph

__all__ = ["Engine", "NetworkOutput", "open_engine"]

Floats = NDArray[np.float32]
Say = Callable[[str], None]

CPU_BATCH, GPU_BATCH = 64, 512
"""Spectra that a network takes at once: what it computes should stay in the processor's cache."""

FEW = 8
"""Likewise of the few that are likely: a batch costs the same however few are in it."""

WHOLE_BATCH = 16
"""Likewise of whole spectra on a processor, which have several times the pixels and features."""

GRAPHS = {"resnet": network_graph, "redshift": redshift_graph}
"""OpenVINO's twin of each kind of network."""

LIKELY = 0.05
"""Spectra with a probability above this are not left to bfloat16."""

ROUNDING, BF16_ROUNDING = 1e-4, 1e-2
"""Largest differences of a probability that come from another order of sums, and from bfloat16."""

REFUSED = 1e-2
"""A larger difference is no rounding: the engine computes another network."""


@dataclass(frozen=True)
class NetworkOutput:
    """What a network makes of N spectra; NaN where a spectrum's input is not finite.

    Parameters
    ----------
    logit : array of shape (N,)
        Logits of a line; `Model.probability` makes them probabilities.
    place : array of shape (N, P)
        Logits of its place, or of sources on the redshift axes.
    """

    logit: Floats
    place: Floats


class Engine(Protocol):
    """Something that runs one network."""

    @property
    def name(self) -> str:
        """What it is, and how precise: `openvino float32`."""

    @property
    def rounding(self) -> float:
        """Difference of a probability from torch's float32 that is no reason to worry."""

    def __call__(self, inputs: Floats) -> NetworkOutput:
        """Score spectra, shape (N, C, L)."""


def open_engine(
    model: Model,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    precision: Literal["auto", "float32", "bf16"] = "auto",
    n_threads: int = 1,
    say: Say | None = None,
) -> Engine:
    """Open the best engine of this machine, and see that it scores as the training did.

    Parameters
    ----------
    model : Model
        The network.
    device : str
        `cuda` needs torch; `auto` takes the GPU where there is one. Where it cannot be used the
        processor takes over.
    precision : str
        `auto` is bfloat16 on processors that have it, with float32 for what is likely;
        float32 otherwise and on GPUs.
    n_threads : int
        Threads on the processor.
    say : callable, optional
        Takes one line on whatever was not as asked; a warning when none is given.

    Returns
    -------
    Engine
        The engine.

    Raises
    ------
    ModelError
        If its probabilities for the model's stored spectra differ from the stored ones.
    RunError
        If OpenVINO is missing, or the processor has no bfloat16 and that was asked for.
    """
    say = say or _warn
    if device == "cuda" or (device == "auto" and precision != "bf16" and _gpu_is_plausible()):
        engine = _attempt(partial(_open_gpu, model, say), model, say)
        if engine is not None:
            return engine
    if precision == "auto" and "BF16" in _processor_capabilities():
        engine = _attempt(partial(RefinedEngine, model, n_threads), model, say)
        if engine is not None:
            return engine
    chosen = "bf16" if precision == "bf16" else "float32"
    return _verified(OpenVinoEngine(model, chosen, n_threads), model, say)


def _attempt(opener: Callable[[], Engine], model: Model, say: Say) -> Engine | None:
    try:
        return _verified(opener(), model, say)
    # What torch raises for a missing, old or full GPU, and OpenVINO for what it cannot do.
    except (SpeclensError, ImportError, OSError, RuntimeError) as error:
        say(f"{' '.join(str(error).split())[:300]}; another engine takes over")
        return None


def _verified(engine: Engine, model: Model, say: Say) -> Engine:
    """Let an engine score the stored spectra."""
    output = engine(model.probe.input)
    stored = model.probability(model.probe.logit)
    difference = np.abs(model.probability(output.logit) - stored).max()
    if model.place:
        logits = np.stack([output.place, model.probe.place]).astype(np.float64)
        difference = np.maximum(difference, np.abs(np.diff(softmax(logits, axis=2), axis=0)).max())
    found = f"model {model.name}: {engine.name} differs by {difference:.2g} from the stored results"
    if not difference <= REFUSED:
        raise ModelError(
            f"{found}, above {REFUSED:g}: install another openvino (or torch), or train it again"
        )
    if difference > engine.rounding:
        say(f"{found}, above {engine.rounding:g}: scores may differ as much")
    return engine


class OpenVinoEngine:
    """The network on the processor.

    Parameters
    ----------
    model : Model
        The network.
    precision : str
        `float32` or `bf16`.
    n_threads : int
        Threads, each of which works on its own batch.
    batch : int, optional
        Spectra in one; as many as are fastest when there are many, if not given.

    Raises
    ------
    RunError
        If OpenVINO is missing, or the processor has no bfloat16 and that was asked for.
    """

    def __init__(self, model: Model, precision: str, n_threads: int, batch: int = 0) -> None:
        self._core = openvino_core()
        if precision == "bf16" and "BF16" not in _processor_capabilities():
            raise RunError("this processor has no bfloat16: leave the precision to auto")
        settings = {
            "INFERENCE_PRECISION_HINT": {"float32": "f32", "bf16": "bf16"}[precision],
            "NUM_STREAMS": n_threads,
            "INFERENCE_NUM_THREADS": n_threads,
        }
        self._batch = batch or (WHOLE_BATCH if model.kind == "redshift" else CPU_BATCH)
        graph = GRAPHS[model.kind](model, self._batch)
        compiled = self._core.compile_model(graph, "CPU", settings)
        self.name = f"openvino {precision}"
        self.rounding = BF16_ROUNDING if precision == "bf16" else ROUNDING
        self._n_places = model.n_places
        # No AsyncInferQueue: its callbacks need Python's lock, and a thread that waits for it while
        # the network is given up, which holds it, would wait for ever.
        self._requests = [compiled.create_infer_request() for _ in range(n_threads)]

    def __call__(self, inputs: Floats) -> NetworkOutput:
        """Score spectra.

        Parameters
        ----------
        inputs : array of shape (N, C, L)
            Spectra as the network sees them.

        Returns
        -------
        NetworkOutput
            One row for each.
        """
        output = _empty_output(len(inputs), self._n_places)
        idle = deque(self._requests)
        running: deque[tuple[Any, slice]] = deque()
        for start in range(0, len(inputs), self._batch):
            rows = slice(start, start + self._batch)
            batch = _filled(inputs[rows], self._batch)
            if not idle:
                idle.append(_keep(output, *running.popleft()))
            idle[0].start_async({0: batch})
            running.append((idle.popleft(), rows))
        for request, rows in running:
            _keep(output, request, rows)
        return _without_nonsense(output, inputs)


class RefinedEngine:
    """The network on a processor that has bfloat16; what is likely in float32 again.

    Parameters
    ----------
    model : Model
        The network.
    n_threads : int
        As for `OpenVinoEngine`.

    Notes
    -----
    Bfloat16 moves a logit by some hundredths, those of a map by tenths: nothing where a spectrum
    certainly has no line, and 0.01 of a probability of one half. Few spectra are likely.
    """

    def __init__(self, model: Model, n_threads: int) -> None:
        self._model = model
        self._fast = OpenVinoEngine(model, "bf16", n_threads)
        self._exact = OpenVinoEngine(model, "float32", n_threads, FEW)
        self.name, self.rounding = "openvino bf16, float32 where likely", BF16_ROUNDING

    def __call__(self, inputs: Floats) -> NetworkOutput:
        """Score spectra, as `Engine` does."""
        output = self._fast(inputs)
        logit, slope = output.logit, self._model.calibration.slope
        if self._model.kind == "redshift":  # of any source, when each bin is scaled
            logit = np.asarray(logsumexp(slope * output.place, axis=1) / slope, np.float32)
        probability = self._model.probability(logit)
        likely = np.flatnonzero(probability > LIKELY)
        if len(likely):
            again = self._exact(inputs[likely])
            output.logit[likely], output.place[likely] = again.logit, again.place
        return output


class TorchEngine:
    """The network in torch.

    Parameters
    ----------
    model : Model
        The network.
    device : str
        Torch's name of the device.
    say : callable
        Takes one line when the memory is too small.

    Raises
    ------
    ImportError
        If torch is missing.
    RuntimeError
        If the device cannot be used.
    """

    def __init__(self, model: Model, device: str, say: Say) -> None:
        import torch

        from speclens.networks.layers import build

        self.name = f"torch {torch.__version__} float32 on {device}"
        self.rounding = ROUNDING
        self._torch, self._device, self._say = torch, device, say
        self._n_places, self._batch = model.n_places, GPU_BATCH
        network = build(model.architecture)
        network.load_state_dict({k: torch.tensor(v) for k, v in model.weights.items()})
        self._network = network.eval().to(device)

    def __call__(self, inputs: Floats) -> NetworkOutput:
        """Score spectra.

        Parameters
        ----------
        inputs : array of shape (N, C, L)
            Spectra as the network sees them.

        Returns
        -------
        NetworkOutput
            One row for each.

        Raises
        ------
        RunError
            If not even one spectrum fits into the memory.
        """
        while True:
            try:
                return _without_nonsense(self._scored(inputs), inputs)
            except self._torch.cuda.OutOfMemoryError as error:
                if self._batch == 1:
                    raise RunError(f"{self.name}: no memory; choose the processor") from error
            self._batch //= 2
            self._say(f"{self.name}: too little memory; now {self._batch} spectra at once")

    def _scored(self, inputs: Floats) -> NetworkOutput:
        torch, output = self._torch, _empty_output(len(inputs), self._n_places)
        # TensorFloat-32, the default, would lose half of the digits.
        exact = torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        )
        with torch.inference_mode(), exact:
            for start in range(0, len(inputs), self._batch):
                rows = slice(start, start + self._batch)
                batch = torch.from_numpy(_filled(inputs[rows], self._batch)).to(self._device)
                logit, place = (tensor.cpu().numpy() for tensor in self._network(batch))
                n = len(output.logit[rows])
                output.logit[rows], output.place[rows] = logit[:n], place[:n]
        return output


def _open_gpu(model: Model, say: Say) -> Engine:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        import torch

        available = torch.cuda.is_available()
    if not available:
        why = f" ({caught[-1].message})" if caught else ""
        raise RunError(f"torch {torch.__version__} finds no GPU{why}")
    return TorchEngine(model, "cuda", say)


def _gpu_is_plausible() -> bool:
    """Guess without torch, whose import takes longer than many a search."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1")
    driver = Path("/dev/nvidiactl").exists() or shutil.which("nvidia-smi") is not None
    return driver and not hidden and find_spec("torch") is not None


def _processor_capabilities() -> Sequence[str]:
    capabilities: Sequence[str] = openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return capabilities


def _keep(output: NetworkOutput, request: Any, rows: slice) -> Any:
    """Wait for a request, keep what it found, and give it back."""
    request.wait()
    n = len(output.logit[rows])
    output.logit[rows] = request.get_output_tensor(0).data[:n]
    output.place[rows] = request.get_output_tensor(1).data[:n]
    return request


def _empty_output(n_spectra: int, n_places: int) -> NetworkOutput:
    return NetworkOutput(
        np.zeros(n_spectra, np.float32), np.zeros((n_spectra, n_places), np.float32)
    )


def _filled(inputs: Floats, n_spectra: int) -> Floats:
    """Fill a batch with zeros."""
    if len(inputs) == n_spectra:
        return inputs
    whole = np.zeros((n_spectra, *inputs.shape[1:]), np.float32)
    whole[: len(inputs)] = inputs
    return whole


def _without_nonsense(output: NetworkOutput, inputs: Floats) -> NetworkOutput:
    """Put NaN where the input is not finite; OpenVINO would pool it away."""
    bad = ~np.isfinite(inputs).all(axis=(1, 2))
    output.logit[bad], output.place[bad] = np.nan, np.nan
    return output


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=3)
