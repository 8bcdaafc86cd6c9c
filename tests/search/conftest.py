"""The search of lines, as several tests need it, and no GPU for any."""

from __future__ import annotations

import pytest

from speclens.config import Config, load_config
from speclens.search import engine
from speclens.search.lines import LineSearch
from speclens.search.matched_filter import MatchedFilter
from speclens.spectra import LogGrid


@pytest.fixture(autouse=True)
def _no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same tests on every machine."""
    monkeypatch.setattr(engine, "_gpu_is_plausible", lambda: False)


@pytest.fixture(scope="session")
def elg() -> Config:
    return load_config("elg")


@pytest.fixture(scope="session")
def grid(elg: Config) -> LogGrid:
    return LogGrid.covering(*elg.preparation.window)


@pytest.fixture(scope="session")
def search(elg: Config, grid: LogGrid) -> LineSearch:
    return LineSearch(elg, MatchedFilter(grid, elg.matched_filter))
