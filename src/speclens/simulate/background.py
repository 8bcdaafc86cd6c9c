"""Sources behind targets: lensed by them, or merely beside them in the fibre.

In: redshifts and velocity dispersions of targets, luminosity functions, a generator. Out: a source
for each target: its redshift, its flux in the fibre, and whether it is lensed. What its lines look
like is left to `speclens.simulate.emission_galaxies` and `speclens.simulate.emitters`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ncx2

from speclens.config import BackgroundConfig
from speclens.cosmology import (
    comoving_cm,
    cosmology_named,
    isothermal_radius,
    luminosity_of_unit_flux,
    volume_of_unit_redshift,
)
from speclens.luminosity_functions import LuminosityFunction

__all__ = ["Sources", "draw_sources", "fibre_magnification"]

Floats = NDArray[np.float64]

N_CANDIDATES = 2000
"""Of which one becomes the source of a target."""

LUMINOSITIES = (0.01, 15.0)
"""Of candidates, over L*."""

COSMOLOGY = "Planck18"
"""Of the mock survey, whatever a search assumes."""


@dataclass(frozen=True)
class Sources:
    """Sources behind N targets.

    Parameters
    ----------
    z : array of shape (N,)
        Redshifts.
    flux : array of shape (N,)
        Of the line of the luminosity function, in the fibre, 1e-17 erg/s/cm2.
    lensed : array of shape (N,)
        Whether the target has two images of them.
    """

    z: Floats
    flux: Floats
    lensed: NDArray[np.bool_]


def draw_sources(
    z_lens: Floats,
    sigma: Floats,
    function: LuminosityFunction,
    redshifts: tuple[float, float],
    config: BackgroundConfig,
    rng: np.random.Generator,
) -> Sources:
    """Draw a source for each target, of those that a survey would see through its fibre.

    Parameters
    ----------
    z_lens, sigma : array of shape (N,)
        Redshifts and velocity dispersions, km/s, of the targets.
    function : LuminosityFunction
        Of the sources.
    redshifts : (float, float)
        Between which there are sources.
    config : BackgroundConfig
        Section `survey.background`.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    Sources
        One for each target.

    Notes
    -----
    Sources fill the cone behind a target evenly. It is a singular isothermal sphere: a source
    within the Einstein radius has two images. Whoever is bright enough in the fibre may be the one,
    so that among bright sources before strong deflectors lensed ones are frequent, as in nature.
    """
    shape = (len(z_lens), N_CANDIDATES)
    low = np.maximum(z_lens + config.z_margin, redshifts[0])[:, None]
    z = low + (redshifts[1] - low) * rng.random(shape)
    impact = config.impact_max * np.sqrt(rng.random(shape))
    faintest, brightest = np.log(LUMINOSITIES)
    relative = np.exp(rng.uniform(faintest, brightest, shape))
    distance, volume, unit_luminosity = _geometry(z)
    ratio = 1 - _geometry(z_lens)[0][:, None] / distance
    radius = isothermal_radius(sigma[:, None], ratio)
    magnification = fibre_magnification(impact, radius, config)
    luminosity = relative * function.l_star(z)
    flux = magnification * luminosity / unit_luminosity
    # Candidates are uniform in redshift, from `low` on: the width of that does not matter.
    weight = function.number(relative, z) * volume * (flux >= config.flux_min)
    chosen = (weight / rng.exponential(size=shape)).argmax(axis=1)
    target = np.arange(len(z_lens))
    lensed = impact < radius
    return Sources(z[target, chosen], flux[target, chosen], lensed[target, chosen])


def fibre_magnification(impact: Floats, radius: Floats, config: BackgroundConfig) -> Floats:
    """Return the light of a lensed source that enters the fibre, over that of the source.

    Parameters
    ----------
    impact : array
        Angle between source and lens, which is in the middle of the fibre, arcsec.
    radius : array of the same shape
        Einstein radii of singular isothermal spheres, arcsec.
    config : BackgroundConfig
        Fibre, seeing, and size of the source.

    Returns
    -------
    array of the same shape
        Magnification, smaller than one where the fibre loses more than the lens gains.

    Notes
    -----
    A source at beta has images at beta + theta_E and, within theta_E, at beta - theta_E, magnified
    by the amounts of 1 + theta_E / beta and of 1 - theta_E / beta.
    """
    beta = np.maximum(impact, config.source_radius)
    outer = (1 + radius / beta) * _entering(beta + radius, config)
    inner = (radius / beta - 1) * _entering(radius - beta, config)
    return np.asarray(outer + np.where(beta < radius, inner, 0))


def _entering(angle: Floats, config: BackgroundConfig) -> Floats:
    """Return the share of a point's light, blurred by the seeing, that enters the fibre."""
    fibre, offset = config.fibre_radius / config.seeing_sigma, angle / config.seeing_sigma
    return np.asarray(ncx2.cdf(fibre**2, 2, offset**2))


def _geometry(z: Floats) -> tuple[Floats, Floats, Floats]:
    """Return comoving distance, volume of a unit of redshift, and luminosity of a unit of flux."""
    steps, *tables = _tables(int(np.ceil(z.max(initial=0))) or 1)
    distance, volume, luminosity = (np.interp(z, steps, table) for table in tables)
    return distance, volume, luminosity


@cache
def _tables(highest: int) -> tuple[Floats, ...]:
    """Return redshifts up to a whole number, and the quantities of `_geometry` there."""
    cosmology = cosmology_named(COSMOLOGY)
    steps = np.linspace(0, highest, 400 * highest + 1)[1:]
    return (
        steps,
        comoving_cm(steps, cosmology),
        volume_of_unit_redshift(steps, cosmology),
        luminosity_of_unit_flux(steps, cosmology),
    )
