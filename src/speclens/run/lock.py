"""One process at a time: a lock that ends with its holder.

In: the place of the lock. Out: the lock held, or an error that names who holds it.
"""

from __future__ import annotations

import fcntl
import os
import re
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from speclens.errors import RunError

__all__ = ["locked"]

HOLDER = re.compile(r"[^\n]{1,255}, process \d+, since [^\n]{1,64}\n")


@contextmanager
def locked(path: Path, folder: Path, shared: bool = False) -> Iterator[None]:
    """Hold a lock.

    Parameters
    ----------
    path : Path
        The lock; it and its folder are made where they are missing.
    folder : Path
        What it is a lock of, for messages.
    shared : bool, optional
        Only keep others from changing the folder; the lock stays as it is, also absent.

    Yields
    ------
    None
        While the lock is held.

    Raises
    ------
    RunError
        If another process holds it, or if what stands there is no lock of ours.
    """
    try:
        if not shared:
            path.parent.mkdir(exist_ok=True)
        flags = os.O_RDONLY if shared else os.O_RDWR | os.O_CREAT
        # A link would have us write the name of the holder elsewhere; a pipe would wait.
        lock = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
    except FileNotFoundError:
        if not shared:
            raise RunError(f"{path}: the folder vanished") from None
        # Nobody has it.
        yield
        return
    except OSError as error:
        if path.is_symlink():
            raise RunError(f"{path}: a link, and no lock of speclens; remove it") from error
        raise RunError(f"{path}: cannot use as output folder: {error.strerror}") from error
    try:
        _take(lock, path, folder, shared)
        if not shared:
            os.ftruncate(lock, 0)
            holder = f"{socket.gethostname()}, process {os.getpid()}, since {time.ctime()}\n"
            os.write(lock, holder.encode())
        yield
    finally:
        os.close(lock)


def _take(lock: int, path: Path, folder: Path, shared: bool) -> None:
    if not stat.S_ISREG(os.fstat(lock).st_mode):
        raise RunError(f"{path}: no lock of speclens; remove it")
    # A power cut may leave zeros.
    content = os.pread(lock, 1024, 0).strip(b"\0").decode(errors="replace")
    if content and not HOLDER.fullmatch(content):
        raise RunError(f"{path}: speclens did not write that; remove it")
    try:
        fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = content.strip() or "another process"
        raise RunError(
            f"{folder}: another run is already running there ({holder}); wait for it, or stop it"
        ) from None
    except OSError as error:
        raise RunError(f"{folder}: this file system has no locks ({error.strerror})") from error
