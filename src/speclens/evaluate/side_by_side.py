"""Several searches of the same spectra with the same sources, shard by shard.

In: searches, shards, the number of repeats. Out: for each spectrum and repeat the highest value
that each search ranks by, at the source that was put in, or anywhere where none was. What is done
is kept; the number of processes does not show.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config
from speclens.evaluate.counting import truth_of
from speclens.evaluate.entries import Entry
from speclens.evaluate.injection import NO_LINE, TRUTH, Injection
from speclens.evaluate.parts import ShardPart, make_parts
from speclens.evaluate.shared_window import SameSources, SharedWindow
from speclens.lines import pixel_width_angstrom
from speclens.methods import RANKED_BY
from speclens.read.shards import Shard
from speclens.read.survey import ReadSettings
from speclens.run.progress import Progress
from speclens.run.store import ShardStore
from speclens.run.workers import map_shards
from speclens.search.scan import Scanner, ScanSettings
from speclens.search.scanned import Scanned, rescued, scanned, stored_rows
from speclens.search.shard_rows import ShardRows, join_rows

__all__ = ["NOTHING", "SearchScores", "SideSettings", "score_shards"]

NOTHING = -np.inf
"""Score of a spectrum without a hit."""

PUT_IN = np.dtype([("TARGETID", "i8"), *((name, TRUTH[name]) for name in TRUTH.names or ())])
"""What was put into a spectrum, and which it is."""

Floats = NDArray[np.float64]


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
        injection = Injection(self.reference, self.seed, side.part.repeats, (self.source,))
        return replace(settings, wrap=SameSources(injection, shared))


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
class SearchScores:
    """What each search makes of the same N spectra and the same M sources in them.

    Parameters
    ----------
    spectra : structured array of shape (N,)
        TARGETID.
    lines : structured array of shape (M,)
        `PUT_IN`.
    empty : tuple of array of shape (S, N)
        Of each search, at each of its S steps, the score of a spectrum into which nothing was put.
    found : tuple of array of shape (S, M)
        And that of its hit at a source.
    n_scored : tuple of int
        How many spectra each search scored; they need not be the same.
    """

    spectra: NDArray[np.int64]
    lines: NDArray[np.void]
    empty: tuple[Floats, ...]
    found: tuple[Floats, ...]
    n_scored: tuple[int, ...]

    def without(self, targets: NDArray[np.int64]) -> SearchScores:
        """Leave spectra out.

        Parameters
        ----------
        targets : array
            TARGETID of each.

        Returns
        -------
        SearchScores
            Of the others.
        """
        stay = ~np.isin(self.spectra, targets)
        lines = ~np.isin(self.lines["TARGETID"], targets)
        return replace(
            self, spectra=self.spectra[stay], lines=self.lines[lines],
            empty=tuple(scores[:, stay] for scores in self.empty),
            found=tuple(scores[:, lines] for scores in self.found),
        )  # fmt: skip

    @classmethod
    def joined(cls, parts: Sequence[SearchScores]) -> SearchScores:
        """Join the scores of several shards.

        Parameters
        ----------
        parts : sequence of SearchScores
            Of the shards, in order.

        Returns
        -------
        SearchScores
            Of all.
        """
        empty, found = (
            tuple(
                np.concatenate(of_entry, axis=1)
                for of_entry in zip(*(getattr(part, name) for part in parts), strict=True)
            )
            for name in ("empty", "found")
        )
        return cls(
            np.concatenate([part.spectra for part in parts]),
            np.concatenate([part.lines for part in parts]),
            empty, found,
            tuple(map(sum, zip(*(part.n_scored for part in parts), strict=True))),
        )  # fmt: skip


def score_shards(
    settings: SideSettings,
    shards: Sequence[Shard],
    n_repeats: int,
    n_workers: int,
    diary: Path,
    progress: Progress,
    failures: dict[str, None],
) -> Iterator[SearchScores]:
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
    SearchScores
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
        rows: dict[tuple[int, int], list[ShardRows]] = {}
        for side, done in of_shard:
            rows.setdefault((side.entry, side.step), []).append(stored_rows(done.path))
            for text in done.messages:
                if text not in failures:
                    progress.message(text)
                failures[text] = None
            progress.advance(done.n_spectra)
        yield _scores(settings, {key: join_rows(parts) for key, parts in rows.items()})


def _scan(searches: _Searches, side: Side) -> Scanned:
    return scanned(searches.scanner(side), side.part.shard)


def _rescued(settings: SideSettings, side: Side, alone: Callable[[Side], Scanned]) -> Scanned:
    def of_files(shard: Shard) -> Scanned:
        return alone(replace(side, part=replace(side.part, shard=shard)))

    return rescued(settings.of(side), side.part.shard, of_files)


def _scores(settings: SideSettings, rows: dict[tuple[int, int], ShardRows]) -> SearchScores:
    """Return what all searches make of the spectra of a shard that all of them scored."""
    names = {key: _names(one) for key, one in rows.items()}
    scored = {key: _scored(names[key], one) for key, one in rows.items()}
    common = set.intersection(*scored.values())
    first = rows[0, 0]
    truth = _truth(first)
    # In the order of the files, each spectrum's repeats in order: it does not show what went with
    # what.
    order = [
        i
        for i in np.lexsort((truth["REPEAT"], *_places(first.spectra))).tolist()
        if names[0, 0][i][1:] in common
    ]
    kept = truth[order]
    is_plain = kept["REPEAT"] == NO_LINE
    is_line = (kept["KIND"] != "") & kept["SEARCHED"]
    keys = [names[0, 0][i] for i in order]
    empty, found = [], []
    for entry, one in enumerate(settings.entries):
        at_steps = []
        for step in range(len(one.steps)):
            of_key = dict(
                zip(names[entry, step], _best(settings, one, rows[entry, step]), strict=True)
            )
            at_steps.append([of_key.get(key, NOTHING) for key in keys])
        scores = np.array(at_steps, np.float64).reshape(len(one.steps), len(keys))
        empty.append(scores[:, is_plain])
        found.append(scores[:, is_line])
    n_scored = tuple(len(scored[entry, 0]) for entry in range(len(settings.entries)))
    return SearchScores(
        kept["TARGETID"][is_plain], kept[is_line], tuple(empty), tuple(found), n_scored
    )  # fmt: skip


def _names(rows: ShardRows) -> list[tuple[int, str, int]]:
    """Return repeat, file and row of each spectrum."""
    spectra, truth = rows.spectra, _truth(rows)
    return list(
        zip(
            truth["REPEAT"].tolist(), spectra["FILE"].tolist(), spectra["ROW"].tolist(), strict=True
        )
    )


def _scored(names: Sequence[tuple[int, str, int]], rows: ShardRows) -> set[tuple[str, int]]:
    """Return file and row of the spectra that were scored with nothing put in."""
    scored = (rows.spectra["STATUS"] == "scored").tolist()
    return {
        (file, row)
        for (repeat, file, row), good in zip(names, scored, strict=True)
        if good and repeat == NO_LINE
    }


def _places(spectra: NDArray[np.void]) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """Return row and file of spectra; files are numbered as they come."""
    _, first, which = np.unique(spectra["FILE"], return_index=True, return_inverse=True)
    return spectra["ROW"], first[which]


def _truth(rows: ShardRows) -> NDArray[np.void]:
    """Return what was put in; nothing where no file could be read."""
    truth = np.zeros(len(rows.spectra), PUT_IN)
    truth["TARGETID"] = rows.spectra["TARGETID"]
    known = truth_of(rows)
    for name in TRUTH.names or ():
        truth[name] = known[name]
    return truth


def _best(settings: SideSettings, entry: Entry, rows: ShardRows) -> list[float]:
    """Return the score of each spectrum: of its source, or of all hits where there is none."""
    truth, scores = _truth(rows), ranked(rows.hits, entry.config)
    best = np.full(len(truth), NOTHING)
    counts = _is_found(rows.hits, truth[rows.hit_rows], settings.reference)
    np.maximum.at(best, rows.hit_rows[counts], scores[counts])
    return [float(score) for score in best]


def _is_found(hits: NDArray[np.void], truth: NDArray[np.void], config: Config) -> NDArray[np.bool_]:
    """Say which hits are what was put into their spectra; all are where nothing was."""
    reach = config.evaluation.match_pixels * pixel_width_angstrom(truth["WAVE"])
    at_line = np.abs(hits["WAVE"] - truth["WAVE"]) <= reach
    z = truth["Z_SOURCE"]
    at_redshift = np.abs(hits["Z_SOURCE"] - z) < config.comparison.elg_dz * (1 + z)
    is_galaxy, is_line = truth["KIND"] == "elg", truth["KIND"] == "lya"
    plain = truth["REPEAT"] == NO_LINE
    return np.asarray(plain | (is_line & at_line) | (is_galaxy & at_redshift))


def ranked(hits: NDArray[np.void], config: Config) -> Floats:
    """Return what a search ranks its hits by.

    Parameters
    ----------
    hits : structured array of shape (H,)
        Its hits, `speclens.schema.HITS`.
    config : Config
        The search.

    Returns
    -------
    array of shape (H,)
        Higher is better. Lines that are hits whatever the network says stand above all others, by
        their S/N.
    """
    scores = hits[RANKED_BY.get(config.search.method, "SNR")].astype(np.float64)
    if config.search.method == "resnet" and config.search.snr_certain > 0:
        certain = hits["SNR"] >= config.search.snr_certain
        scores[certain] = 1 + hits["SNR"][certain]
    return scores
