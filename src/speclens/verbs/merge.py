"""Merge the parts of a run: `speclens merge`.

In: the folders of all parts, which `speclens.verbs.parts` made. Out: the run that one search would
have made, to the byte.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from speclens.config import load_config
from speclens.errors import ConfigError, RunError
from speclens.products import replacing
from speclens.read.discovery import find_survey_files
from speclens.read.shards import Shard, make_shards
from speclens.read.table.known import read_known
from speclens.run.clock import Clock
from speclens.run.folder import differences, locked_folder
from speclens.run.kinds import PARTS, RUN
from speclens.run.parts import NAMED, Part, read_parts
from speclens.run.progress import Progress, Silent
from speclens.run.record import refuse_left_out
from speclens.run.recording import hint_of
from speclens.run.workers import sharing_processes
from speclens.search.scan import ScanSettings, is_current
from speclens.search.scanned import Scanned
from speclens.search.shard_rows import ShardRows
from speclens.verbs.parts import digest_of
from speclens.verbs.request import Purpose, RunSummary, SearchRequest
from speclens.verbs.stages import (
    BYTES_A_SPECTRUM,
    Scans,
    Shared,
    complete,
    setup_of,
    shared_by_shards,
)

__all__ = ["merge_parts"]


@sharing_processes()
def merge_parts(
    runs: Sequence[Path],
    output: Path | None = None,
    n_workers: int = 1,
    progress: Progress | None = None,
) -> RunSummary:
    """Join the parts of a run: tables, vetting, report.

    Parameters
    ----------
    runs : sequence of Path
        Folders that were the output of parts, or parts themselves.
    output : Path, optional
        The run; the only one of `runs` when not given.
    n_workers : int
        Number of processes.
    progress : Progress, optional
        Told of stages and failures.

    Returns
    -------
    RunSummary
        As of one search.

    Raises
    ------
    SpeclensError
        If a part is missing, unfinished or of another setup, or if the run cannot be completed.
    """
    if output is None and len(runs) > 1:
        raise ConfigError("several RUN: say with -o where the run of all parts is to be written")
    listener = progress or Silent()
    parts = read_parts(runs)
    request = _request(parts[0], output or runs[0], n_workers)
    files = find_survey_files(request.inputs)
    shards = make_shards(files)
    if digest_of(shards) != parts[0].asked["shards"]:
        raise RunError(
            f"{', '.join(request.inputs)}: other files are there than when {parts[0].named} "
            "was searched: search all parts again"
        )
    known = read_known(request.known) if request.known else None
    with locked_folder(request.output, RUN, request.inputs, beside=(PARTS,)) as folder:
        clock, setup = Clock(), setup_of(request)
        _refuse_changed(parts[0], setup)
        folder.check(setup)
        refuse_left_out(folder, request.inputs)
        folder.require(BYTES_A_SPECTRUM * sum(shard.n_spectra for shard in shards))
        shared = shared_by_shards(request, files, folder)
        clock.done("prepare")
        scans = _scans_of(parts, shards, shared)
        if scans.n_scored:
            folder.claim(setup)
        clock.done("join")
        clock.seconds["search"] = round(sum(p.content["seconds"]["search"] for p in parts), 3)
        return complete(request, files, shared, scans, folder, known, clock, listener)


def _refuse_changed(part: Part, setup: Mapping[str, Any]) -> None:
    """Refuse to merge by another version, model or growth of the errors than were searched."""
    changed = list(differences(part.asked["setup"], setup))
    if changed:
        raise RunError(
            f"{part.named} was searched with another setup ({'; '.join(changed[:NAMED])}): merge "
            "with what it was searched with, or search all parts again"
        )


def _request(part: Part, output: Path, n_workers: int) -> SearchRequest:
    asked = part.asked
    config = load_config(None, (), asked["configuration"])
    return SearchRequest(
        asked["inputs"], output, config, asked["catalogue"], n_workers, asked["verify"],
        asked["known"], Purpose(**asked["purpose"]),
    )  # fmt: skip


def _scans_of(parts: Sequence[Part], shards: Sequence[Shard], shared: Shared) -> Scans:
    """Bring the results of all parts into the run, in the order of the shards."""
    of_shard = {}
    for part in parts:
        of_shard.update({shard.files: part for shard in part.share.among(shards)})
    brought = [
        [_brought(own, shard, of_shard[shard.files]) for shard in shards]
        for own in shared.settings.values()
    ]
    engines = sorted({part.content["engine"] for part in parts} - {None})
    return Scans(
        [[found.path for found in of_search] for of_search in brought],
        sum(part.content["n_new"] for part in parts),
        ", ".join(engines) or None,
        set(),
        sum(found.n_scored for of_search in brought for found in of_search),
    )


def _brought(settings: ScanSettings, shard: Shard, part: Part) -> Scanned:
    """Bring the result of a shard into the run, whole and of the files as they are now."""
    place = settings.store.path(shard.kind.name, shard.files)
    found = part.folder.work / place.name
    rows = ShardRows.load(found)
    if rows is None:
        raise RunError(
            f"{part.named}: the result {place.name} is missing or damaged, or the catalogue or the "
            "templates have changed since; run its search again"
        )
    if not is_current(settings, shard, rows, hint_of(shard.read_files)):
        raise RunError(
            f"{shard.files[0]}: it, or its spZbest, has changed since {part.named} was searched; "
            "run that search again"
        )
    with open(found, "rb") as content, replacing(place) as file:
        shutil.copyfileobj(content, file)
    return Scanned.of(rows, settings, shard)._replace(path=place)
