"""How many hits and candidates are false: what the nulls expect of a search.

In: the hits of the nulls, how many spectra each holds. Out: expected numbers with Poisson
intervals, and the share of false ones among the candidates of a run, rank by rank.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

from speclens.config import Config
from speclens.evaluate.injection import PLAIN
from speclens.evaluate.nulls import FLIPPED, SKY
from speclens.schema import FALSE_HITS, dtype_of

__all__ = [
    "FalseHits", "fair_nulls", "false_table", "poisson_interval", "q_values", "score_of",
]  # fmt: skip

Floats = NDArray[np.float64]

BEHIND_GALAXIES, BEHIND_QUASARS = (FLIPPED, SKY), (PLAIN,)
"""The nulls that tell how many are false. Spectra as they are hold what is sought; with the
redshift of another target the foreground is not fitted, and more is found than in any search. The
absorption of quasars, turned over, is lines, and no fibre of the sky is bright enough to pass for
one: of their searches spectra as they are tell how many are false at most."""

N_THRESHOLDS = 20
"""At most so many thresholds are told of each null and column."""


def fair_nulls(config: Config) -> tuple[str, ...]:
    """Return which nulls tell how many candidates of a search are false.

    Parameters
    ----------
    config : Config
        That of the search.

    Returns
    -------
    tuple of str
        Their names.
    """
    return BEHIND_QUASARS if "QSO" in config.selection.classes else BEHIND_GALAXIES


def score_of(rows: NDArray[np.void]) -> Floats:
    """Return by what candidates are ranked.

    Parameters
    ----------
    rows : structured array of shape (N,)
        With P_HYPOTHESIS and P_LENSED.

    Returns
    -------
    array of shape (N,)
        Their product; -1, below all others, where either is not known.
    """
    score = np.asarray(rows["P_HYPOTHESIS"], np.float64) * rows["P_LENSED"]
    return np.where(np.isfinite(score), score, -1.0)


def poisson_interval(
    counts: NDArray[np.integer] | int, probability: float = 0.68
) -> tuple[Floats, Floats]:
    """Return the central interval of the mean of a Poisson distribution.

    Parameters
    ----------
    counts : array of int, or int
        What was counted.
    probability : float, optional
        That the mean lies within.

    Returns
    -------
    low, high : array
        Garwood's (1936) interval; from 0 where nothing was counted.
    """
    n = np.asarray(counts, np.float64)
    tail = (1 - probability) / 2
    low = np.where(n > 0, gammaincinv(np.maximum(n, 1), tail), 0.0)
    return low, np.asarray(gammaincinv(n + 1, 1 - tail), np.float64)


@dataclass(frozen=True)
class FalseHits:
    """The candidates of the nulls of a search.

    Parameters
    ----------
    n_spectra : dict of str to int
        Spectra that were searched, by null.
    scores : dict of str to array
        What the candidates of each are ranked by, rising.
    fair : tuple of str, optional
        The nulls that tell how many candidates of the search are false.
    """

    n_spectra: Mapping[str, int]
    scores: Mapping[str, Floats]
    fair: tuple[str, ...] = BEHIND_GALAXIES

    @classmethod
    def of_nulls(
        cls, nulls: NDArray[np.void], n_spectra: Mapping[str, int], config: Config
    ) -> FalseHits:
        """Take up what was found in the nulls.

        Parameters
        ----------
        nulls : structured array
            `speclens.schema.NULLS`, of one search.
        n_spectra : mapping of str to int
            Spectra that were scored, by null.
        config : Config
            That of the search.

        Returns
        -------
        FalseHits
            Its candidates.
        """
        left = nulls[nulls["CANDIDATE"]]
        scores = {name: np.sort(score_of(left[left["NULL"] == name])) for name in n_spectra}
        return cls(dict(n_spectra), scores, fair_nulls(config))

    @property
    def n_fair(self) -> int:
        """Spectra of the nulls that tell how many are false."""
        return sum(self.n_spectra.get(name, 0) for name in self.fair)

    @property
    def hold_sources(self) -> bool:
        """Whether these spectra hold what is sought, so that they tell an upper limit."""
        return PLAIN in self.fair

    def expected(self, score: Floats, n_spectra: int, own: Floats) -> Floats:
        """Return how many false candidates of at least a score are expected.

        Parameters
        ----------
        score : array of shape (N,)
            The scores.
        n_spectra : int
            Spectra of the search.
        own : array of shape (M,)
            The scores of its candidates: no more of them can be false.

        Returns
        -------
        array of shape (N,)
            All fair nulls count together, and one more than was found in them, so that few spectra
            do not promise none. NaN where there are candidates, and no fair null.
        """
        rate = np.full(np.shape(score), np.nan)
        if self.n_fair:
            false = [self.scores[name] for name in self.fair if self.n_spectra.get(name, 0)]
            rate = (_at_least(score, np.concatenate(false)) + 1) / self.n_fair
        listed = _at_least(score, own)
        return np.where(listed > 0, np.minimum(rate * n_spectra, listed), 0.0)

    @property
    def content(self) -> dict[str, Any]:
        """The same as JSON."""
        scores = {name: scores.tolist() for name, scores in self.scores.items()}
        return {"n_spectra": dict(self.n_spectra), "scores": scores, "fair": list(self.fair)}

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> FalseHits:
        """Return what `content` gave.

        Parameters
        ----------
        content : mapping
            As JSON.

        Returns
        -------
        FalseHits
            The same.
        """
        scores = {name: np.array(s, np.float64) for name, s in content["scores"].items()}
        n_spectra = {name: int(n) for name, n in content["n_spectra"].items()}
        return cls(n_spectra, scores, tuple(content.get("fair", BEHIND_GALAXIES)))


def _at_least(score: Floats, among: Floats) -> NDArray[np.intp]:
    """Count for each score those that are no less."""
    return np.asarray(len(among) - np.searchsorted(np.sort(among), score), np.intp)


def q_values(score: Floats, expected: Floats) -> Floats:
    """Return the expected share of false ones among the candidates down to each.

    Parameters
    ----------
    score : array of shape (N,)
        Of the candidates of a run.
    expected : array of shape (N,)
        False candidates that are expected of at least that score.

    Returns
    -------
    array of shape (N,)
        At most 1, and never less for a lower score: the q-value of target and decoy searches
        (Storey 2002; Elias & Gygi 2007). NaN where nothing tells it, whatever is told above.
    """
    order = np.argsort(-score, kind="stable")
    # Equal scores share a rank: the last of them.
    share = np.minimum(expected[order] / _at_least(score[order], score), 1.0)
    values = np.empty(len(score))
    values[order] = np.fmin.accumulate(share[::-1])[::-1]
    return values


def false_table(
    search: str, nulls: NDArray[np.void], n_spectra: Mapping[str, int]
) -> NDArray[np.void]:
    """Count false hits and candidates above thresholds.

    Parameters
    ----------
    search : str
        Name of the search.
    nulls : structured array
        `speclens.schema.NULLS`, of that search.
    n_spectra : mapping of str to int
        Spectra that were scored, by null.

    Returns
    -------
    structured array
        `speclens.schema.FALSE_HITS`: of each null all hits and all candidates, and at most
        `N_THRESHOLDS` thresholds in what they are found and ranked by.
    """
    rows = []
    for name, n in n_spectra.items():
        hits = nulls[nulls["NULL"] == name]
        for level, own in (("hit", hits), ("candidate", hits[hits["CANDIDATE"]])):
            columns = {column: own[column] for column in ("SNR", "PROBABILITY")}
            for column, values in (columns | {"SCORE": score_of(own)}).items():
                for threshold in _thresholds(values):
                    n_false = int((values >= threshold).sum())
                    low, high = (1000 * float(end) / max(n, 1) for end in poisson_interval(n_false))
                    rate = 1000 * n_false / max(n, 1)
                    rows.append(
                        (search, name, n, level, column, threshold, n_false, rate, low, high)
                    )
    return np.array(rows, dtype_of(FALSE_HITS))


def _thresholds(values: NDArray[np.floating]) -> list[float]:
    """Return thresholds: the lowest value, and some of the others; none where nothing is known."""
    known = np.unique(values[np.isfinite(values)])
    if not len(known):
        return [0.0]
    places = np.linspace(0, len(known) - 1, min(len(known), N_THRESHOLDS))
    return [float(known[place]) for place in places.astype(np.intp)]
