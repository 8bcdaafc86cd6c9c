"""Redshifts and a velocity dispersion to an Einstein radius.

In: arrays of measurements and a cosmology. Out: arrays. Which hits are candidates is
left to `speclens.candidates.ranking`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from speclens.config import CandidatesConfig
from speclens.cosmology import comoving_cm, isothermal_radius

if TYPE_CHECKING:
    from astropy.cosmology import FLRW

__all__ = ["einstein_radius", "lens_dispersion"]

Floats = NDArray[np.floating]


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
    ratio = 1 - comoving_cm(z_lens, cosmology) / comoving_cm(behind, cosmology)
    return isothermal_radius(sigma, ratio)
