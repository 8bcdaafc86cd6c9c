"""What a search is: prepared spectra in, hits out.

In: nothing. Out: `Search`, the one protocol of all searches, and `Found`. A file of this folder
holds each; which they are is listed in `speclens.search.searches`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from speclens.sample.preparation import PreparedSpectra
from speclens.search.matched_filter import Filtered

__all__ = ["Found", "Search"]


@dataclass(frozen=True)
class Found:
    """What a search found in N spectra.

    Parameters
    ----------
    hits : structured array
        `speclens.search.matched_filter.HIT_DTYPE`, by row, then by wavelength; what is not known
        is measured afterwards.
    probability : array of shape (N,)
        Probability of a line; NaN where the search gives none.
    many_hits : array of shape (N,)
        True where it fired too often to be believed; those hits are left out.
    reasons : array of shape (N,)
        Reason code of a spectrum that it could not judge, else empty.
    """

    hits: NDArray[np.void]
    probability: NDArray[np.float64]
    many_hits: NDArray[np.bool_]
    reasons: NDArray[np.str_]


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
