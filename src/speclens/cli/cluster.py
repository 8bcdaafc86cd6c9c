"""The command `speclens cluster`, and the processes that every verb works with."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from speclens.cli.ending import results
from speclens.cli.interruption import InterruptedRun
from speclens.cli.options import Site
from speclens.run.progress import Progress

__all__ = ["EXAMPLE", "cluster", "processes", "refuse_contradictions"]

SECONDS_BETWEEN_LOOKS = 5.0
EXAMPLE = "Example: speclens cluster slurm --site site.toml --show"


@contextmanager
def processes(workers: int, to: str | None, site: Path | None, progress: Progress) -> Iterator[int]:
    """Say on how many processes a verb works, of this machine or of a cluster.

    Parameters
    ----------
    workers : int
        Processes of this machine; 0 for one a core.
    to : str, optional
        The cluster.
    site : Path, optional
        The file of its site.
    progress : Progress
        Told what the user should know.

    Yields
    ------
    int
        Number of processes.

    Raises
    ------
    ConfigError
        As for `refuse_contradictions`.
    """
    from speclens.run.memory import keep_freed_memory
    from speclens.run.workers import allotted_cores, working_at

    refuse_contradictions(workers, to, site)
    keep_freed_memory()
    if to is None:
        yield workers or allotted_cores()
        return
    from speclens.run.cluster import connected

    with connected(to, site, progress.message) as place, working_at(place):
        yield place.n_processes


def refuse_contradictions(workers: int, to: str | None, site: Path | None) -> None:
    """Refuse options of processes that cannot be, before anything heavy is imported.

    Parameters
    ----------
    workers, to, site
        As for `processes`.

    Raises
    ------
    ConfigError
        If both are asked for, if there is no such cluster, or if the file of the site is wrong.
    """
    from speclens.errors import ConfigError
    from speclens.run.site import Site as Jobs

    if to is None and site is not None:
        raise ConfigError(f"--site {site}: only with --cluster")
    if to is not None and workers:
        raise ConfigError(f"--workers {workers}: not with --cluster, whose workers do the work")
    if to is not None and (site is not None or ":" not in to):
        Jobs.read(to, site)


def cluster(
    system: Annotated[
        str, typer.Argument(metavar="SYSTEM", help="slurm, pbs, sge, lsf, htcondor or oar.")
    ],
    site: Site = None,
    show: Annotated[
        bool, typer.Option("--show", help="Print the script of a job, and submit none.")
    ] = False,
) -> None:
    """Keep workers for several verbs: submit jobs, print the address for --cluster; Ctrl-C ends it.

    Needs Dask: pip install ".[cluster]" in a copy of the repository.
    """
    from speclens.run.site import Site as Jobs

    asked = Jobs.read(system, site)
    from speclens.run.cluster import connected
    from speclens.run.queue_jobs import job_script

    if show:
        with results():
            print(job_script(asked), end="")
        return
    try:
        with connected(system, site, _tell) as workers:
            # An address is worth something when the queue takes jobs.
            workers.look()
            print(workers.address, flush=True)
            while True:
                # Jobs that ended come anew.
                workers.look()
                time.sleep(SECONDS_BETWEEN_LOOKS)
    except InterruptedRun as end:
        # Ctrl-C is how it ends.
        if end.exit_code != 130:
            raise


def _tell(text: str) -> None:
    print(f"speclens: {text}", file=sys.stderr)
