"""Hits by wavelength, and where there are too many of them.

In: hits that were vetted. Out: a PNG file. Which hits lie in an over-density is what vetting found;
the limit is drawn again from the same numbers of the configuration.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from speclens.config import VetConfig
from speclens.report.figures import ACCENT, DATA, MODEL, save_figure
from speclens.schema import vet_bits

__all__ = ["draw_density", "limit_of"]

Floats = NDArray[np.float64]


def limit_of(counts: NDArray[np.integer], config: VetConfig) -> Floats:
    """Return the number of hits above which a bin is an over-density.

    Parameters
    ----------
    counts : array of shape (B,)
        Hits in each bin.
    config : VetConfig
        Width of the running median, and the excess allowed.

    Returns
    -------
    array of shape (B,)
        The limit.

    Notes
    -----
    Shu et al. 2016, section 3: median + dense_max sqrt(median), the median at least 1.
    """
    size = config.dense_median_bins
    margin = size if len(counts) < size else 0
    median = median_filter(np.pad(counts, margin), size, mode="mirror")
    median = np.maximum(median[margin:][: len(counts)], 1)
    return np.asarray(median + config.dense_max * np.sqrt(median), np.float64)


def draw_density(path: Path, hits: NDArray[np.void], config: VetConfig) -> None:
    """Draw the hits by observed wavelength and by wavelength in the frame of the lens.

    Parameters
    ----------
    path : Path
        PNG file.
    hits : structured array of shape (N,)
        Rows of hits.fits.
    config : VetConfig
        Bins and limits of the test.
    """
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    panels: Any = figure.subplots(2, 1)
    rest = hits["WAVE"] / (1 + hits["Z"])
    labels = ("observed wavelength, vacuum (Å)", "wavelength in the frame of the lens (Å)")
    frames = (("DENSE_OBSERVED", hits["WAVE"]), ("DENSE_REST", rest))
    for axes, label, (name, wave) in zip(panels, labels, frames, strict=True):
        usable = np.isfinite(wave) & (wave > 0)
        flagged = hits["VET_FLAGS"] & vet_bits([name]) != 0
        measured = bool(np.isfinite(hits[name]).any())
        _draw_counts(axes, wave[usable], flagged[usable], config, measured)
        axes.set_xlabel(label, fontsize=9)
        axes.set_ylabel("hits in a bin", fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
    save_figure(figure, path)


def _draw_counts(
    axes: Axes, wave: Floats, flagged: NDArray[np.bool_], config: VetConfig, measured: bool
) -> None:
    if len(wave):
        bins = np.floor(np.log10(wave) / config.dense_bin_dex).astype(np.int64)
        first, n_bins = int(bins.min()) - 1, int(np.ptp(bins)) + 3
        counts = np.bincount(bins - first, minlength=n_bins)
        edges = 10 ** ((first + np.arange(n_bins + 1)) * config.dense_bin_dex)
        axes.stairs(counts, edges, fill=True, color=DATA)
        if measured:
            dense = np.isin(np.arange(n_bins), bins[flagged] - first)
            axes.stairs(np.where(dense, counts, 0), edges, fill=True, color=ACCENT)
            axes.stairs(limit_of(counts, config), edges, color=MODEL, baseline=None, lw=1.2)
        axes.set_xlim(edges[0], edges[-1])
        axes.set_ylim(bottom=0)
    if not measured:
        text = f"too few hits for the test: {len(wave)}, at least {config.dense_min_hits}"
        axes.set_title(text, fontsize=9, loc="right", color=ACCENT)
