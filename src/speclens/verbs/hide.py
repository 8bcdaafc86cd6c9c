"""Lines hidden in a run's own spectra, by which graders of its hits are tested.

In: a finished RUN and the survey's files. Out: RUN/hidden: hits of lines that were put into spectra
of RUN where it found nothing, searched and vetted as RUN was, with the truth of each. The tables of
RUN do not change.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from urllib.parse import unquote_to_bytes

import numpy as np
from numpy.lib.recfunctions import repack_fields
from numpy.typing import NDArray

from speclens.candidates.lens_probability import lens_probability
from speclens.candidates.ranking import candidates_of
from speclens.candidates.readings import write_readings
from speclens.config import Config, load_config
from speclens.errors import RunError
from speclens.evaluate.hiding import PLACE, HidingSettings, draw_hidden
from speclens.evaluate.recovery import TRUTH
from speclens.evidence.gather import gather
from speclens.evidence.nearby import companions_of
from speclens.evidence.store import evidence_paths, write_companions, write_manifest
from speclens.grade.hidden import n_hidden
from speclens.lines import pixel_width_angstrom
from speclens.products import write_fits
from speclens.read.discovery import find_survey_files
from speclens.read.shards import make_shards
from speclens.run.folder import Folder, existing_folder, locked_folder
from speclens.run.kinds import HIDDEN, RUN
from speclens.run.progress import Progress, Silent
from speclens.run.record import RunRecord, read_record
from speclens.schema import CANDIDATES, HITS, INJECTED, KNOWN, text_width
from speclens.search.merge import Merged, merge
from speclens.search.readings import Readings
from speclens.search.shard_rows import named_file
from speclens.stored_tables import iterate_rows, read_rows
from speclens.verbs.request import SearchRequest
from speclens.verbs.stages import scan_shards, shared_by_shards
from speclens.vet.vetting import Vetted, vet_hits

__all__ = ["FOLDER", "hide_lines"]

FOLDER = "hidden"
"""In RUN."""

SEED = 1
"""Everybody who looks at a run, or at a copy of it, is tested with the same lines."""

LINES_A_HIT = 4
"""Lines put in for each hidden hit: others are too faint, or vetting refuses them."""

Rows = NDArray[np.void]


def hide_lines(
    run: Path, share: float, n_workers: int = 1, progress: Progress | None = None
) -> Path:
    """Put lines into spectra of a run where it found nothing, and search them.

    Parameters
    ----------
    run : Path
        The run; its survey files must be where they were, unless it was done before.
    share : float
        Hidden hits that are wanted for each candidate; a run with too few such spectra has fewer.
    n_workers : int, optional
        Number of processes.
    progress : Progress, optional
        Told of the stages.

    Returns
    -------
    Path
        RUN/hidden; what was made before for the same vetting stays.

    Raises
    ------
    SpeclensError
        If there is no finished run, its files or its network are no longer those of then, or
        another process is at it.
    """
    listener = progress or Silent()
    with ExitStack() as stack:
        origin = stack.enter_context(existing_folder(run, RUN, untouched=True))
        record = read_record(origin)
        n_lines = LINES_A_HIT * n_hidden(record.counts["candidates"], share)
        folder = stack.enter_context(locked_folder(origin.path / FOLDER, HIDDEN))
        if not _is_done(folder, record, n_lines):
            config = load_config(None, (), record.configuration)
            _hide(origin, folder, record, config, n_lines, n_workers, listener)
        return folder.path


def _is_done(folder: Folder, record: RunRecord, n_lines: int) -> bool:
    try:
        done = read_record(folder)
    except RunError:
        return False
    same = done.configuration_sha256 == record.configuration_sha256 and done.stage == "done"
    return bool(same and done.counts["lines"] >= min(n_lines, done.counts["places"]))


def _hide(
    origin: Folder,
    folder: Folder,
    record: RunRecord,
    config: Config,
    n_lines: int,
    n_workers: int,
    listener: Progress,
) -> None:
    """Draw the lines, search, gather, vet, write."""
    found = read_rows(origin.path / "hits.fits", HITS)
    chosen, n_places = _without_hits(origin, found, n_lines)
    if not n_places:
        raise RunError(f"{origin.path}: no spectrum without a hit, into which a line could be put")
    # RUN may have named its files from another folder.
    own_names = chosen["FILE"].tolist()
    paths = [os.path.join(record.folder, os.fsdecode(unquote_to_bytes(n))) for n in own_names]
    own_name_of = dict(zip(map(named_file, paths), own_names, strict=True))
    places = _as_places(zip(map(named_file, paths), chosen["ROW"].tolist(), strict=True))
    record = replace(record, seed=SEED, counts={"lines": len(places), "places": n_places})
    record.write(folder.path, "search")
    inputs = sorted(set(paths))
    request = SearchRequest(inputs, folder.path, config, record.catalogue, n_workers, record.verify)
    settings, merged = _searched(request, record, places, folder, listener)
    (hidden, *_) = (own.hidden for own in settings.values())
    line = _line_of(merged.hits, hidden, config.evaluation.match_pixels)
    # Where the object has other spectra, none of them shows the line: that would tell.
    requests, _ = companions_of(merged.hits, _spectra(origin), config.vet)
    line[requests["HIT"][requests["KIND"] == "repeat"]] = -1
    hits, readings = merged.hits[line >= 0], merged.readings.of(line >= 0)
    gather(settings, folder.work, hits, _spectra(origin), n_workers, listener)
    listed = origin.path / "known.ecsv"
    known = read_rows(listed, KNOWN) if listed.exists() else None
    vetted = vet_hits(folder.path, hits, config, known, n_workers, listener, among=found)
    _rename(folder, vetted.hits, own_name_of)
    _write(folder, record, config, vetted, readings, hidden[line[line >= 0]])


def _spectra(origin: Folder) -> Iterator[Rows]:
    return iterate_rows(origin.path / "spectra.fits")


def _without_hits(origin: Folder, found: Rows, n_lines: int) -> tuple[Rows, int]:
    """Choose some spectra that were searched and have no hit; count all such spectra.

    More of them begin with the same ones.
    """
    rng = np.random.default_rng(SEED)
    with_hits = set(found[list(PLACE)].tolist())
    chosen: list[tuple[float, tuple[str, int]]] = []
    n_places = 0
    for part in _spectra(origin):
        lots = zip(rng.random(len(part)).tolist(), part[list(PLACE)].tolist(), strict=True)
        scored = (part["STATUS"] == "scored").tolist()
        free = [lot for lot, it in zip(lots, scored, strict=True) if it and lot[1] not in with_hits]
        n_places += len(free)
        chosen = sorted([*chosen, *free])[:n_lines]
    return _as_places(place for _, place in chosen), n_places


def _as_places(places: Iterable[tuple[str, int]]) -> Rows:
    rows = list(places)
    width = max((len(file) for file, _ in rows), default=1)
    return np.array(rows, [("FILE", f"U{width}"), ("ROW", "i4")])


def _searched(
    request: SearchRequest, record: RunRecord, places: Rows, folder: Folder, listener: Progress
) -> tuple[dict[str, HidingSettings], Merged]:
    """Put a line into each spectrum, and search them as the run was searched."""
    files = find_survey_files(request.inputs)
    shared = shared_by_shards(request, files, folder)
    if (shared.setup["model"], shared.setup["sky"]) != (record.model_sha256, record.sky_sha256):
        raise RunError(
            f"{folder.path.parent}: searched by another network or growth of the errors than "
            "those of now; search it again"
        )
    shards = make_shards(files)
    listener.stage("lines to hide", 1)
    hidden = draw_hidden(next(iter(shared.settings.values())), shards, places, SEED)
    listener.advance(len(hidden))
    digest = sha256(hidden.tobytes()).hexdigest()
    settings = {
        name: HidingSettings(own.config, own.store.part(digest), own.reading, hidden=hidden)
        for name, own in shared.settings.items()
    }
    scans = scan_shards(settings, folder, shards, request.n_workers, listener)
    return settings, merge(folder.path, list(zip(*scans.paths, strict=True)), record.cards)


def _line_of(hits: Rows, hidden: Rows, match_pixels: float) -> NDArray[np.intp]:
    """Return the number of the line that was put in where each hit is, shape (H,); -1 for none."""
    number = {place: i for i, place in enumerate(hidden[list(PLACE)].tolist())}
    line = np.array([number[place] for place in hits[list(PLACE)].tolist()], np.intp)
    away = np.abs(hits["WAVE"] - hidden["WAVE"][line])
    line[away > match_pixels * np.asarray(pixel_width_angstrom(hits["WAVE"]))] = -1
    return line


def _rename(folder: Folder, hits: Rows, own_name_of: Mapping[str, str]) -> None:
    """Name files as the run names them: another name would tell."""
    gathered = [path.name for path in evidence_paths(folder.work, hits)]
    hits["FILE"] = [own_name_of[name] for name in hits["FILE"].tolist()]
    write_manifest(folder.work, hits, gathered)


def _write(
    folder: Folder,
    record: RunRecord,
    config: Config,
    vetted: Vetted,
    readings: Readings,
    truth: Rows,
) -> None:
    hits, meta = vetted.hits, record.cards
    hits["P_LENSED"] = lens_probability(hits, config.candidates)
    candidates, width = candidates_of(hits, config.candidates), max(text_width(hits, "FILE"), 1)
    write_companions(folder.work, hits, vetted.companions)
    write_fits(folder.path / "hits.fits", [hits], len(hits), HITS, meta, FILE=width)
    write_fits(
        folder.path / "candidates.fits", [candidates], len(candidates), CANDIDATES, meta, FILE=width
    )
    write_readings(folder.path, hits, readings.hypotheses, readings.heat_map, meta)
    told = repack_fields(truth[[column.name for column in INJECTED]])
    write_fits(folder.path / TRUTH, [told], len(told), INJECTED, meta)
    record.write(folder.path, "done")
