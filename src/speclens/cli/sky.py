"""The command `speclens sky`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from speclens.cli.cluster import processes, refuse_contradictions
from speclens.cli.ending import FINISHED_WITH_FAILURES, results
from speclens.cli.options import Cluster, ConfigFile, Inputs, Overrides, Quiet, Site, Workers
from speclens.read.inputs import refuse_absent

__all__ = ["EXAMPLE", "sky"]

EXAMPLE = "Example: speclens sky /data/boss/v5_7_0 -o boss_sky.fits"


def sky(
    inputs: Inputs,
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write.")],
    config: ConfigFile = None,
    set_: Overrides = None,
    workers: Workers = 0,
    cluster: Cluster = None,
    site: Site = None,
    quiet: Quiet = False,
) -> None:
    """Measure how much the errors of a survey grow, for --sky of a search.

    On pixels from the sky fibres, on lines from the residuals of an eighth of the spectra: many
    plates tell more. What they are too few to tell is taken from the bundled growth.
    """
    refuse_contradictions(workers, cluster, site)
    refuse_absent(inputs)
    from speclens.cli.summaries import print_growth
    from speclens.cli.talk import talking
    from speclens.verbs.sky import SkyRequest, measure_growth

    with talking(quiet) as progress, processes(workers, cluster, site, progress) as n_workers:
        request = SkyRequest(inputs, output, config, set_ or [], n_workers)
        summary = measure_growth(request, progress)
    if not quiet:
        with results():
            print_growth(output, summary)
    if summary.lost:
        raise typer.Exit(FINISHED_WITH_FAILURES)
