"""Hits whose truth is known among those of a run, so that graders are measured while they grade.

In: the tables of a run, and of lines hidden in its own spectra or of a mock survey. Out: tables of
the run with some candidates of the others behind its own rows. Nothing of a page says which they
are; those of a mock are nowhere on the sky.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from speclens.candidates.ranking import candidates_of
from speclens.errors import RunError
from speclens.grade.run_tables import RunTables
from speclens.inspections.subjects import Subjects

__all__ = ["SHARE", "hidden_rows", "n_hidden", "with_hidden"]

SHARE, LEAST = 0.05, 10
"""Hidden hits for each candidate, and how many at least: fewer tell nothing of a grader."""


def n_hidden(n_candidates: int, share: float) -> int:
    """Say how many hits are hidden in a run.

    Parameters
    ----------
    n_candidates : int
        Its candidates.
    share : float
        Hidden hits for each.

    Returns
    -------
    int
        At least ten.
    """
    return max(LEAST, round(share * n_candidates))


def hidden_rows(
    own: RunTables, mock: RunTables, share: float, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Choose the hits to hide.

    Parameters
    ----------
    own, mock : RunTables
        The run, and what is hidden in it.
    share : float
        Hidden hits for each candidate.
    rng : numpy.random.Generator
        Source of randomness; the same one chooses the same hits, or more of them.

    Returns
    -------
    array of shape (K,)
        Rows of the mock's hits: candidates, in their natural mixture of sources and others.

    Raises
    ------
    RunError
        If the mock has no candidate of a search of the run.
    """
    known = Subjects(own.hits)
    keys = Subjects(mock.hits).keys
    fits = mock.hits["CANDIDATE"] & np.isin(mock.hits["SEARCH"], list(own.config.each))
    chosen = [row for row in rng.permutation(len(keys)).tolist() if fits[row]]
    # A grade must not count for a hit of the run.
    chosen = [row for row in chosen if known.row(keys[row]) is None]
    if not chosen:
        raise RunError(
            f"{mock.path}: no candidate of {', '.join(own.config.each)} that is not in {own.path}; "
            "hide what was searched as RUN was"
        )
    return np.array(chosen[: n_hidden(len(own.candidates), share)], np.intp)


def with_hidden(own: RunTables, mock: RunTables, rows: NDArray[np.intp]) -> RunTables:
    """Put hidden hits behind those of a run.

    Parameters
    ----------
    own, mock : RunTables
        The run, and what is hidden in it.
    rows : array of shape (K,)
        Rows of the mock's hits.

    Returns
    -------
    RunTables
        Of the run, with K more hits; all candidates are ranked anew.
    """
    n_own = len(own.hits)
    hidden = mock.hits[rows]
    if n_own and mock.path.parent != own.path:
        # Where the file of a mock lies would tell.
        hidden["FILE"] = own.hits["FILE"][0]
    number = np.full(len(mock.hits) + 1, -1)
    number[rows] = n_own + np.arange(len(rows))
    hidden["SAME_AS"] = number[hidden["SAME_AS"]]
    hits = np.concatenate([own.hits, hidden])
    return replace(
        own,
        hits=hits,
        candidates=candidates_of(hits, own.config.candidates),
        companions=np.concatenate([own.companions, _renumbered(mock.companions, number)]),
        hypotheses=np.concatenate([own.hypotheses, _renumbered(mock.hypotheses, number)]),
    )


def _renumbered(rows: NDArray[np.void], number: NDArray[np.int_]) -> NDArray[np.void]:
    """Keep the rows of hits that have a number, and give them that."""
    kept: NDArray[np.void] = rows[number[rows["HIT"]] >= 0].copy()
    kept["HIT"] = number[kept["HIT"]]
    return kept
