"""Least-squares fits of one line on a horizontal continuum, for many hits and shapes at once.

In: cutouts around the lines, a family of profiles, values of its shape parameter. Out: for each hit
and each value the best chi2 with the line's place, scale and flux. What a shape says of a hit is
left to `speclens.vet.skewness` and `speclens.vet.interlopers`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from speclens.lines import broadened_skewness, pixel_width_angstrom, skew_normal_mean
from speclens.spectra import FittedSpectra

__all__ = ["Cutouts", "LineFits", "Profile", "cut_out", "doublet", "fit_lines", "skew_normal"]

Floats = NDArray[np.float64]

Profile = Callable[[Floats, Floats, Floats, Floats], Floats]
"""Flux per pixel of a line of unit flux: (offset from its centre, scale before the spectrograph,
shape, dispersion) -> profile; all in pixels, broadcast against each other."""

PIXEL_VARIANCE = 1 / 12
"""Variance of a pixel's box, square pixels: added to the line spread, it stands for integration."""

MAX_STEPS = 30
CONVERGED = 1e-3
"""A fit whose chi2 falls by less has arrived."""

STEP = 0.02
"""Step of the numerical derivatives: pixels, and natural logarithm of the scale."""

DISPERSION_RANGE = (0.3, 10.0)
"""Line spreads that are believed, pixels."""

HIGHEST = 1e15
"""Flux densities and inverse variances beyond are no measurement; their squares would overflow."""

MAX_DAMPING = 1e3
RIDGE = 1e-9
TINY = 1e-30


@dataclass(frozen=True)
class Cutouts:
    """Residuals near H lines.

    Parameters
    ----------
    offset : array of shape (P,)
        Pixels from the middle of the cutout.
    flux, ivar : array of shape (H, P)
        Residual flux density, 1e-17 erg/s/cm2/Angstrom, and its inverse variance; 0 where masked.
    centre : array of shape (H,)
        Place of the hit, pixels from the middle of the cutout.
    wave : array of shape (H,)
        Wavelength of the middle of the cutout, Angstrom.
    dispersion : array of shape (H,)
        Standard deviation of the line spread, pixels.
    """

    offset: Floats
    flux: Floats
    ivar: Floats
    centre: Floats
    wave: Floats
    dispersion: Floats

    def __len__(self) -> int:
        return len(self.flux)

    def __getitem__(self, rows: NDArray[np.intp]) -> Cutouts:
        return Cutouts(
            self.offset, self.flux[rows], self.ivar[rows], self.centre[rows], self.wave[rows],
            self.dispersion[rows],
        )  # fmt: skip

    @property
    def pixel_width(self) -> Floats:
        """Width of a pixel, shape (H,), Angstrom."""
        return pixel_width_angstrom(self.wave)


@dataclass(frozen=True)
class LineFits:
    """Best fits of H lines with each of T shapes, arrays of shape (H, T).

    Parameters
    ----------
    chi2 : array
        Chi2 of the fit.
    mean : array
        Centre of the line, pixels from the middle of the cutout.
    sigma : array
        Its scale before the spectrograph, pixels.
    flux, flux_err : array
        Its flux and the standard error, 1e-17 erg/s/cm2.
    continuum : array
        Horizontal line, 1e-17 erg/s/cm2/Angstrom.
    peak : array
        Highest flux density of the line, same unit.
    """

    chi2: Floats
    mean: Floats
    sigma: Floats
    flux: Floats
    flux_err: Floats
    continuum: Floats
    peak: Floats


def cut_out(
    spectra: FittedSpectra, wave: Floats, half_width: int, usual_dispersion: Floats
) -> Cutouts:
    """Cut the surroundings of a line out of each spectrum.

    Parameters
    ----------
    spectra : FittedSpectra
        H spectra.
    wave : array of shape (H,)
        The line in each, Angstrom.
    half_width : int
        Pixels on either side.
    usual_dispersion : array of shape (H,)
        Line spread where the spectrum does not know it, pixels.

    Returns
    -------
    Cutouts
        With P = 2 half_width + 1 pixels; those beyond the spectrum, and those whose values are no
        numbers or none that a spectrum has, are masked. A line nowhere has none but masked pixels.
    """
    grid = spectra.grid
    somewhere = np.isfinite(wave) & (wave > 0)
    wave = np.where(somewhere, wave, grid.wave[0])
    place = grid.pixel(wave)
    middle = grid.nearest(wave)
    offset = np.arange(-half_width, half_width + 1)
    pixel = middle[:, None] + offset
    inside = (pixel >= 0) & (pixel < grid.n_pixels) & somewhere[:, None]
    pixel = np.clip(pixel, 0, grid.n_pixels - 1)
    row = np.arange(len(spectra))[:, None]
    flux, ivar = _residual(spectra, row, pixel)
    ivar[~inside] = 0
    known = spectra.dispersion[row[:, 0], middle]
    believed = (known > DISPERSION_RANGE[0]) & (known < DISPERSION_RANGE[1])
    return Cutouts(
        offset.astype(np.float64),
        np.where(ivar > 0, flux, 0.0),
        ivar,
        place - middle,
        grid.wave[middle],
        np.where(believed, known, usual_dispersion).astype(np.float64),
    )


