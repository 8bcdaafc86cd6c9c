"""Quasars: what may stand before a lensed source, and hides it behind a spectrum of its own.

In: redshifts, brightness, and a generator. Out: noiseless spectra. Each is a broken power law with
broad and narrow lines, bumps of iron, the Lyman-alpha forest, and absorbers; some have broad
absorption lines. What quasars are like stands in `data/quasars.toml`. Noise is left to
`speclens.simulate.sky`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.special import ndtr, ndtri

from speclens.config import SurveyConfig
from speclens.lines import (
    LYMAN_ALPHA,
    PIXEL_KMS,
    REST_LINES,
    SPEED_OF_LIGHT_KMS,
    gaussian_pixels,
    pixel_width_angstrom,
)
from speclens.simulate.magnitudes import PIVOT_ANGSTROM, flux_of_magnitudes
from speclens.spectra import LogGrid

__all__ = ["draw_quasars", "emitted_light"]

Floats = NDArray[np.float64]

QUASARS: Mapping[str, Any] = tomllib.loads(
    (files("speclens") / "data" / "quasars.toml").read_text(encoding="utf-8")
)
"""What quasars are like."""

REACH = 5.0
"""Standard deviations within which an absorption line is drawn."""

TROUGH_EDGE_KMS = 400.0
"""Over which the ends of a broad absorption line rise."""


def draw_quasars(
    z: Floats, grid: LogGrid, config: SurveyConfig, rng: np.random.Generator
) -> Floats:
    """Draw quasars.

    Parameters
    ----------
    z : array of shape (N,)
        Redshifts.
    grid : LogGrid
        Wavelengths, L pixels.
    config : SurveyConfig
        How bright they are, and the spectrograph's line spread.
    rng : numpy.random.Generator
        Source of randomness. Three numbers a quasar are drawn of it, all others of its child: what
        is drawn after quasars does not depend on what they are like.

    Returns
    -------
    array of shape (N, L)
        Flux density, 1e-17 erg/s/cm2/Angstrom.
    """
    n = len(z)
    slope = rng.standard_normal(n)
    breadth = rng.random(n)
    brightness = rng.standard_normal(n)
    own = rng.spawn(1)[0]
    magnitude = _magnitudes(brightness, config)
    ln_luminosity = -0.4 * np.log(10) * (magnitude - config.quasar_magnitudes[0])
    rest = grid.wave / (1 + z)[:, None]
    pivot = PIVOT_ANGSTROM / (1 + z)[:, None]
    spectra = emitted_light(z, grid, slope, breadth, ln_luminosity, config.line_spread, own)
    spectra *= flux_of_magnitudes(magnitude)[:, None] / _continuum(pivot, slope)
    spectra *= _forest(z, grid, own)
    spectra *= np.exp(-_absorbers(z, grid, config.line_spread, own))
    return np.asarray(spectra * _troughs(rest, own))


def emitted_light(
    z: Floats,
    grid: LogGrid,
    slope: Floats,
    breadth: Floats,
    ln_luminosity: Floats,
    line_spread: float,
    rng: np.random.Generator,
) -> Floats:
    """Draw what quasars emit, before anything absorbs it.

    Parameters
    ----------
    z : array of shape (N,)
        Redshifts.
    grid : LogGrid
        Wavelengths, L pixels.
    slope : array of shape (N,)
        Of the continuum, standard deviations from the mean.
    breadth : array of shape (N,)
        How broad lines are, from 0 to 1.
    ln_luminosity : array of shape (N,)
        Natural logarithm of the luminosity over the usual one.
    line_spread : float
        The spectrograph's, pixels.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    array of shape (N, L)
        Flux density; the continuum is 1 at its second break.
    """
    rest = grid.wave / (1 + z)[:, None]
    emission = _bumps(rest, rng)
    width = _log_uniform(QUASARS["width"]["range"], breadth)
    emission += _broad_lines(z, grid, width, ln_luminosity, rng)
    emission += _narrow_lines(z, grid, line_spread, rng)
    return np.asarray(_continuum(rest, slope) * (1 + emission))


def _magnitudes(deviate: Floats, config: SurveyConfig) -> Floats:
    """Return magnitudes of a normal distribution that is cut at the limits of the survey."""
    median, scatter = config.quasar_magnitudes
    low, high = ndtr((np.array(config.quasar_magnitude_range) - median) / scatter)
    return np.asarray(median + scatter * ndtri(low + (high - low) * ndtr(deviate)))


def _log_uniform(limits: tuple[float, float], places: Floats) -> Floats:
    low, high = limits
    return np.asarray(low * (high / low) ** places)


def _between(limits: tuple[float, float], places: Floats) -> Floats:
    low, high = limits
    return np.asarray(low + (high - low) * places)


def _continuum(rest: Floats, slope: Floats) -> Floats:
    """Return broken power laws of slopes in standard deviations, shape (N, L)."""
    record = QUASARS["continuum"]
    (blue, red), (bluer, redder) = record["breaks"], record["changes"]
    power = (record["slope"] + record["slope_scatter"] * slope)[:, None]
    level = (rest / red) ** power
    level *= np.minimum(rest / blue, 1) ** bluer * np.maximum(rest / red, 1) ** redder
    return np.asarray(level)


def _bumps(rest: Floats, rng: np.random.Generator) -> Floats:
    """Draw blended lines of iron over the continuum, shape (N, L)."""
    record = QUASARS["bumps"]
    total = np.zeros_like(rest)
    for bump in record["members"]:
        x = (rest - bump["wave"]) / bump["sigma"]
        height = bump["width"] / (np.sqrt(2 * np.pi) * bump["sigma"])
        total += height * np.exp(-0.5 * x**2)
    strength = np.exp(record["scatter"] * rng.standard_normal(len(rest)))
    return np.asarray(total * strength[:, None])


def _broad_lines(
    z: Floats, grid: LogGrid, breadth: Floats, ln_luminosity: Floats, rng: np.random.Generator
) -> Floats:
    """Draw broad lines over the continuum; those of highly ionised gas go together."""
    record, wind = QUASARS["width"], QUASARS["wind"]
    strength_of_wind = rng.standard_normal(len(z))
    total = np.zeros((len(z), grid.n_pixels))
    for name, line in QUASARS["broad"].items():
        fading = wind["fading"] * strength_of_wind + wind["baldwin"] * ln_luminosity
        own = line["scatter"] * rng.standard_normal(len(z))
        width = line["width"] * np.exp(own + line["wind"] * fading)
        shift = line["shift"] + line["wind"] * wind["shift"] * strength_of_wind
        sigma = line["sigma"] * breadth
        core = record["core_share"]
        total += _line(name, z, grid, (1 - core) * width, sigma, shift)
        total += _line(name, z, grid, core * width, record["core_width"] * sigma, shift)
    return total


def _narrow_lines(z: Floats, grid: LogGrid, spread: float, rng: np.random.Generator) -> Floats:
    """Draw narrow lines over the continuum, of those quasars that show them."""
    record = QUASARS["narrow_width"]
    sigma = np.hypot(_log_uniform(record["range"], rng.random(len(z))), spread * PIXEL_KMS)
    strength = np.exp(record["scatter"] * rng.standard_normal(len(z)))
    strength[rng.random(len(z)) < record["lost"]] = 0
    total = np.zeros((len(z), grid.n_pixels))
    for name, line in QUASARS["narrow"].items():
        own = np.exp(line["scatter"] * rng.standard_normal(len(z)))
        total += _line(name, z, grid, line["width"] * strength * own, sigma, 0.0)
    return total


def _line(
    name: str, z: Floats, grid: LogGrid, width: Floats, sigma: Floats, shift: Floats | float
) -> Floats:
    """Return a Gaussian line over the continuum.

    Parameters
    ----------
    name : str
        The line.
    z : array of shape (N,)
        Redshifts.
    grid : LogGrid
        Wavelengths, L pixels.
    width : array of shape (N,)
        Equivalent widths at rest, Angstrom.
    sigma, shift : array of shape (N,)
        Standard deviation and shift, km/s.

    Returns
    -------
    array of shape (N, L)
        Flux density over that of the continuum.
    """
    wave = REST_LINES[name].wave * (1 + z) * (1 + shift / SPEED_OF_LIGHT_KMS)
    x = np.arange(grid.n_pixels) - grid.pixel(wave)[:, None]
    pixels = (sigma / PIXEL_KMS)[:, None]
    height = width * (1 + z) / pixel_width_angstrom(wave)
    profile = np.exp(-0.5 * (x / pixels) ** 2) / (np.sqrt(2 * np.pi) * pixels)
    return np.asarray(height[:, None] * profile)


def _forest(z: Floats, grid: LogGrid, rng: np.random.Generator) -> Floats:
    """Draw what the gas between lets through, Lyman alpha and Lyman limit, shape (N, L)."""
    record = QUASARS["forest"]
    noise = rng.standard_normal((len(z), grid.n_pixels))
    smooth = gaussian_filter1d(noise, record["length"], axis=1)
    # Unit variance again: the area under the square of a Gaussian.
    smooth *= np.sqrt(2 * np.sqrt(np.pi) * record["length"])
    field = np.exp(record["scatter"] * smooth)
    depth = _depth_of_mean(record["depth"] * (grid.wave / LYMAN_ALPHA) ** record["growth"])
    through = np.where(grid.wave < LYMAN_ALPHA * (1 + z)[:, None], np.exp(-depth * field), 1.0)
    z_limit = z - rng.exponential(1 / record["limit_rate"], len(z))
    edge = grid.wave / (REST_LINES["Lyman limit"].wave * (1 + z_limit))[:, None]
    optical_depth = np.where((edge < 1) & (edge > 0), record["limit_depth"] * edge**3, 0)
    return np.asarray(through * np.exp(-optical_depth))


def _depth_of_mean(effective: Floats) -> Floats:
    """Return the median optical depth of gas that lets through exp(-effective) on average."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    depth = np.geomspace(1e-4, 1e3, 300)
    field = np.exp(QUASARS["forest"]["scatter"] * nodes)
    mean = np.exp(-depth[:, None] * field) @ (weights / weights.sum())
    return np.asarray(np.interp(effective, -np.log(mean), depth))


