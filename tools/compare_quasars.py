"""Compare mock quasars with real ones: brightness, and what is left of them about a smooth level.

    python tools/compare_quasars.py --data $SPECLENS_DATA

In: the quasars in DATA/quasars. Mock quasars without sources are simulated in memory. Out: a table.
Residuals are those about a running median of 101 pixels, through a Gaussian of 1.8 pixels, redwards
of 1260 Angstrom at rest, without 2 % of wavelength on either side of the strong lines.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from compared_spectra import FIRST_PIXELS, mock_spectra, real_spectra
from speclens.config import load_config
from speclens.lines import gaussian_pixels, rest_waves
from speclens.spectra import LogGrid, SpectrumBatch

OVERRIDES = (
    "survey.n_fibres=200", "survey.quasar_fraction=0.5", "survey.quasar_elg_fraction=0",
    "survey.quasar_lya_fraction=0", FIRST_PIXELS,
)  # fmt: skip
GRID = LogGrid.covering(3600.0, 9200.0)
BANDS = ((3800, 4400), (4400, 5500), (5500, 6800), (6900, 8200), (8300, 9200))
BAND_QUANTILES, FILTER_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95), (0.001, 0.05, 0.5, 0.95, 0.999)
BLUEST_AT_REST = 1260.0
STRONG = rest_waves(
    "O I 1305", "Si IV", "C IV", "He II 1640", "Al III", "C III]", "Mg II", "[Ne V] 3427",
    "[O II]", "[Ne III]", "H delta", "H gamma", "H beta", "[O III] 4960", "[O III] 5008",
    "He I 5877", "H alpha",
)  # fmt: skip
RED_LIMITS = (7000.0, 9200.0)
ENOUGH = 500

Floats = NDArray[np.float64]


def brightness(batch: SpectrumBatch, band: tuple[float, float]) -> Floats:
    """Return the median flux density of each spectrum, shape (N,), 1e-17 erg/s/cm2/Angstrom."""
    inside = (batch.grid.wave > band[0]) & (batch.grid.wave < band[1])
    flux = np.where(batch.ivar > 0, batch.flux, np.nan)
    return np.asarray(np.nanmedian(flux[:, inside], axis=1))


def residuals(batch: SpectrumBatch, reddest: float) -> Iterator[Floats]:
    """Yield the filter's S/N of the pixels of each spectrum that has enough of them."""
    wave, kernel = batch.grid.wave, gaussian_pixels(np.arange(-7.0, 8), 1.8)
    for flux, ivar, z in zip(batch.flux, batch.ivar, batch.targets["Z"], strict=True):
        good = ivar > 0
        level = median_filter(np.interp(wave, wave[good], flux[good]), 101)
        first = np.convolve(np.where(good, flux - level, 0) * ivar, kernel, "same")
        second = np.convolve(ivar, kernel**2, "same")
        rest = wave / (1 + z)
        used = good & (rest > BLUEST_AT_REST) & (wave < reddest)
        used &= (np.abs(rest[:, None] / STRONG - 1) > 0.02).all(axis=1)
        if used.sum() > ENOUGH:
            yield np.asarray((first / np.sqrt(np.maximum(second, 1e-12)))[used])


def numbers(batches: Sequence[SpectrumBatch]) -> dict[str, str]:
    """Return what is compared, by title."""
    told = {}
    for low, high in BANDS:
        level = np.concatenate([brightness(batch, (low, high)) for batch in batches])
        title = f"flux density, {low}-{high} Å: 5, 25, 50, 75, 95 %"
        told[title] = text(np.nanquantile(level, BAND_QUANTILES))
    for reddest in RED_LIMITS:
        snr = [row for batch in batches for row in residuals(batch, reddest)]
        within = np.median([np.quantile(row, FILTER_QUANTILES) for row in snr], axis=0)
        highest = np.quantile([row.max() for row in snr], (0.25, 0.5, 0.75, 0.9))
        absorbed = np.mean([row.min() < -6 for row in snr])
        told |= {
            f"to {reddest:.0f} Å: S/N of residuals, 0.1, 5, 50, 95, 99.9 %": text(within),
            f"to {reddest:.0f} Å: highest of a spectrum, 25, 50, 75, 90 %": text(highest),
            f"to {reddest:.0f} Å: spectra with a dip below -6": f"{absorbed:.0%}",
        }
    return told


def text(values: Floats) -> str:
    """Write numbers."""
    return ", ".join(f"{value:.2f}" for value in values)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--plates", type=int, default=10, help="plates differ in their noise")
    arguments = parser.parse_args()
    real = real_spectra(arguments.data, "quasars", GRID)
    real = real[np.flatnonzero(real.targets["CLASS"] == "QSO")]
    config = load_config(None, OVERRIDES)
    mocks = mock_spectra(config, arguments.plates, arguments.seed, GRID)
    mocks = [batch[np.flatnonzero(batch.targets["CLASS"] == "QSO")] for batch in mocks]
    n_mock = sum(len(batch.flux) for batch in mocks)
    print(f"| | {len(real.flux)} real | {n_mock} mock |\n|---|---|---|")
    told = numbers(mocks)
    for title, value in numbers([real]).items():
        print(f"| {title} | {value} | {told[title]} |")


if __name__ == "__main__":
    main()
