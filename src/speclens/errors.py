"""Errors that a user can act on.

Every error says what is wrong, where, and what to do. The command line turns each into one line and
an exit code: 1 for a run that could not be done, 2 for wrong usage. An error about one file carries
a reason code of `speclens.schema.REASONS`, so that the run goes on and the code lands in the table.
"""

from __future__ import annotations

import os
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "ALLOW",
    "TRANSIENT",
    "ConfigError",
    "ModelError",
    "RunError",
    "SpeclensError",
    "SpectraError",
    "SpectrumFileError",
    "fault_of",
    "internal_error",
    "refusal_of",
]

ALLOW = "chmod u+rX, or ask its owner"
"""What to do about a file or folder that may not be read."""

TRANSIENT = ("io_error", "not_regular", "no_permission", "internal_error", "worker_died")
"""Failures of a file of which its content is not the cause."""


class SpeclensError(Exception):
    """Base of all errors that are reported as one line.

    Attributes
    ----------
    exit_code : int
        Exit status of the command line.
    """

    exit_code = 1


class RunError(SpeclensError):
    """The run cannot be done (a file that is missing or unusable, a locked or foreign folder)."""


class ConfigError(SpeclensError):
    """An option, or a key or value of the configuration, is wrong."""

    exit_code = 2


class SpectraError(SpeclensError):
    """Arrays or tables cannot be taken for spectra: a shape, a unit, a number that is missing.

    Parameters
    ----------
    text : str
        What is wrong, and what to do.
    reason : str, optional
        Code of `speclens.schema.REASONS`, where a file holds them.
    """

    def __init__(self, text: str, reason: str = "bad_values") -> None:
        super().__init__(text)
        self.reason = reason


class ModelError(SpeclensError):
    """A network's folder is damaged, foreign or not a model, or its network scores otherwise."""


class SpectrumFileError(SpeclensError):
    """One survey file cannot be read.

    Parameters
    ----------
    path : str
        The file.
    reason : str
        Code of `speclens.schema.REASONS`.
    detail : str
        What was found and what was expected, with units.
    hdu : int or str, optional
        The HDU, where one is to blame.
    hint : str, optional
        What to do about it.

    Attributes
    ----------
    targets : structured array or None
        Catalogue rows of the spectra that the file was to hold, when that much could be read.
    """

    def __init__(
        self, path: str, reason: str, detail: str, hdu: int | str | None = None, hint: str = ""
    ) -> None:
        super().__init__(path, reason, detail, hdu, hint)
        self.path = path
        self.reason = reason
        self.detail = detail
        self.hdu = hdu
        self.hint = hint
        self.targets: NDArray[np.void] | None = None

    def __str__(self) -> str:
        where = self.path if self.hdu is None else f"{self.path}[{self.hdu}]"
        text = f"{where}: {self.reason}: {self.detail}{'; ' if self.hint else ''}{self.hint}"
        # A name may hold line ends, and bytes that are no text.
        return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def internal_error(path: str, error: Exception) -> SpectrumFileError:
    """Say that a fault of the package itself, not of a file, cost its spectra.

    Parameters
    ----------
    path : str
        The file that was being worked on.
    error : Exception
        What was raised.

    Returns
    -------
    SpectrumFileError
        With the place in the code; to be reported, not raised.
    """
    return SpectrumFileError(
        path, "internal_error", fault_of(error), hint="a fault of speclens: please report"
    )


def fault_of(error: Exception) -> str:
    """Say what went wrong in the program itself, and where: it must neither end a run nor vanish.

    Parameters
    ----------
    error : Exception
        As it was caught.

    Returns
    -------
    str
        `ZeroDivisionError: division by zero (line_fits.py, line 120)`, on one line.
    """
    text = f"{type(error).__name__}: {error}"
    text = "".join(c if c.isprintable() else " " for c in text)
    frames = traceback.extract_tb(error.__traceback__)
    if frames:
        text += f" ({os.path.basename(frames[-1].filename)}, line {frames[-1].lineno})"
    return text


def refusal_of(error: OSError) -> str:
    """Say why the operating system does not give a file, and what to do where that is known.

    Parameters
    ----------
    error : OSError
        As it was caught.

    Returns
    -------
    str
        `it is a folder; give a file`.
    """
    if isinstance(error, IsADirectoryError):
        return "it is a folder; give a file"
    if isinstance(error, PermissionError):
        return f"permission denied; {ALLOW}"
    return error.strerror or str(error)
