"""Skewness: the blue edge and the red tail of Lyman alpha.

In: cutouts around the lines. Out: the skew-normal fit of each, with an honest interval of its
skewness. The limit that a hit must pass is the configuration's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from speclens.config import VetConfig
from speclens.vet.line_fits import Cutouts, LineFits, fit_lines, skew_normal

if TYPE_CHECKING:
    from speclens.vet.hit_spectra import HitSpectra

__all__ = ["fit_skewness", "measure"]

Floats = NDArray[np.float64]

SHAPES = np.array([0.0, 0.6, 1.2, 1.8, 2.5, 3.5, 5.0, 8.0, 13.0])
"""Skewness at which the profile of chi2 is computed, to either side, up to the configured end."""

SOFT = 3.0
"""Skewness is interpolated in arctan(skewness / SOFT): beyond, profiles hardly differ."""

N_FINE = 801
LEAST_PIXELS = 8


def measure(spectra: HitSpectra) -> Mapping[str, NDArray[np.generic]]:
    """Return the fit of each line of `HitSpectra`; see `fit_skewness`."""
    return {name: values for name, values in spectra.fit.items() if name != "CHI2"}


def fit_skewness(cutouts: Cutouts, config: VetConfig) -> Mapping[str, NDArray[np.generic]]:
    """Fit a skew-normal line and a horizontal continuum.

    Parameters
    ----------
    cutouts : Cutouts
        H lines.
    config : VetConfig
        Limits of the fit.

    Returns
    -------
    mapping of str to array of shape (H,)
        Columns of hits.fits: FIT_STATUS, CHI2_NU, FIT_WAVE, CONTINUUM, LYA_FLUX, LYA_FLUX_ERR,
        PEAK, WIDTH, SKEWNESS with its interval, SKEW_DCHI2, and CHI2, which other tests compare
        with theirs.

    Notes
    -----
    Li et al. 2019, section 4: five parameters, non-linear least squares with the spectrum's errors.
    The skewness is where chi2, minimised over the other four, is lowest. Its 68 % interval is where
    chi2 is higher by at most one near symmetry, and by less where the skewness is so high that
    profiles hardly differ any more: with a limit of one, intervals there would cover too often
    (`benchmarks/skewness.py` measures both).

    Differs: the profile is convolved with the spectrograph's line spread, and fitted to what the
    foreground leaves.
    """
    positive = np.append(SHAPES[config.fit_skewness_max > SHAPES], config.fit_skewness_max)
    shapes = np.concatenate([-positive[:0:-1], positive])
    profile = fit_lines(cutouts, skew_normal, shapes, config.fit_sigma_range, config.fit_reach)
    best, low, high = _lowest(shapes, profile.chi2, config.skewness_half_way)
    fit = fit_lines(cutouts, skew_normal, best[:, None], config.fit_sigma_range, config.fit_reach)
    n_good = (cutouts.ivar > 0).sum(1)
    usable = n_good >= LEAST_PIXELS
    at_bound = np.abs(best) >= config.fit_skewness_max * (1 - 1e-3)
    columns = _columns(cutouts, fit, n_good)
    symmetric = profile.chi2[:, len(shapes) // 2]
    columns |= {
        "SKEWNESS": best,
        "SKEWNESS_LOW": low,
        "SKEWNESS_HIGH": high,
        "SKEWNESS_ERR": (high - low) / 2,
        "SKEW_DCHI2": np.maximum(symmetric - columns["CHI2"], 0),
    }
    for values in columns.values():
        values[~usable] = np.nan
    status = np.where(usable, np.where(at_bound, "at_bound", "fitted"), "no_data")
    return {"FIT_STATUS": status, **columns}


def _columns(cutouts: Cutouts, fit: LineFits, n_good: NDArray[np.intp]) -> dict[str, Floats]:
    width = cutouts.pixel_width
    return {
        "CHI2": fit.chi2[:, 0],
        "CHI2_NU": fit.chi2[:, 0] / np.maximum(n_good - 5, 1),
        "FIT_WAVE": cutouts.wave + fit.mean[:, 0] * width,
        "CONTINUUM": fit.continuum[:, 0],
        "LYA_FLUX": fit.flux[:, 0],
        "LYA_FLUX_ERR": fit.flux_err[:, 0],
        "PEAK": fit.peak[:, 0],
        "WIDTH": fit.sigma[:, 0] * width,
    }


def _lowest(shapes: Floats, chi2: Floats, half_way: float) -> tuple[Floats, Floats, Floats]:
    """Where chi2 is lowest, and the ends of the 68 % interval around it."""
    x = np.arctan(shapes / SOFT)
    fine = np.linspace(x[0], x[-1], N_FINE)
    skewness = SOFT * np.tan(fine)
    limit = 1 / (1 + np.abs(skewness / half_way) ** 1.5)
    curve = CubicSpline(x, chi2, axis=1)(fine)  # (H, N_FINE)
    best = curve.argmin(axis=1)
    outside = curve > curve.min(axis=1, keepdims=True) + limit
    index = np.arange(N_FINE)
    first = np.where(outside & (index < best[:, None]), index, -1).max(axis=1, initial=-1) + 1
    last = np.where(outside & (index > best[:, None]), index, N_FINE).min(axis=1) - 1
    return skewness[best], skewness[first], skewness[last]
