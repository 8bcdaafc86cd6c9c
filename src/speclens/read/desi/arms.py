"""The arms of DESI's spectrographs: where their pixels stand in a file, and what these hold.

In: an open file. Out: `Arm`, of which some rows and a window are read, by the names of HDUs. Pixels
are those of DESI, 0.8 Angstrom wide, the same in all arms. Joining them is left to
`speclens.read.desi.coadd`.
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

__all__ = ["ARMS", "Arm", "arm_names", "find_arms", "step_of"]

ARMS = ("B", "R", "Z", "BRZ")
"""The arms, and the name of all three in one."""

WAVE_RANGE = (2000.0, 12000.0)
"""Between these lie wavelengths in Angstrom, and in no other unit."""

TOLERANCE = 0.05
"""Farthest that a pixel may lie from where even steps have it, pixels."""

EVERY = 4
"""Pixels after which the line spread is looked at again: it changes little over these."""

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
        Vacuum wavelengths of its pixels, in even steps, Angstrom.
    wavelength : Hdu
        Where these stand.
    flux, ivar : Hdu
        Images of shape (M, P).
    mask : Hdu or None
        The same, of bits.
    resolution : Hdu or None
        Diagonals of the resolution matrix, shape (M, D, P).
    """

    file: FitsFile
    wave: NDArray[np.float64]
    wavelength: Hdu
    flux: Hdu
    ivar: Hdu
    mask: Hdu | None
    resolution: Hdu | None

    @property
    def step(self) -> float:
        """Width of its pixels, Angstrom."""
        return step_of(self.wave)

    @property
    def hdus(self) -> list[Hdu]:
        """All HDUs that are read of it."""
        images = (self.wavelength, self.flux, self.ivar, self.mask, self.resolution)
        return [hdu for hdu in images if hdu is not None]

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
            Standard deviation, Angstrom, that of the arm's own pixel within; 0 where unknown.

        Notes
        -----
        A column of the resolution matrix is what the pixels of a spectrum hold of light of one
        wavelength (Guy et al. 2023, AJ 165, 144): its second moment is the spread.
        """
        if self.resolution is None:
            return np.zeros((len(rows), part.stop - part.start), np.float32)
        n_rows, n_diagonals, n_pixels = self.resolution.shape
        start = part.start // EVERY * EVERY
        window = slice(start, part.stop)
        image = replace(self.resolution, shape=(n_rows * n_diagonals, n_pixels))
        places = rows[:, None] * n_diagonals + np.arange(n_diagonals)
        band = self.file.image_rows(image, places.ravel(), window, "f4")
        band = band.reshape(len(rows), n_diagonals, -1)[:, :, ::EVERY]
        offset = np.arange(n_diagonals, dtype=np.float32) - n_diagonals // 2
        powers = np.stack([offset**0, offset, offset**2])
        total, first, second = np.moveaxis(powers @ np.ascontiguousarray(band), 1, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            variance = second / total - (first / total) ** 2
            spread = np.sqrt(variance) * np.float32(self.step)
            pixels = spread / pixel_width_angstrom(self.wave[window][::EVERY]).astype(np.float32)
        low, high = INSTRUMENT.line_spread_limits
        known = np.where((pixels >= low) & (pixels <= high), spread, np.float32(0))
        return np.repeat(known, EVERY, axis=1)[:, part.start - start : part.stop - start]


def step_of(wave: NDArray[np.float64]) -> float:
    """Return the mean step between wavelengths, Angstrom."""
    return float((wave[-1] - wave[0]) / (len(wave) - 1))


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
        If an arm's HDUs are not of one shape, or lack inverse variances or wavelengths, or these
        are not in vacuum and in even steps, the same in all arms.
    """
    arms = [_arm(file, name, n_rows) for name in arm_names(file)]
    for arm in arms[1:]:
        place = (arm.wave[0] - arms[0].wave[0]) / arms[0].step
        drift = (arm.step / arms[0].step - 1) * len(arm.wave)
        if max(abs(place - round(place)), abs(drift)) > TOLERANCE:
            file.fail(
                "bad_wavelengths", f"pixels of {arm.flux.name} and {arms[0].flux.name} do not lie "
                f"on one grid: {arm.wave[0]:g} by {arm.step:g} and {arms[0].wave[0]:g} by "
                f"{arms[0].step:g} Angstrom", arm.flux.index, AGAIN,
            )  # fmt: skip
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
    return Arm(file, own, wave, flux, ivar, mask, resolution)


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
    step = step_of(wave)
    bad = np.abs(wave - wave[0] - step * np.arange(len(wave))) > TOLERANCE * abs(step)
    if bad.any() or not 0 < step <= pixel_width_angstrom(wave[0]):
        i = max(int(np.argmax(bad)), 1)
        _refuse(file, hdu, f"go from {wave[i - 1]:.6g} to {wave[i]:.6g} at pixel {i}")
    return wave


def _refuse(file: FitsFile, hdu: Hdu, what: str) -> None:
    file.fail(
        "bad_wavelengths", f"wavelengths of {hdu.name} {what}; expected vacuum Angstrom between "
        f"{WAVE_RANGE[0]:g} and {WAVE_RANGE[1]:g}, in even steps of 69 km/s at most", hdu.index,
        AGAIN,
    )  # fmt: skip
