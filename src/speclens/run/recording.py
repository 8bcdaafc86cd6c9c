"""What was read of which file, told by a digest of the very bytes.

In: a block of code that reads survey files. Out: for each file that it opened a digest of what it
read; two readings that see the same bytes give the same digests. Hashing as one reads costs nothing
to speak of, and needs no second reading. A hint - size, times, inode - says without reading that a
file is what it was.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from xxhash import xxh3_128

__all__ = ["Readings", "digest_of_file", "digest_of_readings", "hint_of", "note", "recording"]

Readings = list[tuple[str, str]]
"""Path and digest of each file, in the order in which they were closed."""

SETTLED_NS = 2_000_000_000
"""A file that changed more recently could change again without another time: clocks tick coarsely,
and some file systems keep whole seconds."""

PIECE_BYTES = 1 << 22

_readings: ContextVar[Readings | None] = ContextVar("readings", default=None)


@contextmanager
def recording() -> Iterator[Readings]:
    """Record what is read of survey files.

    Yields
    ------
    list of (str, str)
        Filled as files are closed.
    """
    readings: Readings = []
    token = _readings.set(readings)
    try:
        yield readings
    finally:
        _readings.reset(token)


def note(path: str, digest: str) -> None:
    """Tell whoever records that a file was read.

    Parameters
    ----------
    path : str
        The file.
    digest : str
        Of what was read of it.
    """
    readings = _readings.get()
    if readings is not None:
        readings.append((path, digest))


def digest_of_readings(readings: Readings) -> str:
    """Join readings into one digest.

    Parameters
    ----------
    readings : list of (str, str)
        As `recording` gives them.

    Returns
    -------
    str
        Hexadecimal; empty where nothing was told, which says nothing of what was read.
    """
    told = [(os.path.abspath(path), digest) for path, digest in readings]
    return xxh3_128(repr(told).encode()).hexdigest() if readings else ""


def hint_of(paths: Sequence[str]) -> str:
    """Tell files from their earlier selves without reading them.

    Parameters
    ----------
    paths : sequence of str
        The files, present or not.

    Returns
    -------
    str
        Digest of their names, sizes, times of change and inodes: the same only for the same files.
        The time of the inode's change counts, which no program sets back. Empty when one of them
        changed just now: then no hint can be relied on.
    """
    facts: list[tuple[str, ...] | tuple[str, int, int, int, int]] = []
    now = time.time_ns()
    for path in map(os.path.abspath, paths):  # by whatever way they were named
        try:
            status = os.stat(path)
        except (OSError, ValueError):
            facts.append((path,))
            continue
        if max(status.st_mtime_ns, status.st_ctime_ns) > now - SETTLED_NS:
            return ""
        facts.append((path, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino))
    return xxh3_128(repr(facts).encode()).hexdigest()


def digest_of_file(path: str) -> str:
    """Return the digest of a whole file.

    Parameters
    ----------
    path : str
        The file.

    Returns
    -------
    str
        Hexadecimal; empty for what is no readable file, of which its reader will complain.
    """
    digest = xxh3_128()
    try:
        if not os.path.isfile(path):
            return ""
        with open(path, "rb") as file:
            while data := file.read(PIECE_BYTES):
                digest.update(data)
    except OSError:
        return ""
    return digest.hexdigest()
