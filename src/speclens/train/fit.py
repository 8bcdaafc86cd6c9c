"""Fit a network to labelled spectra, on any number of cores or on a GPU.

In: a `LabelledSet`, an architecture, settings. Out: weights and curves. Needs torch and numpy
alone. A stopped training goes on with the same weights as one without a stop, and the weights do
not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from speclens.errors import RunError
from speclens.networks.architecture import Architecture
from speclens.networks.layers import build
from speclens.train.checkpoint import Checkpoint
from speclens.train.labelled_set import LabelledSet, Split
from speclens.train.losses import Loss, loss_of
from speclens.train.optimizers import gradient_max, open_optimizer, rate_at
from speclens.train.replicas import Replicas
from speclens.train.scores import Scores
from speclens.train.settings import Settings

__all__ = ["Training", "fit"]

CHECKPOINT_SECONDS = 20.0
N_PROBE = 8
SETTLE_SPECTRA = 16384
"""Spectra over which the batch norms of a network are measured at the end of an epoch."""


@dataclass(frozen=True)
class Training:
    """A trained network.

    Parameters
    ----------
    weights : dict
        Arrays by name, float32.
    epochs : list of dict
        Curves: loss, accuracy, completeness by epoch, for training and test.
    test_logit : array of shape (N,)
        Logits of the test spectra.
    test_place : array of shape (N, P)
        Their logits of places; half precision is enough to calibrate a map of redshifts.
    probe : tuple of arrays
        Inputs (n, C, L) of a few test spectra, their logits (n,) and logits of places (n, P).
    device : str
        What it was trained on.
    """

    weights: dict[str, NDArray[np.float32]]
    epochs: list[dict[str, Any]]
    test_logit: NDArray[np.float32]
    test_place: NDArray[np.float16]
    probe: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]
    device: str


def fit(
    data: LabelledSet,
    architecture: Architecture,
    settings: Settings,
    checkpoint: Path,
    n_threads: int = 1,
    device: str = "auto",
    tell: Callable[[list[dict[str, Any]]], None] | None = None,
) -> Training:
    """Train a network.

    Parameters
    ----------
    data : LabelledSet
        Spectra for training and test.
    architecture : Architecture
        The network.
    settings : Settings
        How to train.
    checkpoint : Path
        File that keeps the state; when it holds one of the same training, that goes on.
    n_threads : int, optional
        Threads; the weights do not depend on their number.
    device : str, optional
        `cpu`, `cuda`, or `auto`: a GPU when there is one.
    tell : callable, optional
        Told of each epoch: given the curves so far.

    Returns
    -------
    Training
        Weights and curves.

    Raises
    ------
    RunError
        If the loss or the gradient is no longer a number, or a GPU has too little memory; the last
        good checkpoint stays.
    """
    where = _device(device)
    with _one_thread(), _memory_of(where):
        torch.manual_seed(settings.seed)
        network = build(architecture).to(where)
        run = _Run(
            data, network, settings, where, n_threads, loss_of(architecture, settings, where)
        )
        state = Checkpoint(checkpoint, identity=f"{data.sha256} {architecture} {settings}")
        run.restore(state)
        while run.epoch < settings.epochs:
            run.train_epoch(state)
            run.finish_epoch()
            run.save(state)
            if tell is not None:
                tell(run.records)
        weights = {
            name: value.detach().cpu().numpy().copy()
            for name, value in network.state_dict().items()
            if not name.endswith("num_batches_tracked")
        }
        return Training(
            weights, run.records, *run.test_outputs(), _probe(network, data.test), _name_of(where)
        )


class _Run:
    """State of a training between two steps."""

    def __init__(
        self,
        data: LabelledSet,
        network: nn.Module,
        settings: Settings,
        device: torch.device,
        n_threads: int,
        loss: Loss,
    ) -> None:
        self._data, self._network, self._settings = data, network, settings
        self._device, self._loss = device, loss
        self._replicas = Replicas(network, settings, device, n_threads, loss)
        self._optimizer = open_optimizer(settings, network.parameters())
        self.records: list[dict[str, Any]] = []
        self._scores = Scores()
        self.epoch = self._step_of_epoch = 0
        self._seconds = 0.0

    def _steps_before(self, epoch: int) -> int:
        """Count the steps of all epochs before one; draws may differ by a few spectra."""
        n_spectra = [self._data.n_train[self._data.draw_of(past)] for past in range(epoch)]
        return sum(-(-number // self._settings.batch_size) for number in n_spectra)

    def restore(self, state: Checkpoint) -> None:
        """Go on from a checkpoint, if there is one."""
        stored = state.load(self._device)
        if stored is None:
            return
        goes_on = stored.epoch < self._settings.epochs
        if goes_on and len(stored.buffers) != len(self._replicas.buffers()):
            raise RunError(
                f"{state.path}: this training began on another device; go on with that --device, "
                "or delete the file to train anew"
            )
        self._network.load_state_dict(stored.network)
        if goes_on:  # a training that ended may have done so on another device
            self._replicas.load_buffers(stored.buffers)
        self._optimizer.load_state_dict(stored.optimizer)
        self.epoch, self._step_of_epoch = stored.epoch, stored.step
        self.records, self._scores = stored.records, Scores(**stored.scores)
        self._seconds = stored.seconds

    def save(self, state: Checkpoint) -> None:
        """Keep all that the next step depends on."""
        state.save(
            network=self._network.state_dict(),
            buffers=self._replicas.buffers(),
            optimizer=self._optimizer.state_dict(),
            epoch=self.epoch,
            step=self._step_of_epoch,
            records=self.records,
            scores=vars(self._scores),
            seconds=self._seconds,
        )

    def train_epoch(self, state: Checkpoint) -> None:
        """Train on every spectrum of a draw, or on those left when a stopped epoch goes on."""
        split, settings = self._data.train(self.epoch), self._settings
        before, n_steps = self._steps_before(self.epoch), self._steps_before(settings.epochs)
        order = np.random.default_rng([settings.seed, self.epoch]).permutation(len(split))
        started = saved = monotonic()
        for step, (inputs, label, target) in self._batches(split, order, self._step_of_epoch):
            for group in self._optimizer.param_groups:
                group["lr"] = rate_at(settings, (before + step) / n_steps)
            logit, loss, score = self._replicas.step(inputs, label, target, before + step)
            norm = nn.utils.clip_grad_norm_(self._network.parameters(), gradient_max(settings))
            if not (np.isfinite(loss) and bool(torch.isfinite(norm))):
                kept = f"; {state.path} keeps the last good state" * state.path.exists()
                raise RunError(
                    f"training: the loss is no longer a number in epoch {self.epoch + 1}, step "
                    f"{step + 1}{kept}: train again from the start with a lower "
                    "training.learning_rate"
                )
            self._optimizer.step()
            self._scores.add(logit, label, score)
            self._step_of_epoch = step + 1
            now = monotonic()
            if now - saved > CHECKPOINT_SECONDS:
                self._seconds += now - started
                started = saved = now
                self.save(state)
        self._seconds += monotonic() - started

    def test_outputs(self) -> tuple[NDArray[np.float32], NDArray[np.float16]]:
        """Return the logits of the test spectra, shape (N,), and those of places, (N, P)."""
        logits, places = [], []
        for _, _, logit, place in self._test_batches():
            logits.append(logit.float().cpu().numpy())
            places.append(place.half().cpu().numpy())
        return np.concatenate(logits), np.concatenate(places)

    def finish_epoch(self) -> None:
        """Settle the network, score the test spectra and write down the epoch."""
        n_spectra = self._scores.n_spectra
        split = self._data.train(self.epoch)
        size = min(self._settings.batch_size, len(split))
        n_settling = min(SETTLE_SPECTRA, len(split)) // size * size
        order = np.random.default_rng([self._settings.seed, self.epoch, 1])
        rows = order.permutation(len(split))[:n_settling]
        self._replicas.settle(inputs for _, (inputs, _, _) in self._batches(split, rows, 0))
        test = Scores()
        for label, target, logit, place in self._test_batches():
            score, said = self._loss.score(logit, place, label, target)
            test.add(said, label, score)
        record = {
            "epoch": self.epoch + 1,
            "seconds": round(self._seconds, 1),
            "spectra_per_second": round(n_spectra / max(self._seconds, 1e-9), 1),
            **{f"train_{name}": value for name, value in self._scores.summary().items()},
            **{f"test_{name}": value for name, value in test.summary().items()},
        }
        self.records.append(record)
        self.epoch, self._step_of_epoch = self.epoch + 1, 0
        self._scores, self._seconds = Scores(), 0.0

    def _test_batches(self) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Go through the test: labels, what the loss is told, and outputs."""
        self._network.eval()
        for _, (inputs, label, target) in self._batches(self._data.test, None, 0):
            yield label, target, *self._replicas.outputs(inputs)
        self._network.train()

    def _batches(
        self, split: Split, order: NDArray[np.integer] | None, first: int
    ) -> Iterator[tuple[int, tuple[Tensor, Tensor, Tensor]]]:
        """Read batches ahead while the network is busy."""
        size = self._settings.batch_size
        index = np.arange(len(split)) if order is None else order
        targets = self._loss.target(split)
        rows = [np.sort(index[i : i + size]) for i in range(0, len(index), size)]

        def load(step: int) -> tuple[Tensor, Tensor, Tensor]:
            arrays = (split.rows(rows[step]), split.label[rows[step]], targets[rows[step]])
            inputs, label, target = (torch.from_numpy(a).to(self._device) for a in arrays)
            return inputs, label, target

        with ThreadPoolExecutor(1) as reader:
            ahead = [reader.submit(load, step) for step in range(first, min(first + 2, len(rows)))]
            for step in range(first, len(rows)):
                batch = ahead.pop(0).result()
                if step + 2 < len(rows):
                    ahead.append(reader.submit(load, step + 2))
                yield step, batch


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let each operation run on one thread: cores are used by replicas, which share less."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _memory_of(device: torch.device) -> Iterator[None]:
    """Say what to do where a GPU's memory is too small."""
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        raise RunError(
            f"training: too little memory on {_name_of(device)}: free some and run the same "
            "command again, or train with --device cpu into another folder"
        ) from error


def _device(wanted: str) -> torch.device:
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cuda" and not torch.cuda.is_available():
        raise RunError("no CUDA device that torch can use; train with --device cpu")
    return torch.device(wanted)


@torch.no_grad()
def _probe(
    network: nn.Module, split: Split
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Score some spectra with and some without a line, in float32 on the CPU."""
    half = N_PROBE // 2
    rows = np.concatenate([np.flatnonzero(split.label == value)[:half] for value in (0, 1)])
    inputs = split.rows(rows)
    logit, place = network.cpu().eval()(torch.from_numpy(inputs))
    return inputs, logit.numpy().copy(), place.numpy().copy()


def _name_of(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
