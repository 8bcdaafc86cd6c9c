"""Fields of SDSS-V: spField files with the classes and redshifts of their spZbest files.

In: as for `speclens.read.sdss.plate.open_plate`, which opens them. Out: a `PlateFile`, whose rows
are targets: a robot's fibre may see several, and a target several fibres.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from speclens.read.fits.file import FitsFile
from speclens.read.fits.hdus import Hdu
from speclens.read.sdss.layouts import is_field
from speclens.read.sdss.plate import PlateLayout, open_plate
from speclens.read.sdss.targets import blank_targets, make_plausible
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

__all__ = ["open_field"]

Rows = NDArray[np.void]

MOST_TARGETS = 100_000


def _ids_of_field(file: FitsFile) -> tuple[FieldIds, str]:
    """Return field and date, as header and name agree, and what disagrees."""
    of_header, _ = ids_of_header(file.hdus[0].header)
    return agreed({"the header": of_header, "the file's name": ids_of_field_name(file.path)})


def _rows_of_field(file: FitsFile, ids: FieldIds) -> Rows:
    rows = blank_targets(file.hdus[0].shape[0])
    identify(rows, ids)
    return rows


def _read_plugmap(file: FitsFile, hdu: Hdu, ids: FieldIds, rows: Rows) -> NDArray[np.int64]:
    """Take what is known of the targets; return their numbers in spZbest, -1 if unknown.

    In Data Release 18 a fibre without a target has CATALOGID 0, and its file is named by the fibre.
    """
    columns = file.table(hdu, COLUMNS)
    known = field_targets_of(file, hdu, columns)
    make_plausible(known)
    found = []
    for row, fibre in zip(known, known["FIBERID"].tolist(), strict=True):
        own = ids_of_text(row["SPECTRUM"]).catalogid
        if not own and "FIBERID" in columns and fibre > 0:
            own = str(fibre)
        found.append(FieldIds(ids.field, ids.mjd, own))
    identify_each(known, found)
    rows[:] = known
    return columns.get("TARGET_INDEX", np.full(len(rows), -1)).astype(np.int64)


SPFIELD = PlateLayout(
    "spField", "spectra", MOST_TARGETS, is_field, refuse, _ids_of_field, _rows_of_field,
    _read_plugmap, read_field_zbest, NAME, INSTRUMENT,
)  # fmt: skip
"""Fields of SDSS-V."""

open_field = partial(open_plate, layout=SPFIELD)
"""Open an spField file, as `open_plate` does."""
