"""Coadds: files of DESI with the spectra of many targets in up to three arms.

In: the path of a coadd, or of the spectra of single exposures, the window to read, a catalogue if
the user gave one. Out: `CoaddFile`: the rows of its targets first, then the window of those that
are asked for, on the global grid.

What several exposures and arms measured of a pixel is averaged by its inverse variance, on the
pixels that all arms share; these are brought onto the grid by `speclens.read.desi.regrid`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from speclens.errors import SpectrumFileError
from speclens.lines import pixel_width_angstrom
from speclens.read.desi import NAME
from speclens.read.desi.arms import Arm, arm_names, find_arms
from speclens.read.desi.identity import UNKNOWN_ID, agreed_group, spectrum_texts
from speclens.read.desi.lone_pixels import lone_pixels
from speclens.read.desi.redrock import read_redrock
from speclens.read.desi.regrid import REACH, Regrid
from speclens.read.desi.targets import COADD_STATUS, FIBERMAP, fibermap_targets, read_columns
from speclens.read.fits.file import FitsFile
from speclens.read.fits.hdus import Hdu
from speclens.read.fits.header import HeaderError
from speclens.read.fits.opening import open_fits
from speclens.read.sdss.checks import knowing, verify_hdus
from speclens.read.sdss.lookup import TargetLookup
from speclens.read.sdss.targets import blank_targets, mark_lost_fibres
from speclens.schema import flag_bit
from speclens.spectra import LogGrid, SpectrumBatch

__all__ = ["ArmPixels", "CoaddFile", "Joined", "open_coadd"]

Rows = NDArray[np.void]
Floats = NDArray[np.float32]

MOST_ROWS = 1_000_000
AT_ONCE = 64
"""Spectra read at once: their resolution matrices are eleven times as large as they are."""


@dataclass
class CoaddFile:
    """An open file with the catalogue rows of its targets.

    Parameters
    ----------
    file : FitsFile
        The open file.
    arms : list of Arm
        Those that reach the window.
    exposures : list of array
        The rows of the file that are of each of N targets; of a coadd one each.
    grid : LogGrid
        The window to read.
    targets, reasons, flags : arrays of shape (N,)
        As in `Source`.
    """

    file: FitsFile
    arms: list[Arm]
    exposures: list[NDArray[np.intp]]
    grid: LogGrid
    targets: Rows
    reasons: NDArray[np.str_]
    flags: NDArray[np.int32]

    survey = NAME

    @property
    def files(self) -> Sequence[str]:
        """The file of each spectrum."""
        return [self.file.path] * len(self.targets)

    def spectra(self, rows: NDArray[np.integer]) -> SpectrumBatch:
        """Read the window of some targets; nothing else of the file is touched.

        Parameters
        ----------
        rows : array of shape (n,)
            Rows of `targets`, increasing.

        Returns
        -------
        SpectrumBatch
            Their spectra.
        """
        shape = (len(rows), self.grid.n_pixels)
        flux, ivar, spread = (np.zeros(shape, np.float32) for _ in range(3))
        covered = np.zeros(shape, bool)
        if self._joined is not None:
            covered |= self._joined.covered
            for start in range(0, len(rows), AT_ONCE):
                part = slice(start, start + AT_ONCE)
                flux[part], ivar[part], spread[part] = self._read(self._joined, rows[part])
        return SpectrumBatch(
            self.grid, flux, ivar, ivar == 0, covered, spread, self.targets[rows],
            [self.file.path] * len(rows),
        )  # fmt: skip

    @cached_property
    def _joined(self) -> Joined | None:
        """The pixels that all arms share; None where none reaches the window."""
        return Joined(self.arms, self.grid) if self.arms else None

    def _read(self, joined: Joined, rows: NDArray[np.integer]) -> tuple[Floats, Floats, Floats]:
        """Average what arms and exposures measured, and bring it onto the grid."""
        of_each = [self.exposures[i] for i in rows.tolist()]
        starts = np.cumsum([0, *map(len, of_each[:-1])])
        with knowing(self.targets):
            return joined.average(self.arms, np.concatenate(of_each), starts)


class ArmPixels(Protocol):
    """What is asked of an arm, which a file or a mock survey has; see `Arm`."""

    @property
    def wave(self) -> NDArray[np.float64]:
        """Vacuum wavelengths of its pixels, Angstrom."""

    @property
    def step(self) -> float:
        """Width of its pixels, Angstrom."""

    def pixels(self, rows: NDArray[np.integer], part: slice) -> tuple[Floats, Floats]:
        """Return flux and inverse variance of some rows and pixels."""

    def spread(self, rows: NDArray[np.integer], part: slice) -> Floats:
        """Return the line spread of some rows and pixels, Angstrom."""


class Joined:
    """The pixels that all arms share, as far as a window needs them.

    Parameters
    ----------
    arms : sequence of ArmPixels
        The arms that reach the window, at least one.
    grid : LogGrid
        The window, L pixels.

    Attributes
    ----------
    n_pixels : int
        How many these are, P; some beyond the window.
    there, here : list of slice
        Of each arm: its pixels, and where among these they lie.
    regrid : Regrid
        Brings spectra from these pixels to those of the window.
    covered : array of shape (L,)
        False where no arm reaches.
    """

    def __init__(self, arms: Sequence[ArmPixels], grid: LogGrid) -> None:
        first, step = min(arm.wave[0] for arm in arms), arms[0].step
        starts = [round((arm.wave[0] - first) / step) for arm in arms]
        stop = max(start + len(arm.wave) for start, arm in zip(starts, arms, strict=True))
        ends = grid.wave[[0, -1]]
        margin = (REACH + 1) * pixel_width_angstrom(ends) * [-1, 1]
        low, high = np.clip(np.round((ends + margin - first) / step), 0, stop).astype(int).tolist()
        self.n_pixels = high - low
        self.there, self.here = [], []
        seen = np.zeros(self.n_pixels, bool)
        for start, arm in zip(starts, arms, strict=True):
            begin = min(max(start, low), high)
            end = max(min(start + len(arm.wave), high), begin)
            self.there.append(slice(begin - start, end - start))
            self.here.append(slice(begin - low, end - low))
            seen[self.here[-1]] = True
        self.regrid = Regrid(first, step, slice(low, high), grid)
        beyond = (grid.wave < first) | (grid.wave > first + (stop - 1) * step)
        self.covered = seen[self.regrid.nearest] & ~beyond

    def average(
        self,
        arms: Sequence[ArmPixels],
        exposures: NDArray[np.integer],
        starts: NDArray[np.integer],
    ) -> tuple[Floats, Floats, Floats]:
        """Average what arms and exposures measured, and bring it onto the grid.

        Parameters
        ----------
        arms : sequence of ArmPixels
            The same arms.
        exposures : array of shape (M,)
            Rows of the arms, those of each of N targets together.
        starts : array of shape (N,)
            Where in `exposures` each target's begin.

        Returns
        -------
        flux, ivar, spread : array of shape (N, L)
            As of `Regrid`.
        """
        shape = (len(starts), self.n_pixels)
        weight, total, spread, n_spread = (np.zeros(shape, np.float32) for _ in range(4))
        for arm, there, here in zip(arms, self.there, self.here, strict=True):
            flux, ivar = arm.pixels(exposures, there)
            width = arm.spread(exposures, there)
            ivar[lone_pixels(flux, ivar, width / np.float32(arm.step))] = 0
            for sums, values in (
                (weight, ivar), (total, flux * ivar), (spread, width), (n_spread, width > 0),
            ):  # fmt: skip
                if len(exposures) > len(starts):
                    values = np.add.reduceat(values, starts, axis=0, dtype=np.float32)
                sums[:, here] += values
        total /= np.where(weight > 0, weight, 1)
        spread /= np.maximum(n_spread, 1)
        return self.regrid(total, weight, spread)


@contextmanager
def open_coadd(
    path: str, grid: LogGrid, catalogue: TargetLookup | None = None, verify: bool = True
) -> Iterator[CoaddFile]:
    """Open a file of spectra, and find the classes and redshifts of its targets.

    Parameters
    ----------
    path : str
        Its file; its redrock file stands beside it.
    grid : LogGrid
        The window to read.
    catalogue : TargetLookup, optional
        Classes and redshifts instead of the redrock file.
    verify : bool, optional
        Refuse data that disagree with their DATASUM; otherwise flag them.

    Yields
    ------
    CoaddFile
        The open file.

    Raises
    ------
    SpectrumFileError
        If it cannot be read; its `targets` are the rows, as far as known.
    """
    with open_fits(path, declared=_declared) as file:
        yield _open(file, grid, catalogue, verify)


def _open(file: FitsFile, grid: LogGrid, catalogue: TargetLookup | None, verify: bool) -> CoaddFile:
    hdu = _fibermap(file)
    with knowing(blank_targets(hdu.shape[0])):
        columns = read_columns(file, hdu, FIBERMAP)
        rows = fibermap_targets(file, hdu, columns)
    group, contradiction = agreed_group(file.path, file.hdus[0].header)
    rows["SPECTRUM"] = spectrum_texts(group, rows["TARGETID"])
    exposures, is_coadd = _exposures(file, hdu, columns, rows)
    rows = rows[[of_one[0] for of_one in exposures]]
    with knowing(rows):
        if contradiction:
            file.fail("bad_identity", contradiction, 0, "give the file back its own name")
        arms = find_arms(file, hdu.shape[0], (grid.wave[0], grid.wave[-1]))
        used = [file.hdus[0], hdu, *(own for arm in arms for own in arm.hdus)]
        quality = verify_hdus(file, used, verify)
        if any(arm.mask is None for arm in arms):
            quality |= flag_bit("NO_MASK")
        if any(arm.resolution is None for arm in arms):
            quality |= flag_bit("NO_SPREAD")
        if not is_coadd:
            quality |= flag_bit("COADDED")
        if catalogue is not None:
            targets, reasons, flags = catalogue.lookup(rows)
        else:
            targets, reasons, flags = read_redrock(file, rows, verify)
        mark_lost_fibres(targets)
        reasons[np.isin(targets["OBJTYPE"], ("SKY", "UNPLUGGED"))] = ""
    return CoaddFile(file, arms, exposures, grid, targets, reasons, flags | np.int32(quality))


def _fibermap(file: FitsFile) -> Hdu:
    """Find the table of the targets."""
    images = [f"{arm}_FLUX" for arm in arm_names(file)]
    flux = next((hdu for hdu in file.hdus if hdu.name in images), None)
    if flux is None:
        file.fail(
            "unknown_layout", "no arm of DESI's spectrographs: none of B_FLUX, R_FLUX, Z_FLUX",
            hint="give a coadd file; a plain table has columns of wavelengths and fluxes, and no "
            "name of DESI's",
        )  # fmt: skip
    if flux.is_table or len(flux.shape) != 2 or flux.shape[0] > MOST_ROWS:
        file.fail("bad_header", f"{flux.name} has axes {flux.shape}", flux.index)
    hdu = file.find(("FIBERMAP",), len(file.hdus))
    with knowing(blank_targets(flux.shape[0])):
        if hdu is None:
            file.fail(
                "missing_hdu", f"FIBERMAP is not there: without it nobody knows whose the "
                f"{flux.shape[0]} spectra are", "FIBERMAP", "fetch the complete coadd file",
            )  # fmt: skip
        if not hdu.is_table or hdu.shape[0] != flux.shape[0]:
            file.fail(
                "bad_header", f"FIBERMAP has axes {hdu.shape}, {flux.name} has {flux.shape}",
                hdu.index, "fetch the file again",
            )  # fmt: skip
    return hdu


def _exposures(
    file: FitsFile, hdu: Hdu, columns: dict[str, NDArray[np.generic]], rows: Rows
) -> tuple[list[NDArray[np.intp]], bool]:
    """Find the rows of each target, those that saw it before others, and whether it is a coadd."""
    ids = rows["TARGETID"]
    # Unknown never equals unknown: such a row is of a target of its own.
    own = np.iinfo(np.int64).min + np.arange(len(ids))
    _, first, target, count = np.unique(
        np.where(ids == UNKNOWN_ID, own, ids),
        return_index=True,
        return_inverse=True,
        return_counts=True,
    )
    if COADD_STATUS in columns or (count == 1).all():
        if (count > 1).any():
            again = np.flatnonzero(ids == ids[first[count > 1][0]])
            with knowing(rows):
                file.fail(
                    "bad_identity", f"FIBERMAP: TARGETID {ids[again[0]]} in rows {again[0]} and "
                    f"{again[1]}: a coadd has one row a target", hdu.index,
                    "fetch the file again, or split it",
                )  # fmt: skip
        return [*np.arange(len(rows))[:, None]], True
    order = np.argsort(target, kind="stable")
    parts = np.split(order, np.cumsum(count)[:-1])
    lost = rows["OBJTYPE"] == "UNPLUGGED"
    parts = [part[~lost[part]] if not lost[part].all() else part for part in parts]
    return [parts[i] for i in np.argsort(first)], False


def _declared(file: FitsFile) -> Rows | None:
    """Return the rows that a file which failed was to hold, as far as can be told."""
    with suppress(HeaderError, SpectrumFileError):
        hdu = _fibermap(file)
        ids = read_columns(file, hdu, ("TARGETID",))["TARGETID"]
        rows = blank_targets(len(ids))
        group, _ = agreed_group(file.path, file.hdus[0].header)
        rows["TARGETID"], rows["SPECTRUM"] = ids, spectrum_texts(group, ids)
        return rows
    return None
