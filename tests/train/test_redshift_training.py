"""Whole spectra with sources become a set, a network, and a model that searches."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.config import load_config
from speclens.errors import ConfigError, RunError
from speclens.networks.model import Model
from speclens.networks.model_folder import read_model
from speclens.networks.source_bins import around_lens, source_bins
from speclens.sample.preparation import Preparation
from speclens.search.engine import open_engine
from speclens.search.input_record import check_inputs, check_record
from speclens.search.matched_filter import MatchedFilter
from speclens.search.redshift_search import open_redshift_network
from speclens.simulate.source_spectra import SOURCES_DTYPE
from speclens.train import training_set as module
from speclens.train.labelled_set import bins_of, open_set
from speclens.train.training import TrainingRequest, recorded_sections
from speclens.train.training_set import TrainingSetRequest, simulate_training_set
from speclens.verbs.train import train

pytest.importorskip("torch")

SHARD = 40
SMALL = (
    "preparation.window=[3600.0, 7200.0]",
    "training_set.n_spectra=160",
    "training_set.n_lines=80",
    "training_set.n_draws=1",
    "training_set.test_fraction=0.3",
    "training_set.source_flux_min=20.0",
)
BRIEF = (
    "network.widths=[4, 6, 6]",
    "training.epochs=4",
    "training.batch_size=16",
    "training.learning_rate=0.02",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small set with bright sources; not to be changed."""
    path = tmp_path_factory.mktemp("simulated") / "set"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SHARD_SPECTRA", SHARD)
        simulate_training_set(TrainingSetRequest(path, load_config("redshift", SMALL), 5))
    return path


def request_for(folder: Path, output: Path, *overrides: str) -> TrainingRequest:
    config = load_config(None, [*BRIEF, *overrides], recorded_sections(folder))
    return TrainingRequest(folder, output, config, 3, 1, "cpu")


@pytest.fixture(scope="module")
def trained(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Model]:
    output = tmp_path_factory.mktemp("trained") / "heat"
    model = train(request_for(folder, output))
    assert model is not None
    return output, model


def labels_of(folder: Path, manifest: dict[str, Any]) -> NDArray[np.void]:
    return np.concatenate([np.load(folder / s["labels"]["file"]) for s in manifest["shards"]])


def test_a_set_says_what_its_redshifts_are(folder: Path) -> None:
    data = open_set(folder)
    manifest, config = data.manifest, load_config("redshift", SMALL)
    assert manifest["channels"] == ["residual", "noise", "foreground", "lens"]
    first, n_pixels = manifest["grid"]["first"], manifest["grid"]["n_pixels"]
    sources = source_bins(first, n_pixels, ("elg", "lya"))
    assert bins_of(manifest) == sources
    recorded = load_config(None, [], manifest["configuration"])
    for stage in ("training set", "training", "network", "redshifts"):
        assert recorded.deciding(stage) == config.deciding(stage)
    assert recorded.survey.background == config.survey.background
    assert manifest["z_margin"] == config.lines.z_margin
    labels = labels_of(folder, manifest)
    assert labels.dtype == SOURCES_DTYPE
    assert len(labels) + sum(shard["n_dropped"] for shard in manifest["shards"]) == 160
    for split, part in (("train", data.train()), ("test", data.test)):
        shards = [shard for shard in manifest["shards"] if shard["split"] == split]
        own = labels_of(folder, {"shards": shards})
        assert part.sources.shape == (len(own), 4)
        np.testing.assert_array_equal(part.sources[:, :2], around_lens(own["Z"], 0.05))
        is_known = (part.sources[:, 2:] >= 0).any(axis=1)
        np.testing.assert_array_equal(is_known, (own["LABEL"] == 1) | (own["KIND"] == "before"))
        for row, number in np.argwhere(own["SOURCES"] != ""):
            place = int(part.sources[row, 2 + number])
            bins = sources[0] if own["SOURCES"][row, number] == "elg" else sources[1]
            place -= 0 if bins is sources[0] else sources[0].n_bins
            z = own["Z_SOURCES"][row, number]
            assert abs(float(bins.z_at(place)) - z) < 5e-4 * (1 + z)


