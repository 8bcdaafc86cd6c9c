"""The command `speclens evaluate`."""

from __future__ import annotations

from typing import Annotated

import typer

from speclens.cli.cluster import processes, refuse_contradictions
from speclens.cli.ending import FINISHED_WITH_FAILURES, results
from speclens.cli.options import (
    Catalogue,
    Cluster,
    ConfigFile,
    Foreground,
    Method,
    Model,
    Output,
    Overrides,
    Quiet,
    Seed,
    Site,
    Sky,
    Source,
    Templates,
    Workers,
    asked_for,
)
from speclens.cli.summaries import print_evaluation
from speclens.read.inputs import refuse_absent

__all__ = ["EXAMPLE", "evaluate"]

EXAMPLE = (
    "Example: speclens evaluate /data/boss/v5_7_0/4055 -o evaluation, or "
    "speclens evaluate RUN -o evaluation"
)


def evaluate(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Survey files, or folders of them; or one RUN, whose search is evaluated.",
        ),
    ],
    output: Output,
    config: ConfigFile = None,
    set_: Overrides = None,
    source: Source = None,
    foreground: Foreground = None,
    method: Method = None,
    model: Model = None,
    catalogue: Catalogue = None,
    templates: Templates = None,
    sky: Sky = None,
    repeats: Annotated[int, typer.Option(min=1, help="Sources put into each spectrum.")] = 20,
    seed: Seed = 1,
    workers: Workers = 0,
    cluster: Cluster = None,
    site: Site = None,
    quiet: Quiet = False,
) -> None:
    """Put sources into the spectra of the sample, search, vet, rank, and count what comes back.

    Spectra without a source tell of false hits. A second call with the same -o goes on where the
    first one stopped.
    """
    refuse_contradictions(workers, cluster, site)
    refuse_absent(inputs)
    from speclens.cli.talk import talking
    from speclens.verbs.evaluate import EvaluationRequest
    from speclens.verbs.evaluate import evaluate as run_evaluation
    from speclens.verbs.request import Asked

    sought = asked_for(source), asked_for(foreground)
    asked = Asked(config, set_ or (), *sought, method, model, templates, sky)
    with talking(quiet) as progress, processes(workers, cluster, site, progress) as n_workers:
        request = EvaluationRequest(inputs, output, asked, repeats, seed, catalogue, n_workers)
        result = run_evaluation(request, progress)
    if not quiet:
        with results():
            print_evaluation(result)
    if result.numbers["files_failed"]:
        raise typer.Exit(FINISHED_WITH_FAILURES)
