"""Several searches of the same spectra with the same sources, shard by shard.

In: searches, shards, the number of repeats. Out: for each spectrum and repeat the highest value
that each search ranks its hits by, and where these are. What is done is kept; the number of
processes does not show. Candidates are left to `speclens.evaluate.compared_candidates`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config
from speclens.evaluate.entries import Entry
from speclens.evaluate.injection import Injection
from speclens.evaluate.parts import ShardPart, make_parts
from speclens.evaluate.search_scores import OfStep, SearchScores, ranked, scores_of
from speclens.evaluate.shared_window import SameSources, SharedWindow
from speclens.evaluate.vetting import crowd_of
from speclens.read.shards import Shard
from speclens.read.survey import ReadSettings
from speclens.run.progress import Progress
from speclens.run.store import ShardStore
from speclens.run.workers import map_shards
from speclens.search.scan import Scanner, ScanSettings
from speclens.search.scanned import Scanned, rescued, scanned, stored_rows
from speclens.search.shard_rows import ShardRows, join_rows

__all__ = ["ScoredShard", "Side", "SideSettings", "score_shards"]


@dataclass(frozen=True)
class Side:
    """What is searched, and stored, at a time.

    Parameters
    ----------
    entry, step : int
        The search, and its thresholds.
    part : ShardPart
        Files and repeats.
    """

    entry: int
    step: int
    part: ShardPart


@dataclass(frozen=True)
class SideSettings:
    """What all share: plain data, sent to every worker.

    Parameters
    ----------
    entries : tuple of Entry
        The searches.
    store : ShardStore
        Where results go.
    reference : Config
        The first search, with the window that all share: it says where sources can be put.
    source : str
        What is put in: `lya` or `elg`.
    seed : int
        Seed of all sources.
    """

    entries: tuple[Entry, ...]
    store: ShardStore
    reference: Config
    source: str
    seed: int

    def of(self, side: Side, shared: SharedWindow | None = None) -> ScanSettings:
        """Return the settings of a search.

        Parameters
        ----------
        side : Side
            The search, and what it searches.
        shared : SharedWindow, optional
            Says where sources can be put; nothing is put in when not given.

        Returns
        -------
        ScanSettings
            With its sources, and with a store of its own.
        """
        entry = self.entries[side.entry]
        store = self.store.part(f"{entry.name}/{side.step}/{side.part.repeats}")
        reading = ReadSettings(tables=entry.config.tables)
        settings = ScanSettings(entry.steps[side.step], store, reading)
        if shared is None:
            return settings
        return replace(settings, wrap=SameSources(self.injection(side.part), shared))

    def injection(self, part: ShardPart) -> Injection:
        """Return what puts the sources of a part in.

        Parameters
        ----------
        part : ShardPart
            Files and repeats.

        Returns
        -------
        Injection
            Plain data.
        """
        return Injection(self.reference, self.seed, part.repeats, (self.source,))


class _Searches:
    """All searches, in the process that works: engines cannot travel."""

    def __init__(self, settings: SideSettings) -> None:
        self.settings, self.shared = settings, SharedWindow(settings.reference)
        self._scanners: dict[tuple[int, int], Scanner] = {}

    def scanner(self, side: Side) -> Scanner:
        """Return the scanner of a side, with an engine that was opened once."""
        settings = self.settings.of(side, self.shared)
        key = side.entry, side.step
        scanner = self._scanners.setdefault(key, Scanner(settings))
        return scanner.around(settings)


@dataclass(frozen=True)
class ScoredShard:
    """A shard that all searches have seen.

    Parameters
    ----------
    scores : SearchScores
        What each makes of it.
    crowds : tuple of structured array
        WAVE and Z of the hits of each search, as it is, in the spectra as they are.
    searched : mapping of Side to Path
        Where the rows of each side are.
    """

    scores: SearchScores
    crowds: tuple[NDArray[np.void], ...]
    searched: Mapping[Side, Path]

    @property
    def rows(self) -> dict[OfStep, ShardRows]:
        """What each search found at each of its steps, read from the disk."""
        return rows_of_steps(self.searched)


def score_shards(
    settings: SideSettings,
    shards: Sequence[Shard],
    n_repeats: int,
    n_workers: int,
    diary: Path,
    progress: Progress,
    failures: dict[str, None],
) -> Iterator[ScoredShard]:
    """Search all shards with all searches.

    Parameters
    ----------
    settings : SideSettings
        What all share.
    shards : sequence of Shard
        The files.
    n_repeats : int
        Sources put into each spectrum, one at a time.
    n_workers : int
        Number of processes.
    diary : Path
        As for `map_shards`.
    progress : Progress
        Told of the work.
    failures : dict of str
        One line for each file that failed is added.

    Yields
    ------
    ScoredShard
        Of each shard, in order.
    """
    sides = [
        Side(entry, step, part)
        for part in make_parts(shards, n_repeats)
        if not part.kinds  # an evaluation's nulls
        for entry, one in enumerate(settings.entries)
        for step in range(len(one.steps))
    ]
    progress.stage("spectra", len(sides))
    results = map_shards(
        _scan, settings, sides, n_workers,
        begin=_Searches, rescue=partial(_rescued, settings), tell=progress.message, diary=diary,
    )  # fmt: skip
    for _, of_shard in groupby(
        zip(sides, results, strict=True), key=lambda pair: pair[0].part.shard
    ):
        searched: dict[Side, Path] = {}
        for side, done in of_shard:
            searched[side] = done.path
            for text in done.messages:
                if text not in failures:
                    progress.message(text)
                failures[text] = None
            progress.advance(done.n_spectra)
        rows = rows_of_steps(searched)
        values = {
            key: ranked(one.hits, settings.entries[key[0]].config) for key, one in rows.items()
        }
        yield ScoredShard(
            scores_of(settings.entries, rows, values, settings.reference),
            tuple(crowd_of(rows[entry, 0]) for entry in range(len(settings.entries))),
            searched,
        )


def rows_of_steps(searched: Mapping[Side, Path]) -> dict[OfStep, ShardRows]:
    """Read what each search found in a shard at each of its steps."""
    parts: dict[OfStep, list[ShardRows]] = {}
    for side, path in searched.items():
        parts.setdefault((side.entry, side.step), []).append(stored_rows(path))
    return {key: join_rows(of_key) for key, of_key in parts.items()}


def _scan(searches: _Searches, side: Side) -> Scanned:
    return scanned(searches.scanner(side), side.part.shard)


def _rescued(settings: SideSettings, side: Side, alone: Callable[[Side], Scanned]) -> Scanned:
    def of_files(shard: Shard) -> Scanned:
        return alone(replace(side, part=replace(side.part, shard=shard)))

    return rescued(settings.of(side), side.part.shard, of_files)
