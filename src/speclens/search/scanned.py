"""Shards as they come back from the workers: what is told of each, while its rows stay on disk.

In: a shard. Out: `Scanned`. Everyone who lets a crew search shards calls these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from speclens.errors import RunError
from speclens.read.shards import Shard
from speclens.search.rescue import rescue_shard
from speclens.search.scan import Scanner, ScanSettings, scan_shard
from speclens.search.shard_rows import ShardRows

__all__ = ["Scan", "Scanned", "rescued", "rescued_by", "scanned", "scanned_by", "stored_rows"]


class Scanned(NamedTuple):
    """What a worker tells of a shard.

    Parameters
    ----------
    path : Path
        Where its rows are.
    n_spectra : int
        How many they are.
    messages : list of str
        One line for each file that failed.
    reused : bool
        True when the rows were found, not made.
    n_scored : int
        How many of the spectra were searched to the end.
    """

    path: Path
    n_spectra: int
    messages: list[str]
    reused: bool
    n_scored: int

    @classmethod
    def of(cls, rows: ShardRows, settings: ScanSettings, shard: Shard) -> Scanned:
        """Tell of the rows of a shard.

        Parameters
        ----------
        rows : ShardRows
            The rows, which are stored.
        settings : ScanSettings
            What all shards share.
        shard : Shard
            The shard.

        Returns
        -------
        Scanned
            What the worker tells.
        """
        # Not asked of the store again: a file that changed meanwhile would have another key.
        path = rows.path or settings.store.path(shard.kind.name, shard.files)
        n_scored = int(np.count_nonzero(rows.spectra["STATUS"] == "scored"))
        return cls(path, len(rows.spectra), rows.messages, rows.reused, n_scored)


def scanned(scanner: Scanner, shard: Shard) -> Scanned:
    """Search a shard, as `scan_shard` does.

    Parameters
    ----------
    scanner : Scanner
        The search.
    shard : Shard
        The files.

    Returns
    -------
    Scanned
        What is told of it.
    """
    return Scanned.of(scan_shard(scanner, shard), scanner.settings, shard)


class Scan(NamedTuple):
    """What a worker of a run with several searches is given.

    Parameters
    ----------
    search : str
        Name of the search.
    shard : Shard
        The files.
    """

    search: str
    shard: Shard


def scanned_by(scanners: Mapping[str, Scanner], scan: Scan) -> Scanned:
    """Search a shard by one of the searches of a run.

    Parameters
    ----------
    scanners : mapping of str to Scanner
        All of them, by name.
    scan : Scan
        Which of them, and the files.

    Returns
    -------
    Scanned
        What is told of it.
    """
    return scanned(scanners[scan.search], scan.shard)


def rescued_by(
    settings: Mapping[str, ScanSettings], scan: Scan, alone: Callable[[Scan], Scanned]
) -> Scanned:
    """Search a shard that killed its worker in one of the searches of a run.

    Parameters
    ----------
    settings : mapping of str to ScanSettings
        What all shards share, by the name of the search.
    scan : Scan
        Which search, and the files.
    alone : callable
        As for `rescued`.

    Returns
    -------
    Scanned
        What is told of it.
    """

    def of_files(shard: Shard) -> Scanned:
        return alone(Scan(scan.search, shard))

    return rescued(settings[scan.search], scan.shard, of_files)


def rescued(settings: ScanSettings, shard: Shard, alone: Callable[[Shard], Scanned]) -> Scanned:
    """Search a shard that killed its worker, as `rescue_shard` does.

    Parameters
    ----------
    settings : ScanSettings
        What all shards share.
    shard : Shard
        The files.
    alone : callable
        Searches a part of the shard in a process of its own; raises `WorkerDiedError`.

    Returns
    -------
    Scanned
        What is told of it.
    """
    rows = rescue_shard(settings, shard, lambda part: stored_rows(alone(part).path))
    return Scanned.of(rows, settings, shard)


def stored_rows(path: Path) -> ShardRows:
    """Read the rows of a shard that were stored a moment ago.

    Parameters
    ----------
    path : Path
        Where they are.

    Returns
    -------
    ShardRows
        The rows.

    Raises
    ------
    RunError
        If they are not there.
    """
    rows = ShardRows.load(path)
    if rows is None:
        raise RunError(f"{path}: vanished; run the same command again")
    return rows
