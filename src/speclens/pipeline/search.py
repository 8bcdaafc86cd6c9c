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
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import speclens
from speclens.config import Config
from speclens.errors import RunError
from speclens.pipeline.finish import Clock, finish, meta_of
from speclens.pipeline.folder import FORMAT, RunFolder, locked_folder
from speclens.pipeline.gather import gather
from speclens.pipeline.input_record import check_inputs
from speclens.pipeline.merge import merge
from speclens.pipeline.progress import Progress, Silent
from speclens.pipeline.scan import ScanSettings, model_of, scan_shard
from speclens.pipeline.shards import (
    Shard,
    ShardStore,
    fingerprint,
    load_arrays,
    make_shards,
    save_arrays,
)
from speclens.pipeline.sky import with_sky
from speclens.pipeline.workers import map_shards
from speclens.products import write_json
from speclens.read.catalogue_store import store_catalogue
from speclens.read.discovery import SurveyFiles, find_survey_files, plate_of
from speclens.read.known import read_known
from speclens.stored_tables import iterate_rows

__all__ = ["RunSummary", "SearchRequest", "search"]

SEARCH_SECTIONS = {
    "selection", "preparation", "foreground", "noise", "search", "matched_filter"
}  # fmt: skip


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
    """

    output: Path
    counts: dict[str, int]
    reasons: dict[str, int]
    candidates: NDArray[np.void]
    notes: Sequence[str]
    n_ignored: int
    n_new: int

    @property
    def n_failed(self) -> int:
        """Number of spectra that failed."""
        return self.counts["failed"]


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
    if not files.plates and not files.specs:
        raise RunError(
            f"no spPlate-*.fits and no spec-*.fits in {', '.join(request.inputs)} "
            f"({files.n_ignored} other files{': ' * bool(files.ignored)}{', '.join(files.ignored)})"
        )
    setup = _setup(request)
    known = read_known(request.known) if request.known else None
    with locked_folder(request.output) as folder:
        clock = Clock()
        folder.check(setup, [os.path.abspath(path) for path in request.inputs])
        settings = _settings(request, setup, files, folder)
        check_inputs(request.config, listener.message)
        # Templates that cannot be read and a network that cannot run are refused before the run.
        engine = replace(settings).detector.engine
        folder.claim(setup)
        shards = make_shards(files)
        clock.done("prepare")
        settings = _with_sky(settings, folder, shards, request.n_workers, listener)
        clock.done("sky")
        paths, n_new = _scan(settings, shards, request.n_workers, listener)
        clock.done("search")
        record = _record(request, files, setup["model"], engine)
        # From here on the tables are of this search, and until it ends they may not agree.
        write_json(folder.path / "run.json", record | {"stage": "search"})
        merged = merge(folder.path, paths, meta_of(record))
        clock.done("merge")
        _gather(settings, folder, merged.hits, request.n_workers, listener)
        clock.done("gather")
        rate = round(n_new / clock.seconds["search"], 1) if n_new else None
        record |= {"counts": merged.counts, "reasons": merged.reasons, "spectra_per_second": rate}
        record["seconds"] = clock.seconds
        vetted = finish(folder, merged.hits, record, request.config, known, request.n_workers)
    return RunSummary(
        request.output,
        record["counts"],
        merged.reasons,
        vetted.candidates,
        record["notes"],
        files.n_ignored,
        n_new,
    )


def _setup(request: SearchRequest) -> dict[str, Any]:
    model = model_of(request.config)
    return {
        "speclens": speclens.__version__,
        "format": FORMAT,
        "model": model and model.digest,
        "verify": request.verify,
        "catalogue": request.catalogue and os.path.abspath(request.catalogue),
        "configuration": request.config.model_dump(mode="json", include=SEARCH_SECTIONS),
    }


def _settings(
    request: SearchRequest, setup: dict[str, Any], files: SurveyFiles, folder: RunFolder
) -> ScanSettings:
    context = hashlib.sha256(json.dumps(setup, sort_keys=True).encode())
    if request.config.foreground.templates:
        context.update(fingerprint(request.config.foreground.templates).encode())
    saved = None
    if request.catalogue:
        context.update(fingerprint(request.catalogue).encode())
        numbers = [plate_of(path) for path in (*files.plates, *files.specs)]
        known = None if None in numbers else {n for n in numbers if n is not None}
        saved = folder.work / "catalogue.rows"
        store_catalogue(request.catalogue, saved, known)
    store = ShardStore(folder.work, context.hexdigest())
    return ScanSettings(request.config, store, request.verify, saved)


def _with_sky(
    settings: ScanSettings,
    folder: RunFolder,
    shards: Sequence[Shard],
    n_workers: int,
    listener: Progress,
) -> ScanSettings:
    """Let the errors grow with the sky fibres; what they say decides the results, and their key."""
    plates = [shard for shard in shards if shard.kind == "plate"]
    if not plates:
        return settings
    prints = "".join(fingerprint(file) for shard in plates for file in shard.read_files)
    key = hashlib.sha256(f"{settings.store.context}/{prints}".encode()).hexdigest()
    path = folder.work / f"{key[:32]}.sky"
    stored = load_arrays(path)
    if stored is None:
        listener.stage("sky fibres", len(plates))
        settings = with_sky(settings, plates, n_workers, lambda: listener.advance(0))
        growth = settings.sky_growth
        save_arrays(path, growth=np.asarray(growth))
    else:
        growth = np.asarray(stored["growth"], np.float64)
    digest = hashlib.sha256(settings.store.context.encode() + np.asarray(growth).tobytes())
    store = ShardStore(folder.work, digest.hexdigest())
    return replace(settings, store=store, sky_growth=growth)


def _scan(
    settings: ScanSettings, shards: Sequence[Shard], n_workers: int, listener: Progress
) -> tuple[list[Path], int]:
    """Search all shards; return where the results are, and how many spectra are new."""
    paths: list[Path] = []
    n_new = 0
    listener.stage("spectra", len(shards))
    for path, n_rows, messages, reused in map_shards(_scan_one, settings, shards, n_workers):
        paths.append(path)
        for text in messages:
            listener.message(text)
        n_new += 0 if reused else n_rows
        listener.advance(n_rows)
    return paths, n_new


def _scan_one(settings: ScanSettings, shard: Shard) -> tuple[Path, int, list[str], bool]:
    rows = scan_shard(settings, shard)
    # Not asked of the store again: a file that changed meanwhile would have another key.
    path = rows.path or settings.store.path(shard)
    return path, len(rows.spectra), rows.messages, rows.reused


def _gather(
    settings: ScanSettings,
    folder: RunFolder,
    hits: NDArray[np.void],
    n_workers: int,
    listener: Progress,
) -> None:
    """Read the spectra of the hits again, whole."""
    listener.stage("spectra of hits", len(np.unique(hits["FILE"])))
    spectra = iterate_rows(folder.path / "spectra.fits")
    gather(settings, folder.work, hits, spectra, n_workers, listener)


def _record(
    request: SearchRequest, files: SurveyFiles, model: str | None, engine: str | None
) -> dict[str, Any]:
    """Begin run.json: what is known before the counts."""
    import astropy
    import scipy

    return {
        "format": FORMAT,
        "versions": {
            "speclens": speclens.__version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "scipy": scipy.__version__,
            "astropy": astropy.__version__,
        },
        "method": request.config.search.method,
        "configuration": request.config.model_dump(mode="json"),
        "configuration_sha256": request.config.digest,
        "model_sha256": model,
        "engine": engine,
        "seed": None,
        "inputs": [os.path.abspath(path) for path in request.inputs],
        "folder": os.getcwd(),
        "files": {
            "plates": len(files.plates),
            "specs": len(files.specs),
            "ignored": files.n_ignored,
            "ignored_names": list(files.ignored),
        },
        "catalogue": request.catalogue and os.path.abspath(request.catalogue),
        "workers": request.n_workers,
    }
