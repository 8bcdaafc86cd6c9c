"""Files in the layout of DESI: coadds of targets with their redrock files.

In: arrays of the targets of one mock healpix. Out: files that the reader cannot tell from the
survey's own, by their structure, and the same spectra as it would read them. What is in the arrays
is decided in `speclens.simulate.survey`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.lines import gaussian_pixels
from speclens.read.desi.coadd import Joined
from speclens.simulate.arms import ARM_PIXELS, Arms
from speclens.simulate.linear_grid import LinearGrid
from speclens.simulate.plates import Plate, write_hdus
from speclens.spectra import LogGrid, SpectrumBatch

__all__ = ["GROUP", "Coadd"]

SURVEY, PROGRAM = "mock", "dark"

GROUP = f"{SURVEY}-{PROGRAM}"
"""Of healpix coadds of such names: no survey of DESI has it."""

N_DIAGONALS = 11
"""Of the resolution matrix, as DESI's coadds hold it."""

ALL_BAD_BIT = 0
"""Of MASK: all exposures are bad."""

PIXEL_VARIANCE = 1 / 12
"""Of a pixel over which a line is summed, pixels^2."""

NO_REDSHIFT_CHI2, USUAL_CHI2 = 0.0, 1000.0
"""DELTACHI2 of sky fibres, and of targets; the mock fits no redshifts."""

