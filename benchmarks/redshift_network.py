"""The network of redshifts beside the search of lines: what each finds at the same false alarms.

    python benchmarks/redshift_network.py [--model MODEL] [--regressor FILE] [--tables docs/tables]

Behind each sixth galaxy of mock plates is a source, an emission-line galaxy or (three in ten) an
emitter of Lyman alpha: ratios with scatter, 30 to 120 km/s, or lines as wide and skewed as
published ones; z uniform from the lens's + 0.06, or from 2.0, to where the last line leaves the
window; total S/N by the true errors uniform in its logarithm from 6 to 40, masked pixels included.
All searches see 3600 to 9200 Angstrom. A source is found where the statistic of a spectrum is above
the limit for a rate of false alarms, and right if its redshift is, within 0.003 (1 + z). The
statistic is the ln evidence of the likeliest source; with --regressor that network of
`source_regressor.py` stands beside, whose statistic is a logit. Errors of `lines` grow as on the
mock.

With SPECLENS_DATA such sources are put behind real galaxies, too, and the limits are the mock's.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from line_search import LYA_WAVE_USUAL, MARGIN, SIGMA_KMS, SNR
from mock_plates import FIRST_PIXELS, MockPlates, measure_growth, sky_growth
from speclens.config import Config, load_config
from speclens.hypotheses import OII
from speclens.lines import LYMAN_ALPHA, pixel_width_angstrom
from speclens.read.discovery import find_survey_files
from speclens.read.sdss.spec import read_spec_files
from speclens.run.workers import allotted_cores, map_shards
from speclens.sample.preparation import Preparation, PreparedSpectra
from speclens.sample.selection import refusals
from speclens.search.matched_filter import MatchedFilter
from speclens.search.search import Found, Search, lya_sources
from speclens.search.searched_pixels import SearchedPixels
from speclens.search.searches import open_search
from speclens.simulate.emission_galaxies import draw_emission, emission_spectra
from speclens.simulate.emitters import draw_emitters, line_spectra
from speclens.simulate.survey import make_plate
from speclens.simulate.training_set import on_window, survey_of_galaxies
from speclens.spectra import LogGrid, SpectrumBatch
from tables import Tables, add_option

SOURCE_SHARE, LYA_SHARE = 6, 0.3
"""One spectrum of so many has a source, and this share of sources is Lyman alpha."""

RATES = (1e-2, 1e-3, 1e-4)
MIDDLE_RATE = RATES[1]
RIGHT = 0.003
SEEN_SNR = 3.0
"""Of a line that counts as seen."""

SNR_BINS = ((6, 8), (8, 10), (10, 15), (15, 40))
KINDS = ("elg", "lya")
LYA_REDSHIFT = 2.0
LEAST_PROBABILITY = 1e-6
"""So little makes a hit: where to cut is decided afterwards."""

REAL_REPEATS, REAL_SEED = 20, 7901

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]
Detector = Callable[[PreparedSpectra], tuple[Floats, Floats]]
"""Gives the statistic of each of N spectra, -inf without a hit, and the redshift."""


@dataclass(frozen=True)
class Scores:
    """What was put into N spectra, and what each search makes of them.

    Parameters
    ----------
    snr, z : array of shape (N,)
        Total S/N of the source, 0 for none, and its redshift.
    kind : array of shape (N,)
        Number of its kind.
    n_seen : array of shape (N,)
        Its lines with a S/N above 3 on pixels that no mask hides.
    found : dict of str to array of shape (N, 2)
        Statistic and redshift by each search.
    """

    snr: Floats
    z: Floats
    kind: NDArray[np.intp]
    n_seen: NDArray[np.intp]
    found: Mapping[str, NDArray[np.float64]]

    def right(self, name: str) -> NDArray[np.bool_]:
        """Say which redshifts a search has right."""
        z = self.found[name][:, 1]
        return np.asarray(np.abs(z - self.z) < RIGHT * (1 + self.z))


@dataclass
class Setup(MockPlates):
    """Galaxies, and the searches behind them."""

    model: str = "redshift"
    regressor: Path | None = None

    @cached_property
    def mock(self) -> Config:
        """Plates that hold galaxies alone."""
        survey = f"survey.first_pixel_range={list(FIRST_PIXELS)}"
        return survey_of_galaxies(load_config("redshift", [survey]), self.n_spectra)

    @cached_property
    def preparation(self) -> Preparation:
        """The steps before all searches."""
        return Preparation(self.mock, sky_growth(self.sky, self.mock))

    @cached_property
    def detectors(self) -> dict[str, Detector]:
        """Each search."""
        grid = self.preparation.grid
        settings = [f'search.model="{self.model}"', f"search.probability_min={LEAST_PROBABILITY}"]
        network = load_config("redshift", settings)
        window = f"preparation.window={list(self.mock.preparation.window)}"
        both = [window, 'search.sources=["elg", "lya"]', "lines.ln_evidence_min=5.0"]
        growth = [f'noise.growth="{self.growth}"'] if self.growth else []
        configs = {
            "redshift network": network, "lines": load_config("elg", [*both, *growth]),
        }  # fmt: skip
        made: dict[str, Detector] = {}
        for name, config in configs.items():
            matched_filter = MatchedFilter(grid, config.matched_filter)
            made[name] = _Searched(open_search(config, matched_filter), matched_filter)
        if self.regressor is not None:
            made["one number"] = _Regressed(self.regressor, network, grid)
        return made


class _Searched:
    """A search of speclens, ranked by evidence."""

    def __init__(self, search: Search, matched_filter: MatchedFilter) -> None:
        self._search, self._matched_filter = search, matched_filter

    def __call__(self, spectra: PreparedSpectra) -> tuple[Floats, Floats]:
        found: Found = self._search(
            spectra, self._matched_filter.search(spectra.residual, spectra.ivar)
        )
        sources = lya_sources(found.hits) if found.sources is None else found.sources
        statistic = np.full(len(spectra), -np.inf)
        z = np.full(len(spectra), np.nan)
        # The best of a spectrum comes last, and stays.
        order = np.argsort(sources["LN_EVIDENCE"], kind="stable")
        row, sources = found.hits["ROW"][order], sources[order]
        statistic[row], z[row] = sources["LN_EVIDENCE"], sources["Z_SOURCE"]
        return statistic, z


class _Regressed:
    """The network of one number."""

    def __init__(self, path: Path, config: Config, grid: LogGrid) -> None:
        from source_regressor import read_regressor

        self._names = config.network.inputs
        self._network = read_regressor(path, len(self._names), grid.n_pixels)
        self._searched = SearchedPixels(grid, config.lines)

    def __call__(self, spectra: PreparedSpectra) -> tuple[Floats, Floats]:
        import torch

        seen = self._searched.fitted(spectra)
        inputs = self._searched.inputs(self._names, seen, spectra.z)
        batches = (torch.from_numpy(inputs[i : i + 64]) for i in range(0, len(inputs), 64))
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            logit, shift = zip(*(self._network(part) for part in batches), strict=True)
        return torch.cat(logit).double().numpy(), np.expm1(torch.cat(shift).double().numpy())


def score_plate(setup: Setup, index: int) -> Scores:
    """Simulate one plate, put sources behind some of its galaxies, and search it."""
    rng = np.random.default_rng(np.random.SeedSequence([setup.seed, index]))
    plate, _ = make_plate(index, setup.mock, rng)
    batch = on_window(plate, setup.preparation.grid)
    _, window = batch.grid.overlap(plate.grid)
    rows = np.arange(0, len(batch), SOURCE_SHARE)
    return scored(setup, batch, plate.observed.true_ivar[:, window], rows, rng)


def scored(
    setup: Setup,
    batch: SpectrumBatch,
    ivar: NDArray[np.floating],
    rows: Rows,
    rng: np.random.Generator,
) -> Scores:
    """Put a source behind some spectra, whose true inverse variance is known, and search all."""
    n = len(batch)
    snr, z, n_seen = np.zeros(n), np.full(n, np.nan), np.zeros(n, np.intp)
    kind = (rng.random(n) < LYA_SHARE).astype(np.intp)
    usual = np.interp(batch.grid.wave, *np.array(setup.mock.matched_filter.dispersion).T)
    flux = batch.flux.copy()
    for number, draw in enumerate((draw_galaxies, draw_lya)):
        own = rows[kind[rows] == number]
        spread = np.where(batch.dispersion > 0, batch.dispersion, usual)[own]
        behind = _Lenses(setup.mock, batch.grid, batch.targets["Z"][own].astype(float), spread)
        z[own], lines = draw(behind, rng)  # (K, n, L)
        snr[own] = np.exp(rng.uniform(np.log(SNR[0]), np.log(SNR[1]), len(own)))
        lines *= (snr[own] / np.sqrt((lines.sum(axis=0) ** 2 * ivar[own]).sum(axis=1)))[:, None]
        flux[own] += lines.sum(axis=0).astype(np.float32)
        seen = np.where(batch.mask[own] | (batch.ivar[own] <= 0), 0, ivar[own])
        n_seen[own] = (np.sqrt((lines**2 * seen).sum(axis=2)) > SEEN_SNR).sum(axis=0)
    prepared = setup.preparation(replace(batch, flux=flux), batch.targets["Z"].astype(float))
    found = {
        name: np.stack(detector(prepared), axis=1) for name, detector in setup.detectors.items()
    }
    return Scores(snr, z, kind, n_seen, found)


@dataclass
class _Lenses:
    """What stands before sources."""

    config: Config
    grid: LogGrid
    z: Floats
    dispersion: NDArray[np.floating]

    @property
    def last_wave(self) -> float:
        """Where the last line of a source may be."""
        return 0.99 * float(self.grid.wave[-1])


def draw_galaxies(lenses: _Lenses, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Draw emission-line galaxies: redshifts, and flux density of each line, (K, n, L)."""
    first, last = lenses.z + MARGIN, lenses.last_wave / OII.wave - 1
    z = first + rng.random(len(first)) * (last - first)
    return z, emission_spectra(
        draw_emission(z, SIGMA_KMS, rng), lenses.grid, lenses.dispersion
    ).astype(np.float64)


