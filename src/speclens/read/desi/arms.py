"""The arms of DESI's spectrographs: where their pixels stand in a file, and what these hold.

In: an open file. Out: `Arm`, of which some rows and a window are read, by the names of HDUs. Pixels
are those of DESI, 0.8 Angstrom wide; the spectra's own grid is left to `speclens.read.desi.coadd`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from speclens.lines import pixel_width_angstrom
from speclens.read.desi import INSTRUMENT
from speclens.read.fits.file import FitsFile
from speclens.read.fits.hdus import Hdu
from speclens.read.sdss.checks import refuse_other_unit
from speclens.read.values import plausible_dispersion

__all__ = ["ARMS", "Arm", "arm_names", "find_arms"]

ARMS = ("B", "R", "Z", "BRZ")
"""The arms, and the name of all three in one."""

WAVE_RANGE = (2000.0, 12000.0)
"""Between these lie wavelengths in Angstrom, and in no other unit."""

AGAIN = "fetch the file again"

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Arm:
    """An arm of an open file.

    Parameters
    ----------
    file : FitsFile
        The file.
    wave : array of shape (P,)
        Vacuum wavelengths of its pixels, increasing, Angstrom.
    flux, ivar : Hdu
        Images of shape (M, P).
    mask : Hdu or None
        The same, of bits.
    resolution : Hdu or None
        Diagonals of the resolution matrix, shape (M, D, P).
    """

    file: FitsFile
    wave: NDArray[np.float64]
    flux: Hdu
    ivar: Hdu
    mask: Hdu | None
    resolution: Hdu | None

    @property
    def hdus(self) -> list[Hdu]:
        """All HDUs that are read of it."""
        return [h for h in (self.flux, self.ivar, self.mask, self.resolution) if h is not None]

    def pixels(self, rows: NDArray[np.integer], part: slice) -> tuple[Floats, Floats]:
        """Read pixels of some rows.

        Parameters
        ----------
        rows : array of shape (N,)
            Rows, increasing.
        part : slice
            Which of the P pixels, L of them.

        Returns
        -------
        flux, ivar : array of shape (N, L)
            Flux density, 1e-17 erg/s/cm2/Angstrom, and its inverse variance; both 0 where a pixel
            is masked, or either is no number.
        """
        flux = self.file.image_rows(self.flux, rows, part, "f4")
        ivar = self.file.image_rows(self.ivar, rows, part, "f4")
        good = np.isfinite(flux) & np.isfinite(ivar) & (ivar > 0)
        if self.mask is not None:
            good &= ~INSTRUMENT.is_masked(self.file.image_rows(self.mask, rows, part, "i4"))
        return np.where(good, flux, np.float32(0)), np.where(good, ivar, np.float32(0))

    def spread(self, rows: NDArray[np.integer], part: slice) -> Floats:
        """Read the line spread of some rows.

        Parameters
        ----------
        rows : array of shape (N,)
            Rows, increasing.
        part : slice
            Which of the P pixels, L of them.

        Returns
        -------
        array of shape (N, L)
            Standard deviation, pixels of the global grid there, that of the arm's own pixel
            within; 0 where unknown.

        Notes
        -----
        A column of the resolution matrix is what the pixels of a spectrum hold of light of one
        wavelength (Guy et al. 2023, AJ 165, 144): its second moment is the spread.
        """
        if self.resolution is None:
            return np.zeros((len(rows), part.stop - part.start), np.float32)
        n_rows, n_diagonals, n_pixels = self.resolution.shape
        image = replace(self.resolution, shape=(n_rows * n_diagonals, n_pixels))
        places = rows[:, None] * n_diagonals + np.arange(n_diagonals)
        band = self.file.image_rows(image, places.ravel(), part, "f4")
        band = band.reshape(len(rows), n_diagonals, -1)
        offset = np.arange(n_diagonals, dtype=np.float32) - n_diagonals // 2
        total, first, second = np.einsum(
            "kd,ndl->knl", np.stack([offset**0, offset, offset**2]), band
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            variance = second / total - (first / total) ** 2
            step = np.gradient(self.wave)[part] / pixel_width_angstrom(self.wave[part])
            spread = np.sqrt(variance) * step.astype(np.float32)
        return plausible_dispersion(spread, INSTRUMENT.line_spread_limits)


def arm_names(file: FitsFile) -> list[str]:
    """Name the arms of which a file holds the flux."""
    names = {hdu.name for hdu in file.hdus}
    return [arm for arm in ARMS if f"{arm}_FLUX" in names]


def find_arms(file: FitsFile, n_rows: int, wave_range: Sequence[float]) -> list[Arm]:
    """Find the arms of a file that lie in a window.

    Parameters
    ----------
    file : FitsFile
        The file.
    n_rows : int
        Number of spectra M.
    wave_range : (float, float)
        The window, Angstrom.

    Returns
    -------
    list of Arm
        Those that the file has; other HDUs are not looked at.

    Raises
    ------
    SpectrumFileError
        If an arm's HDUs are not of one shape, or lack inverse variances or wavelengths in vacuum
        that increase.
    """
    arms = [_arm(file, name, n_rows) for name in arm_names(file)]
    low, high = wave_range
    return [arm for arm in arms if arm.wave[0] < high and arm.wave[-1] > low]


def _arm(file: FitsFile, name: str, n_rows: int) -> Arm:
    flux, ivar, wave = (
        _needed(file, f"{name}_{what}", n_rows) for what in ("FLUX", "IVAR", "WAVELENGTH")
    )
    mask, resolution = (_found(file, f"{name}_{what}") for what in ("MASK", "RESOLUTION"))
    refuse_other_unit(file, flux)
    own = _wavelengths(file, wave)
    shape = (n_rows, len(own))
    for hdu in (flux, ivar, mask):
        if hdu is not None and (hdu.shape != shape or hdu.is_table):
            file.fail(
                "bad_header", f"{hdu.name} has axes {hdu.shape}; FIBERMAP has {n_rows} rows and "
                f"{wave.name} {len(own)} pixels", hdu.index, AGAIN,
            )  # fmt: skip
    if resolution is not None and (len(resolution.shape) != 3 or resolution.shape[::2] != shape):
        file.fail("bad_header", f"{resolution.name} has axes {resolution.shape}", resolution.index)
    return Arm(file, own, flux, ivar, mask, resolution)


def _found(file: FitsFile, name: str) -> Hdu | None:
    return file.find((name,), len(file.hdus))


def _needed(file: FitsFile, name: str, n_rows: int) -> Hdu:
    hdu = _found(file, name)
    if hdu is None:
        file.fail(
            "missing_hdu", f"{name} is not there: without it this arm of {n_rows} spectra cannot "
            "be used", name, "fetch the complete file",
        )  # fmt: skip
    return hdu


def _wavelengths(file: FitsFile, hdu: Hdu) -> NDArray[np.float64]:
    """Read wavelengths, which no pixel of the global grid may miss."""
    if hdu.is_table or len(hdu.shape) != 1 or hdu.shape[0] < 2:
        file.fail("bad_wavelengths", f"{hdu.name} has axes {hdu.shape}, not one", hdu.index, AGAIN)
    row = replace(hdu, shape=(1, *hdu.shape))
    pixels = slice(0, hdu.shape[0])
    wave: NDArray[np.float64] = file.image_rows(row, np.zeros(1, np.intp), pixels, "f8")[0]
    unit = str(hdu.header.get("BUNIT", "Angstrom")).strip().lower()
    air = str(hdu.header.get("AIRORVAC", "vac")).strip().lower()
    low, high = WAVE_RANGE
    if not np.isfinite(wave).all() or wave.min() < low or wave.max() > high:
        _refuse(file, hdu, f"reach from {wave.min():g} to {wave.max():g}")
    if not unit.startswith(("ang", "aa")) or air.startswith("air"):
        _refuse(file, hdu, f"are said to be of {unit}, {air}")
    steps = np.diff(wave)
    bad = (steps <= 0) | (steps > pixel_width_angstrom(wave[1:]))
    if bad.any():
        i = int(np.argmax(bad))
        _refuse(file, hdu, f"go from {wave[i]:g} to {wave[i + 1]:g} at pixel {i + 1}")
    return wave


def _refuse(file: FitsFile, hdu: Hdu, what: str) -> None:
    file.fail(
        "bad_wavelengths", f"wavelengths of {hdu.name} {what}; expected vacuum Angstrom, "
        f"increasing by 69 km/s a pixel at most, between {WAVE_RANGE[0]:g} and {WAVE_RANGE[1]:g}",
        hdu.index, AGAIN,
    )  # fmt: skip
