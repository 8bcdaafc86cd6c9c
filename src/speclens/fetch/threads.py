"""A few threads that work on many things, most of the time waiting for a server.

In: a function and what it is called with. Out: its results, as they come. The threads end with
whoever asked, however that ends; a process never waits for them for long.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

from speclens.fetch.faults import StoppedError

__all__ = ["in_threads"]

N_CONNECTIONS = 4
"""At a time; archives ask for few."""
SECONDS_TO_STOP = 2.0
"""All together, where one waits for a server."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(
    work: Callable[[Item], Result], items: Sequence[Item], stop: Callable[[], None]
) -> Generator[Result, None, None]:
    """Work on items in a few threads.

    Parameters
    ----------
    work : callable
        What is done with each; it raises `StoppedError` where `stop` was called.
    items : sequence
        The items.
    stop : callable
        Called at the end, whatever ends it.

    Yields
    ------
    object
        The results, in the order in which they come.

    Raises
    ------
    Exception
        Whatever `work` raises.
    """
    waiting: queue.SimpleQueue[Item] = queue.SimpleQueue()
    done: queue.SimpleQueue[Result | BaseException] = queue.SimpleQueue()
    for item in items:
        waiting.put(item)
    n_threads = min(N_CONNECTIONS, len(items))
    # Daemons: one that waits for a server must not keep an interrupted process alive.
    threads = [
        threading.Thread(target=_serve, args=(work, waiting, done), daemon=True)
        for _ in range(n_threads)
    ]
    for thread in threads:
        thread.start()
    try:
        for _ in items:
            result = done.get()
            if isinstance(result, BaseException):
                raise result
            yield result
    finally:
        stop()
        deadline = time.monotonic() + SECONDS_TO_STOP
        for thread in threads:
            thread.join(max(deadline - time.monotonic(), 0))


def _serve(
    work: Callable[[Item], Result],
    waiting: queue.SimpleQueue[Item],
    done: queue.SimpleQueue[Result | BaseException],
) -> None:
    try:
        while True:
            done.put(work(waiting.get_nowait()))
    except (queue.Empty, StoppedError):
        return
    except BaseException as error:  # noqa: BLE001 - raised again where the results are taken
        done.put(error)
