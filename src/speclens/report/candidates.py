"""Hits to candidates: those that no vetting flag rules out, ranked, named, with a lens model.

In: rows of hits.fits. Out: rows of candidates.*. Writing them is left to `speclens.report.tables`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from speclens.config import CandidatesConfig
from speclens.report.lens_model import (
    cosmology_named,
    einstein_radius,
    lens_dispersion,
    luminosity_of_unit_flux,
)
from speclens.schema import CANDIDATES, dtype_of, text_width

__all__ = ["candidates_of", "line_flux", "sdss_name", "sexagesimal"]


def sexagesimal(value: float, decimals: int) -> tuple[int, int, str]:
    """Split hours or degrees, truncated, never rounded.

    Parameters
    ----------
    value : float
        Hours or degrees, not negative.
    decimals : int
        Decimals of the seconds.

    Returns
    -------
    whole, minutes : int
        Hours or degrees, and minutes.
    seconds : str
        Seconds, with two digits before the point.
    """
    scale = 10**decimals
    # A hair is added before truncation: 1.1 in binary is a little less than 1.1.
    total = int(value * 3600 * scale + 1e-6)
    whole, rest = divmod(total, 3600 * scale)
    minutes, seconds = divmod(rest, 60 * scale)
    return whole, minutes, f"{seconds // scale:02d}.{seconds % scale:0{decimals}d}"


def sdss_name(ra: float, dec: float) -> str:
    """Return the name of a system.

    Parameters
    ----------
    ra, dec : float
        Position, J2000, degrees.

    Returns
    -------
    str
        `SDSS JHHMMSS.ss+DDMMSS.s`, truncated, never rounded; empty without a position.

    Notes
    -----
    Li et al. 2019, Table 1; the convention of the International Astronomical Union.
    """
    if not (np.isfinite(ra) and np.isfinite(dec)):
        return ""
    hours, minutes, seconds = sexagesimal((ra % 360) / 15, 2)
    degrees, arc_minutes, arc_seconds = sexagesimal(abs(dec), 1)
    sign = "-" if dec < 0 else "+"
    return (
        f"SDSS J{hours % 24:02d}{minutes:02d}{seconds}"
        f"{sign}{degrees:02d}{arc_minutes:02d}{arc_seconds}"
    )


def line_flux(hits: NDArray[np.void]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the flux of each line: of its fit, or of the filter where the fit has none.

    Parameters
    ----------
    hits : structured array of shape (N,)
        Rows of hits.fits or candidates.*.

    Returns
    -------
    flux, error : array of shape (N,)
        Flux and its standard error, 1e-17 erg/s/cm2.
    """
    fitted = np.isfinite(hits["LYA_FLUX"])
    flux = np.where(fitted, hits["LYA_FLUX"], hits["FLUX"])
    return flux, np.where(fitted, hits["LYA_FLUX_ERR"], hits["FLUX_ERR"])


def candidates_of(hits: NDArray[np.void], config: CandidatesConfig) -> NDArray[np.void]:
    """Return the candidates among hits.

    Parameters
    ----------
    hits : structured array of shape (N,)
        Rows of hits.fits.
    config : CandidatesConfig
        The cosmology, and what is assumed of a lens without a velocity dispersion.

    Returns
    -------
    structured array
        Rows of candidates.*, highest P_LYA first, those without one last; ties by SNR, TARGETID
        and WAVE.

    Raises
    ------
    ConfigError
        If astropy knows no such cosmology.
    """
    kept = hits[hits["CANDIDATE"]]
    kept = kept[np.lexsort((kept["WAVE"], kept["TARGETID"], -kept["SNR"], -kept["P_LYA"]))]
    rows = np.zeros(len(kept), dtype_of(CANDIDATES, FILE=text_width(kept, "FILE")))
    for name in kept.dtype.names or ():
        rows[name] = kept[name]
    rows["RANK"] = np.arange(len(kept)) + 1
    rows["NAME"] = [sdss_name(ra, dec) for ra, dec in zip(kept["RA"], kept["DEC"], strict=True)]
    _set_lens_model(rows, config)
    return rows


def _set_lens_model(rows: NDArray[np.void], config: CandidatesConfig) -> None:
    cosmology = cosmology_named(config.cosmology)
    flux, flux_err = line_flux(rows)
    unit = luminosity_of_unit_flux(rows["Z_SOURCE"], cosmology)
    rows["LYA_LUMINOSITY"], rows["LYA_LUMINOSITY_ERR"] = unit * flux, unit * flux_err
    sigma, sigma_err, assumed = lens_dispersion(rows["VDISP"], rows["VDISP_ERR"], config)
    rows["SIGMA_SIS"], rows["SIGMA_SIS_ERR"], rows["SIGMA_ASSUMED"] = sigma, sigma_err, assumed
    radius = einstein_radius(sigma, rows["Z"], rows["Z_SOURCE"], cosmology)
    rows["EINSTEIN_RADIUS"] = radius
    rows["EINSTEIN_RADIUS_ERR"] = 2 * radius * sigma_err / sigma
