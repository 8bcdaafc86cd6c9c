"""Measure how much lines scatter beyond their errors in real spectra: `make data`.

    python tools/measure_line_growth.py --data FOLDER [-o FOLDER]

In: the folder of real survey files: `boss/galaxies`, and for quasars `quasars` and
`boss/stars_and_quasars`. Out: `line_growth.npz` and `quasar_line_growth.npz`, the first pixel on
the global grid and the factors from there, and those in the frame of the lens. They stand in for
runs that are too small to measure their own. Sources: BOSS, Data Release 12 (acknowledged in the
README).
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import speclens
from speclens.config import Config, load_config
from speclens.products import replacing
from speclens.read.discovery import find_survey_files
from speclens.read.sdss.spec import read_spec_files
from speclens.sample.preparation import Preparation
from speclens.sample.selection import refusals
from speclens.search.line_growth import BUNDLED_GROWTH, REST, LineGrowth, LineStatistics
from speclens.search.lines import LineSearch
from speclens.search.matched_filter import MatchedFilter
from speclens.spectra import LogGrid

FOLDERS = {"elg": ("boss/galaxies",), "qso": ("quasars", "boss/stars_and_quasars")}
"""Of the spectra that measure the factors of a configuration."""

LEAST = 20
"""Spectra that are needed at a wavelength."""


def statistics_of(paths: Sequence[str], config: Config, usual: LineGrowth) -> LineStatistics:
    """Sum over the spectra that a configuration searches."""
    batch = read_spec_files(paths, usual.grid).batch
    batch = batch[refusals(batch.targets, config.selection) == ""]
    z = np.asarray(batch.targets["Z"], np.float64)
    spectra = Preparation(config)(batch, z)
    search = LineSearch(config, MatchedFilter(usual.grid, config.matched_filter))
    print(f"{len(batch)} spectra of {len(paths)} files")
    seen = search.line_fluxes(*search.pixels(spectra, np.arange(len(batch))))
    return LineStatistics.of(seen, z, usual)


def write(path: Path, grid: LogGrid, factors: Mapping[str, NDArray[np.floating]]) -> None:
    """Write factors."""
    growth, rest = (factors[name].astype(np.float16) for name in ("growth", "rest_growth"))
    with replacing(path) as file:
        np.savez_compressed(file, first=grid.first, growth=growth, rest_growth=rest)
    for factor in (growth, rest):
        print(f"mean {factor.mean():.3f}, highest {factor.max():.2f}")


def main() -> None:
    """Measure, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    default = Path(speclens.__file__).parent / "data"
    parser.add_argument("-o", "--output", type=Path, default=default)
    arguments = parser.parse_args()
    grid = LogGrid.covering(*load_config("elg").preparation.window)
    usual = LineGrowth(np.ones(grid.n_pixels, np.float32), np.ones(REST.n_pixels, np.float32), grid)
    for name, bundled in (("elg", ""), ("qso", "quasars")):
        folders = [str(arguments.data / folder) for folder in FOLDERS[name]]
        paths = find_survey_files(folders).paths
        factors = statistics_of(paths, load_config(name), usual).growth(LEAST)
        if name == "elg":
            usual = replace(usual, observed=factors["growth"].astype(np.float32))
        # Airglow is the same before galaxies and quasars, and more galaxies tell of it.
        factors["growth"] = usual.observed.astype(np.float64)
        write(arguments.output / BUNDLED_GROWTH[bundled], grid, factors)


if __name__ == "__main__":
    main()
