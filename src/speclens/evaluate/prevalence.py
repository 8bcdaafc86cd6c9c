"""How often hits of each kind come in nature, and what a mock survey's hits then stand for.

In: the kinds of a mock survey's hits. Out: weights with which they stand for the hits of the paper.
A mock survey holds a hundred times more lines than the sky, so that there is something to count.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["LENS_HITS", "PER_LENS", "natural_weights"]

LENS_HITS = 166 / 1_241_799
"""Hits a spectrum that are Lyman alpha: 161 known, 5 new (Li et al. 2019, sections 3.3 and 4)."""

PER_LENS = {"lya": 1.0, "oii": 0.77, "line": 0.16}
"""Hits of each kind for one of Lyman alpha. [O II]: 16 of the paper's 21 last, and 42 % of what
over-densities leave of the hits that it shares with Shu et al. 2016; other lone lines: the 26 hits
that the paper refuses for their skewness."""


def natural_weights(kind: NDArray[np.str_], n_scored: int) -> NDArray[np.float64]:
    """Weigh the hits of a mock survey so that their kinds come as in the paper's survey.

    Parameters
    ----------
    kind : array of shape (H,)
        What each hit is: `lya`, `oii`, `line`, `other` (nothing was put in there), or another kind
        of decoy.
    n_scored : int
        Spectra that were searched.

    Returns
    -------
    array of shape (H,)
        Number of hits, for one hit of Lyman alpha in all, that each hit stands for. Hits where
        nothing was put in are as frequent as the mock survey's noise makes them; decoys that are no
        lines, put in beside that noise, stand for none.
    """
    weight = np.zeros(len(kind))
    for name, per_lens in PER_LENS.items():
        of_kind = kind == name
        weight[of_kind] = per_lens / max(int(of_kind.sum()), 1)
    weight[kind == "other"] = 1 / (LENS_HITS * n_scored)
    return weight
