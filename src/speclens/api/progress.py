"""What a search tells while it goes on: a bar in a notebook, as the command line elsewhere.

In: the events of `speclens.run.progress.Progress`. Out: a display of the notebook, or stderr.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

from speclens.run.progress import Progress

__all__ = ["listening"]


MOST_SHOWN = 10
"""Messages in a notebook; of a survey with many damaged files there may be thousands."""


class _InNotebook:
    """A bar, and below it what was told of files that failed."""

    def __init__(self, display: Any) -> None:
        self._display, self._handle = display, None
        self._name, self._total, self._done = "", 0, 0
        self._messages: list[str] = []

    def stage(self, name: str, total: int, counted: str = "spectra") -> None:  # noqa: ARG002
        """Hear that a stage begins."""
        self._name, self._total, self._done = name, total, 0
        self._show()

    def advance(self, n: int) -> None:  # noqa: ARG002
        """Hear that a step is done."""
        self._done += 1
        self._show()

    def message(self, text: str) -> None:
        """Hear of a file that failed."""
        self._messages.append(text)
        self._show()

    def _show(self) -> None:
        bar = f'<progress max="{max(self._total, 1)}" value="{self._done}"></progress>'
        said = f"{bar} {escape(self._name)} {self._done}/{self._total}"
        shown = self._messages[-MOST_SHOWN:]
        n_before = len(self._messages) - len(shown)
        lines = [f"{n_before} messages before"] * bool(n_before) + shown
        text = "".join(f"<div>{escape(line)}</div>" for line in lines)
        page = self._display.HTML(f"<div>{said}</div>{text}")
        if self._handle is None:
            self._handle = self._display.display(page, display_id=True)
        else:
            self._handle.update(page)


@contextmanager
def listening(quiet: bool) -> Iterator[Progress]:
    """Return a listener that suits the place where the code runs.

    Parameters
    ----------
    quiet : bool
        Tell of failures only.

    Yields
    ------
    Progress
        The listener.
    """
    display = None if quiet else _notebook()
    if display is not None:
        yield _InNotebook(display)
        return
    from speclens.cli.talk import talking

    with talking(quiet) as progress:
        yield progress


def _notebook() -> Any:
    """Return IPython's display where a notebook runs this, else None."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None or not hasattr(shell, "kernel"):
        return None
    from IPython import display

    return display
