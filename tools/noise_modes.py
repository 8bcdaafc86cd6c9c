"""How spectra of plates, and of the fibres of a plate, differ: means, covariances and their modes.

In: curves of spectra. Out: numbers for `build_noise_model.py`, which writes them down.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from boss_spectra import Array

__all__ = ["leading_modes", "plate_statistics"]


def covariance(curves: Array) -> Array:
    """Return the covariance of curves (N, B) between bins."""
    return np.asarray(np.cov(curves, rowvar=False))


def leading_modes(matrix: Array, n_modes: int) -> Array:
    """Return the leading eigenvectors of a covariance, scaled to unit-variance coefficients."""
    values, vectors = np.linalg.eigh(matrix)
    leading = np.argsort(values)[::-1][:n_modes]
    scaled = vectors[:, leading].T * np.sqrt(np.maximum(values[leading], 0))[:, None]
    return np.asarray(scaled * np.sign(scaled.sum(1))[:, None])


def plate_statistics(
    curves: Array, plate: NDArray[np.int64], main: int
) -> tuple[Array, Array, Array]:
    """Split curves into the mean of plates and two covariances.

    Parameters
    ----------
    curves : array of shape (N, B)
        Curves of spectra.
    plate : array of shape (N,)
        Their plates.
    main : int
        The plate with enough fibres to measure how fibres differ.

    Returns
    -------
    mean : array of shape (B,)
        Mean over plates.
    between, within : array of shape (B, B)
        Covariance between plates, and between the fibres of a plate.
    """
    plates = np.unique(plate)
    means = np.array([curves[plate == p].mean(0) for p in plates])
    within = covariance(curves[plate == main])
    # The mean of a plate carries the scatter of its few fibres, which is not the plate's own.
    share = np.mean([1 / np.sum(plate == p) for p in plates])
    return means.mean(0), covariance(means) - share * within, within
