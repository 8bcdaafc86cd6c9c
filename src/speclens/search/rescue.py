"""What becomes of files whose worker was killed: they are named, and nothing else is lost.

In: a shard that killed its worker, and then another one that worked on nothing else. Out: its rows,
of which only the guilty file's failed.
"""

from __future__ import annotations

from collections.abc import Callable

from speclens.read.shards import Shard, worker_died
from speclens.run.job import WorkerDiedError
from speclens.search.scan import ScanSettings
from speclens.search.shard_rows import ShardRows, failed_rows, join_rows

__all__ = ["rescue_shard"]


def rescue_shard(
    settings: ScanSettings, shard: Shard, alone: Callable[[Shard], ShardRows]
) -> ShardRows:
    """Search a shard by halves, until only the guilty files are left out; store the result.

    Parameters
    ----------
    settings : ScanSettings
        What all shards share.
    shard : Shard
        Files that killed their worker.
    alone : callable
        Searches a part of the shard in a process of its own; raises `WorkerDiedError`.

    Returns
    -------
    ShardRows
        A row for every spectrum, and the hits.
    """
    rows = _searched(settings, shard, alone)
    rows.save(settings.store.path(shard.kind.name, shard.files))
    return rows


def _searched(
    settings: ScanSettings, shard: Shard, alone: Callable[[Shard], ShardRows]
) -> ShardRows:
    if len(shard.files) == 1:
        [file] = shard.files
        return failed_rows(worker_died(file), file, shard.survey)
    middle = len(shard.files) // 2
    halves = [Shard(shard.kind, files) for files in (shard.files[:middle], shard.files[middle:])]
    parts: list[ShardRows] = []
    for half in halves:
        try:
            parts.append(alone(half))
        except WorkerDiedError:
            parts.append(_searched(settings, half, alone))
    return join_rows(parts)
