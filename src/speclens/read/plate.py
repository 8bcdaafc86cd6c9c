"""Plates: spPlate files with the classes and redshifts of their spZbest files.

In: the path of an spPlate file, the window to read, a catalogue if the user gave one. Out:
`PlateFile`: the catalogue rows of its fibres first, then the window of the fibres that are asked
for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.errors import SpectrumFileError
from speclens.read.catalogue import TargetLookup
from speclens.read.fits import FitsFile, Hdu, open_fits
from speclens.read.layouts import is_plate, refuse_layout
from speclens.read.sdss import (
    first_number,
    grid_from_header,
    knowing,
    targets_of,
    verify_hdus,
)
from speclens.read.targets import (
    CATALOGUE_COLUMNS,
    blank_targets,
    identify,
    keep_what_the_file_knows,
    missing_columns,
)
from speclens.schema import flag_bit
from speclens.spectra import NO_COVERAGE_BIT, LogGrid, SpectrumBatch

__all__ = ["PlateFile", "find_zbest", "open_plate"]

PLATE_FLUX = (("FLUX", "PRIMARY"), 0)
PLATE_IVAR = (("IVAR",), 1)
PLATE_MASK = (("ANDMASK", "AND_MASK"), 2)
PLATE_DISPERSION = (("WAVEDISP", "WDISP", "DISP"), 4)
PLATE_PLUGMAP = (("PLUGMAP",), 5)
MAX_FIBRES = 100_000
ZBEST_TABLE = (("ZBEST", "SPZBEST"), 1)


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
    """

    file: FitsFile
    images: dict[str, Hdu | None]
    plate_grid: LogGrid
    grid: LogGrid
    targets: NDArray[np.void]
    reasons: NDArray[np.str_]
    flags: NDArray[np.int32]

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
                array[:] = 1 << NO_COVERAGE_BIT
                array[:, here] = 0
            hdu = self.images[name]
            if hdu is not None and there.stop > there.start:
                with knowing(self.targets):
                    array[:, here] = self.file.image_rows(hdu, rows, there, dtype)
            arrays[name] = array
        return SpectrumBatch(
            self.grid, targets=self.targets[rows], files=[self.file.path] * len(rows), **arrays
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
    with open_fits(path) as file:
        if not is_plate(file):
            refuse_layout(file, "spPlate")
        flux = file.hdus[0]
        if flux.shape[0] > MAX_FIBRES:
            file.fail("too_large", f"{flux.shape[0]} fibres; allowed: {MAX_FIBRES}", 0)
        fibres = blank_targets(flux.shape[0])
        plate, mjd = first_number(flux, "PLATEID", "PLATE"), first_number(flux, "MJD")
        identify(fibres, plate, mjd, np.arange(1, len(fibres) + 1))
        with knowing(fibres):
            images = _plate_images(file, flux.shape)
            plate_grid = grid_from_header(file, flux, flux.shape[1])
            plugmap = _find_plugmap(file, flux.shape[0])
            used = [hdu for hdu in (*images.values(), plugmap) if hdu is not None]
            flags = np.full(len(fibres), verify_hdus(file, used, verify), np.int32)
            _read_plugmap(file, plugmap, fibres)
            if catalogue is not None:
                targets, reasons, several = catalogue.lookup(fibres)
                flags |= several * np.int32(flag_bit("CATALOGUE_ROWS"))
            else:
                targets, quality = _read_zbest(file, flux, fibres, verify)
                flags |= np.int32(quality)
                reasons = np.zeros(len(fibres), "U24")
        yield PlateFile(file, images, plate_grid, grid, targets, reasons, flags)


def _plate_images(file: FitsFile, shape: tuple[int, ...]) -> dict[str, Hdu | None]:
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
    hdu = file.find(*PLATE_PLUGMAP)
    if hdu is None:
        file.fail(
            "missing_hdu", "PLUGMAP (HDU 5) is not there: without it the sky fibres are unknown",
            "PLUGMAP", "fetch the complete spPlate file",
        )  # fmt: skip
    if not hdu.is_table or hdu.shape[0] != n_fibres:
        file.fail("bad_header", f"PLUGMAP has axes {hdu.shape} for {n_fibres} fibres", hdu.index)
    return hdu


def _read_plugmap(file: FitsFile, hdu: Hdu, fibres: NDArray[np.void]) -> None:
    """Take what the plug map knows of the fibres: which are sky, where they point, how bright."""
    known = targets_of(file, hdu, file.table(hdu, CATALOGUE_COLUMNS))
    fibres["OBJTYPE"] = known["OBJTYPE"]
    for name in ("RA", "DEC", "MAG_I"):
        fibres[name] = known[name]
    if (known["FIBERID"] > 0).all():
        identify(fibres, fibres["PLATE"], fibres["MJD"], known["FIBERID"])


def _read_zbest(
    file: FitsFile, flux: Hdu, fibres: NDArray[np.void], verify: bool
) -> tuple[NDArray[np.void], int]:
    """Read the spZbest file of a plate: rows in the order of the fibres, and quality bits."""
    path = _find_zbest(Path(file.path), flux)
    if path is None:
        file.fail(
            "no_catalogue", "no spZbest file beside it or in its RUN2D folder",
            hint="fetch spZbest too, or give --catalogue",
        )  # fmt: skip
    with open_fits(path) as zbest:
        hdu = zbest.find(*ZBEST_TABLE)
        if hdu is None:
            zbest.fail("missing_hdu", "the table of redshifts (HDU 1) is not there", 1)
        columns = zbest.table(hdu, CATALOGUE_COLUMNS)
        missing = missing_columns(columns)
        if missing:
            zbest.fail("missing_column", f"no {' and '.join(missing)}", hdu.index)
        if len(columns["Z"]) != len(fibres):
            zbest.fail(
                "bad_header", f"{len(columns['Z'])} rows for {len(fibres)} fibres", hdu.index
            )
        rows = targets_of(zbest, hdu, columns)
        flags = verify_hdus(zbest, [zbest.hdus[0], hdu], verify)
    order = np.arange(len(rows))
    if "FIBERID" in columns:
        order = np.argsort(rows["FIBERID"], kind="stable")
        order = order[
            np.searchsorted(rows["FIBERID"][order], fibres["FIBERID"]).clip(0, len(rows) - 1)
        ]
        if (rows["FIBERID"][order] != fibres["FIBERID"]).any():
            raise SpectrumFileError(
                str(path), "bad_header", "its FIBERID are not those of the spPlate file", hdu.index
            )
    targets = rows[order]
    identify(targets, fibres["PLATE"], fibres["MJD"], fibres["FIBERID"])
    keep_what_the_file_knows(targets, fibres)
    quality = flux.header.get("QUALITY", "")
    targets["PLATEQUALITY"] = np.where(
        targets["PLATEQUALITY"] != "", targets["PLATEQUALITY"], str(quality)
    )
    return targets, flags


def find_zbest(path: str) -> str | None:
    """Find the spZbest file of a plate.

    Parameters
    ----------
    path : str
        The spPlate file.

    Returns
    -------
    str or None
        The spZbest file beside it, in its RUN2D folder or in another subfolder; None when there is
        none, or when the plate cannot be read.
    """
    try:
        with open_fits(path) as file:
            found = _find_zbest(Path(path), file.hdus[0])
    except SpectrumFileError:
        return None
    return None if found is None else str(found)


def _find_zbest(path: Path, flux: Hdu) -> Path | None:
    stem = (
        f"spZbest-{first_number(flux, 'PLATEID', 'PLATE'):04d}-{first_number(flux, 'MJD'):05d}.fits"
    )
    names = dict.fromkeys([path.name.removesuffix(".gz").replace("spPlate", "spZbest", 1), stem])
    run2d = str(flux.header.get("RUN2D", "")).strip()
    folders = [path.parent, *([path.parent / run2d] if run2d else [])]
    for folder in [*folders, *sorted(p for p in path.parent.iterdir() if p.is_dir())]:
        for name in names:
            for candidate in (folder / name, folder / f"{name}.gz"):
                if candidate != path and candidate.is_file():
                    return candidate
    return None
