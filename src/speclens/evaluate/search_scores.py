"""What searches make of the same spectra: a score for each spectrum, and for each source put in.

In: the rows of all searches of a shard, a value for each of their hits. Out: for each spectrum and
source the highest value: of the hits at the source, or of all where nothing was put in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config
from speclens.evaluate.counting import truth_of
from speclens.evaluate.entries import Entry
from speclens.evaluate.injection import NO_LINE, TRUTH
from speclens.lines import pixel_width_angstrom
from speclens.methods import RANKED_BY
from speclens.search.shard_rows import ShardRows

__all__ = [
    "NOTHING",
    "PUT_IN",
    "OfStep",
    "SearchScores",
    "counting_hits",
    "ranked",
    "scores_of",
    "threshold_of",
]

NOTHING = -np.inf
"""Score of a spectrum without a hit."""

PUT_IN = np.dtype([("TARGETID", "i8"), *((name, TRUTH[name]) for name in TRUTH.names or ())])
"""What was put into a spectrum, and which it is."""

Floats = NDArray[np.float64]
OfStep = tuple[int, int]
"""A search, and its thresholds."""


@dataclass(frozen=True)
class SearchScores:
    """What each search makes of the same N spectra and the same M sources in them.

    Parameters
    ----------
    spectra : structured array of shape (N,)
        TARGETID.
    lines : structured array of shape (M,)
        `PUT_IN`.
    empty : tuple of array of shape (S, N)
        Of each search, at each of its S steps, the score of a spectrum into which nothing was put.
    found : tuple of array of shape (S, M)
        And that of its hit at a source.
    n_scored : tuple of int
        How many spectra each search scored; they need not be the same.
    """

    spectra: NDArray[np.int64]
    lines: NDArray[np.void]
    empty: tuple[Floats, ...]
    found: tuple[Floats, ...]
    n_scored: tuple[int, ...]

    def without(self, targets: NDArray[np.int64]) -> SearchScores:
        """Leave spectra out.

        Parameters
        ----------
        targets : array
            TARGETID of each.

        Returns
        -------
        SearchScores
            Of the others.
        """
        stay = ~np.isin(self.spectra, targets)
        lines = ~np.isin(self.lines["TARGETID"], targets)
        return replace(
            self, spectra=self.spectra[stay], lines=self.lines[lines],
            empty=tuple(scores[:, stay] for scores in self.empty),
            found=tuple(scores[:, lines] for scores in self.found),
        )  # fmt: skip

    def of(self, searches: Sequence[int]) -> SearchScores:
        """Take some of the searches.

        Parameters
        ----------
        searches : sequence of int
            Which.

        Returns
        -------
        SearchScores
            Of these.
        """
        empty, found = (tuple(scores[i] for i in searches) for scores in (self.empty, self.found))
        return replace(
            self, empty=empty, found=found, n_scored=tuple(self.n_scored[i] for i in searches)
        )

    @classmethod
    def joined(cls, parts: Sequence[SearchScores]) -> SearchScores:
        """Join the scores of several shards.

        Parameters
        ----------
        parts : sequence of SearchScores
            Of the shards, in order.

        Returns
        -------
        SearchScores
            Of all.
        """
        empty, found = (
            tuple(
                np.concatenate(of_entry, axis=1)
                for of_entry in zip(*(getattr(part, name) for part in parts), strict=True)
            )
            for name in ("empty", "found")
        )
        return cls(
            np.concatenate([part.spectra for part in parts]),
            np.concatenate([part.lines for part in parts]),
            empty, found,
            tuple(map(sum, zip(*(part.n_scored for part in parts), strict=True))),
        )  # fmt: skip


def scores_of(
    entries: Sequence[Entry],
    rows: Mapping[OfStep, ShardRows],
    values: Mapping[OfStep, Floats],
    reference: Config,
) -> SearchScores:
    """Return what all searches make of the spectra of a shard that all of them scored.

    Parameters
    ----------
    entries : sequence of Entry
        The searches.
    rows : mapping of (int, int) to ShardRows
        What each of them found, at each of its steps.
    values : mapping of (int, int) to array of shape (H,)
        What each of these hits counts.
    reference : Config
        Says how near a hit must be.

    Returns
    -------
    SearchScores
        Spectra in the order of the files, each one's repeats in order: it does not show what went
        with what.
    """
    names = {key: _names(one) for key, one in rows.items()}
    scored = {key: _scored(names[key], one) for key, one in rows.items()}
    common = set.intersection(*scored.values())
    first = rows[0, 0]
    truth = _truth(first)
    order = [
        i
        for i in np.lexsort((truth["REPEAT"], *_places(first.spectra))).tolist()
        if names[0, 0][i][1:] in common
    ]
    kept = truth[order]
    is_plain = kept["REPEAT"] == NO_LINE
    is_line = (kept["KIND"] != "") & kept["SEARCHED"]
    keys = [names[0, 0][i] for i in order]
    empty, found = [], []
    for entry, one in enumerate(entries):
        at_steps = []
        for step in range(len(one.steps)):
            best = _best(rows[entry, step], values[entry, step], reference)
            of_key = dict(zip(names[entry, step], best, strict=True))
            at_steps.append([of_key.get(key, NOTHING) for key in keys])
        scores = np.array(at_steps, np.float64).reshape(len(one.steps), len(keys))
        empty.append(scores[:, is_plain])
        found.append(scores[:, is_line])
    n_scored = tuple(len(scored[entry, 0]) for entry in range(len(entries)))
    return SearchScores(
        kept["TARGETID"][is_plain], kept[is_line], tuple(empty), tuple(found), n_scored
    )  # fmt: skip


def _names(rows: ShardRows) -> list[tuple[int, str, int]]:
    """Return repeat, file and row of each spectrum."""
    spectra, truth = rows.spectra, _truth(rows)
    return list(
        zip(
            truth["REPEAT"].tolist(), spectra["FILE"].tolist(), spectra["ROW"].tolist(), strict=True
        )
    )


def _scored(names: Sequence[tuple[int, str, int]], rows: ShardRows) -> set[tuple[str, int]]:
    """Return file and row of the spectra that were scored with nothing put in."""
    scored = (rows.spectra["STATUS"] == "scored").tolist()
    return {
        (file, row)
        for (repeat, file, row), good in zip(names, scored, strict=True)
        if good and repeat == NO_LINE
    }


def _places(spectra: NDArray[np.void]) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """Return row and file of spectra; files are numbered as they come."""
    _, first, which = np.unique(spectra["FILE"], return_index=True, return_inverse=True)
    return spectra["ROW"], first[which]


def _truth(rows: ShardRows) -> NDArray[np.void]:
    """Return what was put in; nothing where no file could be read."""
    truth = np.zeros(len(rows.spectra), PUT_IN)
    truth["TARGETID"] = rows.spectra["TARGETID"]
    known = truth_of(rows)
    for name in TRUTH.names or ():
        truth[name] = known[name]
    return truth


def _best(rows: ShardRows, values: Floats, reference: Config) -> list[float]:
    """Return the score of each spectrum: of its source, or of all hits where there is none."""
    best = np.full(len(rows.spectra), NOTHING)
    counts = counting_hits(rows, reference)
    np.maximum.at(best, rows.hit_rows[counts], values[counts])
    return [float(score) for score in best]


def counting_hits(rows: ShardRows, reference: Config) -> NDArray[np.bool_]:
    """Say which hits count: those at a source that was put in, and all where none was.

    Parameters
    ----------
    rows : ShardRows
        Rows of a search, H hits.
    reference : Config
        Says how near a hit must be.

    Returns
    -------
    array of shape (H,)
        True for those that do.
    """
    return _is_found(rows.hits, _truth(rows)[rows.hit_rows], reference)


def _is_found(hits: NDArray[np.void], truth: NDArray[np.void], config: Config) -> NDArray[np.bool_]:
    """Say which hits are what was put into their spectra; all are where nothing was."""
    reach = config.evaluation.match_pixels * pixel_width_angstrom(truth["WAVE"])
    at_line = np.abs(hits["WAVE"] - truth["WAVE"]) <= reach
    z = truth["Z_SOURCE"]
    at_redshift = np.abs(hits["Z_SOURCE"] - z) < config.comparison.elg_dz * (1 + z)
    is_galaxy, is_line = truth["KIND"] == "elg", truth["KIND"] == "lya"
    plain = truth["REPEAT"] == NO_LINE
    return np.asarray(plain | (is_line & at_line) | (is_galaxy & at_redshift))


def ranked(hits: NDArray[np.void], config: Config) -> Floats:
    """Return what a search ranks its hits by.

    Parameters
    ----------
    hits : structured array of shape (H,)
        Its hits, `speclens.schema.HITS`.
    config : Config
        The search.

    Returns
    -------
    array of shape (H,)
        Higher is better. Lines that are hits whatever the network says stand above all others, by
        their S/N.
    """
    scores = hits[RANKED_BY.get(config.search.method, "SNR")].astype(np.float64)
    if config.search.method == "resnet" and config.search.snr_certain > 0:
        certain = hits["SNR"] >= config.search.snr_certain
        scores[certain] = 1 + hits["SNR"][certain]
    return scores


def threshold_of(scores: Floats, rate: float) -> float:
    """Return the value above which no more than a fraction of the spectra lies.

    Parameters
    ----------
    scores : array of shape (N,)
        Of spectra without a source.
    rate : float
        The fraction.

    Returns
    -------
    float
        The value; -inf where all may lie above it.
    """
    allowed = int(rate * len(scores) + 1e-9)
    if allowed >= len(scores):
        return NOTHING
    return float(np.partition(scores, len(scores) - 1 - allowed)[len(scores) - 1 - allowed])
