"""Airglow: lines where the sky is bright, and its subtraction may leave one.

In: whole spectra of hits. Out: by how much errors at the line exceed those around it. The sky's own
lines raise the errors of their pixels: no list of them is needed, in no survey.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from speclens.vet.hit_spectra import HitSpectra

__all__ = ["measure"]

Floats = NDArray[np.float64]

AT_LINE, AROUND = 2, 100
"""Pixels on either side of the line, and of its surroundings."""


def measure(spectra: HitSpectra) -> Mapping[str, Floats]:
    """Compare errors at each line with those around it.

    Parameters
    ----------
    spectra : HitSpectra
        H hits with their spectra.

    Returns
    -------
    mapping of str to array of shape (H,)
        Column of hits.fits: SKY_EXCESS, the ratio of median errors; NaN where nothing is measured.
    """
    grid, excess = spectra.whole.grid, np.full(len(spectra), np.nan)
    for i in np.flatnonzero(np.isfinite(spectra.wave)).tolist():
        middle = int(grid.nearest(spectra.wave[i]))
        near, wide = (
            spectra.whole.ivar[i, max(middle - reach, 0) : middle + reach + 1]
            for reach in (AT_LINE, AROUND)
        )
        if (near > 0).any():
            excess[i] = np.sqrt(np.median(wide[wide > 0]) / np.median(near[near > 0]))
    return {"SKY_EXCESS": excess}