def _residual(
    spectra: FittedSpectra, row: NDArray[np.intp], pixel: NDArray[np.intp]
) -> tuple[Floats, Floats]:
    """Residual of some pixels and its inverse variance, 0 where it is no measurement."""
    with np.errstate(invalid="ignore", over="ignore"):
        flux = spectra.flux[row, pixel] - spectra.model[row, pixel]
    ivar = spectra.ivar[row, pixel]
    good = (np.abs(flux) < HIGHEST) & (ivar > 0) & (ivar < HIGHEST)
    return flux.astype(np.float64), np.where(good, ivar, 0).astype(np.float64)


def skew_normal(offset: Floats, sigma: Floats, skewness: Floats, dispersion: Floats) -> Floats:
    """Return a skew-normal line behind the spectrograph.

    Parameters
    ----------
    offset : array
        Pixels from the line's mean.
    sigma : array
        Scale before the spectrograph, pixels.
    skewness : array
        Shape parameter before the spectrograph.
    dispersion : array
        Standard deviation of the line spread, pixels.

    Returns
    -------
    array
        Flux per pixel of a line of unit flux.

    Notes
    -----
    Li et al. 2019, section 4. A skew-normal profile convolved with a Gaussian is one again.
    """
    spread = np.sqrt(dispersion**2 + PIXEL_VARIANCE)
    total = np.hypot(sigma, spread)
    shape = broadened_skewness(skewness, total, spread)
    x = (offset + skew_normal_mean(total, shape)) / total
    return np.asarray(np.sqrt(2 / np.pi) / total * np.exp(-0.5 * x**2) * ndtr(shape * x))


def doublet(separation: float | Floats) -> Profile:
    """Return the profile of a doublet, whose shape parameter is its flux ratio, red over blue.

    Parameters
    ----------
    separation : float or array
        Distance of its lines, pixels; an array is of the profile's shape, or broadcast to it.

    Returns
    -------
    Profile
        A profile centred midway between the lines.
    """

    def profile(offset: Floats, sigma: Floats, ratio: Floats, dispersion: Floats) -> Floats:
        total = np.sqrt(sigma**2 + dispersion**2 + PIXEL_VARIANCE)
        blue = np.exp(-0.5 * ((offset + separation / 2) / total) ** 2)
        red = np.exp(-0.5 * ((offset - separation / 2) / total) ** 2)
        return np.asarray((blue + ratio * red) / ((1 + ratio) * np.sqrt(2 * np.pi) * total))

    return profile


def fit_lines(
    cutouts: Cutouts,
    profile: Profile,
    shapes: Floats,
    sigma_range: tuple[float, float],
    reach: float,
) -> LineFits:
    """Fit place, scale, flux and continuum of each line, for each given shape.

    Parameters
    ----------
    cutouts : Cutouts
        H lines.
    profile : Profile
        Family of profiles.
    shapes : array of shape (H, T) or (T,)
        Shape parameters.
    sigma_range : tuple of float
        Scales before the spectrograph between which to search, pixels.
    reach : float
        Largest distance of the fitted line from the hit, pixels.

    Returns
    -------
    LineFits
        One fit for each hit and shape. A fit always ends: a line without good pixels has chi2 0.

    Notes
    -----
    Levenberg and Marquardt's method on the place and the logarithm of the scale; flux and continuum
    are linear and solved for at every step.
    """
    shapes = np.broadcast_to(shapes, (len(cutouts), np.shape(shapes)[-1]))
    fits = _Fits(cutouts, profile, shapes.ravel(), shapes.shape[1], np.log(sigma_range), reach)
    fits.run()
    return fits.result(shapes.shape)


