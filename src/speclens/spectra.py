"""The batch of spectra that all stages share, and its wavelength grid.

In: nothing. Out: `LogGrid` and `SpectrumBatch`. Shapes are checked here, once; the stages rely on
them. Shape letters: N spectra, L pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from speclens.lines import PIXEL_KMS, PIXEL_LOGLAM, pixel_width_angstrom

__all__ = [
    "TARGET_DTYPE",
    "FittedSpectra",
    "LogGrid",
    "SpectrumBatch",
    "unit_vectors",
]

TARGET_DTYPE = np.dtype(
    [
        ("TARGETID", "i8"),
        ("PLATE", "i4"),
        ("MJD", "i4"),
        ("FIBERID", "i4"),
        ("SPECTRUM", "U40"),
        ("CATALOGID", "i8"),
        ("SDSS_ID", "i8"),
        ("RA", "f8"),
        ("DEC", "f8"),
        ("Z", "f8"),
        ("ZWARNING", "i8"),
        ("CLASS", "U8"),
        ("SUBCLASS", "U24"),
        ("Z_NOQSO", "f8"),
        ("ZWARNING_NOQSO", "i8"),
        ("CLASS_NOQSO", "U8"),
        ("SUBCLASS_NOQSO", "U24"),
        ("OBJTYPE", "U16"),
        ("PLATEQUALITY", "U8"),
        ("VDISP", "f4"),
        ("VDISP_ERR", "f4"),
        ("MAG_I", "f4"),
    ]
)
"""One row of the survey's catalogue: what selection and the products need to know of a target.
SPECTRUM is empty where numbers name the spectrum, as plate, date and fibre do."""


def unit_vectors(rows: NDArray[np.void]) -> NDArray[np.float64]:
    """Return the directions of rows on the sky, of which distances are right at the poles too.

    Parameters
    ----------
    rows : structured array of shape (N,)
        With RA and DEC, degrees.

    Returns
    -------
    array of shape (N, 3)
        Vectors of length 1.
    """
    ra, dec = np.radians(rows["RA"]), np.radians(rows["DEC"])
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)


@dataclass(frozen=True)
class LogGrid:
    """A run of pixels of the SDSS global grid, log10(wavelength) = n * 1e-4.

    Plates start at different n, but on the same grid: spectra align by whole pixels.

    Parameters
    ----------
    first : int
        n of the first pixel.
    n_pixels : int
        Number of pixels L.
    """

    first: int
    n_pixels: int

    @classmethod
    def covering(cls, wave_min: float, wave_max: float) -> LogGrid:
        """Return the pixels whose centres lie within two wavelengths.

        Parameters
        ----------
        wave_min, wave_max : float
            Ends, vacuum Angstrom.

        Returns
        -------
        LogGrid
            3800 to 5000 Angstrom gives 1192 pixels.
        """
        first = int(np.ceil(np.log10(wave_min) / PIXEL_LOGLAM))
        last = int(np.floor(np.log10(wave_max) / PIXEL_LOGLAM))
        return cls(first, last - first + 1)

    @cached_property
    def loglam(self) -> NDArray[np.float64]:
        """log10 of the wavelength, shape (L,)."""
        return np.asarray((self.first + np.arange(self.n_pixels)) * PIXEL_LOGLAM, np.float64)

    @cached_property
    def wave(self) -> NDArray[np.float64]:
        """Vacuum wavelength, shape (L,), Angstrom."""
        return np.asarray(10**self.loglam, np.float64)

    def pixel(self, wave: NDArray[np.floating] | float) -> NDArray[np.float64]:
        """Return the fractional pixel of a wavelength.

        Parameters
        ----------
        wave : array or float
            Vacuum wavelength, Angstrom.

        Returns
        -------
        array
            0 at the centre of the first pixel.
        """
        return np.asarray(np.log10(wave) / PIXEL_LOGLAM - self.first, np.float64)

    def nearest(self, wave: NDArray[np.floating]) -> NDArray[np.intp]:
        """Return the pixel nearest to each wavelength.

        Parameters
        ----------
        wave : array
            Vacuum wavelength, Angstrom; beyond the grid its nearest end counts.

        Returns
        -------
        array
            Index of a pixel of this grid.
        """
        return np.clip(np.round(self.pixel(wave)), 0, self.n_pixels - 1).astype(np.intp)

    def width(self, wave: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the width of a pixel at each wavelength, Angstrom.

        Parameters
        ----------
        wave : array
            Vacuum wavelength, Angstrom.

        Returns
        -------
        array
            Widths, Angstrom.
        """
        return pixel_width_angstrom(wave)

    def pixels_of(
        self,
        kms: NDArray[np.floating],
        wave: NDArray[np.floating],  # noqa: ARG002 - the same everywhere
    ) -> NDArray[np.float64]:
        """Return how many pixels velocities are.

        Parameters
        ----------
        kms : array
            Velocities, km/s.
        wave : array
            Vacuum wavelengths at which they are asked for, Angstrom.

        Returns
        -------
        array
            Pixels.
        """
        return np.asarray(kms / PIXEL_KMS, np.float64)

    def overlap(self, other: LogGrid) -> tuple[slice, slice]:
        """Return the pixels that two grids share.

        Parameters
        ----------
        other : LogGrid
            The other grid.

        Returns
        -------
        tuple of slice
            The shared pixels in this grid and in the other; empty slices when there are none.
        """
        start = max(self.first, other.first)
        stop = max(start, min(self.first + self.n_pixels, other.first + other.n_pixels))
        mine = slice(start - self.first, stop - self.first)
        return mine, slice(start - other.first, stop - other.first)


