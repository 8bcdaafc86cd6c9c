"""Spectral lines: vacuum wavelengths, Doppler arithmetic and line profiles.

Wavelengths are vacuum Angstrom; velocities are km/s; the pixel is 1e-4 in log10(wavelength). Those
at rest stand in `data/lines.toml`, and there only.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "FWHM_PER_SIGMA",
    "LYMAN_ALPHA",
    "PIXEL_KMS",
    "PIXEL_LOGLAM",
    "REST_LINES",
    "SPEED_OF_LIGHT_KMS",
    "RestLine",
    "broadened_skewness",
    "gaussian_pixels",
    "pixel_width_angstrom",
    "redshift_of",
    "rest_waves",
    "skew_normal_mean",
    "skew_normal_pixels",
]


@dataclass(frozen=True)
class RestLine:
    """A spectral line.

    Parameters
    ----------
    wave : float
        Vacuum wavelength at rest, Angstrom; of a blend the mean.
    symbol : str
        How figures call it.
    """

    wave: float
    symbol: str


def _read_lines() -> Mapping[str, RestLine]:
    table = tomllib.loads((files("speclens") / "data" / "lines.toml").read_text(encoding="utf-8"))
    return {name: RestLine(**line) for name, line in table.items()}


REST_LINES = _read_lines()
"""The lines of `data/lines.toml`, by name."""

LYMAN_ALPHA = REST_LINES["Ly alpha"].wave
"""Vacuum wavelength of Lyman alpha, Angstrom."""

PIXEL_LOGLAM = 1e-4
"""Pixel of the SDSS global grid in log10(wavelength)."""

SPEED_OF_LIGHT_KMS = 299792.458
"""Speed of light, km/s."""

PIXEL_KMS = SPEED_OF_LIGHT_KMS * PIXEL_LOGLAM * float(np.log(10))
"""Width of a pixel, km/s (69.03)."""

FWHM_PER_SIGMA = float(2 * np.sqrt(2 * np.log(2)))
"""Full width at half maximum of a Gaussian in units of its sigma."""

Numbers = NDArray[np.floating] | NDArray[np.integer] | float
Floats = NDArray[np.float64]


def rest_waves(*names: str) -> Floats:
    """Return wavelengths at rest.

    Parameters
    ----------
    *names : str
        Lines of `REST_LINES`.

    Returns
    -------
    array of shape (N,)
        Vacuum wavelengths, Angstrom.
    """
    return np.array([REST_LINES[name].wave for name in names])


def pixel_width_angstrom(wave: Numbers) -> Floats:
    """Return the width of a grid pixel.

    Parameters
    ----------
    wave : array of shape (L,) or float
        Wavelength, Angstrom.

    Returns
    -------
    array of shape (L,)
        Width, Angstrom.
    """
    return np.asarray(wave * PIXEL_LOGLAM * np.log(10), np.float64)


def redshift_of(shift: NDArray[np.integer] | NDArray[np.floating]) -> Floats:
    """Return the redshift that moves lines by some pixels of the grid.

    Parameters
    ----------
    shift : array
        Pixels.

    Returns
    -------
    array
        Redshifts.
    """
    return np.asarray(10 ** (shift * PIXEL_LOGLAM) - 1, np.float64)


def gaussian_pixels(offset: Numbers, sigma: Numbers) -> Floats:
    """Integrate a Gaussian of unit area over pixels.

    Parameters
    ----------
    offset : array
        Pixel centre minus line centre, pixels.
    sigma : array or float
        Standard deviation, pixels; broadcasts against `offset`.

    Returns
    -------
    array
        Fraction of the line in each pixel.
    """
    # Here, for who only reads a configuration should not wait for scipy.
    from scipy.special import erf

    scale = 1 / (np.sqrt(2) * np.asarray(sigma))
    fraction = 0.5 * (erf((offset + 0.5) * scale) - erf((offset - 0.5) * scale))
    return np.asarray(fraction, np.float64)


def skew_normal_pixels(offset: Numbers, sigma: Numbers, skewness: Numbers) -> Floats:
    """Integrate a skew-normal profile of unit area over pixels.

    Parameters
    ----------
    offset : array
        Pixel centre minus the profile's location, pixels.
    sigma : array or float
        Scale, pixels; broadcasts against `offset`.
    skewness : array or float
        Shape parameter; positive for a sharp blue edge and a red tail, 0 for a Gaussian.

    Returns
    -------
    array
        Fraction of the line in each pixel.
    """
    from scipy.special import owens_t

    upper = (offset + 0.5) / np.asarray(sigma)
    lower = (offset - 0.5) / np.asarray(sigma)
    skewed = owens_t(upper, skewness) - owens_t(lower, skewness)
    return np.asarray(gaussian_pixels(offset, sigma) - 2 * skewed, np.float64)


def broadened_skewness(skewness: Numbers, sigma: Numbers, dispersion: Numbers) -> Floats:
    """Return the shape of a skew-normal line after the spectrograph.

    Parameters
    ----------
    skewness : array or float
        Shape parameter before the spectrograph.
    sigma : array or float
        Scale after it; never below `dispersion` for a real line.
    dispersion : array or float
        Standard deviation of the line spread, in the unit of `sigma`.

    Returns
    -------
    array
        Shape parameter: a skew-normal profile convolved with a Gaussian is one again, less skewed.
    """
    delta = skewness / np.hypot(1, skewness)
    delta = delta * np.sqrt(np.maximum(1 - (dispersion / np.asarray(sigma)) ** 2, 0))
    return np.asarray(delta / np.sqrt(1 - delta**2), np.float64)


def skew_normal_mean(sigma: Numbers, skewness: Numbers) -> Floats:
    """Return how far the mean of a skew-normal profile lies from its location.

    Parameters
    ----------
    sigma : array or float
        Scale.
    skewness : array or float
        Shape parameter.

    Returns
    -------
    array
        Mean minus location, in the unit of `sigma`.
    """
    return np.asarray(sigma * np.sqrt(2 / np.pi) * skewness / np.hypot(1, skewness), np.float64)
