"""Processes that work side by side, each on one item at a time, and outlive each other.

In: jobs, one after the other, and their items. Out: results in the order of the items. Processes
stay from one job to the next: to start one, and to import what it works with, takes a second or
two. An item whose process is killed is tried again alone; if it kills that one too it is lost, and
nothing else is.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

from speclens.run.job import Answer, Job, Rescue, WorkerDiedError, retried, single_threaded
from speclens.run.memory import keep_freed_memory

__all__ = ["Crew", "NoProcessError"]

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 3
"""Results that may wait for an earlier one, for each process."""
SECONDS_TO_END = 5.0


class NoProcessError(Exception):
    """No other process can be started here."""


class Crew:
    """Processes that do one job after the other."""

    def __init__(self) -> None:
        self._workers: list[_Worker] = []
        self.at_work = False

    @property
    def n_started(self) -> int:
        """Number of processes that wait for work."""
        return 0 if self.at_work else len(self._workers)

    def close(self) -> None:
        """End the processes."""
        _dismiss(self._workers, self._workers)

    def results(
        self,
        job: Job[Any, Item, Result],
        n_workers: int,
        items: Sequence[Item],
        rescue: Rescue[Item, Result],
        meanwhile: Callable[[], object],
    ) -> Generator[Result, None, None]:
        """Work on items.

        Parameters
        ----------
        job : Job
            The job.
        n_workers : int
            Number of processes; fewer where no more can be started.
        items : sequence
            The items.
        rescue : callable
            Makes the result of an item that killed its process, alone too.
        meanwhile : callable
            Called once while the processes start.

        Yields
        ------
        object
            Results, in the order of the items.

        Raises
        ------
        NoProcessError
            If there is no process left and none can be started.
        """
        self.at_work = True
        try:
            shift: _Shift[Item, Result] = _Shift(self._workers, job, n_workers)
            shift.hire()
            meanwhile()
            yield from shift.results(items, rescue)
        finally:
            # Who stops early must not wait for what is at work.
            # Who only learns its job, though, imports what it will need for the next one too.
            _dismiss(
                self._workers, [worker for worker in self._workers if worker.place is not None]
            )
            self.at_work = False

    def alone(self, job: Job[Any, Item, Result], item: Item) -> Result:
        """Work on an item in a process that has the memory for itself.

        Parameters
        ----------
        job : Job
            The job.
        item : object
            The item.

        Returns
        -------
        object
            Its result.

        Raises
        ------
        WorkerDiedError
            If the process is killed.
        """
        return _Shift(self._workers, job, 1).alone(item)


class _Shift(Generic[Item, Result]):
    """The work on one job; the processes are the crew's."""

    def __init__(self, workers: list[_Worker], job: Job[Any, Item, Result], n_workers: int) -> None:
        self._workers, self._n_workers = workers, n_workers
        self._job = pickle.dumps(job)

    def results(self, items: Sequence[Item], rescue: Rescue[Item, Result]) -> Iterator[Result]:
        """Yield the results; suspects are tried when nothing else is worked on."""
        todo = deque(range(len(items)))
        answers: dict[int, Answer] = {}
        suspects: list[int] = []
        for place in range(len(items)):
            while place not in answers:
                if not suspects:
                    self.hire()
                    self._assign(items, todo, place + AHEAD * self._n_workers)
                suspects += self._collect(answers)
                if suspects and not any(worker.place is not None for worker in self._workers):
                    _dismiss(self._workers, self._workers)
                    for suspect in suspects:
                        answers[suspect] = Answer.of(retried, items[suspect], rescue, self.alone)
                    _dismiss(self._workers, self._workers)
                    suspects.clear()
            yield answers.pop(place).result()

    def alone(self, item: Item) -> Result:
        """Work on an item in the only process there is; it is kept for the next one."""
        try:
            if len(self._workers) > 1:
                _dismiss(self._workers, self._workers)
            if not self._workers:
                self._workers.append(_Worker())
            [worker] = self._workers
            worker.brief(self._job)
            while not worker.idle:
                worker.answer()
            worker.give(0, item)
            answer = worker.answer()
        except (NoProcessError, WorkerDiedError):
            _dismiss(self._workers, self._workers)
            raise WorkerDiedError from None
        result: Result = answer.result()
        return result

    def hire(self) -> None:
        """Have as many processes as are wanted; with fewer the work goes on."""
        try:
            while len(self._workers) < self._n_workers:
                self._workers.append(_Worker())
        except NoProcessError:
            if not self._workers:
                raise
            spare = self._workers[-1]
            if spare.place is None and len(self._workers) > 1:
                # What it holds (file handles, memory) the others may need.
                _dismiss(self._workers, [spare])
            self._n_workers = len(self._workers)
        for worker in self._hands:
            if worker.place is None:
                worker.brief(self._job)

    @property
    def _hands(self) -> list[_Worker]:
        """Those of the crew that this job needs."""
        return self._workers[: self._n_workers]

    def _assign(self, items: Sequence[Item], todo: deque[int], stop: int) -> None:
        for worker in self._hands:
            if worker.idle and todo and todo[0] < stop:
                place = todo.popleft()
                worker.give(place, items[place])

    def _collect(self, answers: dict[int, Answer]) -> list[int]:
        """Wait for news; return the items of processes that were killed."""
        suspects: list[int] = []
        news = wait([worker.pipe for worker in self._workers if not worker.idle])
        for worker in [worker for worker in self._workers if worker.pipe in news]:
            place = worker.place
            try:
                answer = worker.answer()
            except WorkerDiedError:
                _dismiss(self._workers, [worker])
                if place is not None:
                    suspects.append(place)
                elif not worker.began:
                    self._do_with_fewer()
                # One that waited for this job has a successor.
                continue
            if place is not None:
                answers[place] = answer
        return suspects

    def _do_with_fewer(self) -> None:
        """Do without a process that ended before it began; the next one would too."""
        self._n_workers -= 1
        if not self._n_workers:
            raise NoProcessError("a process ended while it started")


