"""A training leaves a whole model behind, or none, and the same however often it was stopped."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit
from scipy.special import logit as logit_of

from speclens.config import Config, load_config
from speclens.errors import ConfigError, ModelError, RunError
from speclens.networks.model import Calibration, Model, check_preparation, seen_sections
from speclens.networks.model_folder import read_model
from speclens.search.engine import open_engine
from speclens.spectra import LogGrid
from speclens.train import training_set as training_set_module
from speclens.train.labelled_set import open_set
from speclens.train.training import TrainingRequest, calibrate, recorded_sections
from speclens.train.training_set import TrainingSetRequest, simulate_training_set
from speclens.verbs.train import train

SET = (
    "preparation.window=[4200.0, 4450.0]",
    "preparation.min_good_pixels=100",
    "survey.n_pixels=1100",
    "training_set.n_spectra=300",
    "training_set.n_lines=120",
    "training_set.n_draws=2",
    "training_set.test_fraction=0.3",
    "training_set.flux_median=50.0",
    "training_set.flux_sigma=0.1",
    "emitters.flux_range=[30.0, 100.0]",
    "training_set.artefact_fractions.spike=0.0",
    "training_set.artefact_fractions.sky_line=0.0",
)
BRIEF = (
    "network.widths=[4, 4, 8, 8, 8]",
    "training.epochs=3",
    "training.batch_size=32",
    "training.learning_rate=0.01",
)
pytest.importorskip("torch")

FILES = {
    "model.json", "weights.safetensors", "probe.safetensors", "inputs.safetensors", "README.md",
    "metrics.jsonl", "curves.png",
}  # fmt: skip

Trained = tuple[Path, Model]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small set with bright lines; not to be changed."""
    path = tmp_path_factory.mktemp("simulated") / "set"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_set_module, "SHARD_SPECTRA", 60)
        simulate_training_set(TrainingSetRequest(path, load_config(None, SET), 5))
    return path


def request_for(
    folder: Path, output: Path, *overrides: str, seed: int = 3, n_threads: int = 1
) -> TrainingRequest:
    config = load_config(None, [*BRIEF, *overrides], recorded_sections(folder))
    return TrainingRequest(folder, output, config, seed, n_threads, "cpu")


