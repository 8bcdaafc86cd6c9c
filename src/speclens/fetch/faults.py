"""What can go wrong between an archive and a file, by what is to be done about it.

In: nothing. Out: the errors that `speclens.fetch` handles by itself. None of them ends a run; what
does is a `RunError`.
"""

from __future__ import annotations

__all__ = ["DamagedError", "LostError", "NotThereError", "PassingError", "StoppedError"]


class LostError(Exception):
    """A file that cannot be had; the text says why and what to do."""


class NotThereError(LostError):
    """A file that the archive does not have."""


class DamagedError(LostError):
    """What came is not what was announced; another try may help."""


class PassingError(Exception):
    """A fault that may have gone a moment later.

    Parameters
    ----------
    text : str
        What it was.
    wait : float, optional
        Seconds that the server asks to wait.
    """

    def __init__(self, text: str, wait: float = 0.0) -> None:
        super().__init__(text)
        self.wait = wait


class StoppedError(Exception):
    """The run ends: nothing more is to be asked."""
