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
from pathlib import Path

import numpy as np

import speclens
from speclens.config import load_config
from speclens.products import replacing
from speclens.read.discovery import find_survey_files
from speclens.read.sdss.spec import read_spec_files
from speclens.sample.preparation import Preparation
from speclens.sample.selection import refusals
from speclens.search.line_growth import (
    BUNDLED_GROWTH,
    LineGrowth,
    LineStatistics,
    line_growth,
)
from speclens.search.lines import LineSearch
from speclens.search.matched_filter import MatchedFilter
from speclens.spectra import LogGrid

FOLDERS = {"elg": ("boss/galaxies",), "qso": ("quasars", "boss/stars_and_quasars")}
"""Of the spectra that measure the factors of a configuration."""

LEAST = 20
"""Spectra that are needed at a wavelength."""


def measure(data: Path, name: str, output: Path) -> None:
    """Measure the factors of one configuration, and write them."""
    config = load_config(name)
    grid = LogGrid.covering(*config.preparation.window)
    paths = find_survey_files([str(data / folder) for folder in FOLDERS[name]]).paths
    batch = read_spec_files(paths, grid).batch
    batch = batch[refusals(batch.targets, config.selection) == ""]
    z = np.asarray(batch.targets["Z"], np.float64)
    spectra = Preparation(config)(batch, z)
    search = LineSearch(config, MatchedFilter(grid, config.matched_filter))
    seen = search.line_fluxes(*search.pixels(spectra, np.arange(len(batch))))
    # Airglow is the same behind galaxies and quasars; few quasars tell less of it.
    usual = line_growth(load_config("elg").lines, grid)
    flat = LineGrowth(np.ones_like(usual.observed), np.ones_like(usual.rest), grid)
    growth = LineStatistics.of(seen, z, flat if name == "elg" else usual).growth(LEAST)
    if name != "elg":
        growth["growth"] = usual.observed
    with replacing(output / BUNDLED_GROWTH["" if name == "elg" else "quasars"]) as file:
        np.savez_compressed(
            file, first=grid.first, **{k: v.astype(np.float16) for k, v in growth.items()}
        )
    for key, factor in growth.items():
        print(
            f"{name}: {len(batch)} spectra; {key} mean {factor.mean():.3f}, highest {factor.max():.2f}"
        )


def main() -> None:
    """Measure, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    default = Path(speclens.__file__).parent / "data"
    parser.add_argument("-o", "--output", type=Path, default=default)
    arguments = parser.parse_args()
    for name in FOLDERS:
        measure(arguments.data, name, arguments.output)


if __name__ == "__main__":
    main()
