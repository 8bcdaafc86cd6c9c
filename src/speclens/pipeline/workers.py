"""Run the same work on many shards, on one process or several.

In: a function, its shards, what all of them share. Out: its results in the order of the shards, so
that the number of workers never shows. Each worker computes on one core.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits

from speclens.errors import RunError

__all__ = ["allotted_cores", "map_shards", "worth_starting"]

Item = TypeVar("Item")
Result = TypeVar("Result")
QUEUE_PER_WORKER = 3
SECONDS_TO_START = 2.0
"""A process imports numpy, scipy, astropy and matplotlib before it works."""


def allotted_cores() -> int:
    """Return the number of cores that this process may use.

    Returns
    -------
    int
        As the scheduler or the container allots them, not as the machine has them.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def worth_starting(n_workers: int, seconds: float) -> int:
    """Return how many processes are worth their start.

    Parameters
    ----------
    n_workers : int
        Number of processes allowed.
    seconds : float
        What the work would take in one.

    Returns
    -------
    int
        1 when starting others would take longer than they save.
    """
    return max(1, min(n_workers, int(seconds / SECONDS_TO_START)))


def map_shards(
    work: Callable[[Any, Item], Result], shared: Any, items: Sequence[Item], n_workers: int
) -> Iterator[Result]:
    """Apply a function to items, in order.

    Parameters
    ----------
    work : callable
        `work(shared, item)`; a function of a module, for other processes must find it.
    shared : object
        Sent once to each worker.
    items : sequence
        The items.
    n_workers : int
        Number of processes; 1 works in this one.

    Yields
    ------
    object
        Results, in the order of the items.

    Raises
    ------
    RunError
        If a worker process dies.
    """
    n_workers = min(n_workers, len(items))
    if n_workers <= 1:
        with threadpool_limits(1):
            for item in items:
                yield work(shared, item)
        return
    # Spawned, not forked: a fork would inherit the lock of the run, and threads in any state.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(n_workers, context, _begin, (work, shared))
    queue: deque[Future[Any]] = deque()
    source = iter(items)
    try:
        with _uninterrupted():
            for item in islice(source, QUEUE_PER_WORKER * n_workers):
                queue.append(pool.submit(_work, item))
        while queue:
            result = queue.popleft().result()
            for item in islice(source, 1):
                queue.append(pool.submit(_work, item))
            yield result
    except BrokenProcessPool as error:
        raise RunError(
            "a worker process died (killed for its memory?); what is done is kept: run the same "
            "command again, perhaps with fewer --workers"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Start processes that leave an interrupt of the terminal to their parent."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


_state: dict[str, Any] = {}


def _begin(work: Callable[[Any, Any], Any], shared: Any) -> None:
    threadpool_limits(1)
    _state.update(work=work, shared=shared)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: Any) -> None:
    """End this worker when its parent is killed; it would wait for ever."""
    parent.join()
    os._exit(1)


def _work(item: Any) -> Any:
    return _state["work"](_state["shared"], item)
