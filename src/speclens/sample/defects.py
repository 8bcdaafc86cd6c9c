"""Several damaged pixels in a row: what no sum of line spreads looks like is no light.

In: residuals about a foreground, pixels that stand out, and the line spread. Out: runs of such
pixels, and which of them are no light, of whatever shape: neither a skewed line, nor a doublet,
nor a wide one; or which pixel in them is a hot one on a line. A long run is judged by its ends,
which light does not make sharper than the spectrograph does. What is done with them is decided in
`speclens.sample.damage`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from speclens.config import PreparationConfig

__all__ = ["Runs", "judge", "runs_of"]

REACH = 6
"""Pixels on either side of a run that light in it would reach."""

LEAST_SPREAD = 0.95
"""Share of the stated line spread that it may be in truth; wider light is a sum of more spreads."""

EDGE = 3
"""Pixels at either end by which a long run is judged: its core may be of any shape."""

REST_MISFIT = 0.5
"""Share of the allowed misfit, at most, of what is left without a hot pixel: one more is free."""

STRICT = 0.35
"""Of the allowed share of the misfit: of dips and long runs, which are no narrow bright lines."""

SKEWED_SHARE = 0.06
"""The same of a bright run whose red side is light: lines are sharp to the blue."""

MIN_SKEWED = 4
"""Least pixels of such a run, and number of those, from its highest on, that fall off."""

FALLING, RED_EDGE = 0.8, 1 / 3
"""Each of them is lower than this times the one before; the second not so low as a red edge is."""

TAIL_SNR = 10.0
"""Next to a hot pixel, sigma, lines are hardly ever so bright, and cosmic rays are."""

TAIL_FREE = 3.0
"""On the other side of it a tail stands out by less, sigma."""

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
        By how many errors the furthest of them stands out.
    bright : array of shape (R,)
        True where they are above the foreground.
    """

    row: Places
    start: Places
    stop: Places
    excess: Floats
    bright: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.row)

    def __getitem__(self, which: Places | NDArray[np.bool_]) -> Runs:
        return Runs(*(values[which] for values in vars(self).values()))


def runs_of(
    high: Places,
    snr2: NDArray[np.float32],
    residual: NDArray[np.float32],
    pull: float,
) -> Runs:
    """Find the pixels that stand out together.

    Parameters
    ----------
    high : array of shape (K,)
        Pixels that stand out, as places in the flat array, in order.
    snr2 : array of shape (K,)
        residual^2 * ivar of each of them.
    residual : array of shape (N, L)
        The residuals.
    pull : float
        Pixels below this share of the furthest of their spectrum are left for later.

    Returns
    -------
    Runs
        Those of at least two pixels.
    """
    row, pixel = np.divmod(high, residual.shape[1])
    height2 = snr2.astype(np.float64)
    worst = np.zeros(len(residual))
    np.maximum.at(worst, row, height2)
    seen = height2 > pull**2 * worst[row]
    row, pixel, height2 = row[seen], pixel[seen], height2[seen]
    bright = residual[row, pixel] > 0
    new = (np.diff(pixel) != 1) | (np.diff(row) != 0) | (bright[1:] != bright[:-1])
    first = np.flatnonzero(np.append(len(row) > 0, new))
    if not len(first):
        return Runs(row, pixel, pixel, height2, bright)
    length = np.diff(first, append=len(row))
    excess = np.sqrt(np.maximum.reduceat(height2, first))
    runs = Runs(row[first], pixel[first], pixel[first] + length, excess, bright[first])
    return runs[length >= 2]


def judge(
    runs: Runs,
    residual: NDArray[np.float32],
    ivar: NDArray[np.float32],
    alone: NDArray[np.bool_],
    spread: Floats,
    limits: PreparationConfig,
) -> tuple[NDArray[np.bool_], Places]:
    """Say which runs no sum of line spreads looks like, and which do but for one pixel.

    Parameters
    ----------
    runs : Runs
        R runs; dips are judged upside down, and have no hot pixels.
    residual, ivar : array of shape (N, L)
        Spectra without their foreground, and their inverse variance.
    alone : array of shape (N, L)
        True for pixels that are known for damage.
    spread : array of shape (R,)
        Standard deviation of the line spread, pixels.
    limits : PreparationConfig
        `spike_snr`, `spike_dchi2`, `defect_width` and `defect_share`.

    Returns
    -------
    damaged : array of shape (R,)
        True where a run is no light; False where too little is seen beside it.
    hot : array of shape (R,)
        The pixel without which it is light; -1 where there is none, or need of none.
    """
    damaged, hot = np.zeros(len(runs), bool), np.full(len(runs), -1)
    for i, (row, start, stop) in enumerate(
        zip(runs.row.tolist(), runs.start.tolist(), runs.stop.tolist(), strict=True)
    ):
        near = slice(max(start - REACH, 0), stop + REACH)
        value, weight = residual[row, near].astype(np.float64), ivar[row, near].astype(np.float64)
        inside = np.zeros(len(value), bool)
        inside[start - near.start : stop - near.start] = True
        weight[alone[row, near] & ~inside] = 0
        around = (weight > 0) & ~inside
        if around.sum() < MIN_AROUND:
            continue
        sign = 1 if runs.bright[i] else -1
        excess = sign * (value - np.median(value[around]))
        core = _core(inside, limits.defect_width)
        strict = core.any() or not runs.bright[i]
        share = limits.defect_share * (STRICT if strict else 1)
        light = _Light(excess, weight, inside, ~core, float(spread[i]), share, limits)
        if light.explains():
            continue
        suspects = _suspects(inside, core, weight > 0, alone[row, near])
        pixel = light.hot_pixel(suspects) if runs.bright[i] else None
        if pixel is not None:
            hot[i] = near.start + pixel
        else:
            damaged[i] = not (runs.bright[i] and light.is_skewed())
    return damaged, hot


