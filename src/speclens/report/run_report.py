"""`speclens report`: from the tables of a run to its pages.

In: vetted hits, what was gathered of them, the record of the run. Out: RUN/report.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speclens.candidates.readings import stored_readings
from speclens.config import Config
from speclens.errors import fault_of
from speclens.evidence.store import Evidence, evidence_paths, read_evidence
from speclens.inspections.gradebook import stored_inspections
from speclens.report.pages import PROFILES, WORTH, Drawn, write_hit_page, write_pages
from speclens.run.progress import Progress, Silent
from speclens.run.record import RunRecord
from speclens.run.workers import map_shards, worth_starting
from speclens.schema import vet_bits
from speclens.spectra import FittedSpectra
from speclens.vet.overdensity import Density, frames_of
from speclens.vet.probability import odds_terms
from speclens.vet.vetting import Vetted
from speclens.view.content import DensityFrame, RunContent
from speclens.view.profiles import draw_profiles
from speclens.view.wording import is_lya

__all__ = ["make_report"]

SECONDS_A_HIT = 0.01
FRAME_LABELS = {
    "DENSE_OBSERVED": "observed wavelength, vacuum (\u00c5)",
    "DENSE_REST": "wavelength in the frame of the lens (\u00c5)",
}


def make_report(
    folder: Path,
    record: RunRecord,
    vetted: Vetted,
    candidates: NDArray[np.void],
    config: Config,
    n_workers: int,
    progress: Progress | None = None,
) -> dict[int, str]:
    """Write the report of a run.

    Parameters
    ----------
    folder : Path
        The run.
    record : RunRecord
        What run.json holds.
    vetted : Vetted
        Hits and published systems.
    candidates : structured array
        Rows of candidates.*, best first.
    config : Config
        The configuration.
    n_workers : int
        Number of processes.
    progress : Progress, optional
        Told of the survey files whose hits are drawn.

    Returns
    -------
    dict of int to str
        Hits, by row of hits.fits, of which something cannot be shown, and why.

    Raises
    ------
    RunError
        If what was gathered is missing, or the report cannot be written; the old one stays.
    """
    content = RunContent(
        record,
        vetted.hits,
        candidates,
        vetted.companions,
        vetted.known,
        config,
        odds_terms(vetted.hits),
        list(_density(vetted.hits, config)),
        *stored_readings(folder),
        stored_inspections(folder, vetted.hits)[0],
    )
    paths = evidence_paths(folder / "work", vetted.hits)
    draw = partial(
        _draw, content=content, paths=paths, n_workers=n_workers, listener=progress or Silent()
    )
    return write_pages(folder / "report", content, draw)


def _density(hits: NDArray[np.void], config: Config) -> Iterator[DensityFrame]:
    """Count the hits by wavelength, as the test of over-densities does."""
    wave, z = (np.asarray(hits[name], np.float64) for name in ("WAVE", "Z"))
    for name, frame in frames_of(wave, z).items():
        placed = np.isfinite(frame)
        if not placed.any():
            continue
        density = Density(frame[placed], config.vet)
        flagged = hits["VET_FLAGS"][placed] & vet_bits([name]) != 0
        tested = placed.sum() >= config.vet.dense_min_hits
        yield DensityFrame(
            FRAME_LABELS[name],
            density.edges,
            density.counts,
            density.limit if tested else None,
            np.isin(np.arange(len(density.counts)), density.bins[flagged]),
        )


@dataclass(frozen=True)
class _Task:
    """What all survey files share: the folder, the run, the rows whose profiles are drawn."""

    folder: Path
    content: RunContent
    number_of: Mapping[int, int]
    shown: Mapping[int, int]


@dataclass
class _OfFile(Drawn):
    """What became of the hits of one survey file, and the spectra whose profiles are drawn."""

    candidates: list[int] = field(default_factory=list)
    windows: list[FittedSpectra] = field(default_factory=list)


def _draw(
    part: Path, content: RunContent, paths: Sequence[Path], n_workers: int, listener: Progress
) -> Drawn:
    """Write the figures and pages that need spectra into the folder of the report."""
    lya = [p for p in content.places if p.candidate >= 0 and is_lya(content.hits[p.hit])]
    best = lya[: content.config.report.n_profiles]
    task = _Task(
        part,
        content,
        {place.hit: number for number, place in enumerate(content.places)},
        {place.hit: place.candidate for place in best},
    )
    everything = _OfFile()
    n_workers = worth_starting(n_workers, SECONDS_A_HIT * len(content.places))
    listener.stage("pages of hits", len(paths), "hits")
    for drawn in map_shards(_draw_file, task, paths, n_workers):
        everything.thumbnails |= drawn.thumbnails
        everything.written |= drawn.written
        everything.faults |= drawn.faults
        everything.candidates += drawn.candidates
        everything.windows += drawn.windows
        listener.advance(len(drawn.written))
    if everything.windows:
        chosen = content.candidates[everything.candidates]
        draw_profiles(part / PROFILES, chosen, everything.windows)
    if content.record.worth:
        from speclens.view.selection import draw_worth

        draw_worth(part / WORTH, content.record.worth)
    return Drawn(everything.thumbnails, everything.written, everything.faults)


def _draw_file(task: _Task, path: Path) -> _OfFile:
    """Write figures and pages of the hits of one survey file."""
    content = task.content
    evidence = read_evidence(path)
    drawn = _OfFile()
    for i, hit in enumerate(evidence.hit.tolist()):
        if hit not in task.number_of:
            continue
        number = task.number_of[hit]
        try:
            _draw_figure(task, number, evidence, i, drawn)
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001 - its page says so, the notes and the exit code too
            drawn.faults[hit] = fault_of(error)
        write_hit_page(task.folder, content, number, drawn.faults)
        drawn.written.add(hit)
    return drawn


def _draw_figure(task: _Task, number: int, evidence: Evidence, i: int, drawn: _OfFile) -> None:
    from speclens.view.hit_figure import draw_hit, thumbnail

    place = task.content.places[number]
    one = np.array([i])
    window, whole = evidence.window[one], evidence.whole[one]
    row = task.content.hits[place.hit]
    config = task.content.config.of(str(row["SEARCH"]))
    draw_hit(task.folder / place.figure, row, window, whole, config.vet)
    drawn.thumbnails[place.hit] = thumbnail(row, window)
    if place.hit in task.shown:
        drawn.candidates.append(task.shown[place.hit])
        drawn.windows.append(window)
