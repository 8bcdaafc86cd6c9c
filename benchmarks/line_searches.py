"""The searches of lines side by side: what each finds at the same rate of false alarms.

    python benchmarks/line_searches.py [--plates 60] [--spectra 1000] [--tables docs/tables]

On mock plates of galaxies, in memory, an emission-line galaxy is put behind each sixth one: ratios
with scatter, 30 to 120 km/s, z_S uniform from the lens's + 0.06 to 1.6, total S/N by the true
errors uniform in its logarithm from 6 to 40, masked pixels included. It is found where a search has
a hit within 0.001 (1 + z_S). Searches are ranked by their own statistic: LN_EVIDENCE, or the
quadrature sum. For a rate of false alarms all thresholds on S/N of a published search are moved
together, in steps, and the step counts that finds most. As in a search of files, errors grow with
sky fibres, and those of `lines` with residuals, both of other plates. The oracle knows z_S,
continuum and errors; its statistic is the quadrature sum at z_S.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from mock_plates import FIRST_PIXELS, MockPlates, measure_growth, moved, sky_growth
from speclens.config import Config, LinesConfig, load_config
from speclens.hypotheses import GALAXY_LINES
from speclens.lines import PIXEL_LOGLAM, pixel_width_angstrom
from speclens.run.workers import allotted_cores, map_shards
from speclens.sample.preparation import Preparation, PreparedSpectra
from speclens.search.line_filter import SINGLE, LineFilter, Shape
from speclens.search.matched_filter import MatchedFilter
from speclens.search.search import Search, lya_sources
from speclens.search.searches import open_search
from speclens.simulate.emission_galaxies import draw_emission, emission_spectra
from speclens.simulate.plates import Plate
from speclens.simulate.survey import make_plate
from speclens.simulate.training_set import on_window, survey_of_galaxies
from speclens.spectra import LogGrid
from tables import Tables, add_option

CONFIGURATIONS = {"lines": "elg", "slacs": "slacs", "bells": "bells", "silo": "silo"}
RATES = (1e-3, 1e-4)
SOURCE_SHARE = 6
"""One spectrum of so many has a source."""

SNR, SIGMA_KMS, Z_MAX, MARGIN = (6.0, 40.0), (30.0, 120.0), 1.6, 0.06
RIGHT = 0.001
SNR_BINS = ((6, 8), (8, 10), (10, 15), (15, 40))
Z_BINS = ((0.0, 0.6), (0.6, 0.85), (0.85, 1.2), (1.2, 1.6))
ORACLE_DRAWS = 20
"""Redshifts at which the oracle looks at a spectrum without a source."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Engine:
    """What searches by one configuration."""

    config: Config
    preparation: Preparation
    matched_filter: MatchedFilter
    search: Search


@dataclass
class Setup(MockPlates):
    """Galaxies, and the searches behind them."""

    @cached_property
    def mock(self) -> Config:
        """Plates that hold galaxies alone."""
        survey = f"survey.first_pixel_range={list(FIRST_PIXELS)}"
        config = load_config("elg", [survey])
        return survey_of_galaxies(config, self.n_spectra)

    @cached_property
    def grid(self) -> LogGrid:
        """The window in which sources are put."""
        return LogGrid.covering(*self.mock.preparation.window)

    @cached_property
    def oracle_filter(self) -> tuple[LineFilter, list[tuple[int, float]]]:
        """Filter of the oracle, and shape and place of each line of a source."""
        return _oracle_filter(self.mock.lines)

    @cached_property
    def engines(self) -> dict[str, list[Engine]]:
        """Each search, at its thresholds and at others."""
        return {name: list(self._engines(name)) for name in CONFIGURATIONS}

    def _engines(self, name: str) -> Iterator[Engine]:
        config = load_config(CONFIGURATIONS[name], [f'lines.growth="{self.growth}"'])
        preparation = Preparation(config, sky_growth(self.sky, config))
        matched_filter = MatchedFilter(preparation.grid, config.matched_filter)
        for own in moved(config):
            yield Engine(own, preparation, matched_filter, open_search(own, matched_filter))


@dataclass(frozen=True)
class Scores:
    """What was put into N spectra, and what each search makes of them.

    Parameters
    ----------
    snr, z : array of shape (N,)
        Total S/N of the source, 0 for none, and its redshift.
    found : dict of str to array of shape (N, S, 2)
        Statistic of the hit, 0 without one, and its redshift, at each of S steps.
    oracle : array of shape (N, D)
        Of a source the same D times.
    """

    snr: Floats
    z: Floats
    found: dict[str, Floats]
    oracle: Floats


