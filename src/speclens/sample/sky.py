"""What the sky fibres of many files say of the stated errors.

In: shards that have sky fibres. Out: the factor by which the errors grow, pixel by pixel, and how
many fibres tell of it. A file that cannot be read is left out, and named.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config
from speclens.errors import SpectrumFileError, internal_error
from speclens.read.shards import Shard, open_shard, worker_died
from speclens.read.survey import ReadSettings
from speclens.run.workers import map_shards
from speclens.sample.noise import SkyStatistics, sky_error_growth
from speclens.sample.preparation import good_pixels
from speclens.sample.selection import is_sky
from speclens.spectra import LogGrid

__all__ = ["measure_sky", "sky_of_shard"]


def measure_sky(
    config: Config,
    reading: ReadSettings,
    shards: Sequence[Shard],
    n_workers: int,
    advance: Callable[[], None] | None = None,
    tell: Callable[[str], None] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.int64], dict[str, SpectrumFileError]]:
    """Measure how the errors grow on the sky fibres of shards.

    Parameters
    ----------
    config : Config
        Sections `preparation`, whose window is measured, and `noise`.
    reading : ReadSettings
        How files are read.
    shards : sequence of Shard
        Those that have sky fibres.
    n_workers : int
        Number of processes.
    advance : callable, optional
        Called after each shard.
    tell : callable, optional
        Takes a line where no other process can be started.

    Returns
    -------
    growth : array of shape (L,)
        Factor on the errors; ones with too few sky fibres.
    n_fibres : array of shape (L,)
        Sky fibres that tell of it, those of plates that were used.
    lost : dict of str to SpectrumFileError
        Files that could not be read.
    """
    grid = LogGrid.covering(*config.preparation.window)
    n_pixels = grid.n_pixels
    sky = SkyStatistics(np.zeros(n_pixels), np.zeros(n_pixels, np.int64))
    lost: dict[str, SpectrumFileError] = {}
    parts = map_shards(
        sky_of_shard, (config, reading), shards, n_workers, rescue=_killed, tell=tell
    )
    for shard, part in zip(shards, parts, strict=True):
        if isinstance(part, SkyStatistics):
            sky = sky + part
        else:
            lost[shard.files[0]] = part
        if advance is not None:
            advance()
    return sky_error_growth(sky, grid, config.noise), sky.n_fibres, lost


def sky_of_shard(
    shared: tuple[Config, ReadSettings], shard: Shard
) -> SkyStatistics | SpectrumFileError:
    """Sum over the sky fibres of a shard.

    Parameters
    ----------
    shared : (Config, ReadSettings)
        What all shards share.
    shard : Shard
        One that has sky fibres.

    Returns
    -------
    SkyStatistics or SpectrumFileError
        The sums, or why there are none.
    """
    config, reading = shared
    grid = LogGrid.covering(*config.preparation.window)
    try:
        with open_shard(shard, grid, replace(reading, verify=False)) as (source, _):
            batch = source.spectra(np.flatnonzero(is_sky(source.targets)))
        good = good_pixels(batch, config.preparation)
        flux, ivar = np.where(good, batch.flux, 0), np.where(good, batch.ivar, 0)
        return SkyStatistics.of_fibres(flux, ivar, config.noise)
    except SpectrumFileError as error:
        return error
    except Exception as error:  # noqa: BLE001 - the file fails for it, and says so
        return internal_error(shard.files[0], error)


def _killed(shard: Shard, _: object) -> SpectrumFileError:
    return worker_died(shard.files[0])
