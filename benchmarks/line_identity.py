"""What a lone line is: Lyman alpha told from [O II] by the search of lines.

    python benchmarks/line_identity.py [-c desi] [--plates 4] [--spectra 1000] [--tables FOLDER]

On mock plates of galaxies, or on coadds of DESI, in memory, a galaxy with emission lines is put
behind half of them, and a Lyman-alpha line behind the others: of [O II] and of Lyman alpha alike,
wavelengths are uniform from 3850 Angstrom, or where [O II] begins to be behind the lens, to 9300,
and the S/N of the line by the true errors is uniform in its logarithm from 6 to 20. So that the
mixture is that of nature, each hit counts by the number of its kind at its redshift and flux
(data/luminosity_functions.toml). Counted are hits at the line put in; contamination is the share of
[O II] in what is called Lyman alpha. The calibration error is the mean difference between
P_HYPOTHESIS, given that the line is no artefact, and the share that is right, in ten bins.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from speclens.config import load_config
from speclens.hypotheses import OII
from speclens.lines import LYMAN_ALPHA, PIXEL_LOGLAM
from speclens.sample.preparation import Preparation
from speclens.search.alternatives import ARTEFACT
from speclens.search.lines import LineSearch
from speclens.search.matched_filter import MatchedFilter
from speclens.search.search import Found, lya_sources
from speclens.search.source_prior import SourcePrior
from speclens.simulate.emission_galaxies import draw_emission, emission_spectra
from speclens.simulate.emitters import draw_emitters, line_spectra
from speclens.simulate.linear_grid import Grid
from speclens.simulate.spectrographs import that_saw
from speclens.simulate.survey import make_plate
from speclens.simulate.training_set import on_window, survey_of_galaxies
from speclens.spectra import LogGrid
from tables import Tables, add_option

WAVES, MARGIN, USUAL_WAVE = (3850.0, 9300.0), 0.06, 4300.0
SNR, SIGMA_KMS, NEAR_ANGSTROM = (6.0, 20.0), (30.0, 120.0), 10.0
RANGES = {
    "3850-4850, no [O II] behind": (3850.0, 4850.0),
    "4850-7300, H beta and [O III] in range": (4850.0, 7300.0),
    "7300-9300, [O II] alone": (7300.0, 9300.0),
}
N_BINS = 10
FIRST_PIXELS = [35515, 35540]

Floats = NDArray[np.float64]


class Setup:
    """The search, and mock plates of galaxies."""

    def __init__(self, survey: str | None, n_spectra: int, overrides: Sequence[str]) -> None:
        both = ['search.sources=["lya", "elg"]', f"survey.first_pixel_range={FIRST_PIXELS}"]
        self.config = load_config(survey, [*both, *overrides], under=["elg"])
        self.mock = survey_of_galaxies(self.config, n_spectra)
        self.grid = LogGrid.covering(*self.config.preparation.window)
        self.preparation = Preparation(self.config)
        self.matched_filter = MatchedFilter(self.grid, self.config.matched_filter)
        self.search = LineSearch(self.config, self.matched_filter)
        shifts = np.arange(10_000)
        self.priors = [
            SourcePrior(line, shifts, self.config.lines, self.config.candidates)
            for line in ("[O II]", "Ly alpha")
        ]

    def recovered(self, index: int, seed: int) -> Floats:
        """Search a plate: is Lyman alpha, wavelength, called Lyman alpha, right, P, weight."""
        rng = np.random.default_rng(np.random.SeedSequence([seed, index]))
        plate = make_plate(index, self.mock, rng)[0]
        spectrograph, observed = that_saw(plate), plate.observed
        z_lens = np.asarray(plate.targets["Z"], np.float64)
        n = len(z_lens)
        is_lya = rng.random(n) < 0.5
        first = np.maximum(WAVES[0], np.where(is_lya, 0, OII.wave * (1 + z_lens + MARGIN)))
        wave = first + rng.random(n) * (WAVES[1] - first)
        own, spread = spectrograph.grid, spectrograph.line_spread(observed.dispersion)
        drawn = self._lines(wave, is_lya, own, spread, rng)
        lines = spectrograph.of_lines(drawn)
        near = spectrograph.of_lines(_near(drawn, wave, own))
        ideal = np.sqrt((lines**2 * observed.ivar).max(axis=1, initial=0))
        strongest = np.sqrt((near**2 * observed.ivar).sum(axis=1))
        scale = np.exp(rng.uniform(np.log(SNR[0]), np.log(SNR[1]), n)) / np.maximum(strongest, 1e-9)
        scale[ideal == 0] = 0
        flux = (observed.flux + lines * scale[:, None]).astype(np.float32)
        batch = on_window(replace(plate, observed=replace(observed, flux=flux)), self.grid)
        prepared = self.preparation(batch, z_lens)
        filtered = self.matched_filter.search(prepared.residual, prepared.ivar)
        found = self.search(prepared, filtered)
        row = found.hits["ROW"]
        at_line = np.abs(found.hits["WAVE"] - wave[row]) < NEAR_ANGSTROM
        sources = lya_sources(found.hits) if found.sources is None else found.sources
        z = np.where(is_lya, wave / LYMAN_ALPHA, wave / OII.wave) - 1
        called = sources["HYPOTHESIS"] == "lya"
        right = (called == is_lya[row]) & (
            np.abs(sources["Z_SOURCE"] - z[row]) < 0.004 * (1 + z[row])
        )
        columns = [
            is_lya[row], wave[row], called, right, _given_a_source(found),
            self._weights(is_lya[row], z[row], scale[row]),
        ]  # fmt: skip
        return np.asarray(np.stack(columns, axis=1)[at_line], np.float64)

    def _lines(
        self,
        wave: Floats,
        is_lya: NDArray[np.bool_],
        grid: Grid,
        spread: NDArray[np.floating],
        rng: np.random.Generator,
    ) -> Floats:
        """Lines whose [O II] or Lyman alpha has a flux of 1: shape (N, L)."""
        galaxies = draw_emission(wave / OII.wave - 1, SIGMA_KMS, rng)
        of_galaxies = emission_spectra(galaxies, grid, spread).sum(axis=0)
        of_galaxies /= galaxies.flux_of(OII.members)[:, None]
        lines = draw_emitters(len(wave), (0.0, 1.0), self.config.emitters, rng)
        at_line = spread[np.arange(len(wave)), grid.nearest(wave)]
        narrowest = 1.02 * at_line * grid.width(wave)
        width = np.maximum(lines.width * wave / USUAL_WAVE, narrowest)
        lines = replace(lines, wave=wave, width=width, flux=np.ones(len(wave)))
        of_lya = line_spectra(lines, grid, at_line)
        return np.where(is_lya[:, None], of_lya, of_galaxies)

    def _weights(self, is_lya: NDArray[np.bool_], z: Floats, flux: Floats) -> Floats:
        """Return the number of such sources in nature."""
        shift = np.round(np.log10(1 + z) / PIXEL_LOGLAM).astype(np.intp)
        oii, lya = (np.exp(prior(shift, flux)) for prior in self.priors)
        return np.where(is_lya, lya, oii)


def _given_a_source(found: Found) -> Floats:
    """Return the probability of the hypothesis of each hit, if it is no artefact."""
    artefact = found.readings.hypotheses
    artefact = artefact[artefact["HYPOTHESIS"] == ARTEFACT]
    none = np.zeros(len(found.hits))
    none[artefact["HIT"]] = artefact["PROBABILITY"]
    sources = lya_sources(found.hits) if found.sources is None else found.sources
    return np.asarray(sources["P_HYPOTHESIS"] / np.maximum(1 - none, 1e-9), np.float64)


def _near(lines: Floats, wave: Floats, grid: Grid) -> Floats:
    return np.where(np.abs(grid.wave - wave[:, None]) < 3 * NEAR_ANGSTROM, lines, 0)


TITLES = (
    "wavelength", "Ly alpha", "told right", "[O II]", "told right", "contamination",
    "calibration error",
)  # fmt: skip


def rows_of(results: Floats) -> Iterator[list[str]]:
    """Yield the rows of the table."""
    for name, (low, high) in RANGES.items():
        own = results[(results[:, 1] >= low) & (results[:, 1] < high)]
        lya, called = own[:, 0] == 1, own[:, 2] == 1
        right, probability, weight = own[:, 3:6].T
        yield [
            name,
            str(lya.sum()),
            _mean(called[lya], weight[lya]),
            str((~lya).sum()),
            _mean(~called[~lya], weight[~lya]),
            _mean(~lya[called], weight[called]),
            f"{calibration_error(probability, right, weight):.3f}",
        ]


def _mean(values: NDArray[np.bool_], weight: Floats) -> str:
    return f"{np.average(values, weights=weight):.1%}" if len(values) else "-"


def calibration_error(probability: Floats, right: Floats, weight: Floats) -> float:
    """Return the mean difference of stated and true probability."""
    bins = np.minimum((probability * N_BINS).astype(int), N_BINS - 1)
    off = [np.abs(((probability - right) * weight)[bins == i].sum()) for i in range(N_BINS)]
    return float(np.sum(off) / weight.sum())


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-c", "--config", choices=["desi"], help="mock coadds of DESI")
    parser.add_argument("--set", action="append", default=[], help="section.key=value")
    parser.add_argument("--plates", type=int, default=4)
    parser.add_argument("--spectra", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    add_option(parser)
    arguments = parser.parse_args()
    survey = arguments.config
    setup = Setup(survey, arguments.spectra, arguments.set)
    parts = [setup.recovered(index, arguments.seed) for index in range(arguments.plates)]
    rows = rows_of(np.concatenate(parts))
    name = f"line_identity_{survey}" if survey else "line_identity"
    Tables(arguments.tables).show(name, TITLES, rows)


if __name__ == "__main__":
    main()
