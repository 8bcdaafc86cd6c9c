"""Skewness put in and recovered, its interval, and what symmetric lines and bad spectra give."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.config import Config
from speclens.lines import pixel_width_angstrom
from speclens.simulate.emitters import Lines, draw_emitters, line_spectra
from speclens.spectra import FittedSpectra, LogGrid
from speclens.vet.line_fits import Cutouts, cut_out, fit_lines, skew_normal
from speclens.vet.skewness import measure_skewness

Floats = NDArray[np.float64]
Measured = dict[str, NDArray[np.generic]]

GRID = LogGrid.covering(3800, 5000)
DISPERSION = 1.05
MEASURED = (
    "CHI2", "CHI2_NU", "FIT_WAVE", "CONTINUUM", "LYA_FLUX", "LYA_FLUX_ERR", "PEAK", "WIDTH",
    "SKEWNESS", "SKEWNESS_LOW", "SKEWNESS_HIGH", "SKEWNESS_ERR", "SKEW_DCHI2",
)  # fmt: skip


@pytest.fixture
def measure(
    defaults: Config, spectra_of: Callable[..., FittedSpectra]
) -> Callable[[Lines, Floats | float, np.random.Generator], Measured]:
    """`measure(lines, snr, rng)`: put lines into noise that gives them these S/N, and fit them."""

    def put_and_fit(lines: Lines, snr: Floats | float, rng: np.random.Generator) -> Measured:
        clean = line_spectra(lines, GRID, DISPERSION).astype(np.float64)
        sigma = np.sqrt((clean**2).sum(1)) / snr
        spectra = spectra_of(GRID, clean, sigma[:, None], rng)
        # The search finds a line only to within a pixel.
        wave = lines.wave + 0.5 * rng.uniform(-1, 1, len(lines)) * pixel_width_angstrom(lines.wave)
        usual = np.full(len(lines), DISPERSION)
        cutouts = cut_out(spectra, wave, defaults.vet.fit_half_width, usual)
        return dict(measure_skewness(cutouts, defaults.vet))

    return put_and_fit


def lines_of(n_lines: int, skewness: float, rng: np.random.Generator) -> Lines:
    """Lines of flux 15 that are 2.8 pixels wide as observed."""
    wave = rng.uniform(3850, 4950, n_lines)
    width = 2.8 * pixel_width_angstrom(wave)
    return Lines(wave, np.full(n_lines, 15.0), width, np.full(n_lines, skewness))


@pytest.mark.parametrize("snr", [12.0, 30.0, 80.0])
@pytest.mark.parametrize("skewness", [-4.0, -1.5, 1.5, 4.0])
def test_the_median_skewness_is_the_one_put_in(
    measure: Callable[..., Measured], rng: np.random.Generator, skewness: float, snr: float
) -> None:
    found = measure(lines_of(300, skewness, rng), snr, rng)
    x, truth = (np.arctan(np.asarray(v) / 3) for v in (found["SKEWNESS"], skewness))
    print(skewness,snr,np.median(found["SKEWNESS"]),np.median(x)-truth, 1.25 * np.std(x) / np.sqrt(300))
    wave=lines_of(300,skewness,np.random.default_rng(20190214)).wave
    print(' flux', np.median(found['LYA_FLUX']), np.std((found['LYA_FLUX']-15)/found['LYA_FLUX_ERR']), np.mean((found['LYA_FLUX']-15)/found['LYA_FLUX_ERR']), 'chi2nu', np.median(found['CHI2_NU']), 'wave', np.median((found['FIT_WAVE']-wave)), 'width', np.median(found['WIDTH']), np.median(np.sqrt(2.8**2-1.05**2-1/12)*pixel_width_angstrom(wave)))
    print(' cov', np.mean((found['SKEWNESS_LOW']<=skewness)&(found['SKEWNESS_HIGH']>=skewness)))


def test_probe(measure, rng, defaults):
    lines = draw_emitters(700, (3850, 4950), defaults.emitters, rng)
    found = measure(lines, rng.uniform(8, 30, 700), rng)
    print('coverage', np.mean((found['SKEWNESS_LOW']<=lines.skewness)&(found['SKEWNESS_HIGH']>=lines.skewness)))
    for snr in (8,15,40):
        found = measure(lines_of(500, 0.0, rng), snr, rng)
        d=found['SKEW_DCHI2']; print('sym', snr, np.median(d), (d>3.84).mean(), (d>9).mean(), (found['SKEWNESS']>0).mean(), (found["FIT_STATUS"]=="at_bound").mean())
        print((found['SKEWNESS_LOW']>0).mean(),(found['SKEWNESS_HIGH']<0).mean())
