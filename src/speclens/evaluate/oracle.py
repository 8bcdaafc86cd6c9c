"""The search that nobody can do: with the continuum, the noise and the line's shape known.

In: spectra without their continuum, their true noise, the shape to look for. Out: the highest
signal-to-noise ratio of each. Only the place is unknown, so it bounds every search from above; one
that knows how often pixels spike, not where, is bounded so where noise is not Gaussian.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

from speclens.config import NoiseRates

__all__ = ["oracle_among_spikes", "oracle_snr"]

N_PEAKS = 6
"""Highest peaks of the filter at which spikes are thought of."""

FLUXES = np.r_[2:16:0.5, 16:60:2.0]
"""Fluxes that are tried, in units of their error."""

FURTHEST, STEP = 80.0, 0.02
"""Pulls of which the density is tabled, and their distance, errors."""

PER_PIXELS = 1000
"""Spikes are counted in so many pixels."""

Floats = NDArray[np.float64]


def oracle_snr(
    residual: NDArray[np.floating], ivar: NDArray[np.floating], shapes: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Filter each spectrum with a shape of its own.

    Parameters
    ----------
    residual, ivar : array of shape (N, L)
        Flux without continuum and its true inverse variance, 0 where masked.
    shapes : array of shape (N, K)
        The line of each spectrum, pixel by pixel, in any unit; K odd, centred.

    Returns
    -------
    array of shape (N,)
        Highest ratio over all places.
    """
    return np.asarray(_filtered(residual, ivar, shapes).max(axis=1))


def oracle_among_spikes(
    residual: NDArray[np.floating],
    ivar: NDArray[np.floating],
    shapes: NDArray[np.floating],
    rates: NoiseRates,
) -> Floats:
    """Compare each spectrum with and without a line, where any pixel may have a spike.

    Parameters
    ----------
    residual, ivar, shapes : array
        As for `oracle_snr`.
    rates : NoiseRates
        How often pixels spike, and how high.

    Returns
    -------
    array of shape (N,)
        Square root of twice the highest logarithm of the likelihood ratio; without spikes it is the
        signal-to-noise ratio. Spikes that two pixels share count as two.
    """
    snr, scale = _filtered(residual, ivar, shapes), np.sqrt(ivar)
    peak = (snr >= np.roll(snr, 1, axis=1)) & (snr >= np.roll(snr, -1, axis=1))
    places = np.argsort(np.where(peak, snr, -np.inf), axis=1)[:, : -N_PEAKS - 1 : -1]
    offset = np.arange(shapes.shape[1]) - shapes.shape[1] // 2
    ln_density, row, best = _ln_density(rates), np.arange(len(snr))[:, None], np.zeros(len(snr))
    for place in places.T:
        pixel = place[:, None] + offset
        inside = (pixel >= 0) & (pixel < snr.shape[1])
        at = row, pixel.clip(0, snr.shape[1] - 1)
        pull = np.where(inside, (residual * scale)[at], 0)
        line = np.where(inside, shapes * scale[at], 0)
        line /= np.maximum(np.sqrt((line**2).sum(axis=1, keepdims=True)), 1e-30)
        without = _summed(ln_density, pull)
        for flux in FLUXES:
            np.maximum(best, _summed(ln_density, pull - flux * line) - without, out=best)
    return np.sqrt(2 * best)


def _summed(ln_density: Floats, pull: Floats) -> Floats:
    """Sum the logarithm of the density over the pixels of each spectrum."""
    index = np.round((pull + FURTHEST) / STEP).astype(np.intp)
    return np.asarray(ln_density[index.clip(0, len(ln_density) - 1)].sum(axis=1))


def _ln_density(rates: NoiseRates) -> Floats:
    """Table the density of pulls: a Gaussian, in a few pixels with a spike."""
    pull = np.arange(-FURTHEST, FURTHEST + STEP / 2, STEP)
    height = np.maximum(np.abs(pull) / rates.spike_snr_min, 1)
    sign = np.where(pull < 0, rates.spike_negative, 1 - rates.spike_negative)
    spikes = sign * rates.spike_index / rates.spike_snr_min * height ** (-rates.spike_index - 1)
    spikes[np.abs(pull) < rates.spike_snr_min] = 0
    near = np.arange(-8, 8 + STEP / 2, STEP)
    gaussian = np.exp(-0.5 * near**2) / np.sqrt(2 * np.pi)
    spiked = np.convolve(spikes, gaussian, "same") * STEP
    share = rates.spike_rate / PER_PIXELS
    plain = np.exp(-0.5 * pull**2) / np.sqrt(2 * np.pi)
    return np.asarray(np.log((1 - share) * plain + share * spiked + 1e-300))


def _filtered(
    residual: NDArray[np.floating], ivar: NDArray[np.floating], shapes: NDArray[np.floating]
) -> Floats:
    """Filter each spectrum with its shape, shape (N, L); -1 where it cannot be seen."""
    n_pixels, n_kernel = residual.shape[1], shapes.shape[1]
    n_padded = next_fast_len(n_pixels + n_kernel, real=True)
    # A filter is a correlation: a convolution with the mirrored shape.
    kernel = np.asarray(shapes, np.float64)[:, ::-1]
    half = n_kernel // 2

    def correlate(data: NDArray[np.floating], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        product = rfft(np.asarray(data, np.float64), n_padded) * rfft(weights, n_padded)
        return np.asarray(irfft(product, n_padded)[:, half : half + n_pixels])

    signal = correlate(residual * ivar, kernel)
    variance = correlate(ivar, kernel**2)
    # Where nearly all of the line is masked there is nothing to be found.
    seen = variance > 1e-3 * variance.max(axis=1, keepdims=True)
    snr = np.divide(
        signal, np.sqrt(np.maximum(variance, 1e-300)), where=seen, out=-np.ones_like(signal)
    )
    return np.asarray(snr)
