"""Damaged pixels that no mask names: what they hide, and what they are taken for.

A line of ideal S/N 12 goes into each galaxy, and damage of some shape, height and sign goes at
least 40 pixels away from it. Of the lines that are found without the damage, how many are found
with it? Then the same damage goes into the same spectra without a line: how many hits are there,
and how many without damage? By the default network and by the bank of filters, on mock galaxies,
others for each height and sign, and on the same few real ones with SPECLENS_DATA.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from speclens.config import Config, load_config
from speclens.read.discovery import find_survey_files
from speclens.read.shards import make_shards
from speclens.run.store import ShardStore
from speclens.sample.preparation import Preparation
from speclens.sample.selection import redshifts, refusals
from speclens.search.matched_filter import MatchedFilter
from speclens.search.scan import ScanSettings
from speclens.search.search import Search
from speclens.search.searches import open_search
from speclens.simulate.emitters import draw_emitters, ideal_snr, line_spectra
from speclens.simulate.survey import make_plate
from speclens.simulate.training_set import on_window, survey_of_galaxies
from speclens.spectra import SpectrumBatch
from tables import Tables, add_option

SEARCHES = {"network": "resnet", "filter": "matched-filter"}
LINE_SNR = 12.0
HEIGHTS = (10.0, 30.0, 100.0, 1e3, 1e4)
"""In stated errors of the pixel; the last column mixes them, and the signs, pixel by pixel."""

DISTANCE = 40
"""Pixels from the line, at least."""

GAP = 20
"""Masked pixels in a row."""

CONFIDENCE = 0.95
"""Of the upper limit on the number of hits a spectrum."""

Floats = NDArray[np.float64]
Draw = Callable[[int], tuple[SpectrumBatch, Floats]]
"""Galaxies of some column, and their redshifts."""


@dataclass(frozen=True)
class Shape:
    """What is damaged.

    Parameters
    ----------
    widths : tuple of int
        Pixels in a row, one of these.
    n_apart : int
        So many of them, each anywhere.
    decay : float
        Height of each pixel in units of the one before, to one side.
    place : str
        Anywhere, or beside a gap, or at an end of the window.
    """

    widths: tuple[int, ...]
    n_apart: int = 1
    decay: float = 1.0
    place: str = "anywhere"


SHAPES = {
    "one pixel": Shape((1,)),
    "two apart": Shape((1,), 2),
    "three apart": Shape((1,), 3),
    "two in a row": Shape((2,)),
    "three in a row": Shape((3,)),
    "four to six in a row": Shape((4, 5, 6)),
    "9, 12 or 20 in a row": Shape((9, 12, 20)),
    "a tail to one side": Shape((5,), decay=0.5),
    "one to three beside a gap": Shape((1, 2, 3), place="gap"),
    "one to three at the end": Shape((1, 2, 3), place="end"),
}


@dataclass(frozen=True)
class Sample:
    """Galaxies with a line each.

    Parameters
    ----------
    batch : SpectrumBatch
        N spectra on the window, without the lines.
    z : array of shape (N,)
        Their redshifts.
    lines : array of shape (N, L)
        Flux density of the lines.
    centre : array of shape (N,)
        Their pixels.
    good : array of shape (N, L)
        True where the search sees them.
    """

    batch: SpectrumBatch
    z: Floats
    lines: NDArray[np.float32]
    centre: Floats
    good: NDArray[np.bool_]


def with_lines(
    batch: SpectrumBatch, z: Floats, preparation: Preparation, config: Config, seed: int
) -> Sample:
    """Draw a line of the asked S/N for each spectrum."""
    rng = np.random.default_rng([seed, 1])
    drawn = draw_emitters(len(batch), config.preparation.window, config.emitters, rng)
    ivar = preparation(batch, z).ivar
    lines = line_spectra(drawn, batch.grid, batch.dispersion_at(drawn.wave))
    snr = ideal_snr(lines, ivar)
    # What falls on masked pixels is not found in any case.
    lines *= (LINE_SNR / np.maximum(snr, 1))[:, None].astype(np.float32)
    return Sample(batch, z, lines, batch.grid.pixel(drawn.wave), ivar > 0)


def mock_galaxies(
    n_spectra: int, config: Config, seed: int, column: int = 0
) -> tuple[SpectrumBatch, Floats]:
    """Simulate galaxies of the sample, others for each column."""
    rng = np.random.default_rng([seed, column])
    plate, _ = make_plate(0, survey_of_galaxies(config, n_spectra), rng)
    grid = Preparation(config).grid
    return on_window(plate, grid), plate.targets["Z"].astype(float)


def real_galaxies(folder: Path, n_spectra: int, config: Config) -> tuple[SpectrumBatch, Floats]:
    """Read galaxies of the sample, each as often as it takes."""
    settings = ScanSettings(config, ShardStore(Path(), ""))
    [shard] = make_shards(find_survey_files([str(folder)]))
    with settings.opened(shard) as (source, _):
        batch = source.spectra(np.flatnonzero(source.reasons == ""))
    sample = np.flatnonzero(refusals(batch.targets, config.selection) == "")
    batch = batch[np.resize(sample, n_spectra)]
    return batch, redshifts(batch.targets, config.selection)


def damaged(
    sample: Sample, shape: Shape, height: float, sign: int, rng: np.random.Generator
) -> tuple[Floats, NDArray[np.bool_]]:
    """Draw damage of each spectrum: what it adds, in errors, and what is masked; (N, L) each."""
    added, gap = np.zeros(sample.good.shape), np.zeros(sample.good.shape, bool)
    pixels = np.arange(sample.good.shape[1])
    for row, (good, centre) in enumerate(zip(sample.good, sample.centre, strict=True)):
        free = good & (np.abs(pixels - centre) >= DISTANCE)
        for _ in range(shape.n_apart):
            width = int(rng.choice(shape.widths))
            room = np.lib.stride_tricks.sliding_window_view(free, width).all(axis=1)
            starts = np.flatnonzero(room)
            start = int(rng.choice(starts[[0, -1]] if shape.place == "end" else starts))
            profile = shape.decay ** np.arange(width)
            if sign == 0:
                profile *= rng.choice([-1, 1], width) * rng.choice(HEIGHTS, width)
            else:
                profile *= sign * height
            where = slice(start, start + width)
            added[row, where] = profile if rng.random() < 0.5 else profile[::-1]
            if shape.place == "gap":
                gap[row, start + width : start + width + GAP] = True
            free[max(start - GAP, 0) : start + width + GAP] = False
    return added, gap


@dataclass
class Searches:
    """Both searches, on one preparation of the spectra."""

    config: Config

    def __post_init__(self) -> None:
        self.preparation = Preparation(self.config)
        self._filter = MatchedFilter(self.preparation.grid, self.config.matched_filter)
        self._searches: Mapping[str, Search] = {}
        for name, method in SEARCHES.items():
            section = self.config.search.model_copy(update={"method": method})
            chosen = self.config.model_copy(update={"search": section})
            self._searches[name] = open_search(chosen, self._filter)

    def __call__(self, batch: SpectrumBatch, z: Floats) -> dict[str, NDArray[np.void]]:
        """Return the hits of each search."""
        prepared = self.preparation(batch, z)
        filtered = self._filter.search(prepared.residual, prepared.ivar)
        return {name: search(prepared, filtered).hits for name, search in self._searches.items()}


def at_the_line(hits: NDArray[np.void], sample: Sample, reach: float) -> NDArray[np.bool_]:
    """Say in which spectra there is a hit at the line, shape (N,)."""
    distance = sample.batch.grid.pixel(hits["WAVE"]) - sample.centre[hits["ROW"]]
    return np.isin(np.arange(len(sample.z)), hits["ROW"][np.abs(distance) <= reach])


def columns() -> Iterator[tuple[str, float, int]]:
    """Give title, height and sign of each column."""
    for height in HEIGHTS:
        for sign in (1, -1):
            yield f"{sign * height:+,.0f}", height, sign
    yield "mixed", 0.0, 0


@dataclass(frozen=True)
class Alone:
    """Hits of one search in spectra without a line.

    Parameters
    ----------
    damaged : array of shape (shapes, columns)
        Number of hits with damage.
    plain : array of shape (columns,)
        Without.
    n_galaxies : array of shape (columns,)
        Galaxies that no other column has.
    """

    damaged: NDArray[np.int_]
    plain: NDArray[np.int_]
    n_galaxies: NDArray[np.int_]


def measure(
    searches: Searches, draw: Draw, seed: int
) -> tuple[dict[str, list[list[str]]], dict[str, Alone]]:
    """Return for each search the share that is found, and hits alone, by shape and column."""
    reach = searches.config.evaluation.match_pixels
    n_columns = len(list(columns()))
    found = {name: [[title] for title in SHAPES] for name in SEARCHES}
    n_galaxies = np.zeros(n_columns, int)
    alone = {
        name: Alone(np.zeros((len(SHAPES), n_columns), int), np.zeros(n_columns, int), n_galaxies)
        for name in SEARCHES
    }
    seen: set[float] = set()
    for j, (_, height, sign) in enumerate(columns()):
        batch, z = draw(j)
        n_galaxies[j] = len(set(z.tolist()) - seen)
        seen |= set(z.tolist())
        sample = with_lines(batch, z, searches.preparation, searches.config, seed)
        clean = searches(replace(batch, flux=batch.flux + sample.lines), z)
        without = {name: at_the_line(hits, sample, reach) for name, hits in clean.items()}
        for name, hits in searches(batch, z).items():
            alone[name].plain[j] = len(hits)
        error = np.where(sample.good, 1 / np.sqrt(np.maximum(batch.ivar, 1e-30)), 0)
        for i, shape in enumerate(SHAPES.values()):
            rng = np.random.default_rng([seed, i, j])
            added, gap = damaged(sample, shape, height, sign, rng)
            flux = (batch.flux + added * error).astype(np.float32)
            spoilt = replace(batch, flux=flux, mask=batch.mask | gap)
            with_line = searches(replace(spoilt, flux=flux + sample.lines), z)
            for name, hits in with_line.items():
                kept = at_the_line(hits, sample, reach)[without[name]]
                found[name][i].append(f"{100 * kept.mean():.1f}")
            for name, hits in searches(spoilt, z).items():
                alone[name].damaged[i, j] = len(hits)
    return found, alone


def upper_limit(n_hits: int) -> float:
    """Return the Poisson upper limit on the number that was expected."""
    return float(chi2.ppf(CONFIDENCE, 2 * n_hits + 2) / 2)


def alone_rows(label: str, alone: Alone, n_spectra: int) -> Iterator[list[str]]:
    """Return hits a spectrum by what is damaged, with upper limits for independent spectra."""
    single = np.array([shape.widths == (1,) for shape in SHAPES.values()])
    height = np.array([height for _, height, _ in columns()])

    def row(damage: str, hits: NDArray[np.int_], n: int, chosen: NDArray[np.bool_]) -> list[str]:
        n_hits, n_galaxies = int(hits.sum()), int(alone.n_galaxies[chosen].sum())
        # The same real galaxies are in each column.
        n_galaxies = n_galaxies or int(alone.n_galaxies.sum())
        return [label, damage, f"{n:,}", f"{n_galaxies:,}", f"{n_hits}", f"{n_hits / n:.1e}",
                f"{upper_limit(n_hits) / n:.1e}"]  # fmt: skip

    yield row("nothing", alone.plain, len(height) * n_spectra, height >= 0)
    for damage, rows, chosen in (
        ("single pixels", single, height >= 0),
        (f"several, {HEIGHTS[0]:.0f} sigma", ~single, height == HEIGHTS[0]),
        (f"several, {HEIGHTS[1]:.0f} sigma and more", ~single, height > HEIGHTS[0]),
        ("several, mixed", ~single, height == 0),
    ):
        n = int(rows.sum() * chosen.sum()) * n_spectra
        yield row(damage, alone.damaged[rows][:, chosen], n, chosen)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--spectra", type=int, default=200, help="mock, and as many real")
    add_option(parser)
    arguments = parser.parse_args()
    config, tables = load_config(), Tables(arguments.tables)
    searches = Searches(config)
    draws: dict[str, Draw] = {
        "mock": lambda column: mock_galaxies(arguments.spectra, config, arguments.seed, column)
    }
    if data := os.environ.get("SPECLENS_DATA"):
        folder = Path(data) / "boss" / "galaxies"
        real = real_galaxies(folder, arguments.spectra, config)
        draws["real"] = lambda _: real
    rows: list[list[str]] = []
    for kind, draw in draws.items():
        found, alone = measure(searches, draw, arguments.seed)
        for name in SEARCHES:
            print(f"\n{name}, {kind} galaxies: found, of those found without damage, in per cent")
            titles = ["damaged, sigma", *(title for title, *_ in columns())]
            tables.show(f"damaged_{name}_{kind}", titles, found[name])
            rows += alone_rows(f"{name}, {kind}", alone[name], arguments.spectra)
    print("\nhits in the same spectra without a line")
    limit = f"upper limit, {100 * CONFIDENCE:.0f} %"
    titles = ["", "damaged", "spectra", "galaxies", "hits", "a spectrum", limit]
    tables.show("damaged_alone", titles, rows)


if __name__ == "__main__":
    main()
