"""Published systems: which hits are of them, and what the run made of each.

In: hits, rows of `spectra.fits` part by part, published systems (`speclens.schema.KNOWN`). Out: the
name of the system that a hit is, and the outcome of every system. A hit stays a candidate when it
is published. Reading the lists is left to `speclens.read.table.known`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.lib.recfunctions import repack_fields
from numpy.typing import NDArray
from scipy.spatial import KDTree

from speclens.config import CandidatesConfig
from speclens.lines import LYMAN_ALPHA
from speclens.spectra import unit_vectors

__all__ = ["OUTCOMES", "Z_UNKNOWN", "discovery_rate", "match_known", "n_systems", "outcomes"]

OUTCOMES = ("candidate", "hit", "missed", "z_unknown", "skipped", "failed", "absent")
"""What may have become of a published system, the best first."""

OUTCOME_OF_STATUS = {"scored": "missed", "skipped": "skipped", "failed": "failed"}
FOUND = ("candidate", "hit")
SCORED = (*FOUND, "missed")
SYSTEM = ["NAME", "PLATE", "MJD", "FIBERID", "RA", "DEC"]
"""Fields that the rows of one system share when it has several redshifts."""

Z_UNKNOWN = " (z unknown)"
"""Follows the name of a system at a hit's place whose redshift is not known to be the hit's."""

OWN = -1.0
"""Stands for the distance of a system's own spectrum, which comes before any distance."""

ROUNDED = 0.005
"""Error of a redshift that is written in hundredths."""

PAIRS_AT_ONCE = 1_000_000
"""Pairs of rows and systems that are held at once; a list may have all its systems at one place."""

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
Pairs = tuple[Indices, Indices, Floats]


def match_known(
    hits: NDArray[np.void], known: NDArray[np.void], config: CandidatesConfig
) -> NDArray[np.str_]:
    """Name the published system of each hit.

    Parameters
    ----------
    hits : structured array of shape (H,)
        The hits.
    known : structured array of shape (K,)
        Published systems.
    config : CandidatesConfig
        How near they must be.

    Returns
    -------
    array of shape (H,)
        Name of the system, of several that of the same spectrum or else the nearest; empty for
        none. Where only systems without a published redshift are there, the name of one of them
        and `Z_UNKNOWN`.

    Notes
    -----
    A hit is of a system when both are of one spectrum, or within `known_arcsec` of each other on
    the sky; and when their redshifts of the source differ by at most `known_dz`. A redshift that
    is not known agrees with none.

    Differs: to a published redshift in whole hundredths its rounding, 0.005, is allowed besides.
    """
    best = _Best(len(hits))
    for rows, systems, distance in _Finder(known, config.known_arcsec).pairs(hits):
        published = known["Z_SOURCE"][systems]
        same = _same_source(hits["Z_SOURCE"][rows], published, config)
        told = same | np.isnan(published)
        best.update(rows[told], (~same)[told].astype(np.intp), distance[told], systems[told])
    found, doubtful = np.flatnonzero(best.target >= 0), best.rank == 1
    width = known.dtype["NAME"].itemsize // 4 + len(Z_UNKNOWN)
    names = np.zeros(len(hits), f"U{width}")
    names[found] = known["NAME"][best.target[found]]
    names[doubtful] = np.char.add(names[doubtful], Z_UNKNOWN)
    return names


