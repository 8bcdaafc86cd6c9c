"""Plates: spPlate files with the classes and redshifts of their spZbest files.

In: the path of an spPlate file, the window to read, a catalogue if the user gave one. Out:
`PlateFile`: the catalogue rows of its fibres first, then the window of the fibres that are asked
for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from speclens.instrument import Instrument
from speclens.read.fits.file import FitsFile
from speclens.read.fits.hdus import Hdu
from speclens.read.fits.header import HeaderError
from speclens.read.fits.opening import open_fits
from speclens.read.sdss import INSTRUMENT, NAME
from speclens.read.sdss.checks import batch_of, knowing, refuse_other_unit, verify_hdus
from speclens.read.sdss.fibres import MAX_FIBRES, ids_of_plate, read_plugmap, rows_of_plate
from speclens.read.sdss.identity import Ids
from speclens.read.sdss.layouts import is_plate, refuse_layout
from speclens.read.sdss.lookup import TargetLookup
from speclens.read.sdss.targets import mark_lost_fibres
from speclens.read.sdss.wavelengths import grid_of_image
from speclens.read.sdss.zbest import find_zbest, read_zbest
from speclens.spectra import LogGrid, SpectrumBatch

__all__ = ["SPPLATE", "PlateFile", "PlateLayout", "find_zbest", "open_plate"]

Rows = NDArray[np.void]

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
    survey : str
        Name of the survey.
    instrument : Instrument
        Its bits and limits.
    """

    file: FitsFile
    images: dict[str, Hdu | None]
    plate_grid: LogGrid
    grid: LogGrid
    targets: NDArray[np.void]
    reasons: NDArray[np.str_]
    flags: NDArray[np.int32]
    survey: str
    instrument: Instrument

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


@dataclass(frozen=True)
class PlateLayout:
    """What differs between files of one shape: spPlate, and spField of SDSS-V.

    Parameters
    ----------
    name : str
        What such a file is called.
    rows : str
        What its rows are.
    most : int
        Largest believable number of them.
    fits : callable
        Says whether a file is one.
    refuse : callable
        Refuses a file that is none.
    ids_of : callable
        Identifiers that all rows share, as header and name agree, and what disagrees.
    rows_of : callable
        Target rows with these identifiers.
    read_plugmap : callable
        Takes what the plug map knows of the rows, and returns what else spZbest needs of it.
    read_zbest : callable
        Reads classes and redshifts: target rows, reasons, quality bits.
    survey : str
        Name of the survey.
    instrument : Instrument
        Its bits and limits.
    """

    name: str
    rows: str
    most: int
    fits: Callable[[FitsFile], bool]
    refuse: Callable[[FitsFile, str], NoReturn]
    ids_of: Callable[[FitsFile], tuple[Any, str]]
    rows_of: Callable[[FitsFile, Any], Rows]
    read_plugmap: Callable[[FitsFile, Hdu, Any, Rows], Any]
    read_zbest: Callable[[FitsFile, Any, Rows, Any, bool], tuple[Rows, NDArray[np.str_], int]]
    survey: str
    instrument: Instrument


def _read_plugmap(file: FitsFile, hdu: Hdu, _ids: Ids, fibres: Rows) -> None:
    read_plugmap(file, hdu, fibres)


def _read_zbest(
    file: FitsFile, ids: Ids, fibres: Rows, _told: None, verify: bool
) -> tuple[Rows, NDArray[np.str_], int]:
    return read_zbest(file, ids, fibres, verify)


SPPLATE = PlateLayout(
    "spPlate", "fibres", MAX_FIBRES, is_plate, refuse_layout, ids_of_plate, rows_of_plate,
    _read_plugmap, _read_zbest, NAME, INSTRUMENT,
)  # fmt: skip
"""Plates of SDSS-I to eBOSS."""


@contextmanager
def open_plate(
    path: str,
    grid: LogGrid,
    catalogue: TargetLookup | None = None,
    verify: bool = True,
    layout: PlateLayout = SPPLATE,
) -> Iterator[PlateFile]:
    """Open a plate, or a field, and find the classes and redshifts of its targets.

    Parameters
    ----------
    path : str
        Its file; its spZbest stands beside it or in its RUN2D folder.
    grid : LogGrid
        The window to read.
    catalogue : TargetLookup, optional
        Classes and redshifts instead of the spZbest file.
    verify : bool, optional
        Refuse data that disagree with their DATASUM; otherwise flag them.
    layout : PlateLayout, optional
        Which of them.

    Yields
    ------
    PlateFile
        The open plate.

    Raises
    ------
    SpectrumFileError
        If the plate cannot be read; its `targets` are the rows, as far as known.
    """
    with open_fits(path, declared=partial(_declared, layout=layout)) as file:
        yield _open(file, grid, catalogue, verify, layout)


def _open(
    file: FitsFile,
    grid: LogGrid,
    catalogue: TargetLookup | None,
    verify: bool,
    layout: PlateLayout,
) -> PlateFile:
    if not layout.fits(file):
        layout.refuse(file, layout.name)
    flux = file.hdus[0]
    if flux.shape[0] > layout.most:
        file.fail("too_large", f"{flux.shape[0]} {layout.rows}; allowed: {layout.most}", 0)
    ids, contradiction = layout.ids_of(file)
    rows = layout.rows_of(file, ids)
    with knowing(rows):
        if contradiction:
            file.fail("bad_identity", contradiction, 0, "give the file back its own name")
        refuse_other_unit(file, flux)
        images = _images(file, flux.shape)
        plate_grid = grid_of_image(file, flux, flux.shape[1])
        plugmap = _find_plugmap(file, flux.shape[0])
        used = [hdu for hdu in (*images.values(), plugmap) if hdu is not None]
        flags = np.full(len(rows), verify_hdus(file, used, verify), np.int32)
        told = layout.read_plugmap(file, plugmap, ids, rows)
        if catalogue is not None:
            targets, reasons, of_catalogue = catalogue.lookup(rows)
            flags |= of_catalogue
        else:
            targets, reasons, quality = layout.read_zbest(file, ids, rows, told, verify)
            flags |= np.int32(quality)
        mark_lost_fibres(targets)
    of_survey = layout.survey, layout.instrument
    return PlateFile(file, images, plate_grid, grid, targets, reasons, flags, *of_survey)


def _declared(file: FitsFile, layout: PlateLayout) -> Rows | None:
    """Return the rows that a file which failed was to hold, as far as its first header tells."""
    with suppress(HeaderError):
        if file.hdus and layout.fits(file) and file.hdus[0].shape[0] <= layout.most:
            return layout.rows_of(file, layout.ids_of(file)[0])
    return None


def _images(file: FitsFile, shape: tuple[int, ...]) -> dict[str, Hdu | None]:
    """Find flux, ivar, mask_bits and dispersion; None where the last is missing."""
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


def _find_plugmap(file: FitsFile, n_fibres: int) -> Hdu:
    """Find the table of the targets, of as many rows."""
    hdu = file.find(*PLATE_PLUGMAP)
    if hdu is None:
        file.fail(
            "missing_hdu", "PLUGMAP (HDU 5) is not there: without it the sky fibres are unknown",
            "PLUGMAP", "fetch the complete spPlate file",
        )  # fmt: skip
    if not hdu.is_table or hdu.shape[0] != n_fibres:
        file.fail("bad_header", f"PLUGMAP has axes {hdu.shape} for {n_fibres} fibres", hdu.index)
    return hdu
