"""From the network's map of redshifts to sources: probabilities, peaks, what a line may be.

In: logits of the bins of each kind of source, and redshifts of lenses. Out: a `HeatMap`: how likely
none is and each bin behind the lens, and the peaks, which are sources or other readings of the same
lines. Which of these is a hit is decided in `speclens.search.redshift_search`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from speclens.networks.model import Calibration
from speclens.networks.source_bins import (
    CELL_PIXELS,
    SAME_CELLS,
    SourceBins,
    around_lens,
    places_of,
)
from speclens.schema import HEAT_MAP, dtype_of

__all__ = ["HeatMap", "Peak", "Reading", "heat_map"]

Floats = NDArray[np.float64]

WINDOW = np.arange(-SAME_CELLS, SAME_CELLS + 1)

FLANK_CELLS = 2 * SAME_CELLS
"""What is nearer to a peak is a flank of it, not another source."""

REACH = (SAME_CELLS + 0.5) * CELL_PIXELS
"""Pixels by which a line may be off its place in a bin that has it."""


@dataclass(frozen=True)
class Peak:
    """A source that is possible.

    Parameters
    ----------
    bins : SourceBins
        Of its kind.
    place : float
        Its bin, the mean of those within 3 cells.
    probability : float
        Sum of these.
    """

    bins: SourceBins
    place: float
    probability: float


@dataclass(frozen=True)
class Reading:
    """What a line may be.

    Parameters
    ----------
    name : str
        What the line goes by in tables.
    z : float
        Redshift of the source, by the line.
    probability : float
        That there is a source which has that line there.
    """

    name: str
    z: float
    probability: float


@dataclass(frozen=True)
class HeatMap:
    """Probabilities of redshifts and kinds of sources behind N lenses.

    Parameters
    ----------
    sources : sequence of SourceBins
        The kinds.
    nothing, before : array of shape (N,)
        Probability of no galaxy but the lens, and of one before it; NaN where the network gives
        none.
    probability : array of shape (N, P)
        Of each bin of each kind; with these two a row adds to one.
    """

    sources: Sequence[SourceBins]
    nothing: Floats
    before: Floats
    probability: Floats

    @property
    def none(self) -> Floats:
        """Probability of no source behind the lens, shape (N,)."""
        return self.nothing + self.before

    def weighed(self, row: NDArray[np.intp], gain: Floats) -> HeatMap:
        """Return the map with other odds of a source.

        Parameters
        ----------
        row : array of shape (K,)
            The spectra.
        gain : array of shape (K,)
            What is added to their ln odds of any galaxy over nothing.

        Returns
        -------
        HeatMap
            What galaxies are to each other stays, before the lens and behind it.
        """
        nothing, before = self.nothing.copy(), self.before.copy()
        probability, odds = self.probability.copy(), np.exp(gain)
        total = nothing[row] + (1 - nothing[row]) * odds
        nothing[row] /= total
        before[row] *= odds / total
        probability[row] *= (odds / total)[:, None]
        return HeatMap(self.sources, nothing, before, probability)

    def peaks(self, row: int, n_peaks: int) -> list[Peak]:
        """Return the peaks of a spectrum, likeliest first.

        Parameters
        ----------
        row : int
            The spectrum.
        n_peaks : int
            Number that is wanted; fewer where nothing more is possible.

        Returns
        -------
        list of Peak
            Each with its own bins.
        """
        left = [part.copy() for part in self._kinds(row)]
        found: list[Peak] = []
        for _ in range(n_peaks):
            near = [np.convolve(part, np.ones(len(WINDOW)), "same") for part in left]
            kind = int(np.argmax([of_kind.max() for of_kind in near]))
            place = _mean(left[kind], int(near[kind].argmax()))
            place = _mean(left[kind], round(place))
            probability = float(left[kind][_window(left[kind], round(place))].sum())
            if not probability > 0:
                break
            found.append(Peak(self.sources[kind], place, probability))
            left[kind][_window(left[kind], round(place), FLANK_CELLS)] = 0
        return found

    def readings(self, row: int, pixel: int) -> list[Reading]:
        """Say what a line may be.

        Parameters
        ----------
        row : int
            The spectrum.
        pixel : int
            Where the line is.

        Returns
        -------
        list of Reading
            One for each line of each kind of source that is possible there; a redshift is counted
            for the nearest of its lines. Bins are wider than pixels: of a name that several lines
            share, the likeliest bin tells which it is, and the pixel tells the redshift.
        """
        found = []
        for bins, part in zip(self.sources, self._kinds(row), strict=True):
            moved = (bins.first + np.arange(bins.n_bins)) * CELL_PIXELS
            away = np.abs(np.array(bins.places)[:, None] + moved - pixel)  # (J, B)
            nearest = np.where(away.min(axis=0) <= REACH, away.argmin(axis=0), -1)
            for name in dict.fromkeys(bins.names):
                of_name = np.isin(
                    nearest, [j for j, other in enumerate(bins.names) if other == name]
                )
                own = np.where(of_name, part, 0)
                if own.sum() > 0:
                    line = bins.places[nearest[own.argmax()]]
                    z = float(bins.z_at((pixel - line) / CELL_PIXELS - bins.first))
                    found.append(Reading(name, z, float(own.sum())))
        return found

    def rows(self, row: NDArray[np.intp], least: float) -> NDArray[np.void]:
        """Tell the likely bins of spectra.

        Parameters
        ----------
        row : array of shape (H,)
            The spectrum of each hit.
        least : float
            Probability below which a bin is left out.

        Returns
        -------
        structured array
            Rows of `speclens.schema.HEAT_MAP`, by hit, kind and redshift.
        """
        hit, place = np.nonzero(self.probability[row] > least)
        kinds = np.repeat([bins.kind for bins in self.sources], [b.n_bins for b in self.sources])
        redshifts = np.concatenate([bins.z_at(np.arange(bins.n_bins)) for bins in self.sources])
        told = np.zeros(len(hit), dtype_of(HEAT_MAP))
        told["HIT"], told["KIND"], told["Z_SOURCE"] = hit, kinds[place], redshifts[place]
        told["PROBABILITY"] = self.probability[row[hit], place]
        return told

    def _kinds(self, row: int) -> list[Floats]:
        """Probabilities of a spectrum, kind by kind."""
        ends = np.cumsum([bins.n_bins for bins in self.sources])[:-1]
        return np.split(self.probability[row], ends)


def heat_map(
    logits: NDArray[np.floating],
    z_lens: Floats,
    margin: float,
    sources: Sequence[SourceBins],
    calibration: Calibration,
) -> HeatMap:
    """Turn a network's logits into probabilities.

    Parameters
    ----------
    logits : array of shape (N, P)
        Of each bin over none.
    z_lens : array of shape (N,)
        Redshifts of the lenses.
    margin : float
        By which sources are behind.
    sources : sequence of SourceBins
        The kinds, B bins each, P in all.
    calibration : Calibration
        A temperature, and a bias of none.

    Returns
    -------
    HeatMap
        0 in bins that are not behind the lens; a galaxy before it is none.
    """
    cells, around = places_of(sources)[0], around_lens(z_lens, margin)
    before, behind = cells < around[:, :1], cells >= around[:, 1:]
    scaled = calibration.slope * logits.astype(np.float64) + calibration.intercept
    scaled = np.where(before | behind | ~np.isfinite(scaled), scaled, -np.inf)
    none = np.zeros((len(scaled), 1))
    total = logsumexp(np.concatenate([none, scaled], axis=1), axis=1)
    total[~np.isfinite(total)] = np.nan  # an infinite logit tells nothing, as one that is no number
    share = np.exp(scaled - total[:, None])
    of_rivals = np.where(before, share, 0).sum(axis=1)
    return HeatMap(sources, np.exp(-total), of_rivals, np.where(behind, share, 0))


def _window(part: Floats, centre: int, reach: int = SAME_CELLS) -> slice:
    """Return the bins that are one redshift with a bin; none where they are beyond the axis."""
    start, stop = np.clip([centre - reach, centre + reach + 1], 0, len(part))
    return slice(int(start), int(stop))


def _mean(part: Floats, centre: int) -> float:
    """Return the mean bin of those that are one redshift with a bin."""
    near = _window(part, centre)
    weight = part[near]
    if not weight.sum() > 0:
        return float(centre)
    return float((np.arange(near.start, near.stop) * weight).sum() / weight.sum())
