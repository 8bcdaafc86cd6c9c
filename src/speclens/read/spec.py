"""Single spectra: spec-PPPP-MMMMM-FFFF files, lite or full.

In: paths, the window to read, a catalogue if the user gave one. Out: `SpecFiles`: the spectra that
could be read with their catalogue rows, and one error for each file that could not. This is the
fast path for folders of a million small files: each is read once, whole, and only the columns that
are needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.errors import SpectrumFileError
from speclens.lines import PIXEL_LOGLAM
from speclens.read.catalogue import TargetLookup
from speclens.read.fits import FitsFile, Hdu, open_fits
from speclens.read.layouts import is_spec, refuse_layout
from speclens.read.scaling import as_type
from speclens.read.sdss import (
    FIRST_PIXELS,
    GRID_TOLERANCE,
    MAX_NAMES,
    first_number,
    grid_from_header,
    targets_of,
    verify_hdus,
)
from speclens.read.targets import (
    CATALOGUE_COLUMNS,
    blank_targets,
    identify,
    missing_columns,
)
from speclens.schema import flag_bit
from speclens.spectra import NO_COVERAGE_BIT, LogGrid, SpectrumBatch

__all__ = ["SpecFiles", "read_spec_files"]

SPEC_COLUMNS = {"FLUX": "f4", "IVAR": "f4", "LOGLAM": "f8", "AND_MASK": "i4", "WDISP": "f4"}
SPEC_COADD = (("COADD",), 1)
SPEC_CATALOGUE = (("SPALL", "SPECOBJ"), 2)


@dataclass
class SpecFiles:
    """Single spec files, read whole; the files that failed are listed beside.

    Parameters
    ----------
    batch : SpectrumBatch
        The spectra that could be read.
    reasons : array of shape (N,)
        Reason codes from the catalogue.
    flags : array of shape (N,)
        Quality bits.
    failures : list of SpectrumFileError
        One for each file that could not be read.
    """

    batch: SpectrumBatch
    reasons: NDArray[np.str_]
    flags: NDArray[np.int32]
    failures: list[SpectrumFileError]

    @property
    def targets(self) -> NDArray[np.void]:
        """Catalogue rows, shape (N,)."""
        return self.batch.targets

    @property
    def files(self) -> Sequence[str]:
        """The file of each spectrum."""
        return self.batch.files

    def spectra(self, rows: NDArray[np.integer]) -> SpectrumBatch:
        """Return some of the spectra.

        Parameters
        ----------
        rows : array of shape (n,)
            Rows of `targets`.

        Returns
        -------
        SpectrumBatch
            Their spectra.
        """
        return self.batch[rows]


def read_spec_files(
    paths: Sequence[str], grid: LogGrid, catalogue: TargetLookup | None = None, verify: bool = True
) -> SpecFiles:
    """Read single spec files, lite or full.

    Parameters
    ----------
    paths : sequence of str
        The files.
    grid : LogGrid
        The window to read.
    catalogue : TargetLookup, optional
        Classes and redshifts instead of each file's own catalogue row.
    verify : bool, optional
        Refuse data that disagree with their DATASUM; otherwise flag them.

    Returns
    -------
    SpecFiles
        The spectra, and the failures.
    """
    flux = np.zeros((len(paths), grid.n_pixels), np.float32)
    ivar, dispersion = np.zeros_like(flux), np.zeros_like(flux)
    mask_bits = np.full(flux.shape, 1 << NO_COVERAGE_BIT, np.int32)
    targets = blank_targets(len(paths))
    flags = np.zeros(len(paths), np.int32)
    failures: list[SpectrumFileError] = []
    read: list[int] = []
    for i, path in enumerate(paths):
        try:
            with open_fits(path) as file:
                columns, first, targets[i], flags[i] = _read_spec(file, catalogue is None, verify)
        except SpectrumFileError as error:
            failures.append(error)
            continue
        here, there = grid.overlap(LogGrid(first, len(columns["FLUX"])))
        flux[i, here], ivar[i, here] = columns["FLUX"][there], columns["IVAR"][there]
        mask_bits[i, here] = columns["AND_MASK"][there] if "AND_MASK" in columns else 0
        if "WDISP" in columns:
            dispersion[i, here] = columns["WDISP"][there]
        read.append(i)
    rows = np.array(read, np.intp)
    targets, flags = targets[rows], flags[rows]
    reasons = np.zeros(len(rows), "U24")
    if catalogue is not None:
        targets, reasons, several = catalogue.lookup(targets)
        flags |= several * np.int32(flag_bit("CATALOGUE_ROWS"))
    batch = SpectrumBatch(
        grid, flux[rows], ivar[rows], mask_bits[rows], dispersion[rows], targets,
        [paths[i] for i in read],
    )  # fmt: skip
    return SpecFiles(batch, reasons, flags, failures)


def _read_spec(
    file: FitsFile, own_catalogue: bool, verify: bool
) -> tuple[dict[str, NDArray[Any]], int, NDArray[np.void], int]:
    """Read one spec file: columns, first pixel of its grid, target row, quality bits."""
    coadd = _find_coadd(file)
    primary = file.hdus[0]
    used = [primary, coadd]
    columns = _read_coadd(file, coadd)
    first = _spec_first_pixel(file, primary, columns)
    ids = (
        first_number(primary, "PLATEID", "PLATE"),
        first_number(primary, "MJD"),
        first_number(primary, "FIBERID", "FIBER"),
    )
    target = blank_targets(1)
    table = file.find(*SPEC_CATALOGUE)
    if table is not None:
        used.append(table)
        rows = file.table(table, CATALOGUE_COLUMNS)
        missing = missing_columns(rows)
        if table.shape[0] and not (own_catalogue and missing):
            target = targets_of(file, table, rows)[:1]
        elif own_catalogue:
            file.fail(
                "no_catalogue", f"no {' and '.join(missing) or 'row'} in HDU {table.index}",
                table.index, "give --catalogue",
            )  # fmt: skip
    elif own_catalogue:
        file.fail(
            "missing_hdu", "the catalogue row SPALL or SPECOBJ (HDU 2) is not there", 2,
            "fetch it again, or give --catalogue",
        )  # fmt: skip
    if target["TARGETID"][0] < 0:
        identify(target, *ids)
    return columns, first, target[0], verify_hdus(file, used, verify)


def _find_coadd(file: FitsFile) -> Hdu:
    if not is_spec(file):
        refuse_layout(file, "spec")
    coadd = file.find(*SPEC_COADD)
    if coadd is None:
        file.fail("missing_hdu", "the table COADD (HDU 1) is not there", 1, "fetch it again")
    return coadd


def _read_coadd(file: FitsFile, coadd: Hdu) -> dict[str, NDArray[Any]]:
    columns = file.table(coadd, list(SPEC_COLUMNS))
    for name in ("FLUX", "IVAR"):
        if name not in columns:
            found = list(coadd.header.fields)
            more = f" and {len(found) - MAX_NAMES} more" if len(found) > MAX_NAMES else ""
            file.fail(
                "missing_column", f"no column {name}; found {', '.join(found[:MAX_NAMES])}{more}",
                coadd.index,
            )  # fmt: skip
    for name, column in columns.items():
        if column.ndim != 1 or column.dtype.kind not in "fiu":
            file.fail("bad_header", f"{name} does not hold one number a pixel", coadd.index)
        columns[name] = as_type(column, SPEC_COLUMNS[name])
    return columns


def _spec_first_pixel(file: FitsFile, primary: Hdu, columns: dict[str, NDArray[Any]]) -> int:
    n_pixels = len(columns["FLUX"])
    if "LOGLAM" not in columns:
        return grid_from_header(file, primary, n_pixels).first
    if not n_pixels:
        return 0
    if primary.header.get("VACUUM", True) is False:
        file.fail("bad_wavelengths", "VACUUM = F: wavelengths in air", 0, "convert to vacuum")
    pixel = columns["LOGLAM"] / PIXEL_LOGLAM
    first = float(np.round(pixel[0])) if np.isfinite(pixel[0]) else 0.0
    off = np.abs(pixel - first - np.arange(n_pixels)).max()
    if not off < GRID_TOLERANCE or not FIRST_PIXELS[0] < first < FIRST_PIXELS[1]:
        file.fail(
            "bad_wavelengths",
            f"loglam from {columns['LOGLAM'][0]} to {columns['LOGLAM'][-1]} is not the SDSS grid "
            "(log10 of vacuum Angstrom, multiples of 1e-4, increasing)",
            1,
        )
    return int(first)
