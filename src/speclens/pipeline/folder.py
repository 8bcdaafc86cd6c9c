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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import speclens
from speclens.errors import RunError
from speclens.products import write_json

__all__ = ["FORMAT", "RunFolder", "existing_folder", "locked_folder"]

FORMAT = 2
"""Version of what a run's folder holds; it grows when an older version could not read it."""

MAX_DIFFERENCES = 5
OWN_FOLDERS = {"survey"}
"""What `speclens demo` puts into the folder before the search."""


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

    def check(self, setup: Mapping[str, Any], inputs: Sequence[str]) -> None:
        """Check that a search may go on here.

        Parameters
        ----------
        setup : mapping
            All that decides the results beside the input files.
        inputs : sequence of str
            Files and folders to search, absolute.

        Raises
        ------
        RunError
            If an earlier search into this folder had another setup, or inputs that are not named
            now: its spectra would be lost.
        """
        found = self._read(self.work / "setup.json")
        wanted = json.loads(json.dumps(setup))
        if found is not None and found != wanted:
            differences = list(_differences(found, wanted))
            shown = "; ".join(differences[:MAX_DIFFERENCES])
            more = len(differences) - MAX_DIFFERENCES
            raise RunError(
                f"{self.path} holds a run with another setup ({shown}"
                f"{f'; and {more} more' if more > 0 else ''}): choose another -o, or delete it"
            )
        earlier = (self._read(self.path / "run.json") or {}).get("inputs", [])
        left_out = [path for path in earlier if not any(_within(path, given) for given in inputs)]
        if left_out:
            raise RunError(
                f"{self.path} holds a search of {', '.join(left_out[:MAX_DIFFERENCES])}: name that "
                "too, or choose another -o"
            )

    def record(self) -> dict[str, Any]:
        """Read run.json.

        Returns
        -------
        dict
            Its content.

        Raises
        ------
        RunError
            If it is missing or damaged, or if another version wrote what this one cannot read.
        """
        record = self._read(self.path / "run.json")
        if record is None:
            raise RunError(f"{self.path}: its search has not ended; run the same search again")
        stage = record.get("stage", "done")
        if stage == "search":
            raise RunError(f"{self.path}: its search has not ended; run the same search again")
        found = record.get("format", 1)
        writer = record.get("versions", {}).get("speclens", "of another version")
        if found > FORMAT:
            raise RunError(
                f"{self.path}: written by speclens {writer} in format {found}, and this is "
                f"{speclens.__version__}, which reads format {FORMAT}: install a newer speclens"
            )
        if found < FORMAT:
            raise RunError(
                f"{self.path}: written by speclens {writer} in format {found}, before hits were "
                "vetted: search again into another folder"
            )
        return record

    def claim(self, setup: Mapping[str, Any]) -> None:
        """Bind the folder to a setup.

        Parameters
        ----------
        setup : mapping
            All that decides the results beside the input files.
        """
        record = self.work / "setup.json"
        if not record.exists():
            write_json(record, setup)

    def _read(self, path: Path) -> dict[str, Any] | None:
        try:
            return dict(json.loads(path.read_text()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            raise RunError(f"{path}: damaged ({error}); delete the folder {self.path}") from error

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
        If another run holds it, if it is not empty and no run's, or if it cannot be created.
    """
    _refuse_foreign(path)
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


@contextmanager
def existing_folder(path: Path) -> Iterator[RunFolder]:
    """Lock the folder of a finished search.

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
        If it is no run, or another process holds it.
    """
    if not (path / "work" / "setup.json").is_file():
        if (path / "run.json").is_file():
            raise RunError(f"{path / 'work'}: missing, with the spectra of the hits; search again")
        raise RunError(f"{path}: no run of speclens; give the -o of a search")
    with locked_folder(path) as folder:
        yield folder


def _refuse_foreign(path: Path) -> None:
    names = {p.name for p in path.iterdir() if p.name[0] != "."} if path.is_dir() else set()
    if names and "work" not in names and not names <= OWN_FOLDERS:
        raise RunError(f"{path}: not empty, and no run of speclens; choose another -o")


def _within(path: str, given: str) -> bool:
    return path == given or path.startswith(given.rstrip(os.sep) + os.sep)


def _lock(lock: IO[str], path: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        holder = lock.read().strip() or "another process"
        raise RunError(
            f"{path}: another run is already running there ({holder}); wait for it, or stop it"
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
