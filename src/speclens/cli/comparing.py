"""The command `speclens compare`: its options, and what it prints."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from speclens.cli.cluster import processes, refuse_contradictions
from speclens.cli.ending import FINISHED_WITH_FAILURES, results
from speclens.cli.options import (
    Cluster,
    ConfigFile,
    Inputs,
    Output,
    Overrides,
    Quiet,
    Seed,
    Site,
    Workers,
)
from speclens.read.inputs import refuse_absent

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from speclens.verbs.compare import Comparison

__all__ = ["EXAMPLE", "compare"]

EXAMPLE = "Example: speclens compare /data/boss/v5_7_0 -o side_by_side --with resnet,li2019,shu2016"


class PutIn(StrEnum):
    """Sources that can be put in."""

    LYA = "lya"
    ELG = "elg"


def compare(
    inputs: Inputs,
    output: Output,
    with_: Annotated[
        str,
        typer.Option(
            "--with",
            metavar="A,B,...",
            help="Searches: methods, configurations by name or file, folders of models.",
        ),
    ] = "resnet,li2019,shu2016,matched-filter",
    source: Annotated[
        PutIn, typer.Option(help="What is put in: Lyman-alpha lines, or galaxies with many lines.")
    ] = PutIn.LYA,
    config: ConfigFile = None,
    set_: Overrides = None,
    repeats: Annotated[int, typer.Option(min=1, help="Sources put into each spectrum.")] = 5,
    seed: Seed = 1,
    workers: Workers = 0,
    cluster: Cluster = None,
    site: Site = None,
    quiet: Quiet = False,
) -> None:
    """Compare searches on the same spectra with the same sources put in.

    Completeness at equal rates of false alarms, by S/N, overlap, cost. A second call with the same
    -o goes on where the first one stopped.
    """
    refuse_contradictions(workers, cluster, site)
    refuse_absent(inputs)
    from speclens.cli.talk import talking
    from speclens.verbs.compare import CompareRequest
    from speclens.verbs.compare import compare as run_comparison

    with talking(quiet) as progress, processes(workers, cluster, site, progress) as n_workers:
        request = CompareRequest(
            inputs, output, with_.split(","), source.value, config, set_ or [], repeats, seed,
            n_workers,
        )  # fmt: skip
        done = run_comparison(request, progress)
    if not quiet:
        with results():
            print_comparison(output, done)
    if done.n_failed:
        raise typer.Exit(FINISHED_WITH_FAILURES)


def print_comparison(output: Path, done: Comparison) -> None:
    """Print what each search finds at equal rates of false alarms.

    Parameters
    ----------
    output : Path
        The comparison's folder.
    done : Comparison
        What came of it.
    """
    rates = done.tables.rates
    first = rates[0]
    print(f"{first['N_SPECTRA']} spectra, {first['N_LINES']} sources put in")
    for note in done.notes:
        print(f"note: {note}")
    asked = [rate for rate in dict.fromkeys(rates["RATE"].tolist()) if rate == rate]
    for level, title in (("hit", "found"), ("candidate", "candidates")):
        own = rates[rates["LEVEL"] == level]
        if len(own):
            print(
                f"{f'{title}, %, at false ones of':<30}{'its own':>16}"
                + "".join(f"{rate:>8g}" for rate in asked)
            )
            _print_rates(own)
    print(
        "(in brackets: false hits or candidates in all spectra; -: not measured)\n"
        f"{output / 'comparison.md'}"
    )


def _print_rates(rates: NDArray[np.void]) -> None:
    """Print a line for each search."""
    for name in dict.fromkeys(rates["SEARCH"].tolist()):
        of = rates[rates["SEARCH"] == name]
        alarms = int(of["N_ALARMS"][0])
        own = f"{100 * of['COMPLETENESS'][0]:.1f} ({alarms})"
        cells = [
            f"{100 * value:.1f}" if value == value else "-" for value in of["COMPLETENESS"][1:]
        ]
        print(f"{name:<30}{own:>16}" + "".join(f"{cell:>8}" for cell in cells))
