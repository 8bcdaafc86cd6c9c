"""Where a factor on the errors is kept that a run measured once, and what it decides.

In: shards, a factor. Out: the file of the factor, and the store whose key it decides.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speclens.read.shards import Shard
from speclens.run.folder import Folder
from speclens.run.recording import hint_of
from speclens.run.store import ShardStore
from speclens.search.scan import ScanSettings

__all__ = ["place_of", "store_for"]


def place_of(
    settings: ScanSettings, folder: Folder, shards: Sequence[Shard], suffix: str
) -> tuple[Path, str]:
    """Say where the factor is kept that these shards measure.

    Parameters
    ----------
    settings : ScanSettings
        What all shards share.
    folder : Folder
        The output folder.
    shards : sequence of Shard
        Those that measure it.
    suffix : str
        What it is, as the ending of the file's name.

    Returns
    -------
    path : Path
        The file, present or not.
    hint : str
        Of the survey files as they are, as `hint_of` gives it.
    """
    names = "/".join(settings.store.path(s.kind.name, s.files).stem for s in shards)
    path = folder.work / f"{hashlib.sha256(names.encode()).hexdigest()[:32]}.{suffix}"
    return path, hint_of([file for shard in shards for file in shard.read_files])


def store_for(settings: ScanSettings, folder: Folder, growth: NDArray[np.generic]) -> ShardStore:
    """Return the store of results that a factor decides.

    Parameters
    ----------
    settings : ScanSettings
        What all shards share, without the factor.
    folder : Folder
        The output folder.
    growth : array
        The factor.

    Returns
    -------
    ShardStore
        Another for another factor.
    """
    digest = hashlib.sha256(settings.store.context.encode() + growth.tobytes())
    return ShardStore(folder.work, digest.hexdigest())
