"""`speclens grade`: the inspection page of a run, and its grades in and out.

In: RUN. Out: RUN/grades.sqlite; tables of grades where they are asked for.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from speclens.errors import ConfigError, RunError
from speclens.grade.exchange import inspection_rows, read_inspections, write_inspections
from speclens.grade.graded_run import GradedRun
from speclens.grade.hidden import SHARE
from speclens.grade.score import score_of
from speclens.inspections.events import GRADES, Event, check_grader
from speclens.inspections.store import NAME, GradeStore

__all__ = ["Exchanged", "Session", "exchange_grades", "serve_grades"]

Tell = Callable[[str], None]


@dataclass
class Exchanged:
    """What came in and went out.

    Parameters
    ----------
    lines : list of str
        In words, one for each file.
    unplaced : list of str
        Rows that name no hit of the run.
    """

    lines: list[str] = field(default_factory=list)
    unplaced: list[str] = field(default_factory=list)


def exchange_grades(
    path: Path, merged: Sequence[Path], imported: Sequence[Path], exported: Sequence[Path]
) -> Exchanged:
    """Take grades in from other stores and from tables, then write tables.

    Parameters
    ----------
    path : Path
        The run.
    merged : sequence of Path
        Stores, or the runs that they are in.
    imported, exported : sequence of Path
        Tables, `.ecsv` or `.csv`.

    Returns
    -------
    Exchanged
        What was done.

    Raises
    ------
    RunError
        If a file cannot be used; what was done before stays.
    """
    done = Exchanged()
    with closing(GradedRun(path)) as run:
        for other in merged:
            store = other / NAME if other.is_dir() else other
            with GradeStore(store, must_exist=True) as theirs:
                events = theirs.events()[0]
            done.lines.append(f"{store}: {_merge(run, store, events)} new of {len(events)} events")
        for table in imported:
            run.book.refresh()
            known = {(of.subject, of.grader): of for _, of in run.book.all}
            found = read_inspections(table, run.subjects, run.content.hits, known)
            n_new = _merge(run, table, found.events)
            done.lines.append(f"{table}: {n_new} new events of {found.n_rows} rows")
            done.unplaced += [f"{table}: {text}" for text in found.unplaced]
        run.book.refresh()
        for table in exported:
            rows = inspection_rows(run.inspections, run.content.hits)
            write_inspections(table, rows)
            done.lines.append(f"{table}: {len(rows)} rows")
    return done


def _merge(run: GradedRun, path: Path, events: list[Event]) -> int:
    try:
        return run.store.merge(events)
    except ValueError as error:
        raise RunError(f"{path}: {error}") from error


@dataclass(frozen=True)
class Session:
    """How a run is looked at.

    Parameters
    ----------
    grader : str
        Who looks.
    training : bool, optional
        Whether each grade is answered by the truth; of runs of mock surveys.
    hidden : Path, optional
        Lines hidden in the run's own spectra, or a run of a mock survey: some of its candidates
        are mixed in.
    share : float, optional
        Hidden hits for each candidate.
    images : bool, optional
        Whether the page may load pictures of the sky.
    """

    grader: str
    training: bool = False
    hidden: Path | None = None
    share: float = SHARE
    images: bool = False


def serve_grades(
    path: Path,
    session: Session,
    host: str,
    port: int,
    proxy: str | None,
    tell: Tell,
    warn: Tell,
    quiet: bool = False,
) -> None:
    """Serve the inspection page of a run until a signal ends the process.

    Parameters
    ----------
    path : Path
        The run.
    session : Session
        Who looks, and how.
    host : str
        Address to bind.
    port : int
        The first port to try.
    proxy : str, optional
        The name by which a proxy shows the page.
    tell, warn : callable
        Told where the page is, what is graded, and what is to be feared.
    quiet : bool, optional
        Tell only where the page is.

    Raises
    ------
    SpeclensError
        If the run cannot be graded, the name is none, or no port is free.
    """
    # Before anything is opened: what is missing is said at once.
    from speclens.grade.app import make_app
    from speclens.grade.guard import LOOPBACK
    from speclens.grade.serving import addresses, name_of_host, open_port, serve

    try:
        check_grader(session.grader)
    except ValueError as error:
        raise ConfigError(f"--grader: {error}") from error
    run = GradedRun(path, session.training, session.hidden, session.share)
    with closing(run), open_port(host, port) as opened:
        token = secrets.token_urlsafe(24)
        if host not in LOOPBACK:
            warn(
                f"--host {host}: whoever reads the traffic of this network can read the token, "
                "and grade; ssh -L to 127.0.0.1 is safer"
            )
        named = (host, name_of_host(host), proxy)
        others = [name for name in named if name and name not in LOOPBACK]
        before = run.book.count_of(session.grader)
        said = [] if quiet else _beginning(path, run, session)
        for line in [*addresses(host, opened.getsockname()[1], token), *said]:
            tell(line)
        try:
            serve(make_app(run, session.grader, token, others, session.images), opened)
        finally:
            run.book.refresh()
            for line in [] if quiet else _end(path, run, session.grader, before):
                tell(line)


def _beginning(path: Path, run: GradedRun, session: Session) -> list[str]:
    """Say what there is to grade, and how it ends."""
    n_candidates, counts = len(run.content.candidates), run.book.count_of(session.grader)
    hidden = f", {run.n_hidden} of them hidden lines of a test" if run.n_hidden else ""
    return [
        f"{session.grader} grades {path}: {n_candidates} candidates{hidden}, "
        f"{len(run.content.hits) - n_candidates} rejected hits; {counts.total()} graded so far",
        f"grades are kept in {path / NAME}; Ctrl-C ends the page",
    ]


def _end(path: Path, run: GradedRun, grader: str, before: Counter[str]) -> list[str]:
    """Say what was graded."""
    now = run.book.count_of(grader)
    told = ", ".join(f"{grade} {now[grade]}" for grade in GRADES if now[grade])
    score = score_of(grader, run.book.grades, run.truth)
    known = f"where the truth is known: completeness {score.completeness}; purity {score.purity}"
    return [
        f"{grader}: {now.total()} graded{f' ({told})' if told else ''}, "
        f"{now.total() - before.total()} more than before",
        *([known] if score.n else []),
        f"as a table: speclens grade {path} --export grades.csv",
    ]
