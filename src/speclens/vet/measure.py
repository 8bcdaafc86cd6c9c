"""What the vet tests measure of hits, spectrum by spectrum.

In: hits with their spectra. Out: columns of hits.fits. A test whose module has a function `measure`
is asked; what needs all hits of a run (over-densities) or other spectra (companions) is measured
elsewhere; nothing is judged here.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

import numpy as np
from numpy.typing import NDArray

from speclens.schema import TESTS
from speclens.vet.hit_spectra import HitSpectra

__all__ = ["measure_hits"]


@np.errstate(divide="ignore", invalid="ignore", over="ignore")
def measure_hits(spectra: HitSpectra) -> Mapping[str, NDArray[np.generic]]:
    """Measure hits with every test that a single spectrum tells something.

    Parameters
    ----------
    spectra : HitSpectra
        H hits with their spectra.

    Returns
    -------
    mapping of str to array of shape (H,)
        Columns of hits.fits. Those of a hit depend on its own spectrum alone; what damage makes of
        them is not a number.
    """
    columns: dict[str, NDArray[np.generic]] = {}
    for test in TESTS:
        measure = getattr(import_module(f"speclens.vet.{test.name}"), "measure", None)
        if measure is not None:
            columns |= measure(spectra)
    return columns
