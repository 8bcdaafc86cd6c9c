"""Quality: noise, masked pixels, and lines that the spectrograph cannot make.

In: cutouts around the lines and their fits. Out: what is measured of noise, masked pixels, the
window's end and spikes. Which values are bad the configuration says.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from speclens.lines import gaussian_pixels
from speclens.spectra import LogGrid
from speclens.vet.hit_spectra import HitSpectra
from speclens.vet.line_fits import Cutouts

__all__ = ["measure", "measure_quality"]

Floats = NDArray[np.float64]


def measure(spectra: HitSpectra) -> Mapping[str, Floats]:
    """Measure the surroundings of each line of `HitSpectra`; see `measure_quality`."""
    observed = np.hypot(spectra.sigma, spectra.cutouts.dispersion)
    return measure_quality(
        spectra.cutouts, spectra.chi2, observed, spectra.wave, spectra.window.grid,
        spectra.config.spike_reach,
    )  # fmt: skip


def measure_quality(
    cutouts: Cutouts,
    chi2: Floats,
    sigma: Floats,
    wave: Floats,
    grid: LogGrid,
    spike_reach: float,
) -> Mapping[str, Floats]:
    """Measure the surroundings of each line.

    Parameters
    ----------
    cutouts : Cutouts
        H lines.
    chi2 : array of shape (H,)
        Chi2 of the fitted lines, over the same pixels.
    sigma : array of shape (H,)
        Standard deviation of the lines as observed, pixels.
    wave : array of shape (H,)
        Wavelengths of the hits, Angstrom.
    grid : LogGrid
        The window that was searched.
    spike_reach : float
        Largest distance of a spike from the hit, pixels.

    Returns
    -------
    mapping of str to array of shape (H,)
        Columns of hits.fits: NOISE, GOOD_PIXELS, EDGE_PIXELS, SPIKE_DCHI2.

    Notes
    -----
    Li et al. 2019, section 4, where the eye refuses noise. A cosmic ray fills one pixel or two,
    independently; the spectrograph spreads every line over more.
    """
    good = cutouts.ivar > 0
    error = np.sqrt(1 / np.where(good, cutouts.ivar, np.nan))
    noise = np.full(len(cutouts), np.nan)
    some = good.any(1)
    noise[some] = np.nanmedian(error[some], axis=1)
    weight = gaussian_pixels(cutouts.offset - cutouts.centre[:, None], sigma[:, None])
    place = grid.pixel(wave)
    return {
        "NOISE": noise,
        "GOOD_PIXELS": (weight * good).sum(1) / weight.sum(1),
        "EDGE_PIXELS": np.minimum(place, grid.n_pixels - 1 - place),
        "SPIKE_DCHI2": chi2 - _spike_chi2(cutouts, spike_reach),
    }


def _spike_chi2(cutouts: Cutouts, reach: float) -> Floats:
    """Chi2 of a horizontal line with any two neighbouring pixels left free, the best near the hit.

    The free pixels cost nothing: what is left is the chi2 of the others about their own mean.
    """
    w, d = cutouts.ivar, cutouts.flux
    sums = np.stack([w, w * d, w * d**2])  # (3, H, P)
    pairs = sums[:, :, 1:] + sums[:, :, :-1]
    weight, first, second = sums.sum(2)[:, :, None] - pairs
    chi2 = second - first**2 / np.maximum(weight, 1e-30)
    middle = cutouts.offset[:-1] + 0.5
    near = np.abs(middle - cutouts.centre[:, None]) <= reach
    return np.asarray(np.where(near, chi2, np.inf).min(axis=1))
