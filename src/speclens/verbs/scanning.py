"""What a worker of a run with several searches is given at once, and what it makes of it.

In: shards, searches. Out: what is told of each shard by each search. Loose files are read once for
all searches. Of a larger file each search reads other parts, and has a worker of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from speclens.read.once import reading_once
from speclens.read.shards import Shard
from speclens.run.job import retried
from speclens.search.scan import Scanner, ScanSettings
from speclens.search.scanned import Scan, Scanned, rescued_by, scanned_by

__all__ = ["rescued_together", "scanned_together", "together"]

Scans = Sequence[Scan]


def together(shards: Iterable[Shard], searches: Sequence[str]) -> list[Scans]:
    """Say what is given to one worker at once.

    Parameters
    ----------
    shards : iterable of Shard
        The shards.
    searches : sequence of str
        Names of the searches.

    Returns
    -------
    list of sequences of Scan
        Shard by shard, not search by search: a file comes from the disk once.
    """
    found: list[Scans] = []
    for shard in shards:
        scans = [Scan(search, shard) for search in searches]
        found += [scans] if shard.kind.files_a_shard > 1 else [[scan] for scan in scans]
    return found


def scanned_together(scanners: Mapping[str, Scanner], scans: Scans) -> list[Scanned]:
    """Search a shard by some of the searches of a run.

    Parameters
    ----------
    scanners : mapping of str to Scanner
        All of them, by name.
    scans : sequence of Scan
        Which of them, and the files.

    Returns
    -------
    list of Scanned
        What is told of it by each.
    """
    with reading_once():
        return [scanned_by(scanners, scan) for scan in scans]


def rescued_together(
    settings: Mapping[str, ScanSettings], scans: Scans, alone: Callable[[Scans], list[Scanned]]
) -> list[Scanned]:
    """Search a shard that killed its worker in one of the searches of a run.

    Parameters
    ----------
    settings : mapping of str to ScanSettings
        What all shards share, by the name of the search.
    scans : sequence of Scan
        Which searches, and the files.
    alone : callable
        Searches a part of them in a process of its own; raises `WorkerDiedError`.

    Returns
    -------
    list of Scanned
        What is told of it by each.
    """
    if len(scans) > 1:
        rescue = partial(rescued_together, settings)
        return [found for scan in scans for found in retried([scan], rescue, alone)]
    (scan,) = scans
    return [rescued_by(settings, scan, lambda part: alone([part])[0])]
