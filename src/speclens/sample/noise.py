"""Errors that only grow: what sky fibres and residuals say of the stated noise.

In: sky fibres of many plates; residuals of a fit. Out: factors by which the stated errors are
multiplied, never below one (Shu et al. 2016, section 2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import LSQUnivariateSpline

from speclens.config import NoiseConfig
from speclens.spectra import LogGrid

__all__ = ["SkyStatistics", "error_growth", "sky_error_growth"]


@dataclass(frozen=True)
class SkyStatistics:
    """Sums over the sky fibres of plates.

    Parameters
    ----------
    chi2 : array of shape (L,)
        Sum of flux^2 * ivar over the fibres.
    n_fibres : array of shape (L,)
        Number of fibres with a good pixel there.
    """

    chi2: NDArray[np.float64]
    n_fibres: NDArray[np.int64]

    @classmethod
    def of_fibres(
        cls, flux: NDArray[np.float32], ivar: NDArray[np.float32], config: NoiseConfig
    ) -> SkyStatistics:
        """Sum over the sky fibres of one plate.

        Parameters
        ----------
        flux, ivar : array of shape (N, L)
            Sky-subtracted sky fibres; a pixel with no inverse variance is ignored.
        config : NoiseConfig
            Largest reduced chi-square of a plate that is used.

        Returns
        -------
        SkyStatistics
            The sums; zero for a plate with a bad sky subtraction.
        """
        chi2 = (flux.astype(np.float64) ** 2 * ivar).sum(0)
        n_fibres = (ivar > 0).sum(0)
        if chi2.sum() >= config.sky_chi2_max * max(int(n_fibres.sum()), 1):
            return cls(np.zeros_like(chi2), np.zeros_like(n_fibres))
        return cls(chi2, n_fibres)

    def __add__(self, other: SkyStatistics) -> SkyStatistics:
        return SkyStatistics(self.chi2 + other.chi2, self.n_fibres + other.n_fibres)


def sky_error_growth(sky: SkyStatistics, grid: LogGrid, config: NoiseConfig) -> NDArray[np.float64]:
    """Return how much the sky fibres scatter beyond their smooth level.

    Parameters
    ----------
    sky : SkyStatistics
        Sums over all plates.
    grid : LogGrid
        Wavelengths, L pixels.
    config : NoiseConfig
        Spline knots, emission bands left out of it, number of fibres needed.

    Returns
    -------
    array of shape (L,)
        max(1, rms / spline of rms); ones with too few fibres.

    Notes
    -----
    Shu et al. 2016, section 2. Differs: with fewer than `sky_min_fibres` fibres nothing is
    corrected, since the scatter of the estimate would pass for that of the sky.
    """
    enough = sky.n_fibres >= config.sky_min_fibres
    if enough.sum() < grid.n_pixels // 2:
        return np.ones(grid.n_pixels)
    rms = np.sqrt(sky.chi2 / np.maximum(sky.n_fibres, 1))
    smooth_here = enough.copy()
    for line in config.sky_emission:
        smooth_here &= np.abs(grid.wave - line) > config.sky_emission_half_width
    wave = grid.wave[smooth_here]
    knots = np.arange(wave[0], wave[-1], config.sky_knot_spacing)[1:-1]
    inside = [k for k in knots if ((wave > k) & (wave < k + config.sky_knot_spacing)).sum() > 4]
    spline = LSQUnivariateSpline(wave, rms[smooth_here], inside, k=3)
    ratio = rms / np.maximum(spline(grid.wave), 1e-3)
    return np.where(enough, np.maximum(1, ratio), 1)


def error_growth(
    residual: NDArray[np.float32], ivar: NDArray[np.float32], config: NoiseConfig
) -> NDArray[np.float32]:
    """Return how much wider the normalised residuals are than the errors say.

    Parameters
    ----------
    residual, ivar : array of shape (N, L)
        Residuals of the foreground fit; a pixel with no inverse variance is ignored.
    config : NoiseConfig
        Quantiles, and the number of good pixels needed.

    Returns
    -------
    array of shape (N,)
        max(1, (q97.5 - q2.5) / 4) of residual * sqrt(ivar); 1 with too few pixels.
    """
    good = ivar > 0
    n_good = good.sum(1)
    ordered = np.where(good, residual * np.sqrt(ivar), np.float32(np.inf))
    ordered.sort(axis=1)
    quantiles = []
    for q in config.quantiles:
        place = q * np.maximum(n_good - 1, 0)
        below = place.astype(np.intp)
        above = np.minimum(below + 1, np.maximum(n_good - 1, 0))
        rows = np.arange(len(ordered))
        weight = (place - below).astype(np.float32)
        with np.errstate(invalid="ignore"):
            quantiles.append(ordered[rows, below] * (1 - weight) + ordered[rows, above] * weight)
    with np.errstate(invalid="ignore"):
        growth = np.maximum(1, (quantiles[1] - quantiles[0]) / config.quantile_divisor)
    return np.where(n_good >= config.quantile_min_pixels, growth, 1).astype(np.float32)
