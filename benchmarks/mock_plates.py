"""Mock plates in memory, and how errors grow with plates that are not searched.

In: a configuration, seeds. Out: plates, the growth that their sky fibres and residuals give, and
the thresholds of a search moved. What is searched is left to `line_searches.py` and
`quasar_searches.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import speclens
from speclens.config import Config
from speclens.sample.error_growth import REST, read_growth
from speclens.sample.noise import SkyStatistics, sky_error_growth
from speclens.sample.preparation import Preparation, good_pixels
from speclens.search.line_growth import LineStatistics, line_growth
from speclens.search.lines import LineSearch
from speclens.search.matched_filter import MatchedFilter
from speclens.simulate.plates import Plate
from speclens.simulate.survey import make_plate
from speclens.simulate.training_set import on_window
from speclens.spectra import LogGrid

__all__ = ["FIRST_PIXELS", "MockPlates", "measure_growth", "moved", "sky_growth"]

STEPS = (1.0, 1.3, 0.85, 0.7)
"""By which the published thresholds on S/N are multiplied."""

LOWERED_EVIDENCE = 5.0

FIRST_PIXELS = (35515, 35540)
"""Plates whose spectra cover the window."""

GROWTH_PLATES, GROWTH_FIBRES = 24, 80
SKY_SEED, RESIDUAL_SEED = 7919, 7907
"""No spectrum that is searched says how errors grow, and many plates do: sky differs by plate."""

Floats = NDArray[np.float64]


@dataclass
class MockPlates:
    """What all plates share.

    Parameters
    ----------
    n_spectra, seed : int
        On each plate, and of all randomness.
    growth : str, optional
        File of the growth of the errors; empty for the bundled one.
    """

    n_spectra: int
    seed: int
    growth: str = ""

    @property
    def mock(self) -> Config:
        """What is on the plates."""
        raise NotImplementedError

    @cached_property
    def sky(self) -> list[Plate]:
        """Sky fibres."""
        return list(self.plates(SKY_SEED, sky_fraction=1.0))

    def plates(self, seed: int, **changed: float) -> Iterator[Plate]:
        """Simulate plates beside those that are searched."""
        update = {"n_fibres": GROWTH_FIBRES, **changed}
        survey = self.mock.survey.model_copy(update=update)
        mock = self.mock.model_copy(update={"survey": survey})
        for index in range(GROWTH_PLATES):
            rng = np.random.default_rng(np.random.SeedSequence([self.seed, seed, index]))
            yield make_plate(index, mock, rng)[0]


def sky_growth(sky: Sequence[Plate], config: Config) -> Floats:
    """Return the factor on the errors that sky fibres give, shape (L,)."""
    grid = LogGrid.covering(*config.preparation.window)
    total = SkyStatistics(np.zeros(grid.n_pixels), np.zeros(grid.n_pixels, np.int64))
    for plate in sky:
        batch = on_window(plate, grid)
        good = good_pixels(batch, config.preparation)
        flux, ivar = np.where(good, batch.flux, 0), np.where(good, batch.ivar, 0)
        total = total + SkyStatistics.of_fibres(flux, ivar, config.noise)
    return sky_error_growth(total, grid, config.noise)


def measure_growth(setup: MockPlates, path: Path) -> None:
    """Write how much the errors of lines grow on the mock, for `noise.growth`."""
    config = setup.mock
    preparation = Preparation(config, sky_growth(setup.sky, config))
    grid, behind = preparation.grid, config.lines.growth
    search = LineSearch(config, MatchedFilter(grid, config.matched_filter))
    plates = []
    for plate in setup.plates(RESIDUAL_SEED):
        z = plate.targets["Z"].astype(float)
        prepared = preparation(on_window(plate, grid), z)
        plates.append((search.line_fluxes(*search.pixels(prepared, np.arange(len(z)))), z))

    def statistics() -> LineStatistics:
        usual = line_growth(growth, behind, grid)
        parts = [LineStatistics.of(seen, z, usual) for seen, z in plates]
        return sum(parts[1:], parts[0])

    growth, least = read_growth(""), config.lines.growth_min_spectra
    total = statistics()
    number = np.where(total.n_spectra < least, 0, total.n_spectra)
    growth = growth.with_factor("LINES", grid.first, total.growth(least)["growth"], number)
    # At rest counts what the factor of the observed wavelength, which is known now, leaves.
    total = statistics()
    number = np.where(total.rest_n_spectra < least, 0, total.rest_n_spectra)
    name = f"{behind.upper()}_REST"
    growth = growth.with_factor(name, REST.first, total.growth(least)["rest_growth"], number)
    growth.write(path, {"CREATOR": f"speclens {speclens.__version__}"})


def moved(config: Config) -> Iterator[Config]:
    """Move the thresholds of a search, its own first if it is ranked by something else."""
    if config.search.method == "lines":
        section = config.lines.model_copy(update={"ln_evidence_min": LOWERED_EVIDENCE})
        yield config.model_copy(update={"lines": section})
        return
    names = ("first_snr", "line_snr", "total_snr", "lone_snr", "cubic_snr")
    for step in STEPS:
        other = {name: step * getattr(config.thresholds, name) for name in names}
        yield config.model_copy(update={"thresholds": config.thresholds.model_copy(update=other)})
