"""Galaxies and sky fibres of a survey, for the artificial spectra of the paper.

In: survey files, or nothing for plates of the mock survey. Out: principal components in bins of
redshift, and the residuals of sky fibres where a survey's files hold enough of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from speclens.config import Config
from speclens.errors import TRANSIENT, RunError, SpectrumFileError
from speclens.lines import PIXEL_LOGLAM
from speclens.read.discovery import find_survey_files
from speclens.read.shards import Shard, make_shards, open_shard
from speclens.read.survey import ReadSettings
from speclens.read.surveys import wanted_files
from speclens.run.workers import map_shards
from speclens.sample.preparation import good_pixels
from speclens.sample.selection import is_sky, redshifts, refusals
from speclens.simulate.binned_galaxies import MARGIN_PIXELS, BinnedGalaxies
from speclens.simulate.survey import make_plate
from speclens.simulate.training_set import SkyResiduals, on_window, survey_of_galaxies
from speclens.spectra import LogGrid, SpectrumBatch

__all__ = ["SurveyGalaxies", "analyse_survey"]

SEED_OFFSET = 2
"""Keeps the random numbers of these mock plates apart from those of the shards."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class SurveyGalaxies:
    """What artificial spectra are made of.

    Parameters
    ----------
    galaxies : BinnedGalaxies
        Principal components of the galaxies in bins of redshift.
    sky : SkyResiduals, optional
        Sky fibres on the window; None when there were too few.
    n_failed : int, optional
        Files that could not be read.
    """

    galaxies: BinnedGalaxies
    sky: SkyResiduals | None
    n_failed: int = 0


def analyse_survey(
    inputs: Sequence[str],
    config: Config,
    seed: int,
    n_workers: int,
    tell: Callable[[str], None],
) -> SurveyGalaxies:
    """Read a survey's galaxies and sky fibres and find the principal components.

    Parameters
    ----------
    inputs : sequence of str
        Survey files and folders; the mock survey's plates when empty.
    config : Config
        Selection, window, and the section `training_set`.
    seed : int
        Seed of the mock survey.
    n_workers : int
        Number of processes.
    tell : callable
        Told of files that cannot be read, and of what was found.

    Returns
    -------
    SurveyGalaxies
        The components, and sky fibres where there are enough.

    Raises
    ------
    RunError
        If there are no files, none can be read, one of them may be read another time, or they hold
        no galaxy of the sample.
    """
    wide = _wider(config)
    failures: list[str] = []

    def failed(text: str) -> None:
        failures.append(text)
        tell(text)

    parts = list(_read(inputs, wide, failed) if inputs else _simulate(wide, seed, n_workers))
    if not parts:
        raise RunError(f"no {wanted_files()} that can be read in {', '.join(inputs)}")
    flux, ivar, z = (np.concatenate([part.galaxies[i] for part in parts]) for i in range(3))
    if not len(z):
        raise RunError(
            f"no galaxy of the sample in {', '.join(inputs)}: the configuration's selection "
            "decides who belongs to it"
        )
    wanted = config.training_set
    grid = LogGrid.covering(*wide.preparation.window)
    # These products are small: threads would wait for each other.
    with threadpool_limits(1):
        galaxies = BinnedGalaxies.fit(
            flux, ivar, z, grid, wanted.redshift_bin, wanted.n_components, wanted.min_galaxies,
            wanted.galaxy_diversity, wanted.clip_sigma,
        )  # fmt: skip
    tell(f"{len(z)} galaxies analysed; {galaxies.summary}")
    sky = _sky_of(parts, config, tell) if inputs else None
    return SurveyGalaxies(galaxies, sky, len(failures))


@dataclass(frozen=True)
class _Part:
    """Galaxies (flux, ivar, z) and sky fibres (flux, ivar) of one file or plate."""

    galaxies: tuple[Floats, Floats, NDArray[np.float64]]
    sky: tuple[Floats, Floats]


def _wider(config: Config) -> Config:
    """Widen the window."""
    low, high = config.preparation.window
    # Half a pixel more, so that no rounding takes one away.
    factor = 10 ** ((MARGIN_PIXELS + 0.5) * PIXEL_LOGLAM)
    window = config.preparation.model_copy(update={"window": (low / factor, high * factor)})
    return config.model_copy(update={"preparation": window})


def _read(inputs: Sequence[str], config: Config, tell: Callable[[str], None]) -> Iterator[_Part]:
    for shard in make_shards(find_survey_files(inputs)):
        try:
            yield _part_of(config, shard, tell)
        except SpectrumFileError as error:
            _passed_over(error, tell)


def _part_of(config: Config, shard: Shard, tell: Callable[[str], None]) -> _Part:
    selection, grid = config.selection, LogGrid.covering(*config.preparation.window)
    reading = ReadSettings(tables=config.tables)
    with open_shard(shard, grid, reading) as (source, failures):
        for failure in failures:
            _passed_over(failure, tell)
        readable = source.reasons == ""
        chosen = np.flatnonzero(readable & (refusals(source.targets, selection) == ""))
        batch = source.spectra(chosen)
        sky = source.spectra(np.flatnonzero(readable & is_sky(source.targets)))
    z = redshifts(batch.targets, selection)
    return _Part((*_known(batch, config), z), _known(sky, config))


def _passed_over(error: SpectrumFileError, tell: Callable[[str], None]) -> None:
    """Leave out a damaged file; another time, the same files must give the same set."""
    if error.reason in TRANSIENT:
        raise RunError(f"{error}; run the same command again") from error
    tell(str(error))


def _simulate(config: Config, seed: int, n_workers: int) -> Iterator[_Part]:
    plates = range(config.survey.n_plates)
    yield from map_shards(_mock_part, (config, seed), plates, n_workers)


def _mock_part(shared: tuple[Config, int], index: int) -> _Part:
    config, seed = shared
    rng = np.random.default_rng(np.random.SeedSequence([seed, SEED_OFFSET, index]))
    plain = survey_of_galaxies(config, config.survey.n_fibres)
    plate, _ = make_plate(index, plain, rng)
    batch = on_window(plate, LogGrid.covering(*config.preparation.window))
    nothing = np.zeros((0, batch.grid.n_pixels), np.float32)
    return _Part((*_known(batch, config), plate.targets["Z"]), (nothing, nothing))


def _known(batch: SpectrumBatch, config: Config) -> tuple[Floats, Floats]:
    good = good_pixels(batch, config.preparation)
    zero = np.float32(0)
    return np.where(good, batch.flux, zero), np.where(good, batch.ivar, zero)


def _sky_of(
    parts: Sequence[_Part], config: Config, tell: Callable[[str], None]
) -> SkyResiduals | None:
    """Collect the sky fibres on the window; None when there are too few."""
    flux, ivar = (np.concatenate([part.sky[i] for part in parts]) for i in range(2))
    needed = config.noise.sky_min_fibres
    if len(flux) < needed:
        tell(
            f"{len(flux)} sky fibres, fewer than {needed}: sky residuals and noise are drawn from "
            "the bundled model"
        )
        return None
    window = LogGrid.covering(*config.preparation.window)
    _, inside = window.overlap(LogGrid.covering(*_wider(config).preparation.window))
    return SkyResiduals(flux[:, inside], ivar[:, inside])
