"""Measure how much lines scatter beyond their errors in real galaxies: `make data`.

    python tools/measure_line_growth.py --data FOLDER [-o FILE]

In: the folder of real survey files (`boss/galaxies`). Out: `line_growth.npz`, the first pixel on
the global grid and the factors from there. It stands in for runs that are too small to measure
their own. Sources: BOSS, Data Release 12 (acknowledged in the README).
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
from speclens.search.line_growth import LineStatistics
from speclens.search.lines import LineSearch
from speclens.search.matched_filter import MatchedFilter
from speclens.spectra import LogGrid


def main() -> None:
    """Measure, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    default = Path(speclens.__file__).parent / "data" / "line_growth.npz"
    parser.add_argument("-o", "--output", type=Path, default=default)
    arguments = parser.parse_args()
    config = load_config("elg")
    grid = LogGrid.covering(*config.preparation.window)
    paths = find_survey_files([str(arguments.data / "boss" / "galaxies")]).paths
    batch = read_spec_files(paths, grid).batch
    spectra = Preparation(config)(batch, batch.targets["Z"])
    search = LineSearch(config, MatchedFilter(grid, config.matched_filter))
    fluxes = search.line_fluxes(*search.pixels(spectra, np.arange(len(batch))))
    growth = LineStatistics.of(fluxes).growth(len(batch) // 2)
    with replacing(arguments.output) as file:
        np.savez_compressed(file, first=grid.first, growth=growth.astype(np.float16))
    print(f"{len(batch)} galaxies; mean {growth.mean():.3f}, highest {growth.max():.2f}")


if __name__ == "__main__":
    main()