def test_hidden_sources_count_and_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHARD_SPECTRA", SHARD)
    # Beyond the window no source can be seen; n_lines is what was put in.
    far = (
        "survey.background.elg_redshifts=[1.0, 1.4]",
        "survey.background.lya_redshifts=[5.0, 6.0]",
        "training_set.second_line_fraction=0.0",
        "training_set.n_spectra=100",
        "training_set.n_lines=85",
    )
    config = load_config("redshift", [*SMALL, *far])
    manifest = simulate_training_set(TrainingSetRequest(tmp_path / "set", config, 5))
    n_hidden = sum(shard["n_hidden"] for shard in manifest["shards"])
    n_lines = sum(shard["n_lines"] for shard in manifest["shards"])
    labels = labels_of(tmp_path / "set", manifest)
    assert n_hidden > 40
    assert len(labels) + sum(shard["n_dropped"] for shard in manifest["shards"]) == 100
    is_before = labels["Z_SOURCES"][:, 0] < labels["Z"]
    assert ((labels["SOURCES"] != "").any(axis=1) & ~is_before).sum() == n_lines
    assert labels["LABEL"].sum() == n_lines
    assert np.isnan(labels["Z_SOURCES"][labels["SOURCES"] == ""]).all()


@pytest.mark.slow
def test_f5_two_workers_write_the_same_bytes_as_one(tmp_path: Path) -> None:
    config = load_config("redshift", [*SMALL, "training_set.n_spectra=1010"])
    manifests = []
    for n_workers in (1, 2):
        request = TrainingSetRequest(tmp_path / str(n_workers), config, 5, (), n_workers)
        simulate_training_set(request)
        manifests.append((tmp_path / str(n_workers) / "manifest.json").read_bytes())
    assert hashlib.sha256(manifests[0]).digest() == hashlib.sha256(manifests[1]).digest()


@pytest.mark.parametrize(
    ("base", "override"),
    [("redshift", "training_set.recipe=survey"), (None, "training_set.recipe=sources"),
     ("redshift", "network.kind=resnet")],
)  # fmt: skip
def test_h1_a_recipe_for_another_network_is_refused(
    tmp_path: Path, base: str | None, override: str
) -> None:
    config = load_config(base, [override])
    with pytest.raises(ConfigError, match="the recipe sources is for networks of redshifts"):
        simulate_training_set(TrainingSetRequest(tmp_path / "set", config, 5))


def test_a_model_is_whole_and_its_engine_agrees(trained: tuple[Path, Model], folder: Path) -> None:
    output, model = trained
    found = read_model(output)
    assert found.digest == model.digest
    assert (found.kind, found.place) == ("redshift", True)
    assert found.sources == bins_of(open_set(folder).manifest)
    assert "lines" in found.sections
    check_record(found, "", pytest.fail)
    open_engine(found, "cpu", "float32", say=pytest.fail)
    test = found.metadata["test"]
    assert 0 <= test["test_redshifts_right"] <= 1
    card = (output / "README.md").read_text()
    assert "the probability of a source behind a galaxy" in card
    assert "redshift and kind right" in card
    assert "share of 0.001 of the spectra" in card


def test_a_training_learns(trained: tuple[Path, Model]) -> None:
    import json

    records = [json.loads(line) for line in (trained[0] / "metrics.jsonl").read_text().splitlines()]
    assert records[-1]["train_loss"] < 0.8 * records[0]["train_loss"]


def test_a_search_finds_what_its_training_saw(trained: tuple[Path, Model], folder: Path) -> None:
    config = load_config("redshift", [*SMALL, f"search.model={trained[0].as_posix()!r}"])
    check_inputs(config, pytest.fail)
    spectra = module._draw(
        module._Shared(folder, config, 5, None), module._Shard(0, 0, "train", SHARD, SHARD // 2)
    )
    preparation = Preparation(config)
    matched_filter = MatchedFilter(preparation.grid, config.matched_filter)
    prepared = preparation(spectra.batch, spectra.labels["Z"])
    search = open_redshift_network(config, matched_filter)
    # The network sees in a search what it saw in its training.
    shard = open_set(folder).manifest["shards"][0]
    stored = np.load(folder / shard["inputs"]["file"])
    searched = search._searched
    inputs = searched.inputs(config.network.inputs, searched.fitted(prepared), prepared.z)
    usable = prepared.reasons == ""
    np.testing.assert_array_equal(inputs[usable].astype(np.float16), stored)
    found = search(prepared, matched_filter.search(prepared.residual, prepared.ivar))
    assert np.isfinite(found.probability[usable]).all()
    assert found.sources is not None
    assert len(found.sources) == len(found.hits)


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("network.kind=resnet", "was simulated by the recipe 'sources'"),
        ("lines.lens_snr=5.0", r"lines\.lens_snr"),
        ("network.widths=[4, 6]", "2 blocks do not fit"),
    ],
)
def test_f2_what_does_not_fit_the_set_is_refused(
    folder: Path, tmp_path: Path, override: str, text: str
) -> None:
    with pytest.raises((ConfigError, RunError), match=text):
        train(request_for(folder, tmp_path / "model", override))
