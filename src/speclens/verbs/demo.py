"""`speclens demo`: a mock survey, searched, and compared with what was put in.

In: a configuration and a seed. Out: RUN/survey in BOSS's or DESI's files, the run itself, and for
every kind of line how many were put in and how many gave a hit.
"""

from __future__ import annotations

from pathlib import Path

from speclens.config import Config
from speclens.evaluate.recovery import Recovery, compare
from speclens.products import refuse_link
from speclens.run.folder import locked_folder
from speclens.run.kinds import RUN
from speclens.run.progress import Progress
from speclens.run.workers import sharing_processes
from speclens.schema import HITS
from speclens.simulate.mock_survey import make_survey
from speclens.stored_tables import read_rows
from speclens.verbs.search import RunSummary, SearchRequest, search

__all__ = ["demo"]


@sharing_processes()
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
    with locked_folder(output, RUN) as folder:
        refuse_link(folder.path / "survey")
        make_survey(survey, config, seed, n_workers, progress)
    request = SearchRequest([str(survey)], output, config, n_workers=n_workers)
    summary = search(request, progress)
    hits = read_rows(output / "hits.fits", HITS)
    return summary, compare([survey], output, hits, config)
