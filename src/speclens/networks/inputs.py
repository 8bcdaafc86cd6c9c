"""What a network sees of a spectrum: its input channels, for training and search alike.

In: prepared spectra and the matched filter's highest ratio at each pixel. Out: (N, C, L) arrays
without a unit. There is this one code path, so that a network meets in a search what it was
trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from speclens.spectra import FittedSpectra

__all__ = ["INPUT_VERSION", "network_inputs"]

INPUT_VERSION = 1
"""Raised when a network is to see something else: models of another version are refused."""

Floats = NDArray[np.float32]

CHUNK = 64
"""Spectra looked at at once, so that they stay in the processor's cache."""

LIMIT = 20.0
"""Values beyond this many standard deviations say no more than that they are large."""


def network_inputs(
    names: Sequence[str], spectra: FittedSpectra, snr: Floats, lens: Floats | None = None
) -> Floats:
    """Compute the channels of a network's input.

    Parameters
    ----------
    names : sequence of str
        The C channels: `flux` (standardised; all that the network of Li et al. 2019 sees),
        `residual` and `foreground` (in units of the noise), `snr` (of a line centred there),
        `noise` (inverse standard deviation over its mean, 0 where masked), `lens` (where lines of
        the lens are).
    spectra : FittedSpectra
        N spectra of L pixels, 0 where masked.
    snr : array of shape (N, L)
        Highest signal-to-noise ratio over the widths of the matched filter.
    lens : array of shape (N, L), optional
        1 where the lens may show a line of its own, else 0.

    Returns
    -------
    array of shape (N, C, L)
        The channels, float32; 0 where masked, but for `snr`, which is that of the pixels around,
        and `lens`.
        None changes when flux and error are scaled.
    """
    inputs = np.empty((len(snr), len(names), snr.shape[1]), np.float32)
    for start in range(0, len(snr), CHUNK):
        rows = slice(start, start + CHUNK)
        channels = _channels(spectra, snr, lens, rows)
        for c, name in enumerate(names):
            inputs[rows, c] = channels[name]()
    return inputs


def _channels(
    spectra: FittedSpectra, snr: Floats, lens: Floats | None, rows: slice
) -> dict[str, Callable[[], Floats]]:
    """Return what computes each channel of some spectra, shape (n, L)."""
    ivar = spectra.ivar[rows]
    sigma_inverse = np.sqrt(ivar)
    return {
        "flux": lambda: _clipped(_standardised(spectra.flux[rows], ivar > 0)),
        "residual": lambda: _clipped(spectra.residual[rows] * sigma_inverse),
        "snr": lambda: _clipped(snr[rows]),
        "noise": lambda: _relative(sigma_inverse),
        "foreground": lambda: _clipped(spectra.model[rows] * sigma_inverse),
        "lens": lambda: np.zeros_like(ivar) if lens is None else lens[rows],
    }


def _clipped(values: Floats) -> Floats:
    return np.clip(values, -LIMIT, LIMIT)


def _relative(values: Floats) -> Floats:
    """Divide each row by the mean of what is not 0."""
    total = values.sum(axis=1, keepdims=True)
    mean = total / np.maximum((values > 0).sum(axis=1, keepdims=True), 1).astype(np.float32)
    return np.asarray(values / np.where(mean > 0, mean, 1), np.float32)


def _standardised(flux: Floats, good: NDArray[np.bool_]) -> Floats:
    """Subtract each row's mean and divide by its standard deviation; 0 where masked."""
    n_good = np.maximum(good.sum(axis=1, keepdims=True), 1).astype(np.float32)
    offset = np.where(good, flux - flux.sum(axis=1, keepdims=True) / n_good, np.float32(0))
    scatter = np.sqrt((offset**2).sum(axis=1, keepdims=True) / n_good)
    return np.asarray(offset / np.where(scatter > 0, scatter, 1), np.float32)