def _absorbers(z: Floats, grid: LogGrid, spread: float, rng: np.random.Generator) -> Floats:
    """Draw absorbing systems before quasars and around them: optical depth, shape (N, L)."""
    record = QUASARS["absorbers"]
    depth = np.zeros((len(z), grid.n_pixels))
    for system in record["systems"].values():
        path = np.maximum(z - system["z_min"], 0)
        between = np.repeat(np.arange(len(z)), rng.poisson(system["rate"] * path))
        around = np.flatnonzero(rng.random(len(z)) < system["associated"])
        row = np.concatenate([between, around])
        speed = record["associated_kms"] * rng.random(len(around))
        z_absorber = np.concatenate([
            system["z_min"] + path[between] * rng.random(len(between)),
            z[around] - speed / SPEED_OF_LIGHT_KMS * (1 + z[around]),
        ])  # fmt: skip
        width = system["width_min"] + rng.exponential(system["width_scale"], len(row))
        own, more = record["sigma_kms"]
        sigma = np.hypot((own + more * width) / PIXEL_KMS, spread)
        for name, share in system["lines"].items():
            wave = REST_LINES[name].wave * (1 + z_absorber)
            pixels = width * (1 + z_absorber) / pixel_width_angstrom(wave)
            _add_line(depth, row, grid.pixel(wave), share * pixels, sigma)
    return depth


