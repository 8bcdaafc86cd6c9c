"""Mock quasars and the searches behind them, for `quasar_searches.py`.

In: seeds. Out: plates of quasars without sources, and engines whose errors grow with other plates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from mock_plates import FIRST_PIXELS, MockPlates, moved, sky_growth
from speclens.config import Config, load_config
from speclens.sample.preparation import Preparation
from speclens.search.matched_filter import MatchedFilter
from speclens.search.search import Search
from speclens.search.searches import open_search
from speclens.simulate.plates import Plate
from speclens.simulate.training_set import survey_of_galaxies

__all__ = ["CONFIGURATIONS", "Engine", "Setup", "engine", "own_limit"]

CONFIGURATIONS = ("qso", "meyer2017")


@dataclass(frozen=True)
class Engine:
    """A search, at its own thresholds and at others."""

    config: Config
    preparation: Preparation
    matched_filter: MatchedFilter
    searches: Sequence[Search]


@dataclass
class Setup(MockPlates):
    """Quasars, and the searches behind them."""

    @cached_property
    def mock(self) -> Config:
        """Plates that hold quasars alone, without sources."""
        config = survey_of_galaxies(load_config("qso"), self.n_spectra)
        changed = {"quasar_fraction": 1.0, "first_pixel_range": FIRST_PIXELS}
        survey = config.survey.model_copy(update=changed)
        return config.model_copy(update={"survey": survey})

    @cached_property
    def engines(self) -> dict[str, Engine]:
        """Each search, its errors grown."""
        growth = [f'noise.growth="{self.growth}"'] if self.growth else []
        return {name: engine(load_config(name, growth), self.sky) for name in CONFIGURATIONS}


def engine(config: Config, sky: Sequence[Plate] = ()) -> Engine:
    """Make a search, at each of its steps."""
    preparation = Preparation(config, sky_growth(sky, config) if sky else None)
    matched_filter = MatchedFilter(preparation.grid, config.matched_filter)
    searches = [open_search(own, matched_filter) for own in moved(config)]
    return Engine(config, preparation, matched_filter, searches)


def own_limit(config: Config) -> float:
    """Return what a hit at the thresholds of a configuration exceeds."""
    return config.lines.ln_evidence_min if config.search.method == "lines" else 0.0
