"""Completeness at fixed false-positive rates, of every search, on one hard mock test set.

The set: galaxies of the mock survey with the noise, spikes and sky-line remnants of real spectra;
some with a lensed Lyman-alpha line, some (apart from the false-positive rates) with an artefact as
bright as a line. Scored by the networks, the matched filters (the package's, and Shu et
al. 2016's on the same window), an oracle that knows continuum, noise level and line shape, and an
ideal one that is told the artefacts too; both look at the survey's own pixels. With -c desi the set
is of mock coadds of DESI. Prints tables; draws figures with --figures.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config, load_config
from speclens.evaluate.completeness import CompletenessCurve, completeness_by_snr, fit_completeness
from speclens.evaluate.oracle import oracle_among_spikes, oracle_snr
from speclens.networks.model_folder import bundled_models, read_model
from speclens.run.workers import allotted_cores, map_shards
from speclens.sample.preparation import Preparation, PreparedSpectra
from speclens.search.classifier import Classifier
from speclens.search.engine import open_engine
from speclens.search.matched_filter import MatchedFilter
from speclens.simulate.contaminants import decoy_spectra
from speclens.simulate.emitters import Lines, draw_emitters, line_spectra
from speclens.simulate.galaxies import GalaxyPopulation
from speclens.simulate.linear_grid import Grid, LinearGrid
from speclens.simulate.plates import Plate
from speclens.simulate.spectrographs import that_saw
from speclens.simulate.training_set import on_window, plate_with_lines
from speclens.spectra import LogGrid
from speclens.train.training_set import galaxies_for_test
from speclens.view.comparison import draw_reliability, draw_searches
from tables import Tables, add_option

RATES = (1e-2, 1e-3, 3.6e-4, 1e-4)
RATE = 3.6e-4
"""What the accuracy and the completeness of the paper imply."""

FLUX_EDGES = np.array([3.0, 5, 7, 10, 15, 25, 60])
ARTEFACTS = {"spike": "spikes", "sky_line": "sky residuals"}
LINES_A_SPECTRUM, ARTEFACTS_A_SPECTRUM = 0.16, 0.04
SEED_OFFSET = 7919
"""The test set shares no random number with a training set."""

HALF_SHAPE = 40
"""Pixels on either side of the oracle's line."""

ROW_DTYPE = np.dtype(
    [("KIND", "U8"), ("WAVE", "f8"), ("FLUX", "f4"), ("IDEAL_SNR", "f4"), ("SEEN", "?")]
)
BRIGHT_SNR = 8.0
SNR_EDGES = np.array([3.0, 4, 5, 6, 7, 8, 10, 15, 30])


@dataclass
class Setup:
    """What all plates share."""

    config: Config
    seed: int
    models: tuple[str, ...]
    n_spectra: int

    @cached_property
    def grid(self) -> LogGrid:
        """The window."""
        return LogGrid.covering(*self.config.preparation.window)

    @cached_property
    def galaxies(self) -> GalaxyPopulation:
        """Galaxies that the default network was not trained on."""
        population = GalaxyPopulation.bundled()
        set_seed = read_model("speclens").metadata["set"]["seed"]
        fraction = self.config.training_set.test_fraction
        return population.among(galaxies_for_test(set_seed, len(population.vdisp), fraction))

    @cached_property
    def shu(self) -> tuple[Preparation, MatchedFilter]:
        """The rival's search, on the window of the others."""
        low, high = self.config.preparation.window
        config = load_config("shu2016", [f"preparation.window=[{low}, {high}]"])
        return Preparation(config), MatchedFilter(self.grid, config.matched_filter)

    @cached_property
    def own(self) -> tuple[Preparation, MatchedFilter]:
        """The package's preparation and bank of filters."""
        return Preparation(self.config), MatchedFilter(self.grid, self.config.matched_filter)

    @cached_property
    def classifiers(self) -> dict[str, Classifier]:
        """The networks."""
        models = [read_model(source) for source in self.models]
        half_width = self.config.search.place_half_width
        return {m.name: Classifier(m, open_engine(m), half_width) for m in models}


def score_plate(
    setup: Setup, index: int
) -> tuple[NDArray[np.void], dict[str, NDArray[np.floating]]]:
    """Simulate one plate and score it with every search."""
    rng, plate, truth = simulated(setup, index)
    batch, z = on_window(plate, setup.grid), plate.targets["Z"]
    preparation, bank = setup.own
    prepared = preparation(batch, z)
    found = bank.search(prepared.residual, prepared.ivar)
    rows = rows_of(setup, plate, truth, prepared)
    scores: dict[str, NDArray[np.floating]] = {}
    for name, classifier in setup.classifiers.items():
        scores[name] = classifier(prepared, found.best).probability
    # As the search does: such a line is a hit whatever the network says.
    if "speclens" in scores:
        scores["speclens"][found.snr >= setup.config.search.snr_certain] = 1
    scores["bank of filters"] = found.snr
    shu_preparation, shu_filter = setup.shu
    by_shu = shu_preparation(batch, z)
    scores["Shu et al. 2016"] = shu_filter.search(by_shu.residual, by_shu.ivar).snr
    scores |= oracles(setup, plate, truth, prepared, rng)
    return rows, scores


