"""What the sky fibres of all plates say of the stated errors.

In: the plates of a search. Out: the factor by which their errors grow, pixel by pixel. Single spec
files are left out: of a few fibres nothing is learnt. A plate that is damaged is left out as well,
as the search leaves it out; one that may be read another time is not searched in this run, so that
what is searched and what the errors were measured on are the same plates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config
from speclens.errors import SpectrumFileError, internal_error
from speclens.read.shards import TRANSIENT, ReadSettings, Shard, open_shard, worker_died
from speclens.run.workers import map_shards
from speclens.sample.noise import SkyStatistics, sky_error_growth
from speclens.sample.preparation import good_pixels
from speclens.sample.selection import is_sky
from speclens.spectra import LogGrid

__all__ = ["measure_sky", "sky_of_plate"]


def measure_sky(
    config: Config,
    reading: ReadSettings,
    shards: Sequence[Shard],
    n_workers: int,
    advance: Callable[[], None] | None = None,
    tell: Callable[[str], None] | None = None,
    diary: Path | None = None,
) -> tuple[NDArray[np.float64], dict[str, SpectrumFileError]]:
    """Measure the sky fibres of all plates, with which the errors grow.

    Parameters
    ----------
    config : Config
        Sections `preparation` and `noise`.
    reading : ReadSettings
        How files are read.
    shards : sequence of Shard
        The shards of the search; those of spec files are passed over.
    n_workers : int
        Number of processes.
    advance : callable, optional
        Called after each plate.
    tell : callable, optional
        Takes a line where no other process can be started.
    diary : Path, optional
        As for `map_shards`.

    Returns
    -------
    growth : array of shape (L,)
        Factor on the errors; ones with too few sky fibres.
    lost : dict of str to SpectrumFileError
        Plates that could not be read this time.
    """
    grid = LogGrid.covering(*config.preparation.window)
    n_pixels = grid.n_pixels
    sky = SkyStatistics(np.zeros(n_pixels), np.zeros(n_pixels, np.int64))
    plates = [shard for shard in shards if shard.kind == "plate"]
    lost: dict[str, SpectrumFileError] = {}
    parts = map_shards(
        sky_of_plate, (config, reading), plates, n_workers, rescue=_killed, tell=tell, diary=diary
    )
    for plate, part in zip(plates, parts, strict=True):
        if isinstance(part, SkyStatistics):
            sky = sky + part
        elif part.reason in TRANSIENT:
            lost[plate.files[0]] = part
        if advance is not None:
            advance()
    return sky_error_growth(sky, grid, config.noise), lost


def sky_of_plate(
    shared: tuple[Config, ReadSettings], shard: Shard
) -> SkyStatistics | SpectrumFileError:
    """Sum over the sky fibres of a plate.

    Parameters
    ----------
    shared : (Config, ReadSettings)
        What all shards share.
    shard : Shard
        A plate.

    Returns
    -------
    SkyStatistics or SpectrumFileError
        The sums, or why there are none.
    """
    config, reading = shared
    grid = LogGrid.covering(*config.preparation.window)
    try:
        with open_shard(shard, grid, replace(reading, verify=False)) as (plate, _):
            batch = plate.spectra(np.flatnonzero(is_sky(plate.targets)))
        good = good_pixels(batch, config.preparation)
        flux, ivar = np.where(good, batch.flux, 0), np.where(good, batch.ivar, 0)
        return SkyStatistics.of_plate(flux, ivar, config.noise)
    except SpectrumFileError as error:
        return error
    except Exception as error:  # noqa: BLE001 - the plate fails for it, and says so
        return internal_error(shard.files[0], error)


def _killed(shard: Shard, _: object) -> SpectrumFileError:
    return worker_died(shard.files[0])
