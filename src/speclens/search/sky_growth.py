"""The sky fibres' say in a search: their factor on the errors, measured once and kept.

In: the settings of a search, its shards. Out: the same settings with the factor, and with a store
whose key it decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from speclens.read.shards import Shard
from speclens.run.folder import Folder
from speclens.run.progress import Progress
from speclens.run.store import load_current, save_arrays
from speclens.run.workers import DIARY
from speclens.sample.sky import measure_sky
from speclens.search.measured_growth import place_of, store_for
from speclens.search.scan import ScanSettings

__all__ = ["grow_with_sky"]


def grow_with_sky(
    settings: ScanSettings,
    folder: Folder,
    shards: Sequence[Shard],
    n_workers: int,
    listener: Progress,
) -> ScanSettings:
    """Let the errors grow with the sky fibres; what they say decides the results, and their key.

    Parameters
    ----------
    settings : ScanSettings
        What all shards share.
    folder : Folder
        The output folder, where the factor is kept.
    shards : sequence of Shard
        All shards of the search.
    n_workers : int
        Number of processes.
    listener : Progress
        Told of the shards.

    Returns
    -------
    ScanSettings
        The settings, with the factor on the errors, and with the files that are lost.
    """
    with_sky = [shard for shard in shards if shard.kind.has_sky]
    if not with_sky:
        return settings
    path, hint = place_of(settings, folder, with_sky, "sky")
    stored = load_current(path, hint)
    if stored is None:
        listener.stage("sky fibres", len(with_sky))
        growth, lost = measure_sky(
            settings.config, settings.reading, with_sky, n_workers, lambda: listener.advance(0),
            listener.message, folder.work / DIARY,
        )  # fmt: skip
        settings = replace(settings, reading=replace(settings.reading, lost=lost))
        if not lost:
            save_arrays(path, growth=growth, hint=np.array(hint))
    else:
        growth = np.asarray(stored["growth"], np.float64)
    store = store_for(settings, folder, growth)
    return replace(settings, store=store, sky_growth=growth)
