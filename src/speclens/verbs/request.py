"""What a user asks of a search, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config

__all__ = ["RunSummary", "SearchRequest"]


@dataclass(frozen=True)
class SearchRequest:
    """What the user asks for.

    Parameters
    ----------
    inputs : sequence of str
        Survey files and folders.
    output : Path
        The run's folder.
    config : Config
        The configuration.
    catalogue : str, optional
        Survey catalogue instead of the classes and redshifts beside the spectra.
    n_workers : int, optional
        Number of processes.
    verify : bool, optional
        Refuse data that disagree with their DATASUM.
    known : str, optional
        List of published systems, to be marked among the hits.
    """

    inputs: Sequence[str]
    output: Path
    config: Config
    catalogue: str | None = None
    n_workers: int = 1
    verify: bool = True
    known: str | None = None


@dataclass(frozen=True)
class RunSummary:
    """What came of a run.

    Parameters
    ----------
    output : Path
        The run's folder.
    counts : dict
        Spectra by status, hits, candidates.
    reasons : dict
        Spectra by reason code.
    candidates : structured array of shape (N,)
        Rows of the candidate table, best first.
    notes : sequence of str
        What a reader of the tables must know.
    n_ignored : int
        Other files met in the input folders.
    n_new : int
        Spectra searched now, not found done.
    not_gathered : dict
        Files that could not be read again for their hits, by reason code.
    loss : str
        Why no spectrum was searched; empty where any was.
    configuration : dict
        Sections of the configuration used, whose limits the reasons stand for.
    ignored : sequence of str, optional
        Names of the first of the other files.
    """

    output: Path
    counts: dict[str, int]
    reasons: dict[str, int]
    candidates: NDArray[np.void]
    notes: Sequence[str]
    n_ignored: int
    n_new: int
    not_gathered: dict[str, int]
    configuration: dict[str, Any]
    loss: str = ""
    ignored: Sequence[str] = ()

    @property
    def n_failed(self) -> int:
        """Number of spectra and hits that failed, and of files that failed when read again."""
        failed = self.counts["failed"] + self.counts["hits_failed"]
        return failed + sum(self.not_gathered.values())
