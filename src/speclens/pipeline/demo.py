"""`speclens demo`: a mock survey, searched, and compared with what was put in.

In: a configuration and a seed. Out: RUN/survey in BOSS's files, the run itself, and for every kind
of line how many were put in and how many gave a hit.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config
from speclens.errors import RunError
from speclens.pipeline.progress import Progress, Silent
from speclens.pipeline.recovery import Recovery, compare
from speclens.pipeline.search import RunSummary, SearchRequest, search
from speclens.pipeline.workers import map_shards
from speclens.schema import HITS
from speclens.simulate.survey import make_survey_plate, write_truth
from speclens.stored_tables import read_rows

__all__ = ["demo", "make_survey"]


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
        If the folder holds plates of another survey, which a search would find too.
    """
    listener = progress or Silent()
    plates = range(config.survey.n_plates)
    ours = {f"{config.survey.first_plate + i:04d}" for i in plates}
    foreign = sorted(p.name for p in folder.glob("*/spPlate-*.fits") if p.parent.name not in ours)
    if foreign:
        raise RunError(f"{folder}: holds another survey ({foreign[0]}); choose another -o")
    listener.stage("mock plates", len(plates))
    targets: list[NDArray[np.void]] = []
    truth: list[NDArray[np.void]] = []
    for rows in map_shards(_make_plate, (folder, config, seed), plates, n_workers):
        targets.append(rows[0])
        truth.append(rows[1])
        listener.advance(len(rows[0]))
    write_truth(folder, targets, truth, seed)


def demo(
    output: Path, config: Config, seed: int, n_workers: int, progress: Progress | None = None
) -> tuple[RunSummary, list[Recovery]]:
    """Simulate a survey, search it, and compare.

    Parameters
    ----------
    output : Path
        The run's folder; the survey goes into its subfolder `survey`.
    config : Config
        The configuration.
    seed : int
        Seed of the survey.
    n_workers : int
        Number of processes.
    progress : Progress, optional
        Told of the stages.

    Returns
    -------
    summary : RunSummary
        Counts of the search.
    recovered : list of Recovery
        What came back, by kind of line.
    """
    survey = output / "survey"
    make_survey(survey, config, seed, n_workers, progress)
    request = SearchRequest([str(survey)], output, config, n_workers=n_workers)
    summary = search(request, progress)
    hits = read_rows(output / "hits.fits", HITS)
    return summary, compare([survey], output, hits, config)


def _make_plate(
    shared: tuple[Path, Config, int], index: int
) -> tuple[NDArray[np.void], NDArray[np.void]]:
    folder, config, seed = shared
    return make_survey_plate(folder, index, config, seed)
