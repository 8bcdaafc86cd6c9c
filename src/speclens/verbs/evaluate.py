"""`speclens evaluate`: what a search makes of sources that are put into its spectra.

In: survey files and the options of a search, or a run, which brings both. Out: an evaluation. The
work is that of `speclens.evaluate.evaluation`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from speclens.config import Config, load_config
from speclens.errors import ConfigError, RunError
from speclens.evaluate.evaluation import Evaluation
from speclens.evaluate.evaluation import evaluate as evaluate_files
from speclens.run.folder import existing_folder
from speclens.run.kinds import RUN
from speclens.run.progress import Progress
from speclens.run.record import NAME, RunRecord, read_record
from speclens.sample.error_growth import read_growth
from speclens.search.network import model_of
from speclens.verbs.request import Asked

__all__ = ["EvaluationRequest", "evaluate"]

OWN_SECTIONS = Config.sections_deciding("evaluation")
"""Sections of the configuration that an evaluation of a run may change."""


@dataclass(frozen=True)
class EvaluationRequest:
    """What the user asks for.

    Parameters
    ----------
    inputs : sequence of str
        Survey files and folders, or one run.
    output : Path
        The evaluation's folder.
    asked : Asked
        The options of the search; of a run's only values of `OWN_SECTIONS`.
    repeats, seed : int
        Sources put into each spectrum, and their seed.
    catalogue : str, optional
        Survey catalogue instead of the classes and redshifts beside the spectra.
    n_workers : int, optional
        Number of processes.
    """

    inputs: Sequence[str]
    output: Path
    asked: Asked
    repeats: int
    seed: int
    catalogue: str | None = None
    n_workers: int = 1


def evaluate(request: EvaluationRequest, progress: Progress | None = None) -> Evaluation:
    """Evaluate a search.

    Parameters
    ----------
    request : EvaluationRequest
        What the user asks for.
    progress : Progress, optional
        Told of stages and failures.

    Returns
    -------
    Evaluation
        What came back.

    Raises
    ------
    SpeclensError
        If the evaluation cannot be done; what is done is kept.
    """
    runs = [path for path in request.inputs if (Path(path) / NAME).is_file()]
    if not runs:
        return evaluate_files(
            request.inputs, request.output, request.asked.configuration(), request.repeats,
            request.seed, request.n_workers, progress, request.catalogue,
        )  # fmt: skip
    if len(request.inputs) > 1 or request.catalogue:
        raise ConfigError(
            f"{runs[0]} is a run, which brings its inputs and its catalogue: evaluate it alone"
        )
    config, record = _of_run(Path(runs[0]), request)
    return evaluate_files(
        record.inputs, request.output, config, request.repeats, request.seed, request.n_workers,
        progress, record.catalogue, record.verify,
    )  # fmt: skip


def _of_run(run: Path, request: EvaluationRequest) -> tuple[Config, RunRecord]:
    """Return the configuration of a run, and its record."""
    if Path(os.path.realpath(request.output)).is_relative_to(os.path.realpath(run)):
        raise RunError(f"{request.output}: it is the run, or within it; choose another -o")
    with existing_folder(run, RUN, untouched=True) as folder:
        record = read_record(folder)
    if replace(request.asked, overrides=()) != Asked():
        raise ConfigError(
            f"{run} is a run, which brings its configuration: only --set can be given, of "
            f"{', '.join(OWN_SECTIONS)}"
        )
    named = {text.split(".")[0].strip() for text in request.asked.overrides}
    if named - {*OWN_SECTIONS}:
        raise ConfigError(
            f"--set {', '.join(sorted(named - {*OWN_SECTIONS}))}: {run} was searched and vetted "
            f"by its own; only {', '.join(OWN_SECTIONS)} can change"
        )
    config = load_config(None, request.asked.overrides, record.configuration)
    _refuse_changed(run, record, config)
    return config, record


def _refuse_changed(run: Path, record: RunRecord, config: Config) -> None:
    """Refuse a run whose network, or growth of the errors, is no more what it was."""
    models = filter(None, (model_of(own) for own in config.each.values()))
    model = ", ".join(dict.fromkeys(model.digest for model in models)) or None
    found = {"model": record.model_sha256, "growth of the errors": record.sky_sha256}
    now = {"model": model, "growth of the errors": read_growth(config.noise.growth).digest}
    changed = [name for name in found if found[name] != now[name]]
    if changed:
        raise RunError(
            f"{run}: was searched with another {' and another '.join(changed)} than is there now: "
            "search again into another folder, and evaluate that"
        )