def simulated(
    setup: Setup, index: int, whole: bool = False
) -> tuple[np.random.Generator, Plate, NDArray[np.void]]:
    """Simulate one plate; the generator goes on from there."""
    rng = np.random.default_rng(np.random.SeedSequence([setup.seed, SEED_OFFSET, index]))
    n_lines = round(LINES_A_SPECTRUM * setup.n_spectra)
    drawn = plate_with_lines(setup.n_spectra, n_lines, setup.config, setup.galaxies, rng, whole)
    return rng, *drawn


def rows_of(
    setup: Setup, plate: Plate, truth: NDArray[np.void], prepared: PreparedSpectra
) -> NDArray[np.void]:
    """Return what is in each spectrum, and whether the bank of filters sees its place."""
    row = plate.rows(truth["TARGETID"])
    rows = np.zeros(len(plate.targets), ROW_DTYPE)
    for name in ("KIND", "WAVE", "FLUX", "IDEAL_SNR"):
        rows[name][row] = truth[name]
    _, bank = setup.own
    with_line = bank.apply(prepared.residual[row], prepared.ivar[row])
    pixel = setup.grid.nearest(truth["WAVE"])
    rows["SEEN"][row] = with_line.sees(np.arange(len(row)), pixel)
    return rows


def oracles(
    setup: Setup,
    plate: Plate,
    truth: NDArray[np.void],
    prepared: PreparedSpectra,
    rng: np.random.Generator,
) -> dict[str, NDArray[np.float64]]:
    """Score with the oracle, and with the one that is told the artefacts, on the plate's pixels.

    Where these are not those of the searches, say too what the second could do on theirs, and what
    the first could if it knew how often pixels spike, but not where.
    """
    config, spectrograph, seen = setup.config, that_saw(plate), plate.observed
    row, own = plate.rows(truth["TARGETID"]), spectrograph.grid
    pixels, nearest = within(setup.grid, own)
    residual = (seen.flux - spectrograph.of_models(plate.model) - seen.smooth)[:, pixels]
    ivar = np.where(prepared.ivar[:, nearest] > 0, seen.true_ivar[:, pixels], 0)
    known = seen.spikes[:, pixels].copy()
    for kind in ("spike", "sky_line"):
        chosen = truth["KIND"] == kind
        decoys = decoy_spectra(kind, lines_of(truth[chosen]), own)
        np.add.at(known, row[chosen], spectrograph.of_lines(decoys)[:, pixels])
    # What is looked for where there is no line is drawn as the lines are.
    lines = draw_emitters(len(residual), config.preparation.window, config.emitters, rng)
    for name in ("wave", "width", "skewness"):
        getattr(lines, name)[row] = truth[name.upper()]
    spread = spectrograph.line_spread(seen.dispersion)
    shapes = shapes_of(lines, spread[np.arange(len(lines)), own.nearest(lines.wave)], own)
    scores = {
        "oracle": oracle_snr(residual, ivar, shapes),
        "oracle told the artefacts": oracle_snr(residual - known, ivar, shapes),
    }
    if isinstance(own, LinearGrid):
        rates = config.survey.noise
        scores["oracle that knows of spikes"] = oracle_among_spikes(residual, ivar, shapes, rates)
        flux = np.zeros_like(seen.flux)
        flux[:, pixels] = residual - known
        clean = replace(plate, observed=replace(seen, flux=flux, ivar=seen.true_ivar))
        batch = on_window(clean, setup.grid)
        shapes = shapes_of(lines, batch.dispersion_at(lines.wave), setup.grid)
        ivar = np.where(prepared.ivar > 0, batch.ivar, 0)
        scores["oracle told them, on the grid"] = oracle_snr(batch.flux, ivar, shapes)
    return scores


def within(window: LogGrid, own: Grid) -> tuple[slice, NDArray[np.intp]]:
    """Return a plate's own pixels in the window, and to each the nearest of the window.

    DESI's pixels are narrower than the window's: all that they tell is the oracle's. The window
    lies in one arm.
    """
    place = np.round(window.pixel(own.wave)).astype(np.intp)
    inside = np.flatnonzero((place >= 0) & (place < window.n_pixels))
    pixels = slice(int(inside[0]), int(inside[-1]) + 1)
    return pixels, place[pixels]


