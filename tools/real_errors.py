"""Real over stated errors of BOSS spectra: of each fibre, of plates, and what fibres share.

In: `boss_spectra.Spectra`. Out: curves and numbers for `build_noise_model.py`, which writes them
down.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from boss_spectra import CLIP, GRID, Array, Spectra, nanmedian
from speclens.simulate.fibres import Fibres

__all__ = ["error_ratios", "line_rates", "line_strength", "plate_ratios", "shares"]

RATIO_BIN_PIXELS = 180
"""Bins in which real errors are compared with stated ones."""

CAMERAS = ((3800.0, 5700.0), (6200.0, 9200.0))
"""Where the errors of plates are compared, Angstrom."""

AIRGLOW_WAVE = (6700.0, 10200.0)
"""Where the residuals of sky lines are measured, Angstrom."""

MANY_FIBRES = 20
"""Fibres of a plate that show what all of them share."""

BRIGHT_SNR = 10.0
"""Brighter spectra, by the median S/N of a pixel, show their own lines and not the noise."""

CONTINUUM_PIXELS = 101
"""Width of the median that separates the sky's lines from its continuum."""


def error_ratios(galaxies: Spectra, usable: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Return real over stated error: of each fibre alone, and shared by all, shape (L,) each.

    The shared part is the covariance of the mean residuals of odd and even fibres, over what these
    places along the slit have of it.
    """
    residual = galaxies.residual
    pair, single = shares(galaxies.fibre)
    edges = np.arange(0, GRID.n_pixels + 1, RATIO_BIN_PIXELS)
    centres, own, shared = [], [], []
    for start, stop in pairwise(edges):
        pixels = start + np.flatnonzero(usable[start:stop])
        if len(pixels) < RATIO_BIN_PIXELS // 3:
            continue
        part = residual[:, pixels]
        odd, even = part[::2].mean(0), part[1::2].mean(0)
        common = max(0.0, float(np.mean(odd * even) - odd.mean() * even.mean())) / pair
        centres.append((start + stop) / 2)
        shared.append(np.sqrt(common))
        own.append(np.sqrt(np.mean(_width(galaxies.scatter[:, pixels]) ** 2) - single * common))
    pixel = np.arange(GRID.n_pixels)
    return np.interp(pixel, centres, own), np.interp(pixel, centres, shared)


def plate_ratios(spectra: Spectra, main: int, usable: NDArray[np.bool_]) -> tuple[Array, float]:
    """Compare real over stated errors of plates: their mean in units of the main one's, shape (L,).

    And their scatter, without that of the fibres, which is all that most plates have one of.
    """
    snr = nanmedian(spectra["flux"] / np.sqrt(spectra.variance), axis=1)
    spectra = spectra.having(snr < BRIGHT_SNR)
    means, variances, is_main = [], [], spectra.plate == main
    for camera in CAMERAS:
        pixels = usable & (GRID.wave > camera[0]) & (GRID.wave < camera[1])
        width = np.array([_camera_width(row[pixels]) for row in spectra.scatter])
        width /= np.median(width[is_main])
        fibres = [width[spectra.plate == plate] for plate in np.unique(spectra.plate)]
        fibres = [known for part in fibres if len(known := part[np.isfinite(part)])]
        plates = np.array([np.median(part) for part in fibres])
        share = np.mean([1 / len(part) for part in fibres])
        means.append(plates.mean())
        variances.append(plates.var(ddof=1) - share * width[is_main].var(ddof=1))
    middle = [np.mean(camera) for camera in CAMERAS]
    return np.interp(GRID.wave, middle, means), float(np.sqrt(max(np.mean(variances), 0)))


def _camera_width(scatter: Array) -> float:
    """Return the width of one spectrum in one camera, NaN where the forest leaves little of it."""
    known = np.isfinite(scatter)
    if known.mean() < 1 / 3:
        return np.nan
    bins = np.array_split(scatter[known], max(int(known.sum()) // RATIO_BIN_PIXELS, 1))
    return float(np.median([_width(part) for part in bins]))


def _width(scatter: Array) -> Array:
    """Return half the distance of the 16 and 84 % quantiles of each row: tails do not count."""
    low, high = np.nanquantile(scatter, (0.16, 0.84), axis=-1)
    return np.asarray((high - low) / 2)


def shares(fibre: NDArray[np.int64]) -> tuple[float, float]:
    """Return how much of the shared variance odd with even fibres have, and each alone, means."""
    fibres = Fibres.of_plate(fibre, np.zeros(len(fibre), bool))
    product = fibres.weights @ fibres.weights.T
    product *= fibres.spectrograph[:, None] == fibres.spectrograph
    return float(product[::2, 1::2].mean()), float(np.diagonal(product).mean())


def line_rates(spectra: Spectra) -> dict[str, float]:
    """Return the sky-line residuals of each fibre and of all, fraction of the line's flux.

    What lines of airglow scatter beyond the pixels between them, mean square over plates; the
    shared part is the covariance of the means of odd and even fibres.
    """
    total, shared = [], []
    for plate in np.unique(spectra.plate):
        fibres = spectra.having(spectra.plate == plate)
        sky = np.nan_to_num(nanmedian(fibres["sky"], axis=0))
        relative = line_strength(sky) / np.sqrt(nanmedian(fibres.variance, axis=0))
        airglow = (GRID.wave > AIRGLOW_WAVE[0]) & (GRID.wave < AIRGLOW_WAVE[1])
        scatter = np.clip(fibres.scatter, -CLIP, CLIP)
        strong, calm = scatter[:, airglow & (relative > 10)], scatter[:, airglow & (relative < 3)]
        scale = np.mean(relative[airglow & (relative > 10)] ** 2)
        total.append((np.nanmean(strong**2) - np.nanmean(_width(calm) ** 2)) / scale)
        if len(fibres.plate) >= MANY_FIBRES:
            odd, even = np.nanmean(strong[::2], axis=0), np.nanmean(strong[1::2], axis=0)
            shared.append(np.nanmean(odd * even) / scale / shares(fibres.fibre)[0])
    common = float(np.mean(shared))
    own = float(np.mean(total)) - common
    return {"sky_line_rms": np.sqrt(own), "sky_line_common_rms": np.sqrt(common)}


def line_strength(sky: Array) -> Array:
    """Return by how much the lines of the sky stand out of its continuum, shape (L,)."""
    return np.asarray(np.abs(sky - median_filter(sky, CONTINUUM_PIXELS, mode="nearest")))
