"""The command `speclens fetch`: its options, and what it says at the end."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from speclens.cli.ending import FINISHED_WITH_FAILURES, results
from speclens.cli.options import Output, Quiet

__all__ = ["EXAMPLE", "fetch"]

EXAMPLE = "Example: speclens fetch 4055-55359 4056-55357 --release dr12 -o survey"


class Files(StrEnum):
    """Files to choose from."""

    PLATES = "plates"
    LITE = "lite"
    FULL = "full"


def fetch(
    output: Output,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="Plates 4055-55359, spectra 4055-55359-0020, SDSS-V's 015143-59205-4544978190, "
            "DESI's main-dark-10016 (healpix) and 1000-thru20210517 (tile); files of names.",
        ),
    ] = None,
    release: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="dr12 to dr20, desi-dr1; or a TOML record. The newest by default."
        ),
    ] = None,
    files: Annotated[
        Files | None,
        typer.Option(help="Whole plates, or single spectra: lite, or full with their exposures."),
    ] = None,
    catalogue: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Fetch the plates of a catalogue; beside TARGETIDs, it says where they are.",
        ),
    ] = None,
    candidates: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Fetch the candidates of a run: full files."),
    ] = None,
    known: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Fetch the spectra of a table of published systems."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how many files and bytes, and fetch nothing.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Fetch survey files of SDSS and DESI from their archives, for speclens search.

    Files that are there and whole are left alone; a second call goes on where the first one
    stopped.
    """
    from speclens.cli.summaries import print_fetched
    from speclens.cli.talk import talking
    from speclens.verbs.fetch import FetchRequest
    from speclens.verbs.fetch import fetch as run_fetch

    request = FetchRequest(
        names or [],
        output,
        release,
        files.value if files else None,
        catalogue,
        known,
        candidates,
        dry_run,
    )
    with talking(quiet) as progress:
        summary = run_fetch(request, progress)
    if not quiet:
        with results():
            print_fetched(summary)
    if summary.n_lost:
        raise typer.Exit(FINISHED_WITH_FAILURES)
