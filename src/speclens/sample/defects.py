"""Several damaged pixels in a row: what no sum of line spreads looks like is no light.

In: residuals about a foreground, pixels that stand out, and the line spread. Out: runs of such
pixels, and by how much chi2 says that they are no light, of whatever shape: neither a skewed line,
nor a doublet, nor a wide one. What is done with them is decided in `speclens.sample.damage`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

__all__ = ["Runs", "misfits", "runs_of"]

REACH = 6
"""Pixels on either side of a run that light in it would reach."""

LEAST_SPREAD = 0.95
"""Share of the stated line spread that it may be in truth; wider light is a sum of more spreads."""

HOT_RATIO = 2.0
"""A pixel so many times as high as the rest of its run may be a hot one on a line."""

TAIL_SNR = 10.0
"""Next to it, sigma, lines are hardly ever so bright, and cosmic rays are."""

MIN_AROUND = 3
"""Good pixels beside a run that a verdict needs."""

Floats = NDArray[np.float64]
Places = NDArray[np.intp]


@dataclass(frozen=True)
class Runs:
    """Pixels in a row that stand out to one side.

    Parameters
    ----------
    row, start, stop : array of shape (R,)
        Spectrum, first pixel, and the pixel after the last one.
    excess : array of shape (R,)
        By how many stated errors the furthest of them stands out.
    """

    row: Places
    start: Places
    stop: Places
    excess: Floats

    def __len__(self) -> int:
        return len(self.row)

    def __getitem__(self, which: Places | NDArray[np.bool_]) -> Runs:
        return Runs(self.row[which], self.start[which], self.stop[which], self.excess[which])


def runs_of(
    high: Places,
    chi2: NDArray[np.float32],
    residual: NDArray[np.float32],
    pull: float,
    longest: int,
) -> Runs:
    """Find the pixels that stand out together.

    Parameters
    ----------
    high : array of shape (K,)
        Pixels that stand out, as places in the flat array, in order.
    chi2, residual : array of shape (N, L)
        residual^2 * ivar, and the residual itself.
    pull : float
        Pixels below this share of the furthest of their spectrum are left for later.
    longest : int
        Longer runs are no damage.

    Returns
    -------
    Runs
        Those of at least two pixels.
    """
    row, pixel = np.divmod(high, residual.shape[1])
    snr2 = chi2.flat[high].astype(np.float64)
    worst = np.zeros(len(residual))
    np.maximum.at(worst, row, snr2)
    seen = snr2 > pull**2 * worst[row]
    row, pixel, snr2 = row[seen], pixel[seen], snr2[seen]
    bright = residual[row, pixel] > 0
    new = (np.diff(pixel) != 1) | (np.diff(row) != 0) | (bright[1:] != bright[:-1])
    first = np.flatnonzero(np.append(len(row) > 0, new))
    if not len(first):
        return Runs(row, pixel, pixel, snr2)
    length = np.diff(first, append=len(row))
    excess = np.sqrt(np.maximum.reduceat(snr2, first))
    runs = Runs(row[first], pixel[first], pixel[first] + length, excess)
    return runs[(length >= 2) & (length <= longest)]


def misfits(
    runs: Runs,
    residual: NDArray[np.float32],
    ivar: NDArray[np.float32],
    alone: NDArray[np.bool_],
    spread: Floats,
) -> tuple[Floats, Floats]:
    """Compare, at each run, the best sum of line spreads with free pixels.

    Parameters
    ----------
    runs : Runs
        R runs.
    residual, ivar : array of shape (N, L)
        Spectra without their foreground, and their inverse variance.
    alone : array of shape (N, L)
        True for pixels that are known for damage.
    spread : array of shape (R,)
        Standard deviation of the line spread, pixels.

    Returns
    -------
    misfit : array of shape (R,)
        chi2 of the best sum of line spreads minus that of free pixels; 0 where too little is seen.
    power : array of shape (R,)
        chi2 of the pixels of the run against the level around them.
    """
    found = np.zeros((2, len(runs)))
    for i, (row, start, stop) in enumerate(
        zip(runs.row.tolist(), runs.start.tolist(), runs.stop.tolist(), strict=True)
    ):
        near = slice(max(start - REACH, 0), stop + REACH)
        value, weight = residual[row, near].astype(np.float64), ivar[row, near].astype(np.float64)
        inside = np.zeros(len(value), bool)
        inside[start - near.start : stop - near.start] = True
        around = (weight > 0) & ~inside
        if around.sum() < MIN_AROUND:
            continue
        sign = np.sign(residual[row, start])
        excess = sign * (value - np.median(value[around]))
        hot = alone[row, near]
        weight[hot & ~inside] = 0
        if sign > 0:
            weight[inside] *= ~_hot_on_a_line((excess * np.sqrt(weight))[inside], hot[inside])
        if not weight.any():  # scipy's nnls dies of a problem without data
            continue
        found[:, i] = _misfit(excess, weight, inside, float(spread[i]))
    return found[0], found[1]


def _hot_on_a_line(snr: Floats, alone: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark the pixels of a run that may be hot ones on a line, which then is judged by the rest."""
    second = np.sort(snr)[-2]
    hot = alone | (snr > HOT_RATIO * second)
    # A bright rest that falls off to one side of a hot pixel is the tail of a cosmic ray.
    at_an_end = hot.sum() == 1 and (hot[0] or hot[-1])
    beside = snr[1] if hot[0] else snr[-2]
    tail = at_an_end and beside == second and second > TAIL_SNR
    return np.zeros_like(hot) if tail else hot


def _misfit(
    excess: Floats, weight: Floats, inside: NDArray[np.bool_], spread: float
) -> tuple[float, float]:
    """Fit K pixels by line spreads, none of them negative (Lawson and Hanson 1974, chapter 23)."""
    good = np.flatnonzero(weight > 0)
    root = np.sqrt(weight[good])
    # Half a pixel apart, and none beyond the good pixels: a line that is masked is not searched.
    sources = np.append(good, good[1:][np.diff(good) == 1] - 0.5)
    spreads = np.exp(-0.5 * ((good[:, None] - sources) / (LEAST_SPREAD * spread)) ** 2)
    data = root * excess[good]
    _, norm = nnls(root[:, None] * spreads, data)
    power = data**2
    return norm**2 - power[~inside[good]].sum(), power[inside[good]].sum()
