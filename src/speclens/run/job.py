"""What a process does with an item, and what comes of it; the same on any machine.

In: a job, an item. Out: an answer that travels back as bytes, with the error if there was one.
"""

from __future__ import annotations

import os
import pickle
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

__all__ = [
    "THREAD_VARIABLES", "Answer", "Job", "Rescue", "WorkerDiedError", "retried", "single_threaded",
]  # fmt: skip

State = TypeVar("State")
Item = TypeVar("Item")
Result = TypeVar("Result")

Rescue = Callable[[Item, Callable[[Item], Result]], Result]
"""`rescue(item, alone)` makes the result of an item that killed its process; `alone` works on a
part of it in a process of its own, and raises `WorkerDiedError` if that is killed."""

THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)  # fmt: skip
"""Read by numerical libraries when they are loaded, and only then."""


class WorkerDiedError(Exception):
    """A process was killed while it worked."""


@dataclass(frozen=True)
class Job(Generic[State, Item, Result]):
    """What a process does; it is pickled.

    Parameters
    ----------
    work : callable
        `work(state, item)`.
    begin : callable or None
        `begin(shared)` makes the state of a process, which stays there; None when `shared` is it.
    shared : object
        Plain data.
    """

    work: Callable[[State, Item], Result]
    begin: Callable[[Any], State] | None
    shared: Any

    def state(self) -> State:
        """Return what `work` needs, made in this process."""
        return self.shared if self.begin is None else self.begin(self.shared)


@dataclass(frozen=True)
class Answer:
    """What came of an item.

    Parameters
    ----------
    value : object
        Its result.
    error : Exception, optional
        What was raised instead.
    """

    value: Any
    error: Exception | None = None

    @classmethod
    def of(cls, work: Callable[..., Any], *given: Any, where: str = "") -> Answer:
        """Work, and keep an error until the turn comes to it.

        Parameters
        ----------
        work : callable
            The work.
        *given : object
            Its arguments.
        where : str, optional
            Where that is, for the traceback, which does not travel.

        Returns
        -------
        Answer
            What came of it.
        """
        try:
            return cls(work(*given))
        except Exception as error:  # noqa: BLE001 - raised by `result`
            if where:
                error.add_note(f"{where}:\n{traceback.format_exc()}")
            return cls(None, error)

    def result(self) -> Any:
        """Return the result, or raise the error.

        Returns
        -------
        object
            The result.
        """
        if self.error is not None:
            raise self.error
        return self.value

    def packed(self) -> bytes:
        """Return it as bytes that can be unpickled for certain.

        Returns
        -------
        bytes
            Of itself; of an error that tells of it where it cannot travel.
        """
        try:
            content = pickle.dumps(self)
            if self.error is not None:
                pickle.loads(content)  # noqa: S301 - an exception may be pickled and yet be no good
            return content
        except Exception as error:  # noqa: BLE001 - whatever __reduce__ may raise
            return pickle.dumps(Answer(None, TypeError(f"{self}: {error}")))


def retried(item: Item, rescue: Rescue[Item, Result], alone: Callable[[Item], Result]) -> Result:
    """Work on an item that killed a process.

    Parameters
    ----------
    item : object
        The item.
    rescue : callable
        Makes its result when it kills another one.
    alone : callable
        Works on it while nothing else is worked on; raises `WorkerDiedError`.

    Returns
    -------
    object
        Its result.
    """
    try:
        return alone(item)
    except WorkerDiedError:
        return rescue(item, alone)


@contextmanager
def single_threaded() -> Iterator[None]:
    """Let processes that start now, and libraries that are loaded now, compute on one core.

    Yields
    ------
    None
        Nothing; the environment is put back afterwards.
    """
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
