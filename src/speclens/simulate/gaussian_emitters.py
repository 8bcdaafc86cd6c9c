"""The Gaussian emission lines of Li et al. 2019, section 3.2 iii.

In: widths at rest, the least peak, and the lines of the published candidates, which give the peaks
their distribution. Out: lines as observed. Lines as skewed as nature's are drawn in
`speclens.simulate.emitters`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from speclens.config import EmittersConfig, TrainingSetConfig
from speclens.errors import ConfigError
from speclens.lines import (
    FWHM_PER_SIGMA,
    LYMAN_ALPHA,
    SPEED_OF_LIGHT_KMS,
    pixel_width_angstrom,
)
from speclens.simulate.emitters import Lines, draw_emitters

__all__ = ["draw_gaussian_emitters", "peak_flux"]

Floats = NDArray[np.float64]

MAX_ROUNDS = 100
MIN_ROUND = 100
ROOT_TWO_PI = float(np.sqrt(2 * np.pi))


def draw_gaussian_emitters(
    n_lines: int,
    window: tuple[float, float],
    emitters: EmittersConfig,
    training_set: TrainingSetConfig,
    dispersion: NDArray[np.floating],
    rng: np.random.Generator,
) -> Lines:
    """Draw Gaussian Lyman-alpha lines.

    Parameters
    ----------
    n_lines : int
        Number of lines N.
    window : tuple of float
        Wavelengths between which they fall, uniformly, Angstrom.
    emitters : EmittersConfig
        The published candidates.
    training_set : TrainingSetConfig
        Widths and the least peak.
    dispersion : array of shape (K, 2)
        Wavelengths that increase, Angstrom, and the standard deviation of the line spread there,
        pixels.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    Lines
        The lines; their skewness is 0.

    Raises
    ------
    ConfigError
        If hardly any line is as wide or as high as it must be.

    Notes
    -----
    Li et al. 2019, section 3.2 iii: FWHM from a normal distribution and above 0.5 Angstrom at rest,
    peak above 1.5e-17 erg/s/cm2/Angstrom. The paper gives no distribution of the peaks: here it is
    that of the published candidates above that limit.

    Differs: the spectrograph's line spread is added to the width, because no line is narrower than
    it (0.5 Angstrom at rest would be 0.8 pixels); the peak is that of the line as observed.
    """
    wave = rng.uniform(*window, n_lines)
    mean_kms, sigma_kms = training_set.gaussian_fwhm_kms
    angstrom_per_kms = LYMAN_ALPHA / SPEED_OF_LIGHT_KMS
    fwhm = _drawn_above(
        "gaussian_fwhm_min",
        training_set.gaussian_fwhm_min,
        lambda n: angstrom_per_kms * rng.normal(mean_kms, sigma_kms, n),
        n_lines,
    )
    peak = _drawn_above(
        "gaussian_peak_min",
        training_set.gaussian_peak_min,
        lambda n: peak_flux(draw_emitters(n, window, emitters, rng)),
        n_lines,
    )
    own = fwhm / FWHM_PER_SIGMA * wave / LYMAN_ALPHA
    spread = np.interp(wave, *np.asarray(dispersion, np.float64).T) * pixel_width_angstrom(wave)
    width = np.hypot(own, spread)
    return Lines(wave, peak * ROOT_TWO_PI * width, width, np.zeros(n_lines))


def peak_flux(lines: Lines) -> Floats:
    """Return the greatest flux density of lines.

    Parameters
    ----------
    lines : Lines
        N lines.

    Returns
    -------
    array of shape (N,)
        Peak of the skew-normal profile, 1e-17 erg/s/cm2/Angstrom.
    """
    offset = np.linspace(-1.0, 1.0, 201)
    skewness = np.linspace(0.0, np.abs(lines.skewness).max(initial=1.0), 201)
    profile = np.exp(-0.5 * offset**2) * 2 / ROOT_TWO_PI * ndtr(offset * skewness[:, None])
    height = np.interp(np.abs(lines.skewness), skewness, profile.max(axis=1))
    return np.asarray(lines.flux / lines.width * height, np.float64)


def _drawn_above(key: str, limit: float, draw: Callable[[int], Floats], number: int) -> Floats:
    """Draw until enough values lie above a limit of the configuration."""
    kept = np.empty(0)
    for _ in range(MAX_ROUNDS):
        values = draw(max(number, MIN_ROUND))
        kept = np.concatenate([kept, values[values > limit]])
        if len(kept) >= number:
            return kept[:number]
    raise ConfigError(
        f"training_set.{key} = {limit:g}: hardly any line is above it (the greatest of the last "
        f"{len(values)} drawn is {values.max():.3g}); lower it"
    )
