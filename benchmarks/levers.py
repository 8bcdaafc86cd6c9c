"""Two levers on the depth of the search that are not pulled, and what each would win.

    python benchmarks/levers.py [--plates 80] [--tables docs/tables]

The first takes off what the residuals of a half-plate have in common, as all other galaxies of a
group predict it; the second fits the foreground to more of the spectrum. On mock plates of
galaxies, in memory, every galaxy is searched with the bank of filters as it is, and with a
Lyman-alpha line of the published candidates' shapes and an ideal S/N from 3 to 10. The common
residual is that of spectra without lines. With SPECLENS_DATA the published lines go into each of
the real galaxies too, one at a time.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common_residual import common_residual
from detection import thresholds
from lever_search import AS_IT_IS, FITS, LeverSearch, Residuals
from real_lines import published_lines, read
from speclens.evaluate.completeness import fit_completeness
from speclens.run.store import ShardStore
from speclens.run.workers import allotted_cores, map_shards
from speclens.sample.selection import redshifts, refusals
from speclens.search.scan import ScanSettings
from speclens.simulate.emitters import draw_emitters
from speclens.simulate.survey import make_plate
from speclens.simulate.training_set import on_window
from speclens.spectra import LogGrid
from tables import Tables, add_option

PER_HALF = 500
N_GALAXIES = 300
"""Of a half-plate that are searched."""

GROUPS = (20, 50, 100, 300)
WHOLE = (3600, 9300)
RATE = 1e-2
IDEAL_SNR, REAL_SNR = (3.0, 10.0), 6.0
MARGIN = 20.0
"""Angstrom between a published line and the ends of the window."""

N_RESAMPLED = 20

SCORE_DTYPE = np.dtype(
    [("PLATE", "i4")]
    + [
        (name, "f8")
        for name in (
            "IDEAL", "FREE", "LINED", "RESIDUAL", "FILTERED", "GROWTH", "SIGNAL", "OFFERED",
            "SECONDS",
        )
    ]
)  # fmt: skip
"""Of one spectrum: ideal S/N of its line, highest S/N without and with it, mean squares of residual
and of the middle filter's S/N in stated errors, growth of the errors, S/N of the line in the
residual and before the fit, seconds of its preparation."""

Scores = dict[str, NDArray[np.void]]
Measure = Callable[[NDArray[np.void]], float]
Change = Callable[[str, Measure], str]


def score_plate(setup: LeverSearch, index: int) -> Scores:
    """Simulate one plate; search it as it is and with each lever pulled."""
    rng = np.random.default_rng(np.random.SeedSequence([setup.seed, index]))
    plate, _ = make_plate(index, setup.config, rng)
    halves = [start + rng.permutation(PER_HALF)[:N_GALAXIES] for start in (0, PER_HALF)]
    batch = on_window(plate, LogGrid.covering(*WHOLE))[np.concatenate(halves)]
    z = batch.targets["Z"].astype(np.float64)
    lines = draw_emitters(len(z), setup.config.preparation.window, setup.config.emitters, rng)
    ideal = rng.uniform(*IDEAL_SNR, len(z))
    shapes = setup.shapes(lines, batch, ideal)
    lined, pixel = setup.added(batch, shapes), setup.grid.nearest(lines.wave)
    levers = {}
    for name, fit in setup.fits.items():
        free, seconds = fit(batch, z)
        levers[name] = free, fit(lined, z)[0], seconds
    free, line, _ = levers[AS_IT_IS]
    for size in GROUPS:
        groups = np.arange(len(z)).reshape(-1, size)
        common = in_common(free, batch.targets["FIBERID"], groups)
        levers[str(size)] = without(free, common), without(line, common), 0.0
    scores = {}
    for name, (free, line, seconds) in levers.items():
        rows = np.zeros(len(z), SCORE_DTYPE)
        rows["PLATE"], rows["IDEAL"], rows["SECONDS"] = index, ideal, seconds
        rows["LINED"] = setup.searched(line)["FREE"]
        columns = setup.searched(free) | setup.signal(free, line, shapes, pixel)
        for column, values in columns.items():
            rows[column] = values
        scores[name] = rows[shapes.any(axis=1)]
    return scores


def in_common(
    residuals: Residuals, fibre: NDArray[np.integer], groups: Iterable[NDArray[np.intp]]
) -> NDArray[np.float32]:
    """Return the common residual of groups of galaxies, each of one half-plate, shape (N, L)."""
    common = np.zeros_like(residuals[0])
    for rows in groups:
        common[rows] = common_residual(residuals[0][rows], residuals[1][rows], fibre[rows])
    return common


def without(residuals: Residuals, common: NDArray[np.float32]) -> Residuals:
    """Take the common residual off."""
    return np.where(residuals[1] > 0, residuals[0] - common, np.float32(0)), residuals[1]


def score_real(setup: LeverSearch, data: Path) -> Scores:
    """Put the published lines into each real galaxy; a row for each galaxy and lever.

    The common residual is that of all galaxies read, those too that no search takes.
    """
    settings = ScanSettings(setup.config, ShardStore(Path(), ""))
    [batch] = read(settings, data / "boss" / "galaxies", LogGrid.covering(*WHOLE))
    selection, (low, high) = setup.config.selection, setup.config.preparation.window
    z, chosen = redshifts(batch.targets, selection), refusals(batch.targets, selection) == ""
    lines = published_lines(data / "lenses")
    lines = lines[(lines.wave > low + MARGIN) & (lines.wave < high - MARGIN)]
    free = {name: fit(batch, z)[0] for name, fit in setup.fits.items()}
    own = free[AS_IT_IS]
    levers = dict(free)
    for size in GROUPS:
        n_groups = len(batch) // size + (len(batch) % size > size // 2)
        if n_groups:
            groups = [np.arange(k, len(batch), n_groups) for k in range(n_groups)]
            levers[str(size)] = without(own, in_common(own, batch.targets["FIBERID"], groups))
    scores = {}
    for name, residuals in levers.items():
        scores[name] = np.zeros(len(batch), SCORE_DTYPE)
        for column, values in setup.searched(residuals).items():
            scores[name][column] = values
    for i in range(len(lines)):
        line = lines[np.full(len(batch), i)]
        shapes = setup.shapes(line, batch, np.full(len(batch), REAL_SNR))
        lined, pixel = setup.added(batch, shapes), setup.grid.nearest(line.wave)
        for name, fit in setup.fits.items():
            measured = setup.signal(free[name], fit(lined, z)[0], shapes, pixel)
            for column, values in measured.items():
                scores[name][column] += values
    for name in levers.keys() - free.keys():  # it is taken off with the line and without
        for column in ("SIGNAL", "OFFERED"):
            scores[name][column] = scores[AS_IT_IS][column]
    return {name: rows[chosen] for name, rows in scores.items()}


def resampled(scores: Scores, name: str, measure: Measure, samples: list[NDArray[np.intp]]) -> str:
    """Return by how many per cent a lever changes a measure, and the bootstrap's error of that."""
    ours, before = scores[name], scores[AS_IT_IS]
    change = measure(ours) / measure(before) - 1
    error = np.std([measure(ours[rows]) / measure(before[rows]) for rows in samples])
    return f"{100 * change:+.1f} ± {100 * error:.1f}"


