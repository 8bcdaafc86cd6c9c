"""The work of an evaluation, divided: some repeats of a shard at a time.

In: shards, the number of repeats. Out: stored rows of a search, with what was put into each
spectrum. Shards and repeats are searched by the same steps as a search's, on one process or
several; what is done is kept. Vetting what was found is left to `speclens.evaluate.vetting`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from speclens.evaluate.drawing import DECOYS
from speclens.evaluate.injection import Injection
from speclens.evaluate.nulls import NULL_NAMES, Nulls
from speclens.read.shards import Shard
from speclens.run.workers import map_shards
from speclens.search.scan import Scanner, ScanSettings, Wrap
from speclens.search.scanned import Scanned, rescued, scanned

__all__ = ["NULLS", "PartSettings", "ShardPart", "make_parts", "scan_parts"]

NULLS = tuple(NULL_NAMES)
"""Kinds of a part that holds the nulls."""

REPEATS_TOGETHER = 20
"""Repeats of a part, about: the files are read and prepared without a line once for all of them,
and what an interruption loses is less than a part."""


@dataclass(frozen=True)
class ShardPart:
    """What is searched, and stored, at a time.

    Parameters
    ----------
    shard : Shard
        The files.
    repeats : range
        The repeats.
    kinds : tuple of str, optional
        What is put in: the sources of the search when empty, `DECOYS`, or `NULLS`.
    """

    shard: Shard
    repeats: range
    kinds: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What sets it apart from the other parts of its shard."""
        return f"{' '.join(self.kinds)}{self.repeats}"


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

    def of(self, part: ShardPart) -> ScanSettings:
        """Return the settings with which a part is searched.

        Parameters
        ----------
        part : ShardPart
            The part.

        Returns
        -------
        ScanSettings
            With its lines, and with a store of its own.
        """
        wrap: Wrap = Nulls(self.scan.config) if part.kinds == NULLS else self.injection(part)
        return replace(self.scan, wrap=wrap, store=self.scan.store.part(part.name))

    def injection(self, part: ShardPart) -> Injection:
        """Return what puts the sources or decoys of a part in.

        Parameters
        ----------
        part : ShardPart
            The part.

        Returns
        -------
        Injection
            Plain data.
        """
        return Injection(self.scan.config, self.seed, part.repeats, part.kinds)


class _Evaluator:
    """The search, in the process that works."""

    def __init__(self, settings: PartSettings) -> None:
        self.settings, self.scanner = settings, Scanner(settings.scan)


def make_parts(shards: Sequence[Shard], n_repeats: int, n_decoys: int = 0) -> list[ShardPart]:
    """Divide an evaluation into parts.

    Parameters
    ----------
    shards : sequence of Shard
        The files.
    n_repeats : int
        Sources put into each spectrum; one more repeat, the first, puts none in.
    n_decoys : int, optional
        Decoys put into each spectrum.

    Returns
    -------
    list of ShardPart
        Shard after shard, the repeats of each in order, then the decoys and the nulls.
    """
    n_parts = max(1, round((n_repeats + 1) / REPEATS_TOGETHER))
    ends = np.linspace(0, n_repeats + 1, n_parts + 1).astype(int).tolist()
    spans = [range(*span) for span in pairwise(ends)]
    decoys = [ShardPart(shards[0], range(1, n_decoys + 1), DECOYS)] if n_decoys else []
    of_shard = [*(ShardPart(shards[0], repeats) for repeats in spans), *decoys]
    of_shard.append(ShardPart(shards[0], range(1), NULLS))
    return [replace(part, shard=shard) for shard in shards for part in of_shard]


def scan_parts(
    settings: PartSettings,
    parts: Sequence[ShardPart],
    n_workers: int,
    tell: Callable[[str], None],
    diary: Path,
) -> Iterator[Scanned]:
    """Search all parts, or find their stored results.

    Parameters
    ----------
    settings : PartSettings
        What all parts share.
    parts : sequence of ShardPart
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


def _scan_part(evaluator: _Evaluator, part: ShardPart) -> Scanned:
    return scanned(evaluator.scanner.around(evaluator.settings.of(part)), part.shard)


def _rescued(
    settings: PartSettings, part: ShardPart, alone: Callable[[ShardPart], Scanned]
) -> Scanned:
    def of_files(shard: Shard) -> Scanned:
        return alone(replace(part, shard=shard))

    return rescued(settings.of(part), part.shard, of_files)
