"""Training finds what is there, and is the same on however many threads.

The set is trivial, the network small: what is tested is the fitting.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fixtures.trainings import ARCHITECTURE, BRIEF, N_STEPS, assert_same
from speclens.errors import RunError
from speclens.networks.layers import PLACE_BLOCK, Architecture, build
from speclens.train.fit import Training, fit
from speclens.train.labelled_set import LabelledSet, open_set
from speclens.train.replicas import Replicas
from speclens.train.settings import Settings


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


@pytest.mark.parametrize("kind", ["lenet", "alexnet"])
def test_plain_networks_are_trained_too(data: LabelledSet, tmp_path: Path, kind: str) -> None:
    plain = Architecture(kind, 1, 160, (), 0.2)
    settings = replace(BRIEF, epochs=1, learning_rate=1e-3)
    training = fit(data, plain, settings, tmp_path / "state.pt", 2, "cpu")
    assert np.isfinite(training.test_logit).all()
    assert training.probe[2].shape == (8, 0)
