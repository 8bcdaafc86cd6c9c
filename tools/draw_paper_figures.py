"""Draw figures 5 and 6 of Li et al. 2019 from what the package makes.

    python tools/draw_paper_figures.py --data $SPECLENS_DATA [-o docs/figures]

Figure 5, a real spectrum beside an artificial one: no spectrum of a known lens is at hand, so the
real one is a BOSS galaxy in DATA/boss/galaxies with the published line of SDSS J1110+2808, which
the paper shows, put in; the artificial one is drawn by the paper's recipe. Figure 6, the learning
curves of the bundled network `li2019`, from its metrics.jsonl. Out: figure5.png and figure6.png.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import speclens
from speclens.config import Config, load_config
from speclens.lines import LYMAN_ALPHA
from speclens.read.discovery import find_survey_files
from speclens.read.sdss.spec import read_spec_files
from speclens.sample.preparation import good_pixels
from speclens.sample.selection import redshifts, refusals
from speclens.simulate.emitters import Lines, ideal_snr, line_spectra
from speclens.simulate.survey_galaxies import analyse_survey
from speclens.simulate.training_set import draw_from_bins
from speclens.spectra import LogGrid, SpectrumBatch
from speclens.view.learning import draw_learning_curves
from speclens.view.paper import SpectrumPanel, draw_side_by_side

OUTPUT = Path(__file__).parents[1] / "docs" / "figures"
MODELS = Path(speclens.__file__).parent / "data" / "models"

Z_LENS, Z_SOURCE = 0.60738, 2.40118
"""Redshifts of SDSS J1110+2808 (Shu et al. 2016)."""

LINE = Lines(
    np.array([LYMAN_ALPHA * (1 + Z_SOURCE)]), np.array([33.31]), np.array([2.74]), np.array([2.89])
)
"""Its Lyman-alpha line: flux, width and skewness of Cao et al. 2020."""

N_ARTIFICIAL = 1000
"""Artificial spectra to choose from."""


def real_spectrum(data: Path, config: Config) -> tuple[SpectrumPanel, float]:
    """Put the published line into the real galaxy nearest in redshift to its lens.

    Parameters
    ----------
    data : Path
        Folder of the data.
    config : Config
        Window, masks and selection.

    Returns
    -------
    panel : SpectrumPanel
        The spectrum.
    snr : float
        Ideal signal-to-noise ratio of the line.
    """
    grid = LogGrid.covering(*config.preparation.window)
    batch = read_spec_files(find_survey_files([str(data / "boss" / "galaxies")]).paths, grid).batch
    batch = batch[refusals(batch.targets, config.selection) == ""]
    z = redshifts(batch.targets, config.selection)
    nearest = batch[np.abs(z - Z_LENS).argsort()[:1]]
    target = nearest.targets[0]
    line = line_spectra(LINE, grid, nearest.dispersion_at(LINE.wave))
    title = (
        f"BOSS {target['PLATE']}-{target['MJD']}-{target['FIBERID']}, z = {target['Z']:.3f}, "
        "with the line of SDSS J1110+2808 put in"
    )
    snr = float(ideal_snr(line, nearest.ivar)[0])
    return _panel(title, nearest, line, float(LINE.wave[0]), config), snr


def artificial_spectrum(config: Config, seed: int, snr: float) -> SpectrumPanel:
    """Draw spectra by the paper's recipe, and choose one with such a line.

    Parameters
    ----------
    config : Config
        The recipe `li2019`.
    seed : int
        Seed of all randomness.
    snr : float
        Ideal signal-to-noise ratio of the real spectrum's line.

    Returns
    -------
    SpectrumPanel
        The spectrum: its line has about the flux, the ratio and the place of the real one's.
    """
    survey = analyse_survey([], config, seed, 1, print)
    everyone = np.ones(survey.galaxies.n_galaxies, bool)
    rng = np.random.default_rng(seed)
    drawn = draw_from_bins(
        N_ARTIFICIAL, N_ARTIFICIAL, config, survey.galaxies, everyone, survey.sky, rng
    )
    labels, difference = drawn.labels, np.zeros(N_ARTIFICIAL)
    for name, wanted in (("FLUX", LINE.flux[0]), ("IDEAL_SNR", snr), ("WAVE", LINE.wave[0])):
        difference += np.abs(np.log(labels[name] / wanted))
    row = int(difference.argmin())
    chosen, label = drawn.batch[np.array([row])], labels[row]
    title = f"artificial, z = {label['Z']:.3f}"
    return _panel(title, chosen, np.zeros_like(chosen.flux), float(label["WAVE"]), config)


def main() -> None:
    """Draw the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, default=OUTPUT)
    parser.add_argument("--curves", type=Path, default=MODELS / "li2019" / "metrics.jsonl")
    parser.add_argument("--plates", type=int, default=10, help="mock plates to analyse")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    config = load_config("li2019", [f"survey.n_plates={arguments.plates}"])
    real, snr = real_spectrum(arguments.data, config)
    artificial = artificial_spectrum(config, arguments.seed, snr)
    draw_side_by_side(arguments.output / "figure5.png", [real, artificial])
    records = [json.loads(line) for line in arguments.curves.read_text().splitlines()]
    draw_learning_curves(arguments.output / "figure6.png", records)


def _panel(
    title: str, batch: SpectrumBatch, line: NDArray[np.float32], wave: float, config: Config
) -> SpectrumPanel:
    """Make a panel of the first spectrum of a batch and a line to be put in."""
    good = good_pixels(batch, config.preparation)[0]
    flux = np.where(good, batch.flux[0] + line[0], np.nan)
    return SpectrumPanel(title, batch.grid.wave, flux, wave)


if __name__ == "__main__":
    main()