def outcomes(
    known: NDArray[np.void],
    hits: NDArray[np.void],
    spectra_parts: Iterable[NDArray[np.void]],
    config: CandidatesConfig,
) -> NDArray[np.void]:
    """Say what became of the published systems in a run.

    Parameters
    ----------
    known : structured array of shape (K,)
        Published systems, with the TARGETIDs of the spectra that they are published with; changed
        in place.
    hits : structured array of shape (H,)
        All hits of the run, vetted.
    spectra_parts : iterable of structured arrays
        Rows of `spectra.fits`, of which one part at a time is held.
    config : CandidatesConfig
        How near they must be.

    Returns
    -------
    structured array of shape (K,)
        The systems with TARGETID and OUTCOME: `candidate`, `hit` (found, but vetoed), `missed`
        (scored without a hit of that redshift), `z_unknown` (scored, and no redshift is published
        that a hit could have), `skipped`, `failed`, `absent` (no spectrum of it in the run). Of
        several spectra the one with the best outcome counts; of those the system's own, then the
        nearest.
    """
    finder = _Finder(known, config.known_arcsec)
    rank_of = {outcome: rank for rank, outcome in enumerate(OUTCOMES)}
    best = _Best(len(known))
    best.rank[:] = rank_of["absent"]
    for rows, systems, distance in finder.pairs(hits):
        same = _same_source(hits["Z_SOURCE"][rows], known["Z_SOURCE"][systems], config)
        rank = np.where(hits["CANDIDATE"][rows], rank_of["candidate"], rank_of["hit"])
        best.update(systems[same], rank[same], distance[same], hits["TARGETID"][rows[same]])
    unknown = np.isnan(known["Z_SOURCE"])
    for part in spectra_parts:
        status, which = np.unique(part["STATUS"], return_inverse=True)
        ranks = np.array([rank_of[OUTCOME_OF_STATUS[text]] for text in status.tolist()], np.intp)
        for rows, systems, distance in finder.pairs(part):
            rank = ranks[which[rows]]
            rank[unknown[systems] & (rank == rank_of["missed"])] = rank_of["z_unknown"]
            best.update(systems, rank, distance, part["TARGETID"][rows])
    # In place: a list may have a million rows.
    known["TARGETID"], known["OUTCOME"] = best.target, np.array(OUTCOMES)[best.rank]
    return known


def discovery_rate(
    rows: NDArray[np.void], window: tuple[float, float] | None = None
) -> tuple[int, int]:
    """Count the published systems that were found, and those that could be.

    Parameters
    ----------
    rows : structured array of shape (K,)
        Systems with their outcomes.
    window : (float, float), optional
        Wavelengths that are searched, Angstrom: count only systems whose Lyman alpha is there.

    Returns
    -------
    found : int
        Systems with a hit, vetoed or not.
    scored : int
        Systems with a spectrum that was scored and a redshift that is published.

    Notes
    -----
    Li et al. 2019, section 3.3: 161 of 174; three more have their line outside of the window. A
    system of several published redshifts is one system, with the best of its outcomes.
    """
    rows = rows[np.isin(rows["OUTCOME"], SCORED)]
    if window is not None:
        wave = LYMAN_ALPHA * (1 + rows["Z_SOURCE"])
        rows = rows[(wave >= window[0]) & (wave <= window[1])]
    return n_systems(rows[np.isin(rows["OUTCOME"], FOUND)]), n_systems(rows)


def n_systems(rows: NDArray[np.void]) -> int:
    """Count systems, of which those with several redshifts have several rows.

    Parameters
    ----------
    rows : structured array of shape (K,)
        Rows of `KNOWN`.

    Returns
    -------
    int
        Their number.
    """
    fields = repack_fields(rows[SYSTEM])
    # As bytes, because a position that is not a number equals no other.
    systems = fields.view(f"V{fields.dtype.itemsize}")
    systems.sort()
    return int(np.count_nonzero(systems[1:] != systems[:-1])) + bool(len(systems))


class _Best:
    """The best pair of each of N rows: lowest rank, then nearest, then lowest number.

    Parameters
    ----------
    n_rows : int
        Number of rows N.
    """

    def __init__(self, n_rows: int) -> None:
        self.rank: Indices = np.zeros(n_rows, np.intp)
        self.target: NDArray[np.int64] = np.full(n_rows, -1, np.int64)
        self._distance: Floats = np.full(n_rows, np.inf)
        self._taken = np.zeros(n_rows, bool)

    def update(
        self, rows: Indices, rank: Indices, distance: Floats, target: NDArray[np.integer]
    ) -> None:
        """Compare more pairs, arrays of shape (P,), with the best so far."""
        mine = np.unique(rows)
        old = mine[self._taken[mine]]
        rows = np.concatenate([rows, old])
        rank = np.concatenate([rank, self.rank[old]])
        distance = np.concatenate([distance, self._distance[old]])
        target = np.concatenate([target, self.target[old]])
        order = np.lexsort((target, distance, rank, rows))
        first = order[np.unique(rows[order], return_index=True)[1]]
        self._taken[mine] = True
        self.rank[mine], self.target[mine] = rank[first], target[first]
        self._distance[mine] = distance[first]