@pytest.fixture(scope="module")
def trained(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A model that was trained in one go; not to be changed."""
    output = tmp_path_factory.mktemp("trained") / "model"
    model = train(request_for(folder, output))
    assert model is not None
    return output, model


@pytest.fixture
def no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings without the curves' picture, which takes longer than they do."""
    monkeypatch.setattr("speclens.view.learning.draw_learning_curves", lambda *_: None)


def config_of(folder: Path) -> Config:
    return request_for(folder, folder).config


def test_the_folder_of_a_model_is_whole(trained: Trained) -> None:
    output, model = trained
    assert {path.name for path in output.iterdir()} == FILES | {"work", "speclens.json"}
    read = read_model(output)
    assert read.digest == model.digest != ""
    for name, weight in model.weights.items():
        np.testing.assert_array_equal(read.weights[name], weight)


def test_a_model_says_what_it_saw_and_how_it_was_made(trained: Trained, folder: Path) -> None:
    model, config = read_model(trained[0]), config_of(folder)
    assert model.name == "model"
    assert model.inputs == config.network.inputs
    assert model.grid == LogGrid.covering(4200.0, 4450.0)
    assert model.widths == (4, 4, 8, 8, 8)
    assert model.place
    assert model.sections == seen_sections(config)
    check_preparation(model, config)
    facts = model.metadata
    assert facts["seed"] == 3
    assert facts["set"]["sha256"] == open_set(folder).sha256
    assert facts["set"]["seed"] == 5
    data = open_set(folder)
    assert facts["set"]["train"] == sum(data.n_train) > 450
    assert facts["set"]["draws"] == 2
    assert facts["set"]["test"] == len(data.test)
    assert facts["set"]["line_share"] == pytest.approx(data.test.label.mean(), abs=1e-4)
    recorded = facts["configuration"]
    assert recorded["training"]["epochs"] == 3
    assert recorded["training_set"]["n_lines"] == 120
    assert load_config(None, [], recorded) == config  # the whole training can be done again


def test_a_model_finds_the_lines_of_the_test(trained: Trained, folder: Path) -> None:
    output, model = trained
    test = open_set(folder).test
    engine = open_engine(read_model(output), precision="float32", say=lambda _: None)
    probability = model.probability(engine(test.rows(np.arange(len(test)))).logit)
    line = test.label == 1
    assert 10 < line.sum() < len(test) - 10
    order = np.argsort(probability)
    ranks = np.empty(len(test))
    ranks[order] = np.arange(len(test))
    better = (ranks[line][:, None] > ranks[~line]).mean()
    assert better > 0.9


def test_the_probe_agrees_with_the_engine_of_the_search(trained: Trained) -> None:
    said: list[str] = []
    model = read_model(trained[0])
    engine = open_engine(model, precision="float32", say=said.append)
    found = engine(model.probe.input)
    np.testing.assert_allclose(found.logit, model.probe.logit, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found.place, model.probe.place, rtol=1e-3, atol=1e-4)
    assert np.ptp(model.probe.logit) > 0.01
    assert not said


def test_curves_are_written_for_each_epoch(trained: Trained) -> None:
    output, model = trained
    records = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in records] == [1, 2, 3]
    test = model.metadata["test"]
    assert len(test) == 4
    assert test == {name: records[-1][name] for name in test}
    assert (output / "curves.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_the_card_has_the_numbers_of_the_test(trained: Trained) -> None:
    card = (trained[0] / "README.md").read_text()
    test = trained[1].metadata["test"]
    assert card.startswith("# model\n")
    assert f"| accuracy | {test['test_accuracy']:.4f} |" in card
    assert f"| loss | {test['test_loss']:.4f} |" in card
    assert f"{test['test_completeness']:.4f} at a false-positive rate of" in card
    assert "between 4200 and 4450 Angstrom" in card
    assert "widths 4 4 8 8 8" in card
    n_train = trained[1].metadata["set"]["train"]
    assert f"| trained on | {n_train} artificial spectra in 2 draws, recipe `survey`" in card


@pytest.mark.usefixtures("no_picture")
def test_with_fewer_epochs_than_draws_the_card_counts_what_was_seen(
    folder: Path, tmp_path: Path
) -> None:
    model = train(request_for(folder, tmp_path / "model", "training.epochs=1"))
    assert model is not None
    n_train = open_set(folder).n_train[0]
    assert (model.metadata["set"]["train"], model.metadata["set"]["draws"]) == (n_train, 1)
    card = (tmp_path / "model" / "README.md").read_text()
    assert f"| trained on | {n_train} artificial spectra, recipe" in card


@pytest.mark.usefixtures("no_picture")
def test_a_second_call_gives_the_same_model(trained: Trained, folder: Path) -> None:
    output, model = trained
    before = {name: (output / name).read_bytes() for name in FILES}
    told: list[dict[str, Any]] = []
    again = train(request_for(folder, output), told.append)
    assert again is not None
    assert again.digest == model.digest
    assert {name: (output / name).read_bytes() for name in FILES} == before
    assert not told  # nothing was trained


@pytest.mark.usefixtures("no_picture")
def test_d9_a_stopped_training_is_no_model_and_goes_on_to_the_same(
    trained: Trained, folder: Path, tmp_path: Path
) -> None:
    output = tmp_path / "model"
    told: list[int] = []

    def stopping(record: dict[str, Any]) -> None:
        told.append(record["epoch"])
        if record["epoch"] == 2 and len(told) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(request_for(folder, output), stopping)
    assert len((output / "metrics.jsonl").read_text().splitlines()) == 2
    with pytest.raises(ModelError, match=r"no model\.json"):
        read_model(output)
    model = train(request_for(folder, output, n_threads=2), stopping)
    assert told == [1, 2, 3]
    assert model is not None
    for name, weight in trained[1].weights.items():
        np.testing.assert_array_equal(model.weights[name], weight)
    assert model.calibration == trained[1].calibration
    assert model.metadata["test"] == trained[1].metadata["test"]


@pytest.mark.usefixtures("no_picture")
def test_d5_another_training_into_the_same_folder_is_refused(
    trained: Trained, folder: Path
) -> None:
    output, model = trained
    for request, text in (
        (request_for(folder, output, seed=4), "seed: was 3, now 4"),
        (request_for(folder, output, "training.epochs=4"), r"training\.epochs: was \d+, now 4"),
        (request_for(folder, output, "training.optimizer=sgd"), "adamw', now 'sgd'"),
        (request_for(folder, output, "network.widths=[4, 4, 4, 4]"), r"network\.widths: was \["),
    ):
        with pytest.raises(RunError, match=text):
            train(request)
    assert read_model(output).digest == model.digest


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ('network.inputs=["flux"]', r"network\.inputs = \['flux'\], but .* was simulated with"),
        ("preparation.window=[4200.0, 4460.0]", r"preparation\.window = \[4200\.0, 4460\.0\], but"),
        ("preparation.mask_half_width=3", r"preparation\.mask_half_width = 3, but .* with 10"),
        ("foreground.n_components=4", r"foreground\.n_components = 4, but .* with 6"),
        ("noise.quantile_divisor=2.0", r"noise\.quantile_divisor = 2\.0, but"),
        ("matched_filter.line_fwhm_kms=[100.0]", r"matched_filter\.line_fwhm_kms = \[100\.0\]"),
        ("network.widths=[4, 4, 4]", r"network\.widths: 3 blocks do not fit"),
        ("network.widths=[4, 4, 4, 4, 4, 4, 4, 4, 4]", r"network\.widths: 9 blocks do not fit"),
    ],
)
def test_what_the_set_does_not_hold_is_refused_before_the_training(
    folder: Path, tmp_path: Path, override: str, text: str
) -> None:
    output = tmp_path / "model"
    with pytest.raises(ConfigError, match=text):
        train(request_for(folder, output, override))
    assert not (output / "work" / "checkpoint.pt").exists()
    assert not (output / "metrics.jsonl").exists()


