"""Compare mock galaxies with real ones: errors, signal, residuals.

    python tools/compare_mock_and_real.py --data $SPECLENS_DATA [-o docs/figures/mock_and_real.png]

In: the BOSS galaxies in DATA/boss/galaxies. Mock galaxies without lines are simulated in memory.
Both pass the selection and the preparation of a search. Out: a table, and a figure.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compared_spectra import FIRST_PIXELS, NO_SOURCES, mock_spectra, real_spectra
from speclens.config import Config, load_config
from speclens.sample.preparation import Preparation
from speclens.sample.selection import redshifts, refusals
from speclens.spectra import LogGrid, SpectrumBatch
from speclens.view.figures import NoiseCurves, draw_mock_and_real

OUTPUT = Path(__file__).parents[1] / "docs" / "figures" / "mock_and_real.png"

OVERRIDES = ("preparation.window=[3600.0, 5000.0]", FIRST_PIXELS, *NO_SOURCES)

BIN_EDGES = np.arange(3600.0, 5001.0, 100.0)
"""Bins of wavelength, Angstrom."""

CHI_EDGES = np.arange(-10.0, 10.01, 0.5)
"""Bins of residual / stated error."""

TAILS = (3.0, 4.0, 5.0, 6.0)
"""Fractions of pixels beyond this many stated errors are printed."""

N_LAGS = 7
PERCENTILES = (16.0, 50.0, 84.0)
LABELS = {
    "noise": "error of a pixel\n(1e-17 erg/s/cm²/Å)",
    "snr": "signal-to-noise\nratio of a pixel",
    "chi": "std. of residual\n/ stated error",
}


@dataclass(frozen=True)
class Residuals:
    """Spectra of one kind after the foreground fit.

    Parameters
    ----------
    z : array of shape (N,)
        Redshifts.
    wave : array of shape (L,)
        Wavelengths, Angstrom.
    flux, error, chi : array of shape (N, L)
        Flux density, its stated error (both 1e-17 erg/s/cm2/Angstrom), and residual over error; NaN
        where masked.
    """

    z: NDArray[np.float64]
    wave: NDArray[np.float64]
    flux: NDArray[np.float64]
    error: NDArray[np.float64]
    chi: NDArray[np.float64]

    @property
    def curves(self) -> NoiseCurves:
        """What is compared."""
        values: dict[str, tuple[Callable[..., Any], NDArray[np.float64]]] = {
            "noise": (np.nanmedian, self.error),
            "snr": (np.nanmedian, self.flux / self.error),
            "chi": (np.nanstd, self.chi),
        }
        in_bin = np.digitize(self.wave, BIN_EDGES) - 1
        by_wave = {}
        for name, (reduced, array) in values.items():
            spectra = [reduced(array[:, in_bin == i], axis=1) for i in range(len(BIN_EDGES) - 1)]
            by_wave[name] = np.nanpercentile(spectra, PERCENTILES, axis=1)
        known = self.chi[np.isfinite(self.chi)]
        density = np.histogram(known, CHI_EDGES)[0] / (len(known) * np.diff(CHI_EDGES))
        return NoiseCurves(by_wave, density, self._correlation())

    def _correlation(self) -> NDArray[np.float64]:
        """Autocorrelation at lags 0 to N_LAGS - 1, without the outliers that would rule it."""
        chi = np.where(np.abs(self.chi) < 5, self.chi, np.nan)
        n_pixels = chi.shape[1]
        products = [np.nanmean(chi[:, : n_pixels - lag] * chi[:, lag:]) for lag in range(N_LAGS)]
        return np.asarray(np.array(products) / products[0], np.float64)


def prepare(batches: Sequence[SpectrumBatch], config: Config) -> Residuals:
    """Select and prepare spectra as a search does.

    Parameters
    ----------
    batches : sequence of SpectrumBatch
        Spectra as read.
    config : Config
        Selection and preparation.

    Returns
    -------
    Residuals
        Those of the sample.
    """
    preparation = Preparation(config)
    parts = []
    for batch in batches:
        kept = batch[refusals(batch.targets, config.selection) == ""]
        z = redshifts(kept.targets, config.selection)
        prepared = preparation(kept, z)
        # The errors as stated: those of `prepared` have grown.
        error = np.where(prepared.ivar > 0, 1 / np.sqrt(np.maximum(kept.ivar, 1e-30)), np.nan)
        parts.append((z, kept.flux + 0 * error, error, prepared.residual / error))
    z, flux, error, chi = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Residuals(z, preparation.grid.wave, flux, error, chi)


def print_table(real: Residuals, mock: Residuals) -> None:
    """Print the comparison.

    Parameters
    ----------
    real, mock : Residuals
        The two sets of spectra.
    """
    curves, mock_curves = real.curves, mock.curves
    print(f"real: {len(real.z)} galaxies, median z {np.median(real.z):.3f}")
    print(f"mock: {len(mock.z)} galaxies, median z {np.median(mock.z):.3f}")
    print("median over the galaxies      error            S/N        std(residual/error)")
    print("Angstrom                real    mock    real    mock    real    mock")
    for i, (low, high) in enumerate(pairwise(BIN_EDGES)):
        values = [c.by_wave[name][1, i] for name in LABELS for c in (curves, mock_curves)]
        print(f"{low:.0f}-{high:.0f}         " + "".join(f"{value:8.3f}" for value in values))
    print("residual / stated error, all pixels                real        mock")
    for text, value in (("mean", np.nanmean), ("standard deviation", np.nanstd)):
        print(f"  {text:<44}{value(real.chi):>10.4f}{value(mock.chi):>12.4f}")
    for limit in TAILS:
        for sign, text in (
            (1, f"fraction above +{limit:.0f}"),
            (-1, f"fraction below -{limit:.0f}"),
        ):
            fractions = [_fraction(sign * s.chi > limit, s.chi) for s in (real, mock)]
            print(f"  {text:<44}{fractions[0]:>10.2e}{fractions[1]:>12.2e}")
    for lag in range(1, N_LAGS):
        pair = curves.correlation[lag], mock_curves.correlation[lag]
        print(f"  autocorrelation at lag {lag:<21}{pair[0]:>10.3f}{pair[1]:>12.3f}")


def main() -> None:
    """Make the table and the figure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, default=OUTPUT)
    parser.add_argument("--plates", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    config = load_config(overrides=OVERRIDES)
    grid = LogGrid.covering(*config.preparation.window)
    real = prepare([real_spectra(arguments.data, "boss/galaxies", grid)], config)
    mock = prepare(mock_spectra(config, arguments.plates, arguments.seed, grid), config)
    print_table(real, mock)
    centre = 0.5 * (BIN_EDGES[1:] + BIN_EDGES[:-1])
    draw_mock_and_real(arguments.output, LABELS, centre, CHI_EDGES, real.curves, mock.curves)


def _fraction(where: NDArray[np.bool_], chi: NDArray[np.float64]) -> float:
    return float(where.sum() / np.isfinite(chi).sum())


if __name__ == "__main__":
    main()