FLUX_UNIT = "10**-17 erg/(s cm2 Angstrom)"
IVAR_UNIT = "10**+34 (s2 cm4 Angstrom2) / erg2"

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class MockArm:
    """An arm of a mock coadd, as `speclens.read.desi.coadd.Joined` asks for it.

    Parameters
    ----------
    grid : LinearGrid
        Its pixels, P of them.
    flux, ivar : array of shape (N, P)
        Flux density, 1e-17 erg/s/cm2/Angstrom, and its inverse variance, 0 where masked.
    dispersion : array of shape (N, P)
        Standard deviation of the line spread without the pixel's own, pixels.
    """

    grid: LinearGrid
    flux: Floats
    ivar: Floats
    dispersion: Floats

    @property
    def wave(self) -> NDArray[np.float64]:
        """Vacuum wavelengths of its pixels, shape (P,), Angstrom."""
        return self.grid.wave

    @property
    def step(self) -> float:
        """Width of its pixels, Angstrom."""
        return self.grid.step

    @property
    def resolution(self) -> Floats:
        """Diagonals of the resolution matrix, shape (N, N_DIAGONALS, P)."""
        # A column is what pixels hold of light of one wavelength.
        right = gaussian_pixels(np.arange(N_DIAGONALS // 2 + 1)[:, None], self.dispersion[:, None])
        band = np.concatenate([right[:, :0:-1], right], axis=1)
        return np.asarray(band / band.sum(axis=1, keepdims=True), np.float32)

    def pixels(self, rows: NDArray[np.integer], part: slice) -> tuple[Floats, Floats]:
        """Return flux and inverse variance, shape (n, L), of some rows and pixels."""
        flux, ivar = self.flux[rows, part], self.ivar[rows, part]
        return np.where(ivar > 0, flux, np.float32(0)), ivar

    def spread(self, rows: NDArray[np.integer], part: slice) -> Floats:
        """Return the line spread, the pixel's own within, shape (n, L), Angstrom."""
        own = np.sqrt(self.dispersion[rows, part] ** 2 + PIXEL_VARIANCE)
        return np.asarray(own * self.step, np.float32)


@dataclass(frozen=True)
class Coadd(Plate):
    """The coadd of one mock healpix; its `observed` has the P pixels of all arms side by side.

    Parameters
    ----------
    arms : Arms
        The arms.
    """

    arms: Arms

    @property
    def label(self) -> str:
        """Survey, program and healpix, as in the names of its files."""
        return f"{GROUP}-{self.targets['PLATE'][0]}"

    @property
    def by_arm(self) -> dict[str, MockArm]:
        """The spectra in each arm."""
        seen = self.observed
        return {
            name: MockArm(
                ARM_PIXELS[name], seen.flux[:, part], seen.ivar[:, part], seen.dispersion[:, part]
            )
            for name, part in zip(self.arms.names, self.arms.parts, strict=True)
        }

    def on(self, grid: LogGrid) -> SpectrumBatch:
        """Return a window of the spectra as a reader of the file would, on the global grid.

        Parameters
        ----------
        grid : LogGrid
            The window, within the arms.

        Returns
        -------
        SpectrumBatch
            N spectra.
        """
        reached = self.arms.within(grid.wave[0], grid.wave[-1]).names
        arms = [arm for name, arm in self.by_arm.items() if name in reached]
        joined, rows = Joined(arms, grid), np.arange(len(self.targets))
        flux, ivar, spread = joined.average(arms, rows, rows)
        covered = np.broadcast_to(joined.covered, flux.shape).copy()
        files = [f"mock coadd {self.label}"] * len(rows)
        return SpectrumBatch(grid, flux, ivar, ivar == 0, covered, spread, self.targets, files)

    def write(self, folder: Path) -> Path:
        """Write coadd and redrock file into a folder of their own.

        Parameters
        ----------
        folder : Path
            Folder of the survey.

        Returns
        -------
        Path
            The coadd.
        """
        from astropy.io import fits

        home = folder / f"{self.targets['PLATE'][0]:04d}"
        primary = fits.PrimaryHDU()
        primary.header.update({
            "SURVEY": SURVEY, "PROGRAM": PROGRAM, "SPGRP": "healpix",
            "SPGRPVAL": int(self.targets["PLATE"][0]),
            "MOCK": (True, "simulated by speclens, not observed"),
        })  # fmt: skip
        hdus = [primary, _fibermap(self.targets)]
        for name, arm in self.by_arm.items():
            hdus += _images(name, arm)
        path = home / f"coadd-{self.label}.fits"
        # The redshifts come first: a coadd that is there can be searched.
        write_hdus(home / f"redrock-{self.label}.fits", [primary, _redshifts(self.targets)])
        write_hdus(path, hdus)
        return path


def _images(name: str, arm: MockArm) -> list[Any]:
    from astropy.io import fits

    wave, flux, ivar, mask, resolution = (
        fits.ImageHDU(image, name=f"{name}_{what}")
        for what, image in (
            ("WAVELENGTH", arm.wave), ("FLUX", arm.flux), ("IVAR", arm.ivar),
            ("MASK", (arm.ivar == 0).astype(np.uint32) << ALL_BAD_BIT),
            ("RESOLUTION", arm.resolution),
        )
    )  # fmt: skip
    wave.header["BUNIT"], flux.header["BUNIT"] = "Angstrom", FLUX_UNIT
    ivar.header["BUNIT"] = IVAR_UNIT
    return [wave, flux, ivar, mask, resolution]


def _fibermap(targets: NDArray[np.void]) -> Any:
    """Table of the targets; of fluxes within the fibre the mock knows that in i, and gives it."""
    from astropy.io import fits

    flux = np.nan_to_num(10 ** (0.4 * (22.5 - targets["MAG_I"].astype(np.float64))))
    columns = [
        fits.Column("TARGETID", "K", array=targets["TARGETID"]),
        fits.Column("COADD_FIBERSTATUS", "J", array=np.zeros(len(targets), np.int32)),
        fits.Column("TARGET_RA", "D", unit="deg", array=targets["RA"]),
        fits.Column("TARGET_DEC", "D", unit="deg", array=targets["DEC"]),
        fits.Column("OBJTYPE", "3A", array=np.where(targets["OBJTYPE"] == "SKY", "SKY", "TGT")),
        fits.Column("FIBERFLUX_R", "E", unit="nanomaggy", array=flux),
        fits.Column("FIBERFLUX_Z", "E", unit="nanomaggy", array=flux),
    ]
    return fits.BinTableHDU.from_columns(columns, name="FIBERMAP")


def _redshifts(targets: NDArray[np.void]) -> Any:
    from astropy.io import fits

    known = targets["ZWARNING"] == 0
    columns = [
        fits.Column("TARGETID", "K", array=targets["TARGETID"]),
        fits.Column("Z", "D", array=targets["Z"]),
        fits.Column("ZERR", "D", array=targets["Z_ERR"]),
        fits.Column("ZWARN", "K", array=targets["ZWARNING"]),
        fits.Column("SPECTYPE", "6A", array=targets["CLASS"]),
        fits.Column("SUBTYPE", "20A", array=targets["SUBCLASS"]),
        fits.Column("DELTACHI2", "D", array=np.where(known, USUAL_CHI2, NO_REDSHIFT_CHI2)),
    ]
    return fits.BinTableHDU.from_columns(columns, name="REDSHIFTS")