class _Fits:
    """The M = H x T fits under way: parameters, the linear part of each, and its chi2."""

    def __init__(
        self,
        cutouts: Cutouts,
        profile: Profile,
        shape: Floats,
        n_shapes: int,
        log_range: Floats,
        reach: float,
    ) -> None:
        self._offset, self._profile, self._shape = cutouts.offset, profile, shape
        self._log_range, self._reach = log_range, reach
        hit = np.repeat(np.arange(len(cutouts)), n_shapes)
        self._flux, self._ivar = cutouts.flux[hit], cutouts.ivar[hit]
        self._dispersion = cutouts.dispersion[hit]
        self._pixel_width = cutouts.pixel_width[hit]
        self._start = cutouts.centre[hit]
        self.mean = self._start.copy()
        self.log_sigma = np.full(len(hit), np.clip(0.5, *log_range))
        self.damping = np.full(len(hit), 1e-2)
        everyone = np.arange(len(hit))
        self.chi2, self.linear, self._line = self._solved(everyone, self.mean, self.log_sigma)

    def _lines(self, rows: NDArray[np.intp], mean: Floats, log_sigma: Floats) -> Floats:
        """Profiles of unit flux, shape (n, P)."""
        columns = (mean, np.exp(log_sigma), self._shape[rows], self._dispersion[rows])
        place, sigma, skew, spread = (column[:, None] for column in columns)
        return self._profile(self._offset - place, sigma, skew, spread)

    def _solved(
        self, rows: NDArray[np.intp], mean: Floats, log_sigma: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """Solve for continuum and flux: chi2 (n,), both (n, 2), the line of unit flux (n, P)."""
        line = self._lines(rows, mean, log_sigma)
        w, d = self._ivar[rows], self._flux[rows]
        a, b, c = w.sum(1), (w * line).sum(1), (w * line**2).sum(1)
        u, v = (w * d).sum(1), (w * line * d).sum(1)
        determinant = np.maximum(a * c - b**2, TINY)
        linear = np.stack([(c * u - b * v) / determinant, (a * v - b * u) / determinant], axis=1)
        # A line that is flat, or nowhere, over the good pixels leaves the continuum alone.
        alone = a * c - b**2 <= 1e-9 * a * c
        linear[alone] = np.stack([u / np.maximum(a, TINY), np.zeros_like(u)], axis=1)[alone]
        residual = d - linear[:, :1] - linear[:, 1:] * line
        return (w * residual**2).sum(1), linear, line

    def run(self) -> None:
        """Improve all fits until none gets better."""
        rows = np.arange(len(self.mean))
        for _ in range(MAX_STEPS):
            if not len(rows):
                break
            rows = rows[self._step(rows)]

    def _normal(self, rows: NDArray[np.intp]) -> tuple[Floats, Floats, Floats]:
        """Linearise some fits in continuum, flux, place and log scale.

        Returns the normal matrices (n, 4, 4) scaled to a unit diagonal, the right-hand sides (n, 4)
        scaled likewise, and the scales (n, 4).
        """
        line, linear = self._line[rows], self.linear[rows]
        mean, log_sigma = self.mean[rows], self.log_sigma[rows]
        to_mean = (self._lines(rows, mean + STEP, log_sigma) - line) / STEP
        to_sigma = (self._lines(rows, mean, log_sigma + STEP) - line) / STEP
        flux = linear[:, 1:]
        design = np.stack([np.ones_like(line), line, flux * to_mean, flux * to_sigma], axis=2)
        weighted = design * self._ivar[rows][:, :, None]
        normal = weighted.swapaxes(1, 2) @ design
        residual = self._flux[rows] - linear[:, :1] - flux * line
        right = (weighted * residual[:, :, None]).sum(1)
        scale = 1 / np.sqrt(np.maximum(np.diagonal(normal, axis1=1, axis2=2), TINY))
        # A scale that the fit no longer feels leaves the matrix singular but for this.
        normal = normal * scale[:, :, None] * scale[:, None, :] + RIDGE * np.eye(4)
        return normal, right * scale, scale

    def _step(self, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Take one step of some fits; say which may still gain."""
        normal, right, scale = self._normal(rows)
        normal += self.damping[rows][:, None, None] * np.eye(4)
        step = np.linalg.solve(normal, right[:, :, None])[:, :, 0] * scale
        mean = self.mean[rows] + np.clip(step[:, 2], -2, 2)
        mean = self._start[rows] + np.clip(mean - self._start[rows], -self._reach, self._reach)
        log_sigma = np.clip(self.log_sigma[rows] + np.clip(step[:, 3], -1, 1), *self._log_range)
        chi2, linear, line = self._solved(rows, mean, log_sigma)
        gain = self.chi2[rows] - chi2
        better = gain > 0
        kept = rows[better]
        self.mean[kept], self.log_sigma[kept] = mean[better], log_sigma[better]
        self.chi2[kept], self.linear[kept] = chi2[better], linear[better]
        self._line[kept] = line[better]
        self.damping[rows] *= np.where(better, 0.2, 10.0)
        return np.where(better, gain > CONVERGED, self.damping[rows] < MAX_DAMPING)

    def result(self, shape: tuple[int, ...]) -> LineFits:
        """Return the fits, with errors from the curvature at their ends."""
        rows = np.arange(len(self.mean))
        normal, _, scale = self._normal(rows)
        covariance = np.linalg.inv(normal)
        error = np.sqrt(np.maximum(covariance[:, 1, 1], 0)) * scale[:, 1]
        error[self._ivar.sum(1) == 0] = np.nan
        values = (
            self.chi2,
            self.mean,
            np.exp(self.log_sigma),
            self.linear[:, 1] * self._pixel_width,
            error * self._pixel_width,
            self.linear[:, 0],
            self.linear[:, 1] * self._line.max(axis=1),
        )
        return LineFits(*(value.reshape(shape) for value in values))
