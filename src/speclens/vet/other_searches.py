"""One source, several searches: which hits are of the same line, and which of them stands for it.

In: vetted hits of all searches of a run. Out: for each hit the likeliest hit of another search that
tells the same line, and the probability of that hit where it takes this one's place. One list of
candidates so holds a source once, as the likelier of its readings.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from speclens.config import VetConfig
from speclens.hypotheses import GALAXY_LINES
from speclens.lines import SPEED_OF_LIGHT_KMS

__all__ = ["measure_other_searches"]

Floats = NDArray[np.float64]

LEAST = 1e-6
"""What is told as the probability of a hit that has none."""

REST = np.array([wave for group in GALAXY_LINES for wave in group.waves])


def measure_other_searches(
    hits: NDArray[np.void], config: VetConfig
) -> Mapping[str, NDArray[np.generic]]:
    """Find what other searches make of the line of each hit.

    Parameters
    ----------
    hits : structured array of shape (H,)
        Rows of hits.fits; CANDIDATE says which have no vetoing flag.
    config : VetConfig
        The largest distance.

    Returns
    -------
    mapping of str to array of shape (H,)
        Columns of hits.fits. SAME_AS is the row of the likeliest such hit, of candidates first; -1
        for none. SAME_P is its probability where both are candidates and it is the likelier one,
        else NaN.
    """
    best = _order(hits)
    same_as = np.full(len(hits), -1, np.int32)
    same_p = np.full(len(hits), np.nan, np.float32)
    for hit, others in _others(hits, config.same_line_kms):
        other = min(others, key=lambda i: best[i])
        same_as[hit] = other
        if hits["CANDIDATE"][hit] and hits["CANDIDATE"][other] and best[other] < best[hit]:
            same_p[hit] = max(np.nan_to_num(hits["P_HYPOTHESIS"][other], nan=0.0), LEAST)
    return {"SAME_AS": same_as, "SAME_P": same_p}


def _order(hits: NDArray[np.void]) -> NDArray[np.intp]:
    """Return the place of each hit: candidates first, then by probability, evidence and S/N."""
    keys = [np.nan_to_num(-hits[name].astype(np.float64), nan=np.inf, neginf=-1e300)
            for name in ("SNR", "LN_EVIDENCE", "P_HYPOTHESIS")]  # fmt: skip
    place = np.empty(len(hits), np.intp)
    place[np.lexsort([*keys, ~hits["CANDIDATE"]])] = np.arange(len(hits))
    return place


def _others(hits: NDArray[np.void], kms: float) -> Iterator[tuple[int, list[int]]]:
    """Yield hits with those of other searches that tell the same line of the same spectrum."""
    of_spectrum: dict[tuple[str, int], list[int]] = defaultdict(list)
    for i, key in enumerate(zip(hits["FILE"].tolist(), hits["ROW"].tolist(), strict=True)):
        of_spectrum[key].append(i)
    search = hits["SEARCH"]
    for rows in of_spectrum.values():
        if len(set(search[rows].tolist())) < 2:
            continue
        for i in rows:
            others = [j for j in rows if search[j] != search[i] and _is_same(hits[i], hits[j], kms)]
            if others:
                yield i, others


def _is_same(one: np.void, other: np.void, kms: float) -> bool:
    """Say whether two hits are of one line, or one is at a line of the other's source."""
    waves = float(one["WAVE"]), float(other["WAVE"])
    return (
        _is_near(np.array([waves[0]]), waves[1], kms)
        or _is_near(_lines_of(one), waves[1], kms)
        or _is_near(_lines_of(other), waves[0], kms)
    )


def _lines_of(hit: np.void) -> Floats:
    """Wavelengths of the lines of a source that shows several."""
    if not hit["N_LINES"] > 1:
        return np.zeros(0)
    return np.asarray(REST * (1 + float(hit["Z_SOURCE"])))


def _is_near(lines: Floats, wave: float, kms: float) -> bool:
    return bool((np.abs(lines / wave - 1) * SPEED_OF_LIGHT_KMS <= kms).any())
