"""How often hits of each kind come in nature, and what a mock survey's hits then stand for.

In: the kinds of a mock survey's hits. Out: weights with which they stand for the hits of the paper.
A mock survey holds a hundred times more lines than the sky, so that there is something to count.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from speclens.config import EvaluationConfig

__all__ = ["lognormal_weights", "natural_weights"]


def natural_weights(
    kind: NDArray[np.str_], n_scored: int, config: EvaluationConfig
) -> NDArray[np.float64]:
    """Weigh the hits of a mock survey so that their kinds come as in the paper's survey.

    Parameters
    ----------
    kind : array of shape (H,)
        What each hit is: `lya`, `oii`, `line`, `other` (nothing was put in there), or another kind
        of decoy.
    n_scored : int
        Spectra that were searched.
    config : EvaluationConfig
        How often hits of each kind come.

    Returns
    -------
    array of shape (H,)
        Number of hits, for one hit of Lyman alpha in all, that each hit stands for. Hits where
        nothing was put in are as frequent as the mock survey's noise makes them; decoys that are no
        lines, put in beside that noise, stand for none.

    Notes
    -----
    From the hits of Li et al. 2019. [O II]: 16 of the paper's 21 last, and 42 % of what
    over-densities leave of the hits that it shares with Shu et al. 2016; other lone lines: the 26
    hits that the paper refuses for their skewness.
    """
    weight = np.zeros(len(kind))
    for name, per_lens in config.hits_per_lens.items():
        of_kind = kind == name
        weight[of_kind] = per_lens / max(int(of_kind.sum()), 1)
    n_lenses, n_spectra = config.lens_hits
    weight[kind == "other"] = 1 / (n_lenses / n_spectra * n_scored)
    return weight


def lognormal_weights(
    lines: NDArray[np.void], median: float, low: float, high: float
) -> NDArray[np.float64]:
    """Weigh lines so that their fluxes are lognormal.

    Parameters
    ----------
    lines : structured array of shape (M,)
        FLUX and IDEAL_SNR of lines whose ideal signal-to-noise ratio was drawn uniformly.
    median : float
        Of the fluxes, 1e-17 erg/s/cm2.
    low, high : float
        Their scatter, natural logarithm, below the median and above; half of them are on each side.

    Returns
    -------
    array of shape (M,)
        Density of these fluxes over that of the lines.
    """
    off = np.log(np.maximum(lines["FLUX"], 1e-30).astype(np.float64) / median)
    sigma = np.where(off < 0, low, high)
    density = np.exp(-0.5 * (off / sigma) ** 2) / sigma
    # Uniform in S/N is proportional to S/N in its logarithm, and so in that of the flux.
    return np.asarray(density / np.maximum(lines["IDEAL_SNR"], 1e-30), np.float64)
