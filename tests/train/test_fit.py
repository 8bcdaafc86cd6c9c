"""Training finds what is there, and is the same however often it stops and on however many threads.

The set is trivial, the network small: what is tested is the fitting.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from speclens.errors import RunError
from speclens.networks.layers import PLACE_BLOCK, Architecture, build
from speclens.train import fit as fit_module
from speclens.train import replicas as replicas_module
from speclens.train.checkpoint import Checkpoint
from speclens.train.fit import Training, fit
from speclens.train.labelled_set import LabelledSet, open_set
from speclens.train.replicas import PART_SPECTRA, Replicas
from speclens.train.settings import Settings

ARCHITECTURE = Architecture("resnet", 1, 160, (4, 4, 4, 4, 8, 8, 8, 8), 0.2)
BRIEF = Settings(
    epochs=2,
    batch_size=2 * PART_SPECTRA,
    optimizer="adamw",
    learning_rate=0.01,
    warm_up=0.15,
    weight_decay=1e-4,
    gradient_max=5.0,
    focal_gamma=2.0,
    place_weight=0.1,
    seed=3,
)
N_STEPS = 3
"""Steps of an epoch: 300 spectra."""


class Stop(Exception):  # noqa: N818 - an interrupt, not an error
    """Something that ends a training at any time."""


@pytest.fixture(scope="module")
def folder(write_set: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("set"))


@pytest.fixture(scope="module")
def data(folder: Path) -> LabelledSet:
    return open_set(folder)


@pytest.fixture(scope="module")
def uninterrupted(data: LabelledSet, tmp_path_factory: pytest.TempPathFactory) -> Training:
    return fit(data, ARCHITECTURE, BRIEF, tmp_path_factory.mktemp("whole") / "state.pt", 1, "cpu")


@pytest.fixture
def save_always(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint after each step."""
    monkeypatch.setattr(fit_module, "CHECKPOINT_SECONDS", -1.0)


@pytest.fixture
def stop_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """`stop_after(n)`: the next training is stopped when it begins step n, from 0."""

    def arrange(n_steps: int) -> None:
        step = Replicas.step
        calls: Iterator[int] = iter(range(n_steps))

        def stopping(self: Replicas, *arguments: Any) -> Any:
            if next(calls, None) is None:
                monkeypatch.setattr(Replicas, "step", step)
                raise Stop
            return step(self, *arguments)

        monkeypatch.setattr(Replicas, "step", stopping)

    return arrange


@pytest.fixture
def unfinished(data: LabelledSet, tmp_path: Path, stop_after: Callable[[int], None]) -> Path:
    """The state after the first epoch."""
    path = tmp_path / "state.pt"
    stop_after(N_STEPS)
    with pytest.raises(Stop):
        fit(data, ARCHITECTURE, BRIEF, path, 1, "cpu")
    return path


def timeless(training: Training) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in record.items() if "second" not in name}
        for record in training.epochs
    ]


def assert_same(one: Training, two: Training) -> None:
    assert one.weights.keys() == two.weights.keys()
    for name, weight in one.weights.items():
        np.testing.assert_array_equal(weight, two.weights[name], err_msg=name)
    assert timeless(one) == timeless(two)
    np.testing.assert_array_equal(one.test_logit, two.test_logit)
    for mine, other in zip(one.probe, two.probe, strict=True):
        np.testing.assert_array_equal(mine, other)


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_lines_that_nobody_can_miss_are_learned(
    write_set: Callable[..., Path], tmp_path: Path, gamma: float
) -> None:
    data = open_set(write_set(tmp_path / "set", n_spectra=(400, 150), seed=7))
    settings = replace(BRIEF, epochs=6, batch_size=32, focal_gamma=gamma, place_weight=0.5)
    training = fit(data, ARCHITECTURE, settings, tmp_path / "state.pt", 1, "cpu")
    first, last = training.epochs[0], training.epochs[-1]
    assert last["test_completeness"] > 0.95
    assert last["test_false_positive_rate"] < 0.05
    assert last["test_loss"] < first["test_loss"]
    found = (training.test_logit > 0) == (data.test.label == 1)
    assert last["test_accuracy"] == pytest.approx(found.mean())

    network = build(ARCHITECTURE)
    state = {name: torch.from_numpy(weight) for name, weight in training.weights.items()}
    network.load_state_dict(state, strict=False)
    line = np.flatnonzero(data.test.label)
    with torch.inference_mode():
        logit, place = network.eval()(torch.from_numpy(data.test.rows(line)))
    np.testing.assert_allclose(logit.numpy(), training.test_logit[line], rtol=1e-4, atol=1e-4)
    near = np.abs(place.argmax(1).numpy() - (data.test.pixel[line] >> PLACE_BLOCK)) <= 1
    assert near.mean() > 0.9


