"""What ends a run from outside: SIGINT (Ctrl-C) and SIGTERM (a scheduler); one line and a code.

In: signals, from the first line of the program on. Out: `InterruptedRun` in the main thread, so
that what is being written is complete or absent; the process at once while a module is imported,
where an exception would be lost or taken for a broken installation.
"""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import NoReturn

__all__ = ["InterruptedRun", "end_at_signals"]

NAMES = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
SECONDS_TO_END = 8.0
IMPORT_SYSTEM = "<frozen importlib"


class InterruptedRun(BaseException):
    """A signal ended the run.

    Parameters
    ----------
    number : int
        The signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number

    def __str__(self) -> str:
        name = NAMES[signal.Signals(self.exit_code - 128)]
        return f"{name}; run the same command again to go on"


def end_at_signals() -> None:
    """Turn signals into `InterruptedRun`; those that are ignored (nohup) stay so."""
    for number in NAMES:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _end)


def _end(number: int, frame: FrameType | None) -> None:
    # Of two, the first decides.
    for other in NAMES:
        signal.signal(other, signal.SIG_IGN)
    error = InterruptedRun(number)
    if _is_importing(frame):
        _exit(error)
    # Whatever keeps the exception, the process ends in time.
    watch = threading.Timer(SECONDS_TO_END, _exit, [error])
    watch.daemon = True
    watch.start()
    raise error


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith(IMPORT_SYSTEM):
            return True
        frame = frame.f_back
    return False


def _exit(error: InterruptedRun) -> NoReturn:
    # Not through sys.stderr: a lock of its may be held.
    try:
        os.write(2, f"speclens: {error}\n".encode())
    finally:
        os._exit(error.exit_code)
