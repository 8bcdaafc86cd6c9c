"""`speclens fetch`: survey files from the archives into a folder that `speclens search` reads.

In: names, or lists of them, and a release. Out: the files, each whole; what could not be had.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from speclens.errors import ConfigError, RunError
from speclens.fetch.archive import Archive
from speclens.fetch.catalogue import Listed, of_catalogue
from speclens.fetch.download import Downloads
from speclens.fetch.fetching import Outcome, fetch_each
from speclens.fetch.holdings import FileChoice, Holding, as_files, release_for
from speclens.fetch.lists import of_candidates, of_known, of_names
from speclens.releases import Release, release_named
from speclens.run.folder import locked_folder
from speclens.run.kinds import FETCHED
from speclens.run.progress import Progress, Silent

__all__ = ["FetchRequest", "FetchSummary", "fetch"]


@dataclass(frozen=True)
class FetchRequest:
    """What the user asks for.

    Parameters
    ----------
    names : sequence of str
        Names of plates, fields, spectra, healpix or tiles, and files of names.
    output : Path
        Folder for the files.
    release : str, optional
        Name of a release, or a file with its record; else the newest that has such files.
    files : FileChoice, optional
        Whole plates or single spectra; else what the names say, plates for a catalogue, full files
        for candidates.
    catalogue, known : str, optional
        A survey catalogue, a list of published systems.
    candidates : Path, optional
        RUN whose candidates are wanted.
    dry_run : bool, optional
        Only say how much it would be.
    """

    names: Sequence[str]
    output: Path
    release: str | None = None
    files: FileChoice | None = None
    catalogue: str | None = None
    known: str | None = None
    candidates: Path | None = None
    dry_run: bool = False


@dataclass
class FetchSummary:
    """What came of it.

    Parameters
    ----------
    output : Path
        The folder.
    releases : sequence of str
        Releases in words.
    dry_run : bool
        True where nothing was fetched.
    n_files, n_bytes, n_unknown, n_there, n_lost : int
        Files fetched, or that would be, their length, those of unknown length, those that were
        there and whole, and those that could not be had.
    """

    output: Path
    releases: Sequence[str]
    dry_run: bool
    n_files: int = 0
    n_bytes: int = 0
    n_unknown: int = 0
    n_there: int = 0
    n_lost: int = 0

    def add(self, outcome: Outcome) -> None:
        """Count an outcome.

        Parameters
        ----------
        outcome : Outcome
            The outcome.
        """
        self.n_files += outcome.n_files
        self.n_bytes += outcome.n_bytes
        self.n_unknown += outcome.n_unknown
        self.n_there += outcome.n_there
        self.n_lost += len(outcome.lost)


def fetch(
    request: FetchRequest, progress: Progress | None = None, archive: Archive | None = None
) -> FetchSummary:
    """Fetch survey files.

    Parameters
    ----------
    request : FetchRequest
        What, from where, to where.
    progress : Progress, optional
        Told of what is done and of what could not be had.
    archive : Archive, optional
        The servers.

    Returns
    -------
    FetchSummary
        Counts.

    Raises
    ------
    SpeclensError
        If the lists cannot be read, the folder cannot be written or no server answers; what came
        is kept.
    """
    listener, archive = progress or Silent(), archive or Archive()
    wanted, notes, n_missing = _wanted(request)
    for note in notes:
        listener.message(note)
    titles = list(dict.fromkeys(release.title for _, release in wanted))
    summary = FetchSummary(request.output, titles, request.dry_run, n_lost=n_missing)
    if request.dry_run:
        _fetch_into(request.output, wanted, summary, listener, archive)
    else:
        with locked_folder(request.output, FETCHED) as folder:
            _fetch_into(folder.path, wanted, summary, listener, archive)
    return summary


def _fetch_into(
    folder: Path,
    wanted: Sequence[tuple[Holding, Release]],
    summary: FetchSummary,
    listener: Progress,
    archive: Archive,
) -> None:
    listener.stage("asked for" if summary.dry_run else "fetched", len(wanted))
    downloads = Downloads(archive, folder)
    with closing(fetch_each(wanted, archive, downloads, summary.dry_run)) as outcomes:
        for outcome in outcomes:
            summary.add(outcome)
            for text in outcome.lost:
                listener.message(text)
            listener.advance(0)


def _wanted(request: FetchRequest) -> tuple[list[tuple[Holding, Release]], list[str], int]:
    """Read what is wanted, each with its release, what is to be told, and what is missing."""
    release = release_named(request.release) if request.release else None
    found: list[tuple[Holding, Release | None]] = []
    notes: list[str] = []
    n_missing = 0

    def add(listed: Listed, choice: FileChoice | None, of: Release | None) -> None:
        nonlocal n_missing
        notes.extend(listed.notes)
        n_missing += listed.n_missing
        found.extend((as_files(w, choice) if choice else w, of) for w in listed.wanted)

    if request.names:
        add(of_names(request.names, release, request.catalogue), request.files, release)
    elif request.catalogue:
        choice = request.files or "plates"
        add(of_catalogue(request.catalogue, release, choice == "plates"), choice, release)
    if request.known:
        add(of_known(request.known), request.files, release)
    if request.candidates:
        listed, told = of_candidates(request.candidates)
        of = release_named(told) if told and release is None else release
        add(listed, request.files or "full", of)
    if not found and notes:
        raise RunError(f"nothing to fetch: {'; '.join(notes)}")
    if not found:
        raise ConfigError("nothing to fetch: give names, --catalogue, --known or --candidates")
    each_once = {}
    for wanted, of in found:
        chosen = release_for(wanted, of)
        each_once[wanted, chosen.name] = (wanted, chosen)
    return list(each_once.values()), notes, n_missing
