"""The work of an evaluation, divided: some repeats of a shard at a time.

In: shards, the number of repeats. Out: stored rows of a search, with what was put into each
spectrum. Shards and repeats are searched by the same steps as a search's, on one process or
several; what is done is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from speclens.evaluate.injection import Injection
from speclens.read.shards import Shard
from speclens.run.workers import map_shards
from speclens.search.scan import Scanner, ScanSettings
from speclens.search.scanned import Scanned, rescued, scanned

__all__ = ["Part", "PartSettings", "make_parts", "scan_parts"]

REPEATS_TOGETHER = 20
"""Repeats of a part, about: the files are read and prepared without a line once for all of them,
and what an interruption loses is less than a part."""


@dataclass(frozen=True)
class Part:
    """What is searched, and stored, at a time.

    Parameters
    ----------
    shard : Shard
        The files.
    repeats : range
        The repeats.
    """

    shard: Shard
    repeats: range


@dataclass(frozen=True)
class PartSettings:
    """What all parts share: plain data, sent to every worker.

    Parameters
    ----------
    scan : ScanSettings
        The search.
    seed : int
        Seed of the lines.
    """

    scan: ScanSettings
    seed: int

    def of(self, part: Part) -> ScanSettings:
        """Return the settings with which a part is searched.

        Parameters
        ----------
        part : Part
            The part.

        Returns
        -------
        ScanSettings
            With its lines, and with a store of its own.
        """
        injection = Injection(self.scan.config, self.seed, part.repeats)
        return replace(self.scan, wrap=injection, store=self.scan.store.part(str(part.repeats)))


class _Evaluator:
    """The search, in the process that works."""

    def __init__(self, settings: PartSettings) -> None:
        self.settings, self.scanner = settings, Scanner(settings.scan)


def make_parts(shards: Sequence[Shard], n_repeats: int) -> list[Part]:
    """Divide an evaluation into parts.

    Parameters
    ----------
    shards : sequence of Shard
        The files.
    n_repeats : int
        Lines put into each spectrum; one more repeat, the first, puts none in.

    Returns
    -------
    list of Part
        Shard after shard, the repeats of each in order.
    """
    n_parts = max(1, round((n_repeats + 1) / REPEATS_TOGETHER))
    ends = np.linspace(0, n_repeats + 1, n_parts + 1).astype(int).tolist()
    spans = [range(*span) for span in pairwise(ends)]
    return [Part(shard, repeats) for shard in shards for repeats in spans]


def scan_parts(
    settings: PartSettings,
    parts: Sequence[Part],
    n_workers: int,
    tell: Callable[[str], None],
    diary: Path,
) -> Iterator[Scanned]:
    """Search all parts, or find their stored results.

    Parameters
    ----------
    settings : PartSettings
        What all parts share.
    parts : sequence of Part
        The parts.
    n_workers : int
        Number of processes.
    tell : callable
        Takes a line where no other process can be started.
    diary : Path
        As for `map_shards`.

    Yields
    ------
    Scanned
        Where the rows of each part are.
    """
    yield from map_shards(
        _scan_part, settings, parts, n_workers,
        begin=_Evaluator, rescue=partial(_rescued, settings), tell=tell, diary=diary,
    )  # fmt: skip


def _scan_part(evaluator: _Evaluator, part: Part) -> Scanned:
    return scanned(evaluator.scanner.around(evaluator.settings.of(part)), part.shard)


def _rescued(settings: PartSettings, part: Part, alone: Callable[[Part], Scanned]) -> Scanned:
    def of_files(shard: Shard) -> Scanned:
        return alone(replace(part, shard=shard))

    return rescued(settings.of(part), part.shard, of_files)
