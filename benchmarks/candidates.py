"""Candidates beside the oracle: completeness at equal rates of false candidates, on a hard mock.

    python benchmarks/candidates.py [--plates 60] [--rate 1e-4] [--tables docs/tables]

The spectra are those of `detection.py`, whole. The default search searches, vets and ranks them as
`speclens search` does; beside its candidates stand its hits, the rival's (Shu et al. 2016, on the
same window), and those of oracles that know continuum, noise level and line shape. A plate is
simulated, searched and forgotten: what stays is a number for each spectrum and search.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detection import (
    Setup,
    hard_mock,
    kinds_of,
    oracles,
    rows_of,
    simulated,
    snr_at,
)
from speclens.candidates.lens_probability import lens_probability
from speclens.config import Config, load_config
from speclens.evaluate.completeness import fit_completeness, wilson_interval
from speclens.evaluate.false_hits import score_of
from speclens.evaluate.rates import rates_around
from speclens.evaluate.search_scores import NOTHING, ranked, threshold_of
from speclens.evaluate.vetting import CROWD
from speclens.evidence.gather import Gatherer, GatherSettings, gathered_arrays
from speclens.evidence.nearby import companions_of
from speclens.evidence.same_line import line_in_spectra
from speclens.evidence.store import evidence_of
from speclens.lines import pixel_width_angstrom
from speclens.run.store import ShardStore
from speclens.run.workers import allotted_cores, map_shards
from speclens.sample.error_growth import preparation_of
from speclens.sample.preparation import Preparation
from speclens.search import shard_rows
from speclens.search.detection import Detection, Detector
from speclens.search.matched_filter import MatchedFilter
from speclens.search.scan import ScanSettings
from speclens.search.searches import open_search
from speclens.simulate.plates import Plate
from speclens.simulate.training_set import on_window
from speclens.vet.vetting import vet_alone
from tables import Tables, add_option

FLUX_EDGES = np.array([5.0, 7, 10, 15, 25])
WAVES = (3800.0, 4800.0)
"""Where the rival looks too."""

LEAST_PROBABILITY = 0.02
"""Hits that the network believes less are not vetted: they are far more frequent than any rate of
false candidates that is asked for."""

FIRST_PIXELS, SPECTRUM = (35515, 35540), (3582.0, 10300.0)
"""Plates, and the wavelengths that all of them cover."""

NOT_MEASURED = "not measured"
Scores = dict[str, NDArray[np.floating]]
Rows = NDArray[np.void]


@dataclass
class CandidateSetup(Setup):
    """What all plates share, with the default search and its vetting."""

    @cached_property
    def detector(self) -> Detector:
        """The default search, of hits that it believes less too."""
        lower = {"probability_min": LEAST_PROBABILITY}
        search = self.config.search.model_copy(update=lower)
        config = self.config.model_copy(update={"search": search})
        matched_filter = MatchedFilter(self.grid, config.matched_filter)
        return Detector(preparation_of(config), matched_filter, open_search(config, matched_filter))

    @cached_property
    def gatherer(self) -> Gatherer:
        """What vetting needs of a hit; nothing is stored."""
        scan = ScanSettings(self.config, ShardStore(Path(), ""))
        return Gatherer(GatherSettings(scan, Path()))

    @cached_property
    def rival(self) -> tuple[Preparation, MatchedFilter]:
        """The search of Shu et al. 2016, on the window of the others."""
        low, high = self.config.preparation.window
        config = load_config("shu2016", [f"preparation.window=[{low}, {high}]"])
        return preparation_of(config), MatchedFilter(self.grid, config.matched_filter)


def score_plate(setup: CandidateSetup, index: int) -> tuple[Rows, Scores]:
    """Simulate one plate, and score it with every search."""
    rng, plate, truth = simulated(setup, index, whole=True)
    batch, z = on_window(plate, setup.grid), plate.targets["Z"]
    found = setup.detector(batch, z)
    rows = rows_of(setup, plate, truth, found.prepared)
    scores = own_scores(setup, plate, found, rows)
    preparation, matched_filter = setup.rival
    by_rival = preparation(batch, z)
    scores["`shu2016`"] = matched_filter.search(by_rival.residual, by_rival.ivar).snr
    scores |= oracles(setup, plate, truth, found.prepared, rng)
    line, free, _ = kinds_of(rows)
    kept = (line & (rows["WAVE"] > WAVES[0]) & (rows["WAVE"] < WAVES[1])) | free
    return rows[kept], {name: score[kept] for name, score in scores.items()}


def own_scores(setup: CandidateSetup, plate: Plate, found: Detection, rows: Rows) -> Scores:
    """Return the best hit and the best candidate of each spectrum, those at its line if it has one.

    Candidates are ranked by P_HYPOTHESIS times P_LENSED, by the former alone, and as hits are; hits
    by the network, and by P_HYPOTHESIS, which is vetting without its vetoes.
    """
    config, hit_rows = setup.config, found.hits["ROW"]
    spectra = shard_rows.rows_of(plate.targets, [plate.label] * len(rows), "sdss")
    spectra["Z"], spectra["PROBABILITY"] = plate.targets["Z"], found.probability
    of_hits = spectra[hit_rows], plate.targets[hit_rows]
    hits = shard_rows.hits_of(found.hits, found.sources, *of_hits, config.search)
    vetted = vetted_hits(setup, plate, spectra, hits, hit_rows)
    by_network, left = ranked(hits, config), vetted["CANDIDATE"]
    likely = np.nan_to_num(vetted["P_HYPOTHESIS"], nan=-1.0)
    values = {
        "candidates": np.where(left, score_of(vetted), NOTHING),
        "candidates, by `P_HYPOTHESIS`": np.where(left, likely, NOTHING),
        "candidates, by the network": np.where(left, by_network, NOTHING),
        "hits": by_network,
        "hits, by `P_HYPOTHESIS`": likely,
    }
    reach = config.evaluation.match_pixels * pixel_width_angstrom(hits["WAVE"])
    there = np.abs(hits["WAVE"] - rows["WAVE"][hit_rows]) <= reach
    counts = there | (rows["KIND"][hit_rows] != "lya")
    best = {name: np.full(len(rows), NOTHING) for name in values}
    for name, of_hit in values.items():
        np.maximum.at(best[name], hit_rows[counts], of_hit[counts])
    return dict(best)


def vetted_hits(
    setup: CandidateSetup, plate: Plate, spectra: Rows, hits: Rows, hit_rows: NDArray[np.intp]
) -> Rows:
    """Vet the hits of a plate; each is alone, so that over-densities take no part."""
    config, gatherer = setup.config, setup.gatherer
    whole = on_window(plate, gatherer.grid)
    requests, _ = companions_of(hits, [spectra], config.vet)
    companions = line_in_spectra(whole[requests["ROW"]], requests, config)
    numbers = np.arange(len(hits))
    arrays = gathered_arrays(gatherer, whole[hit_rows], numbers, hits, companions)
    vetted = vet_alone(hits, evidence_of(arrays), config, np.zeros(0, CROWD))
    vetted["P_LENSED"] = lens_probability(vetted, config.candidates)
    return vetted


def print_tables(rows: Rows, scores: Scores, rate: float, tables: Tables) -> None:
    """Print completeness by line flux, and the ideal S/N of half and of 90 %, at one rate."""
    line, free, _ = kinds_of(rows)
    print(
        f"{free.sum()} spectra without a line, {line.sum()} lines between {WAVES[0]:.0f} and "
        f"{WAVES[1]:.0f} Angstrom outside masks; false candidates a spectrum: at most {rate:g}"
    )
    bins = [f"{low:.0f}-{high:.0f}" for low, high in pairwise(FLUX_EDGES)]
    titles = ["line flux", *bins, "half found at ideal S/N", "90 % found at", "false"]
    cells = [[name, *cells_of(rows, score, rate)] for name, score in scores.items()]
    tables.show("candidates_oracle", titles, cells)


def cells_of(rows: Rows, score: NDArray[np.floating], rate: float) -> list[str]:
    """Return the cells of one search; intervals are those of lines and of threshold together."""
    line, free, _ = kinds_of(rows)
    if rate * free.sum() < 1:
        return [*[NOT_MEASURED] * (len(FLUX_EDGES) + 1), f"of {int(free.sum()):,}"]
    empty = score[free].astype(np.float64)
    found, fewer, more = (score > threshold_of(empty, of) for of in rates_around(rate, len(empty)))
    n_found, n_fewer, n_more, n_lines = (
        np.histogram(rows["FLUX"][line & one], FLUX_EDGES)[0] for one in (found, fewer, more, True)
    )
    ends = wilson_interval(n_fewer, n_lines)[0], wilson_interval(n_more, n_lines)[1]
    shares = 100 * np.stack([n_found / np.maximum(n_lines, 1), *ends])
    curve = fit_completeness(rows["IDEAL_SNR"][line], found[line])
    return [
        *(f"{share:.1f} ({a:.1f} to {b:.1f})" for share, a, b in shares.T.tolist()),
        snr_at(curve, 0.5),
        snr_at(curve, 0.9),
        f"{int((found & free).sum())} of {int(free.sum()):,}",
    ]


def mock_with_whole_spectra() -> Config:
    """Return the configuration: whole spectra of the same pixels, for vetting looks at all."""
    return hard_mock([
        f"survey.first_pixel_range={list(FIRST_PIXELS)}", f"vet.spectrum={list(SPECTRUM)}",
    ])  # fmt: skip


def main() -> None:
    """Simulate, search, vet, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plates", type=int, default=60, help="simulated")
    parser.add_argument("--spectra", type=int, default=1000, help="on each plate")
    parser.add_argument("--rate", type=float, default=1e-4, help="false candidates a spectrum")
    parser.add_argument("--workers", type=int, default=allotted_cores())
    parser.add_argument("--scores", type=Path, help="keep the scores in this .npz file")
    add_option(parser)
    arguments = parser.parse_args()
    config = mock_with_whole_spectra()
    setup = CandidateSetup(config, arguments.seed, (), arguments.spectra)
    parts = list(map_shards(score_plate, setup, range(arguments.plates), arguments.workers))
    rows = np.concatenate([part for part, _ in parts])
    scores = {name: np.concatenate([own[name] for _, own in parts]) for name in parts[0][1]}
    if arguments.scores:
        np.savez(arguments.scores, allow_pickle=False, rows=rows, **scores)
    print_tables(rows, scores, arguments.rate, Tables(arguments.tables))


if __name__ == "__main__":
    main()
