"""Airglow: lines where the sky is bright, and its subtraction may leave one.

In: whole spectra of hits. Out: by how much errors at the line exceed those around it, and how far
it is from a line of which the survey's subtraction often leaves something. Bright lines of the sky
raise the errors of their pixels and need no list; the fainter ones in the blue do not.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from speclens.instrument import INSTRUMENTS
from speclens.lines import SPEED_OF_LIGHT_KMS
from speclens.vet.hit_spectra import HitSpectra

__all__ = ["measure"]

Floats = NDArray[np.float64]

AT_LINE, AROUND = 2, 100
"""Pixels on either side of the line, and of its surroundings."""

BEYOND = 50.0
"""Angstrom redward of the last listed line for which the list speaks."""


def measure(spectra: HitSpectra) -> Mapping[str, Floats]:
    """Compare errors at each line with those around it.

    Parameters
    ----------
    spectra : HitSpectra
        H hits with their spectra.

    Returns
    -------
    mapping of str to array of shape (H,)
        Columns of hits.fits: SKY_EXCESS, the ratio of median errors, and SKY_KMS, to the nearest
        line that the survey's instrument lists; NaN where there is none.
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
    return {"SKY_EXCESS": excess, "SKY_KMS": _distance(spectra)}


def _distance(spectra: HitSpectra) -> Floats:
    """Return how far the nearest listed line of each survey's sky is, km/s."""
    distance = np.full(len(spectra), np.nan)
    for survey in np.unique(spectra.hits["SURVEY"]).tolist():
        instrument = INSTRUMENTS.get(survey)
        if instrument is None or not instrument.sky_lines:
            continue
        rows = spectra.hits["SURVEY"] == survey
        listed, wave = np.array(instrument.sky_lines), spectra.wave[rows]
        away = np.abs(wave[:, None] / listed - 1).min(axis=1) * SPEED_OF_LIGHT_KMS
        # Redward of the list airglow is everywhere: nothing is known there.
        distance[rows] = np.where(wave < listed.max() + BEYOND, away, np.nan)
    return distance
