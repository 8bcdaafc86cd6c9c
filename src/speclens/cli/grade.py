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


PAGE = ("grader", "training", "hidden", "inject", "share", "images", "port", "host", "proxy")
"""Options of the page, without effect on tables."""


def grade(
    context: typer.Context,
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
    inject: Annotated[
        bool,
        typer.Option("--inject", help="Hide lines put into spectra of RUN itself among the hits."),
    ] = False,
    share: Annotated[
        float,
        typer.Option(min=0, max=100, metavar="PERCENT", help="Hidden hits, of the candidates."),
    ] = 5.0,
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

    _refuse_without_effect(context, bool(export or import_ or merge))
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
        if inject:
            hidden = _hidden_lines(run, share / 100, quiet)
        session = Session(grader or _login(), training, hidden, share / 100, images)
        serve_grades(run, session, host, port, proxy, _tell, _warn, quiet)
    except InterruptedRun as end:
        # Ctrl-C is how it ends.
        if end.exit_code != 130:
            raise


def _refuse_without_effect(context: typer.Context, tables: bool) -> None:
    """Refuse options that would do nothing."""
    from speclens.errors import ConfigError

    sources = {name: context.get_parameter_source(name) for name in PAGE}
    given = [name for name, source in sources.items() if source and source.name != "DEFAULT"]
    if tables and given:
        raise ConfigError(
            f"--{given[0]}: of the page, which --export, --import and --merge do not open"
        )
    if "hidden" in given and "inject" in given:
        raise ConfigError("--inject: not with --hidden, which hides candidates of another run")
    if "share" in given and not {"hidden", "inject"} & {*given}:
        raise ConfigError("--share: of what is hidden among the hits; with --inject or --hidden")


def _hidden_lines(run: Path, share: float, quiet: bool) -> Path:
    from speclens.cli.talk import talking
    from speclens.run.workers import allotted_cores
    from speclens.verbs.hide import hide_lines

    with talking(quiet) as progress:
        return hide_lines(run, share, allotted_cores(), progress)


def _login() -> str:
    with suppress(Exception):
        return getpass.getuser()
    return "grader"


def _tell(text: str) -> None:
    print(text, flush=True)


def _warn(text: str) -> None:
    print(f"speclens: {text}", file=sys.stderr)
