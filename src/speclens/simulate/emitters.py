"""Emission lines that are put into spectra: lensed Lyman alpha, and what is mistaken for it.

In: the distributions of the published candidates. Out: lines, and their flux density on a grid.
Which spectra get them is decided in `speclens.simulate.survey` and by the evaluation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from speclens.config import EmittersConfig
from speclens.lines import broadened_skewness, skew_normal_mean, skew_normal_pixels
from speclens.simulate.linear_grid import Grid

__all__ = ["Lines", "draw_emitters", "emitters_of", "ideal_snr", "line_spectra"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Lines:
    """Emission lines.

    Parameters
    ----------
    wave : array of shape (N,)
        Mean wavelength, vacuum Angstrom.
    flux : array of shape (N,)
        Line flux, 1e-17 erg/s/cm2.
    width : array of shape (N,)
        Scale of the skew-normal profile as observed, the spectrograph's spread included, Angstrom.
    skewness : array of shape (N,)
        Its shape parameter before the spectrograph; 0 for a Gaussian.
    """

    wave: Floats
    flux: Floats
    width: Floats
    skewness: Floats

    def __len__(self) -> int:
        return len(self.wave)

    def __getitem__(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> Lines:
        return Lines(self.wave[rows], self.flux[rows], self.width[rows], self.skewness[rows])


def draw_emitters(
    n_lines: int, window: tuple[float, float], config: EmittersConfig, rng: np.random.Generator
) -> Lines:
    """Draw Lyman-alpha lines as in the published candidates.

    Parameters
    ----------
    n_lines : int
        Number of lines N.
    window : tuple of float
        Wavelengths between which they fall, uniformly, Angstrom.
    config : EmittersConfig
        Distributions of flux, width and skewness.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    Lines
        The lines.

    Notes
    -----
    Differs: Li et al. 2019, section 3.2 iii uses Gaussians with a flux distribution that it does
    not give; here fluxes, widths and skewness follow the candidates of Cao et al. 2020. Their
    skewness is taken for that of the line before the spectrograph: profiles as wide as theirs
    and as skewed as theirs would be sharper than the spectrograph can draw.
    """
    deviates = rng.standard_normal((3, n_lines))
    lines = emitters_of(deviates, rng.random(n_lines), window, config)
    if not config.blue_fraction:
        return lines
    mirrored = rng.random(n_lines) < config.blue_fraction
    return replace(lines, skewness=np.where(mirrored, -lines.skewness, lines.skewness))


def emitters_of(
    deviates: Floats, places: Floats, window: tuple[float, float], config: EmittersConfig
) -> Lines:
    """Return the Lyman-alpha lines that random numbers stand for, as `draw_emitters` draws them.

    For those who have a generator for each spectrum, and draw many lines at once all the same.

    Parameters
    ----------
    deviates : array of shape (3, N)
        Standard normal, for flux, width and skewness.
    places : array of shape (N,)
        Where in the window, from 0 to 1.
    window : tuple of float
        Wavelengths between which the lines fall, Angstrom.
    config : EmittersConfig
        Distributions of flux, width and skewness.

    Returns
    -------
    Lines
        The lines.
    """
    of_flux, of_width, of_skewness = deviates
    sigma = np.where(of_flux < 0, config.flux_sigma_low, config.flux_sigma_high)
    flux = config.flux_median * np.exp(sigma * of_flux)
    width = config.width_median * np.exp(config.width_sigma * of_width)
    skewness = config.skewness_median * np.exp(config.skewness_sigma * of_skewness)
    low, high = window
    return Lines(
        low + (high - low) * places,
        np.clip(flux, *config.flux_range),
        np.clip(width, *config.width_range),
        np.minimum(skewness, config.skewness_max),
    )


def line_spectra(
    lines: Lines, grid: Grid, dispersion: NDArray[np.floating] | float = 0.0
) -> NDArray[np.float32]:
    """Return the flux density of lines.

    Parameters
    ----------
    lines : Lines
        N lines.
    grid : LogGrid or LinearGrid
        Wavelengths, L pixels.
    dispersion : array of shape (N,) or float, optional
        Standard deviation of the spectrograph's line spread at each line, pixels; it softens the
        skewness. A symmetric line, whose width includes it, needs none.

    Returns
    -------
    array of shape (N, L)
        Flux density, 1e-17 erg/s/cm2/Angstrom.
    """
    pixel_width = grid.width(grid.wave)
    # No line is narrower than the spectrograph's spread.
    scale = np.maximum(lines.width / grid.width(lines.wave), dispersion)
    skewness = broadened_skewness(lines.skewness, scale, dispersion)
    location = grid.pixel(lines.wave) - skew_normal_mean(scale, skewness)
    offset = np.arange(grid.n_pixels) - location[:, None]
    spectra = np.zeros(offset.shape, np.float32)
    row, column = np.nonzero(np.abs(offset) < 8 * scale[:, None] + 1)
    fraction = skew_normal_pixels(offset[row, column], scale[row], skewness[row])
    spectra[row, column] = lines.flux[row] * fraction / pixel_width[column]
    return spectra


def ideal_snr(spectra: NDArray[np.floating], ivar: NDArray[np.floating]) -> Floats:
    """Return the signal-to-noise ratio of lines whose shape and continuum are known.

    Parameters
    ----------
    spectra : array of shape (N, L)
        Flux density of the lines.
    ivar : array of shape (N, L)
        Inverse variance of the spectra that they are put into.

    Returns
    -------
    array of shape (N,)
        The ratio that no search can exceed on average.
    """
    return np.asarray(np.sqrt((np.asarray(spectra, np.float64) ** 2 * ivar).sum(1)))
