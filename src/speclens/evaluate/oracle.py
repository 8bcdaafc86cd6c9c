"""The search that nobody can do: with the continuum, the noise and the line's shape known.

In: spectra without their continuum, their true noise, the shape to look for. Out: the highest
signal-to-noise ratio of each. Only the place is unknown, so it bounds every search from above.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

__all__ = ["oracle_snr"]


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
    return np.asarray(snr.max(axis=1))
