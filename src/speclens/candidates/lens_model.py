"""Redshifts and a velocity dispersion to the luminosity of a line and an Einstein radius.

In: arrays of measurements and the name of a cosmology. Out: arrays. Which hits are candidates is
left to `speclens.candidates.ranking`.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from speclens.config import CandidatesConfig
from speclens.errors import ConfigError
from speclens.lines import SPEED_OF_LIGHT_KMS

if TYPE_CHECKING:
    from astropy.cosmology import FLRW

__all__ = ["cosmology_named", "einstein_radius", "lens_dispersion", "luminosity_of_unit_flux"]

FLUX_CGS = 1e-17
LUMINOSITY_CGS = 1e42
HIGHEST_REDSHIFT = 30.0

Floats = NDArray[np.floating]


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


def luminosity_of_unit_flux(z_source: Floats, cosmology: FLRW) -> Floats:
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
    distance = (1 + z_source) * _comoving_cm(np.where(z_source > 0, z_source, np.nan), cosmology)
    return 4 * np.pi * distance**2 * (FLUX_CGS / LUMINOSITY_CGS)


def lens_dispersion(
    vdisp: Floats, vdisp_err: Floats, config: CandidatesConfig
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Return the velocity dispersion of the lens model.

    Parameters
    ----------
    vdisp, vdisp_err : array of shape (N,)
        The catalogue's velocity dispersion and its standard error, km/s.
    config : CandidatesConfig
        What counts as a measurement, and what stands for it otherwise.

    Returns
    -------
    sigma, error : array of shape (N,)
        Velocity dispersion and its standard error, km/s.
    assumed : array of shape (N,)
        Whether the typical value stands for a measurement.

    Notes
    -----
    The pipeline writes 0 or 850 km/s, or an error that is not positive, where its fit failed.
    """
    low, high = config.vdisp_range
    measured = (vdisp >= low) & (vdisp <= high) & (vdisp_err > 0) & np.isfinite(vdisp_err)
    typical, scatter = config.vdisp_typical
    return np.where(measured, vdisp, typical), np.where(measured, vdisp_err, scatter), ~measured


def einstein_radius(sigma: Floats, z_lens: Floats, z_source: Floats, cosmology: FLRW) -> Floats:
    """Return the Einstein radius of a singular isothermal sphere.

    Parameters
    ----------
    sigma : array of shape (N,)
        Its velocity dispersion, km/s.
    z_lens, z_source : array of shape (N,)
        Redshifts.
    cosmology : astropy.cosmology.FLRW
        The cosmology, a flat one.

    Returns
    -------
    array of shape (N,)
        4 pi (sigma / c)^2 D_LS / D_S, arcsec; NaN where the source is not behind the lens.
    """
    behind = np.where(z_source > z_lens, z_source, np.nan)
    # In flat space D_LS / D_S needs comoving distances only: both are as seen from the source.
    ratio = 1 - _comoving_cm(z_lens, cosmology) / _comoving_cm(behind, cosmology)
    radius = 4 * np.pi * (sigma / SPEED_OF_LIGHT_KMS) ** 2 * ratio
    return np.asarray(np.degrees(radius) * 3600, np.float64)


def _comoving_cm(redshift: Floats, cosmology: FLRW) -> Floats:
    """Comoving distance, NaN where the redshift is no number, negative or that of no galaxy."""
    known = (redshift >= 0) & (redshift < HIGHEST_REDSHIFT)
    distance = np.full(len(redshift), np.nan)
    if known.any():  # astropy refuses to integrate nothing
        distance[known] = cosmology.comoving_distance(redshift[known]).to_value("cm")
    return distance