def score_plate(setup: Setup, index: int) -> Scores:
    """Simulate one plate and search it."""
    rng = np.random.default_rng(np.random.SeedSequence([setup.seed, index]))
    plate, _ = make_plate(index, setup.mock, rng)
    z_lens = plate.targets["Z"].astype(float)
    n = len(z_lens)
    snr = np.exp(rng.uniform(np.log(SNR[0]), np.log(SNR[1]), n)) * (
        np.arange(n) % SOURCE_SHARE == 0
    )
    z = z_lens + MARGIN + rng.random(n) * (Z_MAX - MARGIN - z_lens)
    put_in(setup, plate, snr, z, rng)
    found, done = {}, dict[str, PreparedSpectra]()
    for name, engines in setup.engines.items():
        first = engines[0]
        key = first.config.model_dump_json(include={"preparation", "foreground", "noise"})
        if key not in done:
            batch = on_window(plate, first.preparation.grid)
            done[key] = first.preparation(batch, z_lens)
        found[name] = searched(engines, done[key])
        if name == "lines":
            draws = z_lens[:, None] + MARGIN
            draws = draws + rng.random((n, ORACLE_DRAWS)) * (Z_MAX - draws)
            at = np.where(snr[:, None] > 0, z[:, None], draws)
            seen = oracle(setup, plate, done[key].ivar > 0, at)
    return Scores(snr, z, found, seen)


def put_in(setup: Setup, plate: Plate, snr: Floats, z: Floats, rng: np.random.Generator) -> None:
    """Put a galaxy behind those that are to have one."""
    row = np.flatnonzero(snr)
    galaxies = draw_emission(z[row], SIGMA_KMS, rng)
    lines = emission_spectra(galaxies, plate.grid, plate.observed.dispersion[row]).sum(axis=0)
    _, window = setup.grid.overlap(plate.grid)
    ivar = plate.observed.true_ivar[row][:, window]
    ideal = np.sqrt((lines[:, window] ** 2 * ivar).sum(axis=1))
    plate.observed.flux[row] += (lines * (snr[row] / ideal)[:, None]).astype(np.float32)


def searched(engines: Sequence[Engine], prepared: PreparedSpectra) -> Floats:
    """Search at every step: statistic and redshift, shape (N, S, 2)."""
    filtered = engines[0].matched_filter.search(prepared.residual, prepared.ivar)
    result = np.zeros((len(prepared), len(engines), 2))
    for step, engine in enumerate(engines):
        hits = engine.search(prepared, filtered)
        sources = lya_sources(hits.hits) if hits.sources is None else hits.sources
        statistic = "LN_EVIDENCE" if engine.config.search.method == "lines" else "SNR_LINES"
        # The best of a spectrum comes last, and stays.
        order = np.argsort(sources[statistic], kind="stable")
        row, sources = hits.hits["ROW"][order], sources[order]
        result[row, step, 0], result[row, step, 1] = sources[statistic], sources["Z_SOURCE"]
    return result


def oracle(setup: Setup, plate: Plate, good: NDArray[np.bool_], z: Floats) -> Floats:
    """Return the quadrature sum over lines at known redshifts, shape (N, D)."""
    grid = setup.grid
    _, window = grid.overlap(plate.grid)
    width = pixel_width_angstrom(grid.wave)
    flux = ((plate.observed.flux - plate.model)[:, window] * width).astype(np.float32)
    ivar = np.where(good, plate.observed.true_ivar[:, window] / width**2, 0).astype(np.float32)
    line_filter, lines = setup.oracle_filter
    snr = line_filter(flux, ivar).snr[:, 0]  # (S, L, N)
    shift = np.log10(1 + z) / PIXEL_LOGLAM - grid.first
    total, row = np.zeros(z.shape), np.arange(len(z))[:, None]
    for shape, place in lines:
        pixel = np.round(shift + place).astype(np.intp)
        inside = (pixel >= 0) & (pixel < grid.n_pixels)
        seen = np.maximum(snr[shape, np.clip(pixel, 0, grid.n_pixels - 1), row], 0)
        total += np.where(inside, seen, 0) ** 2
    return np.asarray(np.sqrt(total))


