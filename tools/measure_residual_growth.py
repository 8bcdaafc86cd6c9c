"""Measure how much residuals of real galaxies scatter beyond their errors: `make data`.

    python tools/measure_residual_growth.py --data FOLDER [-o FILE]

In: the folder of real survey files (`boss/galaxies`). Out: `residual_growth.npy`, the number of the
first pixel on the global grid and a factor on the errors for each pixel from there, as the search
of lines prepares spectra. Sources: BOSS, Data Release 12 (acknowledged in the README).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.ndimage import uniform_filter1d

import speclens
from speclens.config import load_config
from speclens.products import replacing
from speclens.read.discovery import find_survey_files
from speclens.read.sdss.spec import read_spec_files
from speclens.sample.preparation import Preparation
from speclens.search.line_filter import local_level
from speclens.spectra import LogGrid

LARGEST = 6.0
"""Residuals count as so many errors at most: a line of a source is no noise."""

SMOOTH_PIXELS = 5


def main() -> None:
    """Measure, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    default = Path(speclens.__file__).parent / "data" / "residual_growth.npy"
    parser.add_argument("-o", "--output", type=Path, default=default)
    arguments = parser.parse_args()
    config = load_config("elg", ["noise.residual_growth=false"])
    grid = LogGrid.covering(*config.preparation.window)
    paths = find_survey_files([str(arguments.data / "boss" / "galaxies")]).paths
    batch = read_spec_files(paths, grid).batch
    spectra = Preparation(config)(batch, batch.targets["Z"])
    level = local_level(spectra.residual, spectra.ivar, config.lines.level_pixels)
    good = spectra.ivar > 0
    x = np.clip((spectra.residual - level) * np.sqrt(spectra.ivar), -LARGEST, LARGEST) * good
    chi2 = uniform_filter1d((x.astype(np.float64) ** 2).sum(axis=0), SMOOTH_PIXELS)
    number = uniform_filter1d(good.sum(axis=0).astype(np.float64), SMOOTH_PIXELS)
    growth = np.sqrt(np.maximum(chi2 / np.maximum(number, 1), 1))
    growth[number < len(batch) / 2] = 1
    with replacing(arguments.output) as file:
        np.save(file, np.append(grid.first, growth).astype(np.float32))
    print(f"{len(batch)} galaxies; mean {growth.mean():.3f}, highest {growth.max():.2f}")


if __name__ == "__main__":
    main()
