"""Damaged pixels that no mask names: hot ones, cosmic rays, dips.

In: residuals about a foreground, and the line spread. Out: the pixels that are no light, because
the spectrograph would have spread it. Which pixels the survey's own mask rules out, and the
foreground itself, are left to `speclens.sample.preparation`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config
from speclens.sample.light import REACH, misfit_of_light
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
    """Finds the single pixels that stand out from their neighbours as no line can.

    Parameters
    ----------
    grid : LogGrid
        Wavelengths, L pixels.
    config : Config
        `spike_snr`, `spike_dchi2` and `dip_snr` of the section `preparation`; how the scatter of a
        spectrum shows that its errors are too small; the usual line spread.
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
            spectrograph, by more than `spike_dchi2`; and for a pixel more than `dip_snr` below
            them, which no line is. Where some stand out far more than others only those are told:
            the foreground was pulled along by them, and the rest is judged when it is fitted
            without them.
        """
        damaged = np.zeros(residual.shape, bool)
        chi2 = residual * residual
        chi2 *= ivar
        high = np.flatnonzero(chi2 > self._limits.spike_snr**2)
        if not len(high):
            return damaged
        row, pixel, excess = self._single(residual, ivar, dispersion, high)
        alone = damaged.copy()
        alone[row, pixel] = True
        wide = self._wide(residual, ivar, dispersion, alone, chi2, high)
        row, pixel = np.append(row, wide[0]), np.append(pixel, wide[1])
        excess = np.append(excess, wide[2])
        worst = np.zeros(len(residual))
        np.maximum.at(worst, row, excess)
        worse = excess > PULL * worst[row]
        damaged[row[worse], pixel[worse]] = True
        return damaged

    def _single(
        self,
        residual: NDArray[np.float32],
        ivar: NDArray[np.float32],
        dispersion: NDArray[np.float32],
        high: NDArray[np.intp],
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
        """Find K pixels that no line explains alone: row, pixel, by how many sigma."""
        row, pixel, snr, gain = self._outliers(residual, ivar, dispersion, high)
        # Errors only grow: what is no damage with those stated is none with larger ones.
        bad = np.flatnonzero(self._is_damage(snr, gain))
        row, pixel, snr, gain = row[bad], pixel[bad], snr[bad], gain[bad]
        growth = self._growth(residual, ivar, row)
        bad = np.flatnonzero(self._is_damage(snr / growth, gain / growth**2))
        return row[bad], pixel[bad], np.abs(snr[bad])

    def _outliers(
        self,
        residual: NDArray[np.float32],
        ivar: NDArray[np.float32],
        dispersion: NDArray[np.float32],
        high: NDArray[np.intp],
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats, Floats]:
        """Find K pixels that stand out: row, pixel, by how many sigma, chi2 that a spike gains."""
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
        return row, pixel, snr[far], gain

    def _wide(
        self,
        residual: NDArray[np.float32],
        ivar: NDArray[np.float32],
        dispersion: NDArray[np.float32],
        alone: NDArray[np.bool_],
        chi2: NDArray[np.float32],
        high: NDArray[np.intp],
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
        """Find K pixels of runs that are no light: row, pixel, by how many sigma."""
        n_pixels = residual.shape[1]
        row = high // n_pixels
        worst = np.zeros(len(residual))
        np.maximum.at(worst, row, chi2.flat[high])
        high = high[chi2.flat[high] > PULL**2 * worst[row]]
        starts, stops = _runs(high, residual)
        length = stops - starts
        few = (length >= 2) & (length <= self._limits.defect_width)
        damaged = [
            np.arange(max(start - 1, start // n_pixels * n_pixels),
                      min(stop + 1, (start // n_pixels + 1) * n_pixels))
            for start, stop in zip(starts[few].tolist(), stops[few].tolist(), strict=True)
            if self._unlike_light(
                residual, ivar, dispersion, alone, *divmod(start, n_pixels), stop - start
            )
        ]
        place = np.concatenate([np.zeros(0, np.intp), *damaged])
        row = place // n_pixels
        return row, place % n_pixels, np.sqrt(worst[row])

    def _unlike_light(
        self,
        residual: NDArray[np.float32],
        ivar: NDArray[np.float32],
        dispersion: NDArray[np.float32],
        alone: NDArray[np.bool_],
        row: int,
        pixel: int,
        length: int,
    ) -> bool:
        """Judge a run of pixels of one sign."""
        near = slice(max(pixel - REACH, 0), pixel + length + REACH)
        value, weight = residual[row, near].astype(np.float64), ivar[row, near].astype(np.float64)
        place = np.arange(near.start, near.start + len(value))
        inside = (place >= pixel) & (place < pixel + length)
        around = (weight > 0) & ~inside
        if around.sum() < MIN_NEIGHBOURS:
            return False
        excess = value - np.median(value[around])
        if residual[row, pixel] < 0:
            excess = -excess
        else:
            # A line on which there is a hot pixel is a line.
            hot = alone[row, near] & inside
            weight[hot & ~_is_tail(excess, hot, inside)] = 0
        weight[alone[row, near] & ~inside] = 0
        middle = pixel + length // 2
        spread = self._spread(dispersion, np.array([row]), np.array([middle]))
        misfit, power = misfit_of_light(excess, weight, inside, float(spread[0]))
        limits = self._limits
        if misfit < max(limits.spike_dchi2, limits.defect_share * power):
            return False
        growth = self._growth(residual, ivar, np.array([row]))
        return bool(misfit > limits.spike_dchi2 * growth[0] ** 2)

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
        self, residual: NDArray[np.float32], ivar: NDArray[np.float32], row: NDArray[np.intp]
    ) -> Floats:
        """Return by how much the errors of K pixels' spectra are too small, shape (K,)."""
        rows, place = np.unique(row, return_inverse=True)
        growth = error_growth(residual[rows], ivar[rows], self._noise)
        return growth[place].astype(np.float64)


def _runs(
    place: NDArray[np.intp], residual: NDArray[np.float32]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return starts and ends of contiguous runs of one sign, as places in the flat array."""
    bright = residual.flat[place] > 0
    new = (np.diff(place) != 1) | (bright[1:] != bright[:-1]) | (place[1:] % residual.shape[1] == 0)
    edges = np.flatnonzero(new) + 1
    first, last = np.append(0, edges), np.append(edges, len(place)) - 1
    return place[first], place[last] + 1


def _is_tail(excess: Floats, hot: NDArray[np.bool_], inside: NDArray[np.bool_]) -> bool:
    """Say whether a run falls off to one side of a hot pixel, as a cosmic ray does."""
    run, hot = excess[inside], hot[inside]
    if hot[-1]:
        run, hot = run[::-1], hot[::-1]
    return bool(hot[0] and not hot[1:].any() and run[1:].argmax() == 0)


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