def test_classes_of_which_the_set_has_no_lines_are_refused(folder: Path, tmp_path: Path) -> None:
    # Its lines are those of Lyman alpha, none of them skewed to the blue.
    request = request_for(folder, tmp_path / "model", 'network.classes=["blue", "red"]')
    with pytest.raises(ConfigError, match="no lines that are blue by their skewness"):
        train(request)


def test_f2_a_damaged_set_is_refused(folder: Path, tmp_path: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    broken = tmp_path / "set"
    broken.mkdir()
    for path in folder.glob("*.npy"):
        (broken / path.name).write_bytes(path.read_bytes())
    last = broken / manifest["shards"][-1]["inputs"]["file"]
    last.write_bytes(last.read_bytes()[:-1] + b"\x7f")
    (broken / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(RunError, match=f"{last.name} is not what was written"):
        train(request_for(broken, tmp_path / "model"))


def test_f2_a_set_that_does_not_say_what_it_holds_is_refused(folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "set"
    shutil.copytree(folder, broken)
    path = broken / "manifest.json"
    manifest = json.loads(path.read_text())
    request = replace(request_for(folder, tmp_path / "model"), folder=broken)
    for configuration, text in (("none", "is no table"), ({}, "no section 'preparation'")):
        path.write_text(json.dumps(manifest | {"configuration": configuration}))
        with pytest.raises(RunError, match=text):
            train(request)


def test_recorded_sections_are_those_of_the_simulation(folder: Path, tmp_path: Path) -> None:
    recorded = recorded_sections(folder)
    assert load_config(None, [], recorded) == load_config(None, SET)
    with pytest.raises(RunError, match=r"manifest\.json: missing"):
        recorded_sections(tmp_path)


@pytest.mark.parametrize("kind", ["lenet", "alexnet"])
@pytest.mark.usefixtures("no_picture")
def test_a_plain_network_leaves_its_curves_and_no_model(
    folder: Path, tmp_path: Path, kind: str
) -> None:
    output = tmp_path / "plain"
    overrides = (f"network.kind={kind}", "training.epochs=1", "training.learning_rate=1e-3")
    assert train(request_for(folder, output, *overrides)) is None
    assert len((output / "metrics.jsonl").read_text().splitlines()) == 1
    with pytest.raises(ModelError):
        read_model(output)


@pytest.mark.usefixtures("no_picture")
def test_without_a_prior_probabilities_are_the_networks_own(folder: Path, tmp_path: Path) -> None:
    overrides = ("training.probability_prior=0.0", "training.epochs=1", "training.place_weight=0.0")
    model = train(request_for(folder, tmp_path / "model", *overrides))
    assert model is not None
    assert model.calibration == Calibration(1.0, 0.0)
    assert not model.place


def drawn(
    rng: np.random.Generator, slope: float, intercept: float, n: int = 40_000
) -> tuple[np.ndarray, np.ndarray]:
    """Logits of a network that is wrong by a slope and an intercept, and the labels."""
    truth = rng.normal(-1.5, 2.0, n)
    label = (rng.random(n) < expit(truth)).astype(np.float32)
    return ((truth - intercept) / slope).astype(np.float32), label


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.4, -1.0), (2.5, 1.5)])
def test_a_calibration_finds_the_slope_and_the_intercept(
    rng: np.random.Generator, slope: float, intercept: float
) -> None:
    logit, label = drawn(rng, slope, intercept)
    found = calibrate(logit, label, float(label.mean()))
    assert found.slope == pytest.approx(slope, rel=0.04)
    assert found.intercept == pytest.approx(intercept, abs=0.07)


