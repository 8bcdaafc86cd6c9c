"""A state comes back bit by bit, or is refused; nothing in a file is ever run."""

from __future__ import annotations

import io
import os
import pickle
import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from speclens.errors import RunError
from speclens.train.checkpoint import Checkpoint, State

CPU = torch.device("cpu")


def some_state(seed: int = 1) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "network": {
            "a.weight": torch.randn(3, 4, generator=generator),
            "a.count": torch.tensor(7, dtype=torch.int64),
        },
        "buffers": [{"mean": torch.randn(2, generator=generator)}, {}],
        "optimizer": {
            "state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.zeros(3, 4)}},
            "param_groups": [{"lr": 0.1 + 0.2, "betas": (0.9, 0.999), "params": [0], "foo": None}],
        },
        "epoch": 2,
        "step": 5,
        "records": [{"epoch": 1, "loss": 0.1}],
        "scores": {"n_spectra": 3, "loss": 1 / 3},
        "seconds": 1.5,
    }


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    made = Checkpoint(tmp_path / "state.pt", "this training")
    made.save(**some_state())
    return made


def same(one: Any, two: Any) -> bool:
    if isinstance(one, Tensor):
        return one.dtype == two.dtype and torch.equal(one, two)
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same(one[key], two[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(map(same, one, two))
    return bool(one == two)


def test_a_state_comes_back_bit_by_bit(checkpoint: Checkpoint) -> None:
    loaded = checkpoint.load(CPU)
    assert isinstance(loaded, State)
    assert same(vars(loaded), some_state())
    assert list(loaded.optimizer["state"]) == [0]  # numbers stay numbers


def test_no_file_is_no_state(tmp_path: Path) -> None:
    assert Checkpoint(tmp_path / "state.pt", "any").load(CPU) is None


def test_the_state_of_an_optimizer_can_be_loaded_again(tmp_path: Path) -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.AdamW([weight], 0.1)
    weight.sum().backward()
    optimizer.step()
    made = Checkpoint(tmp_path / "state.pt", "any")
    made.save(**(some_state() | {"optimizer": optimizer.state_dict()}))
    loaded = made.load(CPU)
    assert loaded is not None
    again = torch.optim.AdamW([torch.nn.Parameter(torch.ones(3))], 0.5)
    again.load_state_dict(loaded.optimizer)
    assert again.param_groups[0]["lr"] == 0.1
    assert same(again.state_dict()["state"], optimizer.state_dict()["state"])


def test_d5_the_state_of_another_training_is_refused(checkpoint: Checkpoint) -> None:
    other = Checkpoint(checkpoint.path, "another training")
    with pytest.raises(RunError, match="belongs to a training with another set or other settings"):
        other.load(CPU)


@pytest.mark.parametrize("kept", [0, 1, 4, 100, 0.5, 0.9, -1, -30])
def test_d4_a_state_cut_short_is_refused(checkpoint: Checkpoint, kept: float) -> None:
    data = checkpoint.path.read_bytes()
    n_kept = int(kept * len(data)) if isinstance(kept, float) else kept
    checkpoint.path.write_bytes(data[:n_kept])
    with pytest.raises(RunError, match=r"state\.pt: damaged .*delete it to train anew"):
        checkpoint.load(CPU)


def test_d4_a_flipped_bit_is_refused_or_harmless(
    checkpoint: Checkpoint, rng: np.random.Generator
) -> None:
    data = checkpoint.path.read_bytes()
    n_refused = 0
    for place in rng.integers(0, len(data), 60).tolist():
        changed = bytearray(data)
        changed[place] ^= 1 << int(rng.integers(8))
        checkpoint.path.write_bytes(changed)
        try:
            loaded = checkpoint.load(CPU)
        except RunError:
            n_refused += 1
        else:
            assert loaded is not None
            assert same(vars(loaded), some_state())
    assert n_refused > 20


def saved(content: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"no archive at all, but text",
        b"\0" * 5000,
        npz(),
        npz(header=np.zeros(3)),
        saved(torch.zeros(3)),
        saved({}),
        saved([]),
        saved({"identity": "this training"}),
    ],
)
def test_d4_a_foreign_file_is_refused(checkpoint: Checkpoint, data: bytes) -> None:
    checkpoint.path.write_bytes(data)
    with pytest.raises(RunError, match="damaged"):
        checkpoint.load(CPU)


@pytest.mark.parametrize("state", [{}, [], {"network": {}}, some_state() | {"more": 1}])
def test_d4_a_state_with_other_parts_is_refused(checkpoint: Checkpoint, state: Any) -> None:
    checkpoint.path.write_bytes(saved({"identity": "this training", "state": state}))
    with pytest.raises(RunError, match="damaged"):
        checkpoint.load(CPU)


class Canary:
    """Unpickled, it would leave a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("form", ["pickle", "torch", "within", "old torch", "object array"])
def test_f1_no_pickle_is_ever_opened(checkpoint: Checkpoint, tmp_path: Path, form: str) -> None:
    canary = tmp_path / "canary"
    hostile = Canary(canary)
    content = {"identity": "this training", "state": some_state() | {"scores": hostile}}
    old = io.BytesIO()
    torch.save(hostile, old, _use_new_zipfile_serialization=False)
    forms = {
        "pickle": pickle.dumps(hostile),
        "torch": saved(hostile),
        "within": saved(content),
        "old torch": old.getvalue(),
        "object array": npz(header=np.array([hostile], object)),
    }
    checkpoint.path.write_bytes(forms[form])
    with pytest.raises(RunError, match="damaged"):
        checkpoint.load(CPU)
    assert not canary.exists()


def test_d2_a_full_disk_leaves_the_state_before(checkpoint: Checkpoint) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(RunError, match="File too large"):
            checkpoint.save(**some_state(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    loaded = checkpoint.load(CPU)
    assert loaded is not None
    assert same(vars(loaded), some_state())
    assert os.listdir(checkpoint.path.parent) == ["state.pt"]
