"""Fields of SDSS-V: spField files with the classes and redshifts of their spZbest files.

In: the path of an spField file, the window to read, a catalogue if the user gave one. Out: a
`PlateFile`, whose rows are targets: a robot's fibre may see several, and a target several fibres.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import numpy as np
from numpy.typing import NDArray

from speclens.errors import SpectrumFileError
from speclens.read.fits.file import FitsFile
from speclens.read.fits.hdus import Hdu
from speclens.read.fits.header import HeaderError
from speclens.read.fits.opening import open_fits
from speclens.read.sdss.checks import knowing, refuse_other_unit, verify_hdus
from speclens.read.sdss.layouts import is_field
from speclens.read.sdss.lookup import TargetLookup
from speclens.read.sdss.plate import PlateFile, find_plugmap, plate_images
from speclens.read.sdss.targets import blank_targets, make_plausible, mark_lost_fibres
from speclens.read.sdss.wavelengths import grid_of_image
from speclens.read.sdssv import INSTRUMENT, NAME
from speclens.read.sdssv.dialect import refuse
from speclens.read.sdssv.identity import (
    FieldIds,
    agreed,
    ids_of_field_name,
    ids_of_header,
    ids_of_text,
)
from speclens.read.sdssv.targets import COLUMNS, field_targets_of, identify, identify_each
from speclens.read.sdssv.zbest import read_field_zbest
from speclens.spectra import LogGrid

__all__ = ["open_field"]

MOST_TARGETS = 100_000


@contextmanager
def open_field(
    path: str, grid: LogGrid, catalogue: TargetLookup | None = None, verify: bool = True
) -> Iterator[PlateFile]:
    """Open an spField file and find the classes and redshifts of its targets.

    Parameters
    ----------
    path : str
        The spField file; its spZbest stands beside it or in its RUN2D folder.
    grid : LogGrid
        The window to read.
    catalogue : TargetLookup, optional
        Classes and redshifts instead of the spZbest file.
    verify : bool, optional
        Refuse data that disagree with their DATASUM; otherwise flag them.

    Yields
    ------
    PlateFile
        The open field.

    Raises
    ------
    SpectrumFileError
        If the field cannot be read; its `targets` are the rows, as far as known.
    """
    opened: list[FitsFile] = []
    try:
        with open_fits(path, opened=opened) as file:
            yield _open(file, grid, catalogue, verify)
    except SpectrumFileError as error:
        if error.targets is None and opened:
            error.targets = _declared(opened[0])
        raise


def _open(file: FitsFile, grid: LogGrid, catalogue: TargetLookup | None, verify: bool) -> PlateFile:
    if not is_field(file):
        refuse(file, "spField")
    flux = file.hdus[0]
    if flux.shape[0] > MOST_TARGETS:
        file.fail("too_large", f"{flux.shape[0]} spectra; allowed: {MOST_TARGETS}", 0)
    ids, contradiction = _ids_of_field(file)
    rows = blank_targets(flux.shape[0])
    identify(rows, ids)
    with knowing(rows):
        if contradiction:
            file.fail("bad_identity", contradiction, 0, "give the file back its own name")
        refuse_other_unit(file, flux)
        images = plate_images(file, flux.shape)
        field_grid = grid_of_image(file, flux, flux.shape[1])
        plugmap = find_plugmap(file, flux.shape[0])
        used = [hdu for hdu in (*images.values(), plugmap) if hdu is not None]
        flags = np.full(len(rows), verify_hdus(file, used, verify), np.int32)
        rows[:], index = _read_plugmap(file, plugmap, ids)
        if catalogue is not None:
            targets, reasons, of_catalogue = catalogue.lookup(rows)
            flags |= of_catalogue
        else:
            targets, reasons, quality = read_field_zbest(file, ids, rows, index, verify)
            flags |= np.int32(quality)
        mark_lost_fibres(targets)
    return PlateFile(file, images, field_grid, grid, targets, reasons, flags, NAME, INSTRUMENT)


def _ids_of_field(file: FitsFile) -> tuple[FieldIds, str]:
    """Return field and date, as header and name agree, and what disagrees."""
    of_header, _ = ids_of_header(file.hdus[0].header)
    return agreed({"the header": of_header, "the file's name": ids_of_field_name(file.path)})


def _declared(file: FitsFile) -> NDArray[np.void] | None:
    """Return the rows that a file which failed was to hold, as far as its first header tells."""
    with suppress(HeaderError):
        if file.hdus and is_field(file) and file.hdus[0].shape[0] <= MOST_TARGETS:
            rows = blank_targets(file.hdus[0].shape[0])
            identify(rows, _ids_of_field(file)[0])
            return rows
    return None


def _read_plugmap(
    file: FitsFile, hdu: Hdu, ids: FieldIds
) -> tuple[NDArray[np.void], NDArray[np.int64]]:
    """Read what is known of the targets: their rows, and their numbers in spZbest, -1 if unknown.

    In Data Release 18 a fibre without a target has CATALOGID 0, and its file is named by the fibre.
    """
    columns = file.table(hdu, COLUMNS)
    rows = field_targets_of(file, hdu, columns)
    make_plausible(rows)
    found = []
    for row, fibre in zip(rows, rows["FIBERID"].tolist(), strict=True):
        own = ids_of_text(row["SPECTRUM"]).catalogid
        if not own and "FIBERID" in columns and fibre > 0:
            own = str(fibre)
        found.append(FieldIds(ids.field, ids.mjd, own))
    identify_each(rows, found)
    return rows, columns.get("TARGET_INDEX", np.full(len(rows), -1)).astype(np.int64)
