"""What the vet tests measure of hits, spectrum by spectrum.

In: hits, their spectra in the window and whole. Out: columns of hits.fits. What needs all hits of a
run (over-densities) or other spectra (companions) is measured elsewhere; nothing is judged here.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from speclens.config import VetConfig
from speclens.evidence.fixed_line import line_sigma
from speclens.spectra import FittedSpectra, LogGrid
from speclens.vet.interlopers import measure_interlopers, measure_lens_lines
from speclens.vet.line_fits import cut_out
from speclens.vet.quality import measure_quality
from speclens.vet.skewness import measure_skewness

__all__ = ["measure_hits"]

Floats = NDArray[np.float64]


@np.errstate(divide="ignore", invalid="ignore", over="ignore")
def measure_hits(
    hits: NDArray[np.void],
    window: FittedSpectra,
    whole: FittedSpectra,
    usual_dispersion: tuple[tuple[float, float], ...],
    config: VetConfig,
) -> Mapping[str, NDArray[np.generic]]:
    """Measure quality, skewness and interlopers of hits.

    Parameters
    ----------
    hits : structured array of shape (H,)
        Rows of hits.fits.
    window, whole : FittedSpectra
        The spectrum of each hit: the window as it was searched, and all of it.
    usual_dispersion : tuple of (float, float)
        Wavelength, Angstrom, and line spread, pixels, where a spectrum does not know its own.
    config : VetConfig
        The tests.

    Returns
    -------
    mapping of str to array of shape (H,)
        Columns of hits.fits. Those of a hit depend on its own spectrum alone; what damage makes of
        them is not a number.
    """
    wave = np.asarray(hits["WAVE"], np.float64)
    wave = np.where(np.isfinite(wave) & (wave > 0), wave, np.nan)
    spread = np.interp(np.nan_to_num(wave), *np.array(usual_dispersion).T)
    cutouts = cut_out(window, wave, config.fit_half_width, spread)
    fit = dict(measure_skewness(cutouts, config))
    chi2 = np.asarray(fit.pop("CHI2"), np.float64)
    sigma = line_sigma(hits["FWHM_KMS"], config.line_sigma_range)
    observed = np.hypot(sigma, cutouts.dispersion)
    known = {"WAVE": wave, "FLUX": np.asarray(hits["FLUX"], np.float64), "SIGMA": sigma}
    along = _along(whole.grid, usual_dispersion)
    return {
        **measure_quality(cutouts, chi2, observed, wave, window.grid, config.spike_reach),
        **fit,
        **measure_interlopers(whole, cutouts, chi2, known, along, config),
        **measure_lens_lines(wave, np.asarray(hits["Z"], np.float64), config),
    }


def _along(grid: LogGrid, usual_dispersion: tuple[tuple[float, float], ...]) -> Floats:
    return np.asarray(np.interp(grid.wave, *np.array(usual_dispersion).T), np.float64)
