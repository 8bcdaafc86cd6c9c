"""What the search of lines finds behind real galaxies and quasars, and where nothing is.

    SPECLENS_DATA=FOLDER python benchmarks/line_search.py [--repeats 40] [--tables docs/tables]

Sources are put behind the galaxies of `boss/galaxies`, and behind the quasars of `quasars` and
`boss/stars_and_quasars`, one into each at a time: emission-line galaxies (ratios with scatter, 30
to 120 km/s, z to 1.6), and behind quasars Lyman-alpha lines as wide and as skewed as those of the
published candidates (to 9500 Angstrom). Total S/N is uniform in its logarithm from 6 to 40. No
source: the spectra as they are, and with their residuals turned over. S/N is that by the errors of
pixels, before those of lines grow to what residuals are. A source counts when its strongest line is
not masked; it is found when the search has a hit, and right when its redshift is within 0.001
(1 + z). The bundled growth of the errors was measured on the same spectra.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config, load_config
from speclens.lines import LYMAN_ALPHA, pixel_width_angstrom
from speclens.products import replacing
from speclens.read.discovery import find_survey_files
from speclens.read.sdss.spec import read_spec_files
from speclens.sample.preparation import Preparation, PreparedSpectra
from speclens.sample.selection import refusals
from speclens.search.lines import LineSearch
from speclens.search.matched_filter import MatchedFilter
from speclens.search.search import Found, lya_sources
from speclens.simulate.emission_galaxies import draw_emission, emission_spectra
from speclens.simulate.emitters import draw_emitters, line_spectra
from speclens.spectra import LogGrid

BINS = ((6, 8), (8, 10), (10, 15), (15, 30), (30, 40))
SNR, SIGMA_KMS, Z_MAX, MARGIN = (6.0, 40.0), (30.0, 120.0), 1.6, 0.06
LYA_WAVE_MAX, LYA_WAVE_USUAL = 9500.0, 4300.0
RIGHT = 0.001

Floats = NDArray[np.float64]


class Setup:
    """Spectra of one foreground, and the search."""

    def __init__(self, name: str, folders: Sequence[Path]) -> None:
        self.config = config = load_config(name)
        self.grid = LogGrid.covering(*config.preparation.window)
        paths = find_survey_files([str(folder) for folder in folders]).paths
        batch = read_spec_files(paths, self.grid).batch
        self.batch = batch[refusals(batch.targets, config.selection) == ""]
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

    def __getitem__(self, rows: NDArray[np.bool_]) -> Setup:
        """Return some of the spectra."""
        part = object.__new__(Setup)
        part.__dict__.update(self.__dict__)
        part.batch, part.z, part.dispersion = self.batch[rows], self.z[rows], self.dispersion[rows]
        part.prepared = self.preparation(part.batch, part.z)
        return part


class Lenses(Protocol):
    """What stands before N sources: redshifts, and the pixels in which it is seen."""

    config: Config
    grid: LogGrid
    z: Floats
    dispersion: NDArray[np.floating]


Draw = Callable[[Lenses, np.random.Generator], tuple[Floats, Floats]]
"""Draws a source behind each of N spectra: redshifts, and flux density of its lines (K, N, L)."""


def draw_galaxies(setup: Lenses, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Draw emission-line galaxies, uniform in redshift."""
    first = setup.z + MARGIN
    z = first + rng.random(len(first)) * (Z_MAX - first)
    lines = emission_spectra(draw_emission(z, SIGMA_KMS, rng), setup.grid, setup.dispersion)
    return z, lines


