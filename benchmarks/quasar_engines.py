"""Mock quasars and the searches behind them, for `quasar_searches.py`.

In: seeds. Out: plates of quasars without sources, and engines whose errors grow with other plates.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from line_searches import sky_growth
from speclens.config import Config, load_config
from speclens.sample.preparation import Preparation
from speclens.search.line_growth import LineStatistics
from speclens.search.lines import LineSearch
from speclens.search.matched_filter import MatchedFilter
from speclens.search.search import Search
from speclens.search.searches import open_search
from speclens.simulate.plates import Plate
from speclens.simulate.survey import make_plate
from speclens.simulate.training_set import on_window, survey_of_galaxies

__all__ = ["CONFIGURATIONS", "Engine", "Setup", "engine", "measure_growth", "own_limit"]

CONFIGURATIONS = ("qso", "meyer2017")
STEPS = (1.0, 1.3, 0.85, 0.7)
"""By which the published thresholds on S/N are multiplied."""

LOWERED_EVIDENCE = 5.0
FIRST_PIXELS = (35515, 35540)
"""Plates whose spectra cover the window."""

GROWTH_PLATES, GROWTH_FIBRES = 24, 80
SKY_SEED, RESIDUAL_SEED = 7919, 7907
"""No spectrum that is searched says how errors grow, and many plates do: sky differs by plate."""


@dataclass(frozen=True)
class Engine:
    """A search, at its own thresholds and at others."""

    config: Config
    preparation: Preparation
    matched_filter: MatchedFilter
    searches: Sequence[Search]


@dataclass
class Setup:
    """What all plates share.

    Parameters
    ----------
    n_spectra, seed : int
        On each plate, and of all randomness.
    growth : str, optional
        File of the growth of the errors of lines; empty for the bundled one.
    """

    n_spectra: int
    seed: int
    growth: str = ""

    @cached_property
    def mock(self) -> Config:
        """Plates that hold quasars alone, without sources."""
        config = survey_of_galaxies(load_config("qso"), self.n_spectra)
        changed = {"quasar_fraction": 1.0, "first_pixel_range": FIRST_PIXELS}
        survey = config.survey.model_copy(update=changed)
        return config.model_copy(update={"survey": survey})

    @cached_property
    def sky(self) -> list[Plate]:
        """Sky fibres."""
        return list(self.plates(SKY_SEED, sky_fraction=1.0))

    @cached_property
    def engines(self) -> dict[str, Engine]:
        """Each search, its errors grown."""
        growth = [f'lines.growth="{self.growth}"'] if self.growth else []
        return {name: engine(load_config(name, growth), self.sky) for name in CONFIGURATIONS}

    def plates(self, seed: int, **changed: float) -> Iterator[Plate]:
        """Simulate plates beside those that are searched."""
        update = {"n_fibres": GROWTH_FIBRES, **changed}
        survey = self.mock.survey.model_copy(update=update)
        mock = self.mock.model_copy(update={"survey": survey})
        for index in range(GROWTH_PLATES):
            rng = np.random.default_rng(np.random.SeedSequence([self.seed, seed, index]))
            yield make_plate(index, mock, rng)[0]


def engine(config: Config, sky: Sequence[Plate] = ()) -> Engine:
    """Make a search, at each of its steps."""
    preparation = Preparation(config, sky_growth(sky, config) if sky else None)
    matched_filter = MatchedFilter(preparation.grid, config.matched_filter)
    searches = [open_search(own, matched_filter) for own in moved(config)]
    return Engine(config, preparation, matched_filter, searches)


def measure_growth(setup: Setup, path: Path) -> None:
    """Write how much the errors of lines grow, as a search measures it on its own spectra."""
    config = setup.mock
    preparation = Preparation(config, sky_growth(setup.sky, config))
    search = LineSearch(config, MatchedFilter(preparation.grid, config.matched_filter))
    total: LineStatistics | None = None
    for plate in setup.plates(RESIDUAL_SEED):
        z = plate.targets["Z"].astype(np.float64)
        prepared = preparation(on_window(plate, preparation.grid), z)
        seen = search.line_fluxes(*search.pixels(prepared, np.arange(len(z))))
        part = LineStatistics.of(seen, z, search.growth)
        total = part if total is None else total + part
    if total is not None:
        growth = total.growth(config.lines.growth_min_spectra)
        arrays = {**growth, "first": np.array(preparation.grid.first)}
        np.savez(path, allow_pickle=False, **arrays)


def moved(config: Config) -> Iterator[Config]:
    """Move the thresholds of a search, its own first if it is ranked by something else."""
    if config.search.method == "lines":
        lines = config.lines.model_copy(update={"ln_evidence_min": LOWERED_EVIDENCE})
        yield config.model_copy(update={"lines": lines})
        return
    names = ("first_snr", "line_snr", "total_snr", "lone_snr", "cubic_snr")
    for step in STEPS:
        other = {name: step * getattr(config.thresholds, name) for name in names}
        yield config.model_copy(update={"thresholds": config.thresholds.model_copy(update=other)})


def own_limit(config: Config) -> float:
    """Return what a hit at the thresholds of a configuration exceeds."""
    return config.lines.ln_evidence_min if config.search.method == "lines" else 0.0
