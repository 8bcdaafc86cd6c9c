"""Calls to the operating system that may fail for a while, or never return.

In: a path, or a call such as `os.pread`. Out: its answer, or the `OSError` that stayed. A disk that
is busy and a file server that starts again get a second chance; a mount that has died holds up
one file, not the run.
"""

from __future__ import annotations

import errno
import os
import signal
import stat
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar

from speclens.errors import SpectrumFileError, refusal_of

__all__ = ["DiskContent", "patient"]

BACK_OFF = (0.1, 0.3, 0.9)
"""Pauses before a call is tried again, seconds."""

PATIENCE = 120.0
"""A call without an answer is given up after this time, seconds; it is not tried again."""

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


class DiskContent:
    """Content of a plain file; a small one is read at once.

    Parameters
    ----------
    descriptor : int
        Descriptor to read from.
    size : int
        Length of the file, bytes.
    whole : bytes, optional
        All of it, where it was read.

    Attributes
    ----------
    size : int
        Length of the content, bytes.
    forward_only : bool
        False: any place can be read, at any time.
    """

    forward_only = False

    def __init__(self, descriptor: int, size: int, whole: bytes | None = None) -> None:
        self.size = size
        self._descriptor = descriptor
        self._whole = None if whole is None else memoryview(whole)

    @classmethod
    def open(cls, name: str) -> DiskContent:
        """Open a regular file.

        Parameters
        ----------
        name : str
            Its path.

        Returns
        -------
        DiskContent
            Its content, to be closed.

        Raises
        ------
        SpectrumFileError
            If it is no regular file, or cannot be opened or read.
        """
        try:
            content = patient(_open, name)
        except (IsADirectoryError, PermissionError) as error:
            reason = "no_permission" if isinstance(error, PermissionError) else "not_regular"
            raise SpectrumFileError(name, reason, refusal_of(error)) from error
        except (OSError, ValueError) as error:
            code = getattr(error, "errno", None)
            passing = code in PASSING or isinstance(error, TimeoutError)
            raise SpectrumFileError(
                name,
                "io_error" if passing else "not_regular",
                getattr(error, "strerror", None) or str(error),
                hint="try again" if passing else "",
            ) from error
        if content is None:
            raise SpectrumFileError(name, "not_regular", "not a regular file")
        return content

    def close(self) -> None:
        """Close the file, and forget what is in it: what is read then is refused."""
        os.close(self._descriptor)
        self._descriptor, self._whole = -1, None

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

    def read_each(self, offsets: Sequence[int], size: int) -> Sequence[bytes | memoryview]:
        """Read pieces of one length.

        Parameters
        ----------
        offsets : sequence of int
            Their places.
        size : int
            Their length, bytes.

        Returns
        -------
        sequence of bytes or memoryview
            The pieces; shorter where the file ends. Views hold the whole of a small file in memory.
        """
        if self._whole is not None:
            return [self._whole[offset : offset + size] for offset in offsets]
        return patient(_read_each, self._descriptor, offsets, size)

    def finish(self) -> None:
        """Do nothing: a plain file has no end to check."""


def _open(name: str) -> DiskContent | None:
    """Open a file, and read it if it is small: one call, for a folder may hold a million."""
    # O_NONBLOCK: opening a named pipe must not wait for a writer.
    descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            return None
        if status.st_size > SMALL_FILE:
            return DiskContent(descriptor, status.st_size)
        whole = os.pread(descriptor, status.st_size, 0)
        return DiskContent(descriptor, len(whole), whole)
    except OSError:
        os.close(descriptor)
        raise


def _read_each(descriptor: int, offsets: Sequence[int], size: int) -> list[bytes]:
    return [os.pread(descriptor, size, offset) for offset in offsets]


def _give_up(*_: object) -> NoReturn:
    raise TimeoutError(f"no answer in {PATIENCE:g} s")


def _answered(call: Callable[..., Answer], arguments: tuple[Any, ...]) -> Answer:
    """Call, and stop waiting after some time, where signals are heard: in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        return call(*arguments)
    handler = signal.signal(signal.SIGALRM, _give_up)
    left, interval = signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    began = time.monotonic()
    try:
        return call(*arguments)
    finally:
        # Another's alarm goes on as if nothing had been.
        after = max(left - (time.monotonic() - began), 1e-3) if left else 0.0
        signal.setitimer(signal.ITIMER_REAL, after, interval)
        signal.signal(signal.SIGALRM, handler or signal.SIG_DFL)
