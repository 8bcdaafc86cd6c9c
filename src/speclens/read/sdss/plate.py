"""Plates: spPlate files with the classes and redshifts of their spZbest files.

In: the path of an spPlate file, the window to read, a catalogue if the user gave one. Out:
`PlateFile`: the catalogue rows of its fibres first, then the window of the fibres that are asked
for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.errors import SpectrumFileError
from speclens.instrument import Instrument
from speclens.read.fits.file import FitsFile
from speclens.read.fits.hdus import Hdu
from speclens.read.fits.opening import open_fits
from speclens.read.sdss import INSTRUMENT, NAME
from speclens.read.sdss.checks import batch_of, knowing, refuse_other_unit, verify_hdus
from speclens.read.sdss.fibres import (
    MAX_FIBRES,
    declared_fibres,
    ids_of_plate,
    read_plugmap,
    rows_of_plate,
)
from speclens.read.sdss.layouts import is_plate, refuse_layout
from speclens.read.sdss.lookup import TargetLookup
from speclens.read.sdss.targets import mark_lost_fibres
from speclens.read.sdss.wavelengths import grid_of_image
from speclens.read.sdss.zbest import find_zbest, read_zbest
from speclens.spectra import LogGrid, SpectrumBatch

__all__ = ["PlateFile", "find_plugmap", "find_zbest", "open_plate", "plate_images"]

PLATE_FLUX = (("FLUX", "PRIMARY"), 0)
PLATE_IVAR = (("IVAR",), 1)
PLATE_MASK = (("ANDMASK", "AND_MASK"), 2)
PLATE_DISPERSION = (("WAVEDISP", "WDISP", "DISP"), 4)
PLATE_PLUGMAP = (("PLUGMAP",), 5)


@dataclass
class PlateFile:
    """An open spPlate file with the catalogue rows of its fibres.

    Parameters
    ----------
    file : FitsFile
        The open file.
    images : dict of str to Hdu or None
        The images: flux, ivar, mask_bits, dispersion.
    plate_grid : LogGrid
        Wavelengths of the images.
    grid : LogGrid
        The window to read.
    targets, reasons, flags : arrays of shape (N,)
        As in `Source`.
    survey : str, optional
        Name of the survey.
    instrument : Instrument, optional
        Its bits and limits.
    """

    file: FitsFile
    images: dict[str, Hdu | None]
    plate_grid: LogGrid
    grid: LogGrid
    targets: NDArray[np.void]
    reasons: NDArray[np.str_]
    flags: NDArray[np.int32]
    survey: str = NAME
    instrument: Instrument = INSTRUMENT

    @property
    def files(self) -> Sequence[str]:
        """The file of each spectrum."""
        return [self.file.path] * len(self.targets)

    def spectra(self, rows: NDArray[np.integer]) -> SpectrumBatch:
        """Read the window of some fibres; nothing else of the plate is touched.

        Parameters
        ----------
        rows : array of shape (n,)
            Rows of `targets`, increasing.

        Returns
        -------
        SpectrumBatch
            Their spectra.
        """
        here, there = self.grid.overlap(self.plate_grid)
        dtypes = {"flux": "f4", "ivar": "f4", "mask_bits": "i4", "dispersion": "f4"}
        arrays: dict[str, Any] = {}
        for name, dtype in dtypes.items():
            array = np.zeros((len(rows), self.grid.n_pixels), dtype)
            if name == "mask_bits":
                array[:] = self.instrument.no_data
                array[:, here] = 0
            hdu = self.images[name]
            if hdu is not None and there.stop > there.start:
                with knowing(self.targets):
                    array[:, here] = self.file.image_rows(hdu, rows, there, dtype)
            arrays[name] = array
        files = [self.file.path] * len(rows)
        return batch_of(
            self.instrument, self.grid, **arrays, targets=self.targets[rows], files=files
        )


@contextmanager
def open_plate(
    path: str, grid: LogGrid, catalogue: TargetLookup | None = None, verify: bool = True
) -> Iterator[PlateFile]:
    """Open an spPlate file and find the classes and redshifts of its fibres.

    Parameters
    ----------
    path : str
        The spPlate file; its spZbest stands beside it or in its RUN2D folder.
    grid : LogGrid
        The window to read.
    catalogue : TargetLookup, optional
        Classes and redshifts instead of the spZbest file.
    verify : bool, optional
        Refuse data that disagree with their DATASUM; otherwise flag them.

    Yields
    ------
    PlateFile
        The open plate.

    Raises
    ------
    SpectrumFileError
        If the plate cannot be read; its `targets` are the fibres, as far as known.
    """
    opened: list[FitsFile] = []
    try:
        with open_fits(path, opened=opened) as file:
            yield _open(file, grid, catalogue, verify)
    except SpectrumFileError as error:
        if error.targets is None and opened:
            error.targets = declared_fibres(opened[0])
        raise


def _open(file: FitsFile, grid: LogGrid, catalogue: TargetLookup | None, verify: bool) -> PlateFile:
    if not is_plate(file):
        refuse_layout(file, "spPlate")
    flux = file.hdus[0]
    if flux.shape[0] > MAX_FIBRES:
        file.fail("too_large", f"{flux.shape[0]} fibres; allowed: {MAX_FIBRES}", 0)
    ids, contradiction = ids_of_plate(file)
    fibres = rows_of_plate(file, ids)
    with knowing(fibres):
        if contradiction:
            file.fail("bad_identity", contradiction, 0, "give the file back its own name")
        refuse_other_unit(file, flux)
        images = plate_images(file, flux.shape)
        plate_grid = grid_of_image(file, flux, flux.shape[1])
        plugmap = find_plugmap(file, flux.shape[0])
        used = [hdu for hdu in (*images.values(), plugmap) if hdu is not None]
        flags = np.full(len(fibres), verify_hdus(file, used, verify), np.int32)
        read_plugmap(file, plugmap, fibres)
        if catalogue is not None:
            targets, reasons, of_catalogue = catalogue.lookup(fibres)
            flags |= of_catalogue
        else:
            targets, reasons, quality = read_zbest(file, ids, fibres, verify)
            flags |= np.int32(quality)
        mark_lost_fibres(targets)
    return PlateFile(file, images, plate_grid, grid, targets, reasons, flags)


def plate_images(file: FitsFile, shape: tuple[int, ...]) -> dict[str, Hdu | None]:
    """Find the images of a plate or a field.

    Parameters
    ----------
    file : FitsFile
        The file.
    shape : tuple of int
        Shape of the flux.

    Returns
    -------
    dict of str to Hdu or None
        Flux, ivar, mask_bits, dispersion; None where the last is missing.

    Raises
    ------
    SpectrumFileError
        If another is missing, or one has another shape.
    """
    images = {
        "flux": file.find(*PLATE_FLUX),
        "ivar": file.find(*PLATE_IVAR),
        "mask_bits": file.find(*PLATE_MASK),
        "dispersion": file.find(*PLATE_DISPERSION),
    }
    for name, label, position in (
        ("flux", "FLUX", 0),
        ("ivar", "IVAR", 1),
        ("mask_bits", "ANDMASK", 2),
    ):
        if images[name] is None:
            file.fail(
                "missing_hdu", f"{label} (HDU {position}) is not there: without it the errors of "
                f"{shape[0]} spectra are unknown", label, "fetch the complete spPlate file",
            )  # fmt: skip
    for name, hdu in images.items():
        if hdu is not None and (hdu.shape != shape or hdu.is_table):
            file.fail("bad_header", f"{name} has axes {hdu.shape}, the flux {shape}", hdu.index)
    return images


def find_plugmap(file: FitsFile, n_fibres: int) -> Hdu:
    """Find the plug map of a plate or a field.

    Parameters
    ----------
    file : FitsFile
        The file.
    n_fibres : int
        Number of its spectra.

    Returns
    -------
    Hdu
        The table.

    Raises
    ------
    SpectrumFileError
        If it is missing, or has another number of rows.
    """
    hdu = file.find(*PLATE_PLUGMAP)
    if hdu is None:
        file.fail(
            "missing_hdu", "PLUGMAP (HDU 5) is not there: without it the sky fibres are unknown",
            "PLUGMAP", "fetch the complete spPlate file",
        )  # fmt: skip
    if not hdu.is_table or hdu.shape[0] != n_fibres:
        file.fail("bad_header", f"PLUGMAP has axes {hdu.shape} for {n_fibres} fibres", hdu.index)
    return hdu
