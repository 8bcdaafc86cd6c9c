"""Candidates of searches side by side: their hits, vetted as those of an evaluation are.

In: what all searches found, shard by shard. Out: for each spectrum and repeat the highest value by
which candidates are ranked, at the source that was put in, or anywhere where none was. Only hits
that count are vetted, each once however many steps of a search have it; what is done is kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config
from speclens.errors import RunError
from speclens.evaluate.counting import truth_of
from speclens.evaluate.false_hits import score_of
from speclens.evaluate.parts import ShardPart
from speclens.evaluate.search_scores import (
    NOTHING,
    OfStep,
    SearchScores,
    counting_hits,
    ranked,
    scores_of,
    threshold_of,
)
from speclens.evaluate.side_by_side import ScoredShard, SideSettings
from speclens.evaluate.vetting import Vetter
from speclens.run.progress import Progress
from speclens.run.store import load_arrays, save_arrays
from speclens.run.workers import DIARY, map_shards
from speclens.search.scanned import stored_rows
from speclens.search.shard_rows import ShardRows, join_rows

__all__ = ["VettedSides", "candidate_scores", "vetting_floors"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class VettedSides:
    """What the vetting of all searches shares: plain data, sent to every worker.

    Parameters
    ----------
    sides : SideSettings
        The searches, and what was put in.
    work : Path
        Where results go.
    crowds : tuple of structured array
        `speclens.evaluate.vetting.CROWD` of each search: its hits, as it is, in the spectra as they
        are.
    floors : tuple of tuple of float
        What hits of each search exceed that are vetted, at each of its steps.
    """

    sides: SideSettings
    work: Path
    crowds: tuple[NDArray[np.void], ...]
    floors: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class _Found:
    """What is vetted, and stored, at a time: what all steps of a search found in a part."""

    entry: int
    part: ShardPart
    paths: tuple[Path, ...]


class _Vetters:
    """The vetting of all searches, in the process that works."""

    def __init__(self, settings: VettedSides) -> None:
        self.settings = settings
        self._vetters: dict[int, Vetter] = {}

    def of(self, entry: int) -> Vetter:
        """Return the vetting of a search, made once."""
        if entry not in self._vetters:
            settings = self.settings
            scan = settings.sides.entries[entry].scan(settings.sides.store)
            self._vetters[entry] = Vetter(scan, settings.work, settings.crowds[entry])
        return self._vetters[entry]


def vetting_floors(hits: SearchScores, config: Config) -> tuple[tuple[float, ...], ...]:
    """Return what hits exceed that are vetted.

    Parameters
    ----------
    hits : SearchScores
        Of the hits of each search, at each of its steps.
    config : Config
        Section `comparison`: false alarms a spectrum, down to which hits are vetted.

    Returns
    -------
    tuple of tuple of float
        By search and step; -inf for a search as it is, and where the spectra are too few for that
        rate.
    """
    rate = config.comparison.vetted_rate
    if rate * len(hits.spectra) < 1:
        return tuple((NOTHING,) * len(of_search) for of_search in hits.empty)
    return tuple(
        (NOTHING, *(threshold_of(empty, rate) for empty in of_search[1:]))
        for of_search in hits.empty
    )


def candidate_scores(
    settings: VettedSides, shards: Sequence[ScoredShard], n_workers: int, progress: Progress
) -> SearchScores:
    """Vet what was found in all shards, or find it done.

    Parameters
    ----------
    settings : VettedSides
        What all share.
    shards : sequence of ScoredShard
        What was found.
    n_workers : int
        Number of processes.
    progress : Progress
        Told of the work.

    Returns
    -------
    SearchScores
        Of the candidates: of the same spectra and sources as those of the hits; NaN of a search
        whose hits vetting cannot weigh.

    Raises
    ------
    RunError
        If a stored result vanishes, or a part kills its process.
    """
    found = [list(_found(settings.sides, shard)) for shard in shards]
    tasks = [task for of_shard in found for task in of_shard]
    progress.stage("vetting", len(tasks), "hits")
    vetted = map_shards(
        _vet, settings, tasks, n_workers,
        begin=_Vetters, tell=progress.message, diary=settings.work / DIARY,
    )  # fmt: skip
    parts = []
    for shard, of_shard in zip(shards, found, strict=True):
        values: dict[OfStep, list[Floats]] = {}
        for task in of_shard:
            path, n_hits = next(vetted)
            for step, of_step in enumerate(_stored(path, len(task.paths))):
                values.setdefault((task.entry, step), []).append(of_step)
            progress.advance(n_hits)
        rows = shard.rows
        known = {
            key: np.concatenate(values.get(key, [np.full(len(one.hits), NOTHING)]))
            for key, one in rows.items()
        }
        parts.append(scores_of(settings.sides.entries, rows, known, settings.sides.reference))
    return _unweighed_unknown(settings.sides, SearchScores.joined(parts))


def _found(settings: SideSettings, shard: ScoredShard) -> Iterator[_Found]:
    """Yield what each search that can be weighed found in each part of a shard."""
    steps: dict[tuple[int, ShardPart], list[Path]] = {}
    for side, path in shard.searched.items():
        if settings.entries[side.entry].weighed:
            steps.setdefault((side.entry, side.part), []).append(path)
    for (entry, part), paths in steps.items():
        yield _Found(entry, part, tuple(paths))


def _unweighed_unknown(settings: SideSettings, scores: SearchScores) -> SearchScores:
    """Leave what is not known of searches whose hits vetting cannot weigh."""
    weighed = [entry.weighed for entry in settings.entries]
    empty, found = (
        tuple(
            of if known else np.full_like(of, np.nan)
            for known, of in zip(weighed, both, strict=True)
        )
        for both in (scores.empty, scores.found)
    )
    return replace(scores, empty=empty, found=found)


def _vet(vetters: _Vetters, found: _Found) -> tuple[Path, int]:
    """Vet what a search found in a part, and store what its hits count as candidates.

    Also tells how many hits these are that are vetted now, not found done.
    """
    settings, shard = vetters.settings, found.part.shard
    entry = settings.sides.entries[found.entry]
    store = settings.sides.store.part(f"{entry.name}/candidates/{found.part.repeats}")
    path = store.path(shard.kind.name, shard.files)
    steps = [stored_rows(place) for place in found.paths]
    floors = settings.floors[found.entry]
    made_of = hashlib.sha256(repr(floors).encode())
    made_of.update(settings.crowds[found.entry].tobytes())
    for rows in steps:
        made_of.update(f"{rows.digest}/{rows.hint}".encode())
        made_of.update(np.ascontiguousarray(rows.hits).tobytes())
    stored, n_hits = load_arrays(path), 0
    if stored is None or str(stored.get("made_of")) != made_of.hexdigest():
        vetted, n_hits = _values(vetters, found, steps, floors)
        arrays = {f"step_{step}": values for step, values in enumerate(vetted)}
        save_arrays(path, made_of=np.array(made_of.hexdigest()), **arrays)
    return path, n_hits


def _stored(path: Path, n_steps: int) -> list[Floats]:
    stored = load_arrays(path)
    if stored is None:
        raise RunError(f"{path}: vanished; run the same command again")
    return [stored[f"step_{step}"] for step in range(n_steps)]


def _values(
    vetters: _Vetters, found: _Found, steps: Sequence[ShardRows], floors: Sequence[float]
) -> tuple[list[Floats], int]:
    """Return by what each hit is ranked as a candidate, step by step, and how many are vetted.

    What is no candidate has nothing; a hit of several steps is vetted once.
    """
    sides, rows = vetters.settings.sides, join_rows(steps)
    config = sides.entries[found.entry].config
    n_hits = [len(one.hits) for one in steps]
    high = ranked(rows.hits, config) > np.repeat(np.asarray(floors, np.float64), n_hits)
    chosen = np.flatnonzero(high & counting_hits(rows, sides.reference))
    first, again = _distinct(rows, chosen)
    once = chosen[first]
    vetted = vetters.of(found.entry)(
        found.part.shard,
        replace(rows, hits=rows.hits[once], hit_rows=rows.hit_rows[once]),
        sides.injection(found.part),
    )
    values = np.full(len(rows.hits), NOTHING)
    values[chosen] = np.where(vetted["CANDIDATE"], score_of(vetted), NOTHING)[again]
    return np.split(values, np.cumsum(n_hits)[:-1]), len(once)


def _distinct(
    rows: ShardRows, chosen: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return one of each hits that are the same, and which of these each is."""
    repeats = truth_of(rows)["REPEAT"][rows.hit_rows[chosen]].tolist()
    number: dict[tuple[int, bytes], int] = {}
    first: list[int] = []
    again = np.zeros(len(chosen), np.intp)
    for i, hit in enumerate(chosen.tolist()):
        key = repeats[i], rows.hits[hit].tobytes()
        if key not in number:
            number[key] = len(first)
            first.append(i)
        again[i] = number[key]
    return np.array(first, np.intp), again
