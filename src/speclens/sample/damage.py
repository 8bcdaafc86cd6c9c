"""Damaged pixels that no mask names: hot ones, cosmic rays, dips.

In: residuals about a foreground, and the line spread. Out: the pixels that are no light, because
the spectrograph would have spread it. Pixels are judged one by one here, and several in a row by
`speclens.sample.defects`. Which pixels the survey's own mask rules out, and the foreground itself,
are left to `speclens.sample.preparation`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config
from speclens.sample.defects import Runs, judge, runs_of
from speclens.sample.noise import error_growth
from speclens.spectra import LogGrid

__all__ = ["DamagedPixels"]

HALF_WIDTH = 3
"""Pixels on either side of the one in question."""

CENTRES = np.array([-0.5, -0.25, 0.0, 0.25, 0.5])
"""Places of a line within its highest pixel."""

WIDTHS = np.array([1.0, 1.6, 2.6])
"""Widths of a line in units of the line spread, which is the narrowest that there is."""

MIN_NEIGHBOURS = 3
"""Good pixels around it that a verdict needs."""

PULL = 0.1
"""Share of a pixel's excess by which a foreground fitted to it is less than wrong elsewhere."""

Floats = NDArray[np.float64]


class DamagedPixels:
    """Finds the pixels that stand out from their neighbours as no line can.

    Parameters
    ----------
    grid : LogGrid
        Wavelengths, L pixels.
    config : Config
        `spike_snr`, `spike_dchi2`, `dip_snr`, `defect_width` and `defect_share` of the section
        `preparation`; how the scatter of a spectrum shows that its errors are too small; the usual
        line spread.
    """

    def __init__(self, grid: LogGrid, config: Config) -> None:
        self._limits, self._noise = config.preparation, config.noise
        usual = np.array(config.matched_filter.dispersion)
        self._usual_spread = np.interp(grid.wave, *usual.T)

    @property
    def sought(self) -> bool:
        """False where `spike_snr` is 0: no pixel is then called damaged."""
        return self._limits.spike_snr > 0

    def __call__(
        self,
        residual: NDArray[np.float32],
        ivar: NDArray[np.float32],
        dispersion: NDArray[np.float32],
    ) -> NDArray[np.bool_]:
        """Find them in some spectra.

        Parameters
        ----------
        residual, ivar : array of shape (N, L)
            Spectra without their foreground, 1e-17 erg/s/cm2/Angstrom, and their inverse variance,
            0 where masked.
        dispersion : array of shape (N, L)
            Standard deviation of the line spread, pixels; 0 where unknown.

        Returns
        -------
        array of shape (N, L)
            True for a pixel further than `spike_snr` standard deviations from its neighbours
            (either sign) that one pixel alone explains better than any line through the
            spectrograph, by more than `spike_dchi2`; for one more than `dip_snr` below them, which
            no line is; for one that stands out and has no neighbours; for several in a row
            that stand out and that no sum of line spreads looks like, with a pixel on either side;
            and for one of them alone, where the others are light without it.
            Where some stand out far more than others only those are told: the foreground was
            pulled along by them, and the rest is judged when it is fitted without them.
        """
        chi2 = residual * residual
        chi2 *= ivar
        high = np.flatnonzero(chi2 > self._limits.spike_snr**2)
        snr2 = chi2.flat[high]
        growth = self._growth(residual, ivar, runs_of(high, snr2, residual, PULL), high)
        grown = np.flatnonzero(growth > 1)
        if len(grown):
            ivar = ivar.copy()
            ivar[grown] /= growth[grown, None] ** 2
            snr2 /= growth[high // residual.shape[1]] ** 2
            still = snr2 > self._limits.spike_snr**2
            high, snr2 = high[still], snr2[still]
        row, pixel, excess = self._outliers(residual, ivar, dispersion, high)
        alone = np.zeros(residual.shape, bool)
        alone[row, pixel] = True
        runs = runs_of(high, snr2, residual, PULL)
        runs, hot = self._no_light(runs, residual, ivar, dispersion, alone)
        worst = np.zeros(len(residual))
        for found in (row, excess), (runs.row, runs.excess), (hot.row, hot.excess):
            np.maximum.at(worst, *found)
        damaged = np.zeros(residual.shape, bool)
        worse = excess > PULL * worst[row]
        damaged[row[worse], pixel[worse]] = True
        hot = hot[hot.excess > PULL * worst[hot.row]]
        damaged[hot.row, hot.start] = True
        for i in np.flatnonzero(runs.excess > PULL * worst[runs.row]).tolist():
            # What is beside a defect is hardly ever whole.
            damaged[runs.row[i], max(runs.start[i] - 1, 0) : runs.stop[i] + 1] = True
        return damaged

    def _outliers(
        self,
        residual: NDArray[np.float32],
        ivar: NDArray[np.float32],
        dispersion: NDArray[np.float32],
        high: NDArray[np.intp],
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
        """Find K pixels that no line explains alone: row, pixel, by how many sigma."""
        row, pixel = np.divmod(high, residual.shape[1])
        value, weight = _around(residual, ivar, row, pixel)
        level = _level(value, weight)
        # One without neighbours shows no line, and bends the foreground.
        lone = np.isnan(level)
        level[lone] = 0
        offset = np.where(weight > 0, value - level[:, None], 0)
        snr = _lesser(value[:, HALF_WIDTH], offset[:, HALF_WIDTH]) * np.sqrt(weight[:, HALF_WIDTH])
        far = np.flatnonzero(np.abs(snr) > self._limits.spike_snr)
        row, pixel = row[far], pixel[far]
        spread = self._spread(dispersion, row, pixel)
        gain = np.where(lone[far], np.inf, _spike_gain(offset[far], weight[far], spread))
        bad = self._is_damage(snr[far], gain)
        return row[bad], pixel[bad], np.abs(snr[far][bad])

    def _no_light(
        self,
        runs: Runs,
        residual: NDArray[np.float32],
        ivar: NDArray[np.float32],
        dispersion: NDArray[np.float32],
        alone: NDArray[np.bool_],
    ) -> tuple[Runs, Runs]:
        """Return those of R runs that are no light, and hot pixels on others that are."""
        spread = self._spread(dispersion, runs.row, (runs.start + runs.stop) // 2)
        damaged, hot = judge(runs, residual, ivar, alone, spread, self._limits)
        return runs[damaged], replace(runs, start=hot, stop=hot + 1)[hot >= 0]

    def _spread(
        self, dispersion: NDArray[np.float32], row: NDArray[np.intp], pixel: NDArray[np.intp]
    ) -> Floats:
        """Return the line spread at K pixels, shape (K,); the usual one where it is unknown."""
        spread = dispersion[row, pixel].astype(np.float64)
        return np.where(spread > 0, spread, self._usual_spread[pixel])

    def _is_damage(self, snr: Floats, gain: Floats) -> NDArray[np.bool_]:
        """Judge K pixels by their distance from their neighbours and by chi2, shape (K,)."""
        limits = self._limits
        alone = (np.abs(snr) > limits.spike_snr) & (gain > limits.spike_dchi2)
        return np.asarray(alone | (snr < -limits.dip_snr))

    def _growth(
        self,
        residual: NDArray[np.float32],
        ivar: NDArray[np.float32],
        runs: Runs,
        high: NDArray[np.intp],
    ) -> NDArray[np.float32]:
        """Return by how much the errors of N spectra are too small, 1 where none stands out."""
        growth = np.ones(len(residual), np.float32)
        rows = np.unique(high // residual.shape[1])
        seen = ivar[rows]
        # A wide defect is no scatter: the furthest run does not count.
        order = np.argsort(runs.excess)
        furthest = dict(zip(runs.row[order].tolist(), order.tolist(), strict=True))
        for row, i in furthest.items():
            seen[np.searchsorted(rows, row), runs.start[i] : runs.stop[i]] = 0
        growth[rows] = error_growth(residual[rows], seen, self._noise)
        return growth


def _lesser(value: Floats, offset: Floats) -> Floats:
    """Return what is nearer to 0 of two numbers of one sign, else 0.

    A pixel must stand out from the foreground, or a line's foot would be a dip beside its top; and
    from its neighbours, or the pixels that a damaged one has pulled the foreground away from would.
    """
    nearer = np.where(np.abs(value) < np.abs(offset), value, offset)
    return np.asarray(np.where(value * offset > 0, nearer, 0))


def _around(
    residual: NDArray[np.float32],
    ivar: NDArray[np.float32],
    row: NDArray[np.intp],
    pixel: NDArray[np.intp],
) -> tuple[Floats, Floats]:
    """Values and weights of K pixels and those around them, shape (K, 7); 0 beyond the ends."""
    near = pixel[:, None] + np.arange(-HALF_WIDTH, HALF_WIDTH + 1)
    inside = (near >= 0) & (near < residual.shape[1])
    near = np.clip(near, 0, residual.shape[1] - 1)
    weight = np.where(inside, ivar[row[:, None], near], 0).astype(np.float64)
    return residual[row[:, None], near].astype(np.float64), weight


def _level(value: Floats, weight: Floats) -> Floats:
    """Median of the good neighbours, shape (K,); NaN, which is no outlier, with too few of them."""
    neighbours = weight > 0
    neighbours[:, HALF_WIDTH] = False
    n_good = neighbours.sum(1)
    ordered = np.sort(np.where(neighbours, value, np.inf), axis=1)
    rows = np.arange(len(value))
    below, above = np.maximum(n_good - 1, 0) // 2, n_good // 2
    with np.errstate(invalid="ignore"):
        median = (ordered[rows, below] + ordered[rows, above]) / 2
    return np.where(n_good >= MIN_NEIGHBOURS, median, np.nan)


def _spike_gain(offset: Floats, weight: Floats, spread: Floats) -> Floats:
    """Return chi2 of the best line minus that of a single pixel, shape (K,); level left free."""
    step = np.arange(-HALF_WIDTH, HALF_WIDTH + 1)
    sigma = WIDTHS[:, None, None] * spread[:, None]
    lines = np.exp(-0.5 * ((step - CENTRES[:, None, None, None]) / sigma) ** 2)
    best = _explained(offset, weight, lines).max(axis=(0, 1))
    return np.asarray(_explained(offset, weight, np.equal(step, 0)) - best)


def _explained(offset: Floats, weight: Floats, shape: NDArray[Any]) -> Floats:
    """Return by how much shapes on a free level lower chi2 against the level alone, (..., K)."""
    total = np.maximum(weight.sum(-1, keepdims=True), 1e-300)
    data = offset - (weight * offset).sum(-1, keepdims=True) / total
    model = shape - (weight * shape).sum(-1, keepdims=True) / total
    overlap = (weight * model * data).sum(-1)
    return np.asarray(overlap**2 / np.maximum((weight * model**2).sum(-1), 1e-300))
