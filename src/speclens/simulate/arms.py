"""The arms of DESI's spectrographs in mock surveys: their pixels, and the noise on them.

In: names of arms, the product of `tools/build_noise_model.py --instrument desi`. Out: `Arms`, which
lays the pixels of the arms side by side, as noise is drawn on them, and their noise model. What a
coadd's file looks like is left to `speclens.simulate.coadds`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import as_file, files
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from speclens.simulate.linear_grid import LinearGrid
from speclens.simulate.noise_model import NoiseModel
from speclens.simulate.sky import OR_BITS

__all__ = ["ARM_PIXELS", "BIN_PIXELS", "Arms", "arms_noise", "line_strength", "over_pixels"]

STEP = 0.8

ARM_PIXELS: Mapping[str, LinearGrid] = {
    "B": LinearGrid(3600.0, STEP, 2751),
    "R": LinearGrid(5760.0, STEP, 2326),
    "Z": LinearGrid(7520.0, STEP, 2881),
}
"""Pixels of each arm, all on one grid (desidatamodel)."""

BIN_PIXELS = 40
"""Smooth curves of the noise are given in bins of this many pixels of an arm."""

CONTINUUM_PIXELS = 151
"""Width of the median that separates the sky's lines from its continuum."""

PRODUCT = "desi_noise_model.fits"

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Arms:
    """Arms, whose P pixels stand side by side: where two overlap, both have seen a wavelength.

    Parameters
    ----------
    names : tuple of str
        The arms, by wavelength.
    """

    names: tuple[str, ...]

    @cached_property
    def grid(self) -> LinearGrid:
        """The pixels that all arms share, L of them."""
        first, last = (ARM_PIXELS[name] for name in (self.names[0], self.names[-1]))
        return LinearGrid(first.first, STEP, _start(last, first) + last.n_pixels)

    @cached_property
    def numbers(self) -> list[int]:
        """Which of `ARM_PIXELS` they are."""
        return [list(ARM_PIXELS).index(name) for name in self.names]

    @cached_property
    def parts(self) -> list[slice]:
        """The pixels of each arm among the P."""
        ends = np.cumsum([0, *(ARM_PIXELS[name].n_pixels for name in self.names)]).tolist()
        return [slice(start, stop) for start, stop in pairwise(ends)]

    @cached_property
    def places(self) -> NDArray[np.intp]:
        """Which of the L pixels each of the P is, shape (P,)."""
        first = ARM_PIXELS[self.names[0]]
        return np.concatenate([
            _start(ARM_PIXELS[name], first) + np.arange(ARM_PIXELS[name].n_pixels)
            for name in self.names
        ])  # fmt: skip

    @property
    def covered(self) -> list[tuple[float, float]]:
        """First and last wavelengths of what is seen without a gap, Angstrom."""
        seen = np.unique(self.places)
        parts = np.split(self.grid.wave[seen], np.flatnonzero(np.diff(seen) > 1) + 1)
        return [(float(wave[0]), float(wave[-1])) for wave in parts]

    def joined(self, values: Floats) -> Floats:
        """Average what arms say of the same pixel.

        Parameters
        ----------
        values : array of shape (N, P)
            Of each arm's pixels.

        Returns
        -------
        array of shape (N, L)
            The mean; 0 between arms.
        """
        total = np.zeros((len(values), self.grid.n_pixels), np.float32)
        for part in self.parts:
            total[:, self.places[part]] += values[:, part]
        n_arms = np.bincount(self.places, minlength=self.grid.n_pixels)
        return np.asarray(total / np.maximum(n_arms, 1), np.float32)

    def within(self, low: float, high: float) -> Arms:
        """Return those that reach a window from `low` to `high`, Angstrom."""
        grids = [(name, ARM_PIXELS[name].wave) for name in self.names]
        return Arms(tuple(name for name, wave in grids if wave[0] < high and wave[-1] > low))

    @classmethod
    def of(cls, names: Sequence[str]) -> Arms:
        """Return some arms, in the order of their wavelengths."""
        return cls(tuple(name for name in ARM_PIXELS if name in names))