def lines_of(truth: NDArray[np.void]) -> Lines:
    """Return the lines of rows of the truth table."""
    return Lines(*(np.asarray(truth[n], float) for n in ("WAVE", "FLUX", "WIDTH", "SKEWNESS")))


def shapes_of(lines: Lines, dispersion: NDArray[np.floating], grid: Grid) -> NDArray[np.float32]:
    """Return each line pixel by pixel, centred, shape (N, K)."""
    middle = grid.n_pixels // 2
    wave = np.full(len(lines), grid.wave[middle])
    # As many pixels wide as where it stands.
    width = lines.width * grid.width(wave) / grid.width(lines.wave)
    centred = Lines(wave, np.ones(len(lines)), width, lines.skewness)
    spectra = line_spectra(centred, grid, dispersion)
    return spectra[:, middle - HALF_SHAPE : middle + HALF_SHAPE + 1]


def thresholds(score: NDArray[np.floating], rates: tuple[float, ...] = RATES) -> list[float]:
    """Return the thresholds above which a fraction of line-free spectra lies."""
    ordered = np.sort(score)[::-1]
    return [float(ordered[round(rate * len(ordered))]) for rate in rates]


def print_tables(
    rows: NDArray[np.void], scores: dict[str, NDArray[np.floating]], tables: Tables, test: str
) -> None:
    """Print completeness and 50 and 90 % points by false-positive rate, and by line flux."""
    line, free, artefact = kinds_of(rows)
    print(
        f"hard mock test set: {free.sum()} spectra without a line, {line.sum()} with one, "
        f"{artefact.sum()} with an artefact; {((rows['KIND'] == 'lya') & ~line).sum()} lines under "
        "masks left out"
    )
    titles = ["false alarms a spectrum", *(_short(rate) for rate in RATES)]
    shares, points = [], []
    for name, score in scores.items():
        found = [score[line] > threshold for threshold in thresholds(score[free])]
        curves = [fit_completeness(rows["IDEAL_SNR"][line], one) for one in found]
        shares.append([label_of(name), *(f"{100 * one.mean():.1f}" for one in found)])
        points.append([label_of(name), *(f"{snr_at(c, 0.5)}, {snr_at(c, 0.9)}" for c in curves)])
    print("\nlines found, in per cent")
    tables.show(f"{test}_found", titles, shares)
    print("\nideal S/N at which 50 % and 90 % of the lines are found")
    tables.show(f"{test}_snr", titles, points)
    print(f"\n% found by line flux (1e-17 erg/s/cm2), % of artefacts passed, at {_short(RATE)}")
    kinds = np.unique(rows["KIND"][artefact]).tolist()
    cells, by_snr = [], []
    for name, score in scores.items():
        found_all = score > thresholds(score[free], (RATE,))[0]
        n_found = np.histogram(rows["FLUX"][line & found_all], FLUX_EDGES)[0]
        share = n_found / np.maximum(np.histogram(rows["FLUX"][line], FLUX_EDGES)[0], 1)
        passed = [found_all[rows["KIND"] == kind].mean() for kind in kinds]
        bright = found_all[line & (rows["IDEAL_SNR"] > BRIGHT_SNR)].mean()
        numbers = (*share, bright, *passed)
        cells.append([label_of(name), *(f"{100 * value:.1f}" for value in numbers)])
        snr = rows["IDEAL_SNR"]
        n_found, n_all = (np.histogram(snr[line & k], SNR_EDGES)[0] for k in (found_all, True))
        by_snr.append([label_of(name), *(f"{100 * value:.1f}" for value in n_found / n_all)])
    bins = [f"{low:.0f}-{high:.0f}" for low, high in pairwise(FLUX_EDGES)]
    titles = [*bins, f"ideal S/N > {BRIGHT_SNR:.0f}", *(ARTEFACTS[k] for k in kinds)]
    tables.show(f"{test}_flux", ["line flux", *titles], cells)
    bins = [f"{low:.0f}-{high:.0f}" for low, high in pairwise(SNR_EDGES)]
    tables.show(f"{test}_by_snr", ["ideal S/N", *bins], by_snr)


