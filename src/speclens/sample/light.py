"""Is it light? What comes through a spectrograph is a sum of line spreads, none of them negative.

In: a few pixels around a bright or dark place, and the line spread. Out: by how much chi2 says that
no light, of whatever shape, looks like that: neither a skewed line, nor a doublet, nor a wide one.
Which places are asked about, and what is done with them, is decided in `speclens.sample.damage`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

__all__ = ["REACH", "misfit_of_light"]

REACH = 6
"""Pixels on either side of a place that light there would reach."""

LEAST_SPREAD = 0.95
"""Share of the stated line spread that it may be in truth; more is explained by more sources."""

Floats = NDArray[np.float64]


def misfit_of_light(
    excess: Floats, weight: Floats, inside: NDArray[np.bool_], spread: float
) -> tuple[float, float]:
    """Compare the best sum of line spreads with free values of some pixels.

    Parameters
    ----------
    excess, weight : array of shape (K,)
        K pixels less the level around them, positive where they are bright (or, of a dip, dark);
        and their inverse variance, 0 where masked.
    inside : array of shape (K,)
        True for the pixels that may be damaged.
    spread : float
        Standard deviation of the line spread, pixels.

    Returns
    -------
    misfit : float
        chi2 of the best sum of line spreads minus that of free pixels.
    power : float
        chi2 of those pixels against none of it.

    Notes
    -----
    A non-negative least-squares fit (Lawson and Hanson 1974, chapter 23).
    """
    good = np.flatnonzero(weight > 0)
    root = np.sqrt(weight[good])
    # Half a pixel apart, and none beyond the good pixels: a line that is masked is not searched.
    sources = np.append(good, good[1:][np.diff(good) == 1] - 0.5)
    spreads = np.exp(-0.5 * ((good[:, None] - sources) / (LEAST_SPREAD * spread)) ** 2)
    data = root * excess[good]
    _, norm = nnls(root[:, None] * spreads, data)
    power = data**2
    return float(norm**2 - power[~inside[good]].sum()), float(power[inside[good]].sum())
