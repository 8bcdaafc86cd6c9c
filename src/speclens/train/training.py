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

import speclens
from speclens.config import Config
from speclens.errors import ConfigError, RunError
from speclens.networks.architecture import SKEWNESS_SIGNS, Architecture
from speclens.networks.inputs import INPUT_VERSION
from speclens.networks.model import Calibration, Model, Probe, seen_sections
from speclens.networks.model_folder import write_model
from speclens.products import replacing
from speclens.run.folder import locked_folder
from speclens.run.kinds import MODEL
from speclens.search.input_record import record_inputs
from speclens.spectra import LogGrid
from speclens.train.calibration import calibrate, calibrate_sources, redshifts_right
from speclens.train.card import model_card
from speclens.train.settings import Settings

if TYPE_CHECKING:
    from speclens.train.fit import Training
    from speclens.train.labelled_set import LabelledSet

__all__ = ["TrainingRequest", "recorded_sections", "train"]

PLAIN = ("lenet", "alexnet")
"""Networks that cannot search."""


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
        _refuse_what_does_not_fit(request, data)
        _refuse_untold_classes(request, data)
        setup = _setup(request, data)
        folder.check(setup)
        folder.claim(setup)
        architecture = _architecture(config, data)
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
        if architecture.kind in PLAIN:
            return None
        model = _model(request, data, training)
        return write_model(folder.path, model, model_card(model))


def _architecture(config: Config, data: LabelledSet) -> Architecture:
    from speclens.train.labelled_set import bins_of

    network, manifest = config.network, data.manifest
    return Architecture(
        network.kind, len(manifest["channels"]), manifest["grid"]["n_pixels"], network.widths,
        network.dropout, bins_of(manifest) if network.kind == "redshift" else (),
        network.classes,
    )  # fmt: skip


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


def _refuse_untold_classes(request: TrainingRequest, data: LabelledSet) -> None:
    """Refuse classes of lines of which the set has none: their probabilities would mean nothing."""
    signs = data.train().skew
    for name in request.config.network.classes:
        if name in SKEWNESS_SIGNS and not (signs == SKEWNESS_SIGNS[name]).any():
            raise ConfigError(
                f"network.classes = {list(request.config.network.classes)}: {request.folder} has "
                f"no lines that are {name} by their skewness; simulate it with -c three_classes"
            )


def _refuse_what_does_not_fit(request: TrainingRequest, data: LabelledSet) -> None:
    network = request.config.network
    stages = ("network", "redshifts") if network.kind == "redshift" else ("network",)
    sections = set(request.config.sections_deciding(*stages))
    recorded = data.manifest["configuration"]
    asked = request.config.model_dump(mode="json", include=sections)
    wanted = {f"{name}.{key}": value for name in asked for key, value in asked[name].items()}
    wanted["network.inputs"] = list(network.inputs)
    version = data.manifest.get("input_version")
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
    if (network.kind == "redshift") != bool(data.manifest.get("sources")):
        raise ConfigError(
            f"network.kind = {network.kind!r}, but {request.folder} was simulated by the recipe "
            f"{recorded['training_set']['recipe']!r}: the recipe sources is for redshift, and for "
            "no other kind"
        )
    shape, n_blocks = _architecture(request.config, data), len(network.widths)
    if network.kind not in PLAIN and (n_blocks < shape.least_blocks or shape.coarsest < 2):
        raise ConfigError(
            f"network.widths: {n_blocks} blocks do not fit {shape.n_pixels} pixels; the place "
            f"needs more than {shape.least_blocks - 1}, and each after the first halves the pixels"
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


def _model(request: TrainingRequest, data: LabelledSet, training: Training) -> Model:
    from speclens.train.labelled_set import bins_of

    config, grid = request.config, data.manifest["grid"]
    prior = config.training.probability_prior
    calibration = Calibration(1.0, 0.0)
    sources = bins_of(data.manifest) if config.network.kind == "redshift" else ()
    last = dict(training.epochs[-1])
    of_map = training.test_place, data.test.sources, sources
    if sources:
        last["test_redshifts_right"] = redshifts_right(*of_map)
    if prior > 0 and sources:
        calibration = calibrate_sources(*of_map, prior)
    elif prior > 0:
        calibration = calibrate(training.test_logit, data.test.label, prior)
    seconds = sum(record["seconds"] for record in training.epochs)
    return Model(
        name=request.output.name,
        inputs=config.network.inputs,
        grid=LogGrid(grid["first"], grid["n_pixels"]),
        widths=config.network.widths,
        dropout=config.network.dropout,
        classes=config.network.classes,
        place=bool(sources) or config.training.place_weight > 0,
        weights=training.weights,
        sections=seen_sections(config, config.network.kind),
        calibration=calibration,
        probe=Probe(*training.probe),
        record=record_inputs(config, config.network.inputs, config.network.kind),
        kind=config.network.kind,
        sources=sources,
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
