"""What an evaluation promises: its selection function and its probabilities, on other spectra.

    python benchmarks/selection.py [--plates 3] [--repeats 2] [--tables docs/tables]

Lyman-alpha lines are put into galaxies of mock plates, which no network was trained on, and the
selection function that they give must tell what comes back of other lines, in the galaxies of other
plates. Sources are binned by ideal S/N and by wavelength, evenly filled; a bin agrees if the share
that came back lies within the 95 % interval of the function's mean there and of the chance in the
bin's own number. With SPECLENS_DATA the same with other lines in the same real galaxies, and what
becomes a candidate there with lower limits, that let hardly a line-free spectrum through. The
expected calibration errors are those of the evaluations.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

import speclens
from side_by_side import mock
from speclens.config import load_config
from speclens.evaluate.evaluation import Evaluation, evaluate
from speclens.run.workers import allotted_cores
from speclens.schema import RECOVERED
from speclens.simulate.mock_survey import make_survey
from speclens.stored_tables import read_rows
from tables import Tables, add_option

N_SNR, N_WAVE = 8, 4
INTERVAL, SIGMAS = 0.95, 1.96
LEVELS = {"hit": "FOUND", "candidate": "CANDIDATE"}
REAL = "boss/galaxies"
REAL_REPEATS = 100
DEEP = ("search.probability_min=0.1", "vet.p_lya_min=0.0")
"""Limits for few spectra, where noise has few chances."""
DEEP_EDGES = (5.0, 6.0, 7.0, 8.0, 24.0)


@dataclass
class Measured:
    """Two evaluations that share nothing but the search.

    Parameters
    ----------
    name : str
        Of the spectra.
    known, other : Path
        Folders of the evaluations.
    result : Evaluation
        The second.
    seconds : float
        Wall clock of both, a source.
    """

    name: str
    known: Path
    other: Path
    result: Evaluation
    seconds: float

    def agreement(self, level: str) -> tuple[int, int, float]:
        """Count bins that agree, bins, and the mean distance of what was promised."""
        lines = read_rows(self.other / "lines.fits", RECOVERED)
        lines = lines[lines["SEARCHED"]]
        promised, low, high = speclens.completeness(
            self.known,
            lines["FLUX"],
            lines["WAVE"],
            noise=lines["IDEAL_ERR"],
            z_lens=lines["Z"],
            width=lines["WIDTH"],
            foreground=lines["FOREGROUND"],
            level=level,
            interval=INTERVAL,
        )
        came_back = lines["FOUND"] & (lines[LEVELS[level]])
        agree, off = [], []
        for own in _bins(lines):
            share, n = promised[own].mean(), own.sum()
            chance = SIGMAS * np.sqrt(share * (1 - share) / n)
            reach = np.hypot((high - low)[own].mean() / 2, chance)
            off.append(abs(came_back[own].mean() - share))
            agree.append(off[-1] <= reach)
        return sum(agree), len(agree), float(np.mean(off))


def _bins(lines: NDArray[np.void]) -> list[NDArray[np.bool_]]:
    snr, wave = (
        np.searchsorted(np.quantile(lines[name], np.linspace(0, 1, n + 1)[1:-1]), lines[name])
        for name, n in (("IDEAL_SNR", N_SNR), ("WAVE", N_WAVE))
    )
    return [(snr == i) & (wave == j) for i in range(N_SNR) for j in range(N_WAVE)]


def measure(
    name: str, inputs: tuple[Path, Path], output: Path, repeats: int, n_workers: int
) -> Measured:
    """Evaluate the default search twice, with other seeds."""
    start, n_lines = time.perf_counter(), 0
    for seed, place in enumerate(inputs, start=1):
        folder = output / f"{name}_{seed}"
        result = evaluate([str(place)], folder, load_config(), repeats, seed, n_workers)
        n_lines += len(result.lines)
    seconds = (time.perf_counter() - start) / n_lines
    return Measured(name, output / f"{name}_1", output / f"{name}_2", result, seconds)


def show_deep(result: Evaluation, tables: Tables) -> None:
    """Print how many lines become candidates with lower limits, and how many spectra do."""
    lines = result.lines[result.lines["SEARCHED"]]
    snr = lines["IDEAL_SNR"]
    inside = [lines[(snr > low) & (snr <= high)] for low, high in pairwise(DEEP_EDGES)]
    n_free = int(result.numbers["spectra"])
    rows = [
        [level, *(f"{100 * own[column].mean():.1f} %" for own in inside),
         f"{int(result.numbers[f'{level}s_without_a_line'])} of {n_free}"]
        for level, column in LEVELS.items()
    ]  # fmt: skip
    bins = [f"ideal S/N {low:g}-{high:g}" for low, high in pairwise(DEEP_EDGES)]
    tables.show("selection_deep", ["level", *bins, "spectra without a line"], rows)


def show(measured: list[Measured], tables: Tables) -> None:
    """Print both tables."""
    rows, errors = [], []
    for own in measured:
        n_lines, n_spectra = len(own.result.lines), int(own.result.numbers["spectra"])
        for level in LEVELS:
            agree, n_bins, off = own.agreement(level)
            rows.append([f"{own.name}, {level}", f"{n_spectra:,}", f"{n_lines:,}",
                         f"{agree} of {n_bins}", f"{100 * off:.1f} %"])  # fmt: skip
        told = {
            key.removeprefix("calibration_error_"): value
            for key, value in own.result.numbers.items()
            if key.startswith("calibration_error_")
        }
        errors += [
            [f"{own.name}, {key.rpartition('_')[0].upper()}", f"{n_spectra:,}", f"{value:.4f}"]
            for key, value in told.items()
        ]
        print(f"{own.name}: {1000 * own.seconds:.1f} ms a source, on all workers")
    titles = ("spectra, level", "galaxies", "lines", "bins that agree", "mean distance")
    tables.show("selection_function", titles, rows)
    tables.show("selection_calibration", ("spectra, column", "galaxies", "expected error"), errors)
    peak = max(resource.getrusage(who).ru_maxrss for who in
               (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024  # fmt: skip
    print(f"\npeak memory of a process {peak:.0f} MB")


def main() -> None:
    """Simulate, evaluate, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plates", type=int, default=3)
    parser.add_argument("--spectra", type=int, default=1000, help="on each plate")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--workers", type=int, default=allotted_cores())
    add_option(parser)
    arguments = parser.parse_args()
    with TemporaryDirectory() as temporary:
        place = Path(temporary)
        surveys = place / "one", place / "two"
        for step, survey in enumerate(surveys):
            config = mock(arguments.plates, arguments.spectra)
            make_survey(survey, config, arguments.seed + step, arguments.workers)
        measured = [measure("mock", surveys, place, arguments.repeats, arguments.workers)]
        data = os.environ.get("SPECLENS_DATA")
        if data:
            real = Path(data) / REAL
            measured.append(measure("real", (real, real), place, REAL_REPEATS, arguments.workers))
        tables = Tables(arguments.tables)
        show(measured, tables)
        if data:
            config = load_config(None, DEEP)
            deep = evaluate([str(real)], place / "deep", config, REAL_REPEATS, 3, arguments.workers)
            show_deep(deep, tables)


if __name__ == "__main__":
    main()
