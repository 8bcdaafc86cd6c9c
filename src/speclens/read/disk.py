"""Calls to the operating system that may fail for a while, or never return.

In: a path, or a call such as `os.pread`. Out: its answer, or the `OSError` that stayed. A disk that
is busy and a file server that starts again get a second chance; a mount that has died holds up
one file, not the run.
"""

from __future__ import annotations

import errno
import os
import queue
import stat
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar, cast

from speclens.errors import SpectrumFileError

__all__ = ["DiskContent", "open_regular", "patient"]

BACK_OFF = (0.1, 0.3, 0.9)
"""Pauses before a call is tried again, seconds."""

PATIENCE = 120.0
"""A call without an answer is given up after this time, seconds."""

PASSING = frozenset(
    getattr(errno, name)
    for name in (
        "EIO", "ESTALE", "EAGAIN", "EINTR", "EBUSY", "ETIMEDOUT", "EREMOTEIO", "ENOLINK",
        "ECONNRESET", "ECONNREFUSED", "ECONNABORTED", "ENOTCONN", "ESHUTDOWN", "EHOSTDOWN",
        "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH", "ENETRESET", "ENOMEM", "ENFILE",
    )
    if hasattr(errno, name)
)  # fmt: skip
"""Errors of disks and networks that may have gone a moment later."""

SMALL_FILE = 4 << 20

Answer = TypeVar("Answer")


def patient(call: Callable[..., Answer], *arguments: Any) -> Answer:
    """Call the operating system, again where an error may pass, within bounds of time.

    Parameters
    ----------
    call : callable
        What is called.
    *arguments : object
        Its arguments.

    Returns
    -------
    object
        Its answer.

    Raises
    ------
    OSError
        If the error stayed, or cannot pass, or no answer came.
    """
    for pause in BACK_OFF:
        try:
            return _answered(call, arguments)
        except OSError as error:
            if error.errno not in PASSING:
                raise
        time.sleep(pause)
    return _answered(call, arguments)


def open_regular(name: str) -> tuple[int, int]:
    """Open a regular file.

    Parameters
    ----------
    name : str
        Its path.

    Returns
    -------
    descriptor, size : int
        Descriptor to read from, and its length, bytes.

    Raises
    ------
    SpectrumFileError
        If it is no regular file, or cannot be opened.
    """
    try:
        descriptor, status = patient(_open, name)
    except (OSError, ValueError) as error:
        passing = isinstance(error, TimeoutError) or getattr(error, "errno", None) in PASSING
        raise SpectrumFileError(
            name,
            "io_error" if passing else "not_regular",
            getattr(error, "strerror", None) or str(error),
            hint="try again" if passing else "",
        ) from error
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise SpectrumFileError(name, "not_regular", "not a regular file")
    return descriptor, status.st_size


def _open(name: str) -> tuple[int, os.stat_result]:
    # O_NONBLOCK: opening a named pipe must not wait for a writer.
    descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK)
    try:
        return descriptor, os.fstat(descriptor)
    except BaseException:
        os.close(descriptor)
        raise


class DiskContent:
    """Content of a plain file; a small one is read at once.

    Parameters
    ----------
    descriptor : int
        Descriptor to read from.
    size : int
        Length of the file, bytes.

    Attributes
    ----------
    size : int
        Length of the content, bytes.
    forward_only : bool
        False: any place can be read, at any time.
    """

    forward_only = False

    def __init__(self, descriptor: int, size: int) -> None:
        self._descriptor = descriptor
        self._whole = patient(os.pread, descriptor, size, 0) if size <= SMALL_FILE else None
        self.size = size if self._whole is None else len(self._whole)

    def reach(self, end: int) -> int:  # noqa: ARG002 - as `GzipContent`
        """Say how long the content is.

        Parameters
        ----------
        end : int
            A place in it, bytes.

        Returns
        -------
        int
            Its length; less than `end` where it ends before.
        """
        return self.size

    def read(self, offset: int, size: int) -> bytes:
        """Read bytes.

        Parameters
        ----------
        offset, size : int
            Place and length.

        Returns
        -------
        bytes
            As many as there are.
        """
        if self._whole is not None:
            return self._whole[offset : offset + size]
        return patient(os.pread, self._descriptor, size, offset)

    def finish(self) -> None:
        """Do nothing: a plain file has no end to check."""


class _Helper:
    """A thread that makes the calls of another one, which may then stop waiting for it."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self._calls: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="disk", daemon=True).start()

    def _run(self) -> None:
        while True:
            call, arguments = self._calls.get()
            try:
                self._answers.put((call(*arguments), None))
            except Exception as error:  # noqa: BLE001 - it belongs to the thread that waits
                self._answers.put((None, error))
            # What was read must not stay alive until the next call.
            del call, arguments

    def ask(self, call: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        self._calls.put((call, arguments))
        return self._answers.get(timeout=PATIENCE)


_helpers = threading.local()


def _answered(call: Callable[..., Answer], arguments: tuple[Any, ...]) -> Answer:
    helper: _Helper | None = getattr(_helpers, "one", None)
    if helper is None or helper.process != os.getpid():
        helper = _helpers.one = _Helper()
    try:
        answer, error = helper.ask(call, arguments)
    except BaseException as stopped:
        # A wait that was given up leaves an answer behind, which is none to the next call.
        _helpers.one = None
        if isinstance(stopped, queue.Empty):
            raise TimeoutError(f"no answer in {PATIENCE:g} s") from None
        raise
    if error is not None:
        raise error
    return cast(Answer, answer)