def _oracle_filter(lines: LinesConfig) -> tuple[LineFilter, list[tuple[int, float]]]:
    """Single lines, and [O II] as the doublet that it is."""
    shapes: list[Shape] = [SINGLE]
    found: list[tuple[int, float]] = []
    for group in GALAXY_LINES:
        places = np.log10(group.waves) / PIXEL_LOGLAM
        shares = np.array([share for _, share in group.lines])
        if group.name == "[O II]":
            middle = float(places.mean())
            found.append((len(shapes), middle))
            shapes.append(list(zip(places - middle, shares / shares.sum(), strict=True)))
        else:
            found += [(0, place) for place in places.tolist()]
    sigma = (float(np.median(lines.sigma_pixels)),)
    return LineFilter(sigma, lines.half_width, lines.min_coverage, shapes), found


def joined(parts: Sequence[Scores]) -> Scores:
    """Put the plates together."""
    found = {name: np.concatenate([p.found[name] for p in parts]) for name in parts[0].found}
    snr, z, seen = (np.concatenate([getattr(p, n) for p in parts]) for n in ("snr", "z", "oracle"))
    return Scores(snr, z, found, seen)


def threshold(null: Floats, rate: float) -> float:
    """Return the value above which a fraction of the spectra without a source lies."""
    ordered = np.sort(null, axis=None)[::-1]
    return float(ordered[min(round(rate * len(ordered)), len(ordered) - 1)])


def recovered(scores: Scores, rate: float) -> dict[str, NDArray[np.bool_]]:
    """Say which sources each search finds at a rate of false alarms."""
    source = scores.snr > 0
    z = scores.z[source]
    result = {}
    for name, found in scores.found.items():
        right = np.abs(found[source, :, 1] - z[:, None]) < RIGHT * (1 + z[:, None])
        steps = []
        for step in range(found.shape[1]):
            limit = threshold(found[~source, step, 0], rate)
            steps.append((found[source, step, 0] > limit) & right[:, step])
        result[name] = max(steps, key=np.count_nonzero)
    limit = threshold(scores.oracle[~source], rate)
    return result | {"oracle that knows z_S": scores.oracle[source, 0] > limit}


def as_published(scores: Scores, name: str) -> tuple[str, str]:
    """Return rate of false alarms and completeness at a search's own thresholds."""
    if name not in scores.found:
        return "-", "-"
    least = load_config("elg").lines.ln_evidence_min if name == "lines" else 0
    source, (score, z) = scores.snr > 0, scores.found[name][:, 0].T
    right = np.abs(z - scores.z) < RIGHT * (1 + scores.z)
    rate = (score[~source] > least).mean()
    return f"{rate:.1e}", f"{100 * ((score > least) & right)[source].mean():.1f}"


def show(scores: Scores, tables: Tables) -> None:
    """Print the tables."""
    source = scores.snr > 0
    print(f"{(~source).sum()} spectra without a source, {source.sum()} with one")
    by_rate = {rate: recovered(scores, rate) for rate in RATES}
    names = list(by_rate[RATES[0]])
    rows = [
        [name, *as_published(scores, name)]
        + [f"{100 * by_rate[rate][name].mean():.1f}" for rate in RATES]
        for name in names
    ]
    titles = ["search", "false alarms a spectrum, own thresholds", "found",
              *(f"found at {rate:g}" for rate in RATES)]  # fmt: skip
    tables.show("line_searches", titles, rows)
    for label, name, values, bins in (
        ("total S/N", "snr", scores.snr[source], SNR_BINS),
        ("z_S", "z", scores.z[source], Z_BINS),
    ):
        inside = [(values >= low) & (values < high) for low, high in bins]
        rows = [
            [search, *(f"{100 * by_rate[RATES[0]][search][own].mean():.1f}" for own in inside)]
            for search in names
        ]
        titles = [label, *(f"{low:g}-{high:g}" for low, high in bins)]
        tables.show(f"line_searches_{name}", titles, rows)


def main() -> None:
    """Simulate, search, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plates", type=int, default=60, help="simulated")
    parser.add_argument("--spectra", type=int, default=1000, help="on each plate")
    parser.add_argument("--seed", type=int, default=1)
    add_option(parser)
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "growth.npz"
        measure_growth(Setup(arguments.spectra, arguments.seed), path)
        setup = Setup(arguments.spectra, arguments.seed, str(path))
        parts = list(map_shards(score_plate, setup, range(arguments.plates), allotted_cores()))
    show(joined(parts), Tables(arguments.tables))


if __name__ == "__main__":
    main()