def kinds_of(
    rows: NDArray[np.void],
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Say which spectra have a line that is not under a mask, nothing, and an artefact."""
    lya, free = rows["KIND"] == "lya", rows["KIND"] == ""
    return lya & rows["SEEN"], free, ~lya & ~free


def label_of(name: str) -> str:
    """Return how the tables call a search."""
    return f"network `{name}`" if name in bundled_models() else name


def _short(rate: float) -> str:
    return f"{rate:g}" if rate >= 1e-3 else f"{rate:.1e}".replace(".0", "").replace("e-0", "e-")


def snr_at(curve: CompletenessCurve, fraction: float) -> str:
    """Return the ideal S/N at which a fraction of the lines is found."""
    value = curve.at(fraction)
    return f"{value:.2f}" if np.isfinite(value) else "-"


def reliability(
    rows: NDArray[np.void], probability: NDArray[np.floating], prior: float
) -> NDArray[np.float64]:
    """Return mean probability, fraction with a line, its error and the spectra of each bin.

    Spectra are weighted so that the share of those with a line, and of those with an artefact, is
    what the probabilities assume.
    """
    line, free, _ = kinds_of(rows)
    fractions = load_config().training_set.artefact_fractions
    shares = [(prior, line), ((1 - prior) * (1 - sum(fractions.values())), free)]
    for kind, fraction in fractions.items():
        shares.append(((1 - prior) * fraction, rows["KIND"] == kind))
    weight = np.zeros(len(rows))
    for share, chosen in shares:
        weight[chosen] = share / chosen.sum()
    edges = np.array([0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1])
    which = np.clip(np.searchsorted(edges, probability, side="right") - 1, 0, len(edges) - 2)
    table = []
    for b in range(len(edges) - 1):
        inside = which == b
        total = weight[inside].sum()
        if inside.any():
            mean = (weight * probability)[inside].sum() / total
            share = weight[inside & line].sum() / total
            effective = total**2 / (weight[inside] ** 2).sum()
            error = np.sqrt(max(share * (1 - share), 1e-4) / effective)
            table.append((mean, share, error, inside.sum()))
    return np.array(table).T


def draw(
    folder: Path, rows: NDArray[np.void], scores: dict[str, NDArray[np.floating]], of: str
) -> None:
    """Draw completeness by ideal S/N, and the calibration of the default network."""
    line, free, _ = kinds_of(rows)
    edges = np.arange(2, 16.5, 0.5)
    fractions = {}
    for name, score in scores.items():
        found = score > thresholds(score[free], (RATE,))[0]
        counts = completeness_by_snr(rows["IDEAL_SNR"][line], found[line], edges)
        fractions[name] = counts.fraction
    title = "one false alarm in 2800 line-free spectra"
    draw_searches(folder / f"searches{of}.png", edges, fractions, title)
    if "speclens" in scores:
        prior = load_config().training.probability_prior
        table = reliability(rows, scores["speclens"], prior)
        draw_reliability(folder / f"reliability{of}.png", *table[:3])


def hard_mock(overrides: Sequence[str] = (), survey: str | None = None) -> Config:
    """Return the default configuration, or a survey's, with what is in the test set."""
    share = ARTEFACTS_A_SPECTRUM / 2 / (1 - LINES_A_SPECTRUM)
    return load_config(
        survey,
        [
            "training_set.line_kinds.oii=0",
            "training_set.line_kinds.line=0",
            f"training_set.artefact_fractions.spike={share}",
            f"training_set.artefact_fractions.sky_line={share}",
            # As rare as in a survey: searches that mask none would find nothing else.
            f"training_set.damage_rate={load_config(survey).survey.noise.damage_rate}",
            "training_set.second_line_fraction=0",
            *overrides,
        ],
    )


def main() -> None:
    """Simulate, score, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-c", "--config", choices=["desi"], help="mock coadds of DESI")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plates", type=int, default=126, help="simulated")
    parser.add_argument("--spectra", type=int, default=1000, help="on each plate")
    parser.add_argument("--models", nargs="*", default=["speclens", "li2019"])
    parser.add_argument("--figures", type=Path, help="folder for the figures")
    parser.add_argument("--scores", type=Path, help="keep the scores in this .npz file")
    add_option(parser)
    arguments = parser.parse_args()
    models = tuple(arguments.models)
    survey = arguments.config
    setup = Setup(hard_mock(survey=survey), arguments.seed, models, arguments.spectra)
    parts = list(map_shards(score_plate, setup, range(arguments.plates), allotted_cores()))
    rows = np.concatenate([part[0] for part in parts])
    scores = {name: np.concatenate([part[1][name] for part in parts]) for name in parts[0][1]}
    if arguments.scores:
        np.savez(arguments.scores, allow_pickle=False, rows=rows, **scores)
    of = f"_{survey}" if survey else ""
    print_tables(rows, scores, Tables(arguments.tables), f"detection{of}")
    if "speclens" in scores:
        prior = load_config().training.probability_prior
        print("\nspeclens: probability, fraction with a line, its error, spectra")
        for mean, share, error, number in reliability(rows, scores["speclens"], prior).T:
            print(f"{mean:>8.3f}{share:>8.3f}{error:>8.3f}{number:>8.0f}")
    if arguments.figures:
        draw(arguments.figures, rows, scores, of)


if __name__ == "__main__":
    main()
