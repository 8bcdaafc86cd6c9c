"""Searches side by side on mock galaxies: `speclens compare`, as tables and figures.

    python benchmarks/side_by_side.py [--plates 10] [--spectra 1000] [--tables docs/tables]

Galaxies in BOSS's files with the noise, the sky and the spikes of the mock survey, and nothing put
in but by the comparison: Lyman-alpha lines into all of them, emission-line galaxies into a third.
"""

from __future__ import annotations

import argparse
import shutil
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from speclens.config import Config, load_config
from speclens.evaluate.comparison_page import (
    completeness_table,
    cost_table,
    overlap_table,
    prevalence_table,
)
from speclens.evaluate.rates import CANDIDATE
from speclens.run.workers import allotted_cores
from speclens.simulate.mock_survey import make_survey
from speclens.simulate.training_set import survey_of_galaxies
from speclens.verbs.compare import CompareRequest, Comparison, compare
from tables import add_option

SEARCHES = {
    "lya": ["resnet", "li2019", "shu2016", "matched-filter", "lines"],
    "elg": ["lines", "bells", "silo", "redshift"],
}
PUBLIC_FINDER = "specutils"
ELG_SHARE = 3
"""One plate in so many has galaxies put in, whose whole spectra take longer."""
REDSHIFTS = (0.3, 0.9)
"""Which all searches take."""

FIRST_PIXELS = (35515, 35540)
"""Plates whose spectra cover the windows of all searches."""


def mock(n_plates: int, n_spectra: int) -> Config:
    """Return the configuration of a survey of galaxies alone."""
    config = survey_of_galaxies(load_config(), n_spectra)
    changed = {
        "n_plates": n_plates,
        "redshift_range": REDSHIFTS,
        "first_pixel_range": FIRST_PIXELS,
    }
    return config.model_copy(update={"survey": config.survey.model_copy(update=changed)})


def keep(source: str, done: Comparison, output: Path, arguments: argparse.Namespace) -> None:
    """Print the tables, and keep them for the pages of the documentation."""
    texts = {
        f"compare_{source}": completeness_table(done.tables.rates),
        f"compare_{source}_candidates": completeness_table(done.tables.rates, CANDIDATE),
        f"compare_{source}_prevalence": prevalence_table(done.tables.prevalence),
        f"compare_{source}_overlap": overlap_table(done.tables.overlap),
        f"compare_{source}_cost": cost_table(done.tables.cost),
    }
    for name, text in texts.items():
        print(f"\n{text}", end="", flush=True)
        if arguments.tables:
            (arguments.tables / f"{name}.md").write_text(text, encoding="utf-8")
    if arguments.figures:
        for figure in ("roc", "completeness"):
            shutil.copy(output / f"{figure}.png", arguments.figures / f"{figure}_{source}.png")


def main() -> None:
    """Simulate, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plates", type=int, default=10)
    parser.add_argument("--spectra", type=int, default=1000, help="on each plate")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--put-in", nargs="*", default=list(SEARCHES), choices=list(SEARCHES))
    parser.add_argument("--workers", type=int, default=allotted_cores())
    parser.add_argument("--figures", type=Path, help="folder for the figures")
    add_option(parser)
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        survey, seed = Path(folder) / "survey", arguments.seed
        make_survey(survey, mock(arguments.plates, arguments.spectra), seed, arguments.workers)
        plates = sorted(str(path) for path in survey.glob("[0-9]*"))
        for source in arguments.put_in:
            names = SEARCHES[source]
            if source == "lya" and find_spec(PUBLIC_FINDER):
                names = [*names, PUBLIC_FINDER]
            inputs = plates if source == "lya" else plates[: max(1, len(plates) // ELG_SHARE)]
            output = Path(folder) / source
            request = CompareRequest(
                inputs, output, names, source, repeats=1, seed=seed, n_workers=arguments.workers
            )
            done = compare(request)
            print("\n".join(done.notes))
            keep(source, done, output, arguments)


if __name__ == "__main__":
    main()