def draw_lya(lenses: _Lenses, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Draw emitters of Lyman alpha, of the published widths in velocity."""
    n = len(lenses.z)
    first, last = LYA_REDSHIFT, lenses.last_wave / LYMAN_ALPHA - 1
    z = first + rng.random(n) * (last - first)
    wave = LYMAN_ALPHA * (1 + z)
    spread = lenses.dispersion[np.arange(n), lenses.grid.nearest(wave)]
    drawn = draw_emitters(n, (0.0, 1.0), lenses.config.emitters, rng)
    # No line is narrower than the spectrograph's.
    narrowest = 1.02 * spread * pixel_width_angstrom(wave)
    width = np.maximum(drawn.width * wave / LYA_WAVE_USUAL, narrowest)
    lines = replace(drawn, wave=wave, width=width)
    return z, line_spectra(lines, lenses.grid, spread)[None].astype(np.float64)


def score_real(setup: Setup, folder: Path) -> Scores:
    """Put sources behind real galaxies, each several times."""
    grid = setup.preparation.grid
    batch = read_spec_files(find_survey_files([str(folder)]).paths, grid).batch
    batch = batch[refusals(batch.targets, setup.mock.selection) == ""]
    rng = np.random.default_rng(np.random.SeedSequence([setup.seed, REAL_SEED]))
    rows = np.arange(len(batch))
    parts = [scored(setup, batch, batch.ivar, rows, rng) for _ in range(REAL_REPEATS)]
    return joined(parts)


def joined(parts: Sequence[Scores]) -> Scores:
    """Put the plates together."""
    found = {name: np.concatenate([p.found[name] for p in parts]) for name in parts[0].found}
    snr, z, kind, n_seen = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("snr", "z", "kind", "n_seen")
    )
    return Scores(snr, z, kind, n_seen, found)


def limit(scores: Scores, name: str, rate: float) -> float:
    """Return the statistic above which a share of the spectra without a source lies."""
    ordered = np.sort(scores.found[name][scores.snr == 0, 0])[::-1]
    return float(ordered[min(round(rate * len(ordered)), len(ordered) - 1)])


def percent(of: NDArray[np.bool_]) -> str:
    """Return a share as a cell; there may be none."""
    return f"{100 * of.mean():.1f}" if len(of) else "-"


def show(mock: Scores, real: Scores | None, tables: Tables) -> None:
    """Print the tables."""
    source = mock.snr > 0
    print(f"{(~source).sum()} spectra without a source, {source.sum()} with one")
    above = {
        (name, rate): found[:, 0] > limit(mock, name, rate)
        for name, found in mock.found.items()
        for rate in RATES
    }
    rows = []
    for name in mock.found:
        right = mock.right(name)
        cells = [percent((above[name, rate] & right)[source]) for rate in RATES]
        found = above[name, MIDDLE_RATE] & source
        several = found & (mock.n_seen > 1)
        rows.append([name, *cells, percent(right[found]), percent(right[several])])
    titles = ["search", *(f"found and right at {rate:g}" for rate in RATES)]
    titles += [f"right of the found at {MIDDLE_RATE:g}", "with two lines or more"]
    tables.show("redshift_network", titles, rows)
    rows = []
    for name in mock.found:
        good = above[name, MIDDLE_RATE] & mock.right(name)
        for number, kind in enumerate(KINDS):
            own = source & (mock.kind == number)
            inside = [own & (mock.snr >= low) & (mock.snr < high) for low, high in SNR_BINS]
            rows.append([name, kind, percent(good[own]), *(percent(good[of]) for of in inside)])
    titles = ["search", "source", f"found and right at {MIDDLE_RATE:g}"]
    titles += [f"S/N {low}-{high}" for low, high in SNR_BINS]
    tables.show("redshift_network_snr", titles, rows)
    if real is not None:
        show_real(mock, real, tables)


def show_real(mock: Scores, real: Scores, tables: Tables) -> None:
    """Print what is found behind real galaxies, by the limits of the mock."""
    rows = []
    for name in mock.found:
        least = limit(mock, name, MIDDLE_RATE)
        cells = []
        for scores in (mock, real):
            good = (scores.found[name][:, 0] > least) & scores.right(name)
            cells.append(percent(good[scores.snr > 0]))
        rows.append([name, *cells])
    print(f"{len(real.snr)} sources behind real galaxies")
    titles = ["search", "mock: found and right", "real galaxies"]
    tables.show("redshift_network_real", titles, rows)


def main() -> None:
    """Simulate, search, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="redshift", help="a model's folder, or a bundled one")
    parser.add_argument("--regressor", type=Path, help="of source_regressor.py, to stand beside")
    parser.add_argument("--plates", type=int, default=120, help="simulated")
    parser.add_argument("--spectra", type=int, default=1000, help="on each plate")
    parser.add_argument("--seed", type=int, default=1)
    add_option(parser)
    arguments = parser.parse_args()
    shared = (arguments.spectra, arguments.seed)
    with TemporaryDirectory() as folder:
        growth = Path(folder) / "growth.fits"
        measure_growth(Setup(*shared), growth)
        setup = Setup(*shared, str(growth), arguments.model, arguments.regressor)
        parts = list(map_shards(score_plate, setup, range(arguments.plates), allotted_cores()))
    data = os.environ.get("SPECLENS_DATA")
    real = Setup(*shared, "", arguments.model, arguments.regressor)
    galaxies = score_real(real, Path(data) / "boss" / "galaxies") if data else None
    show(joined(parts), galaxies, Tables(arguments.tables))


if __name__ == "__main__":
    main()
