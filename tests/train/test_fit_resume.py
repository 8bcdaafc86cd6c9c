"""A training goes on with the same weights wherever it was stopped, or refuses the state it finds.

The set is trivial, the network small: what is tested is the going on.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from fixtures.trainings import ARCHITECTURE, BRIEF, N_STEPS, assert_same
from speclens.errors import RunError
from speclens.train import fit as fit_module
from speclens.train import replicas as replicas_module
from speclens.train.checkpoint import Checkpoint
from speclens.train.fit import Training, fit
from speclens.train.labelled_set import LabelledSet, open_set
from speclens.train.replicas import PART_SPECTRA, Replicas
from speclens.train.settings import Settings


class Stop(Exception):  # noqa: N818 - an interrupt, not an error
    """Something that ends a training at any time."""


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
def over_draws(redrawn: LabelledSet, tmp_path_factory: pytest.TempPathFactory) -> Training:
    state = tmp_path_factory.mktemp("whole") / "state.pt"
    return fit(redrawn, ARCHITECTURE, replace(BRIEF, epochs=3), state, 1, "cpu")


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