def test_labels_that_mean_nothing_are_not_learned(
    write_set: Callable[..., Path], tmp_path: Path
) -> None:
    data = open_set(write_set(tmp_path / "set", n_spectra=(300, 300), line_share=0.5, height=0))
    training = fit(data, ARCHITECTURE, BRIEF, tmp_path / "state.pt", 1, "cpu")
    assert training.epochs[-1]["test_accuracy"] < 0.65


def test_b9_threads_do_not_change_a_bit(
    data: LabelledSet, uninterrupted: Training, tmp_path: Path
) -> None:
    state = tmp_path / "state.pt"
    assert_same(fit(data, ARCHITECTURE, BRIEF, state, 2, "cpu"), uninterrupted)


def test_the_seed_decides(data: LabelledSet, uninterrupted: Training, tmp_path: Path) -> None:
    torch.manual_seed(99)  # of others
    same = fit(data, ARCHITECTURE, BRIEF, tmp_path / "same.pt", 1, "cpu")
    assert_same(same, uninterrupted)
    other = fit(data, ARCHITECTURE, replace(BRIEF, seed=4), tmp_path / "other.pt", 1, "cpu")
    assert not np.array_equal(other.test_logit, uninterrupted.test_logit)


@pytest.mark.parametrize("n_done", [0, 1, N_STEPS, N_STEPS + 1])
@pytest.mark.usefixtures("save_always")
def test_d9_a_stopped_training_goes_on_with_the_same_weights(
    data: LabelledSet,
    uninterrupted: Training,
    tmp_path: Path,
    stop_after: Callable[[int], None],
    n_done: int,
) -> None:
    state = tmp_path / "state.pt"
    stop_after(n_done)
    with pytest.raises(Stop):
        fit(data, ARCHITECTURE, BRIEF, state, 1, "cpu")
    assert state.exists() == (n_done > 0)
    # On another number of threads, while we are at it.
    assert_same(fit(data, ARCHITECTURE, BRIEF, state, 2, "cpu"), uninterrupted)


def test_d9_steps_since_the_last_checkpoint_are_done_again(
    data: LabelledSet, uninterrupted: Training, tmp_path: Path, stop_after: Callable[[int], None]
) -> None:
    state = tmp_path / "state.pt"
    stop_after(N_STEPS + 2)
    with pytest.raises(Stop):
        fit(data, ARCHITECTURE, BRIEF, state, 1, "cpu")
    assert_same(fit(data, ARCHITECTURE, BRIEF, state, 1, "cpu"), uninterrupted)


KILLED = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from speclens.networks.layers import Architecture
from speclens.train import fit as module
from speclens.train.checkpoint import Checkpoint
from speclens.train.labelled_set import open_set

folder, state, n_saved = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
module.CHECKPOINT_SECONDS = -1.0
save = Checkpoint.save

def dying(self, **values):
    global n_saved
    save(self, **values)
    n_saved -= 1
    if n_saved == 0:
        os.kill(os.getpid(), signal.SIGKILL)

