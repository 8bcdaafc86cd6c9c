"""`speclens compare`: searches side by side, on the same spectra with the same sources.

In: survey files, names of searches, a seed. Out: completeness of hits and of candidates at equal
rates of false ones, by S/N, overlap, what thresholds yield where lenses are rare, cost; tables,
figures and a page. It goes on where it was stopped.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import speclens
from speclens.config import Config
from speclens.eigenspectra import BUNDLED
from speclens.errors import RunError
from speclens.evaluate import rates
from speclens.evaluate.compared_candidates import VettedSides, candidate_scores, vetting_floors
from speclens.evaluate.comparison_page import Tables
from speclens.evaluate.comparison_products import write_comparison
from speclens.evaluate.entries import Entry, common_window, entries_of
from speclens.evaluate.recovery import targets_put_in
from speclens.evaluate.search_cost import cost
from speclens.evaluate.search_scores import SearchScores
from speclens.evaluate.side_by_side import ScoredShard, SideSettings, score_shards
from speclens.read.discovery import find_survey_files
from speclens.read.shards import Shard, make_shards
from speclens.run.folder import Folder, locked_folder
from speclens.run.kinds import COMPARISON
from speclens.run.progress import Progress, Silent
from speclens.run.store import ShardStore
from speclens.run.workers import DIARY
from speclens.sample.error_growth import read_growth
from speclens.search.input_record import check_inputs
from speclens.search.matched_filter import MatchedFilter
from speclens.search.network import model_of
from speclens.search.searches import open_search
from speclens.spectra import LogGrid

__all__ = ["CompareRequest", "Comparison", "compare"]

BYTES_A_SCORE = 300
"""Of its stored result and its row of scores.fits."""


@dataclass(frozen=True)
class CompareRequest:
    """What the user asks for.

    Parameters
    ----------
    inputs : sequence of str
        Survey files and folders.
    output : Path
        Folder to write: new, empty, or of the same comparison, which goes on where it stopped.
    names : sequence of str
        The searches, as `speclens.evaluate.entries.entries_of` takes them.
    source : str, optional
        What is put in: `lya` or `elg`.
    config : str, optional
        Configuration that lies under all searches.
    overrides : sequence of str, optional
        `section.key=value`, for all searches.
    repeats : int, optional
        Sources put into each spectrum, one at a time.
    seed : int, optional
        Seed of the sources.
    n_workers : int, optional
        Number of processes; nothing but the cost depends on it.
    """

    inputs: Sequence[str]
    output: Path
    names: Sequence[str]
    source: str = "lya"
    config: str | None = None
    overrides: Sequence[str] = ()
    repeats: int = 5
    seed: int = 1
    n_workers: int = 1


@dataclass(frozen=True)
class Comparison:
    """What came of it.

    Parameters
    ----------
    tables : Tables
        The tables.
    notes : sequence of str
        What a reader of them must know.
    n_failed : int
        Files that failed.
    """

    tables: Tables
    notes: Sequence[str]
    n_failed: int


def compare(request: CompareRequest, progress: Progress | None = None) -> Comparison:
    """Compare searches.

    Parameters
    ----------
    request : CompareRequest
        What, with what, to where.
    progress : Progress, optional
        Told of the work and of failures.

    Returns
    -------
    Comparison
        The tables.

    Raises
    ------
    ConfigError
        If a search is not known, or does not look for what is put in.
    RunError
        If there is nothing to read, no spectrum that all searches take, something missing that a
        search needs, or if the folder is another comparison's or somebody else's.
    """
    listener = progress or Silent()
    entries = entries_of(request.names, request.source, request.config, request.overrides)
    reference = _reference(entries)
    _open_once(entries)
    shards = make_shards(find_survey_files(request.inputs))
    setup = _setup(request, entries)
    with locked_folder(request.output, COMPARISON, request.inputs) as folder:
        folder.check(setup)
        n_spectra = sum(shard.n_spectra for shard in shards)
        n_steps = sum(len(entry.steps) for entry in entries)
        folder.require(BYTES_A_SCORE * n_steps * (request.repeats + 1) * n_spectra)
        for entry in entries:
            check_inputs(entry.config, listener.message)
        store = _store(folder, setup, entries)
        settings = SideSettings(tuple(entries), store, reference, request.source, request.seed)
        failures: dict[str, None] = {}
        scored = _scored(settings, request, shards, folder, setup, listener, failures)
        scores = _joined(scored, settings, request, len(failures))
        candidates = _candidates(settings, scored, scores, request, folder, listener)
        tables = _tables(entries, scores, candidates, reference, shards, store)
        notes = _notes(request, entries, scores, failures)
        record = {**setup, "command": _command(request), "notes": notes}
        write_comparison(folder.path, entries, scores, candidates, tables, record)
    return Comparison(tables, notes, len(failures))


def _open_once(entries: Sequence[Entry]) -> None:
    """Open all searches: what one of them lacks is told before the others have worked."""
    for entry in entries:
        grid = LogGrid.covering(*entry.config.preparation.window)
        open_search(entry.config, MatchedFilter(grid, entry.config.matched_filter))


def _reference(entries: Sequence[Entry]) -> Config:
    """Return the first search, on the wavelengths that all see."""
    first = entries[0].config
    window = {"window": common_window(entries)}
    return first.model_copy(update={"preparation": first.preparation.model_copy(update=window)})


def _setup(request: CompareRequest, entries: Sequence[Entry]) -> dict[str, Any]:
    searches = {}
    for entry in entries:
        model = model_of(entry.config)
        searches[entry.name] = {
            "model": model and model.digest,
            "sky": read_growth(entry.config.noise.growth).digest,
            "configuration": entry.config.model_dump(mode="json"),
        }
    return {
        "speclens": speclens.__version__,
        "inputs": [os.path.abspath(path) for path in request.inputs],
        "source": request.source,
        "seed": request.seed,
        "repeats": request.repeats,
        "with": [entry.name for entry in entries],
        "searches": searches,
    }


def _store(folder: Folder, setup: dict[str, Any], entries: Sequence[Entry]) -> ShardStore:
    context = hashlib.sha256(json.dumps(setup, sort_keys=True).encode())
    for entry in entries:
        if entry.config.foreground.templates not in BUNDLED:
            context.update(folder.digest_of(entry.config.foreground.templates).encode())
    return ShardStore(folder.work, context.hexdigest())


def _scored(
    settings: SideSettings,
    request: CompareRequest,
    shards: Sequence[Shard],
    folder: Folder,
    setup: dict[str, Any],
    listener: Progress,
    failures: dict[str, None],
) -> list[ScoredShard]:
    """Search all shards with all searches."""
    scored = []
    for shard in score_shards(
        settings, shards, request.repeats, request.n_workers, folder.work / DIARY, listener,
        failures,
    ):  # fmt: skip
        if len(shard.scores.spectra):
            # What holds no spectrum of the samples binds the folder to nothing.
            folder.claim(setup)
        scored.append(shard)
    return scored


def _joined(
    scored: Sequence[ScoredShard], settings: SideSettings, request: CompareRequest, n_failed: int
) -> SearchScores:
    """Return what the hits of all searches tell of the same spectra and sources."""
    scores = SearchScores.joined([shard.scores for shard in scored])
    scores = scores.without(targets_put_in(request.inputs))
    if not len(scores.spectra):
        each = ", ".join(
            f"{entry.name} {number}"
            for entry, number in zip(settings.entries, scores.n_scored, strict=True)
        )
        raise RunError(
            f"no spectrum of the inputs is searched by all searches (by each: {each}; "
            f"{n_failed} files failed); each search's selection decides who belongs to its "
            "sample: leave one out, or give --set selection.z_min=..."
        )
    if not len(scores.lines):
        raise RunError(
            f"no source could be put into the {len(scores.spectra)} spectra: all were masked, or "
            "beyond the wavelengths that all searches see"
        )
    return scores


def _candidates(
    settings: SideSettings,
    scored: Sequence[ScoredShard],
    hits: SearchScores,
    request: CompareRequest,
    folder: Folder,
    listener: Progress,
) -> SearchScores:
    """Vet, and return what the candidates of all searches tell of the same."""
    crowds = tuple(np.concatenate(own) for own in zip(*(one.crowds for one in scored), strict=True))
    floors = vetting_floors(hits, settings.reference)
    vetted = VettedSides(settings, folder.work, crowds, floors)
    scores = candidate_scores(vetted, scored, request.n_workers, listener)
    return scores.without(targets_put_in(request.inputs))


def _tables(
    entries: Sequence[Entry],
    hits: SearchScores,
    candidates: SearchScores,
    config: Config,
    shards: Sequence[Shard],
    store: ShardStore,
) -> Tables:
    weighed = [i for i, entry in enumerate(entries) if entry.weighed]
    own = [entries[i] for i in weighed], candidates.of(weighed)
    levels = ((rates.HIT, entries, hits), (rates.CANDIDATE, *own))
    measured = [rates.rates(of, scores, config, level) for level, of, scores in levels]
    rate = rates.shown_rate(measured[0])
    return Tables(
        np.concatenate(measured),
        np.concatenate([rates.roc(of, scores, config, level) for level, of, scores in levels]),
        np.concatenate(
            [rates.by_snr(of, scores, config, rate, level) for level, of, scores in levels]
        ),
        rates.overlap(entries, hits),
        rates.prevalence(measured[0], config),
        cost(entries, shards, store),
    )


def _notes(
    request: CompareRequest,
    entries: Sequence[Entry],
    scores: SearchScores,
    failures: dict[str, None],
) -> list[str]:
    n = len(scores.spectra)
    low, high = common_window(entries)
    put_in = {
        "lya": f"Lyman-alpha lines between {low:g} and {high:g} Angstrom, of an ideal S/N",
        "elg": f"emission-line galaxies, of an ideal S/N of all their lines between {low:g} and "
        f"{high:g} Angstrom",
    }
    notes = [f"put in: {put_in[request.source]} drawn uniformly, seed {request.seed}"]
    others = {
        entry.name: number - n
        for entry, number in zip(entries, scores.n_scored, strict=True)
        if number > n
    }
    if others:
        told = ", ".join(f"{number} that {name} takes" for name, number in others.items())
        notes.append(
            "spectra left out, because not all searches take them or a mock survey's sources are "
            f"in them: {told}"
        )
    missed = [rate for rate in entries[0].config.comparison.alarm_rates if rate * n < 1]
    if missed:
        notes.append(
            f"{n} spectra measure no rate of false alarms below 1/{n}: a rate of "
            f"{max(missed):g} takes {1 / max(missed):,.0f}"
        )
    unweighed = [entry.name for entry in entries if not entry.weighed]
    if unweighed:
        notes.append(
            f"hits alone are compared of {', '.join(unweighed)}: vetting cannot weigh them, so "
            "that their candidates have no order"
        )
    if failures:
        notes.append(f"files that failed: {len(failures)}")
    return notes


def _command(request: CompareRequest) -> str:
    words = [
        "speclens", "compare", *request.inputs, "-o", os.fspath(request.output),
        "--with", ",".join(request.names), "--source", request.source,
        "--repeats", str(request.repeats), "--seed", str(request.seed),
    ]  # fmt: skip
    if request.config is not None:
        words += ["-c", request.config]
    for text in request.overrides:
        words += ["--set", text]
    return shlex.join(words)