@pytest.mark.parametrize("prior", [1e-3, 0.0667, 0.6])
def test_a_calibration_assumes_the_prior_that_it_is_given(
    rng: np.random.Generator, prior: float
) -> None:
    logit, label = drawn(rng, 0.7, 0.5)
    own, other = calibrate(logit, label, float(label.mean())), calibrate(logit, label, prior)
    assert other.slope == own.slope
    shift = logit_of(prior) - logit_of(float(label.mean()))
    assert other.intercept - own.intercept == pytest.approx(shift, abs=1e-5)
    # Spectra of which a share has a line, no other than the prior: the probabilities are true.
    weight = np.where(label == 1, prior / label.mean(), (1 - prior) / (1 - label.mean()))
    probability = expit(other.slope * logit + other.intercept)
    low, high = np.quantile(logit, [0.5, 0.9])
    chosen = (logit > low) & (logit < high)
    expected = (weight * label)[chosen].sum() / weight[chosen].sum()
    found = (weight * probability)[chosen].sum() / weight[chosen].sum()
    assert found == pytest.approx(expected, rel=0.1)


def test_logits_that_never_err_are_calibrated_to_finite_numbers() -> None:
    label = np.repeat([0.0, 1.0], 50)
    found = calibrate(np.where(label > 0, 8.0, -8.0), label, 0.0667)
    assert np.isfinite([found.slope, found.intercept]).all()
    assert found.slope > 0


def test_f4_a_network_that_learned_nothing_makes_no_model(rng: np.random.Generator) -> None:
    label = (rng.random(500) < 0.3).astype(np.float32)
    with pytest.raises(RunError, match="learned nothing"):
        calibrate(rng.standard_normal(500) - label, label, 0.0667)


def test_logits_that_are_all_the_same_give_the_prior() -> None:
    label = np.repeat([0.0, 1.0], [70, 30])
    found = calibrate(np.zeros(100), label, 0.0667)
    assert expit(found.intercept) == pytest.approx(0.0667, rel=1e-3)
