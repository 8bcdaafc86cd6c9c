"""Files that several searches read one after the other, read once.

In: what reads the files. Out: what it read, now or a moment ago, if the files are as they were. Who
records what is read hears the same of both.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple, TypeVar

from speclens.run.recording import Readings, hint_of, note, recording

__all__ = ["read_once", "reading_once"]

Found = TypeVar("Found")


class _Kept(NamedTuple):
    """What was read, and of which files: their hint from before they were opened."""

    key: Hashable
    hint: str
    readings: Readings
    found: Any


_last: ContextVar[list[_Kept] | None] = ContextVar("last", default=None)


@contextmanager
def reading_once() -> Iterator[None]:
    """Keep what is read last, for who reads it again.

    Yields
    ------
    None
        While `read_once` keeps what it read.
    """
    token = _last.set([])
    try:
        yield
    finally:
        _last.reset(token)


def read_once(
    key: Hashable,
    paths: Sequence[str],
    read: Callable[[], Found],
    is_whole: Callable[[Found], bool],
) -> Found:
    """Read files, or find what was read last, if it was the same.

    Parameters
    ----------
    key : hashable
        All that decides what is read, beside the content of the files.
    paths : sequence of str
        The files.
    read : callable
        Reads them; what it returns is not changed by anyone.
    is_whole : callable
        Says of what was read whether it may be kept; not where it may be more the next time.

    Returns
    -------
    object
        What was read.
    """
    last = _last.get()
    if last is None:
        return read()
    hint = hint_of(paths)
    if not (last and hint and (last[0].key, last[0].hint) == (key, hint)):
        last.clear()  # not both in memory
        readings: Readings = []
        try:
            with recording() as readings:
                found = read()
        finally:
            _tell(readings)
        if is_whole(found):
            last.append(_Kept(key, hint, readings, found))
        return found
    _tell(last[0].readings)
    kept: Found = last[0].found
    return kept


def _tell(readings: Readings) -> None:
    for reading in readings:
        note(*reading)
