"""Over-densities: wavelengths at which a run has too many hits.

In: the wavelengths of all hits of a run, and the redshifts of their lenses. Out: by how much the
hits of each hit's own bin exceed their surroundings, in the observed frame (airglow) and in the
lens's (residuals of the foreground).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d, median_filter, uniform_filter1d

from speclens.config import VetConfig

__all__ = ["Density", "frames_of", "hit_density", "measure_one_more", "measure_overdensity"]

Floats = NDArray[np.float64]


class Density:
    """Counts of hits in bins of log10(wavelength).

    Parameters
    ----------
    wave : array of shape (H,)
        Wavelengths, Angstrom; at least one.
    config : VetConfig
        Bins and running median.

    Attributes
    ----------
    bins : array of shape (H,)
        Bin of each hit.
    edges : array of shape (B + 1,)
        Ends of the bins, Angstrom.
    counts, median : array of shape (B,)
        Hits in each bin, and their running median, at least 1.
    limit : array of shape (B,)
        Hits above which a bin is an over-density: median + dense_max sqrt(median).
    excess : array of shape (B,)
        (counts - median) / sqrt(median), the highest of a bin and its two neighbours.
    smooth : array of shape (B,)
        Mean count of the surroundings without the bin and its neighbours.
    """

    def __init__(self, wave: Floats, config: VetConfig) -> None:
        place = np.floor(np.log10(wave) / config.dense_bin_dex).astype(np.int64)
        self.first = int(place.min())
        self.bins = place - self.first
        self.counts = np.bincount(self.bins).astype(np.float64)
        ends = self.first + np.arange(len(self.counts) + 1)
        self.edges = np.asarray(10 ** (ends * config.dense_bin_dex), np.float64)
        size = config.dense_median_bins
        # Mirrored at the ends: repeated there, a full last bin would be its own median.
        # Hits in a few bins only must not be their own median.
        margin = size if len(self.counts) < size else 0
        median = median_filter(np.pad(self.counts, margin), size=size, mode="mirror")
        median = median[margin:][: len(self.counts)]
        self.median = np.maximum(median, 1.0)
        self.limit = self.median + config.dense_max * np.sqrt(self.median)
        excess = (self.counts - self.median) / np.sqrt(self.median)
        self.excess = maximum_filter1d(excess, 3, mode="constant", cval=-np.inf)
        self.near = _running_sum(self.counts, 3)
        around = _running_sum(self.counts, size) - self.near
        exist = np.ones_like(self.counts)
        self.smooth = around / np.maximum(_running_sum(exist, size) - _running_sum(exist, 3), 1)
        self._dex = config.dense_bin_dex

    def with_one_more(self, wave: Floats) -> tuple[Floats, Floats, Floats]:
        """Return what a hit would find that is one more than those counted.

        Parameters
        ----------
        wave : array of shape (N,)
            Wavelengths of such hits, each alone, Angstrom.

        Returns
        -------
        excess, near, smooth : array of shape (N,)
            The excess of its bin or of a neighbour's, the hits in the three, itself among them, and
            the mean count of the surroundings. Beyond all hits nothing surrounds it.
        """
        place = np.floor(np.log10(wave) / self._dex) - self.first
        bins = np.clip(place, 0, len(self.counts) - 1).astype(np.intp)
        within = place == bins
        own = (self.counts[bins] + 1 - self.median[bins]) / np.sqrt(self.median[bins])
        excess = np.where(within, np.maximum(self.excess[bins], own), 0.0)
        near = np.where(within, self.near[bins], 0.0) + 1
        return excess, near, np.where(within, self.smooth[bins], 0.0)


def _running_sum(values: Floats, size: int) -> Floats:
    """Sum of whole numbers over bins around each, with nothing beyond the ends, shape (B,)."""
    return np.asarray(np.round(uniform_filter1d(values, size, mode="constant") * size))


def hit_density(wave: Floats, config: VetConfig) -> Density | None:
    """Count hits by wavelength.

    Parameters
    ----------
    wave : array of shape (H,)
        Wavelengths of the hits, Angstrom.
    config : VetConfig
        Bins, and how many hits the test needs.

    Returns
    -------
    Density or None
        None when the hits are too few to tell an excess from chance.
    """
    return Density(wave, config) if len(wave) >= max(config.dense_min_hits, 1) else None


def measure_overdensity(wave: Floats, z_lens: Floats, config: VetConfig) -> Mapping[str, Floats]:
    """Measure the excess of hits at the wavelength of each.

    Parameters
    ----------
    wave : array of shape (H,)
        Wavelengths of all hits of the run, Angstrom.
    z_lens : array of shape (H,)
        Redshifts of their lenses.
    config : VetConfig
        Bins and limits.

    Returns
    -------
    mapping of str to array of shape (H,)
        Columns of hits.fits: DENSE_OBSERVED, DENSE_REST, SMOOTH_FRACTION; NaN when the run has too
        few hits for the test.

    Notes
    -----
    Shu et al. 2016: bins of 3e-4 dex, a running median of 101 bins, a bin is bad above
    N = median + 4 sqrt(median), and so are its neighbours. SMOOTH_FRACTION weighs instead of
    cutting: the share of the hits there that the surroundings explain, in the worse frame.

    Differs: both frames count all hits; Shu et al. count in the observed frame what the rest frame
    left.
    """
    columns = {
        name: np.full(len(wave), np.nan)
        for name in ("DENSE_OBSERVED", "DENSE_REST", "SMOOTH_FRACTION")
    }
    fraction = np.ones(len(wave))
    for name, frame in frames_of(wave, z_lens).items():
        placed = np.isfinite(frame)
        density = hit_density(frame[placed], config)
        if density is None:
            return columns
        columns[name][placed] = density.excess[density.bins]
        fraction[~placed] = np.nan
        share = _explained(density.smooth[density.bins], density.near[density.bins], config)
        fraction[placed] = np.minimum(fraction[placed], share)
    return columns | {"SMOOTH_FRACTION": fraction}


def measure_one_more(
    wave: Floats, z_lens: Floats, crowd: NDArray[np.void], config: VetConfig
) -> Mapping[str, Floats]:
    """Measure the excess at the wavelength of hits each of which is one more than a run has.

    Parameters
    ----------
    wave : array of shape (H,)
        Their wavelengths, Angstrom.
    z_lens : array of shape (H,)
        Redshifts of their lenses.
    crowd : structured array
        WAVE and Z of the hits of the run.
    config : VetConfig
        Bins and limits.

    Returns
    -------
    mapping of str to array of shape (H,)
        Columns of hits.fits, as of `measure_overdensity`.
    """
    columns = {
        name: np.full(len(wave), np.nan)
        for name in ("DENSE_OBSERVED", "DENSE_REST", "SMOOTH_FRACTION")
    }
    fraction = np.ones(len(wave))
    others = frames_of(crowd["WAVE"], crowd["Z"])
    for name, frame in frames_of(wave, z_lens).items():
        density = hit_density(others[name][np.isfinite(others[name])], config)
        if density is None:
            return columns
        placed = np.isfinite(frame)
        columns[name][placed], near, smooth = density.with_one_more(frame[placed])
        fraction[~placed] = np.nan
        fraction[placed] = np.minimum(fraction[placed], _explained(smooth, near, config))
    return columns | {"SMOOTH_FRACTION": fraction}


def _explained(smooth: Floats, near: Floats, config: VetConfig) -> Floats:
    """Share of the hits in three bins, because a line may fall on an edge, that is no excess.

    The hit itself is expected, and so is what chance may add to the expected number.
    """
    expected = 3 * smooth + 1
    expected += config.dense_chance_sigma * np.sqrt(expected)
    return np.asarray(expected / near)


def frames_of(wave: Floats, z_lens: Floats) -> Mapping[str, Floats]:
    """Return the wavelengths of hits in the frames in which they are counted.

    Parameters
    ----------
    wave : array of shape (H,)
        Observed wavelengths, Angstrom.
    z_lens : array of shape (H,)
        Redshifts of their lenses.

    Returns
    -------
    mapping of str to array of shape (H,)
        By the column that says how dense it is; NaN for a hit that is nowhere in that frame.
    """
    observed = np.where(np.isfinite(wave) & (wave > 0), wave, np.nan)
    behind = np.isfinite(z_lens) & (z_lens > -1)
    return {
        "DENSE_OBSERVED": observed,
        "DENSE_REST": np.where(behind, observed, np.nan) / np.where(behind, 1 + z_lens, 1),
    }
