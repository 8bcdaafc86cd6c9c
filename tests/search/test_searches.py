"""Every search has a name and a title, and every name a search."""

from __future__ import annotations

from speclens.methods import METHODS
from speclens.search.searches import SEARCHES


def test_names_and_searches_are_the_same() -> None:
    assert list(SEARCHES) == list(METHODS)
