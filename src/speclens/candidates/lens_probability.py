"""How likely it is that a source whose line is seen in the fibre is strongly lensed.

In: rows of hits.fits. Out: P_LENSED. The lens is the sphere of `speclens.candidates.lens_model`;
how many sources there are is told by `speclens.luminosity_functions`.

Assumptions: the source is what the search takes it for, and a point, anywhere behind the fibre; the
lens is in the middle of the fibre; the seeing is Gaussian, and as usual. A line is as bright as
measured: the error of its flux does not count.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chndtr

from speclens.candidates.lens_model import einstein_radius, lens_dispersion
from speclens.config import CandidatesConfig
from speclens.cosmology import cosmology_named, luminosity_of_unit_flux
from speclens.instrument import INSTRUMENTS
from speclens.luminosity_functions import source_populations

__all__ = ["Fibre", "lens_probability", "lensed_share"]

N_INSIDE, N_OUTSIDE, N_SIGMA = 20, 24, 15
"""Places of the source within the Einstein radius and beyond it, and velocity dispersions."""

TAIL = 7.0
"""Beyond so many standard deviations of the seeing from its edge no light enters a fibre."""

SIGMA_TAIL = 4.0
"""A velocity dispersion is within so many standard errors, and above 0."""

N_TABLE = 2000
LEAST_LIGHT = 1e-30
ROWS = 1000
"""Hits that are weighed at a time, in little memory."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Fibre:
    """A round fibre behind the seeing.

    Parameters
    ----------
    radius : float
        Its radius, arcsec.
    seeing : float
        Standard deviation of the seeing along one axis, arcsec.
    """

    radius: float
    seeing: float

    def light(self, distance: NDArray[np.floating]) -> Floats:
        """Return the light of a point that enters, over that of one in the middle of the fibre.

        Parameters
        ----------
        distance : array
            Distance of the point from the middle, arcsec.

        Returns
        -------
        array
            At most 1: spectra are calibrated on stars in the middle of their fibres, as if all of
            their light had entered (https://sdss3.org/dr9/algorithms/spectrophotometry.php).
        """
        places = np.linspace(0, self.reach, N_TABLE)
        # The distance of a photon from the middle, squared, follows a noncentral chi-square.
        share = chndtr((self.radius / self.seeing) ** 2, 2, (places / self.seeing) ** 2)
        ln_light = np.log(np.maximum(share / share[0], LEAST_LIGHT))
        return np.asarray(np.exp(np.interp(distance, places, ln_light)))

    @property
    def reach(self) -> float:
        """Distance beyond which no light enters, arcsec."""
        return self.radius + TAIL * self.seeing


def lens_probability(hits: NDArray[np.void], config: CandidatesConfig) -> Floats:
    """Return the probability that the source of each hit is strongly lensed.

    Parameters
    ----------
    hits : structured array of shape (H,)
        Rows of hits.fits.
    config : CandidatesConfig
        The cosmology, and what is assumed of a lens without a velocity dispersion.

    Returns
    -------
    array of shape (H,)
        NaN where the source is not behind the lens, where no luminosity function tells of its line,
        without a flux, and where the fibre is not known.

    Raises
    ------
    ConfigError
        If astropy knows no such cosmology.
    """
    cosmology = cosmology_named(config.cosmology)
    z_lens, z_source, wave, flux, vdisp, vdisp_err = (
        np.asarray(hits[name], np.float64)
        for name in ("Z", "Z_SOURCE", "WAVE", "FLUX", "VDISP", "VDISP_ERR")
    )
    sigma, sigma_err, _ = lens_dispersion(vdisp, vdisp_err, config)
    theta = einstein_radius(sigma, z_lens, z_source, cosmology)
    with np.errstate(divide="ignore", invalid="ignore"):
        l_star, alpha = source_populations(wave / (1 + z_source), z_source)
    bright = luminosity_of_unit_flux(z_source, cosmology) * flux / l_star
    known = np.isfinite(theta) & (bright > 0) & np.isfinite(bright)
    error = sigma_err / sigma
    probability = np.full(len(hits), np.nan)
    for fibre, observed in _fibres(hits):
        rows = np.flatnonzero(observed & known)
        for some in np.split(rows, range(ROWS, len(rows), ROWS)):
            probability[some] = lensed_share(
                theta[some], error[some], bright[some], alpha[some], fibre
            )
    return probability


