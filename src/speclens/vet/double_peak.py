"""Two peaks: Lyman alpha that its galaxy's gas divides, with a trough at the systemic redshift.

In: cutouts around the lines and the fit of one line. Out: how much better two lines are than one
skewed line, and how far apart they are.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from speclens.lines import PIXEL_KMS
from speclens.vet.hit_spectra import HitSpectra
from speclens.vet.line_fits import doublet, fit_lines

__all__ = ["measure"]

Floats = NDArray[np.float64]

SEPARATIONS = (3.0, 4.5, 6.5, 9.5)
"""Distances of the peaks that are tried, pixels: 200 to 650 km/s."""

RATIOS = np.array([0.4, 1.0, 2.5])
"""Fluxes of the red peak over the blue one that are tried."""


def measure(spectra: HitSpectra) -> Mapping[str, Floats]:
    """Fit two lines of one width to each hit that is taken for Lyman alpha.

    Parameters
    ----------
    spectra : HitSpectra
        H hits with their spectra.

    Returns
    -------
    mapping of str to array of shape (H,)
        Columns of hits.fits: PEAKS_DCHI2, PEAKS_KMS, PEAKS_RATIO; NaN for other lines and where
        nothing can be fitted.

    Notes
    -----
    Cao et al. 2020, MNRAS 499, 3610: 80 of 361 candidates have two peaks. Differs: separation and
    ratio take a few values, which is enough to tell.
    """
    columns = {
        name: np.full(len(spectra), np.nan) for name in ("PEAKS_DCHI2", "PEAKS_KMS", "PEAKS_RATIO")
    }
    rows = np.flatnonzero(
        (spectra.hits["HYPOTHESIS"] == "lya") & np.isfinite(spectra.fit["SKEWNESS"])
    )
    if not len(rows):
        return columns
    cutouts, config = spectra.cutouts[rows], spectra.config
    # All at once: a fit costs less than a call.
    pairs = np.arange(len(SEPARATIONS) * len(RATIOS), dtype=np.float64)
    chi2 = fit_lines(cutouts, _two_peaks, pairs, config.fit_sigma_range, config.fit_reach).chi2
    best = chi2.argmin(axis=1)
    apart, ratio = np.divmod(best, len(RATIOS))
    columns["PEAKS_DCHI2"][rows] = spectra.chi2[rows] - chi2[np.arange(len(rows)), best]
    columns["PEAKS_KMS"][rows] = np.array(SEPARATIONS)[apart] * PIXEL_KMS
    columns["PEAKS_RATIO"][rows] = RATIOS[ratio]
    return columns


def _two_peaks(offset: Floats, sigma: Floats, pair: Floats, dispersion: Floats) -> Floats:
    """Return a doublet of the separation and the ratio that a number stands for; see `doublet`."""
    apart, ratio = np.divmod(pair.astype(np.intp), len(RATIOS))
    profile = doublet(np.array(SEPARATIONS)[apart])
    return profile(offset, sigma, RATIOS[ratio], dispersion)
