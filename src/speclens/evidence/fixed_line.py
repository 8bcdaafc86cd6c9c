"""The flux of a line whose place and width are known, in any spectrum.

In: pixels near the place where the line would be. Out: its flux and error. Whether a line should be
there is left to `speclens.vet.interlopers` and `speclens.vet.companions`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from speclens.lines import FWHM_PER_SIGMA, PIXEL_KMS

__all__ = ["fixed_line", "line_sigma"]

Floats = NDArray[np.float64]

LEAST_PIXELS = 6
LINE_REACH = 2.5
"""Pixels within so many standard deviations are the line's; the rest tell the scatter."""

SIGMA_OF_MAD = 1.4826


def line_sigma(fwhm_kms: NDArray[np.floating], believed: tuple[float, float]) -> Floats:
    """Return the standard deviation of lines before the spectrograph.

    Parameters
    ----------
    fwhm_kms : array of shape (H,)
        Full widths at half maximum, km/s; NaN where unknown.
    believed : (float, float)
        Least and largest value, pixels.

    Returns
    -------
    array of shape (H,)
        Pixels.
    """
    sigma = np.nan_to_num(np.asarray(fwhm_kms, np.float64), nan=0.0) / FWHM_PER_SIGMA / PIXEL_KMS
    return np.clip(sigma, *believed)


def fixed_line(
    offset: Floats, flux: Floats, ivar: Floats, sigma: Floats, pixel_width: Floats
) -> tuple[Floats, Floats]:
    """Fit a Gaussian line of known place and width on a straight continuum.

    Parameters
    ----------
    offset : array of shape (H, P)
        Distance of each pixel from the line, in pixels of the global grid (1e-4 in log10).
    flux, ivar : array of shape (H, P)
        Flux density, 1e-17 erg/s/cm2/Angstrom, and its inverse variance; 0 where masked.
    sigma : array of shape (H,)
        Standard deviation of the line as observed, the same pixels.
    pixel_width : array of shape (H,)
        Width of such a pixel, Angstrom.

    Returns
    -------
    flux, flux_err : array of shape (H,)
        1e-17 erg/s/cm2; NaN where too few pixels are good, on either side or of the line itself.

    Notes
    -----
    Errors grow where the continuum scatters more than its errors say, which it does between the
    airglow of the red: otherwise every remnant of it would be a line.
    """
    good = ivar > 0
    x = offset / np.maximum(sigma, 1e-3)[:, None]
    of_line = np.abs(x) < LINE_REACH
    profile = np.exp(-0.5 * x**2) / (np.sqrt(2 * np.pi) * np.maximum(sigma, 1e-3)[:, None])
    slope = offset / np.abs(offset).max(axis=1, keepdims=True, initial=1.0)
    design = np.stack([np.ones_like(x), slope, profile], axis=2)  # (H, P, 3)
    weighted = design * ivar[:, :, None]
    normal = weighted.swapaxes(1, 2) @ design
    right = weighted.swapaxes(1, 2) @ np.where(good, flux, 0)[:, :, None]
    enough = (good & ~of_line).sum(1) >= LEAST_PIXELS
    enough &= (good & of_line & (np.abs(x) < 1)).any(1)
    normal[~enough] = np.eye(3)
    scale = 1 / np.sqrt(np.maximum(np.diagonal(normal, axis1=1, axis2=2), 1e-30))
    scaled = normal * scale[:, :, None] * scale[:, None, :] + 1e-9 * np.eye(3)
    covariance = np.linalg.inv(scaled) * scale[:, :, None] * scale[:, None, :]
    solution = (covariance @ right)[:, :, 0]
    residual = (flux - (design @ solution[:, :, None])[:, :, 0]) * np.sqrt(ivar)
    growth = _scatter(residual, good & ~of_line)
    found = np.where(enough, solution[:, 2], np.nan) * pixel_width
    error = np.sqrt(np.where(enough, covariance[:, 2, 2], np.nan)) * growth * pixel_width
    return found, error


def _scatter(residual: Floats, used: NDArray[np.bool_]) -> Floats:
    """Robust standard deviation of each row's used pixels, at least 1, shape (H,)."""
    values = np.sort(np.where(used, np.abs(residual), np.inf), axis=1)
    middle = np.maximum(used.sum(1) // 2, 0)
    median = values[np.arange(len(values)), np.minimum(middle, values.shape[1] - 1)]
    return np.maximum(SIGMA_OF_MAD * np.where(np.isfinite(median), median, 1.0), 1.0)
