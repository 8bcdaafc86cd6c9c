"""The skew-normal line that was fitted to a hit, as a function of wavelength.

In: a row of the tables, and the line spread of its spectrum. Out: flux densities. The fit itself is
left to `speclens.vet`, drawing to the figures.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from speclens.lines import (
    PIXEL_LOGLAM,
    broadened_skewness,
    pixel_width_angstrom,
    skew_normal_mean,
    skew_normal_pixels,
)
from speclens.spectra import FittedSpectra

__all__ = ["REST_RANGE", "dispersion_at", "fitted_line"]

REST_RANGE = (1206.0, 1226.0)
"""Wavelengths in the frame of an emitter of Lyman alpha that are drawn, Angstrom."""

HIGHEST_DISPERSION = 10.0
"""Line spreads beyond are not believed, pixels."""

Floats = NDArray[np.float64]


def dispersion_at(spectrum: FittedSpectra, wave: float) -> float:
    """Return the line spread of one spectrum at a wavelength.

    Parameters
    ----------
    spectrum : FittedSpectra
        One spectrum.
    wave : float
        Vacuum wavelength, Angstrom; beyond the grid its nearest end counts.

    Returns
    -------
    float
        Standard deviation, pixels; 0 where unknown or not believed.
    """
    if not (np.isfinite(wave) and wave > 0):
        return 0.0
    dispersion = float(spectrum.dispersion[0, spectrum.grid.nearest(np.array([wave]))[0]])
    return dispersion if 0 < dispersion < HIGHEST_DISPERSION else 0.0


def fitted_line(row: np.void, wave: Floats, dispersion: float) -> Floats:
    """Return the skew-normal line that was fitted, with its horizontal line.

    Parameters
    ----------
    row : record
        A row of hits.fits or of candidates.*.
    wave : array of shape (L,)
        Vacuum wavelengths, Angstrom; each is taken as the centre of a pixel.
    dispersion : float
        Line spread at the line, pixels.

    Returns
    -------
    array of shape (L,)
        Flux density over the foreground, 1e-17 erg/s/cm2/Angstrom; NaN where nothing was fitted.

    Notes
    -----
    Li et al. 2019, section 4. FIT_WAVE is the mean of the line, which the spectrograph does not
    move; WIDTH and SKEWNESS are those of the line before it.
    """
    centre = float(row["FIT_WAVE"])
    if not (centre > 0 and row["WIDTH"] > 0 and np.isfinite(row["SKEWNESS"])):
        return np.full(len(wave), np.nan)
    sigma = float(np.hypot(row["WIDTH"] / pixel_width_angstrom(centre), dispersion))
    skewness = float(broadened_skewness(float(row["SKEWNESS"]), sigma, dispersion))
    offset = np.log10(wave / centre) / PIXEL_LOGLAM + skew_normal_mean(sigma, skewness)
    share = skew_normal_pixels(offset, sigma, skewness)
    density = float(row["LYA_FLUX"]) * share / pixel_width_angstrom(wave)
    return np.asarray(density + float(row["CONTINUUM"]), np.float64)
