"""What the search of lines finds behind real galaxies, and what it finds where nothing is.

    SPECLENS_DATA=FOLDER python benchmarks/line_search.py [--repeats 40] [--tables docs/tables]

Emission-line galaxies (ratios with scatter, 30 to 120 km/s, z to 1.6, total S/N uniform in its
logarithm from 6 to 40) are put behind the galaxies of `boss/galaxies`, one into each at a time. No
source: the galaxies as they are, and with their residuals turned over. S/N is that by the errors of
pixels, before those of lines grow to what residuals are. A source counts when its strongest line is
not masked; it is found when the search has a hit, and right when its redshift is within
0.001 (1 + z). The bundled growth of the errors was measured on the same galaxies.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config, load_config
from speclens.products import replacing
from speclens.read.discovery import find_survey_files
from speclens.read.sdss.spec import read_spec_files
from speclens.sample.preparation import Preparation, PreparedSpectra
from speclens.search.lines import LineSearch
from speclens.search.matched_filter import MatchedFilter
from speclens.search.search import Found, lya_sources
from speclens.simulate.emission_galaxies import draw_emission, emission_spectra
from speclens.spectra import LogGrid, SpectrumBatch

BINS = ((6, 8), (8, 10), (10, 15), (15, 30), (30, 40))
SNR, SIGMA_KMS, Z_MAX, MARGIN = (6.0, 40.0), (30.0, 120.0), 1.6, 0.06
RIGHT = 0.001

Floats = NDArray[np.float64]


class Setup:
    """The galaxies, and the search."""

    def __init__(self, folder: Path, config: Config) -> None:
        self.grid = LogGrid.covering(*config.preparation.window)
        paths = find_survey_files([str(folder)]).paths
        self.batch = read_spec_files(paths, self.grid).batch
        self.z = np.asarray(self.batch.targets["Z"], np.float64)
        self.preparation = Preparation(config)
        self.matched_filter = MatchedFilter(self.grid, config.matched_filter)
        self.search = LineSearch(config, self.matched_filter)
        self.prepared = self.preparation(self.batch, self.z)
        usual = np.interp(self.grid.wave, *np.array(config.matched_filter.dispersion).T)
        self.dispersion = np.where(self.batch.dispersion > 0, self.batch.dispersion, usual)

    def found(self, prepared: PreparedSpectra) -> Found:
        """Search."""
        filtered = self.matched_filter.search(prepared.residual, prepared.ivar)
        return self.search(prepared, filtered)


def empty_hits(setup: Setup) -> tuple[int, int]:
    """Count hits without a source: of the galaxies as they are, and turned over."""
    turned = replace(setup.prepared, flux=2 * setup.prepared.model - setup.prepared.flux)
    return len(setup.found(setup.prepared).hits), len(setup.found(turned).hits)


def recovered(setup: Setup, rng: np.random.Generator) -> Floats:
    """Put a source behind each galaxy: S/N, masked, found, right, redshift; shape (N, 5)."""
    n = len(setup.z)
    z = setup.z + MARGIN + rng.random(n) * (Z_MAX - MARGIN - setup.z)
    galaxies = draw_emission(z, SIGMA_KMS, rng)
    lines = emission_spectra(galaxies, setup.grid, setup.dispersion)  # (K, N, L)
    ideal = np.sqrt((lines**2 * setup.prepared.ivar).sum(axis=2))  # (K, N)
    snr = np.exp(rng.uniform(np.log(SNR[0]), np.log(SNR[1]), n))
    scale = snr / np.sqrt((ideal**2).sum(axis=0))
    added = (lines.sum(axis=0) * scale[:, None]).astype(np.float32)
    batch: SpectrumBatch = replace(setup.batch, flux=setup.batch.flux + added)
    prepared = setup.preparation(batch, setup.z)
    found = setup.found(prepared)
    strongest = lines[ideal.argmax(axis=0), np.arange(n)].argmax(axis=1)
    _, ivar = setup.search.pixels(prepared, np.arange(n))
    result = np.zeros((n, 5))
    result[:, 0], result[:, 1], result[:, 4] = snr, ivar[np.arange(n), strongest] == 0, galaxies.z
    row = found.hits["ROW"]
    sources = lya_sources(found.hits) if found.sources is None else found.sources
    dz = np.abs(sources["Z_SOURCE"] - galaxies.z[row]) / (1 + galaxies.z[row])
    result[row, 2], result[row, 3] = 1, dz < RIGHT
    return result


def table(results: Floats, n_galaxies: int, empty: tuple[int, int]) -> str:
    """Return the numbers as Markdown."""
    counted = results[results[:, 1] == 0]
    text = "| total S/N | sources | found | found, redshift right |\n| --- | --- | --- | --- |\n"
    for low, high in BINS:
        own = counted[(counted[:, 0] >= low) & (counted[:, 0] < high)]
        text += f"| {low}-{high} | {len(own)} | {own[:, 2].mean():.1%} | {own[:, 3].mean():.1%} |\n"
    masked = results[:, 1].mean()
    return (
        f"{text}\n{n_galaxies} real galaxies; strongest line masked: {masked:.1%}. "
        f"Without a source: {empty[0]} hits as they are, {empty[1]} turned over.\n"
    )


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tables", type=Path, help="keep the table here, for `make tables`")
    arguments = parser.parse_args()
    data = os.environ.get("SPECLENS_DATA", "")
    if not data:
        raise SystemExit("SPECLENS_DATA: name the folder of real survey files")
    setup = Setup(Path(data) / "boss" / "galaxies", load_config("elg"))
    rng = np.random.default_rng(arguments.seed)
    results = np.concatenate([recovered(setup, rng) for _ in range(arguments.repeats)])
    text = table(results, len(setup.z), empty_hits(setup))
    print(text)
    if arguments.tables:
        with replacing(arguments.tables / "line_search.md") as file:
            file.write(text.encode())


if __name__ == "__main__":
    main()
