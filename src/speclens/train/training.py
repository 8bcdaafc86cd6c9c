"""`speclens train`: a network and its curves from a training set.

In: a set's folder, a configuration. Out: a MODEL folder: weights, grid, preparation, calibration,
a probe, the learning curves, a card.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logit as logit_of

import speclens
from speclens.config import Config
from speclens.errors import ConfigError, RunError
from speclens.networks.architecture import PLACE_BLOCK, Architecture
from speclens.networks.inputs import INPUT_VERSION
from speclens.networks.model import (
    Calibration,
    Model,
    Probe,
    seen_sections,
)
from speclens.networks.model_folder import write_model
from speclens.products import replacing
from speclens.run.folder import locked_folder
from speclens.run.kinds import MODEL
from speclens.search.input_record import record_inputs
from speclens.spectra import LogGrid
from speclens.train.settings import Settings

if TYPE_CHECKING:
    from speclens.train.fit import Training
    from speclens.train.labelled_set import LabelledSet

__all__ = ["TrainingRequest", "recorded_sections", "train"]


@dataclass(frozen=True)
class TrainingRequest:
    """What the user asks for.

    Parameters
    ----------
    folder : Path
        The training set.
    output : Path
        The model's folder.
    config : Config
        Sections `network` and `training`, and those with which the set was made.
    seed : int
        Seed of weights, order and dropout.
    n_threads : int, optional
        Threads; the weights do not depend on their number.
    device : str, optional
        `cpu`, `cuda` or `auto`.
    """

    folder: Path
    output: Path
    config: Config
    seed: int
    n_threads: int = 1
    device: str = "auto"


def recorded_sections(folder: Path) -> dict[str, Any]:
    """Return the configuration with which a training set was made.

    Parameters
    ----------
    folder : Path
        The training set.

    Returns
    -------
    dict
        Sections of the configuration.

    Raises
    ------
    RunError
        If the folder holds no complete set.
    """
    from speclens.train.labelled_set import open_set

    return dict(open_set(folder, verify=False).manifest["configuration"])


def train(
    request: TrainingRequest,
    draw: Callable[[Path, list[dict[str, Any]]], None],
    tell: Callable[[dict[str, Any]], None] | None = None,
) -> Model | None:
    """Train a network and write it as a model.

    Parameters
    ----------
    request : TrainingRequest
        What the user asks for.
    draw : callable
        Draws the learning curves into a file, from the records of the epochs.
    tell : callable, optional
        Told of each epoch.

    Returns
    -------
    Model or None
        The model that was written; None of a plain network, which is there for its curves only.

    Raises
    ------
    RunError
        If the set is damaged, or the training fails; its last good state is kept.
    ConfigError
        If the configuration asks for other inputs than the set holds, or for a network that does
        not fit them.
    """
    from speclens.train.fit import fit
    from speclens.train.labelled_set import open_set

    config = request.config
    with locked_folder(request.output, MODEL, [os.fspath(request.folder)]) as folder:
        data = open_set(request.folder)
        channels = data.manifest["channels"]
        _refuse_what_does_not_fit(request, data)
        setup = _setup(request, data)
        folder.check(setup)
        folder.claim(setup)
        architecture = Architecture(
            config.network.kind,
            len(channels),
            data.manifest["grid"]["n_pixels"],
            config.network.widths,
            config.network.dropout,
        )
        chosen = config.training.model_dump(exclude={"probability_prior"})
        settings = Settings(**chosen, seed=request.seed)
        curves = _Curves(folder.path, draw, tell)
        training = fit(
            data,
            architecture,
            settings,
            folder.work / "checkpoint.pt",
            request.n_threads,
            request.device,
            curves.add,
        )
        curves.write(training.epochs)
        if architecture.kind != "resnet":
            return None
        model = _model(request, data, training)
        return write_model(folder.path, model, _card(model, request))


def _setup(request: TrainingRequest, data: LabelledSet) -> dict[str, Any]:
    """Return what decides the weights; the prior of the probabilities may change afterwards."""
    sections = request.config.model_dump(mode="json", include={"network", "training"})
    del sections["training"]["probability_prior"]
    return {
        "speclens": speclens.__version__,
        "seed": request.seed,
        "set": data.sha256,
        "configuration": sections,
    }


def _refuse_what_does_not_fit(request: TrainingRequest, data: LabelledSet) -> None:
    network = request.config.network
    sections = set(request.config.deciding("network"))
    asked = request.config.model_dump(mode="json", include=sections)
    wanted = {f"{name}.{key}": value for name in asked for key, value in asked[name].items()}
    wanted["network.inputs"] = list(network.inputs)
    recorded, version = data.manifest["configuration"], data.manifest.get("input_version")
    if version != INPUT_VERSION:
        raise RunError(
            f"{request.folder}: its spectra are version {version} of a network's input, and this "
            f"speclens computes version {INPUT_VERSION}: simulate it again"
        )
    if missing := [name for name in asked if name not in recorded]:
        raise RunError(
            f"{request.folder}: its manifest has no section {missing[0]!r}: simulate it again"
        )
    held = {f"{name}.{key}": value for name in asked for key, value in recorded[name].items()}
    held["network.inputs"] = data.manifest["channels"]
    for key, value in held.items():
        if wanted.get(key) != value:
            raise ConfigError(
                f"{key} = {wanted.get(key)!r}, but {request.folder} was simulated with {value!r}: "
                "leave it so, or simulate another set"
            )
    n_blocks, n_pixels = len(network.widths), data.manifest["grid"]["n_pixels"]
    if network.kind == "resnet" and (n_blocks <= PLACE_BLOCK or n_pixels >> (n_blocks - 1) < 2):
        raise ConfigError(
            f"network.widths: {n_blocks} blocks do not fit {n_pixels} pixels; the place needs more "
            f"than {PLACE_BLOCK}, and each after the first halves the pixels"
        )


class _Curves:
    """Writes the learning curves as they grow: metrics.jsonl and curves.png (figure 6)."""

    def __init__(
        self,
        folder: Path,
        draw: Callable[[Path, list[dict[str, Any]]], None],
        tell: Callable[[dict[str, Any]], None] | None,
    ) -> None:
        self._folder, self._draw, self._tell = folder, draw, tell

    def add(self, records: list[dict[str, Any]]) -> None:
        self.write(records)
        if self._tell is not None:
            self._tell(records[-1])

    def write(self, records: list[dict[str, Any]]) -> None:
        with replacing(self._folder / "metrics.jsonl") as file:
            file.writelines(json.dumps(record).encode() + b"\n" for record in records)
        self._draw(self._folder / "curves.png", records)


def calibrate(
    logit: NDArray[np.floating], label: NDArray[np.floating], prior: float
) -> Calibration:
    """Find the probabilities that logits stand for (Platt 1999).

    Parameters
    ----------
    logit, label : array of shape (N,)
        Logits and true labels of spectra that the network was not trained on.
    prior : float
        Share of spectra with a line that the probabilities shall assume.

    Returns
    -------
    Calibration
        Slope and intercept of the highest likelihood, moved to the prior.

    Raises
    ------
    RunError
        If the logits of spectra with a line are no higher than the others.
    """
    z, y = np.asarray(logit, np.float64), np.asarray(label, np.float64)

    def negative_log_likelihood(parameters: NDArray[np.float64]) -> float:
        scaled = parameters[0] * z + parameters[1]
        return float((np.logaddexp(0, scaled) - y * scaled).mean())

    slope, intercept = minimize(negative_log_likelihood, [1.0, 0.0], method="Nelder-Mead").x
    if not slope > 0:
        raise RunError(
            "training: the network learned nothing; train it for more epochs, on more spectra or "
            "at another training.learning_rate"
        )
    shift = logit_of(prior) - logit_of(y.mean())
    return Calibration(float(slope), float(intercept + shift))


def _model(request: TrainingRequest, data: LabelledSet, training: Training) -> Model:
    config, grid = request.config, data.manifest["grid"]
    prior = config.training.probability_prior
    calibration = Calibration(1.0, 0.0)
    if prior > 0:
        calibration = calibrate(training.test_logit, data.test.label, prior)
    last = training.epochs[-1]
    seconds = sum(record["seconds"] for record in training.epochs)
    return Model(
        name=request.output.name,
        inputs=config.network.inputs,
        grid=LogGrid(grid["first"], grid["n_pixels"]),
        widths=config.network.widths,
        dropout=config.network.dropout,
        place=config.training.place_weight > 0,
        weights=training.weights,
        sections=seen_sections(config),
        calibration=calibration,
        probe=Probe(*training.probe),
        record=record_inputs(config, config.network.inputs),
        kind=config.network.kind,
        metadata={
            "speclens": speclens.__version__,
            "configuration": data.manifest["configuration"]
            | config.model_dump(mode="json", include={"network", "training"}),
            "set": {
                "seed": data.manifest["seed"],
                "sha256": data.sha256,
                "train": sum(data.n_train[: config.training.epochs]),
                "draws": min(len(data.n_train), config.training.epochs),
                "test": len(data.test),
                "line_share": round(float(data.test.label.mean()), 4),
            },
            "seed": request.seed,
            "seconds": round(seconds, 1),
            "device": training.device,
            "machine": f"{platform.machine()}, {request.n_threads} threads",
            "test": {name: last[name] for name in last if name.startswith("test_")},
        },
    )


def _card(model: Model, request: TrainingRequest) -> str:
    """Write the model card."""
    facts = model.metadata
    configuration, spectra, test = facts["configuration"], facts["set"], facts["test"]
    recipe = configuration["training_set"]
    low, high = configuration["preparation"]["window"]
    prior = request.config.training.probability_prior
    share = prior or spectra["line_share"]
    rate = test["test_false_positive_rate"]
    drawn = f" in {spectra['draws']} draws" * (spectra["draws"] > 1)
    rows = {
        "network": f"{model.kind}, widths {' '.join(map(str, model.widths))}",
        "input": ", ".join(model.inputs),
        "trained on": f"{spectra['train']} artificial spectra{drawn}, recipe `{recipe['recipe']}`, "
        f"seed {spectra['seed']}",
        "tested on": f"{spectra['test']} others, which share no galaxy with them",
        "seed": facts["seed"],
        "time": f"{facts['seconds'] / 60:.0f} minutes, {facts['device']}, {facts['machine']}",
        "accuracy": f"{test['test_accuracy']:.4f}",
        "loss": f"{test['test_loss']:.4f}",
        "completeness": f"{test['test_completeness']:.4f} at a false-positive rate of {rate:.2e}",
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    return f"""# {model.name}

A network of speclens {facts["speclens"]}: the probability that the spectrum of a galaxy holds an
emission line that is not the galaxy's own, between {low:g} and {high:g} Angstrom.

| | |
|---|---|
{table}

Accuracy, loss and completeness are those of artificial spectra, at the network's own probability of
0.5. Probabilities assume the set's line fluxes and that a share of {share:.3g} of the spectra have
a line; nature's share is a thousand times smaller. Where a line comes from (Lyman alpha at redshift
2 to 3, or [O II] of a nearer galaxy), the network does not say.

Made by `speclens simulate` and `speclens train`; `model.json` holds the whole configuration.
"""
