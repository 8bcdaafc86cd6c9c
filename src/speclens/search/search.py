"""What a search is: prepared spectra in, hits out.

In: nothing. Out: `Search`, the one protocol of all searches, and `Found`. A file of this folder
holds each; which they are is listed in `speclens.search.searches`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from speclens.sample.preparation import PreparedSpectra
from speclens.search.matched_filter import Filtered
from speclens.search.readings import Readings

__all__ = ["SOURCE_DTYPE", "Found", "Search", "lya_sources", "unweighed_sources"]

SOURCE_DTYPE = np.dtype(
    [
        ("HYPOTHESIS", "U8"),
        ("Z_SOURCE", "f8"),
        ("N_LINES", "i2"),
        ("SNR_LINES", "f4"),
        ("LN_EVIDENCE", "f4"),
        ("P_HYPOTHESIS", "f4"),
        ("Z_SECOND", "f8"),
        ("LN_ODDS", "f4"),
    ]
)
"""What a search says of the source of a hit; its line is measured by the matched filter."""


@dataclass(frozen=True)
class Found:
    """What a search found in N spectra.

    Parameters
    ----------
    hits : structured array
        `speclens.search.matched_filter.HIT_DTYPE`, by row, then by wavelength, or best first;
        what is not known is measured afterwards.
    probability : array of shape (N,)
        Probability of a line; NaN where the search gives none.
    many_hits : array of shape (N,)
        True where it fired too often to be believed; those hits are left out.
    reasons : array of shape (N,)
        Reason code of a spectrum that it could not judge, else empty.
    sources : structured array, optional
        `SOURCE_DTYPE`, a row for each hit; Lyman alpha when not given.
    readings : Readings, optional
        What the lines may be, where the search weighs it; HIT counts `hits`.
    """

    hits: NDArray[np.void]
    probability: NDArray[np.float64]
    many_hits: NDArray[np.bool_]
    reasons: NDArray[np.str_]
    sources: NDArray[np.void] | None = None
    readings: Readings = field(default_factory=Readings)


def unweighed_sources(n_hits: int) -> NDArray[np.void]:
    """Return sources of a search that weighs nothing; what they are is for it to say.

    Parameters
    ----------
    n_hits : int
        Number of hits H.

    Returns
    -------
    structured array of shape (H,)
        `SOURCE_DTYPE`.
    """
    sources = np.zeros(n_hits, SOURCE_DTYPE)
    for name in ("LN_EVIDENCE", "P_HYPOTHESIS", "Z_SECOND", "LN_ODDS"):
        sources[name] = np.nan
    return sources


def lya_sources(hits: NDArray[np.void]) -> NDArray[np.void]:
    """Say of hits that their lines are Lyman alpha, whatever else they may be.

    Parameters
    ----------
    hits : structured array of shape (H,)
        `speclens.search.matched_filter.HIT_DTYPE`, measured.

    Returns
    -------
    structured array of shape (H,)
        `SOURCE_DTYPE`.
    """
    sources = unweighed_sources(len(hits))
    sources["HYPOTHESIS"], sources["N_LINES"] = "lya", 1
    sources["Z_SOURCE"], sources["SNR_LINES"] = hits["Z_SOURCE"], hits["SNR"]
    return sources


class Search(Protocol):
    """A search."""

    @property
    def engine(self) -> str | None:
        """What runs its network; None when it has none."""

    def __call__(self, spectra: PreparedSpectra, filtered: Filtered) -> Found:
        """Find the hits.

        Parameters
        ----------
        spectra : PreparedSpectra
            N spectra; those with a reason have no pixels.
        filtered : Filtered
            What the matched filter makes of them, which every search may use.

        Returns
        -------
        Found
            What it found.
        """
        ...
