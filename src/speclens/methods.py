"""The names of the searches, as `--method` takes them, and how pages call them.

In: nothing. Out: `METHODS`. What each does stands in `speclens.search`; here is only what command
line, configuration and pages need of it, so that `--help` loads nothing.
"""

from __future__ import annotations

__all__ = ["METHODS"]

METHODS = {
    "resnet": "the residual network",
    "matched-filter": "the matched filter",
    "lines": "the search of lines",
    "line-thresholds": "the search of lines by thresholds",
    "redshift-network": "the network of redshifts",
}
"""The title of each search, by its name; `speclens.search.searches` makes them."""
