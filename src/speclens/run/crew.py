"""Processes that work side by side, each on one item at a time, and outlive each other.

In: a job, its items. Out: results in the order of the items. An item whose process is killed is
tried again alone; if it kills that one too it is lost, and nothing else is.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

from speclens.run.job import Answer, Job, Rescue, WorkerDiedError, retried, single_threaded

__all__ = ["Crew", "NoProcessError"]

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 3
"""Results that may wait for an earlier one, for each process."""
SECONDS_TO_END = 5.0


class NoProcessError(Exception):
    """No other process can be started here."""


class Crew(Generic[Item, Result]):
    """Processes that do the same job.

    Parameters
    ----------
    job : Job
        The job.
    n_workers : int
        Number of processes; fewer where no more can be started.
    """

    def __init__(self, job: Job[Any, Item, Result], n_workers: int) -> None:
        self._job, self._n_workers = job, n_workers
        self._workers: list[_Worker] = []

    def close(self) -> None:
        """End the processes."""
        for worker in self._workers:
            worker.leave()
        for worker in self._workers:
            worker.join()
        self._workers.clear()

    def results(self, items: Sequence[Item], rescue: Rescue[Item, Result]) -> Iterator[Result]:
        """Work on items.

        Parameters
        ----------
        items : sequence
            The items.
        rescue : callable
            Makes the result of an item that killed its process, alone too.

        Yields
        ------
        object
            Results, in the order of the items.

        Raises
        ------
        NoProcessError
            If there is no process left and none can be started.
        """
        todo = deque(range(len(items)))
        answers: dict[int, Answer] = {}
        suspects: list[int] = []
        for place in range(len(items)):
            while place not in answers:
                if not suspects:
                    self._hire()
                    self._assign(items, todo, place + AHEAD * self._n_workers)
                suspects += self._collect(answers)
                if suspects and not any(worker.place is not None for worker in self._workers):
                    # A suspect has the memory for itself.
                    self.close()
                    for suspect in suspects:
                        answers[suspect] = Answer.of(retried, items[suspect], rescue, self.alone)
                    self.close()
                    suspects.clear()
            yield answers.pop(place).result()

    def alone(self, item: Item) -> Result:
        """Work on an item in the only process there is.

        Parameters
        ----------
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
        try:
            if not self._workers:
                self._workers.append(_Worker(self._job))
            [worker] = self._workers
            if not worker.ready:
                worker.answer()
            worker.give(0, item)
            answer = worker.answer()
        except (NoProcessError, WorkerDiedError):
            self.close()
            raise WorkerDiedError from None
        result: Result = answer.result()
        return result

    def _hire(self) -> None:
        """Start processes; with fewer than wanted the work goes on."""
        try:
            while len(self._workers) < self._n_workers:
                self._workers.append(_Worker(self._job))
        except NoProcessError:
            if not self._workers:
                raise
            spare = self._workers[-1]
            if spare.place is None and len(self._workers) > 1:
                # What it holds (file handles, memory) the others may need.
                self._part_with(spare)
            self._n_workers = len(self._workers)

    def _assign(self, items: Sequence[Item], todo: deque[int], stop: int) -> None:
        for worker in self._workers:
            if worker.ready and worker.place is None and todo and todo[0] < stop:
                place = todo.popleft()
                worker.give(place, items[place])

    def _collect(self, answers: dict[int, Answer]) -> list[int]:
        """Wait for news; return the items of processes that were killed."""
        suspects: list[int] = []
        news = wait([worker.pipe for worker in self._workers if not worker.idle])
        for worker in [worker for worker in self._workers if worker.pipe in news]:
            place, began = worker.place, worker.ready
            try:
                answer = worker.answer()
            except WorkerDiedError:
                self._part_with(worker)
                if place is not None:
                    suspects.append(place)
                elif not began:
                    self._do_with_fewer()
                continue
            if place is not None:
                answers[place] = answer
        return suspects

    def _part_with(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        worker.leave()
        worker.join()

    def _do_with_fewer(self) -> None:
        """Do without a process that ended before it began; the next one would too."""
        self._n_workers -= 1
        if not self._n_workers:
            raise NoProcessError("a process ended while it started")


class _Worker:
    """One process, seen from its parent; it is `ready` when it has started."""

    def __init__(self, job: Job[Any, Any, Any]) -> None:
        # Spawned, not forked: a fork would inherit the lock of the run, and threads in any state.
        context = multiprocessing.get_context("spawn")
        self.place: int | None = None
        self.ready = False
        try:
            self.pipe, end = context.Pipe()
        except OSError as error:
            raise NoProcessError(error.strerror or error) from error
        self._process = context.Process(target=_serve, args=(end, job), daemon=True)
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
        """Waiting for an item."""
        return self.ready and self.place is None

    def give(self, place: int, item: Any) -> None:
        """Give it an item; `place` is that of its result."""
        self.place = place
        try:
            self.pipe.send(item)
        except OSError:
            # Killed while it had nothing to do; `answer` meets it.
            return

    def answer(self) -> Answer:
        """Wait for the next message: that it has started, or the answer to its item."""
        try:
            answer: Answer = pickle.loads(self.pipe.recv_bytes())  # noqa: S301 - our own process's
        except (EOFError, OSError):
            raise WorkerDiedError from None
        self.place, self.ready = None, True
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


def _serve(pipe: Connection, job: Job[Any, Any, Any]) -> None:
    """Work on items until there are no more, in a process of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    states: list[Any] = []
    try:
        pipe.send_bytes(pickle.dumps(Answer(None)))
        while True:
            item = pipe.recv()
            answer = Answer.of(_work, job, states, item, where="in another process")
            pipe.send_bytes(answer.packed())
    except (EOFError, OSError):
        # The parent has no more work, or is no more.
        return


def _work(job: Job[Any, Any, Any], states: list[Any], item: Any) -> Any:
    """Work on an item; the first one makes the state."""
    if not states:
        states.append(job.state())
    return job.work(states[0], item)


def _end_with(parent: Any) -> None:
    """End this process when its parent is killed; it would work on for nothing."""
    parent.join()
    os._exit(1)
