"""What follows the search, in a search or alone: vetting, candidates, report, run.json.

In: a run's folder with its hits gathered, the record of the run so far. Out: the tables, the
report, and run.json, which comes last; in the run's folder, or beside it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.candidates.lens_probability import lens_probability
from speclens.candidates.ranking import candidates_of
from speclens.candidates.readings import stored_readings, write_readings
from speclens.candidates.tables import write_candidates, write_hits
from speclens.config import Config, layers_of, load_config
from speclens.errors import ConfigError, RunError
from speclens.evaluate.recovery import compare, mock_surveys
from speclens.evidence.store import evidence_paths, write_companions, write_manifest
from speclens.inspections.gradebook import GRADE_COLUMNS, with_grades
from speclens.products import write_text_table
from speclens.read.table.known import Known, read_known
from speclens.report.pages import fault_notes
from speclens.report.run_report import make_report
from speclens.run.clock import Clock
from speclens.run.folder import Folder, existing_folder, locked_folder
from speclens.run.kinds import RUN, VETTING
from speclens.run.progress import Progress
from speclens.run.record import RunRecord, read_record
from speclens.run.workers import sharing_processes
from speclens.schema import CANDIDATES, HITS, KNOWN
from speclens.search.readings import Readings
from speclens.stored_tables import read_rows
from speclens.verbs.published import strangers, without_absent
from speclens.verbs.request import Purpose
from speclens.verbs.weigh import Weights, weigh, weights_for
from speclens.vet.known import discovery_rate, n_systems
from speclens.vet.vetting import Vetted, vet_hits

__all__ = ["finish", "report_again", "vet_again"]

LATER_SECTIONS = Config.sections_deciding("vetting", "pages")
"""Sections of the configuration that need no new search."""

_REMEDY = {False: "speclens vet RUN, or a new search", True: "search again into another folder"}


def finish(
    folder: Folder,
    found: NDArray[np.void],
    record: RunRecord,
    config: Config,
    known: Known | None,
    n_workers: int,
    progress: Progress | None = None,
    origin: Folder | None = None,
    readings: Readings | None = None,
    weights: Weights | None = None,
) -> tuple[Vetted, NDArray[np.void]]:
    """Vet the hits of a run, write the tables, the report and run.json.

    Parameters
    ----------
    folder : Folder
        Where to write: the run, or a folder beside it.
    found : structured array of shape (H,)
        Its hits; what vetting measures is measured anew.
    record : RunRecord
        The record so far; completed here.
    config : Config
        The configuration.
    known : Known, optional
        Published systems; those that the run had when not given.
    n_workers : int
        Number of processes.
    progress : Progress, optional
        Told of both stages.
    origin : Folder, optional
        The run, where that is another folder.
    readings : Readings, optional
        What the search weighed of the hits; what the run has of it when not given.
    weights : Weights, optional
        What candidates are weighed by; the selection function that the run has when not given.

    Returns
    -------
    vetted : Vetted
        Hits and published systems.
    candidates : structured array
        Rows of candidates.*, best first.

    Raises
    ------
    RunError
        If what was gathered is missing, or something cannot be written.
    """
    clock = Clock(record.seconds)
    run = (origin or folder).path
    kept = run / "known.ecsv"
    rows = None if known is None else known.rows
    if rows is None and kept.exists():
        rows = read_rows(kept, KNOWN)
    vetted = vet_hits(run, found, config, rows, n_workers, progress)
    listed = record.counts.get("known_listed") if known is None else None
    vetted.hits["P_LENSED"] = lens_probability(vetted.hits, config.candidates)
    if weights is None:
        weights = weights_for(Purpose(), config, _digests(record), run)
    _configure(record, config)
    ranked = candidates_of(vetted.hits, config.candidates)
    ranked, weighed = weigh(run, vetted.hits, ranked, record, weights)
    candidates, unread = with_grades(folder.path, ranked)
    counts = _counts(vetted, config, listed) | {"candidates": len(candidates)}
    unknown = strangers(vetted)
    vetted, left_out = without_absent(vetted)
    truth, not_compared = _truth(record, run, vetted.hits, config)
    record.counts |= counts
    record.truth, record.report_notes = truth, []
    if known is not None:
        record.known_notes = known.notes + left_out + unknown
    record.notes = [
        *_not_gathered(record),
        *vetted.notes,
        *record.known_notes,
        *not_compared,
        *weighed,
        *record.search_notes,
    ]
    # Hits and candidates are two files: a stop between them must not go unseen.
    record.write(folder.path, "vet")
    meta = record.cards
    write_hits(folder.path, vetted.hits, meta)
    write_candidates(folder.path, candidates, meta)
    told = stored_readings(run) if readings is None else (readings.hypotheses, readings.heat_map)
    write_readings(folder.path, vetted.hits, *told, meta)
    write_companions(folder.work, vetted.hits, vetted.companions)
    if vetted.known is not None:
        write_text_table(folder.path / "known.ecsv", vetted.known, KNOWN, meta)
    clock.done("vet")
    _report(folder.path, record, vetted, candidates, config, n_workers, progress, unread)
    clock.done("report")
    weights.keep(folder.path)
    record.write(folder.path, "done")
    return vetted, candidates


def _report(
    folder: Path,
    record: RunRecord,
    vetted: Vetted,
    candidates: NDArray[np.void],
    config: Config,
    n_workers: int,
    progress: Progress | None,
    unread: list[str],
) -> None:
    """Write the report; note and count the hits that it cannot show or vetting did not measure."""
    record.notes = [note for note in record.notes if note not in record.report_notes]
    faults = make_report(folder, record, vetted, candidates, config, n_workers, progress)
    record.report_notes = [*unread, *fault_notes(faults)]
    record.notes = [*record.notes, *record.report_notes]
    record.counts["hits_failed"] = len(vetted.failed | faults.keys())


@sharing_processes()
def vet_again(
    run: Path,
    source: str | None,
    overrides: Sequence[str],
    known: str | None,
    n_workers: int,
    progress: Progress | None = None,
    output: Path | None = None,
    tell: Callable[[str], None] | None = None,
    purpose: Purpose | None = None,
) -> tuple[RunRecord, Vetted, NDArray[np.void]]:
    """Vet the hits of a finished run again, and write its report.

    Parameters
    ----------
    run : Path
        The run.
    source : str, optional
        Configuration file; only the sections that need no new search are taken.
    overrides : sequence of str
        `section.key=value`.
    known : str, optional
        List of published systems.
    n_workers : int
        Number of processes.
    progress : Progress, optional
        Told of the stages.
    output : Path, optional
        Folder to write instead of the run's, which stays as it is, byte for byte.
    tell : callable, optional
        Told by which configuration the hits are vetted.
    purpose : Purpose, optional
        What the candidates are for.

    Returns
    -------
    record : RunRecord
        What run.json holds.
    vetted : Vetted
        Hits and published systems.
    candidates : structured array
        Rows of candidates.*, best first.

    Raises
    ------
    SpeclensError
        If there is no finished run, or the configuration asks for a new search.
    """
    systems = read_known(known) if known else None
    with ExitStack() as stack:
        origin = stack.enter_context(existing_folder(run, RUN, untouched=output is not None))
        record = read_record(origin)
        config = _configuration(record, source, overrides, LATER_SECTIONS)
        weights = weights_for(purpose or Purpose(), config, _digests(record), origin.path)
        hits = read_rows(origin.path / "hits.fits", HITS)
        folder = origin
        if output is not None:
            folder = stack.enter_context(_beside(origin, output, hits))
            record.vetting_of = os.fspath(origin.path)
        record.vetted_by = {"configuration": source, "set": list(overrides)}
        if tell is not None:
            tell(_vetted_by(source, overrides, run))
        done = finish(
            folder, hits, record, config, systems, n_workers, progress, origin, weights=weights
        )
        return record, *done


@contextmanager
def _beside(origin: Folder, output: Path, hits: NDArray[np.void]) -> Iterator[Folder]:
    """Lock a folder for another vetting of a run; what was gathered stays in the run."""
    if Path(os.path.realpath(output)).is_relative_to(origin.path):
        raise RunError(f"{output}: it is the run, or within it; choose another -o")
    gathered = evidence_paths(origin.work, hits)
    setup = {"run": os.fspath(origin.path)}
    with locked_folder(output, VETTING) as folder:
        folder.check(setup)
        folder.claim(setup)
        write_manifest(folder.work, hits, [os.fspath(path) for path in gathered])
        yield folder


def _vetted_by(source: str | None, overrides: Sequence[str], run: Path) -> str:
    """Say by which configuration hits are vetted."""
    base = f"the configuration of {run}"
    if source is not None:
        base = f"{source} (its sections {', '.join(LATER_SECTIONS)}), laid over {base}"
    return " ".join([f"vetting by {base}", *(f"--set {text}" for text in overrides)])


def report_again(
    run: Path,
    source: str | None,
    overrides: Sequence[str],
    n_workers: int,
    progress: Progress | None = None,
) -> RunRecord:
    """Write the report of a finished run again, and the grades of now into its candidates.

    Parameters
    ----------
    run : Path
        The run.
    source : str, optional
        Configuration file; only the section `report` is taken.
    overrides : sequence of str
        `report.key=value`.
    n_workers : int
        Number of processes.
    progress : Progress, optional
        Told of the stage.

    Returns
    -------
    RunRecord
        What run.json holds.

    Raises
    ------
    SpeclensError
        If there is no finished run, or the configuration asks for more than a new report.
    """
    with existing_folder(run, RUN, VETTING) as folder:
        record = read_record(folder)
        if record.stage != "done":
            raise RunError(f"{run}: its vetting has not ended; run speclens vet {run}")
        config = _configuration(record, source, overrides, Config.sections_deciding("pages"))
        clock = Clock(record.seconds)
        vetted = Vetted.read(folder.path)
        stored = read_rows(folder.path / "candidates.fits", CANDIDATES)
        candidates, unread = with_grades(folder.path, stored)
        if not np.array_equal(candidates[GRADE_COLUMNS], stored[GRADE_COLUMNS]):
            write_candidates(folder.path, candidates, record.cards)
        _configure(record, config)
        _report(folder.path, record, vetted, candidates, config, n_workers, progress, unread)
        clock.done("report")
        record.write(folder.path, "done")
    return record


def _configuration(
    record: RunRecord, source: str | None, overrides: Sequence[str], allowed: Sequence[str]
) -> Config:
    """Lay the allowed sections of a new configuration over those of the run."""
    recorded = load_config(None, (), record.configuration)
    named = {text.split(".")[0].strip() for text in overrides}
    if named - set(allowed):
        raise ConfigError(
            f"--set {', '.join(sorted(named - set(allowed)))}: only {', '.join(allowed)} can "
            f"change now; for the rest, {_REMEDY[len(allowed) > 1]}"
        )
    changed = []
    for own in recorded.each.values():
        # A file states all limits; without one, single values are laid over those of the run.
        if source:
            asked = load_config(source, overrides, under=layers_of(own.search))
        else:
            asked = load_config(None, overrides, own.model_dump(mode="json"))
        changed.append(_changed(own, asked, allowed))
    first, *others = changed
    return first.model_copy(update={"searches": {own.search.name: own for own in others}})


def _changed(recorded: Config, asked: Config, allowed: Sequence[str]) -> Config:
    """Lay the allowed sections over those of a search; none may decide what was gathered."""
    config = recorded.model_copy(update={section: getattr(asked, section) for section in allowed})
    gathered = recorded.deciding("evidence")
    for section, keys in config.deciding("evidence").items():
        for key, value in keys.items():
            if value != gathered[section][key]:
                raise ConfigError(
                    f"{section}.{key}: decides what is read of the survey; run the same search "
                    "with it"
                )
    return config


def _digests(record: RunRecord) -> dict[str, Any]:
    return {"model": record.model_sha256, "sky": record.sky_sha256}


def _configure(record: RunRecord, config: Config) -> None:
    record.configuration = config.model_dump(mode="json")
    record.configuration_sha256 = config.digest


def _counts(vetted: Vetted, config: Config, listed: int | None) -> dict[str, int]:
    """Count hits and candidates, and the published systems found and searched."""
    counts = {"hits": len(vetted.hits)}
    if vetted.known is not None:
        found, searched = discovery_rate(vetted.known, config.preparation.window)
        counts |= {
            "known_listed": n_systems(vetted.known) if listed is None else listed,
            "known_scored": searched,
            "known_found": found,
            "known_z_unknown": n_systems(vetted.known[vetted.known["OUTCOME"] == "z_unknown"]),
        }
    return counts


def _truth(
    record: RunRecord, run: Path, hits: NDArray[np.void], config: Config
) -> tuple[list[dict[str, Any]], list[str]]:
    """Compare with what was put in, where the inputs are a mock survey, or say why not."""
    surveys = mock_surveys(record.inputs)
    if not surveys:
        # The survey may be gone since; what it said before still holds for the hits.
        return record.truth, []
    try:
        return [asdict(row) for row in compare(surveys, run, hits, config)], []
    except RunError as error:
        return [], [f"not compared with what was put in: {error}"]


def _not_gathered(record: RunRecord) -> list[str]:
    """Say which files could not be read again, and why."""
    if not record.not_gathered:
        return []
    told = ", ".join(f"{reason} {number}" for reason, number in record.not_gathered.items())
    return [f"survey files that could not be read again for their hits: {told}"]
