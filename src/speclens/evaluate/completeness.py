"""How many of the lines that were put in come back.

In: a truth table, hits. Out: which lines were found, completeness by ideal signal-to-noise ratio,
and the bias of what was measured. Putting lines in is left to the caller.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from speclens.lines import pixel_width_angstrom

__all__ = ["Completeness", "completeness_by_snr", "half_point", "match_lines"]


@dataclass(frozen=True)
class Completeness:
    """Fraction of lines found, in bins.

    Parameters
    ----------
    edges : array of shape (B + 1,)
        Bin edges in ideal signal-to-noise ratio.
    n_lines, n_found : array of shape (B,)
        Lines put in and found.
    """

    edges: NDArray[np.float64]
    n_lines: NDArray[np.int64]
    n_found: NDArray[np.int64]

    @property
    def fraction(self) -> NDArray[np.float64]:
        """Completeness, shape (B,); NaN in an empty bin."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.n_found / self.n_lines, np.float64)

    def interval(self, z: float = 1.0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return Wilson's interval of the completeness.

        Parameters
        ----------
        z : float, optional
            Half width in standard deviations.

        Returns
        -------
        low, high : array of shape (B,)
            Ends of the interval.
        """
        n = np.maximum(self.n_lines, 1)
        p = self.n_found / n
        middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
        return middle - half, middle + half


def match_lines(
    truth: NDArray[np.void], hits: NDArray[np.void], match_pixels: float
) -> NDArray[np.intp]:
    """Find the hit of each line.

    Parameters
    ----------
    truth : structured array of shape (N,)
        With TARGETID and WAVE.
    hits : structured array
        With TARGETID, WAVE and SNR.
    match_pixels : float
        Largest distance between line and hit, pixels.

    Returns
    -------
    array of shape (N,)
        Row of the hit with the highest SNR near the line; -1 where there is none.
    """
    order = np.argsort(hits["TARGETID"], kind="stable")
    ids = hits["TARGETID"][order]
    start = np.searchsorted(ids, truth["TARGETID"], "left")
    stop = np.searchsorted(ids, truth["TARGETID"], "right")
    found = np.full(len(truth), -1, np.intp)
    reach = match_pixels * np.asarray(pixel_width_angstrom(truth["WAVE"]))
    for i in np.flatnonzero(stop > start):
        rows = order[start[i] : stop[i]]
        near = rows[np.abs(hits["WAVE"][rows] - truth["WAVE"][i]) <= reach[i]]
        if len(near):
            found[i] = near[hits["SNR"][near].argmax()]
    return found


def completeness_by_snr(
    ideal_snr: NDArray[np.floating], found: NDArray[np.bool_], edges: NDArray[np.float64]
) -> Completeness:
    """Count lines in bins of ideal signal-to-noise ratio.

    Parameters
    ----------
    ideal_snr : array of shape (N,)
        Ideal ratio of each line.
    found : array of shape (N,)
        Whether it was found.
    edges : array of shape (B + 1,)
        Bin edges.

    Returns
    -------
    Completeness
        The counts.
    """
    return Completeness(
        edges, np.histogram(ideal_snr, edges)[0], np.histogram(ideal_snr[found], edges)[0]
    )


def half_point(completeness: Completeness, level: float = 0.5) -> float:
    """Return where the completeness reaches a level.

    Parameters
    ----------
    completeness : Completeness
        Counts in bins.
    level : float, optional
        The level.

    Returns
    -------
    float
        Ideal signal-to-noise ratio, interpolated between bins; NaN when it is not reached.
    """
    centre = 0.5 * (completeness.edges[1:] + completeness.edges[:-1])
    known = completeness.n_lines > 0
    centre, fraction = centre[known], completeness.fraction[known]
    above = np.flatnonzero(fraction >= level)
    if not len(above):
        return float("nan")
    i = int(above[0])
    if i == 0:
        return float(centre[0])
    low, high = fraction[i - 1], fraction[i]
    return float(centre[i - 1] + (level - low) / (high - low) * (centre[i] - centre[i - 1]))
