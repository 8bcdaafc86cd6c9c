"""`speclens demo`: a mock survey, searched, and compared with what was put in.

In: a configuration and a seed. Out: RUN/survey in BOSS's files, the run itself, and for every kind
of line how many were put in and how many gave a hit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config
from speclens.errors import RunError
from speclens.evaluate.completeness import match_lines
from speclens.pipeline.progress import Progress, Silent
from speclens.pipeline.search import RunSummary, SearchRequest, search
from speclens.pipeline.workers import map_shards
from speclens.products import read_rows, read_table
from speclens.schema import HITS
from speclens.simulate.survey import make_survey_plate, write_truth

__all__ = ["Recovery", "compare", "demo", "kinds_of", "make_survey"]


@dataclass(frozen=True)
class Recovery:
    """What came back of one kind of line.

    Parameters
    ----------
    kind : str
        Kind of line.
    n_lines, n_scored, n_hits : int
        Lines put in, in spectra that were scored, and of those with a hit.
    n_candidates : int
        Hits that vetting left.
    n_bright, n_bright_hits : int
        Scored lines and hits, of a bright ideal signal-to-noise ratio (`evaluation.bright_snr`).
    """

    kind: str
    n_lines: int
    n_scored: int
    n_hits: int
    n_candidates: int
    n_bright: int
    n_bright_hits: int


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
    return summary, compare(survey, output, config)


def compare(survey: Path, output: Path, config: Config) -> list[Recovery]:
    """Compare the hits of a run with the lines that were put in.

    Parameters
    ----------
    survey : Path
        Folder of the mock survey.
    output : Path
        The run.
    config : Config
        Says how near a hit must be.

    Returns
    -------
    list of Recovery
        One for each kind of line, and `other`: hits where nothing was put in.
    """
    truth = np.asarray(read_table(survey / "truth.fits").as_array())
    hits = read_rows(output / "hits.fits", HITS)
    spectra = read_table(output / "spectra.fits")
    scored = np.asarray(spectra["TARGETID"])[np.asarray(spectra["STATUS"] == "scored")]
    match = match_lines(truth, hits, config.evaluation.match_pixels)
    scored = np.isin(truth["TARGETID"], scored)
    bright = scored & (truth["IDEAL_SNR"] > config.evaluation.bright_snr)
    candidate = np.append(hits["CANDIDATE"], False)[match]
    kinds = list(dict.fromkeys(truth["KIND"].tolist()))
    recovered = [
        _recovery(kind, truth["KIND"] == kind, scored, bright, match, candidate) for kind in kinds
    ]
    other = np.setdiff1d(np.arange(len(hits)), match)
    n_candidates = int(hits["CANDIDATE"][other].sum())
    return [*recovered, Recovery("other", 0, 0, len(other), n_candidates, 0, 0)]


def kinds_of(
    survey: Path, hits: NDArray[np.void], config: Config
) -> tuple[NDArray[np.str_], NDArray[np.float64]]:
    """Say what each hit in a mock survey is.

    Parameters
    ----------
    survey : Path
        Folder of the mock survey.
    hits : structured array of shape (H,)
        Rows of hits.fits.
    config : Config
        Says how near a hit must be.

    Returns
    -------
    kind : array of shape (H,)
        Kind of the line put in there; `other` where none was.
    ideal_snr : array of shape (H,)
        Its ideal signal-to-noise ratio; NaN without a line.
    """
    truth = np.asarray(read_table(survey / "truth.fits").as_array())
    match = match_lines(truth, hits, config.evaluation.match_pixels)
    found = match >= 0
    kind, ideal = np.full(len(hits), "other", "U16"), np.full(len(hits), np.nan)
    kind[match[found]], ideal[match[found]] = truth["KIND"][found], truth["IDEAL_SNR"][found]
    return kind, ideal


def _recovery(
    kind: str,
    of_kind: NDArray[np.bool_],
    scored: NDArray[np.bool_],
    bright: NDArray[np.bool_],
    match: NDArray[np.intp],
    candidate: NDArray[np.bool_],
) -> Recovery:
    counts: Sequence[NDArray[np.bool_]] = (
        of_kind,
        of_kind & scored,
        of_kind & scored & (match >= 0),
        of_kind & scored & (match >= 0) & candidate,
        of_kind & bright,
        of_kind & bright & (match >= 0),
    )
    return Recovery(kind, *(int(count.sum()) for count in counts))


def _make_plate(
    shared: tuple[Path, Config, int], index: int
) -> tuple[NDArray[np.void], NDArray[np.void]]:
    folder, config, seed = shared
    return make_survey_plate(folder, index, config, seed)
