"""Plain tables that are named outright in Python: whatever astropy reads.

In: a path. Out: its table, or nothing where the file is that of a survey.
"""

from __future__ import annotations

import os
from typing import Any

from speclens.errors import SpectraError, SpectrumFileError
from speclens.products import one_line
from speclens.read.arrays.files import FITS_NAMES, is_of_plain_table, read_table
from speclens.read.arrays.survey import TABLES
from speclens.read.surveys import kind_of_content, kind_of_name

__all__ = ["table_of_file"]


def table_of_file(path: str) -> Any:
    """Read a plain table for `speclens.read`.

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
    name = os.path.basename(path)
    named = kind_of_name(name)
    if not os.path.isfile(path) or (named is not None and named.owns(name)):
        return None
    try:
        if name.lower().endswith(FITS_NAMES):
            return read_table(path)[0] if kind_of_content(path) == TABLES else None
        if is_of_plain_table(name):
            return read_table(path)[0]
    except SpectrumFileError as error:
        said = "; ".join(filter(None, (error.detail, error.hint)))
        raise SpectraError(f"{path}: {said}", error.reason) from error
    return _other_table(path)


def _other_table(path: str) -> Any:
    from astropy.table import Table

    try:
        return Table.read(path)
    except Exception as error:
        raise SpectraError(f"{path}: no table that astropy reads ({one_line(error)})") from error