def _fibres(hits: NDArray[np.void]) -> list[tuple[Fibre, NDArray[np.bool_]]]:
    """Return the fibres, and the rows that were observed through each."""
    found = []
    for survey, instrument in INSTRUMENTS.items():
        radius = np.where(hits["SURVEY"] == survey, instrument.fibre_radius(hits["PLATE"]), np.nan)
        seeing = instrument.seeing_sigma_arcsec
        radii = np.unique(radius[np.isfinite(radius + seeing)]).tolist()
        found += [(Fibre(one, seeing), radius == one) for one in radii]
    return found


def lensed_share(
    theta: NDArray[np.floating],
    sigma_err: NDArray[np.floating],
    luminosity: NDArray[np.floating],
    alpha: NDArray[np.floating],
    fibre: Fibre,
) -> Floats:
    """Return the share of the sources of a flux that lie within the Einstein radius.

    Parameters
    ----------
    theta : array of shape (H,)
        Einstein radius, arcsec.
    sigma_err : array of shape (H,)
        Error of the velocity dispersion over itself; normally distributed.
    luminosity : array of shape (H,)
        Luminosity that the measured flux would have without a lens, in units of L*.
    alpha : array of shape (H,)
        Slope of the luminosity function's faint end.
    fibre : Fibre
        The fibre.

    Returns
    -------
    array of shape (H,)
        Between 0 and 1.

    Notes
    -----
    A source at an angle beta from the lens has images at beta +- theta, the second within theta
    only, magnified by ``|1 +- theta / beta|``; mu(beta) is the sum of their light in the fibre. Of
    sources with the luminosity function n(L), ``2 pi beta n(L / mu) / mu dbeta`` have the measured
    flux: the share of this integral within theta is returned, with both integrals summed over the
    velocity dispersions, because a lens that brings more sources into the fibre is a likelier one.

    Differs: forecasts of surveys count n(> L / mu), the sources above a limit. A hit has the flux
    that it has; the two agree where the luminosity function is a power law.
    """
    sigma, ln_prior = _dispersions(sigma_err)
    radii = theta[:, None] * sigma**2  # (H, S)
    inside, ln_inside = _within(radii, fibre)
    outside, ln_outside = _beyond(radii, fibre)
    bright, slope = luminosity[:, None, None], alpha[:, None, None]
    terms = [
        ln_prior + ln_area - (slope + 1) * np.log(light) - bright / light
        for light, ln_area in ((inside, ln_inside), (outside, ln_outside))
    ]
    highest = np.maximum(*(term.max(axis=(1, 2), keepdims=True) for term in terms))
    lensed, other = (np.exp(term - highest).sum(axis=(1, 2)) for term in terms)
    return np.asarray(lensed / (lensed + other))


def _dispersions(sigma_err: NDArray[np.floating]) -> tuple[Floats, Floats]:
    """Velocity dispersions over the measured one, (H, S), and ln of how likely, (H, S, 1)."""
    places, steps = _places(N_SIGMA)
    lowest = np.maximum(-SIGMA_TAIL, -1 / np.maximum(sigma_err, 1 / SIGMA_TAIL))[:, None]
    deviation = lowest + (SIGMA_TAIL - lowest) * places
    ln_prior = np.log(steps) - deviation**2 / 2
    return 1 + sigma_err[:, None] * deviation, ln_prior[:, :, None]


def _within(radii: NDArray[np.floating], fibre: Fibre) -> tuple[Floats, Floats]:
    """Light in the fibre of sources within the Einstein radius, and ln of beta dbeta, (H, S, B)."""
    places, steps = _places(N_INSIDE)
    # Magnifications rise without limit towards the middle: cubes bring the places nearer to it.
    radius, beta = radii[:, :, None], places**3
    light = (1 / beta + 1) * fibre.light(radius * (1 + beta))
    light += (1 / beta - 1) * fibre.light(radius * (1 - beta))
    return light, _ln(radius**2 * beta * 3 * places**2 * steps)


def _beyond(radii: NDArray[np.floating], fibre: Fibre) -> tuple[Floats, Floats]:
    """Likewise of sources beyond it, which have one image."""
    places, steps = _places(N_OUTSIDE)
    radius, reach = radii[:, :, None], fibre.reach
    beta = radius + reach * places
    return (1 + radius / beta) * fibre.light(beta + radius), _ln(beta * reach * steps)


def _places(n: int) -> tuple[Floats, Floats]:
    """Places and weights of Gauss and Legendre between 0 and 1."""
    places, weights = np.polynomial.legendre.leggauss(n)
    return (places + 1) / 2, weights / 2


def _ln(values: NDArray[np.floating]) -> Floats:
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(values))
