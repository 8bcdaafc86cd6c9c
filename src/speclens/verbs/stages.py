"""The stages of a search, which a whole run, a part of one and a merge share.

In: what the user asks for, the shards. Out: settings, stored results of shards, tables, report. In
which order, and of which shards, is left to `speclens.verbs.search` and `speclens.verbs.parts`.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import speclens
from speclens.eigenspectra import BUNDLED
from speclens.evidence.gather import gather
from speclens.read.discovery import SurveyFiles
from speclens.read.shards import Shard, read_ahead
from speclens.read.survey import CatalogueRows, ReadSettings
from speclens.read.table.known import Known
from speclens.run.clock import Clock
from speclens.run.folder import Folder
from speclens.run.kinds import FORMAT
from speclens.run.progress import Progress
from speclens.run.record import RunRecord
from speclens.run.store import ShardStore
from speclens.run.workers import DIARY, map_shards, works_here
from speclens.sample.error_growth import read_growth
from speclens.search.input_record import check_inputs
from speclens.search.merge import merge
from speclens.search.network import model_of
from speclens.search.scan import Scanner, ScanSettings
from speclens.stored_tables import iterate_rows
from speclens.verbs.finish import finish
from speclens.verbs.losses import total_loss
from speclens.verbs.request import RunSummary, SearchRequest
from speclens.verbs.scanning import rescued_together, scanned_together, together
from speclens.verbs.weigh import weights_for

__all__ = [
    "BYTES_A_SPECTRUM", "Scans", "Shared", "complete", "scan_shards", "setup_of",
    "shared_by_shards",
]  # fmt: skip


BYTES_A_SPECTRUM = 1_000
"""Of tables and stored results."""


@dataclass(frozen=True)
class Shared:
    """What all shards share, of each search.

    Parameters
    ----------
    setup : dict
        All that decides the results, beside the content of files.
    catalogue : CatalogueRows, optional
        The catalogue, of which the rows are kept that the inputs need.
    settings : dict of str to ScanSettings
        What each search works with, by its name.
    """

    setup: dict[str, Any]
    catalogue: CatalogueRows | None
    settings: dict[str, ScanSettings]


@dataclass(frozen=True)
class Scans:
    """What the searches of all shards left.

    Parameters
    ----------
    paths : list of list of Path
        Stored results, by search, in the order of the shards.
    n_new : int
        Spectra searched now, not found done.
    engine : str, optional
        What ran the network.
    told : set of str
        What was told of files that failed.
    n_scored : int
        Spectra searched to the end, now or before, by all searches together.
    """

    paths: list[list[Path]]
    n_new: int
    engine: str | None
    told: set[str]
    n_scored: int


def setup_of(request: SearchRequest) -> dict[str, Any]:
    """Return all that decides the results, beside the content of files.

    Parameters
    ----------
    request : SearchRequest
        What the user asks for.

    Returns
    -------
    dict
        As JSON.

    Raises
    ------
    SpeclensError
        If a model or the growth of the errors cannot be read.
    """
    models = filter(None, (model_of(config) for config in request.config.each.values()))
    return {
        "speclens": speclens.__version__,
        "format": FORMAT,
        "model": ", ".join(dict.fromkeys(model.digest for model in models)) or None,
        "sky": read_growth(request.config.noise.growth).digest,
        "verify": request.verify,
        "catalogue": request.catalogue and os.path.abspath(request.catalogue),
        "configuration": request.config.deciding("search"),
    }


def shared_by_shards(request: SearchRequest, files: SurveyFiles, folder: Folder) -> Shared:
    """Return what all shards share.

    Parameters
    ----------
    request : SearchRequest
        What the user asks for.
    files : SurveyFiles
        All files of the run.
    folder : Folder
        Where results go, and the rows of the catalogue.

    Returns
    -------
    Shared
        Plain data.

    Raises
    ------
    SpeclensError
        If a model, the catalogue, or the growth of the errors cannot be read.
    """
    setup, catalogue = setup_of(request), files.catalogue(request.catalogue)
    shared = hashlib.sha256(json.dumps(setup, sort_keys=True).encode())
    saved = None
    if catalogue is not None:
        shared.update(folder.digest_of(catalogue.path).encode())
        saved = folder.work / "catalogue.rows"
        catalogue.store(saved)
    settings = {}
    for name, config in request.config.each.items():
        context = shared.copy()
        context.update(name.encode())
        if config.foreground.templates not in BUNDLED:
            context.update(folder.digest_of(config.foreground.templates).encode())
        store = ShardStore(folder.work, context.hexdigest())
        reading = ReadSettings(request.verify, saved, config.tables)
        settings[name] = ScanSettings(config, store, reading)
    return Shared(setup, catalogue, settings)


def scan_shards(
    settings: Mapping[str, ScanSettings],
    folder: Folder,
    shards: Sequence[Shard],
    n_workers: int,
    listener: Progress,
    setup: Mapping[str, Any] | None = None,
    before: Callable[[], object] | None = None,
) -> Scans:
    """Search all shards, by every search.

    Parameters
    ----------
    settings : mapping of str to ScanSettings
        What each search works with.
    folder : Folder
        Where results go.
    shards : sequence of Shard
        The shards.
    n_workers : int
        Number of processes.
    listener : Progress
        Told of the shards, once of each file that failed, and of inputs of the network that differ
        by rounding.
    setup : mapping, optional
        To which the folder is bound by the first spectrum that is scored: where none is, another
        setup may be tried.
    before : callable, optional
        Called here when all searches can run.

    Returns
    -------
    Scans
        Where the results are.

    Raises
    ------
    SpeclensError
        If templates cannot be read, or a network cannot run: before anything is searched here.
    """
    scans = together(shards, list(settings))
    paths: dict[str, list[Path]] = {search: [] for search in settings}
    n_new: Counter[str] = Counter()
    n_scored = 0
    told: set[str] = set()
    scanners = {search: Scanner(own) for search, own in settings.items()}
    listener.stage("spectra", len(shards))
    results = map_shards(
        scanned_together, scanners, scans, n_workers,
        meanwhile=partial(_start, scanners, listener, before),
        rescue=partial(rescued_together, settings),
        tell=listener.message, diary=folder.work / DIARY, at_once=len(shards),
    )  # fmt: skip
    # For each process the one that comes after what it is at.
    upcoming = iter(shards[n_workers:] if works_here() else ())
    for shard in islice(upcoming, n_workers):
        read_ahead(shard)
    every = chain.from_iterable
    for scan, found in zip(every(scans), every(results), strict=True):
        paths[scan.search].append(found.path)
        if found.n_scored and not n_scored and setup is not None:
            folder.claim(setup)
        n_scored += found.n_scored
        for text in found.messages:
            if text not in told:
                listener.message(text)
        told.update(found.messages)
        n_new[scan.search] += 0 if found.reused else found.n_spectra
        if len(paths[scan.search]) == min(map(len, paths.values())):
            listener.advance(found.n_spectra)
            if not found.reused:
                for shard in islice(upcoming, 1):
                    read_ahead(shard)
    names = dict.fromkeys(filter(None, (own.detector.engine for own in scanners.values())))
    engine = ", ".join(names) or None
    return Scans(list(paths.values()), max(n_new.values(), default=0), engine, told, n_scored)


def _start(
    scanners: Mapping[str, Scanner], listener: Progress, before: Callable[[], object] | None
) -> None:
    """Start every search, so that what cannot run is refused before the run."""
    for scanner in scanners.values():
        check_inputs(scanner.settings.config, listener.message)
        _ = scanner.detector
    if before is not None:
        before()


def complete(
    request: SearchRequest,
    files: SurveyFiles,
    shared: Shared,
    scans: Scans,
    folder: Folder,
    known: Known | None,
    clock: Clock,
    listener: Progress,
) -> RunSummary:
    """Make a run of the results of all shards: tables, vetting, report.

    Parameters
    ----------
    request : SearchRequest
        What the user asks for.
    files : SurveyFiles
        All files of the run.
    shared : Shared
        What the shards shared.
    scans : Scans
        Their results.
    folder : Folder
        The run.
    known : Known, optional
        Published systems.
    clock : Clock
        With the seconds of the search.
    listener : Progress
        Told of the stages.

    Returns
    -------
    RunSummary
        Counts; the tables are in the folder.

    Raises
    ------
    SpeclensError
        If the run cannot be completed; what is done is kept.
    """
    record = _record(request, files, shared.setup, scans.engine)
    # From here on the tables are of this search, and until it ends they may not agree.
    record.write(folder.path, "search")
    stored = list(zip(*scans.paths, strict=True))
    merged = merge(folder.path, stored, record.cards, request.n_workers)
    clock.done("merge")
    not_gathered = _gather(shared.settings, folder, merged.hits, request.n_workers, listener)
    clock.done("gather")
    seconds = clock.seconds["search"]
    record.spectra_per_second = round(scans.n_new / seconds, 1) if scans.n_new else None
    record.counts, record.reasons = merged.counts, merged.reasons
    catalogue = shared.catalogue
    loss = total_loss(folder.path, merged.counts, merged.reasons, request.config, catalogue)
    notes = [*(catalogue.notes if catalogue else []), loss]
    record.not_gathered, record.seconds = not_gathered, clock.seconds
    record.search_notes = [text for text in notes if text]
    weights = weights_for(request.purpose, request.config, shared.setup, folder.path)
    _, candidates = finish(
        folder, merged.hits, record, request.config, known, request.n_workers, listener,
        readings=merged.readings, weights=weights,
    )  # fmt: skip
    return RunSummary(
        request.output,
        record.counts,
        merged.reasons,
        candidates,
        record.notes,
        files.n_ignored,
        scans.n_new,
        not_gathered,
        record.configuration,
        loss,
        files.ignored,
        record.purposes,
    )


def _gather(
    settings: Mapping[str, ScanSettings],
    folder: Folder,
    hits: NDArray[np.void],
    n_workers: int,
    listener: Progress,
) -> dict[str, int]:
    """Read the spectra of the hits again, whole; return the failures by reason code."""
    spectra = iterate_rows(folder.path / "spectra.fits")
    return gather(settings, folder.work, hits, spectra, n_workers, listener)


def _record(
    request: SearchRequest, files: SurveyFiles, setup: dict[str, Any], engine: str | None
) -> RunRecord:
    """Begin run.json: what is known before the counts."""
    import astropy
    import scipy

    return RunRecord(
        versions={
            "speclens": speclens.__version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "scipy": scipy.__version__,
            "astropy": astropy.__version__,
        },
        method=", ".join(
            dict.fromkeys(config.search.method for config in request.config.each.values())
        ),
        configuration=request.config.model_dump(mode="json"),
        configuration_sha256=request.config.digest,
        model_sha256=setup["model"],
        sky_sha256=setup["sky"],
        engine=engine,
        inputs=[os.path.abspath(path) for path in request.inputs],
        folder=os.getcwd(),
        files={**files.counts, "ignored": files.n_ignored, "ignored_names": files.ignored},
        catalogue=request.catalogue and os.path.abspath(request.catalogue),
        verify=request.verify,
        workers=request.n_workers,
    )
