"""Seconds of a search through Python, of files and of arrays, beside the command line's own.

    python benchmarks/python_interface.py [--plates 3] [--fibres 1000]

The same mock spectra are searched, once the engines have been started: the plates by
`speclens.verbs.search`, which the command line calls; the plates by `speclens.search`; and arrays
by `speclens.read` and `speclens.search`, which write them into the run's folder, with all that
follows a search. Processor seconds of one process, the least of some rounds.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import speclens
from speclens.config import load_config, load_searches
from speclens.simulate.mock_survey import make_survey
from speclens.verbs.search import SearchRequest
from speclens.verbs.search import search as search_files
from tables import Tables, add_option


def by_verb(survey: Path, output: Path) -> None:
    """Search files as the command line does."""
    search_files(SearchRequest([str(survey)], output, load_searches()))


def by_files(survey: Path, output: Path) -> None:
    """Search files through Python."""
    speclens.search(survey, output=output, quiet=True)


def by_arrays(arrays: dict[str, Any], output: Path) -> None:
    """Search arrays."""
    speclens.search(speclens.read(**arrays), output=output, quiet=True)


def arrays_of(survey: Path) -> dict[str, Any]:
    """Return what `speclens.read` takes, of all spectra of a survey."""
    found = speclens.read(survey)
    spectra = found.in_memory() if isinstance(found, speclens.SurveySpectra) else found
    batch = spectra.batch
    targets = batch.targets
    # What a plug map tells of sky fibres, arrays tell by the class.
    classes = np.where(targets["OBJTYPE"] == "SKY", "SKY", targets["CLASS"])
    return {
        "source": batch.grid.wave, "flux": batch.flux, "ivar": batch.ivar, "mask": batch.mask,
        "dispersion": batch.dispersion, "z": targets["Z"], "classes": classes,
    }  # fmt: skip


def least_seconds(work: Callable[[Path], None], folder: Path, n_rounds: int) -> float:
    """Return the least processor seconds of some rounds, each in a folder of its own."""
    seconds = []
    for i in range(n_rounds):
        began = time.process_time()
        work(folder / f"run-{i}")
        seconds.append(time.process_time() - began)
        shutil.rmtree(folder / f"run-{i}")
    return min(seconds)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plates", type=int, default=3)
    parser.add_argument("--fibres", type=int, default=1000, help="a plate")
    parser.add_argument("--rounds", type=int, default=3)
    add_option(parser)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sizes = [f"survey.n_plates={arguments.plates}", f"survey.n_fibres={arguments.fibres}"]
        make_survey(folder / "survey", load_config(None, sizes), 1, 1)
        arrays = arrays_of(folder / "survey")
        work: dict[str, Callable[[Path], None]] = {
            "spPlate files, the command line's search": lambda o: by_verb(folder / "survey", o),
            "spPlate files, `speclens.search`": lambda o: by_files(folder / "survey", o),
            "arrays, `speclens.read` and `speclens.search`": lambda o: by_arrays(arrays, o),
        }
        by_verb(folder / "survey", folder / "warm")
        rows = [(key, least_seconds(own, folder, arguments.rounds)) for key, own in work.items()]
    first, n_spectra = rows[0][1], len(arrays["flux"])
    Tables(arguments.tables).show(
        "python_interface",
        ["", "seconds", "spectra a second", "of the command line's time"],
        [
            [key, f"{seconds:.2f}", f"{n_spectra / seconds:,.0f}", f"{seconds / first:.2f}"]
            for key, seconds in rows
        ],
    )


if __name__ == "__main__":
    main()
