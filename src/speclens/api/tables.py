"""Rows as tables of astropy, with units.

In: rows of a schema, arrays of one spectrum. Out: `QTable`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from speclens.products import as_table
from speclens.schema import FLUX_DENSITY_UNIT, SPECTRA, Column
from speclens.spectra import LogGrid

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = ["TARGETS", "quantities", "spectrum_table"]

_SHOWN = ("SPECTRUM", "RA", "DEC", "Z", "CLASS", "SUBCLASS")

TARGETS = (
    *(column for column in SPECTRA if column.name in _SHOWN),
    Column("VDISP", "f4", "km/s", "velocity dispersion"),
    Column("MAG_I", "f4", "mag", "magnitude within the fibre, i band"),
)
"""What is shown of targets."""


def quantities(rows: NDArray[np.void], columns: Sequence[Column]) -> QTable:
    """Return some columns of rows as a table with units.

    Parameters
    ----------
    rows : structured array of shape (N,)
        The rows.
    columns : sequence of Column
        The columns.

    Returns
    -------
    astropy.table.QTable
        Those columns.
    """
    from astropy.table import QTable

    names = [column.name for column in columns]
    return QTable(as_table(rows[names], columns))


def spectrum_table(grid: LogGrid, **arrays: NDArray[np.float32]) -> QTable:
    """Return one spectrum as a table with units.

    Parameters
    ----------
    grid : LogGrid
        Wavelengths, L pixels.
    **arrays : array of shape (1, L)
        FLUX, IVAR and others.

    Returns
    -------
    astropy.table.QTable
        WAVE, vacuum, and those.
    """
    from astropy import units
    from astropy.table import QTable

    density = units.Unit(FLUX_DENSITY_UNIT)
    of_column = {"FLUX": density, "MODEL": density, "IVAR": density**-2}
    table = QTable({"WAVE": grid.wave * units.AA})
    for name, array in arrays.items():
        table[name] = array[0] * of_column[name] if name in of_column else array[0]
    return table
