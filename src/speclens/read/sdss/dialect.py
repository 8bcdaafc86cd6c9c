"""In what the files of two surveys differ that are laid out alike.

In: nothing. Out: `Dialect`: who a spectrum is, in the survey's own identifiers, and what the
columns of its catalogue row are called. That of SDSS-I to eBOSS is `SDSS`; SDSS-V has its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from speclens.instrument import Instrument
from speclens.read.fits.file import FitsFile
from speclens.read.fits.hdus import Hdu
from speclens.read.fits.header import Header
from speclens.read.sdss import INSTRUMENT, NAME
from speclens.read.sdss.checks import targets_of
from speclens.read.sdss.identity import Ids, agreed, ids_of_header, ids_of_name, ids_of_rows
from speclens.read.sdss.layouts import is_spec, refuse_layout
from speclens.read.sdss.targets import CATALOGUE_COLUMNS, TEXT_COLUMNS, identify

__all__ = ["SDSS", "Dialect"]

AnyIds = Any
"""Identifiers of a spectrum, as the survey has them; a tuple."""

Rows = NDArray[np.void]


@dataclass(frozen=True)
class Dialect:
    """A survey's own words in files of SDSS's layout.

    Parameters
    ----------
    survey : str
        Its name, as in the column SURVEY.
    instrument : Instrument
        Its bits and limits.
    is_spec : callable
        Says whether a file is one of its spectra.
    refuse : callable
        Refuses a file that is none, by the name of its layout.
    ids_of_name, ids_of_header, ids_of_rows : callable
        Identifiers as a path, a header (and where it contradicts itself) and target rows state
        them.
    agreed : callable
        Those that several places agree in, and what disagrees.
    identify : callable
        Sets the identifiers of target rows.
    columns : sequence of str
        Columns of a catalogue row that are read.
    text_columns : set of str
        Those of them that are read as text.
    targets_of : callable
        Makes target rows of them, which `make_plausible` has still to see.
    """

    survey: str
    instrument: Instrument
    is_spec: Callable[[FitsFile], bool]
    refuse: Callable[[FitsFile, str], NoReturn]
    ids_of_name: Callable[[str], AnyIds]
    ids_of_header: Callable[[Header], tuple[AnyIds, str]]
    ids_of_rows: Callable[[Rows], AnyIds]
    agreed: Callable[[Mapping[str, AnyIds]], tuple[AnyIds, str]]
    identify: Callable[[Rows, AnyIds], None]
    columns: Sequence[str]
    text_columns: frozenset[str]
    targets_of: Callable[[FitsFile, Hdu, dict[str, NDArray[Any]]], Rows]


def _identify(rows: Rows, ids: Ids) -> None:
    identify(rows, *ids)


SDSS = Dialect(
    NAME,
    INSTRUMENT,
    is_spec,
    refuse_layout,
    ids_of_name,
    ids_of_header,
    ids_of_rows,
    agreed,
    _identify,
    CATALOGUE_COLUMNS,
    TEXT_COLUMNS,
    targets_of,
)
"""SDSS-I to eBOSS: plate, date and fibre."""
