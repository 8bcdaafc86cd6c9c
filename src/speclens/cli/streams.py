"""stdout and stderr as they may be: closed, on a full disk, or left by whoever read them.

In: the streams of the process. Out: streams to which anything can be said; what cannot be written
is lost, and not the run.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

__all__ = ["lost_output", "results", "steady_streams"]


@contextmanager
def steady_streams() -> Iterator[None]:
    """Let nothing that befalls stdout and stderr end the run.

    Yields
    ------
    None
        Nothing; the streams are put back afterwards.
    """
    _open_what_is_closed()
    before = sys.stdout, sys.stderr
    for stream in before:
        # A locale that lacks a character must not end a run.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    sys.stdout, sys.stderr = _Steady(before[0]), _Steady(before[1])
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def lost_output() -> str:
    """Say why stdout could not be written.

    Returns
    -------
    str
        The reason, once; empty when all was written, or when the reader has left (`| head`).
    """
    sys.stdout.flush()
    stream: object = sys.stdout
    if not isinstance(stream, _Steady) or stream.error is None:
        return ""
    error, stream.error = stream.error, None
    return "" if isinstance(error, BrokenPipeError) else str(error.strerror or error)


@contextmanager
def results() -> Iterator[None]:
    """Print results of products that are whole, whether or not anybody can read it.

    Yields
    ------
    None
        Nothing; what cannot be written is said on stderr, and is no error.
    """
    yield
    lost = lost_output()
    if lost:
        sys.stderr.write(f"speclens: cannot write to stdout: {lost}\n")


def _open_what_is_closed() -> None:
    """Point closed streams to nowhere: the next file to be opened would take their place."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
            os.set_inheritable(number, True)
    # Python has none where they were closed.
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - it stays open
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115


class _Steady:
    """A stream that never fails; `error` is the first thing that befell it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.error: OSError | None = None

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            self._silence(error)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._silence(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _silence(self, error: OSError) -> None:
        """Write nowhere from now on; Python flushes once more at its end."""
        self.error = self.error or error
        with suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
