"""What the files of SDSS and BOSS have in common, plates and single spectra alike.

In: open FITS files. Out: target rows, verified HDUs, and `Source`, the form in which
`speclens.read.sdss.plate` and `speclens.read.sdss.spec` hand over spectra. Formats: Data Release 12
and its neighbours, SDSS-I to eBOSS; HDUs are found by name, else by their documented position. Bad
pixels are left as they are: what to make of them is decided in `speclens.sample.preparation`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from speclens.errors import SpectrumFileError
from speclens.read.fits.file import FitsFile
from speclens.read.fits.hdus import Hdu, Verdict
from speclens.read.fits.header import Header
from speclens.read.targets import targets_as_stated
from speclens.schema import flag_bit
from speclens.spectra import SpectrumBatch

__all__ = [
    "MAX_NAMES",
    "Source",
    "is_survey_unit",
    "knowing",
    "refuse_other_unit",
    "targets_of",
    "verify_hdus",
]

MAX_NAMES = 12

UNIT_SCALE = re.compile(r"1(?:\.0*)?E-17|10 ?(?:\^|\*\*)? ?[({]?-17[)}]?", re.IGNORECASE)
UNIT_WORD = re.compile("[a-zå]+")
UNIT_WORDS = (
    {"erg", "ergs"},
    {"s", "sec"},
    {"cm"},
    {"a", "aa", "ang", "angstrom", "angstroms", "å"},
)
"""What a unit of flux density is made of, by the names that each goes by."""


class Source(Protocol):
    """Spectra that are read in two steps: who they are, then what they hold."""

    @property
    def survey(self) -> str:
        """Name of the survey, as in the column SURVEY."""

    @property
    def targets(self) -> NDArray[np.void]:
        """Catalogue rows, shape (N,)."""

    @property
    def reasons(self) -> NDArray[np.str_]:
        """Reason codes of what the catalogue already rules out, shape (N,); else empty."""

    @property
    def flags(self) -> NDArray[np.int32]:
        """Quality bits of `speclens.schema.FLAGS`, shape (N,)."""

    @property
    def files(self) -> Sequence[str]:
        """The file of each spectrum."""

    def spectra(self, rows: NDArray[np.integer]) -> SpectrumBatch:
        """Read the window of some spectra.

        Parameters
        ----------
        rows : array of shape (n,)
            Rows of `targets`, increasing.

        Returns
        -------
        SpectrumBatch
            Their spectra.
        """
        ...


def targets_of(file: FitsFile, hdu: Hdu, columns: dict[str, NDArray[Any]]) -> NDArray[np.void]:
    """Make target rows of a table's columns; `make_plausible` has still to see them.

    Parameters
    ----------
    file : FitsFile
        The file, to blame.
    hdu : Hdu
        The table.
    columns : dict of str to array of shape (N,)
        Its columns.

    Returns
    -------
    structured array of shape (N,)
        The rows.

    Raises
    ------
    SpectrumFileError
        If a column is of another type or shape than it should be.
    """
    try:
        return targets_as_stated(columns)
    except ValueError as error:
        file.fail("bad_header", f"columns of another type or shape: {error}", hdu.index)


@contextmanager
def knowing(targets: NDArray[np.void]) -> Iterator[None]:
    """Let an error tell which spectra are lost with the file.

    Parameters
    ----------
    targets : structured array of shape (N,)
        The spectra that the file was to hold.

    Yields
    ------
    None
        Nothing; an error that passes carries `targets`.
    """
    try:
        yield
    except SpectrumFileError as error:
        error.targets = targets
        raise


def refuse_other_unit(file: FitsFile, *hdus: Hdu) -> None:
    """Refuse flux in another unit than the survey's.

    Parameters
    ----------
    file : FitsFile
        The file, to blame.
    *hdus : Hdu
        HDUs whose header may state the unit, BUNIT or that of the column FLUX; where they say
        nothing, it is taken for the survey's.

    Raises
    ------
    SpectrumFileError
        If one says another unit.
    """
    for hdu in hdus:
        key, unit = _stated_unit(hdu.header)
        if unit and not is_survey_unit(unit):
            file.fail(
                "bad_values", f"{key} = {unit}; expected 1e-17 erg/s/cm2/Angstrom", hdu.index,
                "convert flux and inverse variance",
            )  # fmt: skip


@lru_cache(maxsize=64)
def _stated_unit(header: Header) -> tuple[str, str]:
    key = "BUNIT"
    if header.get("TFIELDS"):
        key = f"TUNIT{header.fields['FLUX'].number}"
    return key, str(header.get(key, "")).strip()


@lru_cache(maxsize=64)
def is_survey_unit(text: str) -> bool:
    """Say whether a unit is 1e-17 erg/s/cm2/Angstrom, however it is written.

    Parameters
    ----------
    text : str
        The unit.

    Returns
    -------
    bool
        True also for `1E-17 erg/cm/s/Ang`, as early files have it.
    """
    scale = UNIT_SCALE.search(text)
    if not scale:
        return False
    words = {*UNIT_WORD.findall(text.lower()[scale.end() :])}
    return len(words) == len(UNIT_WORDS) and all(words & names for names in UNIT_WORDS)


def verify_hdus(file: FitsFile, hdus: Sequence[Hdu], refuse: bool) -> int:
    """Verify the checksums of HDUs.

    Parameters
    ----------
    file : FitsFile
        The file.
    hdus : sequence of Hdu
        Those that are used.
    refuse : bool
        Raise an error where one disagrees, instead of setting a bit.

    Returns
    -------
    int
        Quality bits.

    Raises
    ------
    SpectrumFileError
        If one disagrees and is to be refused.
    """
    flags = 0
    for hdu in hdus:
        verdict = file.verify(hdu)
        if verdict is Verdict.UNKNOWN:
            flags |= flag_bit("UNVERIFIED")
        elif verdict is Verdict.HEADER_CHANGED:
            flags |= flag_bit("HEADER_CHANGED")
        elif verdict is Verdict.DAMAGED and refuse:
            file.fail(
                "checksum", "the HDU disagrees with its CHECKSUM or DATASUM", hdu.index,
                "fetch the file again, or search it all the same with --no-verify",
            )  # fmt: skip
        elif verdict is Verdict.DAMAGED:
            flags |= flag_bit("CHECKSUM")
    return flags