def _dismiss(workers: list[_Worker], some: Sequence[_Worker]) -> None:
    """End some of the processes, all at the same time."""
    leaving = list(some)
    for worker in leaving:
        workers.remove(worker)
        worker.leave()
    for worker in leaving:
        worker.join()


class _Worker:
    """One process, seen from its parent.

    It is `idle` when it knows its job and has no item, and has `began` when it knew a job, this or
    an earlier one: it could be started.
    """

    def __init__(self) -> None:
        # Spawned, not forked: a fork would inherit the lock of the run, and threads in any state.
        context = multiprocessing.get_context("spawn")
        self.place: int | None = None
        self.began = False
        self._n_owed = 0
        self._job: bytes | None = None
        try:
            self.pipe, end = context.Pipe()
        except OSError as error:
            raise NoProcessError(error.strerror or error) from error
        self._process = context.Process(target=_serve, args=(end,), daemon=True)
        try:
            with _signals_wait(), single_threaded():
                self._process.start()
        except OSError as error:
            self.pipe.close()
            raise NoProcessError(error.strerror or error) from error
        finally:
            end.close()

    @property
    def idle(self) -> bool:
        """Waiting for an item: it owes no answer."""
        return self._n_owed == 0

    def brief(self, job: bytes) -> None:
        """Tell it a job, a pickled `Job`, unless it knows; it answers when it has understood."""
        if self._job is not job:
            self._job = job
            self._send(job)

    def give(self, place: int, item: Any) -> None:
        """Give it an item; `place` is that of its result."""
        self.place = place
        self._send(pickle.dumps(item))

    def _send(self, content: bytes) -> None:
        self._n_owed += 1
        try:
            self.pipe.send_bytes(content)
        except OSError:
            # Killed while it had nothing to do; `answer` meets it.
            return

    def answer(self) -> Answer:
        """Wait for the next message: that it knows its job, or the answer to its item."""
        try:
            answer: Answer = pickle.loads(self.pipe.recv_bytes())  # noqa: S301 - our own process's
        except (EOFError, OSError):
            raise WorkerDiedError from None
        self.place = None
        self.began = True
        self._n_owed -= 1
        return answer

    def leave(self) -> None:
        """Let it end: at once when it works, for what it writes is complete or absent."""
        if not self.idle:
            self._process.kill()
        self.pipe.close()

    def join(self) -> None:
        """Wait for its end."""
        self._process.join(SECONDS_TO_END)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._process.close()


@contextmanager
def _signals_wait() -> Iterator[None]:
    """Start a process whole; what interrupts us meanwhile comes after it.

    The process inherits that SIGINT is blocked: an interrupt of the terminal is its parent's.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    came: list[int] = []
    handlers: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            if callable(signal.getsignal(number)):
                handlers[number] = signal.signal(number, lambda n, _: came.append(n))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for n in came:
            signal.raise_signal(n)


def _serve(pipe: Connection) -> None:
    """Work on items, of one job after the other, until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keep_freed_memory()
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    try:
        while True:
            message = pickle.loads(pipe.recv_bytes())  # noqa: S301 - our own parent's
            if isinstance(message, Job):
                work, answer = _Work(message), Answer(None)
            else:
                answer = Answer.of(work, message, where="in another process")
            pipe.send_bytes(answer.packed())
    except (EOFError, OSError):
        # The parent has no more work, or is no more.
        return


class _Work:
    """A job in the process that does it; the first item makes the state."""

    def __init__(self, job: Job[Any, Any, Any]) -> None:
        self._job = job

    @cached_property
    def _state(self) -> Any:
        return self._job.state()

    def __call__(self, item: Any) -> Any:
        return self._job.work(self._state, item)


def _end_with(parent: Any) -> None:
    """End this process when its parent is killed; it would work on for nothing."""
    parent.join()
    os._exit(1)
