"""What residuals of many files say of the errors of lines.

In: shards, the growth of the errors in force. Out: sums over their spectra, from which the factors
on the errors of lines follow. Of every shard some spectra are read, chosen by their names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from speclens.config import Config
from speclens.errors import SpeclensError, SpectrumFileError, internal_error
from speclens.read.shards import Shard, open_shard, worker_died
from speclens.read.survey import ReadSettings
from speclens.read.surveys import survey_named
from speclens.run.workers import map_shards
from speclens.sample.error_growth import ErrorGrowth
from speclens.sample.preparation import Preparation
from speclens.sample.selection import redshifts, refusals
from speclens.search.line_growth import LineStatistics, line_growth
from speclens.search.lines import LineSearch
from speclens.search.matched_filter import MatchedFilter
from speclens.spectra import LogGrid

__all__ = ["ResidualSettings", "measure_residuals"]

_Sum = tuple[LineStatistics | None, Sequence[SpectrumFileError]]
"""Sums, None where no spectrum is of the sample, and the files that could not be read."""


@dataclass(frozen=True)
class ResidualSettings:
    """What all shards share: plain data, sent to every worker.

    Parameters
    ----------
    config : Config
        A search of lines: whose spectra are measured, and how.
    reading : ReadSettings
        How files are read.
    growth : ErrorGrowth
        That of pixels, with which spectra are prepared, and the usual one of lines.
    """

    config: Config
    reading: ReadSettings
    growth: ErrorGrowth


def measure_residuals(
    settings: ResidualSettings,
    shards: Sequence[Shard],
    n_workers: int,
    advance: Callable[[], None],
    tell: Callable[[str], None],
) -> tuple[LineStatistics | None, dict[str, SpectrumFileError]]:
    """Sum over some spectra of all shards what lines would have in their residuals.

    Parameters
    ----------
    settings : ResidualSettings
        What all shards share.
    shards : sequence of Shard
        The shards.
    n_workers : int
        Number of processes.
    advance : callable
        Called after each shard.
    tell : callable
        Takes a line where no other process can be started.

    Returns
    -------
    total : LineStatistics or None
        The sums; None where no spectrum is of the sample.
    lost : dict of str to SpectrumFileError
        Files that could not be read.
    """
    total: LineStatistics | None = None
    lost: dict[str, SpectrumFileError] = {}
    parts = map_shards(
        _sum_of_shard, settings, shards, n_workers, begin=_Residuals, rescue=_killed, tell=tell
    )
    for part, failures in parts:
        lost.update({failure.path: failure for failure in failures})
        if part is not None:
            total = part if total is None else total + part
        advance()
    return total, lost


class _Residuals:
    """The steps from spectra to sums, made in the process that works with them."""

    def __init__(self, settings: ResidualSettings) -> None:
        self.settings = settings
        self.grid = LogGrid.covering(*settings.config.preparation.window)

    @cached_property
    def preparation(self) -> Preparation:
        sky = self.settings.growth.observed("SKY", self.grid)
        return Preparation(self.settings.config, sky)

    @cached_property
    def search(self) -> LineSearch:
        config = self.settings.config
        return LineSearch(config, MatchedFilter(self.grid, config.matched_filter))


def _sum_of_shard(residuals: _Residuals, shard: Shard) -> _Sum:
    """Sum over some spectra of a shard, as far as they can be read."""
    try:
        return _sum_of_spectra(residuals, shard)
    except SpectrumFileError as error:
        return None, [error]
    except SpeclensError:
        raise
    except Exception as error:  # noqa: BLE001 - one bad file must not cost the others
        return None, [internal_error(shard.files[0], error)]


def _sum_of_spectra(residuals: _Residuals, shard: Shard) -> _Sum:
    settings = residuals.settings
    config, reading = settings.config, replace(settings.reading, verify=False)
    with open_shard(shard, residuals.grid, reading) as (source, failures):
        names = survey_named(source.survey).spectrum_names(source.targets)
        wanted = _chosen(names, config.lines.growth_fraction)
        wanted &= (source.reasons == "") & (refusals(source.targets, config.selection) == "")
        rows = np.flatnonzero(wanted)
        if not len(rows):
            return None, failures
        batch = source.spectra(rows)
    z, search = redshifts(batch.targets, config.selection), residuals.search
    prepared = residuals.preparation(batch, z)
    seen = search.line_fluxes(*search.pixels(prepared, np.arange(len(batch))))
    usual = line_growth(settings.growth, config.lines.growth, residuals.grid)
    return LineStatistics.of(seen, z, usual), failures


def _chosen(names: Sequence[str], fraction: float) -> NDArray[np.bool_]:
    """Choose spectra by their names: the same whatever else is in their files."""
    limit = fraction * 2**64
    return np.array([xxh3_64_intdigest(name.encode()) < limit for name in names], np.bool_)


def _killed(shard: Shard, _: object) -> _Sum:
    return None, [worker_died(shard.files[0])]
