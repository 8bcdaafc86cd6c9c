"""Redshifts to distances, volumes, luminosities and Einstein radii.

In: redshifts and the name of a cosmology. Out: arrays. All cosmologies are flat.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from speclens.errors import ConfigError
from speclens.lines import SPEED_OF_LIGHT_KMS

if TYPE_CHECKING:
    from astropy.cosmology import FLRW

__all__ = [
    "comoving_cm",
    "cosmology_named",
    "isothermal_radius",
    "luminosity_of_unit_flux",
    "volume_of_unit_redshift",
]

FLUX_CGS = 1e-17
LUMINOSITY_CGS = 1e42
HIGHEST_REDSHIFT = 30.0
MPC_CM = 3.0856775814913673e24

Floats = NDArray[np.float64]


def cosmology_named(name: str) -> FLRW:
    """Return a cosmology of astropy.

    Parameters
    ----------
    name : str
        Its name there, such as Planck18.

    Returns
    -------
    astropy.cosmology.FLRW
        The cosmology; all that astropy names are flat.

    Raises
    ------
    ConfigError
        If there is none of this name.
    """
    from astropy import cosmology

    if name not in cosmology.available:
        near = difflib.get_close_matches(name, cosmology.available, n=1)
        raise ConfigError(
            f"configuration: candidates.cosmology: {name!r} is no cosmology of astropy"
            + (f"; did you mean {near[0]!r}?" if near else "")
            + f"; known: {', '.join(cosmology.available)}"
        )
    return getattr(cosmology, name)


def comoving_cm(redshift: NDArray[np.floating], cosmology: FLRW) -> Floats:
    """Return comoving distances.

    Parameters
    ----------
    redshift : array of shape (N,)
        Redshifts.
    cosmology : astropy.cosmology.FLRW
        The cosmology.

    Returns
    -------
    array of shape (N,)
        Distances, cm; NaN where the redshift is no number, negative or that of no galaxy.
    """
    known = (redshift >= 0) & (redshift < HIGHEST_REDSHIFT)
    distance = np.full(len(redshift), np.nan)
    if known.any():  # astropy refuses to integrate nothing
        distance[known] = cosmology.comoving_distance(redshift[known]).to_value("cm")
    return distance


def isothermal_radius(sigma: NDArray[np.floating], distance_ratio: NDArray[np.floating]) -> Floats:
    """Return the Einstein radius of a singular isothermal sphere.

    Parameters
    ----------
    sigma : array
        Its velocity dispersion, km/s.
    distance_ratio : array
        D_LS / D_S; broadcasts against `sigma`.

    Returns
    -------
    array
        4 pi (sigma / c)^2 D_LS / D_S, arcsec.
    """
    radius = 4 * np.pi * (sigma / SPEED_OF_LIGHT_KMS) ** 2 * distance_ratio
    return np.asarray(np.degrees(radius) * 3600, np.float64)


def luminosity_of_unit_flux(z_source: NDArray[np.floating], cosmology: FLRW) -> Floats:
    """Return the luminosity of a line whose flux is 1e-17 erg/s/cm2.

    Parameters
    ----------
    z_source : array of shape (N,)
        Redshift of the source.
    cosmology : astropy.cosmology.FLRW
        The cosmology.

    Returns
    -------
    array of shape (N,)
        4 pi D_L^2 times the unit of flux, 1e42 erg/s; NaN without a positive redshift.
    """
    distance = (1 + z_source) * comoving_cm(np.where(z_source > 0, z_source, np.nan), cosmology)
    return np.asarray(4 * np.pi * distance**2 * (FLUX_CGS / LUMINOSITY_CGS))


def volume_of_unit_redshift(redshift: NDArray[np.floating], cosmology: FLRW) -> Floats:
    """Return the comoving volume that a solid angle holds at a redshift.

    Parameters
    ----------
    redshift : array of shape (N,)
        Redshifts, increasing.
    cosmology : astropy.cosmology.FLRW
        The cosmology.

    Returns
    -------
    array of shape (N,)
        D_C^2 dD_C / dz, Mpc^3 a steradian and unit of redshift.
    """
    distance = comoving_cm(redshift, cosmology) / MPC_CM
    return np.asarray(distance**2 * np.gradient(distance, redshift))
