"""What else a plate holds: stars, and decoys that a search must refuse.

In: numbers and a generator. Out: noiseless spectra, and lines that are not Lyman alpha. Stars are
rough: they are skipped by their class, and only have to be there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from speclens.config import SurveyConfig
from speclens.errors import ConfigError
from speclens.hypotheses import OII
from speclens.lines import (
    FWHM_PER_SIGMA,
    PIXEL_KMS,
    pixel_width_angstrom,
    rest_waves,
)
from speclens.simulate.emitters import Lines, line_spectra
from speclens.simulate.linear_grid import Grid
from speclens.spectra import LogGrid

__all__ = ["decoy_spectra", "draw_decoys", "draw_stars"]

Floats = NDArray[np.float64]

BALMER = rest_waves("H delta", "H gamma", "H beta", "H alpha")
OXYGEN = np.array(OII.member_waves)
SHOWN = ("H beta", "[O III] 5008", "H alpha")
"""What an emitter of [O II] shows beside it."""


def draw_stars(n_stars: int, grid: LogGrid, rng: np.random.Generator) -> Floats:
    """Draw stars: black bodies with Balmer absorption.

    Parameters
    ----------
    n_stars : int
        Number of stars N.
    grid : LogGrid
        Wavelengths, L pixels.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    array of shape (N, L)
        Flux density, 1e-17 erg/s/cm2/Angstrom.
    """
    temperature = rng.uniform(3500, 12000, n_stars)[:, None]
    spectra = _black_body(grid.wave, temperature) / _black_body(np.array([5500.0]), temperature)
    depth = rng.uniform(0.1, 0.6, n_stars)[:, None]
    for line in BALMER:
        spectra *= 1 - depth * np.exp(-0.5 * ((grid.wave - line) / 12.0) ** 2)
    return np.asarray(spectra * rng.lognormal(2.5, 1.0, n_stars)[:, None])


def draw_decoys(
    kind: str,
    n_lines: int,
    window: tuple[float, float],
    config: SurveyConfig,
    rng: np.random.Generator,
) -> Lines:
    """Draw lines that are not Lyman alpha.

    Parameters
    ----------
    kind : str
        `oii` (a doublet with the other lines of its galaxy), `line` (any single
        symmetric line), `spike` (narrower than the spectrograph can make) or `sky_line` (a residual
        where the sky is bright).
    n_lines : int
        Number of lines N.
    window : tuple of float
        Wavelengths between which they fall, Angstrom.
    config : SurveyConfig
        Fluxes, widths and sky lines.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    Lines
        The lines. Of a doublet it is the blend, as wide as both.

    Raises
    ------
    ConfigError
        If no sky line lies in the window.
    """
    low, high = np.log(config.decoy_flux_range)
    flux = np.exp(rng.uniform(low, high, n_lines))
    wave = rng.uniform(*window, n_lines)
    fwhm = rng.uniform(*config.decoy_fwhm_kms, n_lines)
    sigma = np.hypot(fwhm / FWHM_PER_SIGMA / PIXEL_KMS, config.line_spread)
    if kind == "oii":
        splitting = np.log10(OXYGEN[1] / OXYGEN[0]) * 1e4
        sigma = np.hypot(sigma, splitting / 2)
    elif kind == "spike":
        sigma = np.full(n_lines, config.spike_sigma)
    elif kind == "sky_line":
        inside = [w for w in config.sky_lines if window[0] < w < window[1]]
        if n_lines and not inside:
            raise ConfigError(
                f"survey.sky_lines: none within the window {window[0]:.0f}-{window[1]:.0f} "
                "Angstrom; name one there, or set survey.sky_line_fraction to 0"
            )
        wave = rng.choice(inside, n_lines) * (1 + 1e-4 * rng.standard_normal(n_lines))
        sigma = np.full(n_lines, config.sky_line_sigma)
    width = sigma * np.asarray(pixel_width_angstrom(wave))
    return Lines(wave, flux, width, np.zeros(n_lines))


def decoy_spectra(kind: str, lines: Lines, grid: Grid) -> NDArray[np.float32]:
    """Return the flux density of decoys.

    Parameters
    ----------
    kind : str
        As for `draw_decoys`.
    lines : Lines
        N decoys of that kind.
    grid : LogGrid or LinearGrid
        Wavelengths, L pixels.

    Returns
    -------
    array of shape (N, L)
        Flux density, 1e-17 erg/s/cm2/Angstrom; of [O II] both lines of the doublet, and H beta,
        [O III] and H alpha where they fall into the grid.
    """
    if kind != "oii":
        return line_spectra(lines, grid)
    stretch = lines.wave / np.sqrt(OXYGEN.prod())
    width = np.sqrt(lines.width**2 - (np.ptp(OXYGEN) / 2 * stretch) ** 2)
    companions = [line for line in OII.companions if line.name in SHOWN]
    waves = [*OXYGEN, *(line.wave for line in companions)]
    ratios = [0.5, 0.5, *(line.ratio for line in companions)]
    spectra: NDArray[np.float32] = np.sum(
        [
            line_spectra(
                Lines(wave * stretch, ratio * lines.flux, width * wave / OXYGEN[0], lines.skewness),
                grid,
            )
            for wave, ratio in zip(waves, ratios, strict=True)
        ],
        axis=0,
    )
    return spectra


def _black_body(wave: Floats, temperature: Floats) -> Floats:
    return np.asarray(wave**-5.0 / np.expm1(1.4387769e8 / (wave * temperature)))