def half_found(rows: NDArray[np.void]) -> float:
    """Return the ideal S/N at which half of the lines are found."""
    found = rows["LINED"] > thresholds(rows["FREE"], (RATE,))[0]
    return fit_completeness(rows["IDEAL"], found).at(0.5)


def filter_sd(rows: NDArray[np.void]) -> float:
    """Return the standard deviation of the filter's S/N, by the stated errors."""
    return float(np.sqrt(rows["FILTERED"].mean()))


def signal_over_sd(rows: NDArray[np.void]) -> float:
    """Return the S/N of the lines over the standard deviation of the filter's, errors grown."""
    growth = rows["GROWTH"]
    return float((rows["SIGNAL"] / growth).sum() / np.sqrt((rows["FILTERED"] / growth**2).mean()))


def taken(rows: NDArray[np.void]) -> str:
    """Return which part of the lines the fit takes, per cent."""
    return f"{100 * (1 - rows['SIGNAL'].sum() / rows['OFFERED'].sum()):.1f}"


def print_tables(mock: Scores, real: Scores, seed: int, tables: Tables) -> None:
    """Print what each lever wins."""
    rng = np.random.default_rng(seed)
    n_plates = int(mock[AS_IT_IS]["PLATE"].max()) + 1
    of_plate = [np.flatnonzero(mock[AS_IT_IS]["PLATE"] == index) for index in range(n_plates)]
    samples = [
        np.concatenate([of_plate[index] for index in rng.integers(n_plates, size=n_plates)])
        for _ in range(N_RESAMPLED)
    ]
    n_real = len(real.get(AS_IT_IS, ()))
    real_samples = [rng.integers(n_real, size=n_real) for _ in range(10 * N_RESAMPLED)]

    def shift(name: str) -> str:
        return "" if name == AS_IT_IS else resampled(mock, name, half_found, samples)

    def change(name: str, measure: Measure) -> str:
        if name not in real:
            return "-"
        return "" if name == AS_IT_IS else resampled(real, name, measure, real_samples)

    print(
        f"{len(mock[AS_IT_IS])} mock spectra, {n_real} real galaxies; S/N at which half of the "
        f"lines are found at {RATE:g} false alarms a spectrum"
    )
    show_common(mock, shift, change, tables)
    show_foreground(mock, real, shift, change, tables)


