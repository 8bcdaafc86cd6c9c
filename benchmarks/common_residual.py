"""What the spectra of a half-plate have in common once their foregrounds are gone.

In: residuals and errors of the galaxies of one spectrograph. Out: for each of them the common
residual that all others predict. What it is worth to a search is measured in `levers.py`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from speclens.simulate.fibres import Fibres

__all__ = ["common_residual"]

CLIP = 4.0
"""Pixels further off, in units of the stated error, tell nothing of the others."""

SMOOTH_PIXELS = 101
"""Over so many pixels the variance of the common part is the same."""

VARIANCE_MIN = 1e-6

Floats = NDArray[np.float32]


def common_residual(residual: Floats, ivar: Floats, fibre: NDArray[np.integer]) -> Floats:
    """Predict the residual of each spectrum from all others of its half-plate.

    Parameters
    ----------
    residual, ivar : array of shape (N, L)
        Residuals of the foreground fit and the stated inverse variance, 0 where masked.
    fibre : array of shape (N,)
        Numbers of the fibres, from 1, of one spectrograph.

    Returns
    -------
    array of shape (N, L)
        The common residual, in the unit of `residual`; 0 where masked.

    Notes
    -----
    In units of the stated error the common part of a pixel is a quadratic in the fibre's number
    whose three coefficients are drawn from one variance. That variance is the mean product of
    pairs of spectra over the mean product that a variance of one would give; the coefficients are
    the means of their posterior. The value for a spectrum leaves its own out.
    """
    sigma = np.sqrt(np.divide(1, ivar, out=np.zeros_like(ivar), where=ivar > 0))
    scaled = residual * np.sqrt(ivar)
    good = (ivar > 0) & (np.abs(scaled) < CLIP)
    scaled = np.where(good, scaled, 0).astype(np.float64)
    modes = Fibres.of_plate(fibre, np.zeros(len(fibre), bool)).weights.astype(np.float64)
    n_modes = modes.shape[1]
    products = (modes[:, :, None] * modes[:, None, :]).reshape(len(modes), -1)  # (N, K K)
    own = (modes**2).sum(axis=1)
    normal = (good.T @ products).reshape(-1, n_modes, n_modes)  # (L, K, K)
    right = scaled.T @ modes  # (L, K)
    pairs = (right**2).sum(axis=1) - (scaled**2).T @ own
    expected = (normal**2).sum(axis=(1, 2)) - good.T @ own**2
    ratio = _smooth(pairs) / np.maximum(_smooth(expected), VARIANCE_MIN)
    variance = np.maximum(ratio, VARIANCE_MIN)[:, None, None]
    posterior = np.linalg.inv(normal + np.eye(n_modes) / variance)
    fit = modes @ np.einsum("lkm,lm->kl", posterior, right)
    leverage = good * (products @ posterior.reshape(len(posterior), -1).T)
    return np.asarray(sigma * (fit - leverage * scaled) / (1 - leverage), np.float32)


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(uniform_filter1d(values, SMOOTH_PIXELS, mode="nearest"), np.float64)
