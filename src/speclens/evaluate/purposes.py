"""What a list of candidates is worth, cut at any rank: true ones, completeness, five purposes.

In: the candidates of a run, best first, and the selection function of an evaluation. Out: the
completeness and the q-value of each, the same down to each rank, and five purposes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from speclens.evaluate.false_hits import poisson_interval, q_values, score_of
from speclens.evaluate.selection import OfSearch, SelectionFunction

__all__ = [
    "ALL",
    "Curve",
    "ListCut",
    "completeness_of",
    "curve_of",
    "implied_number",
    "purposes_of",
]

ALL = "all candidates"
PURITIES, COMPLETENESSES = (0.9, 0.5), (0.5, 0.9)
"""Of the five purposes four; the fifth is the default, all that vetting leaves."""

LEAST_COMPLETENESS = 0.02
"""A candidate stands for no more than fifty sources: beyond, the function is not known well."""

Floats = NDArray[np.float64]
Rows = NDArray[np.void]


@dataclass(frozen=True)
class Curve:
    """Candidates down to each rank, arrays of shape (N,).

    Parameters
    ----------
    expected_false : array
        How many of them the nulls expect to be false; NaN from the first on of a search whose nulls
        hold no spectrum.
    q_value : array
        Share of false ones, never less for a worse rank.
    completeness : array
        Share of bright sources that would be among them.
    """

    expected_false: Floats
    q_value: Floats
    completeness: Floats

    def __len__(self) -> int:
        return len(self.q_value)

    @property
    def expected_true(self) -> Floats:
        """How many of them are true, shape (N,)."""
        return np.maximum(np.arange(len(self)) + 1 - self.expected_false, 0.0)


@dataclass(frozen=True)
class ListCut:
    """A cut of the list.

    Parameters
    ----------
    purpose : str
        In words.
    n_candidates : int
        Candidates that it leaves.
    n_true, n_true_low, n_true_high : float
        How many of them are true, and the 68 % interval.
    purity, completeness : float
        Share of true ones, and of bright sources that are among them.
    """

    purpose: str
    n_candidates: int
    n_true: float
    n_true_low: float
    n_true_high: float
    purity: float
    completeness: float


def curve_of(candidates: Rows, selection: SelectionFunction, n_scored: Mapping[str, int]) -> Curve:
    """Tell what candidates are worth down to each.

    Parameters
    ----------
    candidates : structured array of shape (N,)
        Rows of candidates.*, best first.
    selection : SelectionFunction
        That of the run's searches.
    n_scored : mapping of str to int
        Spectra that each search scored.

    Returns
    -------
    Curve
        Down to each rank.
    """
    score = score_of(candidates)
    expected, back, bright = (np.zeros(len(score)) for _ in range(3))
    for name, search in selection.searches.items():
        own = score[candidates["SEARCH"] == name]
        expected += search.false_hits.expected(score, n_scored.get(name, 0), own)
        share = search.completeness_down_to(score)
        if n_scored.get(name, 0) and np.isfinite(share).all():
            back += n_scored[name] * share
            bright += n_scored[name]
    completeness = np.divide(back, bright, out=np.full(len(score), np.nan), where=bright > 0)
    return Curve(expected, q_values(score, expected), completeness)


def purposes_of(curve: Curve) -> list[ListCut]:
    """Tell what a list is worth for five purposes.

    Parameters
    ----------
    curve : Curve
        Of all candidates.

    Returns
    -------
    list of ListCut
        From the purest to the most complete.
    """
    asked = [(f"purity {purity:g}", last_rank(curve, purity=purity)) for purity in PURITIES]
    asked += [
        (f"completeness {share:g}", last_rank(curve, completeness=share))
        for share in COMPLETENESSES
    ]
    return [_purpose(curve, *one) for one in (*asked, (ALL, len(curve)))]


def last_rank(curve: Curve, purity: float | None = None, completeness: float | None = None) -> int:
    """Return how many candidates serve a purpose.

    Parameters
    ----------
    curve : Curve
        Of all candidates.
    purity : float, optional
        Least share of true ones: as many candidates as have it.
    completeness : float, optional
        Least share of bright sources: as few candidates as have it.

    Returns
    -------
    int
        The last rank; all where the completeness is not reached.
    """
    if purity is not None:
        return int((1 - curve.q_value >= purity).sum())
    enough = np.flatnonzero(curve.completeness >= (completeness or 0.0))
    return int(enough[0]) + 1 if len(enough) else len(curve)


def _purpose(curve: Curve, purpose: str, n: int) -> ListCut:
    if not n:
        return ListCut(purpose, 0, 0.0, 0.0, 0.0, float("nan"), 0.0)
    false = float(curve.expected_false[n - 1])
    low, high = (float(end) for end in poisson_interval(n))
    true = float(curve.expected_true[n - 1])
    return ListCut(
        purpose, n, true, max(low - false, 0.0), max(high - false, 0.0),
        1 - float(curve.q_value[n - 1]), float(curve.completeness[n - 1]),
    )  # fmt: skip


def completeness_of(candidates: Rows, searches: Mapping[str, OfSearch]) -> Floats:
    """Return which share of sources like each candidate's are candidates.

    Parameters
    ----------
    candidates : structured array of shape (N,)
        Rows of candidates.*.
    searches : mapping of str to OfSearch
        The selection functions.

    Returns
    -------
    array of shape (N,)
        At the flux, wavelength, width and signal-to-noise ratio that were measured; NaN where
        nothing of this kind was put in.
    """
    completeness = np.full(len(candidates), np.nan)
    kinds = np.where(candidates["HYPOTHESIS"] == "lya", "lya", "elg")
    for name, search in searches.items():
        for kind, function in search.kinds.items():
            rows = np.flatnonzero((candidates["SEARCH"] == name) & (kinds == kind))
            own = candidates[rows]
            flux = np.asarray(own["FLUX"], np.float64)
            ideal = np.maximum(own["SNR_LINES"] / search.snr_ratio, 1.0)
            good = np.isfinite(flux) & (flux > 0) & np.isfinite(ideal)
            own, flux, ideal = own[good], flux[good], ideal[good]
            completeness[rows[good]], _, _ = function(
                flux,
                own["WAVE"],
                noise=np.asarray(flux / ideal, np.float64),
                z_lens=own["Z"],
                width=own["WIDTH"],
            )
    return completeness


def implied_number(candidates: Rows) -> tuple[float, float]:
    """Return how many sources there are in the spectra, found or not.

    Parameters
    ----------
    candidates : structured array of shape (N,)
        Rows of candidates.*, with COMPLETENESS and Q_VALUE.

    Returns
    -------
    number, error : float
        Each candidate counts for those like it that are lost (Horvitz & Thompson 1952), as far as
        it is true; the error is that of the counting. NaN where nothing is told of any candidate.
    """
    told = candidates[np.isfinite(candidates["COMPLETENESS"]) & np.isfinite(candidates["Q_VALUE"])]
    if len(candidates) and not len(told):
        return float("nan"), float("nan")
    weight = (1 - told["Q_VALUE"]) / np.maximum(told["COMPLETENESS"], LEAST_COMPLETENESS)
    return float(weight.sum()), float(np.sqrt((weight**2).sum()))
