"""The probability that a source is lensed, by tracing rays: slow, obvious, and random.

Nothing here is shared with the package but the speed of light. Sources are strewn over a disc
behind lenses whose velocity dispersions are drawn; their images are found by halving intervals,
their magnifications by mapping small triangles, their light by adding up the seeing over the fibre;
and those are counted whose flux is the measured one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gamma, gammaincc

from speclens.lines import SPEED_OF_LIGHT_KMS

__all__ = ["Case", "trace"]

BAND = 0.02
"""Sources within this fraction of the measured flux count."""

STEP = 1e-4
"""Legs of the triangles, arcsec."""

ARCSEC = np.degrees(1) * 3600

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """A lens, a population behind it, and a fibre.

    Parameters
    ----------
    sigma, sigma_err : float
        Velocity dispersion and its error, km/s.
    ratio : float
        D_LS / D_S.
    luminosity : float
        That of the measured flux without a lens, in units of L*.
    alpha : float
        Slope of the faint end of the luminosity function.
    radius, seeing : float
        Of the fibre, and standard deviation of the seeing, arcsec.
    """

    sigma: float
    sigma_err: float
    ratio: float
    luminosity: float
    alpha: float
    radius: float = 1.0
    seeing: float = 0.65


def trace(case: Case, n_sources: int, rng: np.random.Generator) -> float:
    """Return the share of sources within the Einstein radius, of those with the measured flux.

    Parameters
    ----------
    case : Case
        The lens, the population, the fibre.
    n_sources : int
        Places that are drawn.
    rng : numpy.random.Generator
        Draws velocity dispersions and places.

    Returns
    -------
    float
        The share.
    """
    sigma = rng.normal(case.sigma, case.sigma_err, n_sources)
    sigma = sigma[sigma > 0]
    theta = 4 * np.pi * (sigma / SPEED_OF_LIGHT_KMS) ** 2 * case.ratio * ARCSEC
    # Every lens has the same disc behind it, because sources are as many behind each.
    disc = theta.max() + case.radius + 7 * case.seeing
    # Places are drawn more often near the middle, where most of the light is from, and count less.
    beta = disc * rng.random(len(sigma))
    light = np.zeros(len(sigma))
    for side in (1.0, -1.0):
        place, there = _image(beta, theta, side)
        magnified = _magnification(place, theta)
        light += np.where(there, magnified * _light(np.abs(place), case), 0)
    with np.errstate(divide="ignore", over="ignore"):
        low, high = ((1 + end) * case.luminosity / light for end in (-BAND, BAND))
        n = _brighter(low, case.alpha) - _brighter(high, case.alpha)
    n = beta * np.where(light > 0, n, 0)
    return float(n[beta < theta].sum() / n.sum())


def _image(beta: Floats, theta: Floats, side: float) -> tuple[Floats, NDArray[np.bool_]]:
    """Find the image on one side of the lens: where a ray comes from the source."""
    near, far = np.full(len(beta), 1e-9), np.full(len(beta), 100.0)

    def missed(distance: Floats) -> Floats:
        return side * distance - side * theta - beta

    there = missed(near) * missed(far) < 0
    for _ in range(50):
        middle = (near + far) / 2
        short = missed(middle) * missed(far) < 0
        near, far = np.where(short, middle, near), np.where(short, far, middle)
    return side * near, there


def _magnification(place: Floats, theta: Floats) -> Floats:
    """Area of a small triangle around an image over that of what it shows."""

    def source_of(x: Floats, y: Floats) -> tuple[Floats, Floats]:
        distance = np.hypot(x, y)
        return x * (1 - theta / distance), y * (1 - theta / distance)

    still = np.zeros(len(place))
    corner, along, across = (
        source_of(place + right, still + up)
        for right, up in ((-STEP / 2, -STEP / 2), (STEP / 2, -STEP / 2), (-STEP / 2, STEP / 2))
    )
    a, b = (tuple(p - q for p, q in zip(leg, corner, strict=True)) for leg in (along, across))
    return STEP**2 / np.abs(a[0] * b[1] - a[1] * b[0])


def _light(distance: Floats, case: Case) -> Floats:
    """Light of a point that enters the fibre, over that of one in its middle."""
    rings = (np.arange(200) + 0.5) * case.radius / 200
    angles = (np.arange(64) + 0.5) * np.pi / 64
    x, y = rings * np.cos(angles)[:, None], rings * np.sin(angles)[:, None]
    places = np.linspace(0, case.radius + 9 * case.seeing, 300)
    seen = np.array([
        (np.exp(-((x - p) ** 2 + y**2) / (2 * case.seeing**2)) * rings).sum() for p in places
    ])  # fmt: skip
    return np.where(distance < places[-1], np.interp(distance, places, seen / seen[0]), 0.0)


def _brighter(luminosity: Floats, alpha: float) -> Floats:
    """Count the sources above luminosities in units of L*, by the incomplete gamma function."""
    order = alpha + 1  # below zero, where scipy has it one order higher only
    upper = gamma(order + 1) * gammaincc(order + 1, luminosity)
    with np.errstate(invalid="ignore"):
        n = (upper - luminosity**order * np.exp(-luminosity)) / order
    return np.where(np.isfinite(luminosity), n, 0.0)