@lru_cache(maxsize=4)
def arms_noise(arms: Arms) -> NoiseModel:
    """Read the bundled noise model of DESI.

    Parameters
    ----------
    arms : Arms
        The arms that are wanted.

    Returns
    -------
    NoiseModel
        The model on their P pixels. Of what targets share, of the sky's spectrum and of fixed bad
        pixels it knows nothing.
    """
    from astropy.io import fits

    with (
        as_file(files("speclens") / "data" / PRODUCT) as path,
        fits.open(path, memmap=False) as hdus,
    ):
        sigma = np.asarray(hdus["NOISE"].data["SIGMA_SKY"], np.float32)
        table = hdus["SMOOTH"].data
        smooth = {name.lower(): np.asarray(table[name], np.float64).T for name in table.names}
    curves = {
        # FITS does not tell one mode from none.
        name: over_pixels(np.atleast_2d(row) if "_modes" in name else row, arms.names)
        for name, row in smooth.items()
    }
    sigma = np.concatenate([sigma[Arms(tuple(ARM_PIXELS)).parts[i]] for i in arms.numbers])
    strength = [line_strength(sigma[part], curves["poisson"][part]) for part in arms.parts]
    zero = np.zeros(len(sigma), np.float32)
    return NoiseModel(
        grid=None, sigma_sky=sigma, sky=zero, common_ratio=zero, bright_sky=zero, missing=zero,
        line_strength=np.concatenate(strength), low_order_modes=zero[None],
        plate_spread_modes=zero[None], or_bits=np.zeros((len(OR_BITS), len(zero)), np.float32),
        # Spectra are extracted such that the noise of these pixels is white.
        kernel=np.ones(1, np.float32), **curves,
    )  # fmt: skip


def over_pixels(values: NDArray[np.floating], names: Sequence[str]) -> Floats:
    """Interpolate curves in bins of all arms to the pixels of some.

    Parameters
    ----------
    values : array of shape (B,) or (M, B)
        The curves, a value for each bin of B, R and Z; the last bin of an arm takes up the rest.
    names : sequence of str
        The arms.

    Returns
    -------
    array of shape (P,) or (M, P)
        The curves on the pixels of these arms.
    """
    lengths = {name: grid.n_pixels for name, grid in ARM_PIXELS.items()}
    ends = np.cumsum([n // BIN_PIXELS for n in lengths.values()])
    of_arm = dict(zip(lengths, np.split(np.atleast_2d(values), ends[:-1], axis=1), strict=True))
    curves = []
    for name in names:
        edges = np.r_[np.arange(lengths[name] // BIN_PIXELS) * BIN_PIXELS, lengths[name]]
        middle, pixel = (edges[1:] + edges[:-1] - 1) / 2, np.arange(lengths[name])
        curves.append([np.interp(pixel, middle, row) for row in of_arm[name]])
    joined = np.concatenate([np.asarray(curve, np.float32) for curve in curves], axis=1)
    return joined.reshape((*np.shape(values)[:-1], joined.shape[1]))


def line_strength(sigma: NDArray[np.floating], poisson: NDArray[np.floating]) -> Floats:
    """Return by how much lines of the sky stand out of its continuum, by their photons' noise.

    Parameters
    ----------
    sigma : array of shape (L,)
        Error of a fibre without flux.
    poisson : array of shape (L,)
        Variance per flux density.

    Returns
    -------
    array of shape (L,)
        Flux density of the lines; 0 where it is below the continuum's.

    Notes
    -----
    A coadd does not hold the sky that was subtracted. Its photons scatter as those of a target do:
    the variance of a pixel, over that which flux adds, is its sky and a constant.
    """
    level = sigma**2 / poisson
    continuum = median_filter(level, CONTINUUM_PIXELS, mode="nearest")
    return np.asarray(np.maximum(level - continuum, 0), np.float32)


def _start(arm: LinearGrid, first: LinearGrid) -> int:
    return round((arm.first - first.first) / STEP)
