"""The probability of each hypothesis, of every hit: hypotheses.fits.

In: vetted hits, and what the search of lines weighed. Out: rows of hypotheses.fits. Of the hits of
other searches the probability of Lyman alpha is known, and that of anything else together.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from speclens.schema import HIT_HYPOTHESES, dtype_of

__all__ = ["OTHER", "hypotheses_of"]

OTHER = "other"
"""All that is not Lyman alpha, where no more is known."""


def hypotheses_of(hits: NDArray[np.void], weighed: NDArray[np.void]) -> NDArray[np.void]:
    """Return the hypotheses of hits.

    Parameters
    ----------
    hits : structured array of shape (H,)
        Rows of hits.fits, vetted.
    weighed : structured array
        Rows of hypotheses.fits that a search weighed; others are made anew.

    Returns
    -------
    structured array
        Rows of hypotheses.fits, by hit, likeliest first. A hit without P_LYA has none, unless its
        hypotheses were weighed.
    """
    known = weighed[np.isfinite(weighed["LN_EVIDENCE"])]
    alone = np.setdiff1d(np.flatnonzero(np.isfinite(hits["P_LYA"])), known["HIT"])
    rows = np.zeros(2 * len(alone), dtype_of(HIT_HYPOTHESES))
    rows["HIT"], rows["LN_EVIDENCE"] = np.tile(alone, 2), np.nan
    rows["HYPOTHESIS"] = np.repeat(["lya", OTHER], len(alone))
    p_lya = hits["P_LYA"][alone]
    rows["PROBABILITY"] = np.concatenate([p_lya, 1 - p_lya])
    rows["Z_SOURCE"] = np.append(hits["Z_SOURCE"][alone], np.full(len(alone), np.nan))
    every = np.concatenate([known, rows])
    return every[np.lexsort((-every["PROBABILITY"], every["HIT"]))]
