"""The searches that there are, by the name that --method takes.

In: a configuration. Out: the search that it describes. A name has its title in
`speclens.methods`.
"""

from __future__ import annotations

from collections.abc import Callable

from speclens.config import Config
from speclens.search.lines import LineSearch
from speclens.search.matched_filter import MatchedFilter
from speclens.search.network import open_network
from speclens.search.peaks import PeakSearch
from speclens.search.redshift_search import open_redshift_network
from speclens.search.search import Search
from speclens.search.threshold_finder import ThresholdFinder
from speclens.search.thresholds import ThresholdSearch

__all__ = ["SEARCHES", "open_search"]

SEARCHES: dict[str, Callable[[Config, MatchedFilter], Search]] = {
    "resnet": open_network,
    "matched-filter": PeakSearch,
    "lines": LineSearch,
    "line-thresholds": ThresholdSearch,
    "redshift-network": open_redshift_network,
    "specutils": ThresholdFinder,
}


def open_search(config: Config, matched_filter: MatchedFilter) -> Search:
    """Make the search of a configuration, in the process that works with it.

    Parameters
    ----------
    config : Config
        Section `search`, and that of the search itself.
    matched_filter : MatchedFilter
        Finds or measures its hits.

    Returns
    -------
    Search
        The search.

    Raises
    ------
    SpeclensError
        If what it needs is missing, or does not fit the configuration.
    """
    return SEARCHES[config.search.method](config, matched_filter)