def _core(inside: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """Mark what of a run, among K pixels, is left free: all but the ends of one wider than that."""
    first, last = np.flatnonzero(inside)[[0, -1]].tolist()
    core = np.zeros_like(inside)
    if last - first >= width:
        core[first + EDGE : last + 1 - EDGE] = True
    return core


def _suspects(
    inside: NDArray[np.bool_],
    core: NDArray[np.bool_],
    good: NDArray[np.bool_],
    alone: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Mark the pixels of a run that may be hot ones on a line."""
    suspects = inside & ~core & good
    ends = np.flatnonzero(inside)[[0, -1]]
    before, after = ends[0] - 1, ends[1] + 1
    seen = before >= 0 and after < len(good) and good[before] and good[after]
    both_edges = seen and not core.any()
    if not both_edges:
        # Without its outermost pixel one sharp edge is like a smooth one.
        suspects[ends] &= alone[ends]
    return suspects


def _near(pixels: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark K pixels from which light reaches some of them."""
    reached = np.convolve(pixels, np.ones(2 * REACH + 1))[REACH:-REACH]
    return np.asarray(reached > 0)


def _falls_off(red: Floats) -> bool:
    """Say whether pixels from the highest on do so at once and everywhere, but at no edge."""
    falls = len(red) == MIN_SKEWED and (red[1:] < FALLING * red[:-1]).all()
    return bool(falls and red[1] >= RED_EDGE * red[0])


@dataclass(frozen=True)
class _Light:
    """What light could be of a run: K pixels, those of `fitted` to be explained by it."""

    excess: Floats
    weight: Floats
    inside: NDArray[np.bool_]
    fitted: NDArray[np.bool_]
    spread: float
    share: float
    limits: PreparationConfig

    def explains(self) -> bool:
        """Say whether the best sum of line spreads is good enough."""
        return self._misfit(self.fitted)[0] <= 1

    def is_skewed(self) -> bool:
        """Say whether a run looks like Lyman alpha: sharp to the blue, falling off to the red."""
        top = int(np.where(self.inside, self.excess, -np.inf).argmax())
        whole = self.inside.sum() >= MIN_SKEWED and (self.weight > 0).all()
        if not (whole and _falls_off(self.excess[top : top + MIN_SKEWED])):
            return False
        redward = np.arange(len(self.excess)) >= top
        sharper = replace(self, share=SKEWED_SHARE)
        return sharper.explains() and replace(self, fitted=self.fitted & redward).explains()

    def hot_pixel(self, suspects: NDArray[np.bool_]) -> int | None:
        """Return the pixel of some, if there is one, that alone is too high for light."""
        best, lowest = None, REST_MISFIT
        for pixel in np.flatnonzero(suspects).tolist():
            rest = self.fitted.copy()
            rest[pixel] = False
            misfit, model = self._misfit(rest)
            above = (self.excess[pixel] - model[pixel]) * np.sqrt(self.weight[pixel])
            if misfit <= lowest and above > self.limits.spike_snr and not self._has_tail(pixel):
                best, lowest = pixel, misfit
        return best

    def _has_tail(self, pixel: int) -> bool:
        """Say whether a bright rest falls off to one side of a pixel: that of a cosmic ray."""
        snr = self.excess * np.sqrt(self.weight)
        run = np.flatnonzero(self.inside)
        for end, step in ((run[0], 1), (run[-1], -1)):
            if pixel == end:
                beyond = pixel - step
                free = not 0 <= beyond < len(snr) or snr[beyond] < TAIL_FREE
                beside = snr[pixel + step]
                rest = snr[run[run != pixel]].max()
                return bool(free and beside == rest and beside > TAIL_SNR)
        return False

    def _misfit(self, fitted: NDArray[np.bool_]) -> tuple[float, Floats]:
        """Fit line spreads, none of them negative (Lawson and Hanson 1974, chapter 23).

        Returns by how much free pixels explain the run better, in units of what is allowed, and
        the best sum of line spreads at the K pixels.
        """
        good = np.flatnonzero((self.weight > 0) & _near(fitted))
        # Half a pixel apart, and none beyond the good pixels: a line that is masked is not
        # searched. Light of pixels that are good but not fitted is free.
        sources = np.append(good, good[1:][np.diff(good) == 1] - 0.5)
        pixels = np.arange(len(self.excess))
        spreads = np.exp(-0.5 * ((pixels[:, None] - sources) / (LEAST_SPREAD * self.spread)) ** 2)
        fitted = fitted & (self.weight > 0)
        if not fitted.any():  # which would end the process within scipy
            return 0.0, np.zeros(len(self.excess))
        root = np.sqrt(self.weight[fitted])
        data = root * self.excess[fitted]
        heights, norm = nnls(root[:, None] * spreads[fitted], data)
        inside, power = self.inside[fitted], data**2
        misfit = norm**2 - power[~inside].sum()
        allowed = max(self.limits.spike_dchi2, self.share * power[inside].sum())
        return misfit / allowed, spreads @ heights
