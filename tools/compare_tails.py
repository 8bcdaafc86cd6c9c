"""Hold the tails of the mock's noise against real spectra: where false alarms come from.

    python tools/compare_tails.py --data $SPECLENS_DATA [-o docs/figures/tails.png]
        [--tables docs/tables]

In: the BOSS galaxies and quasars in DATA. Mock plates without lines are simulated in memory. Both
pass the same preparation. Out: tables of the highest S/N of the filter in spectra without a line,
as they are and with their residuals turned over, of pixels far out, and of damaged pixels; a
figure. Bands hold 95 % of draws of as many mock
spectra of one plate, as the real ones are: they know how few they are, and that plates differ.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from compare_quasars import residuals
from compared_spectra import FIRST_PIXELS, NO_SOURCES, mock_spectra, real_spectra
from speclens.config import Config, load_config
from speclens.evaluate.comparison_page import markdown
from speclens.sample.noise import error_growth
from speclens.sample.preparation import Preparation
from speclens.sample.selection import redshifts, refusals
from speclens.search.matched_filter import MatchedFilter
from speclens.spectra import LogGrid, SpectrumBatch
from speclens.view.comparison import Quantiles, draw_quantiles

OUTPUT = Path(__file__).parents[1] / "docs" / "figures" / "tails.png"
GRID = LogGrid.covering(3600.0, 9200.0)
SEARCHED = (3800.0, 5000.0)
REDWARD = ((5000.0, 6200.0), (6200.0, 7400.0), (7400.0, 8600.0))
N_DRAWS = 4000
BAND = (0.025, 0.975)
HEIGHTS = (3.5, 3.75, 4.0, 4.25)
FAR = (2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0)

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Prepared:
    """What a search sees of some spectra without a line.

    Parameters
    ----------
    highest, turned_over : array of shape (N,)
        Highest S/N of the bank of filters in each, and the same of its residuals turned over.
    chi : array of shape (N, L)
        Residual over its stated error; NaN where masked.
    damaged : array of shape (N,)
        Number of pixels in each that the preparation calls damaged.
    """

    highest: Floats
    turned_over: Floats
    chi: Floats
    damaged: NDArray[np.int64]


def prepare(batch: SpectrumBatch, config: Config) -> Prepared:
    """Prepare galaxies as a search does."""
    preparation = Preparation(config)
    kept = batch[refusals(batch.targets, config.selection) == ""].on(preparation.grid)
    z = redshifts(kept.targets, config.selection)
    seen = preparation(kept, z)
    blind = config.preparation.model_copy(update={"spike_snr": 0.0})
    every = Preparation(config.model_copy(update={"preparation": blind}))(kept, z)
    bank = MatchedFilter(preparation.grid, config.matched_filter)
    up, down = (
        bank.apply(sign * seen.residual, seen.ivar).snr.max(axis=(1, 2)) for sign in (1, -1)
    )
    chi = np.where(seen.ivar > 0, seen.residual * np.sqrt(kept.ivar), np.nan)
    return Prepared(up, down, chi, ((every.ivar > 0) & (seen.ivar == 0)).sum(axis=1))


def highest_of_quasars(batch: SpectrumBatch) -> Floats:
    """Return the highest S/N of each quasar beyond its forest and beside its lines, grown errors.

    About a running median, as nothing knows a quasar's light pixel by pixel.
    """
    quasars = batch[np.flatnonzero(batch.targets["CLASS"] == "QSO")]
    snr = [row.astype(np.float32) for row in residuals(quasars, GRID.wave[-1])]
    noise = load_config().noise
    growth = [error_growth(row[None], np.ones((1, len(row)), np.float32), noise)[0] for row in snr]
    return np.asarray(np.array([row.max() for row in snr]) / growth)


def drawn(plates: Sequence[NDArray[Any]], n: int, rng: np.random.Generator) -> NDArray[Any]:
    """Draw n spectra of one plate many times, shape (N_DRAWS, n, ...)."""
    which = rng.integers(len(plates), size=N_DRAWS)
    return np.array([plates[i][rng.integers(len(plates[i]), size=n)] for i in which])


def quantiles(real: Floats, plates: Sequence[Floats], rng: np.random.Generator) -> Quantiles:
    """Compare the ordered values of real spectra with those of draws of mock ones."""
    ordered = np.sort(drawn(plates, len(real), rng), axis=1)
    low, high = np.quantile(ordered, BAND, axis=0)
    return Quantiles(np.sort(real), np.median(ordered, axis=0), low, high)


def rows_of_heights(title: str, real: Floats, plates: Sequence[Floats]) -> list[list[str]]:
    """Return how many spectra reach a height, and their number over that of the mock."""
    mock, rows = np.concatenate(plates), []
    for height in HEIGHTS:
        n, expected = int((real > height).sum()), (mock > height).mean() * len(real)
        low, high = chi2.ppf(BAND[0], 2 * n) / 2 if n else 0, chi2.ppf(BAND[1], 2 * n + 2) / 2
        ratio = "-"
        if expected > 0:
            ratio = f"{n / expected:.2f} ({low / expected:.2f}-{high / expected:.2f})"
        rows.append([title, f"{height}", f"{n} of {len(real)}", f"{expected:.1f}", ratio])
    return rows


def rows_far_out(
    real: Prepared, plates: Sequence[Prepared], rng: np.random.Generator
) -> Iterator[list[str]]:
    """Yield how many pixels of real and mock spectra lie far out, and how many are damaged."""
    for limit in FAR:
        for sign, title in ((1, f"above +{limit}"), (-1, f"below -{limit}")):
            counts = [(sign * part.chi > limit).sum(axis=1) for part in (real, *plates)]
            yield _counts(title, counts[0], counts[1:], rng)
    yield _counts("damaged", real.damaged, [plate.damaged for plate in plates], rng)


def _counts(
    title: str,
    real: NDArray[np.int64],
    plates: Sequence[NDArray[np.int64]],
    rng: np.random.Generator,
) -> list[str]:
    mock = drawn(plates, len(real), rng).sum(axis=1)
    low, middle, high = np.quantile(mock, (BAND[0], 0.5, BAND[1]))
    return [title, f"{real.sum()}", f"{middle:.0f} ({low:.0f}-{high:.0f})"]


def main() -> None:
    """Measure, print the tables and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, default=OUTPUT)
    parser.add_argument("--tables", type=Path, help="keep the tables here, for `make tables`")
    parser.add_argument("--plates", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    without = load_config(None, (*NO_SOURCES, FIRST_PIXELS))
    mocks = mock_spectra(without, arguments.plates, arguments.seed, GRID)
    galaxies = real_spectra(arguments.data, "boss/galaxies", GRID)

    searched = load_config(None, [f"preparation.window={list(SEARCHED)}"])
    real, mock = prepare(galaxies, searched), [prepare(batch, searched) for batch in mocks]
    redward = [_redward(window) for window in REDWARD]
    samples = {
        f"galaxies, {SEARCHED[0]:.0f}-{SEARCHED[1]:.0f} Å": (
            real.highest, [plate.highest for plate in mock],
        ),
        f"the same turned over, {SEARCHED[0]:.0f}-{SEARCHED[1]:.0f} Å": (
            real.turned_over, [plate.turned_over for plate in mock],
        ),
        f"galaxies, {REDWARD[0][0]:.0f}-{REDWARD[-1][1]:.0f} Å": (
            _highest(galaxies, redward), [_highest(batch, redward) for batch in mocks],
        ),
        "quasars, beside their lines": (
            highest_of_quasars(real_spectra(arguments.data, "quasars", GRID)),
            [highest_of_quasars(batch) for batch in mocks],
        ),
    }  # fmt: skip
    titles = ["spectra", "highest S/N above", "real", "mock", "real over mock"]
    heights = [row for title, both in samples.items() for row in rows_of_heights(title, *both)]
    pixels = [f"pixels of {len(real.chi)} galaxies", "real", "mock"]
    tables = {
        "tails": markdown(titles, heights),
        "tails_pixels": markdown(pixels, rows_far_out(real, mock, rng)),
    }
    for name, text in tables.items():
        print(f"\n{text}", end="")
        if arguments.tables:
            (arguments.tables / f"{name}.md").write_text(text, encoding="utf-8")
    compared = {name: quantiles(*sample, rng) for name, sample in samples.items()}
    draw_quantiles(arguments.output, compared)


def _redward(window: tuple[float, float]) -> Config:
    """Return the configuration of a window redward of the search's, with more lines of the lens."""
    config = load_config(None, [f"preparation.window={list(window)}"])
    more = config.preparation.model_copy(update={"lens_lines": config.lines.lens_lines})
    return config.model_copy(update={"preparation": more})


def _highest(batch: SpectrumBatch, configs: Sequence[Config]) -> Floats:
    return np.concatenate([prepare(batch, config).highest for config in configs])


if __name__ == "__main__":
    main()
