"""What the strongest line of a hit may be: a probability for each hypothesis, and for an artefact.

In: the sources that have a line at its place, weighed. Out: rows of hypotheses.fits, whose
probabilities add to one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from speclens.schema import HIT_HYPOTHESES, dtype_of

__all__ = ["ARTEFACT", "alternatives"]

ARTEFACT = "artefact"
"""What a line is that no source has."""


def alternatives(
    names: Sequence[str],
    z: NDArray[np.floating],
    evidence: NDArray[np.floating],
    weight: NDArray[np.floating],
) -> NDArray[np.void]:
    """Weigh hypotheses against each other.

    Parameters
    ----------
    names : sequence of str, length Z
        What each source, or the artefact, takes the line for.
    z : array of shape (Z,)
        Redshifts; NaN for the artefact.
    evidence : array of shape (Z,)
        Natural logarithm of the evidence over no line.
    weight : array of shape (Z,)
        The same, with the prior number of each.

    Returns
    -------
    structured array
        Rows of `speclens.schema.HIT_HYPOTHESES`, a row for each name, likeliest first: redshift and
        evidence of the best source of that name, and the probability of all of them.
    """
    own = np.array(names)
    rows = np.zeros(len(set(names)), dtype_of(HIT_HYPOTHESES))
    total = logsumexp(weight)
    for row, name in zip(rows, dict.fromkeys(names), strict=True):
        of_name = np.flatnonzero(own == name)
        best = of_name[weight[of_name].argmax()]
        probability = np.exp(logsumexp(weight[of_name]) - total)
        row["HYPOTHESIS"], row["Z_SOURCE"] = name, z[best]
        row["LN_EVIDENCE"], row["PROBABILITY"] = evidence[best], probability
    return rows[np.argsort(-rows["PROBABILITY"], kind="stable")]
