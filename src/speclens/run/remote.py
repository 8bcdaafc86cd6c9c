"""The work of a process that another machine sends items to; it knows no scheduler.

In: an item and its job as bytes, and on what terms they are sent. Out: an answer as bytes. A
process works on one item at a time, from the folder and with the versions of who sends it, so that
the results are those of the sender's own processes.
"""

from __future__ import annotations

import os
import pickle
import platform
import socket
import sys
import threading
import time
from contextlib import chdir
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

import speclens
from speclens.errors import RunError
from speclens.run.job import Answer, Job, single_threaded
from speclens.run.memory import keep_freed_memory

__all__ = ["UnfitWorkerError", "answer", "await_sight", "versions"]

DECIDING = ("numpy", "scipy", "astropy", "openvino")
"""Packages whose versions may decide the last bit of a result."""

SECONDS_TO_BE_SEEN = 60.0
"""A file that another machine renamed is seen when NFS's memory of its folder is over."""

_turn = threading.Lock()
_ready: dict[str, tuple[Job[Any, Any, Any], Any]] = {}
"""The job at hand by its name, with its state."""


class UnfitWorkerError(RunError):
    """A worker that cannot take part: another version, or another file system."""


@cache
def versions() -> dict[str, str]:
    """Return all in which processes must agree to get the same bytes.

    Returns
    -------
    dict of str to str
        Versions by name.
    """
    return {
        "speclens": speclens.__version__,
        "Python": ".".join(platform.python_version_tuple()[:2]),
        **{name: version(name) for name in DECIDING},
        "byte order": sys.byteorder,
    }


def answer(item: bytes, job: bytes, name: str, folder: str, wanted: dict[str, str]) -> bytes:
    """Work on an item, in a process of another machine.

    Parameters
    ----------
    item : bytes
        The item, pickled.
    job : bytes
        The `Job`, pickled.
    name : str
        Of the job: its state is made once.
    folder : str
        Where names of files that are not absolute begin.
    wanted : dict of str to str
        The versions of who sends it.

    Returns
    -------
    bytes
        An `Answer`, pickled.
    """
    where = f"in a process on {socket.gethostname()}"
    return Answer.of(_work, item, job, name, folder, wanted, where=where).packed()


def _work(item: bytes, job: bytes, name: str, folder: str, wanted: dict[str, str]) -> Any:
    _refuse_other(wanted)
    # Dask tells its workers to give back whatever is freed, which costs a quarter of their time.
    keep_freed_memory()
    # The folder is the process's, and its libraries take no turns.
    with _turn, _inside(folder), single_threaded(), threadpool_limits(1):
        if name not in _ready:
            _ready.clear()
            made: Job[Any, Any, Any] = pickle.loads(job)  # noqa: S301 - what the scheduler sends
            _ready[name] = made, made.state()
        known, state = _ready[name]
        return known.work(state, pickle.loads(item))  # noqa: S301 - what the scheduler sends


def _refuse_other(wanted: dict[str, str]) -> None:
    here = versions()
    other = [key for key in wanted if here.get(key) != wanted[key]]
    if other:
        theirs, ours = (", ".join(f"{k} {v.get(k, '')}" for k in other) for v in (here, wanted))
        raise UnfitWorkerError(
            f"the worker on {socket.gethostname()} has {theirs}, and this is {ours}: install the "
            "same there, and run the same command again"
        )


def _inside(folder: str) -> chdir[str]:
    if not os.path.isdir(folder):
        raise UnfitWorkerError(
            f"the worker on {socket.gethostname()} sees no folder {folder}: files, RUN and the "
            "folder where speclens is called must be on a file system that all share"
        )
    return chdir(folder)


def await_sight(path: Path) -> None:
    """Wait for a file that a process of another machine has left.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    UnfitWorkerError
        If it does not come into sight.
    """
    end = time.monotonic() + SECONDS_TO_BE_SEEN
    while not path.exists():
        if time.monotonic() > end:
            raise UnfitWorkerError(
                f"{path}: a worker wrote it, and it is not seen here; RUN must be on a file system "
                "that all share"
            )
        # To list a folder makes NFS ask for it anew.
        os.listdir(path.parent)
        time.sleep(0.1)
