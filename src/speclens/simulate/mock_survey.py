"""A mock survey in BOSS's files, plate by plate, or in DESI's, coadd by coadd.

In: a configuration and a seed. Out: a folder of spPlate and spZbest files with a catalogue, or of
coadd and redrock files; the truth; the same bytes for any number of workers.
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
from speclens.simulate.plates import write_spall
from speclens.simulate.spectrographs import n_pixels
from speclens.simulate.survey import make_survey_plate, write_truth

__all__ = ["make_survey"]

BYTES_A_PIXEL = {"sdss": 30, "desi": 56}
"""Of flux and error, and beside them two masks, line spread, sky and model of a plate; mask and
resolution matrix of a coadd."""


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
    n_spectra = survey.n_plates * survey.n_fibres
    place.require(n_spectra * n_pixels(survey) * BYTES_A_PIXEL[survey.instrument])
    _refuse_links(place.path, [f"{survey.first_plate + i:04d}" for i in plates], survey.run2d)
    listener.stage("mock coadds" if survey.instrument == "desi" else "mock plates", len(plates))
    for rows in map_shards(_make_plate, (place.path, config, seed), plates, n_workers):
        targets.append(rows[0])
        truth.append(rows[1])
        listener.advance(len(rows[0]))
    if survey.instrument == "sdss":
        write_spall(place.path / "spAll-mock.fits", np.concatenate(targets))
    write_truth(place.path, truth, seed)


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
