"""Who listens to a run while it goes on."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Progress", "Silent"]


class Progress(Protocol):
    """Listens to a run."""

    def stage(self, name: str, total: int, counted: str = "spectra") -> None:
        """Hear that a stage of `total` steps begins, and what is counted in them."""

    def advance(self, n: int) -> None:
        """Hear that a step is done, and how much it counts."""

    def message(self, text: str) -> None:
        """Hear of a file that failed."""


class Silent:
    """A listener that says nothing."""

    def stage(self, name: str, total: int, counted: str = "spectra") -> None:
        """Hear that a stage begins."""

    def advance(self, n: int) -> None:
        """Hear that a step is done, and how much it counts."""

    def message(self, text: str) -> None:
        """Hear of a file that failed."""
