"""What a search costs: processor time and memory, in a process of its own.

In: a search, shards. Out: a row of a table. Reading is not in it: all searches read the same files.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.evaluate.entries import Entry
from speclens.read.shards import Shard
from speclens.read.survey import ReadSettings
from speclens.run.crew import Crew
from speclens.run.job import Job, WorkerDiedError
from speclens.run.store import ShardStore
from speclens.sample.selection import redshifts, refusals
from speclens.schema import COMPARED_COST, dtype_of
from speclens.search.scan import Scanner, ScanSettings
from speclens.spectra import SpectrumBatch

__all__ = ["cost"]

MOST = 1000
"""Spectra on which it is measured."""

STATUS, FORGET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
"""Where Linux tells the highest memory of a process; `ru_maxrss` is also that of who started it."""

BYTES_OF_UNIT = 1 if sys.platform == "darwin" else 1024
"""Of `ru_maxrss`."""


@dataclass(frozen=True)
class _Task:
    """A search that is measured, and where there are spectra."""

    entry: Entry
    shards: tuple[Shard, ...]


def cost(entries: Sequence[Entry], shards: Sequence[Shard], store: ShardStore) -> NDArray[np.void]:
    """Measure what searches cost.

    Parameters
    ----------
    entries : sequence of Entry
        The searches.
    shards : sequence of Shard
        The files; the first that hold spectra of a search's sample are taken.
    store : ShardStore
        Not written to.

    Returns
    -------
    structured array
        `speclens.schema.COMPARED_COST`; NaN where no process could be started.
    """
    rows = []
    for entry in entries:
        job: Job[Any, _Task, tuple[Any, ...]] = Job(_measured, None, store)
        try:
            # A process that has done nothing else, so that its highest memory is the search's.
            with closing(Crew()) as crew:
                rows.append((entry.name, *crew.alone(job, _Task(entry, tuple(shards)))))
        except WorkerDiedError:
            rows.append((entry.name, 0, *[np.nan] * 3))
    return np.array(rows, dtype_of(COMPARED_COST))


def _measured(store: ShardStore, task: _Task) -> tuple[int, float, float, float]:
    """Return spectra, seconds a spectrum, MB of the process, and kB a spectrum of that."""
    config = task.entry.config
    settings = ScanSettings(config, store, ReadSettings(tables=config.tables))
    detector = Scanner(settings).detector
    for shard in task.shards:
        batch = _sample(settings, shard)
        if len(batch):
            break
    else:
        return 0, np.nan, np.nan, np.nan
    z = redshifts(batch.targets, config.selection)
    _highest_memory()  # opening the network may have taken more
    before = _highest_memory()
    detector(batch, z)  # engines warm up
    after = _highest_memory()
    begun = time.process_time()
    detector(batch, z)
    seconds = time.process_time() - begun
    n = len(batch)
    return n, seconds / n, after / 1e6, (after - before) / 1e3 / n


def _sample(settings: ScanSettings, shard: Shard) -> SpectrumBatch:
    with settings.opened(shard) as (source, _):
        wanted = refusals(source.targets, settings.config.selection) == ""
        return source.spectra(np.flatnonzero(wanted & (source.reasons == ""))[:MOST])


def _highest_memory() -> int:
    """Return the highest memory of the process since the last time, bytes, or since its start."""
    try:
        text = STATUS.read_text()
        FORGET.write_text("5")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * BYTES_OF_UNIT
    return 1024 * int(text.partition("VmHWM:")[2].split()[0])
