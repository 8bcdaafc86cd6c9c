"""SDSS-V's words in files that are laid out as those of SDSS to eBOSS.

In: nothing. Out: `SDSSV`: field, date and catalogue identifier instead of plate, date and fibre.
"""

from __future__ import annotations

from typing import NoReturn

from speclens.errors import SpectrumFileError
from speclens.read.fits.file import FitsFile
from speclens.read.sdss.dialect import Dialect
from speclens.read.sdss.layouts import is_field_spec, refuse_layout
from speclens.read.sdss.targets import blank_targets
from speclens.read.sdssv import INSTRUMENT, NAME
from speclens.read.sdssv.identity import agreed, ids_of_header, ids_of_name, ids_of_rows
from speclens.read.sdssv.targets import COLUMNS, OWN_TEXTS, field_targets_of, identify

__all__ = ["SDSSV", "refuse"]


def refuse(file: FitsFile, wanted: str) -> NoReturn:
    """Refuse a file by the name of its layout.

    Parameters
    ----------
    file : FitsFile
        A file that is not what was looked for.
    wanted : str
        What was looked for: `spField` or `spec`.

    Raises
    ------
    SpectrumFileError
        Always; it carries one spectrum that nobody knows: what the file states is of no field.
    """
    try:
        refuse_layout(file, wanted)
    except SpectrumFileError as error:
        error.targets = blank_targets(1)
        raise


SDSSV = Dialect(
    NAME,
    INSTRUMENT,
    is_field_spec,
    refuse,
    ids_of_name,
    ids_of_header,
    ids_of_rows,
    agreed,
    identify,
    COLUMNS,
    OWN_TEXTS,
    field_targets_of,
)
"""SDSS-V: field, date and catalogue identifier."""
