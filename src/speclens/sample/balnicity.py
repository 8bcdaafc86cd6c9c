"""Broad absorption lines of quasars: how much of the C IV line's blue side is missing.

In: spectra of quasars with their continuum. Out: the balnicity of each. What is made of it is left
to the search.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from speclens.lines import PIXEL_KMS, REST_LINES, SPEED_OF_LIGHT_KMS
from speclens.spectra import FittedSpectra

__all__ = ["balnicity"]

SPEED_RANGE_KMS = (3000.0, 25000.0)
LEAST_WIDTH_KMS = 2000.0
DEPTH = 0.9
"""Of the continuum; what is above it is none (Weymann et al. 1991, ApJ 373, 23, appendix A)."""

SMOOTH_PIXELS = 7
SIGMA = 7.0
"""Standard deviations by which the light that is missing of a trough must exceed none."""

Floats = NDArray[np.float64]


def balnicity(spectra: FittedSpectra, z: NDArray[np.floating]) -> Floats:
    """Return the balnicity index of C IV.

    Parameters
    ----------
    spectra : FittedSpectra
        N quasars with their continuum and emission lines as `model`.
    z : array of shape (N,)
        Their redshifts.

    Returns
    -------
    array of shape (N,)
        Equivalent width of troughs wider than 2000 km/s, between 3000 and 25000 km/s before the
        line, km/s (Weymann et al. 1991); 0 where there is none or C IV is not seen.

    Notes
    -----
    Differs: a trough must be seen at 7 standard deviations, because spectra of surveys are noisy.
    """
    wave = REST_LINES["C IV"].wave * (1 + np.asarray(z)[:, None])
    speed = SPEED_OF_LIGHT_KMS * np.log(wave / spectra.grid.wave)
    within = (speed > SPEED_RANGE_KMS[0]) & (speed < SPEED_RANGE_KMS[1])
    index = np.zeros(len(spectra))
    for i in np.flatnonzero(within.any(axis=1)).tolist():
        index[i] = _index(*(of[i, within[i]] for of in (spectra.flux, spectra.model, spectra.ivar)))
    return index


def _index(
    flux: NDArray[np.float32], model: NDArray[np.float32], ivar: NDArray[np.float32]
) -> float:
    """Sum over the troughs of one spectrum, km/s."""
    good = (ivar > 0) & (model > 0)
    continuum = DEPTH * np.where(good, model, 1).astype(np.float64)
    missing = np.where(good, 1 - flux / continuum, 0)
    weight = np.where(good, ivar * continuum**2, 0)
    seen = np.maximum(uniform_filter1d(weight, SMOOTH_PIXELS), 1e-30)
    deep = uniform_filter1d(missing * weight, SMOOTH_PIXELS) / seen > 0
    total = 0.0
    for start, stop in _runs(deep):
        own = slice(start, stop)
        if (stop - start) * PIXEL_KMS < LEAST_WIDTH_KMS:
            continue
        if (missing[own] * weight[own]).sum() > SIGMA * np.sqrt(weight[own].sum()):
            total += float(missing[own].sum()) * PIXEL_KMS
    return total


def _runs(where: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return first and last + 1 of each run of True, shape (R, 2)."""
    edges = np.diff(np.concatenate([[False], where, [False]]).astype(np.int8))
    return np.stack([np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)], axis=1)