@dataclass(frozen=True)
class SpectrumBatch:
    """Spectra on one grid, with their catalogue rows.

    Parameters
    ----------
    grid : LogGrid
        Wavelengths, L pixels.
    flux : array of shape (N, L)
        Flux density, 1e-17 erg/s/cm2/Angstrom.
    ivar : array of shape (N, L)
        Inverse variance of `flux`, as read: may hold anything that a file may hold.
    mask : array of shape (N, L)
        True for pixels that the survey rules out, and where the file has none.
    covered : array of shape (N, L)
        False where the file has no such pixel.
    dispersion : array of shape (N, L)
        Standard deviation of the line spread, pixels; 0 where unknown.
    targets : array of shape (N,)
        Catalogue rows, `TARGET_DTYPE`.
    files : sequence of str, length N
        The file of each spectrum.

    Raises
    ------
    ValueError
        If the shapes disagree.
    """

    grid: LogGrid
    flux: NDArray[np.float32]
    ivar: NDArray[np.float32]
    mask: NDArray[np.bool_]
    covered: NDArray[np.bool_]
    dispersion: NDArray[np.float32]
    targets: NDArray[np.void]
    files: Sequence[str]

    def __post_init__(self) -> None:
        shape = (len(self.targets), self.grid.n_pixels)
        for name in ("flux", "ivar", "mask", "covered", "dispersion"):
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} has shape {getattr(self, name).shape}, not {shape}")
        if len(self.files) != len(self.targets):
            raise ValueError(f"{len(self.files)} files for {len(self.targets)} spectra")

    def __len__(self) -> int:
        return len(self.targets)

    def dispersion_at(self, wave: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return the line spread of each spectrum at a wavelength of its own.

        Parameters
        ----------
        wave : array of shape (N,)
            Vacuum wavelength, Angstrom; beyond the grid its nearest end counts.

        Returns
        -------
        array of shape (N,)
            Standard deviation, pixels; 0 where unknown.
        """
        return np.asarray(self.dispersion[np.arange(len(self)), self.grid.nearest(wave)])

    def on(self, grid: LogGrid) -> SpectrumBatch:
        """Return the part of the spectra that lies on another grid.

        Parameters
        ----------
        grid : LogGrid
            A window, wholly within this batch's grid.

        Returns
        -------
        SpectrumBatch
            The same spectra, fewer pixels.
        """
        _, part = grid.overlap(self.grid)
        return SpectrumBatch(
            grid, self.flux[:, part], self.ivar[:, part], self.mask[:, part],
            self.covered[:, part], self.dispersion[:, part], self.targets, self.files,
        )  # fmt: skip

    def __getitem__(self, rows: NDArray[np.integer] | NDArray[np.bool_] | slice) -> SpectrumBatch:
        index = np.arange(len(self))[rows]
        return SpectrumBatch(
            self.grid,
            self.flux[rows],
            self.ivar[rows],
            self.mask[rows],
            self.covered[rows],
            self.dispersion[rows],
            self.targets[rows],
            [self.files[i] for i in index],
        )


@dataclass(frozen=True)
class FittedSpectra:
    """Spectra with their fitted foreground.

    Parameters
    ----------
    grid : LogGrid
        Wavelengths, L pixels.
    flux : array of shape (N, L)
        Flux density, 1e-17 erg/s/cm2/Angstrom.
    ivar : array of shape (N, L)
        Its inverse variance, with the errors that a search believes; 0 where masked.
    model : array of shape (N, L)
        Foreground, fitted without the line that was found; 0 where there is none.
    dispersion : array of shape (N, L)
        Standard deviation of the line spread, pixels; 0 where unknown.
    """

    grid: LogGrid
    flux: NDArray[np.float32]
    ivar: NDArray[np.float32]
    model: NDArray[np.float32]
    dispersion: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.flux)

    def __getitem__(self, rows: NDArray[np.integer] | NDArray[np.bool_] | slice) -> FittedSpectra:
        return FittedSpectra(
            self.grid, self.flux[rows], self.ivar[rows], self.model[rows], self.dispersion[rows]
        )

    @cached_property
    def residual(self) -> NDArray[np.float32]:
        """Flux without the foreground, shape (N, L); 0 where masked."""
        return np.where(self.ivar > 0, self.flux - self.model, np.float32(0))
