"""A mock survey in BOSS's files, plate by plate.

In: a configuration and a seed. Out: a folder of spPlate and spZbest files, a catalogue, and the
truth; the same bytes for any number of workers.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config
from speclens.products import refuse_link
from speclens.run.folder import marked_folder
from speclens.run.kinds import SURVEY
from speclens.run.progress import Progress, Silent
from speclens.run.workers import map_shards
from speclens.simulate.survey import make_survey_plate, write_truth

__all__ = ["make_survey"]

BYTES_A_PIXEL = 30
"""Flux, error, two masks, line spread, sky and model."""


def make_survey(
    folder: Path, config: Config, seed: int, n_workers: int, progress: Progress | None = None
) -> None:
    """Simulate and write a mock survey.

    Parameters
    ----------
    folder : Path
        Folder of the survey.
    config : Config
        Sections `survey` and `emitters`.
    seed : int
        Seed of the survey.
    n_workers : int
        Number of processes; the files do not depend on it.
    progress : Progress, optional
        Told of the plates.

    Raises
    ------
    RunError
        If the folder holds something else, or another survey.
    """
    listener = progress or Silent()
    survey = config.survey
    plates = range(survey.n_plates)
    setup = {
        "seed": seed,
        "configuration": config.deciding("survey"),
    }
    targets: list[NDArray[np.void]] = []
    truth: list[NDArray[np.void]] = []
    place = marked_folder(folder, SURVEY, setup)
    place.require(survey.n_plates * survey.n_fibres * survey.n_pixels * BYTES_A_PIXEL)
    _refuse_links(place.path, [f"{survey.first_plate + i:04d}" for i in plates], survey.run2d)
    listener.stage("mock plates", len(plates))
    for rows in map_shards(_make_plate, (place.path, config, seed), plates, n_workers):
        targets.append(rows[0])
        truth.append(rows[1])
        listener.advance(len(rows[0]))
    write_truth(place.path, targets, truth, seed)


def _refuse_links(folder: Path, plates: Sequence[str], run2d: str) -> None:
    """Refuse links where folders of plates are to be."""
    for plate in plates:
        refuse_link(folder / plate)
        refuse_link(folder / plate / run2d)


def _make_plate(
    shared: tuple[Path, Config, int], index: int
) -> tuple[NDArray[np.void], NDArray[np.void]]:
    folder, config, seed = shared
    return make_survey_plate(folder, index, config, seed)