Checkpoint.save = dying
module.fit(open_set(folder), {architecture}, module.{settings}, state, 2, "cpu")
"""


def test_d9_a_killed_training_goes_on_with_the_same_weights(
    folder: Path, data: LabelledSet, uninterrupted: Training, tmp_path: Path
) -> None:
    code = KILLED.replace("{architecture}", repr(ARCHITECTURE)).replace("{settings}", repr(BRIEF))
    state = tmp_path / "state.pt"
    ended = subprocess.run([sys.executable, "-c", code, folder, state, "4"], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert_same(fit(data, ARCHITECTURE, BRIEF, state, 1, "cpu"), uninterrupted)


def test_a_finished_training_is_not_done_again(
    data: LabelledSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state.pt"
    first = fit(data, ARCHITECTURE, BRIEF, state, 1, "cpu")
    monkeypatch.setattr(Replicas, "step", None)
    again = fit(data, ARCHITECTURE, BRIEF, state, 1, "cpu")
    assert_same(first, again)
    assert first.epochs == again.epochs  # the seconds too


@pytest.fixture(scope="module")
def redrawn(
    write_set: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> LabelledSet:
    """Two draws, of 3 and of 2 steps."""
    folder = tmp_path_factory.mktemp("redrawn") / "set"
    return open_set(write_set(folder, (300, 100, 250), ("train", "test", "train"), draws=(0, 0, 1)))


@pytest.fixture(scope="module")
def over_draws(redrawn: LabelledSet, tmp_path_factory: pytest.TempPathFactory) -> Training:
    state = tmp_path_factory.mktemp("whole") / "state.pt"
    return fit(redrawn, ARCHITECTURE, replace(BRIEF, epochs=3), state, 1, "cpu")


@pytest.mark.parametrize("epochs", [1, 2, 5])
def test_an_epoch_sees_the_spectra_of_its_draw(
    redrawn: LabelledSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epochs: int
) -> None:
    seen: list[tuple[int, list[float]]] = []
    step = Replicas.step

    def spying(self: Replicas, inputs: torch.Tensor, *rest: Any) -> Any:
        seen.append((rest[-1], inputs.double().sum(dim=(1, 2)).tolist()))
        return step(self, inputs, *rest)

    monkeypatch.setattr(Replicas, "step", spying)
    fit(redrawn, ARCHITECTURE, replace(BRIEF, epochs=epochs), tmp_path / "state.pt", 1, "cpu")
    n_steps = [(3, 2)[epoch % 2] for epoch in range(epochs)]
    assert [number for number, _ in seen] == list(range(sum(n_steps)))  # each has its own dropout
    ends = np.cumsum(n_steps)
    for epoch, (start, end) in enumerate(zip(ends - n_steps, ends, strict=True)):
        split = redrawn.train(epoch % 2)
        drawn = split.rows(np.arange(len(split))).astype(float).sum(axis=(1, 2))
        values = sorted(value for _, batch in seen[start:end] for value in batch)
        np.testing.assert_allclose(values, sorted(drawn.tolist()))


@pytest.mark.parametrize("n_done", [1, 3, 4, 6])
@pytest.mark.usefixtures("save_always")
def test_d9_a_training_stopped_within_any_draw_goes_on_with_the_same_weights(
    redrawn: LabelledSet,
    over_draws: Training,
    tmp_path: Path,
    stop_after: Callable[[int], None],
    n_done: int,
) -> None:
    state, settings = tmp_path / "state.pt", replace(BRIEF, epochs=3)
    stop_after(n_done)
    with pytest.raises(Stop):
        fit(redrawn, ARCHITECTURE, settings, state, 1, "cpu")
    assert_same(fit(redrawn, ARCHITECTURE, settings, state, 2, "cpu"), over_draws)


def rates_of(
    data: LabelledSet, settings: Settings, state: Path, monkeypatch: pytest.MonkeyPatch
) -> list[float]:
    """Train; return the learning rate of each step."""
    rates: list[float] = []
    optimizer = OPTIMIZERS[settings.optimizer]
    step = optimizer.step

    def spying(self: torch.optim.Optimizer, *arguments: Any) -> Any:
        rates.append(self.param_groups[0]["lr"])
        return step(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(optimizer, "step", spying)
        fit(data, ARCHITECTURE, settings, state, 1, "cpu")
    return rates


OPTIMIZERS: dict[str, Any] = {
    "adamw": torch.optim.AdamW,
    "adam": torch.optim.Adam,
    "sgd": torch.optim.SGD,
}


def test_one_cycle_spans_draws_of_different_lengths(
    redrawn: LabelledSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(BRIEF, batch_size=50, epochs=3)
    rates = rates_of(redrawn, settings, tmp_path / "state.pt", monkeypatch)
    done = np.arange(17) / 17  # 6, 5 and 6 steps
    fall = 0.5 * (1 + np.cos(np.pi * (done - 0.15) / 0.85))
    expected = 0.01 * np.maximum(np.minimum(done / 0.15, fall), 1e-3)
    np.testing.assert_allclose(rates, expected)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_the_rate_of_the_optimisers_of_2019_is_constant(
    data: LabelledSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: str
) -> None:
    settings = replace(BRIEF, optimizer=optimizer, learning_rate=0.003)
    assert rates_of(data, settings, tmp_path / "state.pt", monkeypatch) == [0.003] * 6


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.usefixtures("save_always")
def test_d9_any_optimiser_goes_on_with_the_same_weights(
    data: LabelledSet, tmp_path: Path, stop_after: Callable[[int], None], optimizer: str
) -> None:
    settings = replace(BRIEF, optimizer=optimizer, learning_rate=0.003)
    whole = fit(data, ARCHITECTURE, settings, tmp_path / "whole.pt", 1, "cpu")
    stop_after(N_STEPS + 1)
    with pytest.raises(Stop):
        fit(data, ARCHITECTURE, settings, tmp_path / "state.pt", 1, "cpu")
    assert_same(fit(data, ARCHITECTURE, settings, tmp_path / "state.pt", 1, "cpu"), whole)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_what_is_for_adamw_alone_changes_nothing_of_the_others(
    data: LabelledSet, tmp_path: Path, optimizer: str
) -> None:
    plain = replace(BRIEF, optimizer=optimizer, epochs=1, learning_rate=0.003)
    other = replace(plain, warm_up=0.5, weight_decay=0.1, gradient_max=1e-3)
    one, two = (
        fit(data, ARCHITECTURE, settings, tmp_path / f"{name}.pt", 1, "cpu")
        for name, settings in (("one", plain), ("two", other))
    )
    assert_same(one, two)


def test_each_epoch_sees_each_spectrum_once_in_an_order_of_its_own(
    data: LabelledSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[float]] = []
    step = Replicas.step

    def spying(self: Replicas, inputs: torch.Tensor, *rest: Any) -> Any:
        seen.append(inputs.double().sum(dim=(1, 2)).tolist())
        return step(self, inputs, *rest)

    monkeypatch.setattr(Replicas, "step", spying)
    fit(data, ARCHITECTURE, BRIEF, tmp_path / "state.pt", 1, "cpu")
    assert [len(batch) for batch in seen] == [128, 128, 44] * 2
    everything = sorted(data.train().rows(np.arange(300)).astype(float).sum(axis=(1, 2)).tolist())
    for epoch in (seen[:N_STEPS], seen[N_STEPS:]):
        np.testing.assert_allclose(sorted(value for batch in epoch for value in batch), everything)
    assert set(seen[0]) != set(seen[N_STEPS])


def test_the_rate_rises_once_and_falls(
    data: LabelledSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(BRIEF, batch_size=30)
    rates = rates_of(data, settings, tmp_path / "state.pt", monkeypatch)
    assert len(rates) == 20
    assert int(np.argmax(rates)) == 3  # 15 % of the steps
    assert max(rates) == pytest.approx(settings.learning_rate)
    assert (np.diff(rates[:4]) > 0).all()
    assert (np.diff(rates[3:]) < 0).all()
    assert rates[-1] < 0.03 * settings.learning_rate


def test_curves_are_told_after_each_epoch(data: LabelledSet, tmp_path: Path) -> None:
    told: list[list[int]] = []
    training = fit(
        data, ARCHITECTURE, BRIEF, tmp_path / "state.pt", 1, "cpu",
        lambda records: told.append([record["epoch"] for record in records]),
    )  # fmt: skip
    assert told == [[1], [1, 2]]
    names = {f"{s}_{n}" for s in ("train", "test") for n in ("loss", "accuracy", "completeness")}
    assert all(names < record.keys() for record in training.epochs)


def test_the_probe_is_scored_as_the_network_scores(uninterrupted: Training) -> None:
    network = build(ARCHITECTURE)
    state = {name: torch.from_numpy(weight) for name, weight in uninterrupted.weights.items()}
    network.load_state_dict(state, strict=False)
    inputs, expected, place = uninterrupted.probe
    with torch.inference_mode():
        found = network.eval()(torch.from_numpy(inputs))
    np.testing.assert_allclose(found[0].numpy(), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found[1].numpy(), place, rtol=1e-5, atol=1e-6)
    assert len(inputs) == 8


def last_state(path: Path, data: LabelledSet, settings: Settings) -> Any:
    identity = f"{data.sha256} {ARCHITECTURE} {settings}"
    return Checkpoint(path, identity).load(torch.device("cpu"))


def poisoned(
    write_set: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> LabelledSet:
    """A set whose fifth batch of training is no longer a number."""
    data = open_set(write_set(tmp_path / "set"))
    step = Replicas.step

    def spoiled(self: Replicas, inputs: torch.Tensor, *rest: Any) -> Any:
        return step(self, inputs * (float("nan") if rest[-1] == 4 else 1), *rest)

    monkeypatch.setattr(Replicas, "step", spoiled)
    return data


@pytest.mark.usefixtures("save_always")
def test_f4_a_loss_that_is_no_number_stops_and_keeps_the_last_good_state(
    write_set: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = poisoned(write_set, tmp_path, monkeypatch)
    path = tmp_path / "state.pt"
    with pytest.raises(RunError, match=r"epoch 2, step 2; .*state\.pt keeps the last good state"):
        fit(data, ARCHITECTURE, BRIEF, path, 1, "cpu")
    stored = last_state(path, data, BRIEF)
    assert (stored.epoch, stored.step) == (1, 1)
    assert [record["epoch"] for record in stored.records] == [1]
    for tensor in stored.network.values():
        assert bool(torch.isfinite(tensor.float()).all())


def test_f4_gradients_that_explode_stop_and_claim_no_state_that_is_not_there(
    data: LabelledSet, tmp_path: Path
) -> None:
    wild = replace(BRIEF, learning_rate=1e36)
    with pytest.raises(RunError, match="no longer a number in epoch 1, step") as caught:
        fit(data, ARCHITECTURE, wild, tmp_path / "state.pt", 1, "cpu")
    assert "lower training.learning_rate" in str(caught.value)
    assert "keeps" not in str(caught.value)


def test_f4_rare_lines_leave_batches_with_one_class(
    write_set: Callable[..., Path], tmp_path: Path
) -> None:
    data = open_set(write_set(tmp_path / "set", line_share=0.02))
    training = fit(
        data, ARCHITECTURE, replace(BRIEF, batch_size=25), tmp_path / "state.pt", 1, "cpu"
    )
    assert all(np.isfinite(weight).all() for weight in training.weights.values())
    assert np.isfinite(training.epochs[-1]["train_loss"])


def test_a_last_batch_of_one_spectrum_is_fine(
    write_set: Callable[..., Path], tmp_path: Path
) -> None:
    data = open_set(write_set(tmp_path / "set", n_spectra=(65, 20), n_pixels=300))
    wide = replace(ARCHITECTURE, n_pixels=300)
    settings = replace(BRIEF, batch_size=64)
    training = fit(data, wide, settings, tmp_path / "state.pt", 1, "cpu")
    assert np.isfinite(training.epochs[-1]["train_loss"])


def test_d5_the_state_of_another_training_is_refused(
    data: LabelledSet, unfinished: Path, write_set: Callable[..., Path], tmp_path: Path
) -> None:
    before = unfinished.read_bytes()
    changes: list[dict[str, Any]] = [
        {"seed": 4},
        {"epochs": 3},
        {"batch_size": 64},
        {"optimizer": "adam"},
        {"optimizer": "sgd"},
        {"learning_rate": 0.02},
        {"weight_decay": 0.0},
        {"focal_gamma": 0.0},
        {"place_weight": 0.0},
    ]
    others = [(data, ARCHITECTURE, replace(BRIEF, **change)) for change in changes]
    others.append((data, replace(ARCHITECTURE, dropout=0.3), BRIEF))
    others.append((open_set(write_set(tmp_path / "other", seed=2)), ARCHITECTURE, BRIEF))
    for other in others:
        with pytest.raises(RunError, match="belongs to a training with another set or other set"):
            fit(*other, unfinished, 1, "cpu")
    assert unfinished.read_bytes() == before


def test_d5_a_state_from_another_device_is_refused(
    data: LabelledSet, unfinished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicas_module, "PART_SPECTRA", 2 * PART_SPECTRA)  # as on a GPU
    with pytest.raises(RunError, match="began on another device"):
        fit(data, ARCHITECTURE, BRIEF, unfinished, 1, "cpu")


def test_d4_a_damaged_state_is_refused(data: LabelledSet, tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    path.write_bytes(b"PK\3\4 and no more")
    with pytest.raises(RunError, match=r"state\.pt: damaged"):
        fit(data, ARCHITECTURE, BRIEF, path, 1, "cpu")


def test_f6_a_gpu_that_is_not_there_is_said_so(
    data: LabelledSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RunError, match=r"no CUDA device that torch can use; .*--device cpu"):
        fit(data, ARCHITECTURE, BRIEF, tmp_path / "state.pt", 1, "cuda")
    auto = fit(data, ARCHITECTURE, replace(BRIEF, epochs=1), tmp_path / "auto.pt", 1, "auto")
    assert auto.device == "cpu"


def test_f6_a_gpu_with_too_little_memory_is_said_so(
    data: LabelledSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Replicas, "step", full)
    with pytest.raises(RunError, match=r"too little memory on cpu: .*--device cpu"):
        fit(data, ARCHITECTURE, BRIEF, tmp_path / "state.pt", 1, "cpu")


@pytest.mark.parametrize("stopped", [True, False])
def test_torch_has_its_threads_back(
    data: LabelledSet, tmp_path: Path, stop_after: Callable[[int], None], stopped: bool
) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        if stopped:
            stop_after(0)
            with pytest.raises(Stop):
                fit(data, ARCHITECTURE, BRIEF, tmp_path / "state.pt", 1, "cpu")
        else:
            fit(data, ARCHITECTURE, replace(BRIEF, epochs=1), tmp_path / "state.pt", 1, "cpu")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("kind", ["lenet", "alexnet"])
def test_plain_networks_are_trained_too(data: LabelledSet, tmp_path: Path, kind: str) -> None:
    plain = Architecture(kind, 1, 160, (), 0.2)
    settings = replace(BRIEF, epochs=1, learning_rate=1e-3)
    training = fit(data, plain, settings, tmp_path / "state.pt", 2, "cpu")
    assert np.isfinite(training.test_logit).all()
    assert training.probe[2].shape == (8, 0)
