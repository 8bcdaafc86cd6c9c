"""A training set is what was asked for, the same bytes on any number of workers, or refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fixtures.training_sets import (
    Made,
    arrays_of,
    assert_numbers,
    digests,
    hidden_of,
    paper_config,
    small_config,
)
from speclens.config import load_config
from speclens.errors import ConfigError, RunError
from speclens.lines import PIXEL_LOGLAM
from speclens.run.folder import Folder
from speclens.run.progress import Silent
from speclens.spectra import LogGrid
from speclens.train import training_set as module
from speclens.train.labelled_set import open_set
from speclens.train.training_set import TrainingSetRequest, simulate_training_set

pytestmark = pytest.mark.usefixtures("small_shards")


def test_numbers_are_those_asked_for(simulated: Made) -> None:
    assert_numbers(simulated)
    shards = simulated[1]["shards"]
    assert [shard["n_spectra"] + shard["n_hidden"] for shard in shards] == [40, 40, 40, 10]
    assert not any(shard["n_dropped"] for shard in shards)
    assert [shard["split"] for shard in shards] == ["train", "train", "train", "test"]


def test_the_manifest_says_what_the_set_is(simulated: Made) -> None:
    folder, manifest = simulated
    assert json.loads((folder / "manifest.json").read_text()) == json.loads(json.dumps(manifest))
    config = small_config()
    grid = LogGrid.covering(*config.preparation.window)
    assert manifest["grid"] == {
        "first": grid.first,
        "n_pixels": grid.n_pixels,
        "step": PIXEL_LOGLAM,
    }
    assert manifest["channels"] == list(config.network.inputs)
    assert manifest["seed"] == 5
    recorded = manifest["configuration"]
    assert load_config(None, [], recorded) == config
    for shard in manifest["shards"]:
        for name in ("inputs", "labels"):
            data = (folder / shard[name]["file"]).read_bytes()
            assert hashlib.sha256(data).hexdigest() == shard[name]["sha256"]


def test_the_set_can_be_trained_on(simulated: Made) -> None:
    data = open_set(simulated[0])
    train, n_hidden = data.train(), hidden_of(simulated)
    assert (len(train), len(data.test)) == (120 - sum(n_hidden[:3]), 10 - n_hidden[3])
    assert train.label.sum() + data.test.label.sum() == 33 - sum(n_hidden)
    line = train.label == 1
    assert (train.pixel[line] >= 0).all()
    assert (train.pixel[line] < simulated[1]["grid"]["n_pixels"]).all()


@pytest.mark.parametrize("recipe", ["survey", "li2019"])
@pytest.mark.usefixtures("as_analysed")
def test_another_seed_gives_other_spectra(tmp_path: Path, recipe: str) -> None:
    config = small_config() if recipe == "survey" else paper_config()
    found = [
        digests(simulate_training_set(TrainingSetRequest(tmp_path / name, config, seed)))
        for name, seed in (("one", 5), ("two", 5), ("other", 6))
    ]
    assert found[0] == found[1]
    assert not set(found[0]) & set(found[2])


def test_f5_two_workers_write_the_same_bytes_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Other processes know nothing of the small shards.
    monkeypatch.setattr(module, "SHARD_SPECTRA", 1000)
    config = small_config("training_set.n_spectra=1100", "training_set.n_draws=2")
    made = []
    for n_workers in (1, 2):
        folder = tmp_path / str(n_workers)
        manifest = simulate_training_set(TrainingSetRequest(folder, config, 5, (), n_workers))
        made.append((folder, manifest))
    assert digests(made[0][1]) == digests(made[1][1])
    assert (tmp_path / "1/manifest.json").read_bytes() == (
        tmp_path / "2/manifest.json"
    ).read_bytes()
    train, test, again = arrays_of(made[0], "inputs")
    residual = np.concatenate([part[:64, 0] for part in (train, test, again)]).astype(np.float64)
    correlation = np.corrcoef(np.diff(np.clip(residual, -5, 5), 2, axis=1))
    np.fill_diagonal(correlation, 0)
    assert np.abs(correlation).max() < 0.8
    assert len(np.unique(residual, axis=0)) == 192


@pytest.mark.parametrize("recipe", ["survey", "li2019"])
@pytest.mark.usefixtures("as_analysed")
def test_draws_differ_and_the_first_is_that_of_a_set_with_one(tmp_path: Path, recipe: str) -> None:
    config = small_config if recipe == "survey" else paper_config
    one, two, three = (
        simulate_training_set(
            TrainingSetRequest(tmp_path / str(n), config(f"training_set.n_draws={n}"), 5)
        )
        for n in (1, 2, 3)
    )
    assert [shard["draw"] for shard in three["shards"]] == [0] * 4 + [1] * 3 + [2] * 3
    assert [shard["split"] for shard in three["shards"][4:]] == ["train"] * 6
    assert two["shards"][:4] == one["shards"]
    assert three["shards"][:7] == two["shards"]
    for shard in one["shards"]:
        for name in ("inputs", "labels"):
            file = shard[name]["file"]
            assert (tmp_path / "1" / file).read_bytes() == (tmp_path / "3" / file).read_bytes()
    assert len(set(digests(three))) == 20
    asked = [shard["n_spectra"] + shard["n_hidden"] for shard in three["shards"]]
    assert asked == [40, 40, 40, 10, *[40] * 6]
    data = open_set(tmp_path / "3")
    spectra = np.concatenate([data.train(epoch).rows(np.arange(90)) for epoch in range(3)])
    assert len(np.unique(spectra, axis=0)) == 270


def test_room_and_progress_are_those_of_all_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed: list[int] = []
    monkeypatch.setattr(Folder, "require", lambda _, n_bytes: needed.append(n_bytes))
    stages: list[int] = []
    watching = Silent()
    watching.stage = lambda _, total: stages.append(total)  # type: ignore[method-assign]
    request = TrainingSetRequest(tmp_path / "set", small_config("training_set.n_draws=3"), 5)
    manifest = simulate_training_set(request, watching)
    size = 2 * len(manifest["channels"]) * manifest["grid"]["n_pixels"]
    assert needed == [(130 + 2 * 120) * size]
    assert stages == [10]


@pytest.mark.parametrize("number", ["0", "-1", "1.5"])
def test_h1_a_set_without_a_draw_is_refused(number: str) -> None:
    with pytest.raises(ConfigError, match=r"training_set\.n_draws"):
        small_config(f"training_set.n_draws={number}")


def test_too_few_spectra_are_refused_before_the_folder_is_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "set"
    few = TrainingSetRequest(folder, small_config("training_set.n_spectra=100"), 5)
    with monkeypatch.context() as patch:
        patch.setattr(module, "SHARD_SPECTRA", 200)
        with pytest.raises(ConfigError, match=r"n_spectra = 100: .* ask for 400 or more"):
            simulate_training_set(few)
    assert not folder.exists()
    simulate_training_set(TrainingSetRequest(folder, small_config(), 5))


def test_inputs_of_a_recipe_that_takes_none_are_refused(tmp_path: Path, plates: Path) -> None:
    folder = tmp_path / "set"
    request = TrainingSetRequest(folder, small_config(), 5, [str(plates)])
    with pytest.raises(ConfigError, match="the recipe 'survey' takes no input files"):
        simulate_training_set(request)
    assert not folder.exists()


@pytest.mark.parametrize(
    ("seed", "override"), [(6, "training_set.flux_median=7.0"), (5, "training_set.flux_median=8.0")]
)
def test_d5_the_folder_of_another_set_is_refused(simulated: Made, seed: int, override: str) -> None:
    before = (simulated[0] / "manifest.json").read_bytes()
    request = TrainingSetRequest(simulated[0], small_config(override), seed)
    with pytest.raises(RunError, match=r"another setup \((seed|.*flux_median)"):
        simulate_training_set(request)
    assert (simulated[0] / "manifest.json").read_bytes() == before


def test_a_folder_of_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("not yours")
    with pytest.raises(RunError, match="not empty"):
        simulate_training_set(TrainingSetRequest(tmp_path, small_config(), 5))


def test_d1_a_stopped_simulation_is_no_set_and_can_be_done_again(
    simulated: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "set"
    request = TrainingSetRequest(folder, small_config(), 5)
    write = module._write_shard
    left: Iterator[int] = iter(range(2))

    def stopping(*arguments: Any) -> Any:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return write(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(module, "_write_shard", stopping)
        with pytest.raises(KeyboardInterrupt):
            simulate_training_set(request)
    with pytest.raises(RunError, match=r"manifest\.json: missing"):
        open_set(folder)
    assert digests(simulate_training_set(request)) == digests(simulated[1])


@pytest.mark.parametrize("name", ["lya", "all"])
def test_h1_shares_that_leave_no_line_are_refused(name: str) -> None:
    kinds = ("lya", "oii", "line") if name == "all" else (name,)
    overrides = [f"training_set.line_kinds.{kind}=0.0" for kind in kinds]
    if name == "all":
        with pytest.raises(ConfigError, match="training_set: line_kinds must have a share above 0"):
            small_config(*overrides)
    else:
        assert small_config(*overrides).training_set.line_kinds["lya"] == 0
    with pytest.raises(ConfigError, match="artefact_fractions add up to more than 1"):
        small_config(
            "training_set.artefact_fractions.spike=0.7",
            "training_set.artefact_fractions.sky_line=0.7",
        )
