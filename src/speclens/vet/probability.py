"""The probability that a line is Lyman alpha, all tests together.

In: hits with their columns measured. Out: P_LYA. It is a logistic function of the tests' likelihood
ratios; its weights were fitted to the hits of a mock survey (`tools/calibrate_vetting.py`).

Assumptions: a hit is Lyman alpha, [O II], another lone line or no line, in the proportions of the
paper's hits; lines are as wide, as bright and as skewed as the published ones; what the tests find
adds up. How bright a line is counts only as far as noise can be mistaken for it: what is bright may
be either. Where a run has enough hits, an over-density at the line's wavelength lowers the odds by
the share of the hits there that is no excess.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from speclens.lines import PIXEL_KMS, pixel_width_angstrom
from speclens.vet.weights import bundled_weights

__all__ = ["features_of", "lya_probability", "odds_terms", "strongest_against"]

Floats = NDArray[np.float64]

LEAST_PROBABILITY = 1e-4

ALWAYS, WIDTH, OVERDENSITY = "always", "width", "over-densities"
"""Terms of the odds that are no single feature."""

_USUAL = {
    "SNR": 6.5, "PROBABILITY": 1.0, "CHI2_NU": 1.0, "SMOOTH_FRACTION": 1.0, "WAVE": 4400.0,
    "WIDTH": 2.46, "FWHM_KMS": 200.0,
}  # fmt: skip
"""A bright line as wide as the published ones (Cao et al. 2020) of which no test says anything."""


def _signed_root(chi2: Floats, sign: Floats) -> Floats:
    return np.asarray(np.sign(sign) * np.sqrt(np.maximum(chi2, 0)))


def features_of(hits: NDArray[np.void]) -> Mapping[str, Floats]:
    """Return what the probability depends on.

    Parameters
    ----------
    hits : structured array of shape (H,)
        Rows of hits.fits with their columns measured.

    Returns
    -------
    mapping of str to array of shape (H,)
        Each of order one; 0 where a test could not be made.
    """
    column = {name: np.asarray(hits[name], np.float64) for name in _USED}
    with np.errstate(divide="ignore", invalid="ignore"):
        width = column["WIDTH"] / pixel_width_angstrom(column["WAVE"]) * PIXEL_KMS / 100
        features = {
            "always": np.ones(len(hits)),
            "skewness": np.clip(_signed_root(column["SKEW_DCHI2"], column["SKEWNESS"]), -4, 4),
            "oii_lines": np.clip(column["OII_EVIDENCE"], -3, 8),
            "other_lines": np.clip(column["OTHER_EVIDENCE"], -3, 8),
            "oii_doublet": np.clip(column["DOUBLET_DCHI2"], -10, 10) / 2,
            "spike": np.clip(column["SPIKE_DCHI2"], -30, 10) / 4,
            "width": np.clip(width, 0, 6),
            "width squared": np.clip(width, 0, 6) ** 2 / 4,
            "width of the best filter": np.clip(column["FWHM_KMS"], 0, 800) / 200,
            "misfit": np.clip(column["CHI2_NU"], 0, 4),
            "S/N up to 6.5": np.clip(column["SNR"], 0, 6.5),
            "line probability": logit(
                np.clip(column["PROBABILITY"], LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
            ),
        }
    return {name: np.nan_to_num(values, nan=0.0) for name, values in features.items()}


_USED = (
    "SKEW_DCHI2", "SKEWNESS", "OII_EVIDENCE", "OTHER_EVIDENCE", "DOUBLET_DCHI2", "SPIKE_DCHI2",
    "WIDTH", "FWHM_KMS", "WAVE", "CHI2_NU", "SNR", "PROBABILITY",
)  # fmt: skip


def odds_terms(hits: NDArray[np.void]) -> Mapping[str, Floats]:
    """Return what each test adds to the odds that a line is Lyman alpha.

    Parameters
    ----------
    hits : structured array of shape (H,)
        Rows of hits.fits with their columns measured.

    Returns
    -------
    mapping of str to array of shape (H,)
        Natural logarithms; their sum is that of the odds. `ALWAYS` holds for a bright line of usual
        width of which no test says anything; the others are what a hit gains or loses against it.
        NaN for the hits of a search without weights.
    """
    terms = _terms(hits)
    told = {name: np.zeros(len(hits)) for name in (ALWAYS, *terms)}
    for method in bundled_weights(tuple(features_of(hits[:0]))):
        usual = np.zeros(1, hits.dtype)
        usual["METHOD"] = method
        for name, value in _USUAL.items():
            usual[name] = value
        rows = hits["METHOD"] == method
        for name, (zero,) in _terms(usual).items():
            told[ALWAYS][rows] += zero
            if name != ALWAYS:
                told[name][rows] += terms[name][rows] - zero
    told[ALWAYS][np.isnan(terms[ALWAYS])] = np.nan
    widths = [told.pop(name) for name in list(told) if "width" in name]
    return {**told, WIDTH: sum(widths, np.zeros(len(hits)))}


def strongest_against(hits: NDArray[np.void]) -> NDArray[np.str_]:
    """Name the test that takes most from the odds of Lyman alpha.

    Parameters
    ----------
    hits : structured array of shape (H,)
        Rows of hits.fits with their columns measured.

    Returns
    -------
    array of shape (H,)
        Key of `odds_terms`; empty where none speaks against it.
    """
    terms = {name: term for name, term in odds_terms(hits).items() if name != ALWAYS}
    names = np.array(["", *terms])
    against = np.stack([np.zeros(len(hits)), *map(np.nan_to_num, terms.values())])
    return np.asarray(names[against.argmin(axis=0)])


def lya_probability(hits: NDArray[np.void]) -> Floats:
    """Return the probability that each line is Lyman alpha.

    Parameters
    ----------
    hits : structured array of shape (H,)
        Rows of hits.fits with their columns measured.

    Returns
    -------
    array of shape (H,)
        NaN where the line could not be fitted, and for the hits of a search without weights.
    """
    odds = sum(_terms(hits).values(), np.zeros(len(hits)))
    return np.where(np.isfinite(hits["SKEWNESS"]), expit(odds), np.nan)


def _terms(hits: NDArray[np.void]) -> Mapping[str, Floats]:
    """Features times weights, and the over-densities, shape (H,) each."""
    features = features_of(hits)
    terms = {name: np.full(len(hits), np.nan) for name in features}
    for method, weights in bundled_weights(tuple(features)).items():
        rows = hits["METHOD"] == method
        for name, weight in weights.items():
            terms[name][rows] = weight * features[name][rows]
    smooth = np.nan_to_num(np.asarray(hits["SMOOTH_FRACTION"], np.float64), nan=1.0)
    return {**terms, OVERDENSITY: np.log(smooth)}
