"""The names of the searches, as `--method` takes them, and how pages call them.

In: nothing. Out: `METHODS`, `RANKED_BY`, `WEIGHED`. What each does stands in
`speclens.search`; here is only what command line, configuration, comparisons and pages need of it,
so that `--help` loads nothing.
"""

from __future__ import annotations

__all__ = ["METHODS", "RANKED_BY", "WEIGHED"]

METHODS = {
    "resnet": "the residual network",
    "matched-filter": "the matched filter",
    "lines": "the search of lines",
    "line-thresholds": "the search of lines by thresholds",
    "redshift-network": "the network of redshifts",
    "specutils": "the threshold finder of specutils",
}
"""The title of each search, by its name; `speclens.search.searches` makes them."""

RANKED_BY = {
    "resnet": "PROBABILITY",
    "matched-filter": "SNR",
    "lines": "LN_EVIDENCE",
    "line-thresholds": "SNR_LINES",
    "redshift-network": "PROBABILITY",
    "specutils": "SNR",
}
"""The column of hits by which each search ranks its hits, by its name."""

WEIGHED = ("resnet", "matched-filter", "lines", "redshift-network")
"""The searches whose hits have a P_HYPOTHESIS, from the search itself or from vetting: without it
candidates have no order."""
