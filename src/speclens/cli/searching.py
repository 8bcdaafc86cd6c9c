"""How a search ends, whole or in parts, and the command `speclens merge`."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from speclens.cli.ending import FINISHED_WITH_FAILURES, results
from speclens.cli.options import Quiet, Workers
from speclens.cli.summaries import print_summary

if TYPE_CHECKING:
    from speclens.verbs.request import RunSummary, SearchRequest

__all__ = ["MERGE_EXAMPLE", "end_search", "merge", "search_part"]

MERGE_EXAMPLE = (
    "Example: speclens merge run, after speclens search /data -o run --shard 1/20 to 20/20"
)


def end_search(summary: RunSummary, quiet: bool) -> None:
    """Print what came of a run, and end with its exit code.

    Parameters
    ----------
    summary : RunSummary
        The run.
    quiet : bool
        Say only what went wrong.

    Raises
    ------
    typer.Exit
        If some inputs failed.
    """
    if not quiet:
        with results():
            print_summary(summary)
    if summary.loss:
        # Last, whatever else was said, and in quiet too.
        with suppress(OSError):
            sys.stdout.flush()
            print(f"speclens: {summary.loss}", file=sys.stderr)
    if summary.n_failed:
        raise typer.Exit(FINISHED_WITH_FAILURES)


def search_part(request: SearchRequest, shard: str, quiet: bool) -> None:
    """Search a part of the shards, and say what comes next.

    Parameters
    ----------
    request : SearchRequest
        What the user asks for.
    shard : str
        I/N.
    quiet : bool
        Say only what went wrong.

    Raises
    ------
    typer.Exit
        If some inputs failed.
    """
    from speclens.cli.talk import talking
    from speclens.verbs.parts import Share
    from speclens.verbs.parts import search_part as run_part

    share = Share.read(shard)
    with talking(quiet) as progress:
        part = run_part(request, share, progress)
    if not quiet:
        with results():
            print(f"part {share}: {part.n_shards} shards, {part.n_new} spectra searched now")
            print(f"next, when all parts are done: speclens merge {request.output}")
    if part.n_failures:
        raise typer.Exit(FINISHED_WITH_FAILURES)


def merge(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Outputs of speclens search --shard, or parts."),
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The run to write; by default the one RUN."),
    ] = None,
    workers: Workers = 0,
    quiet: Quiet = False,
) -> None:
    """Join the parts of a search that was done with --shard: tables, vetting, report.

    The survey files must still be there: the spectra of the hits are read again.
    """
    from speclens.cli.talk import talking
    from speclens.run.workers import allotted_cores
    from speclens.verbs.merge import merge_parts

    with talking(quiet) as progress:
        summary = merge_parts(runs, output, workers or allotted_cores(), progress)
    end_search(summary, quiet)
