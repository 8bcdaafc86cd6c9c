"""The noise model of mock spectra, measured on real ones.

In: the product of `tools/build_noise_model.py`. Out: `NoiseModel`, its curves on any grid. Drawing
noise from it is left to `speclens.simulate.sky`, DESI's to `speclens.simulate.arms`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from speclens.errors import ConfigError
from speclens.spectra import LogGrid

if TYPE_CHECKING:
    from astropy.io.fits import BinTableHDU

__all__ = ["NoiseModel"]

Floats = NDArray[np.float32]

N_LOW_ORDER = 4
"""Legendre orders of the low-order residual: what a cubic polynomial in a fit can take up."""

SMOOTH_PIXELS = 101
"""Width of the median that takes the sky lines out of the error."""


@dataclass(frozen=True)
class NoiseModel:
    """Noise of spectra by wavelength, measured on real ones.

    Parameters
    ----------
    grid : LogGrid or None
        Wavelengths, L pixels; None for those of several arms side by side.
    sigma_sky : array of shape (L,)
        Stated error of a fibre without flux, 1e-17 erg/s/cm2/Angstrom.
    poisson : array of shape (L,)
        Stated variance per flux density, 1e-17 erg/s/cm2/Angstrom.
    sky : array of shape (L,)
        Flux density of the night sky.
    line_strength : array of shape (L,)
        Absolute difference of the sky and its continuum, flux density.
    dispersion : array of shape (L,)
        Standard deviation of the line spread, pixels.
    error_ratio : array of shape (L,)
        Real over stated error, the part of each fibre alone.
    common_ratio : array of shape (L,)
        Real error that all targets of a spectrograph share (the noise of the sky model), in units
        of the stated error.
    plate_modes, fibre_modes : array of shape (M, L)
        How the logarithm of the variance differs between plates, and between fibres of a plate: a
        sum of modes with coefficients of unit variance.
    plate_spread_modes, fibre_spread_modes : array of shape (M, L)
        The same of the logarithm of `dispersion`.
    bright_sky, missing : array of shape (L,)
        Probability that BRIGHTSKY is set in the AND mask, and that the inverse variance is 0.
    or_bits : array of shape (len(OR_BITS), L)
        Probability that a bit is set in the OR mask.
    low_order_modes : array of shape (M, L)
        Smooth residual of the calibration, flux density: a sum of modes whose coefficients have
        the root mean square that is asked for, in stated errors of a faint fibre.
    kernel : array of shape (K,)
        Symmetric filter that gives white noise the correlation of neighbouring pixels and keeps
        its variance.
    """

    grid: LogGrid | None
    sigma_sky: Floats
    poisson: Floats
    sky: Floats
    line_strength: Floats
    dispersion: Floats
    error_ratio: Floats
    common_ratio: Floats
    plate_modes: Floats
    fibre_modes: Floats
    plate_spread_modes: Floats
    fibre_spread_modes: Floats
    bright_sky: Floats
    missing: Floats
    or_bits: Floats
    low_order_modes: Floats
    kernel: Floats

    @classmethod
    @lru_cache(maxsize=1)
    def bundled(cls) -> Self:
        """Read the bundled model.

        Returns
        -------
        NoiseModel
            The model that `tools/build_noise_model.py` made.
        """
        with as_file(files("speclens") / "data" / "noise_model.fits") as path:
            return cls.read(path)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a model.

        Parameters
        ----------
        path : Path
            Product of `tools/build_noise_model.py`.

        Returns
        -------
        NoiseModel
            The model on the file's grid.

        Raises
        ------
        ConfigError
            If the file is not such a product.
        """
        from astropy.io import fits

        try:
            with fits.open(path, memmap=False) as hdus:
                fine, smooth = _columns(hdus["NOISE"]), _columns(hdus["SMOOTH"])
                grid = LogGrid(int(hdus["NOISE"].header["FIRSTPIX"]), fine["sky"].shape[-1])
                bin_pixels = int(hdus["SMOOTH"].header["BINPIX"])
                kernel = np.asarray(hdus["KERNEL"].data, np.float32)
            curves = {name: _interpolated(v, bin_pixels, grid) for name, v in smooth.items()}
            low_order = _low_order_modes(fine["sigma_sky"])
            return cls(grid, low_order_modes=low_order, kernel=kernel, **fine, **curves)
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ConfigError(
                f"noise model {path}: not readable as one ({error}); make it with "
                "tools/build_noise_model.py"
            ) from error

    @property
    def n_pixels(self) -> int:
        """Number of pixels L."""
        return len(self.sigma_sky)

    def on(self, grid: LogGrid) -> Self:
        """Return the model on another grid.

        Parameters
        ----------
        grid : LogGrid
            Wavelengths wanted, L pixels.

        Returns
        -------
        NoiseModel
            The model there; the value at the end stands beyond the model's coverage.

        Raises
        ------
        ValueError
            If the model is of arms, which have pixels of their own.
        """
        if self.grid is None:
            raise ValueError("a noise model of arms stays on their pixels")
        pixel = grid.first - self.grid.first + np.arange(grid.n_pixels)
        nearest = np.clip(pixel, 0, self.n_pixels - 1)
        arrays = {
            name: value[..., nearest]
            for name, value in vars(self).items()
            if name not in ("grid", "kernel")
        }
        return type(self)(grid, kernel=self.kernel, **arrays)


def _columns(table: BinTableHDU) -> dict[str, Floats]:
    """Return columns by lower-case name, shape (L,) or (M, L)."""
    data = table.data
    return {n.lower(): np.ascontiguousarray(np.asarray(data[n], np.float32).T) for n in data.names}


def _low_order_modes(sigma: Floats) -> Floats:
    """Return polynomials over all of the spectrograph, shape (M, L), in the error of a fibre.

    Where errors are above their median the residual grows as their root.
    """
    x = np.linspace(-1, 1, len(sigma))
    unit = np.sqrt((2 * np.arange(N_LOW_ORDER) + 1) / N_LOW_ORDER)
    error = median_filter(sigma, SMOOTH_PIXELS, mode="nearest")
    scale = np.minimum(error, np.sqrt(error * np.median(error)))
    return np.asarray((legendre.legvander(x, N_LOW_ORDER - 1) * unit).T * scale, np.float32)


def _interpolated(values: Floats, bin_pixels: int, grid: LogGrid) -> Floats:
    """Interpolate curves (B,) or (M, B) in bins of pixels to the pixels."""
    pixel = np.arange(grid.n_pixels)
    middle = (np.arange(values.shape[-1]) + 0.5) * bin_pixels
    curves = [np.interp(pixel, middle, row) for row in np.atleast_2d(values)]
    return np.asarray(curves, np.float32).reshape((*values.shape[:-1], grid.n_pixels))
