"""What a report is made from, and how its pages are named.

In: the products of a run. Out: records that the pages share.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config

__all__ = ["CandidatePaths", "RunContent", "candidate_paths"]


@dataclass(frozen=True)
class RunContent:
    """What the pages of a run show.

    Parameters
    ----------
    record : mapping
        Content of run.json.
    hits : structured array of shape (N,)
        Rows of hits.fits.
    candidates : structured array of shape (M,)
        Rows of candidates.*, best first.
    companions : structured array of shape (K,)
        Rows of `speclens.schema.COMPANIONS`; HIT counts rows of `hits`.
    known : structured array or None
        Rows of known.*; None when no published systems were given.
    config : Config
        Configuration with which the hits were vetted.
    notes : sequence of str, optional
        What a reader should know first.
    truth : sequence of mapping, optional
        Of a mock survey: what was put in and what came back, one mapping a row.
    """

    record: Mapping[str, Any]
    hits: NDArray[np.void]
    candidates: NDArray[np.void]
    companions: NDArray[np.void]
    known: NDArray[np.void] | None
    config: Config
    notes: Sequence[str] = ()
    truth: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class CandidatePaths:
    """Where a candidate's page and figure are in the folder of the report.

    Parameters
    ----------
    name : str
        TARGETID and the number of the hit in its spectrum, from 1 by wavelength.
    hit : int
        Its row of hits.fits.
    """

    name: str
    hit: int

    @property
    def page(self) -> str:
        """Path of the page, relative to the report."""
        return f"candidates/{self.name}.html"

    @property
    def figure(self) -> str:
        """Path of the figure, relative to the report."""
        return f"candidates/{self.name}.png"


def candidate_paths(hits: NDArray[np.void], candidates: NDArray[np.void]) -> list[CandidatePaths]:
    """Name the page and the figure of each candidate.

    Parameters
    ----------
    hits : structured array of shape (N,)
        Rows of hits.fits.
    candidates : structured array of shape (M,)
        Rows of candidates.*.

    Returns
    -------
    list of CandidatePaths
        One a candidate.

    Raises
    ------
    ValueError
        If a candidate is none of the hits.
    """
    places: dict[tuple[int, float], list[CandidatePaths]] = defaultdict(list)
    seen: dict[int, int] = defaultdict(int)
    for hit in np.lexsort((hits["WAVE"], hits["TARGETID"])).tolist():
        target = int(hits["TARGETID"][hit])
        seen[target] += 1
        paths = CandidatePaths(f"{target}-{seen[target]}", hit)
        if hits["CANDIDATE"][hit]:
            places[target, float(hits["WAVE"][hit])].append(paths)
    found = []
    for target, wave in zip(
        candidates["TARGETID"].tolist(), candidates["WAVE"].tolist(), strict=True
    ):
        if not places[target, wave]:
            raise ValueError(f"candidate {target} at {wave} Angstrom is no candidate of the hits")
        found.append(places[target, wave].pop(0))
    return found
