"""What the sky fibres of all plates say of the stated errors.

In: the plates of a search. Out: the factor by which their errors grow, pixel by pixel. Single spec
files are left out: of a few fibres nothing is learnt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from speclens.pipeline.scan import ScanSettings
from speclens.pipeline.shards import Shard
from speclens.pipeline.workers import map_shards
from speclens.read.plate import open_plate
from speclens.sample.noise import SkyStatistics, sky_error_growth
from speclens.sample.preparation import good_pixels
from speclens.sample.selection import is_sky

__all__ = ["sky_of_plate", "with_sky"]


def with_sky(
    settings: ScanSettings,
    shards: Sequence[Shard],
    n_workers: int,
    advance: Callable[[], None] | None = None,
) -> ScanSettings:
    """Measure the sky fibres of all plates and let the errors grow with them.

    Parameters
    ----------
    settings : ScanSettings
        What all shards share.
    shards : sequence of Shard
        The shards of the search; those of spec files are passed over.
    n_workers : int
        Number of processes.
    advance : callable, optional
        Called after each plate.

    Returns
    -------
    ScanSettings
        The settings with `sky_growth`, shape (L,); ones with too few sky fibres.
    """
    n_pixels = settings.grid.n_pixels
    sky = SkyStatistics(np.zeros(n_pixels), np.zeros(n_pixels, np.int64))
    plates = [shard for shard in shards if shard.kind == "plate"]
    for part in map_shards(sky_of_plate, settings, plates, n_workers):
        sky = sky + part
        if advance is not None:
            advance()
    growth = sky_error_growth(sky, settings.grid, settings.config.noise)
    return replace(settings, sky_growth=growth)


def sky_of_plate(settings: ScanSettings, shard: Shard) -> SkyStatistics:
    """Sum over the sky fibres of a plate.

    Parameters
    ----------
    settings : ScanSettings
        What all shards share.
    shard : Shard
        A plate.

    Returns
    -------
    SkyStatistics
        The sums; zero when the plate cannot be read, as the search will tell.
    """
    n_pixels = settings.grid.n_pixels
    nothing = SkyStatistics(np.zeros(n_pixels), np.zeros(n_pixels, np.int64))
    try:
        with open_plate(shard.files[0], settings.grid, settings.opened_catalogue, False) as plate:
            batch = plate.spectra(np.flatnonzero(is_sky(plate.targets)))
    except Exception:  # noqa: BLE001 - the search meets it again, and reports it
        return nothing
    good = good_pixels(batch, settings.config.preparation)
    flux, ivar = np.where(good, batch.flux, 0), np.where(good, batch.ivar, 0)
    return SkyStatistics.of_plate(flux, ivar, settings.config.noise)
