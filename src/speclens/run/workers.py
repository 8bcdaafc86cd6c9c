"""Run the same work on many shards, on one process or several.

In: a function, its shards, what all of them share. Out: its results in the order of the shards, so
that the number of workers never shows. Each worker computes on one core. The stages of a run share
their processes.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from contextvars import ContextVar
from functools import cache, partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

from threadpoolctl import threadpool_limits

from speclens.errors import RunError
from speclens.run.crew import Crew, NoProcessError
from speclens.run.job import Job, Rescue, retried, single_threaded

__all__ = [
    "DIARY", "Elsewhere", "allotted_cores", "map_shards", "sharing_processes", "working_at",
    "works_here", "worth_starting",
]  # fmt: skip

State = TypeVar("State")
Item = TypeVar("Item")
Result = TypeVar("Result")
DIARY = "begun"
"""Name of a diary in a run's folder of results."""

SECONDS_TO_START = 2.0
"""A process imports numpy, scipy, astropy and matplotlib before it works."""
SECONDS_TO_BRIEF = 0.3
"""One that waits for work imports what is of the next stage only."""


class Elsewhere(Protocol):
    """Processes that were not started here; `speclens.run.cluster` has some."""

    def results(
        self, job: Job[Any, Item, Result], items: Sequence[Item], rescue: Rescue[Item, Result]
    ) -> Iterator[Result]:
        """Work on items, as `Crew` does."""


_PLACE: ContextVar[Elsewhere | None] = ContextVar("place", default=None)


@contextmanager
def working_at(place: Elsewhere) -> Iterator[None]:
    """Let other processes than those of this machine do all work that is shared out.

    Parameters
    ----------
    place : Elsewhere
        The processes.

    Yields
    ------
    None
        While `map_shards` gives them what it would share out among several processes.
    """
    token = _PLACE.set(place)
    try:
        yield
    finally:
        _PLACE.reset(token)


def works_here() -> bool:
    """Tell whether `map_shards` works on this machine.

    Returns
    -------
    bool
        False within `working_at`.
    """
    return _PLACE.get() is None


_CREW: ContextVar[Crew | None] = ContextVar("crew", default=None)


@contextmanager
def sharing_processes() -> Iterator[None]:
    """Let the stages of a run share processes of this machine: they start once.

    Yields
    ------
    None
        While what `map_shards` has started waits for what it does next; within another such block
        that one's processes are shared.
    """
    if _CREW.get() is not None:
        yield
        return
    with closing(Crew()) as crew:
        token = _CREW.set(crew)
        try:
            yield
        finally:
            _CREW.reset(token)


@contextmanager
def _processes() -> Iterator[Crew]:
    """Give the processes of the run, or some of their own to who is alone or within a loop."""
    shared = _CREW.get()
    if shared is not None and not shared.at_work:
        yield shared
        return
    with closing(Crew()) as crew:
        yield crew


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
    crew = _CREW.get()
    waiting = crew.n_started if crew is not None and seconds > SECONDS_TO_BRIEF else 0
    return max(1, min(n_workers, max(waiting, int(seconds / SECONDS_TO_START))))


def map_shards(
    work: Callable[[State, Item], Result],
    shared: Any,
    items: Sequence[Item],
    n_workers: int,
    *,
    begin: Callable[[Any], State] | None = None,
    meanwhile: Callable[[], object] | None = None,
    rescue: Rescue[Item, Result] | None = None,
    tell: Callable[[str], None] | None = None,
    diary: Path | None = None,
    at_once: int | None = None,
) -> Iterator[Result]:
    """Apply a function to items, in order.

    Parameters
    ----------
    work : callable
        `work(state, item)`; a function of a module, for other processes must find it.
    shared : object
        Plain data, sent once to each worker.
    items : sequence
        The items; `str(item)` names one in messages.
    n_workers : int
        Number of processes; 1 works in this one, more may be those of `working_at`.
    begin : callable, optional
        `begin(shared)` makes the state with which a process works: engines, which cannot travel.
        The state is `shared` itself when not given.
    meanwhile : callable, optional
        Called here once: while other processes start, or before the first item is worked on here;
        without items too. What it raises ends the work.
    rescue : callable, optional
        `rescue(item, alone)` makes the result of an item that killed its worker, and then another
        one that worked on nothing else. `alone(part)` works on a part of the item, and raises
        `WorkerDiedError`.
    tell : callable, optional
        Takes one line where no other process can be started, and this one does the work; a warning
        when not given.
    diary : Path, optional
        Where this process, when it works alone, writes which item it is at; one that was killed at
        an item leaves that to a process of its own the next time.
    at_once : int, optional
        Most processes of this machine that are worth their start; one an item when not given.

    Yields
    ------
    object
        Results, in the order of the items.

    Raises
    ------
    RunError
        If a worker is killed by an item that nothing rescues.
    """
    job: Job[State, Item, Result] = Job(work, begin, shared)
    meanwhile = cache(meanwhile or _nothing)
    place = _PLACE.get()
    if place is not None and n_workers > 1 and items:
        meanwhile()
        yield from place.results(job, items, rescue or _give_up)
        return
    n_workers = min(n_workers, len(items) if at_once is None else at_once)
    n_done = 0
    if n_workers > 1:
        try:
            with (
                _processes() as crew,
                closing(
                    crew.results(job, n_workers, items, rescue or _give_up, meanwhile)
                ) as results,
            ):
                for result in results:
                    n_done += 1
                    yield result
        except NoProcessError as error:
            _tell(f"cannot start other processes ({error}): one does all the work", tell)
    if n_done < len(items) or not items:
        yield from _in_this_process(
            job, items[n_done:], rescue or _give_up, meanwhile, _Diary(diary)
        )


def _in_this_process(
    job: Job[Any, Item, Result],
    items: Sequence[Item],
    rescue: Rescue[Item, Result],
    meanwhile: Callable[[], object],
    diary: _Diary,
) -> Iterator[Result]:
    # The environment limits what is loaded from now on, the other what is loaded already.
    with single_threaded(), threadpool_limits(1):
        meanwhile()
        state = job.state()
        for item in items:
            if diary.ended_at(item):
                with closing(Crew()) as crew:
                    result = retried(item, rescue, partial(crew.alone, job))
                diary.clear()
            else:
                with diary.at(item):
                    result = job.work(state, item)
            yield result


class _Diary:
    """What this process is working on, for the one after it should it be killed."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._last = path.read_text() if path is not None and path.is_file() else ""

    def ended_at(self, item: object) -> bool:
        """Tell whether an earlier process was killed while it worked on an item."""
        return self._last == _digest(item)

    @contextmanager
    def at(self, item: object) -> Iterator[None]:
        """Work on an item."""
        if self._path is None:
            yield
            return
        self._path.write_text(_digest(item))
        try:
            yield
        finally:
            self.clear()

    def clear(self) -> None:
        """Forget the item, which is done."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def _digest(item: object) -> str:
    return hashlib.sha256(str(item).encode(errors="surrogateescape")).hexdigest()


def _nothing() -> None:
    """Do nothing meanwhile."""


def _give_up(item: Any, _: Callable[[Any], Any]) -> Any:
    raise RunError(
        f"{item}: the process that worked on it was killed, alone too (for its memory?); what is "
        "done is kept: free memory and run the same command again"
    )


def _tell(text: str, tell: Callable[[str], None] | None) -> None:
    if tell is None:
        warnings.warn(text, stacklevel=4)
    else:
        tell(text)
