"""Companions: the same line in other spectra, where it should be, or should not.

In: the line's flux in neighbouring fibres, in other spectra of the same object, in single
exposures. Out: how far they agree with the hit. The fluxes are measured when the spectra are read.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from speclens.config import VetConfig

__all__ = ["measure_companions"]

Floats = NDArray[np.float64]


def measure_companions(
    companions: NDArray[np.void], flux: Floats, flux_err: Floats, config: VetConfig
) -> Mapping[str, NDArray[np.generic]]:
    """Compare each hit with the same line elsewhere.

    Parameters
    ----------
    companions : structured array
        Rows of `speclens.schema.COMPANIONS`, HIT counting the hits below.
    flux, flux_err : array of shape (H,)
        Flux of the hits and its standard error, 1e-17 erg/s/cm2.
    config : VetConfig
        By what fraction of the flux exposures differ in seeing and calibration, and what may cross
        from one fibre to the next.

    Returns
    -------
    mapping of str to array of shape (H,)
        Columns of hits.fits: NEIGHBOUR_SNR and NEIGHBOUR_DSIGMA (cross-talk comes from a neighbour
        that has the line too, and far brighter), N_REPEATS and REPEAT_DSIGMA (a line stays),
        N_EXPOSURES and EXPOSURE_DSIGMA (a cosmic ray is in one exposure only).
    """
    known = companions[np.isfinite(companions["FLUX"]) & (companions["FLUX_ERR"] > 0)]
    neighbours, repeats, exposures = (
        known[known["KIND"] == kind] for kind in ("neighbour", "repeat", "exposure")
    )
    n_hits = len(flux)
    n_exposures = np.bincount(exposures["HIT"], minlength=n_hits)
    return {
        "NEIGHBOUR_SNR": _highest(
            neighbours["HIT"], neighbours["FLUX"] / neighbours["FLUX_ERR"], n_hits
        ),
        "NEIGHBOUR_DSIGMA": _crosstalk(neighbours, flux, flux_err, config),
        "N_REPEATS": np.bincount(repeats["HIT"], minlength=n_hits),
        "REPEAT_DSIGMA": _deviation(repeats, flux, flux_err),
        "N_EXPOSURES": n_exposures,
        "EXPOSURE_DSIGMA": _against_brightest(exposures, n_hits, config.exposure_scatter),
    }


def _crosstalk(
    neighbours: NDArray[np.void], flux: Floats, error: Floats, config: VetConfig
) -> Floats:
    """Most that may cross from a neighbour's line minus the hit's flux, over the error of both.

    NaN where no neighbour has a line at the hit's place. A hit that is as bright as its neighbour,
    or half as bright, is none of its light.
    """
    same = neighbours["FLUX"] > config.crosstalk_snr * neighbours["FLUX_ERR"]
    same &= np.abs(neighbours["OFFSET"]) <= config.crosstalk_pixels
    lines = neighbours[same]
    hit, share = lines["HIT"], config.crosstalk_max
    over = np.hypot(share * lines["FLUX_ERR"].astype(np.float64), error[hit])
    return _highest(hit, (share * lines["FLUX"] - flux[hit]) / over, len(flux))


def _highest(hit: NDArray[np.integer], values: Floats, n_hits: int) -> Floats:
    """Highest value of each hit, NaN of those without any, shape (H,)."""
    highest = np.full(n_hits, np.nan)
    np.fmax.at(highest, hit, values)
    return highest


def _against_brightest(exposures: NDArray[np.void], n_hits: int, scatter: float) -> Floats:
    """Mean flux of the other exposures minus that of the brightest, over the error of both."""
    top = _brightest(exposures)
    flux, error = np.full(n_hits, np.nan), np.full(n_hits, np.nan)
    hit = exposures["HIT"][top]
    flux[hit] = exposures["FLUX"][top]
    error[hit] = np.hypot(exposures["FLUX_ERR"][top], scatter * flux[hit])
    return _deviation(exposures[~top], flux, error)


def _brightest(rows: NDArray[np.void]) -> NDArray[np.bool_]:
    """Mark the row of each hit with the highest flux over its error."""
    order = np.lexsort((rows["FLUX"] / rows["FLUX_ERR"], rows["HIT"]))
    last = np.ones(len(rows), bool)
    last[:-1] = rows["HIT"][order][1:] != rows["HIT"][order][:-1]
    marked = np.zeros(len(rows), bool)
    marked[order[last]] = True
    return marked


def _deviation(rows: NDArray[np.void], flux: Floats, flux_err: Floats) -> Floats:
    """Weighted mean flux of each hit's rows minus the hit's, over the error of the difference."""
    weight = np.zeros(len(flux))
    total = np.zeros(len(flux))
    ivar = 1 / rows["FLUX_ERR"].astype(np.float64) ** 2
    np.add.at(weight, rows["HIT"], ivar)
    np.add.at(total, rows["HIT"], ivar * rows["FLUX"])
    some = weight > 0
    mean = np.divide(total, weight, out=np.full(len(flux), np.nan), where=some)
    variance = np.divide(1, weight, out=np.full(len(flux), np.nan), where=some)
    return np.asarray((mean - flux) / np.sqrt(variance + flux_err**2))
