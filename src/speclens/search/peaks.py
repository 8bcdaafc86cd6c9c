"""The matched filter as a search: a hit at every peak above the threshold.

In: prepared spectra, filtered. Out: hits. The filter itself is `speclens.search.matched_filter`.
"""

from __future__ import annotations

import numpy as np

from speclens.config import Config
from speclens.sample.preparation import PreparedSpectra
from speclens.search.matched_filter import Filtered, MatchedFilter
from speclens.search.search import Found

__all__ = ["PeakSearch"]


class PeakSearch:
    """Search for peaks of the signal-to-noise ratio (Shu et al. 2016, section 2).

    Parameters
    ----------
    config : Config
        Not asked: the threshold is the filter's.
    matched_filter : MatchedFilter
        Not asked: its peaks come with the spectra.
    """

    engine = None

    def __init__(self, config: Config, matched_filter: MatchedFilter) -> None:
        pass

    def __call__(self, spectra: PreparedSpectra, filtered: Filtered) -> Found:
        """Return the peaks, as `Search` does."""
        n_spectra = len(spectra)
        return Found(
            filtered.hits,
            np.full(n_spectra, np.nan),
            filtered.many_hits,
            np.zeros(n_spectra, "U24"),
        )
