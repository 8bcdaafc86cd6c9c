"""Plain tables of spectra in files: FITS, ECSV, CSV, VOTable, whatever astropy reads.

In: a path. Out: its table, or nothing where the file is that of a survey. What its columns mean is
left to `speclens.read.arrays.holders`.
"""

from __future__ import annotations

import os
from typing import Any

from speclens.errors import SpectraError
from speclens.products import one_line
from speclens.read.arrays.holders import has_spectra
from speclens.read.surveys import SURVEYS

__all__ = ["table_of_file"]

FITS_NAMES = (".fits", ".fit", ".fits.gz", ".fit.gz", ".fits.fz", ".fit.fz")
FORMATS = {".csv": "ascii.csv", ".ecsv": "ascii.ecsv"}


def table_of_file(path: str) -> Any:
    """Read a plain table.

    Parameters
    ----------
    path : str
        A file.

    Returns
    -------
    astropy.table.Table or None
        None for folders, for files that a survey knows by their name or content, and for FITS files
        without a table of wavelengths and fluxes, of which readers of surveys say what they are.

    Raises
    ------
    SpectraError
        If it cannot be read as a table.
    """
    from astropy.table import Table

    name = os.path.basename(path).lower()
    if not os.path.isfile(path) or any(s.kind_of_name(name) for s in SURVEYS):
        return None
    is_fits = name.endswith(FITS_NAMES)
    if is_fits and any(survey.kind_of_content(path) for survey in SURVEYS):
        return None
    try:
        table = Table.read(path, format=FORMATS.get(os.path.splitext(name)[1]))
    except Exception as error:
        if is_fits:
            return None
        raise SpectraError(f"{path}: no table that astropy reads ({one_line(error)})") from error
    return None if is_fits and not has_spectra(table) else table
