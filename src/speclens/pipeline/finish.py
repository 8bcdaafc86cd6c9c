"""What follows the search, in a search or alone: vetting, candidates, report, run.json.

In: a run's folder with its hits gathered, the record of the run so far. Out: the tables, the
report, and run.json, which comes last.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import speclens
from speclens.config import Config, load_config
from speclens.errors import ConfigError, RunError
from speclens.pipeline.folder import RunFolder, existing_folder
from speclens.pipeline.gather import READ_KEYS
from speclens.pipeline.progress import Progress
from speclens.pipeline.recovery import TRUTH, compare
from speclens.pipeline.report import make_report
from speclens.pipeline.vet import Vetted, vet_hits, write_vetted
from speclens.products import write_json
from speclens.read.known import Known, read_known
from speclens.report.pages import fault_notes
from speclens.schema import HITS, KNOWN
from speclens.stored_tables import read_rows
from speclens.vet.known import discovery_rate

__all__ = ["Clock", "finish", "meta_of", "report_again", "vet_again"]

LATER_SECTIONS = ("vet", "candidates", "report")
"""Sections of the configuration that need no new search."""

_REMEDY = {False: "speclens vet RUN, or a new search", True: "search again into another folder"}


class Clock:
    """Seconds by stage.

    Parameters
    ----------
    seconds : dict, optional
        Those of stages done before.
    """

    def __init__(self, seconds: dict[str, float] | None = None) -> None:
        self.seconds: dict[str, float] = {} if seconds is None else seconds
        self._last = time.perf_counter()

    def done(self, stage: str) -> None:
        """Say that a stage has ended.

        Parameters
        ----------
        stage : str
            Its name.
        """
        now = time.perf_counter()
        self.seconds[stage] = round(now - self._last, 3)
        self._last = now


def meta_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the provenance for the header of each table.

    Parameters
    ----------
    record : mapping
        The content of run.json, as far as known.

    Returns
    -------
    dict
        Header cards.
    """
    model = record.get("model_sha256")
    return {
        "CREATOR": f"speclens {speclens.__version__}",
        "METHOD": record["method"],
        **({"MODEL": model[:16]} if model else {}),
        "CONFIG": record["configuration_sha256"][:16],
    }


def finish(
    folder: RunFolder,
    found: NDArray[np.void],
    record: dict[str, Any],
    config: Config,
    known: Known | None,
    n_workers: int,
    progress: Progress | None = None,
) -> Vetted:
    """Vet the hits of a run, write the tables, the report and run.json.

    Parameters
    ----------
    folder : RunFolder
        The run.
    found : structured array of shape (H,)
        Its hits; what vetting measures is measured anew.
    record : dict
        The content of run.json so far; completed here.
    config : Config
        The configuration.
    known : Known, optional
        Published systems; those that the run had when not given.
    n_workers : int
        Number of processes.
    progress : Progress, optional
        Told of both stages.

    Returns
    -------
    Vetted
        Hits and candidates.

    Raises
    ------
    RunError
        If what was gathered is missing, or something cannot be written.
    """
    clock = Clock(record.setdefault("seconds", {}))
    kept = folder.path / "known.ecsv"
    rows = None if known is None else known.rows
    if rows is None and kept.exists():
        rows = read_rows(kept, KNOWN)
    vetted = vet_hits(folder.path, found, config, rows, n_workers, progress)
    record |= {
        **_configured(config),
        "counts": record["counts"] | _counts(vetted, config),
        "known_notes": record.get("known_notes", []) if known is None else _notes_of(known),
        "truth": _truth(record, folder.path, vetted.hits, config),
    }
    record["notes"] = [*vetted.notes, *record["known_notes"]]
    record["report_notes"] = []
    # Hits and candidates are two files: a stop between them must not go unseen.
    write_json(folder.path / "run.json", record | {"stage": "vet"})
    write_vetted(folder.path, vetted, meta_of(record))
    clock.done("vet")
    _report(folder.path, record, vetted, config, n_workers, progress)
    clock.done("report")
    write_json(folder.path / "run.json", record | {"stage": "done"})
    return vetted


def _report(
    folder: Path,
    record: dict[str, Any],
    vetted: Vetted,
    config: Config,
    n_workers: int,
    progress: Progress | None,
) -> None:
    """Write the report; note and count the hits that it cannot show or vetting did not measure."""
    before = record.get("report_notes", [])
    record["notes"] = [note for note in record["notes"] if note not in before]
    faults = make_report(folder, record, vetted, config, n_workers, progress)
    record["report_notes"] = fault_notes(faults)
    record["notes"] = [*record["notes"], *record["report_notes"]]
    record["counts"] = record["counts"] | {"hits_failed": len(vetted.failed | faults.keys())}


