"""`speclens search`: survey files to the tables of a run.

In: files and folders, a configuration, an output folder. Out: the RUN of the documentation. The
stages are called shard by shard; what is done is kept, so that a second call goes on where the
first stopped.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import speclens
from speclens.config import Config
from speclens.eigenspectra import BUNDLED
from speclens.errors import RunError
from speclens.evidence.gather import gather
from speclens.read.discovery import SurveyFiles, find_survey_files
from speclens.read.shards import Shard, make_shards
from speclens.read.survey import CatalogueRows, ReadSettings
from speclens.read.surveys import survey_named
from speclens.read.table.known import read_known
from speclens.run.clock import Clock
from speclens.run.folder import Folder, locked_folder
from speclens.run.kinds import FORMAT, RUN
from speclens.run.progress import Progress, Silent
from speclens.run.record import RunRecord, refuse_left_out
from speclens.run.store import ShardStore
from speclens.run.workers import DIARY, map_shards
from speclens.search.input_record import check_inputs
from speclens.search.merge import merge
from speclens.search.network import model_of
from speclens.search.own_growth import grow_with_residuals
from speclens.search.scan import Scanner, ScanSettings
from speclens.search.scanned import rescued, scanned
from speclens.search.sky_growth import grow_with_sky
from speclens.stored_tables import iterate_rows
from speclens.verbs.finish import finish
from speclens.verbs.losses import total_loss

__all__ = ["RunSummary", "SearchRequest", "search"]

BYTES_A_SPECTRUM = 1_000
"""Of tables and stored results."""


@dataclass(frozen=True)
class SearchRequest:
    """What the user asks for.

    Parameters
    ----------
    inputs : sequence of str
        Survey files and folders.
    output : Path
        The run's folder.
    config : Config
        The configuration.
    catalogue : str, optional
        Survey catalogue instead of the classes and redshifts beside the spectra.
    n_workers : int, optional
        Number of processes.
    verify : bool, optional
        Refuse data that disagree with their DATASUM.
    known : str, optional
        List of published systems, to be marked among the hits.
    """

    inputs: Sequence[str]
    output: Path
    config: Config
    catalogue: str | None = None
    n_workers: int = 1
    verify: bool = True
    known: str | None = None


@dataclass(frozen=True)
class RunSummary:
    """What came of a run.

    Parameters
    ----------
    output : Path
        The run's folder.
    counts : dict
        Spectra by status, hits, candidates.
    reasons : dict
        Spectra by reason code.
    candidates : structured array of shape (N,)
        Rows of the candidate table, best first.
    notes : sequence of str
        What a reader of the tables must know.
    n_ignored : int
        Other files met in the input folders.
    n_new : int
        Spectra searched now, not found done.
    not_gathered : dict
        Files that could not be read again for their hits, by reason code.
    loss : str
        Why no spectrum was searched; empty where any was.
    configuration : dict
        Sections of the configuration used, whose limits the reasons stand for.
    ignored : sequence of str, optional
        Names of the first of the other files.
    """

    output: Path
    counts: dict[str, int]
    reasons: dict[str, int]
    candidates: NDArray[np.void]
    notes: Sequence[str]
    n_ignored: int
    n_new: int
    not_gathered: dict[str, int]
    configuration: dict[str, Any]
    loss: str = ""
    ignored: Sequence[str] = ()

    @property
    def n_failed(self) -> int:
        """Number of spectra and hits that failed, and of files that failed when read again."""
        failed = self.counts["failed"] + self.counts["hits_failed"]
        return failed + sum(self.not_gathered.values())


def search(request: SearchRequest, progress: Progress | None = None) -> RunSummary:
    """Search survey files for emission lines that are not the target's.

    Parameters
    ----------
    request : SearchRequest
        Files, configuration, output folder.
    progress : Progress, optional
        Told of stages and failures.

    Returns
    -------
    RunSummary
        Counts; the tables are in the folder.

    Raises
    ------
    SpeclensError
        If the run cannot be done; what is done is kept.
    """
    listener = progress or Silent()
    files = find_survey_files(request.inputs)
    setup = _setup(request)
    known = read_known(request.known) if request.known else None
    with locked_folder(request.output, RUN, request.inputs) as folder:
        clock = Clock()
        folder.check(setup)
        refuse_left_out(folder, [os.path.abspath(path) for path in request.inputs])
        shards = make_shards(files)
        folder.require(BYTES_A_SPECTRUM * sum(shard.n_spectra for shard in shards))
        catalogue = _catalogue(request, files)
        settings = _settings(request, setup, catalogue, folder)
        # Templates that cannot be read and a network that cannot run are refused before the run.
        engine = _engine(settings, listener)
        folder.claim(setup)
        clock.done("prepare")
        crew = (folder, shards, request.n_workers, listener)
        settings = {name: grow_with_sky(own, *crew) for name, own in settings.items()}
        clock.done("sky")
        for name, own in settings.items():
            if own.config.search.method == "lines":
                settings[name] = grow_with_residuals(own, *crew)
        clock.done("residuals")
        told: set[str] = set()
        searched = [_scan(own, *crew, told) for own in settings.values()]
        paths, n_new = [of_search for of_search, _ in searched], max(n for _, n in searched)
        clock.done("search")
        record = _record(request, files, setup["model"], engine)
        # From here on the tables are of this search, and until it ends they may not agree.
        record.write(folder.path, "search")
        merged = merge(folder.path, list(zip(*paths, strict=True)), record.cards)
        clock.done("merge")
        not_gathered = _gather(settings, folder, merged.hits, request.n_workers, listener)
        clock.done("gather")
        rate = round(n_new / clock.seconds["search"], 1) if n_new else None
        record.counts, record.reasons, record.spectra_per_second = (
            merged.counts,
            merged.reasons,
            rate,
        )
        loss = total_loss(folder.path, merged.counts, merged.reasons, request.config, catalogue)
        notes = [*(catalogue.notes if catalogue else []), loss]
        record.not_gathered, record.seconds = not_gathered, clock.seconds
        record.search_notes = [text for text in notes if text]
        _, candidates = finish(
            folder, merged.hits, record, request.config, known, request.n_workers, listener,
            readings=merged.readings,
        )  # fmt: skip
    return RunSummary(
        request.output,
        record.counts,
        merged.reasons,
        candidates,
        record.notes,
        files.n_ignored,
        n_new,
        not_gathered,
        record.configuration,
        loss,
        files.ignored,
    )


def _setup(request: SearchRequest) -> dict[str, Any]:
    models = [model_of(config) for config in request.config.each.values()]
    model = next(filter(None, models), None)
    return {
        "speclens": speclens.__version__,
        "format": FORMAT,
        "model": model and model.digest,
        "verify": request.verify,
        "catalogue": request.catalogue and os.path.abspath(request.catalogue),
        "configuration": request.config.deciding("search"),
    }


def _catalogue(request: SearchRequest, files: SurveyFiles) -> CatalogueRows | None:
    """Return the catalogue, of which the rows are kept that the inputs need."""
    if not request.catalogue:
        return None
    surveys = sorted({kind.survey for kind in files.of_kind})
    if len(surveys) > 1:
        raise RunError(
            f"catalogue {request.catalogue}: it is of one survey, and the inputs are of "
            f"{' and '.join(surveys)}; search them one by one"
        )
    return survey_named(surveys[0]).catalogue(request.catalogue, files.paths)


def _settings(
    request: SearchRequest,
    setup: dict[str, Any],
    catalogue: CatalogueRows | None,
    folder: Folder,
) -> dict[str, ScanSettings]:
    """Return what all shards share, for each search by its name."""
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
        settings[name] = ScanSettings(config, store, ReadSettings(request.verify, saved))
    return settings


def _engine(settings: Mapping[str, ScanSettings], listener: Progress) -> str | None:
    """Start every search; return what runs the network, None without one."""
    for own in settings.values():
        check_inputs(own.config, listener.message)
    engines = [Scanner(own).detector.engine for own in settings.values()]
    return next(filter(None, engines), None)


def _scan(
    settings: ScanSettings,
    folder: Folder,
    shards: Sequence[Shard],
    n_workers: int,
    listener: Progress,
    told: set[str],
) -> tuple[list[Path], int]:
    """Search all shards; return where the results are, and how many spectra are new.

    What was told by another search of the run is not told again.
    """
    paths: list[Path] = []
    n_new = 0
    listener.stage("spectra", len(shards))
    results = map_shards(
        scanned, settings, shards, n_workers,
        begin=Scanner, rescue=partial(rescued, settings), tell=listener.message,
        diary=folder.work / DIARY,
    )  # fmt: skip
    for shard in results:
        paths.append(shard.path)
        for text in shard.messages:
            if text not in told:
                listener.message(text)
        told.update(shard.messages)
        n_new += 0 if shard.reused else shard.n_spectra
        listener.advance(shard.n_spectra)
    return paths, n_new


def _gather(
    settings: Mapping[str, ScanSettings],
    folder: Folder,
    hits: NDArray[np.void],
    n_workers: int,
    listener: Progress,
) -> dict[str, int]:
    """Read the spectra of the hits again, whole; return the failures by reason code."""
    listener.stage("spectra of hits", len(np.unique(hits["FILE"])))
    spectra = iterate_rows(folder.path / "spectra.fits")
    return gather(settings, folder.work, hits, spectra, n_workers, listener)


def _record(
    request: SearchRequest, files: SurveyFiles, model: str | None, engine: str | None
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
        model_sha256=model,
        engine=engine,
        inputs=[os.path.abspath(path) for path in request.inputs],
        folder=os.getcwd(),
        files={**files.counts, "ignored": files.n_ignored, "ignored_names": files.ignored},
        catalogue=request.catalogue and os.path.abspath(request.catalogue),
        workers=request.n_workers,
    )
