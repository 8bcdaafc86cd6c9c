"""A run's own growth of the errors of lines: measured once on its spectra, and kept.

In: the settings of a search of lines, its shards. Out: the same settings with a file of factors,
and with a store whose key it decides. Of every shard some spectra are read, chosen by their names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from speclens.errors import SpeclensError, SpectrumFileError
from speclens.read.shards import Shard
from speclens.read.surveys import survey_named
from speclens.run.folder import Folder
from speclens.run.progress import Progress
from speclens.run.store import load_current, save_arrays
from speclens.run.workers import DIARY, map_shards
from speclens.sample.preparation import Preparation
from speclens.sample.selection import redshifts, refusals
from speclens.search.line_growth import BUNDLED_GROWTH, LineStatistics
from speclens.search.lines import LineSearch
from speclens.search.matched_filter import MatchedFilter
from speclens.search.measured_growth import place_of, store_for
from speclens.search.scan import ScanSettings

__all__ = ["grow_with_residuals"]


def grow_with_residuals(
    settings: ScanSettings,
    folder: Folder,
    shards: Sequence[Shard],
    n_workers: int,
    listener: Progress,
) -> ScanSettings:
    """Let the errors of lines grow to what the run's own residuals are.

    Parameters
    ----------
    settings : ScanSettings
        What all shards share, of a search of lines.
    folder : Folder
        The output folder, where the factors are kept.
    shards : sequence of Shard
        All shards of the search.
    n_workers : int
        Number of processes.
    listener : Progress
        Told of the shards.

    Returns
    -------
    ScanSettings
        The settings; as they were where a file is given, or the run is too small to tell.
    """
    lines = settings.config.lines
    if lines.growth not in BUNDLED_GROWTH:
        return settings
    expected = lines.growth_fraction * sum(shard.n_spectra for shard in shards)
    if expected < lines.growth_min_spectra:
        return settings
    path, hint = place_of(settings, folder, shards, "growth")
    stored = load_current(path, hint)
    if stored is None:
        listener.stage("residuals", len(shards))
        parts = map_shards(
            _sum_of_shard, settings, shards, n_workers, rescue=_lost, tell=listener.message,
            diary=folder.work / DIARY,
        )  # fmt: skip
        total: LineStatistics | None = None
        for part in parts:
            if part is not None:
                total = part if total is None else total + part
            listener.advance(0)
        if total is None or total.n_spectra.max() < lines.growth_min_spectra:
            return settings
        growth = total.growth(lines.growth_min_spectra)
        stored = {**growth, "first": np.array(settings.grid.first)}
        save_arrays(path, hint=np.array(hint), **stored)
    factors = np.concatenate([stored["growth"], stored["rest_growth"]])
    store = store_for(settings, folder, factors)
    section = lines.model_copy(update={"growth": str(path)})
    config = settings.config.model_copy(update={"lines": section})
    return replace(settings, config=config, store=store)


def _sum_of_shard(settings: ScanSettings, shard: Shard) -> LineStatistics | None:
    """Sum over some spectra of a shard; None where it holds none, or cannot be measured."""
    try:
        return _sum_of_spectra(settings, shard)
    except SpectrumFileError:
        return None  # the search meets it again, and reports it
    except SpeclensError:
        raise
    except Exception:  # noqa: BLE001 - one bad file must not stop a run; the search reports it
        return None


def _sum_of_spectra(settings: ScanSettings, shard: Shard) -> LineStatistics | None:
    config = settings.config
    unverified = replace(settings, reading=replace(settings.reading, verify=False))
    with unverified.opened(shard) as (source, _):
        names = survey_named(source.survey).spectrum_names(source.targets)
        wanted = _chosen(names, config.lines.growth_fraction)
        wanted &= (source.reasons == "") & (refusals(source.targets, config.selection) == "")
        rows = np.flatnonzero(wanted)
        if not len(rows):
            return None
        batch = source.spectra(rows)
    search = LineSearch(config, MatchedFilter(settings.grid, config.matched_filter))
    z = redshifts(batch.targets, config.selection)
    prepared = Preparation(config, settings.sky_growth)(batch, z)
    seen = search.line_fluxes(*search.pixels(prepared, np.arange(len(batch))))
    return LineStatistics.of(seen, z, search.growth)


def _chosen(names: Sequence[str], fraction: float) -> NDArray[np.bool_]:
    """Choose spectra by their names: the same whatever else is in their files."""
    limit = fraction * 2**64
    return np.array([xxh3_64_intdigest(name.encode()) < limit for name in names], np.bool_)


def _lost(*_: object) -> None:
    return None
