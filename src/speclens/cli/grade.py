"""The command `speclens grade`: its options, and what it says."""

from __future__ import annotations

import getpass
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from speclens.cli.ending import FINISHED_WITH_FAILURES, results
from speclens.cli.interruption import InterruptedRun
from speclens.cli.options import Quiet, Run

__all__ = ["EXAMPLE", "grade"]

EXAMPLE = "Example: speclens grade run --grader ann"
MAX_TOLD = 5


def grade(
    run: Run,
    grader: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who grades; your login by default.")
    ] = None,
    export: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Write the grades as .ecsv or .csv, and no page."),
    ] = None,
    import_: Annotated[
        list[Path] | None,
        typer.Option(
            "--import", metavar="FILE", help="Take in a table of grades, also prospect's."
        ),
    ] = None,
    merge: Annotated[
        list[Path] | None,
        typer.Option(metavar="RUN|FILE", help="Take in the grades of another store."),
    ] = None,
    training: Annotated[
        bool, typer.Option("--training", help="Answer each grade by the truth of a mock survey.")
    ] = False,
    hidden: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Hide candidates of a mock survey's run among the hits."),
    ] = None,
    images: Annotated[
        bool, typer.Option("--images", help="Let key m load pictures of the Legacy Survey.")
    ] = False,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port, or the next free one.")] = 8765,
    host: Annotated[str, typer.Option(help="Address to bind.")] = "127.0.0.1",
    proxy: Annotated[
        str | None,
        typer.Option(metavar="HOST", help="Name of the JupyterHub or proxy that shows the page."),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Look at the hits of a search in the browser, and grade them by key.

    Grades are kept in RUN/grades.sqlite, with who gave them and when. Ctrl-C ends the page.

    Needs starlette and uvicorn: pip install ".[grade]" in a copy of the repository.
    """
    from speclens.verbs.grade import Session, exchange_grades, serve_grades

    if export or import_ or merge:
        done = exchange_grades(run, merge or [], import_ or [], export or [])
        if not quiet:
            with results():
                print("\n".join(done.lines))
        for text in done.unplaced[:MAX_TOLD]:
            _warn(text)
        if len(done.unplaced) > MAX_TOLD:
            _warn(f"and {len(done.unplaced) - MAX_TOLD} more rows that name no hit")
        if done.unplaced:
            raise typer.Exit(FINISHED_WITH_FAILURES)
        return
    try:
        session = Session(grader or _login(), training, hidden, images)
        serve_grades(run, session, host, port, proxy, _tell, _warn)
    except InterruptedRun as end:
        # Ctrl-C is how it ends.
        if end.exit_code != 130:
            raise


def _login() -> str:
    with suppress(Exception):
        return getpass.getuser()
    return "grader"


def _tell(text: str) -> None:
    print(text, flush=True)


def _warn(text: str) -> None:
    print(f"speclens: {text}", file=sys.stderr)