def draw_lya(setup: Lenses, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Draw Lyman-alpha lines, uniform in wavelength and of the published widths in velocity."""
    n = len(setup.z)
    first = LYMAN_ALPHA * (1 + setup.z + MARGIN)
    first = np.maximum(first, 1.02 * setup.config.preparation.window[0])
    wave = first + rng.random(n) * (LYA_WAVE_MAX - first)
    lines = draw_emitters(n, (0.0, 1.0), setup.config.emitters, rng)
    lines = replace(lines, wave=wave, width=lines.width * wave / LYA_WAVE_USUAL)
    spread = setup.dispersion[np.arange(n), setup.grid.nearest(wave)]
    # No line is narrower than the spectrograph's.
    narrowest = 1.02 * spread * pixel_width_angstrom(wave)
    lines = replace(lines, width=np.maximum(lines.width, narrowest))
    return wave / LYMAN_ALPHA - 1, line_spectra(lines, setup.grid, spread)[None].astype(np.float64)


def empty_hits(setup: Setup) -> tuple[int, int]:
    """Count hits without a source: of the spectra as they are, and turned over."""
    turned = replace(setup.prepared, flux=2 * setup.prepared.model - setup.prepared.flux)
    return len(setup.found(setup.prepared).hits), len(setup.found(turned).hits)


def recovered(setup: Setup, draw: Draw, rng: np.random.Generator) -> Floats:
    """Put a source behind each spectrum: shape (N, 6).

    Columns are S/N, masked, found, right, redshift, and hits at other redshifts.
    """
    n = len(setup.z)
    z, lines = draw(setup, rng)
    ideal = np.sqrt((lines**2 * setup.prepared.ivar).sum(axis=2))  # (K, N)
    total = np.sqrt((ideal**2).sum(axis=0))
    snr = np.exp(rng.uniform(np.log(SNR[0]), np.log(SNR[1]), n))
    scale = np.where(total > 0, snr / np.maximum(total, 1e-30), 0)
    added = (lines.sum(axis=0) * scale[:, None]).astype(np.float32)
    batch = replace(setup.batch, flux=setup.batch.flux + added)
    prepared = setup.preparation(batch, setup.z)
    found = setup.found(prepared)
    strongest = lines[ideal.argmax(axis=0), np.arange(n)].argmax(axis=1)
    _, ivar = setup.search.pixels(prepared, np.arange(n))
    result = np.zeros((n, 6))
    result[:, 0], result[:, 4] = snr, z
    result[:, 1] = (ivar[np.arange(n), strongest] == 0) | (total == 0)
    row = found.hits["ROW"]
    sources = lya_sources(found.hits) if found.sources is None else found.sources
    dz = np.abs(sources["Z_SOURCE"] - z[row]) / (1 + z[row])
    result[row, 2] = 1
    np.maximum.at(result[:, 3], row, dz < RIGHT)
    np.add.at(result[:, 5], row, dz >= RIGHT)
    return np.asarray(result[found.reasons == ""])


def table(results: Floats, foreground: str, n_spectra: int, empty: tuple[int, int]) -> str:
    """Return the numbers as Markdown."""
    counted = results[results[:, 1] == 0]
    text = "| total S/N | sources | found | found, redshift right |\n| --- | --- | --- | --- |\n"
    for low, high in BINS:
        own = counted[(counted[:, 0] >= low) & (counted[:, 0] < high)]
        found, right = own[:, 2:4].mean(axis=0)
        text += f"| {low}-{high} | {len(own)} | {found:.1%} | {right:.1%} |\n"
    masked, wrong = results[:, 1].mean(), results[results[:, 3] > 0, 5].mean()
    return (
        f"{text}\n{n_spectra} real {foreground}; strongest line masked: {masked:.1%}. Hits at "
        f"other redshifts, for each source found at its own: {wrong:.2%}. "
        f"Without a source: {empty[0]} hits as they are, {empty[1]} turned over.\n"
    )


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tables", type=Path, help="keep the tables here, for `make tables`")
    arguments = parser.parse_args()
    data = Path(os.environ.get("SPECLENS_DATA", ""))
    if data == Path():
        raise SystemExit("SPECLENS_DATA: name the folder of real survey files")
    galaxies = Setup("elg", [data / "boss" / "galaxies"])
    quasars = Setup("qso", [data / "quasars", data / "boss" / "stars_and_quasars"])
    near = quasars[quasars.z < Z_MAX - 2 * MARGIN]
    for name, setup, draw, foreground in (
        ("line_search", galaxies, draw_galaxies, "galaxies"),
        ("line_search_quasars", near, draw_galaxies, "quasars"),
        ("line_search_quasars_lya", quasars, draw_lya, "quasars"),
    ):
        rng = np.random.default_rng(arguments.seed)
        parts = [recovered(setup, draw, rng) for _ in range(arguments.repeats)]
        text = table(np.concatenate(parts), foreground, len(setup.z), empty_hits(setup))
        print(f"{name}\n\n{text}")
        if arguments.tables:
            with replacing(arguments.tables / f"{name}.md") as file:
                file.write(text.encode())


if __name__ == "__main__":
    main()
