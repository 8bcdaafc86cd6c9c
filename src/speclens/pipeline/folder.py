"""The output folder of a run: one run at a time, one configuration for ever.

In: a path. Out: `RunFolder`, locked while it is open. The lock belongs to the process and ends with
it, however it ends; the file says who holds it.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from speclens.errors import RunError
from speclens.products import write_json

__all__ = ["RunFolder", "locked_folder"]

MAX_DIFFERENCES = 5


@dataclass(frozen=True)
class RunFolder:
    """A locked output folder.

    Parameters
    ----------
    path : Path
        The folder.
    """

    path: Path

    @property
    def work(self) -> Path:
        """Results of shards, kept so that a run can go on."""
        return self.path / "work"

    def claim(self, setup: Mapping[str, Any]) -> None:
        """Bind the folder to a setup, or check that it is bound to this one.

        Parameters
        ----------
        setup : mapping
            All that decides the results beside the input files.

        Raises
        ------
        RunError
            If an earlier search into this folder had another setup.
        """
        record = self.work / "setup.json"
        wanted = json.loads(json.dumps(setup))
        try:
            found = json.loads(record.read_text())
        except FileNotFoundError:
            found = None
        except (OSError, ValueError) as error:
            raise RunError(f"{record}: damaged ({error}); delete the folder {self.path}") from error
        if found is None:
            write_json(record, wanted)
        elif found != wanted:
            differences = list(_differences(found, wanted))
            shown = "; ".join(differences[:MAX_DIFFERENCES])
            more = len(differences) - MAX_DIFFERENCES
            raise RunError(
                f"{self.path} holds a search with another setup ({shown}"
                f"{f'; and {more} more' if more > 0 else ''}): choose another -o, or delete it"
            )

    def clear_parts(self) -> None:
        """Remove what an interrupted write left behind."""
        for folder in (self.path, self.work, self.path / "report"):
            for part in folder.glob(".*.part"):
                part.unlink(missing_ok=True)


@contextmanager
def locked_folder(path: Path) -> Iterator[RunFolder]:
    """Create and lock an output folder.

    Parameters
    ----------
    path : Path
        The folder.

    Yields
    ------
    RunFolder
        The folder, ours until the block ends.

    Raises
    ------
    RunError
        If another run holds it, or it cannot be created.
    """
    try:
        (path / "work").mkdir(parents=True, exist_ok=True)
        lock = (path / "work" / "lock").open("a+")
    except OSError as error:
        raise RunError(f"{path}: cannot use as output folder: {error.strerror}") from error
    with lock:
        _lock(lock, path)
        folder = RunFolder(path)
        folder.clear_parts()
        yield folder


def _lock(lock: IO[str], path: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        holder = lock.read().strip() or "another process"
        raise RunError(
            f"{path}: a search is already running there ({holder}); wait for it, or stop it"
        ) from None
    except OSError as error:
        raise RunError(f"{path}: this file system has no locks ({error.strerror})") from error
    lock.truncate(0)
    lock.write(f"{socket.gethostname()}, process {os.getpid()}, since {time.ctime()}\n")
    lock.flush()


def _differences(
    found: Mapping[str, Any], wanted: Mapping[str, Any], path: str = ""
) -> Iterator[str]:
    for key in sorted({*found, *wanted}):
        old, new = found.get(key), wanted.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _differences(old, new, f"{path}{key}.")
        elif old != new:
            yield f"{path}{key}: {old!r} there, {new!r} now"
