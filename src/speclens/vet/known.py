"""Published systems: which hits are of them, and what the run made of each.

In: hits, rows of `spectra.fits` part by part, published systems (`speclens.schema.KNOWN`). Out: the
name of the system that a hit is, and the outcome of every system. A hit stays a candidate when it
is published. Reading the lists is left to `speclens.read.known`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.lib.recfunctions import repack_fields
from numpy.typing import NDArray
from scipy.spatial import KDTree

from speclens.config import CandidatesConfig
from speclens.lines import LYMAN_ALPHA
from speclens.spectra import targetid, unit_vectors

__all__ = ["OUTCOMES", "discovery_rate", "match_known", "outcomes"]

OUTCOMES = ("candidate", "hit", "missed", "skipped", "failed", "absent")
"""What may have become of a published system, the best first."""

OUTCOME_OF_STATUS = {"scored": "missed", "skipped": "skipped", "failed": "failed"}
FOUND = ("candidate", "hit")
SCORED = (*FOUND, "missed")
SYSTEM = ["NAME", "PLATE", "MJD", "FIBERID", "RA", "DEC"]
"""Fields that the rows of one system share when it has several redshifts."""

OWN = -1.0
"""Stands for the distance of a system's own spectrum, which comes before any distance."""

ROUNDED = 0.005
"""Error of a redshift that is written in hundredths."""

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


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
        none.

    Notes
    -----
    A hit is of a system when both are of one spectrum, or within `known_arcsec` of each other on
    the sky; and when their redshifts of the source differ by at most `known_dz`, if that of the
    system is known.

    Differs: to a published redshift in whole hundredths its rounding, 0.005, is allowed besides.
    """
    rows, systems, distance = _Finder(known, config.known_arcsec).pairs(hits)
    same = _same_source(hits["Z_SOURCE"][rows], known["Z_SOURCE"][systems], config)
    rows, systems, distance = rows[same], systems[same], distance[same]
    # The last assignment to a hit stands.
    order = np.lexsort((systems, distance))[::-1]
    names = np.zeros(len(hits), known.dtype["NAME"])
    names[rows[order]] = known["NAME"][systems[order]]
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
        Published systems.
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
        (scored without a hit of that redshift), `skipped`, `failed`, `absent` (no spectrum of it
        in the run). Of several spectra the one with the best outcome counts; of those the system's
        own, then the nearest.
    """
    finder = _Finder(known, config.known_arcsec)
    best = [(OUTCOMES.index("absent"), np.inf, -1)] * len(known)
    rows, systems, distance = finder.pairs(hits)
    same = _same_source(hits["Z_SOURCE"][rows], known["Z_SOURCE"][systems], config)
    for row, system, away in _each(rows[same], systems[same], distance[same]):
        rank = OUTCOMES.index("candidate" if hits["CANDIDATE"][row] else "hit")
        best[system] = min(best[system], (rank, away, int(hits["TARGETID"][row])))
    for part in spectra_parts:
        for row, system, away in _each(*finder.pairs(part)):
            rank = OUTCOMES.index(OUTCOME_OF_STATUS[str(part["STATUS"][row])])
            best[system] = min(best[system], (rank, away, int(part["TARGETID"][row])))
    told = known.copy()
    told["TARGETID"] = [target for _, _, target in best]
    told["OUTCOME"] = [OUTCOMES[rank] for rank, _, _ in best]
    return told


def discovery_rate(
    rows: NDArray[np.void], window: tuple[float, float] | None = None
) -> tuple[int, int]:
    """Count the published systems that were found, and those that could be.

    Parameters
    ----------
    rows : structured array of shape (K,)
        Systems with their outcomes.
    window : (float, float), optional
        Wavelengths that are searched, Angstrom: count only systems whose Lyman alpha is there
        or unknown.

    Returns
    -------
    found : int
        Systems with a hit, vetoed or not.
    scored : int
        Systems with a spectrum that was scored.

    Notes
    -----
    Li et al. 2019, section 3.3: 161 of 174; three more have their line outside of the window. A
    system of several published redshifts is one system, with the best of its outcomes.
    """
    if window is not None:
        wave = LYMAN_ALPHA * (1 + rows["Z_SOURCE"])
        inside = (wave >= window[0]) & (wave <= window[1])
        rows = rows[inside | ~np.isfinite(wave)]
    rows = rows[np.isin(rows["OUTCOME"], SCORED)]
    found = rows[np.isin(rows["OUTCOME"], FOUND)]
    return _n_systems(found), _n_systems(rows)


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
        named = np.flatnonzero((known["PLATE"] > 0) & (known["MJD"] > 0) & (known["FIBERID"] > 0))
        ids = targetid(known["PLATE"][named], known["MJD"][named], known["FIBERID"][named])
        order = np.argsort(ids, kind="stable")
        self._ids, self._named = ids[order], named[order]

    def pairs(self, rows: NDArray[np.void]) -> tuple[Indices, Indices, Floats]:
        """Find every pair of a row and a system, with their distance as a chord.

        Parameters
        ----------
        rows : structured array of shape (N,)
            Rows with TARGETID, RA and DEC.

        Returns
        -------
        rows, systems : array of shape (P,)
            Their indices; a pair may come twice.
        distance : array of shape (P,)
            `OWN` for the system's own spectrum.
        """
        own_rows, own_systems = self._by_spectrum(rows["TARGETID"])
        placed = np.flatnonzero(_has_position(rows))
        vectors = unit_vectors(rows[placed])
        # Few spectra of a survey are near any system: only those are paired.
        nearest = self._tree.query(vectors, distance_upper_bound=1.01 * self._chord)[0]
        placed, vectors = placed[np.isfinite(nearest)], vectors[np.isfinite(nearest)]
        near = self._tree.sparse_distance_matrix(
            KDTree(vectors), self._chord, output_type="ndarray"
        )
        return (
            np.concatenate([own_rows, placed[near["j"]]]),
            np.concatenate([own_systems, self._placed[near["i"]]]),
            np.concatenate([np.full(len(own_rows), OWN), near["v"]]),
        )

    def _by_spectrum(self, targets: NDArray[np.int64]) -> tuple[Indices, Indices]:
        start = np.searchsorted(self._ids, targets, "left")
        n_systems = np.searchsorted(self._ids, targets, "right") - start
        rows = np.repeat(np.arange(len(targets)), n_systems)
        place = np.arange(len(rows)) - np.repeat(np.cumsum(n_systems) - n_systems, n_systems)
        return rows, self._named[start[rows] + place]


def _has_position(rows: NDArray[np.void]) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(rows["RA"]) & np.isfinite(rows["DEC"]))


def _same_source(found: Floats, published: Floats, config: CandidatesConfig) -> NDArray[np.bool_]:
    # Shares of a thousandth that single precision adds are no digits.
    in_hundredths = np.abs(published * 100 - np.round(published * 100)) < 1e-4
    allowed = config.known_dz + np.where(in_hundredths, ROUNDED, 0) + 1e-9
    return np.asarray(np.isnan(published) | (np.abs(found - published) <= allowed))


def _each(rows: Indices, systems: Indices, distance: Floats) -> Iterator[tuple[int, int, float]]:
    return zip(rows.tolist(), systems.tolist(), distance.tolist(), strict=True)


def _n_systems(rows: NDArray[np.void]) -> int:
    # As bytes, because a position that is not a number equals no other.
    return len({row.tobytes() for row in repack_fields(rows[SYSTEM])})