class _Finder:
    """Finds the published systems of spectra: by the spectrum itself, or by position.

    Parameters
    ----------
    known : structured array of shape (K,)
        Published systems.
    arcsec : float
        Largest distance.
    """

    def __init__(self, known: NDArray[np.void], arcsec: float) -> None:
        self._placed = np.flatnonzero(_has_position(known))
        self._tree = KDTree(unit_vectors(known[self._placed]))
        # On unit vectors distances are chords: right at the poles and where RA begins again.
        self._chord = float(2 * np.sin(np.radians(arcsec / 3600) / 2))
        named = np.flatnonzero(known["TARGETID"] >= 0)
        ids = known["TARGETID"][named]
        order = np.argsort(ids, kind="stable")
        self._ids, self._named = ids[order], named[order]

    def pairs(self, rows: NDArray[np.void]) -> Iterator[Pairs]:
        """Find every pair of a row and a system, with their distance as a chord.

        Parameters
        ----------
        rows : structured array of shape (N,)
            Rows with TARGETID, RA and DEC.

        Yields
        ------
        rows, systems : array of shape (P,)
            Their indices; a pair may come twice.
        distance : array of shape (P,)
            `OWN` for the system's own spectrum.
        """
        yield from self._by_spectrum(rows["TARGETID"])
        placed = np.flatnonzero(_has_position(rows))
        vectors = unit_vectors(rows[placed])
        # Few spectra of a survey are near any system: only those are paired.
        nearest = self._tree.query(vectors, distance_upper_bound=1.01 * self._chord)[0]
        placed, vectors = placed[np.isfinite(nearest)], vectors[np.isfinite(nearest)]
        n_pairs = self._tree.query_ball_point(vectors, self._chord, return_length=True)
        for some in _in_parts(np.asarray(n_pairs, np.intp).reshape(-1)):
            near = self._tree.sparse_distance_matrix(
                KDTree(vectors[some]), self._chord, output_type="ndarray"
            )
            yield placed[some][near["j"]], self._placed[near["i"]], near["v"]

    def _by_spectrum(self, targets: NDArray[np.int64]) -> Iterator[Pairs]:
        start = np.searchsorted(self._ids, targets, "left")
        n_systems = np.searchsorted(self._ids, targets, "right") - start
        for some in _in_parts(n_systems):
            number = n_systems[some]
            rows = np.repeat(np.arange(len(targets))[some], number)
            place = np.arange(len(rows)) - np.repeat(np.cumsum(number) - number, number)
            yield rows, self._named[start[rows] + place], np.full(len(rows), OWN)


def _in_parts(n_pairs: Indices) -> Iterator[slice]:
    """Part rows, of which each has some pairs, so that few pairs are held at once."""
    if not len(n_pairs):
        return
    edges = np.cumsum(n_pairs) // PAIRS_AT_ONCE
    starts = np.flatnonzero(np.diff(edges, prepend=-1)).tolist()
    for start, stop in zip(starts, [*starts[1:], len(n_pairs)], strict=True):
        yield slice(start, stop)


def _has_position(rows: NDArray[np.void]) -> NDArray[np.bool_]:
    return np.asarray(
        (np.abs(rows["RA"]) <= 360) & (np.abs(rows["DEC"]) <= 90)  # not where NaN
    )


def _same_source(found: Floats, published: Floats, config: CandidatesConfig) -> NDArray[np.bool_]:
    # Shares of a thousandth that single precision adds are no digits.
    in_hundredths = np.abs(published * 100 - np.round(published * 100)) < 1e-4
    allowed = config.known_dz + np.where(in_hundredths, ROUNDED, 0) + 1e-9
    # Never where either is NaN.
    return np.asarray(np.abs(found - published) <= allowed)