def vet_again(
    run: Path,
    source: str | None,
    overrides: Sequence[str],
    known: str | None,
    n_workers: int,
    progress: Progress | None = None,
) -> tuple[dict[str, Any], Vetted]:
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

    Returns
    -------
    record : dict
        The content of run.json.
    vetted : Vetted
        Hits and candidates.

    Raises
    ------
    SpeclensError
        If there is no finished run, or the configuration asks for a new search.
    """
    systems = read_known(known) if known else None
    with existing_folder(run) as folder:
        record = folder.record()
        config = _configuration(record, source, overrides, LATER_SECTIONS)
        hits = read_rows(folder.path / "hits.fits", HITS)
        return record, finish(folder, hits, record, config, systems, n_workers, progress)


def report_again(
    run: Path,
    source: str | None,
    overrides: Sequence[str],
    n_workers: int,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write the report of a finished run again.

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
    dict
        The content of run.json.

    Raises
    ------
    SpeclensError
        If there is no finished run, or the configuration asks for more than a new report.
    """
    with existing_folder(run) as folder:
        record = folder.record()
        if record["stage"] != "done":
            raise RunError(f"{run}: its vetting has not ended; run speclens vet {run}")
        config = _configuration(record, source, overrides, ("report",))
        clock = Clock(record["seconds"])
        vetted = Vetted.read(folder.path)
        record |= _configured(config)
        _report(folder.path, record, vetted, config, n_workers, progress)
        clock.done("report")
        write_json(folder.path / "run.json", record)
    return record


def _configuration(
    record: Mapping[str, Any], source: str | None, overrides: Sequence[str], allowed: Sequence[str]
) -> Config:
    """Lay the allowed sections of a new configuration over those of the run."""
    recorded = load_config(None, (), record["configuration"])
    # A file states all limits; without one, single values are laid over those of the run.
    asked = load_config(source, overrides, None if source else record["configuration"])
    named = {text.split(".")[0].strip() for text in overrides}
    if named - set(allowed):
        raise ConfigError(
            f"--set {', '.join(sorted(named - set(allowed)))}: only {', '.join(allowed)} can "
            f"change now; for the rest, {_REMEDY[len(allowed) > 1]}"
        )
    changed = {section: getattr(asked, section) for section in allowed}
    if "vet" in changed:
        for key in sorted(READ_KEYS):
            if getattr(asked.vet, key) != getattr(recorded.vet, key):
                raise ConfigError(
                    f"vet.{key}: decides what is read of the survey; run the same search with it"
                )
    return recorded.model_copy(update=changed)


def _configured(config: Config) -> dict[str, Any]:
    return {
        "configuration": config.model_dump(mode="json"),
        "configuration_sha256": config.digest,
    }


def _counts(vetted: Vetted, config: Config) -> dict[str, int]:
    """Count hits and candidates, and the published systems found and searched."""
    counts = {"hits": len(vetted.hits), "candidates": len(vetted.candidates)}
    if vetted.known is not None:
        found, searched = discovery_rate(vetted.known, config.preparation.window)
        counts |= {
            "known_listed": len(np.unique(vetted.known["NAME"])),
            "known_scored": searched,
            "known_found": found,
        }
    return counts


def _truth(
    record: Mapping[str, Any], run: Path, hits: NDArray[np.void], config: Config
) -> list[dict[str, Any]]:
    """Compare with what was put in, where the inputs are a mock survey."""
    surveys = [Path(path) for path in record["inputs"] if (Path(path) / TRUTH).is_file()]
    if not surveys:
        # The survey may be gone since; what it said before still holds for the hits.
        return list(record.get("truth", []))
    try:
        return [asdict(row) for row in compare(surveys, run, hits, config)]
    except RunError:
        # Somebody else's file of that name.
        return []


def _notes_of(known: Known | None) -> list[str]:
    """Say what of a list of published systems could not be used as it was."""
    notes = []
    if known is not None and known.n_refused:
        notes.append(
            f"of the list of published systems {known.n_refused} could not be used, the first of "
            f"them in row {known.first_refused}: {known.why}"
        )
    if known is not None and known.n_renamed:
        notes.append(
            f"of the published systems {known.n_renamed} have names that a table cannot hold: "
            "they were cut or written in ASCII"
        )
    return notes
