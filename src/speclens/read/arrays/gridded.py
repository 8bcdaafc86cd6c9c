"""Spectra onto SDSS's own grid, on which all searches work.

In: spectra on any wavelengths that increase. Out: the same on a `LogGrid`. Those that lie on it are
taken as they are, pixel by pixel; others are resampled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from speclens.errors import SpectraError
from speclens.lines import PIXEL_KMS, PIXEL_LOGLAM, pixel_width_angstrom
from speclens.spectra import LogGrid

__all__ = ["Gridded", "joined", "on_grid"]

Floats = NDArray[np.floating]

REACH = (2000.0, 12000.0)
"""What lies beyond no search looks at, Angstrom."""

TOLERANCE = 0.05
"""Largest distance from the grid of wavelengths that lie on it, pixels."""

COARSEST = 1.75
"""Width of pixels that may be resampled, pixels of the grid: wider ones cannot show a line."""

LEAST_COVERED = 0.5
"""Part of a pixel that must have been measured."""


@dataclass(frozen=True)
class Gridded:
    """N spectra on a grid.

    Parameters
    ----------
    grid : LogGrid
        Wavelengths, L pixels.
    flux, ivar : array of shape (N, L)
        Flux density, 1e-17 erg/s/cm2/Angstrom, and its inverse variance; 0 where unknown.
    covered : array of shape (N, L)
        Where they reach.
    dispersion : array of shape (N, L)
        Standard deviation of the line spread, pixels; 0 where unknown.
    resampled : bool
        False where the pixels are those that were given.
    """

    grid: LogGrid
    flux: NDArray[np.float32]
    ivar: NDArray[np.float32]
    covered: NDArray[np.bool_]
    dispersion: NDArray[np.float32]
    resampled: bool

    def __len__(self) -> int:
        return len(self.flux)


def on_grid(wave: Floats, flux: Floats, ivar: Floats, dispersion: Floats) -> Gridded:
    """Bring spectra of the same wavelengths onto the grid.

    Parameters
    ----------
    wave : array of shape (P,)
        Vacuum Angstrom, increasing.
    flux, ivar : array of shape (N, P)
        Flux density, 1e-17 erg/s/cm2/Angstrom, and its inverse variance; 0 where unknown.
    dispersion : array of shape (N, P)
        Standard deviation of the line spread, pixels of the grid; 0 where unknown.

    Returns
    -------
    Gridded
        The spectra.

    Raises
    ------
    SpectraError
        If they lie elsewhere, or their pixels are too wide.

    Notes
    -----
    A pixel of the grid has the mean of the pixels that it overlaps, weighed by their inverse
    variance and by the part of each that lies in it; its inverse variance is the sum of theirs,
    by those parts. So flux and information are conserved: the signal-to-noise ratio of a line is
    what it was. Neighbours are correlated then, and their scatter is less than their errors say.
    A line becomes wider: by a sixth of the square of a pixel, twice its variance.
    """
    inside = slice(*np.searchsorted(wave, REACH).tolist())
    if len(wave[inside]) < 2:
        raise SpectraError(
            f"wavelengths from {wave[0]:g} to {wave[-1]:g} Angstrom: the searches look between "
            f"{REACH[0]:g} and {REACH[1]:g}",
            "bad_wavelengths",
        )
    wave, flux, ivar, dispersion = (array[..., inside] for array in (wave, flux, ivar, dispersion))
    place = np.log10(wave) / PIXEL_LOGLAM
    first = round(float(place[0]))
    if np.abs(place - first - np.arange(len(wave))).max() < TOLERANCE:
        covered = np.ones(flux.shape, bool)
        known = np.where(ivar > 0, flux, flux.dtype.type(0))
        return Gridded(
            LogGrid(first, len(wave)),
            np.asarray(known, np.float32),
            np.asarray(ivar, np.float32),
            covered,
            np.asarray(dispersion, np.float32),
            False,
        )
    return _resampled(wave, flux, ivar, dispersion)


def _resampled(wave: Floats, flux: Floats, ivar: Floats, dispersion: Floats) -> Gridded:
    from scipy.sparse import csr_array

    edges = _edges(wave)
    widths = np.diff(edges)
    in_pixels = widths / pixel_width_angstrom(wave)
    if np.median(in_pixels) > COARSEST:
        raise SpectraError(
            f"pixels of {np.median(in_pixels) * PIXEL_KMS:.0f} km/s are too wide: emission lines "
            f"are searched in pixels of at most {COARSEST * PIXEL_KMS:.0f} km/s",
            "bad_wavelengths",
        )
    grid = LogGrid.covering(float(edges[0]), float(edges[-1]))
    ours = 10 ** ((grid.first + np.arange(grid.n_pixels + 1) - 0.5) * PIXEL_LOGLAM)
    # Between two edges that follow each other, of whichever grid, lies one pixel of each.
    cuts = np.unique(np.clip(np.concatenate([edges, ours]), edges[0], edges[-1]))
    cuts = cuts[(cuts >= ours[0]) & (cuts <= ours[-1])]
    middle, length = (cuts[1:] + cuts[:-1]) / 2, np.diff(cuts)
    row, column = np.searchsorted(ours, middle) - 1, np.searchsorted(edges, middle) - 1
    shape = (grid.n_pixels, len(wave))
    parts = csr_array((length / widths[column], (row, column)), shape=shape)
    shares = csr_array((length / np.diff(ours)[row], (row, column)), shape=shape)
    weight = (parts @ ivar.T).T
    total = (parts @ (ivar * np.where(ivar > 0, flux, 0)).T).T
    reached = _reached(grid, wave)
    covered = reached & ((shares @ np.ones((len(wave), 1))).T >= LEAST_COVERED)
    measured = reached & ((shares @ (ivar > 0).astype(np.float64).T).T >= LEAST_COVERED)
    mean = np.divide(total, weight, out=np.zeros_like(total), where=measured & (weight > 0))
    spread = _broadened(grid, wave, in_pixels, dispersion)
    return Gridded(
        grid,
        mean.astype(np.float32),
        np.where(measured, weight, 0).astype(np.float32),
        np.broadcast_to(covered, mean.shape).copy(),
        spread.astype(np.float32),
        True,
    )


def _edges(wave: Floats) -> Floats:
    """Return the ends of P pixels, half way between their centres, shape (P + 1,)."""
    middle = (wave[1:] + wave[:-1]) / 2
    return np.concatenate([2 * wave[:1] - middle[:1], middle, 2 * wave[-1:] - middle[-1:]])


def _reached(grid: LogGrid, wave: Floats) -> NDArray[np.bool_]:
    """Say which pixels lie near one of the P, shape (L,): between two arms none does."""
    after = np.searchsorted(wave, grid.wave).clip(1, len(wave) - 1)
    away = np.minimum(np.abs(grid.wave - wave[after - 1]), np.abs(grid.wave - wave[after]))
    return np.asarray(away <= COARSEST * pixel_width_angstrom(grid.wave))


def _broadened(grid: LogGrid, wave: Floats, in_pixels: Floats, dispersion: Floats) -> Floats:
    """Line spread after resampling, on the grid; 0 where it was unknown."""
    before = np.array([np.interp(grid.wave, wave, row) for row in dispersion])
    added = np.interp(grid.wave, wave, in_pixels) ** 2 / 6
    return np.asarray(np.where(before > 0, np.sqrt(before**2 + added), 0))


def joined(parts: Sequence[Gridded]) -> Gridded:
    """Join spectra onto one grid that holds all.

    Parameters
    ----------
    parts : sequence of Gridded
        The parts, in order, each on a grid of its own.

    Returns
    -------
    Gridded
        All spectra; where one does not reach it is not covered.
    """
    first = min(part.grid.first for part in parts)
    stop = max(part.grid.first + part.grid.n_pixels for part in parts)
    grid, n_spectra = LogGrid(first, stop - first), sum(map(len, parts))
    if len(parts) == 1:
        return parts[0]
    flux = np.zeros((n_spectra, grid.n_pixels), np.float32)
    ivar, dispersion = np.zeros_like(flux), np.zeros_like(flux)
    covered = np.zeros(flux.shape, bool)
    row = 0
    for part in parts:
        rows, (here, _) = slice(row, row + len(part)), grid.overlap(part.grid)
        for array, own in (
            (flux, part.flux), (ivar, part.ivar), (covered, part.covered),
            (dispersion, part.dispersion),
        ):  # fmt: skip
            array[rows, here] = own
        row += len(part)
    return Gridded(grid, flux, ivar, covered, dispersion, any(p.resampled for p in parts))
