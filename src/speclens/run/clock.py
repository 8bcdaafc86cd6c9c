"""Seconds by stage."""

from __future__ import annotations

import time

__all__ = ["Clock"]


class Clock:
    """Seconds by stage.

    Parameters
    ----------
    seconds : dict, optional
        Those of stages done before.
    """

    def __init__(self, seconds: dict[str, float] | None = None) -> None:
        self.seconds: dict[str, float] = {} if seconds is None else seconds
        self._last = time.perf_counter()

    def done(self, stage: str) -> None:
        """Say that a stage has ended.

        Parameters
        ----------
        stage : str
            Its name.
        """
        now = time.perf_counter()
        self.seconds[stage] = round(now - self._last, 3)
        self._last = now