def show_common(mock: Scores, shift: Callable[[str], str], change: Change, tables: Tables) -> None:
    """Print the table of the common residual."""
    titles = [
        "galaxies a half-plate", "sd of residual", "sd of filter S/N", "50 % found at", "shift, %",
        "real: sd of filter S/N, %", "real: signal / sd, %",
    ]  # fmt: skip
    cells = []
    for name in (AS_IT_IS, *map(str, GROUPS)):
        rows = mock[name]
        sd = np.sqrt(rows["RESIDUAL"].mean())
        ours = [f"{sd:.4f}", f"{filter_sd(rows):.4f}", f"{half_found(rows):.3f}", shift(name)]
        cells.append([name, *ours, change(name, filter_sd), change(name, signal_over_sd)])
    tables.show("levers_common", titles, cells)


def show_foreground(
    mock: Scores, real: Scores, shift: Callable[[str], str], change: Change, tables: Tables
) -> None:
    """Print the table of the foreground."""
    titles = [
        "fitted, Å; terms", "pixels", "of a line taken, %", "real: taken, %", "shift of 50 %, %",
        "real: signal / sd, %", "ms a spectrum",
    ]  # fmt: skip
    cells = []
    for name, (window, n_components) in FITS.items():
        rows = mock[name]
        title = f"{window[0]}-{window[1]}; {n_components} + 3"
        own = [str(LogGrid.covering(*window).n_pixels), taken(rows)]
        theirs = taken(real[name]) if name in real else "-"
        milliseconds = f"{1e3 * rows['SECONDS'].mean():.2f}"
        wins = [shift(name), change(name, signal_over_sd)]
        cells.append([title, *own, theirs, *wins, milliseconds])
    tables.show("levers_foreground", titles, cells)


def main() -> None:
    """Simulate, search, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--plates", type=int, default=80, help="simulated")
    add_option(parser)
    arguments = parser.parse_args()
    setup = LeverSearch(arguments.seed)
    plates = range(arguments.plates)
    parts = list(map_shards(score_plate, setup, plates, allotted_cores()))
    mock = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    data = os.environ.get("SPECLENS_DATA")
    real = score_real(setup, Path(data)) if data else {}
    print_tables(mock, real, arguments.seed, Tables(arguments.tables))


if __name__ == "__main__":
    main()
