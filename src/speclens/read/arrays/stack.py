"""Stacks: spectra that came as arrays, in a file that workers open and that a search goes back to.

In: a `SpectrumBatch`. Out: a FITS file with an image of flux, inverse variance, mask and line
spread each, and a table of the targets; read back window by window, as a plate is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speclens.errors import RunError, SpectrumFileError
from speclens.lines import PIXEL_LOGLAM
from speclens.read.arrays import INSTRUMENT, NAME
from speclens.read.fits.file import FitsFile
from speclens.read.fits.opening import open_fits
from speclens.read.sdss.lookup import TargetLookup
from speclens.read.sdss.plate import PlateFile
from speclens.read.sdss.targets import blank_targets
from speclens.read.sdss.wavelengths import grid_of_image
from speclens.read.values import numbers, texts
from speclens.spectra import LogGrid, SpectrumBatch

__all__ = ["MARK", "is_stack", "open_stack", "write_stack"]

MARK = "SPECLENS"
"""Card of the first header that says what the file is."""

LAYOUT = "stack"
FLUX_UNIT = "1E-17 erg/cm^2/s/Ang"
IMAGES = {"flux": "", "ivar": "IVAR", "mask_bits": "MASK", "dispersion": "WDISP"}
TARGETS = "TARGETS"
COLUMNS = {
    "SPECTRUM": "40A", "RA": "D", "DEC": "D", "Z": "D", "CLASS": "8A", "SUBCLASS": "24A",
    "VDISP": "E", "VDISP_ERR": "E", "MAG_I": "E",
}  # fmt: skip
"""What a stack holds of each target, by name as in `TARGET_DTYPE`, with its format."""


def write_stack(path: Path, batch: SpectrumBatch) -> None:
    """Write spectra as a stack; without an image of the line spread where that is not known.

    Parameters
    ----------
    path : Path
        Final place.
    batch : SpectrumBatch
        N spectra, on any grid.

    Raises
    ------
    RunError
        If it cannot be written.
    """
    from astropy.io import fits

    primary = fits.PrimaryHDU(batch.flux)
    primary.header[MARK] = (LAYOUT, "spectra that came as arrays")
    primary.header["COEFF0"] = round(batch.grid.first * PIXEL_LOGLAM, 4)
    primary.header["COEFF1"] = PIXEL_LOGLAM
    primary.header["VACUUM"] = True
    primary.header["BUNIT"] = FLUX_UNIT
    bits = batch.mask | ~batch.covered * np.uint8(INSTRUMENT.no_data)
    images = {"IVAR": batch.ivar, "MASK": bits}
    if batch.dispersion.any():
        images["WDISP"] = batch.dispersion
    columns = [fits.Column(name, form, array=batch.targets[name]) for name, form in COLUMNS.items()]
    hdus = [
        primary,
        *(fits.ImageHDU(image, name=name) for name, image in images.items()),
        fits.BinTableHDU.from_columns(columns, name=TARGETS),
    ]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not by `replacing`: a search writes it anew, so it need not outlast a power cut.
        with path.open("wb") as file:
            fits.HDUList(hdus).writeto(file)
    except OSError as error:
        raise RunError(f"{path}: cannot write: {error.strerror or error}") from error


def is_stack(path: str) -> bool:
    """Say whether a file is a stack, by its first header.

    Parameters
    ----------
    path : str
        Any file.

    Returns
    -------
    bool
        False also for what cannot be read.
    """
    try:
        with open_fits(path) as file:
            return _is_stack(file)
    except SpectrumFileError:
        return False


@contextmanager
def open_stack(
    path: str, grid: LogGrid, catalogue: TargetLookup | None = None
) -> Iterator[PlateFile]:
    """Open a stack.

    Parameters
    ----------
    path : str
        The file.
    grid : LogGrid
        The window to read.
    catalogue : TargetLookup, optional
        Classes and redshifts instead of those of the stack.

    Yields
    ------
    PlateFile
        Its spectra.

    Raises
    ------
    SpectrumFileError
        If it is no readable stack.
    """
    with open_fits(path) as file:
        if not _is_stack(file):
            file.fail("unknown_layout", f"no stack: {MARK} does not say so", 0, "write it again")
        flux = file.hdus[0]
        images = {"flux": flux} | {
            name: file.find((label,), -1) for name, label in IMAGES.items() if label
        }
        for name, hdu in images.items():
            if hdu is None and name == "dispersion":
                continue
            if hdu is None or hdu.is_table or hdu.shape != flux.shape:
                file.fail("missing_hdu", f"no {name} for {flux.shape} pixels", 0, "write it again")
        targets = _targets(file, flux.shape[0])
        reasons, flags = np.zeros(len(targets), "U24"), np.zeros(len(targets), np.int32)
        if catalogue is not None:
            targets, reasons, flags = catalogue.lookup(targets)
        yield PlateFile(
            file, images, grid_of_image(file, flux, flux.shape[1]), grid, targets, reasons, flags,
            NAME, INSTRUMENT,
        )  # fmt: skip


def _is_stack(file: FitsFile) -> bool:
    first = file.hdus[0]
    return str(first.header.get(MARK, "")).strip() == LAYOUT and len(first.shape) == 2


def _targets(file: FitsFile, n_spectra: int) -> NDArray[np.void]:
    hdu = file.find((TARGETS,), -1)
    columns = {} if hdu is None else file.table(hdu, list(COLUMNS))
    if hdu is None or hdu.shape[0] != n_spectra or columns.keys() != COLUMNS.keys():
        file.fail("missing_hdu", f"no {TARGETS} of {n_spectra} rows", TARGETS, "write it again")
    targets = blank_targets(n_spectra)
    for name, column in columns.items():
        kind, width = targets.dtype[name].kind, targets.dtype[name].itemsize // 4
        targets[name] = texts(column, width) if kind == "U" else numbers(column)
    for name in ("Z", "CLASS", "SUBCLASS"):
        targets[f"{name}_NOQSO"] = targets[name]
    return targets
