"""The command line: the verbs and their options.

Tables and figures go into the run's folder, results to stdout, talk to stderr. Heavy imports wait
until a verb needs them, so that `--help` answers at once. What becomes of errors is left to
`speclens.cli.ending`.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from speclens import __version__
from speclens.cli.cluster import EXAMPLE as CLUSTER_EXAMPLE
from speclens.cli.cluster import cluster as keep_cluster
from speclens.cli.cluster import processes, refuse_contradictions
from speclens.cli.comparing import EXAMPLE as COMPARE_EXAMPLE
from speclens.cli.comparing import compare
from speclens.cli.ending import FINISHED_WITH_FAILURES, end_with_code, results
from speclens.cli.evaluating import EXAMPLE as EVALUATE_EXAMPLE
from speclens.cli.evaluating import evaluate
from speclens.cli.fetch import EXAMPLE as FETCH_EXAMPLE
from speclens.cli.fetch import fetch
from speclens.cli.grade import EXAMPLE as GRADE_EXAMPLE
from speclens.cli.grade import grade
from speclens.cli.options import (
    Beside,
    Catalogue,
    Cluster,
    Completeness,
    ConfigFile,
    Device,
    Foreground,
    Inputs,
    KnownSystems,
    Method,
    Model,
    Output,
    Overrides,
    Purity,
    Quiet,
    Run,
    Seed,
    Selection,
    Site,
    Sky,
    Source,
    SourceKind,
    Templates,
    Workers,
    asked_for,
)
from speclens.cli.searching import MERGE_EXAMPLE, end_search, merge, part_search, refuse_no_run
from speclens.cli.sky import EXAMPLE as SKY_EXAMPLE
from speclens.cli.sky import sky as measure_sky
from speclens.cli.summaries import (
    print_epoch,
    print_hits,
    print_purposes,
    print_recovery,
    print_summary,
    print_training_set,
    quoted,
)
from speclens.read.inputs import refuse_absent

__all__ = ["app", "main"]

app = typer.Typer(
    name="speclens",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Find strong gravitational lenses in survey spectra.",
    epilog="Example: speclens demo -o demo, then speclens search demo/survey -o run",
)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    if version:
        typer.echo(f"speclens {__version__}")
        raise typer.Exit


@app.command(epilog="Example: speclens search /data/boss/v5_7_0 -o run --catalogue spAll-DR12.fits")
def search(
    inputs: Inputs,
    output: Output,
    config: ConfigFile = None,
    set_: Overrides = None,
    source: Source = None,
    foreground: Foreground = None,
    method: Method = None,
    model: Model = None,
    catalogue: Catalogue = None,
    templates: Templates = None,
    known: KnownSystems = None,
    sky: Sky = None,
    selection: Selection = None,
    purity: Purity = None,
    completeness: Completeness = None,
    shard: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="Only the I-th of N parts; speclens merge joins them."),
    ] = None,
    workers: Workers = 0,
    cluster: Cluster = None,
    site: Site = None,
    verify: Annotated[
        bool, typer.Option("--verify/--no-verify", help="Refuse data that fail their checksum.")
    ] = True,
    quiet: Quiet = False,
) -> None:
    """Search survey files for lensed emission lines, vet the hits, and write the report.

    A second call with the same -o goes on where the first one stopped.
    """
    refuse_contradictions(workers, cluster, site)
    from speclens.run.parts import Share
    from speclens.verbs.request import Asked, Purpose, SearchRequest

    share = None if shard is None else Share.read(shard)
    sought = asked_for(source), asked_for(foreground)
    asked = Asked(config, set_ or [], *sought, method, model, templates, sky)
    request = SearchRequest(
        inputs,
        output,
        asked.configuration(),
        catalogue=catalogue,
        verify=verify,
        known=known,
        purpose=Purpose(selection and os.path.abspath(selection), purity, completeness),
    )
    refuse_absent(inputs)
    from speclens.cli.talk import talking
    from speclens.verbs.search import search as run_search

    work, end = (run_search, end_search) if share is None else part_search(share)
    with talking(quiet) as progress, processes(workers, cluster, site, progress) as n_workers:
        done = work(replace(request, n_workers=n_workers), progress)
    end(done, quiet)


@app.command(epilog="Example: speclens vet run --set vet.p_lya_min=0.5 --known published.csv")
def vet(
    run: Run,
    config: ConfigFile = None,
    set_: Overrides = None,
    known: KnownSystems = None,
    selection: Selection = None,
    purity: Purity = None,
    completeness: Completeness = None,
    output: Beside = None,
    workers: Workers = 0,
    cluster: Cluster = None,
    site: Site = None,
    quiet: Quiet = False,
) -> None:
    """Vet the hits of a search again, with other limits, and write its report: no new search.

    Of a configuration only the sections vet, candidates and report are taken: -c shu2016 and
    -c li2019 vet as these papers do.
    """
    refuse_contradictions(workers, cluster, site)
    refuse_no_run(run)
    from speclens.cli.talk import talking
    from speclens.verbs.finish import vet_again
    from speclens.verbs.request import Purpose

    purpose = Purpose(selection, purity, completeness)
    with talking(quiet) as progress, processes(workers, cluster, site, progress) as n_workers:
        tell = None if quiet else progress.message
        record, _, candidates = vet_again(
            run, config, set_ or [], known, n_workers, progress, output, tell, purpose
        )
    if not quiet:
        with results():
            print_purposes(record.purposes)
            print_hits(output or run, record.counts, candidates, record.notes)
    if record.counts["hits_failed"]:
        raise typer.Exit(FINISHED_WITH_FAILURES)


@app.command(epilog="Example: speclens report run --set report.rows_per_page=500")
def report(
    run: Run,
    config: ConfigFile = None,
    set_: Overrides = None,
    workers: Workers = 0,
    cluster: Cluster = None,
    site: Site = None,
    quiet: Quiet = False,
) -> None:
    """Write the report of a search again: RUN/report/index.html."""
    refuse_contradictions(workers, cluster, site)
    refuse_no_run(run)
    from speclens.cli.talk import talking
    from speclens.verbs.finish import report_again

    with talking(quiet) as progress, processes(workers, cluster, site, progress) as n_workers:
        record = report_again(run, config, set_ or [], n_workers, progress)
    if not quiet:
        with results():
            print(run / "report" / "index.html")
    if record.counts["hits_failed"]:
        raise typer.Exit(FINISHED_WITH_FAILURES)


@app.command(epilog="Example: speclens demo -o demo --seed 1")
def demo(
    output: Output,
    config: ConfigFile = None,
    set_: Overrides = None,
    source: Source = SourceKind.ALL,
    foreground: Foreground = None,
    seed: Seed = 1,
    workers: Workers = 0,
    quiet: Quiet = False,
) -> None:
    """Simulate a small survey in BOSS's files, search it, and show what came back.

    With -c desi in DESI's. The survey is in the subfolder `survey` of the output, ready for any
    other search.
    """
    from speclens.cli.talk import talking
    from speclens.config import load_searches
    from speclens.run.workers import allotted_cores
    from speclens.verbs.demo import demo as run_demo

    settings = load_searches(config, set_ or [], asked_for(source), asked_for(foreground))
    with talking(quiet) as progress:
        summary, recovered = run_demo(output, settings, seed, workers or allotted_cores(), progress)
    if not quiet:
        with results():
            print_summary(summary)
            print_recovery(recovered, settings.evaluation.bright_snr)
    if summary.n_failed:
        raise typer.Exit(FINISHED_WITH_FAILURES)


@app.command(epilog="Example: speclens simulate -c li2019 -o set --seed 2")
def simulate(
    output: Output,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[INPUT]...",
            help="Survey files whose galaxies and sky fibres the recipe li2019 takes.",
        ),
    ] = None,
    config: ConfigFile = None,
    set_: Overrides = None,
    seed: Seed = 1,
    workers: Workers = 0,
    cluster: Cluster = None,
    site: Site = None,
    quiet: Quiet = False,
) -> None:
    """Simulate spectra with and without a line, to train a network on.

    Of BOSS, with -c desi of DESI. With -c li2019 by the four steps of Li et al. 2019, from the
    galaxies of survey files or of a mock survey.
    """
    refuse_contradictions(workers, cluster, site)
    from speclens.cli.talk import talking
    from speclens.config import load_config
    from speclens.train.training_set import TrainingSetRequest, simulate_training_set

    settings = load_config(config, set_ or [])
    with talking(quiet) as progress, processes(workers, cluster, site, progress) as n_workers:
        request = TrainingSetRequest(output, settings, seed, inputs or [], n_workers)
        manifest = simulate_training_set(request, progress)
    if not quiet:
        with results():
            print_training_set(output, manifest)
    if manifest["files_failed"]:
        raise typer.Exit(FINISHED_WITH_FAILURES)


@app.command(epilog="Example: speclens train set -o model --set training.epochs=5")
def train(
    training_set: Annotated[
        Path, typer.Argument(metavar="SET", help="A training set, from speclens simulate.")
    ],
    output: Output,
    config: ConfigFile = None,
    set_: Overrides = None,
    seed: Seed = 1,
    threads: Annotated[int, typer.Option(min=0, help="Threads; 0 for one a core.")] = 0,
    device: Annotated[Device, typer.Option(help="Where to train.")] = Device.AUTO,
    quiet: Quiet = False,
) -> None:
    """Train a network on simulated spectra; a second call goes on where the first one stopped.

    Needs torch: pip install ".[train]" in a copy of the repository.
    """
    from speclens.config import load_config
    from speclens.run.workers import allotted_cores
    from speclens.train.training import TrainingRequest, recorded_sections
    from speclens.verbs.train import train as run_training

    settings = load_config(config, set_ or [], recorded_sections(training_set))
    request = TrainingRequest(
        training_set, output, settings, seed, threads or allotted_cores(), device.value
    )
    model = run_training(request, None if quiet else print_epoch)
    if quiet:
        return
    with results():
        if model is None:
            print(f"a plain network cannot search; its curves are in {output}")
        else:
            print(f"next: speclens search INPUT... -o RUN --model {quoted(output)}")


@app.command("config", epilog="Example: speclens config -c shu2016 > mine.toml")
def show_config(config: ConfigFile = None, set_: Overrides = None, quiet: Quiet = False) -> None:
    """Print every key of the configuration with its value and meaning, as a file for -c.

    The values are those in force with -c and --set, of the search for Lyman alpha behind galaxies:
    -c elg and -c qso print those of the others. With --quiet they are only checked.
    """
    from speclens.config import configuration_toml, load_config

    settings = load_config(config, set_ or [])
    if not quiet:
        print(configuration_toml(settings), end="")


app.command(epilog=CLUSTER_EXAMPLE)(keep_cluster)
app.command(epilog=COMPARE_EXAMPLE)(compare)
app.command(epilog=EVALUATE_EXAMPLE)(evaluate)
app.command(epilog=FETCH_EXAMPLE)(fetch)
app.command(epilog=GRADE_EXAMPLE)(grade)
app.command(epilog=MERGE_EXAMPLE)(merge)
app.command("sky", epilog=SKY_EXAMPLE)(measure_sky)


def main() -> None:
    """Run the command line.

    Raises
    ------
    SystemExit
        Always, with the exit code.
    """
    end_with_code(app)
