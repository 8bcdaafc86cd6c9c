"""Fit what the S/N of a source's lines tells beside the network of redshifts.

    python benchmarks/redshift_weight.py [--plates 40]

Galaxies and sources of `redshift_network.py`, on plates that it does not search. The ln odds of a
source are those of the network, plus `snr_weight` for each S/N of the likeliest source's lines
above a usual one; galaxies before the lens are too few here to count. The likeliest two numbers are
printed, for `[search]` of `configs/speclens.toml`. As many spectra have a source as the network
assumes, and as many of these a S/N above S as 1/S^2: bright ones are rare.
"""

from __future__ import annotations

import argparse
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from redshift_network import Detector, Scores, Setup, joined, score_plate
from speclens.config import load_config
from speclens.run.workers import allotted_cores, map_shards
from speclens.sample.preparation import PreparedSpectra
from speclens.search.matched_filter import MatchedFilter
from speclens.search.search import lya_sources
from speclens.search.searches import open_search

SLOPE, SEED = 2.0, 2
UNSEEN = -50.0
"""ln odds of spectra without any line."""

Floats = NDArray[np.float64]


class Unweighed(Setup):
    """The network alone: its own odds, and the S/N of its likeliest source."""

    @cached_property
    def detectors(self) -> dict[str, Detector]:
        """One search, as `score_plate` asks for it."""
        settings = ["search.snr_weight=0.0", "search.probability_min=1e-6"]
        config = load_config("redshift", settings)
        matched_filter = MatchedFilter(self.preparation.grid, config.matched_filter)
        search = open_search(config, matched_filter)

        def of_lines(spectra: PreparedSpectra) -> tuple[Floats, Floats]:
            found = search(spectra, matched_filter.search(spectra.residual, spectra.ivar))
            sources = lya_sources(found.hits) if found.sources is None else found.sources
            odds, snr = np.full(len(spectra), UNSEEN), np.zeros(len(spectra))
            # The likeliest of a spectrum comes last, and stays.
            order = np.argsort(sources["LN_EVIDENCE"], kind="stable")
            row = found.hits["ROW"][order]
            odds[row] = sources["LN_EVIDENCE"][order]
            snr[row] = sources["SNR_LINES"][order]
            return odds, snr

        return {"network": of_lines}


def fit(scores: Scores) -> tuple[float, float]:
    """Return the weight and the usual S/N of the highest likelihood."""
    config = load_config("redshift")
    most, prior = config.search.snr_weighed[1], config.training.probability_prior
    odds, snr = scores.found["network"].T
    snr = np.minimum(snr, most)
    source = scores.snr > 0
    natural = np.where(source, np.maximum(scores.snr, 1.0) ** -SLOPE, 0)
    weight = np.where(source, prior * (~source).sum() * natural / natural.sum(), 1.0)

    def loss(parameters: Floats) -> float:
        told = np.where(odds > UNSEEN, odds + parameters[0] * (snr - parameters[1]), UNSEEN)
        return float((weight * (np.logaddexp(0, told) - source * told)).sum() / weight.sum() * 1e3)

    found = minimize(loss, [1.0, 4.0], method="Nelder-Mead").x
    return float(found[0]), float(found[1])


def main() -> None:
    """Simulate, search, fit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plates", type=int, default=40)
    parser.add_argument("--spectra", type=int, default=1000, help="on each plate")
    arguments = parser.parse_args()
    setup, plates = Unweighed(arguments.spectra, SEED), range(arguments.plates)
    scores = joined(list(map_shards(score_plate, setup, plates, allotted_cores())))
    weight, usual = fit(scores)
    print(f"{len(scores.snr)} spectra: snr_weight {weight:.2f}, of S/N above {usual:.2f}")


if __name__ == "__main__":
    main()
