"""Lines skewed to the blue and to the red: how often a network of both classes tells them apart.

    speclens simulate -c three_classes -o SET
    speclens train SET -o MODEL
    python benchmarks/three_classes.py MODEL [--lines 1000] [--tables docs/tables]

Puts one line into each galaxy of a mock plate: as the published candidates', half of them mirrored.
Beside the network stands the sign of the skewness that vetting fits to the same lines. Li et al.
2019, section 5, propose the classes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from skewness import MASKED_LINES, SNR_EDGES, cutouts_of, draw_lines, mock_galaxies
from speclens.config import Config, load_config
from speclens.sample.preparation import Preparation
from speclens.search.classifier import Classification, Classifier
from speclens.search.engine import open_engine
from speclens.search.matched_filter import MatchedFilter
from speclens.search.network import checked_model
from speclens.simulate.emitters import Lines, ideal_snr, line_spectra
from speclens.spectra import SpectrumBatch
from speclens.vet.skewness import fit_skewness
from tables import Tables, add_option

TITLES = ("S/N", "lines", "found", "right: network", "as it says itself", "sure (P > 0.9)",
          "right of these", "right: sign of the fit")  # fmt: skip
SURE = 0.9

Floats = NDArray[np.float64]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="folder of a network of both classes")
    parser.add_argument("--lines", type=int, default=1000, help="in each bin")
    parser.add_argument("--seed", type=int, default=1)
    add_option(parser)
    arguments = parser.parse_args()
    config = load_config("three_classes", [f"search.model={arguments.model}"])
    classifier = classifier_of(config)
    rng = np.random.default_rng(arguments.seed)
    galaxies = mock_galaxies(int(arguments.lines * (1 + MASKED_LINES)), config, rng)
    rows = []
    for bounds in pairwise(SNR_EDGES):
        chosen, lines, snr = draw_lines(galaxies, arguments.lines, bounds, config, rng)
        spectra = with_lines(galaxies[chosen], lines, snr)
        rows.append([f"{bounds[0]:.0f}-{bounds[1]:.0f}", *told(classifier, spectra, lines, config)])
    Tables(arguments.tables).show("three_classes", TITLES, rows)


def classifier_of(config: Config) -> Classifier:
    """Open the network; refuse one of a single class."""
    model = checked_model(config)
    if "red" not in model.classes:
        raise SystemExit(f"{model.name} tells no classes; train it with -c three_classes")
    return Classifier(model, open_engine(model), config.search.place_half_width)


def with_lines(galaxies: SpectrumBatch, lines: Lines, snr: Floats) -> SpectrumBatch:
    """Add lines of given ideal S/N."""
    ivar = np.where(galaxies.mask, 0, galaxies.ivar)
    added = line_spectra(lines, galaxies.grid, galaxies.dispersion_at(lines.wave))
    scale = (snr / ideal_snr(added, ivar))[:, None].astype(np.float32)
    return replace(galaxies, flux=galaxies.flux + added * scale)


def told(
    classifier: Classifier, spectra: SpectrumBatch, lines: Lines, config: Config
) -> Sequence[str]:
    """Count what the network says, and the fit, of lines of one bin."""
    said = classified(classifier, spectra, config)
    at_line = np.abs(said.pixel - spectra.grid.pixel(lines.wave)) < config.evaluation.match_pixels
    found = (said.probability > config.search.probability_min) & at_line
    red, p_red = lines.skewness > 0, said.p_red
    right, stated = (p_red > 0.5) == red, np.maximum(p_red, 1 - p_red)
    sure = found & (stated > SURE)
    fit = fit_skewness(cutouts_of(spectra, lines, config), config.vet)
    fitted = np.asarray(fit["SKEWNESS"], np.float64)
    return (
        f"{len(lines)}", share(found), share(right[found]), f"{100 * stated[found].mean():.0f} %",
        share(sure[found]), share(right[sure]), share(((fitted > 0) == red)[found]),
    )  # fmt: skip


def classified(classifier: Classifier, spectra: SpectrumBatch, config: Config) -> Classification:
    """Let the network see spectra as a search shows them."""
    prepared = Preparation(config)(spectra, spectra.targets["Z"])
    bank = MatchedFilter(spectra.grid, config.matched_filter)
    return classifier(prepared, bank.search(prepared.residual, prepared.ivar).best)


def share(values: NDArray[np.bool_]) -> str:
    """Return a share in percent."""
    return f"{100 * values.mean():.0f} %" if len(values) else ""


if __name__ == "__main__":
    main()
