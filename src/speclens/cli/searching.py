"""How a search ends, whole or in parts, and the command `speclens merge`."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from speclens.cli.cluster import processes, refuse_contradictions
from speclens.cli.ending import FINISHED_WITH_FAILURES, results
from speclens.cli.options import Cluster, Quiet, Site, Workers
from speclens.cli.summaries import print_summary, quoted

if TYPE_CHECKING:
    from collections.abc import Callable

    from speclens.run.parts import Share
    from speclens.verbs.parts import PartSummary
    from speclens.verbs.request import RunSummary

__all__ = ["MERGE_EXAMPLE", "end_search", "merge", "part_search", "refuse_no_run"]

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


def part_search(share: Share) -> tuple[Callable[..., Any], Callable[[Any, bool], None]]:
    """Return the search of a part of the shards, and how it ends.

    Parameters
    ----------
    share : Share
        Which part.

    Returns
    -------
    work, end : callable
        Called as `speclens.verbs.search.search` and `end_search` are.
    """
    from speclens.verbs.parts import search_part

    return lambda request, progress: search_part(request, share, progress), _end_part


def _end_part(part: PartSummary, quiet: bool) -> None:
    """Print what came of a part and what comes next, and end with its exit code."""
    if not quiet:
        with results():
            print(f"part {part.share}: {part.n_shards} shards, {part.n_new} spectra searched now")
            print(
                f"next, when all parts are done: speclens merge {quoted(part.path.parent.parent)}"
            )
    if part.n_failures:
        raise typer.Exit(FINISHED_WITH_FAILURES)


def refuse_no_run(run: Path) -> None:
    """Refuse what is no run, before anything heavy is imported.

    Parameters
    ----------
    run : Path
        What the user takes for one.

    Raises
    ------
    RunError
        If it is none, of another version, or in use.
    """
    from speclens.run.folder import existing_folder
    from speclens.run.kinds import RUN, VETTING

    with existing_folder(run, RUN, VETTING, untouched=True):
        pass


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
    cluster: Cluster = None,
    site: Site = None,
    quiet: Quiet = False,
) -> None:
    """Join the parts of a search that was done with --shard: tables, vetting, report.

    The survey files must still be there: the spectra of the hits are read again.
    """
    refuse_contradictions(workers, cluster, site)
    from speclens.run.parts import read_parts

    # Again in the verb: to say here what is missing takes no second of imports.
    read_parts(runs)
    from speclens.cli.talk import talking
    from speclens.verbs.merge import merge_parts

    with talking(quiet) as progress, processes(workers, cluster, site, progress) as n_workers:
        summary = merge_parts(runs, output, n_workers, progress)
    end_search(summary, quiet)
