"""What a run tells its user while it goes on: a bar on a terminal, plain lines elsewhere.

In: the events of `speclens.run.progress.Progress`. Out: text on stderr.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from speclens.run.progress import Progress, Silent

__all__ = ["talking"]

SECONDS_BETWEEN_LINES = 10.0


class _OnTerminal:
    """A progress bar."""

    def __init__(self, bar: Bar) -> None:
        self._bar = bar
        self._task = TaskID(0)

    def stage(self, name: str, total: int, counted: str = "spectra") -> None:
        self._counted, self._n, self._began = counted, 0, time.perf_counter()
        self._task = self._bar.add_task(name, total=total, speed="")

    def advance(self, n: int) -> None:
        self._n += n
        rate = self._n / max(time.perf_counter() - self._began, 1e-3)
        self._bar.update(
            self._task, advance=1, speed=f"{rate:,.0f} {self._counted}/s" if rate else ""
        )

    def message(self, text: str) -> None:
        self._bar.console.print(f"speclens: {text}", markup=False, highlight=False, soft_wrap=True)


class _Quiet(Silent):
    """Failures only."""

    def message(self, text: str) -> None:
        _say(text)


class _InLog(_Quiet):
    """Plain lines, without escape codes."""

    def stage(self, name: str, total: int, counted: str = "spectra") -> None:
        self._name, self._total, self._done = name, total, 0
        self._counted, self._n = counted, 0
        self._last = time.perf_counter()

    def advance(self, n: int) -> None:
        self._done += 1
        self._n += n
        now = time.perf_counter()
        if self._done == self._total or now - self._last > SECONDS_BETWEEN_LINES:
            self._last = now
            so_far = f", {self._n} {self._counted}" if self._n else ""
            _say(f"{self._name}: {self._done}/{self._total}{so_far}")


def _say(text: str) -> None:
    print(f"speclens: {text}", file=sys.stderr)


@contextmanager
def talking(quiet: bool) -> Iterator[Progress]:
    """Return a listener that suits the place where the command runs.

    Parameters
    ----------
    quiet : bool
        Tell of failures only.

    Yields
    ------
    Progress
        The listener.
    """
    console = Console(stderr=True)
    if quiet:
        yield _Quiet()
    elif not console.is_terminal or console.is_dumb_terminal:
        yield _InLog()
    else:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
        )
        with Bar(*columns, console=console) as bar:
            yield _OnTerminal(bar)
