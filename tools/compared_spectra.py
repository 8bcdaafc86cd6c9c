"""Real and mock spectra on one grid, for the tools that compare them.

In: folders of spec files; the configuration of a mock survey. Out: `SpectrumBatch`es.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from speclens.config import Config
from speclens.read.discovery import find_survey_files
from speclens.read.sdss.spec import read_spec_files
from speclens.simulate.survey import make_plate
from speclens.simulate.training_set import on_window
from speclens.spectra import LogGrid, SpectrumBatch

__all__ = ["FIRST_PIXELS", "NO_SOURCES", "mock_spectra", "real_spectra"]

FIRST_PIXELS = "survey.first_pixel_range=[35515, 35560]"
"""Plates that begin below 3600 Angstrom."""

NO_SOURCES = tuple(
    f"survey.{kind}_fraction=0"
    for kind in ("lya", "oii", "line", "spike", "sky_line", "elg", "quasar_elg", "quasar_lya")
)
"""Nothing is put into the spectra of a mock survey."""


def real_spectra(data: Path, folder: str, grid: LogGrid) -> SpectrumBatch:
    """Read the spectra of a folder of the data.

    Parameters
    ----------
    data : Path
        Folder of the data.
    folder : str
        The folder in it.
    grid : LogGrid
        Wavelengths wanted.

    Returns
    -------
    SpectrumBatch
        Its spectra.
    """
    return read_spec_files(find_survey_files([str(data / folder)]).paths, grid).batch


def mock_spectra(config: Config, n_plates: int, seed: int, grid: LogGrid) -> list[SpectrumBatch]:
    """Simulate mock plates in memory.

    Parameters
    ----------
    config : Config
        The survey.
    n_plates : int
        Number of plates.
    seed : int
        Seed of all randomness.
    grid : LogGrid
        Wavelengths wanted, L pixels.

    Returns
    -------
    list of SpectrumBatch
        A batch for each plate.
    """
    rng, batches = np.random.default_rng(seed), []
    for i in range(n_plates):
        plate, _ = make_plate(i, config, rng)
        if grid.overlap(plate.grid)[0] != slice(0, grid.n_pixels):
            raise SystemExit("a mock plate does not cover the window")
        batches.append(on_window(plate, grid))
    return batches
