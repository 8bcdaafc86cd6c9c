"""`speclens report`: from the tables of a run to its pages.

In: vetted hits, what was gathered of them, the record of the run. Out: RUN/report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config
from speclens.pipeline.evidence import evidence_paths, read_evidence
from speclens.pipeline.vet import Vetted
from speclens.pipeline.workers import map_shards, worth_starting
from speclens.report.content import RunContent, candidate_paths
from speclens.report.pages import PROFILES, write_pages
from speclens.spectra import FittedSpectra, LogGrid

__all__ = ["make_report"]

SECONDS_A_FIGURE = 0.07


def make_report(
    folder: Path,
    record: Mapping[str, Any],
    vetted: Vetted,
    config: Config,
    n_workers: int,
) -> None:
    """Write the report of a run.

    Parameters
    ----------
    folder : Path
        The run.
    record : mapping
        The content of run.json.
    vetted : Vetted
        Hits and candidates.
    config : Config
        The configuration.
    n_workers : int
        Number of processes.

    Raises
    ------
    RunError
        If what was gathered is missing, or the report cannot be written; the old one stays.
    """
    content = RunContent(
        record,
        vetted.hits,
        vetted.candidates,
        vetted.companions,
        vetted.known,
        config,
        record["notes"],
        record["truth"],
    )
    paths = evidence_paths(folder / "work", vetted.hits)
    draw = partial(_draw, content=content, paths=paths, n_workers=n_workers)
    write_pages(folder / "report", content, draw)


def _draw(part: Path, content: RunContent, paths: Sequence[Path], n_workers: int) -> None:
    """Draw the figures that need spectra into the folder of the report."""
    places = candidate_paths(content.hits, content.candidates)
    row_of = {place.hit: i for i, place in enumerate(places)}
    shared = (
        content.candidates,
        row_of,
        {place.hit: part / place.figure for place in places},
        _shown(content.candidates, content.config),
        content.config,
    )
    rows: list[int] = []
    lines: list[FittedSpectra] = []
    n_workers = worth_starting(n_workers, SECONDS_A_FIGURE * len(places))
    for of_file, spectra in map_shards(_draw_file, shared, paths, n_workers):
        rows += of_file
        lines.append(spectra)
    if rows:
        from speclens.report.profiles import draw_profiles

        chosen = content.candidates[rows]
        draw_profiles(part / PROFILES, chosen, _joined(lines))


def _shown(candidates: NDArray[np.void], config: Config) -> set[int]:
    """Rows of the candidates whose profiles are drawn: the best."""
    return set(range(min(config.report.n_profiles, len(candidates))))


def _draw_file(
    shared: tuple[NDArray[np.void], dict[int, int], dict[int, Path], set[int], Config], path: Path
) -> tuple[list[int], FittedSpectra]:
    """Draw the candidates of one survey file; return the spectra whose profiles are drawn."""
    from speclens.report.candidate_figure import draw_candidate

    candidates, row_of, figures, shown, config = shared
    evidence = read_evidence(path, LogGrid.covering(*config.preparation.window))
    kept: list[int] = []
    rows: list[int] = []
    for i, hit in enumerate(evidence.hit.tolist()):
        if hit not in row_of:
            continue
        one, row = np.array([i]), row_of[hit]
        window, whole = evidence.window[one], evidence.whole[one]
        draw_candidate(figures[hit], candidates[row], window, whole, config.vet)
        if row in shown:
            kept.append(i)
            rows.append(row)
    return rows, evidence.window[np.array(kept, np.intp)]


def _joined(parts: Sequence[FittedSpectra]) -> FittedSpectra:
    names = ("flux", "ivar", "model", "dispersion")
    arrays = [np.concatenate([getattr(part, name) for part in parts]) for name in names]
    return FittedSpectra(parts[0].grid, *arrays)