def _add_line(
    depth: Floats, row: NDArray[np.intp], place: Floats, area: Floats, sigma: Floats
) -> None:
    """Add optical depth of a Gaussian line to M places of some rows, in place."""
    reach = int(np.ceil(REACH * sigma.max(initial=0)))
    column = np.round(place).astype(np.intp)[:, None] + np.arange(-reach, reach + 1)
    value = area[:, None] * gaussian_pixels(column - place[:, None], sigma[:, None])
    inside = (column >= 0) & (column < depth.shape[1])
    where = np.broadcast_to(row[:, None], column.shape)
    np.add.at(depth, (where[inside], column[inside]), value[inside])


def _troughs(rest: Floats, rng: np.random.Generator) -> Floats:
    """Draw broad absorption lines: the fraction of light that they leave, shape (N, L)."""
    record, n = QUASARS["bal"], len(rest)
    chosen = np.flatnonzero(rng.random(n) < record["share"])
    speed, half, deep = (
        _between(record[name], rng.random(n))[chosen, None] for name in ("speed", "width", "depth")
    )
    left = np.ones_like(rest)
    for name, share in record["lines"].items():
        velocity = SPEED_OF_LIGHT_KMS * np.log(REST_LINES[name].wave / rest[chosen])
        inner, outer = (velocity - speed + half, speed + half - velocity)
        inside = _rise(inner) * _rise(outer)
        left[chosen] *= 1 - share * deep * inside
    return left


def _rise(velocity: Floats) -> Floats:
    return np.asarray(0.5 + 0.5 * np.tanh(velocity / TROUGH_EDGE_KMS))
