"""What is checked in every file of SDSS and BOSS, plates and single spectra alike.

In: open FITS files. Out: target rows, verified HDUs, the unit of the flux. Formats: Data Release 12
and its neighbours, SDSS-I to eBOSS; HDUs are found by name, else by their documented position.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.errors import SpectrumFileError
from speclens.instrument import Instrument
from speclens.read.fits.file import FitsFile
from speclens.read.fits.hdus import Hdu, Verdict
from speclens.read.fits.header import Header
from speclens.read.sdss.targets import targets_as_stated
from speclens.read.values import plausible_dispersion
from speclens.schema import flag_bit
from speclens.spectra import LogGrid, SpectrumBatch

__all__ = [
    "MAX_NAMES",
    "batch_of",
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
    {"a", "aa", "ang", "angs", "angstrom", "angstroms", "å"},
)
"""What a unit of flux density is made of, by the names that each goes by."""


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


def batch_of(
    instrument: Instrument,
    grid: LogGrid,
    flux: NDArray[np.float32],
    ivar: NDArray[np.float32],
    mask_bits: NDArray[np.int32],
    dispersion: NDArray[np.float32],
    targets: NDArray[np.void],
    files: Sequence[str],
) -> SpectrumBatch:
    """Make a batch of spectra, with what the survey's bits and line spreads mean.

    Parameters
    ----------
    instrument : Instrument
        Of the survey.
    grid : LogGrid
        Wavelengths, L pixels.
    flux, ivar, mask_bits, dispersion : array of shape (N, L)
        As the files hold them; `instrument.no_data` is the mask of a pixel that a file does not
        have.
    targets : structured array of shape (N,)
        Catalogue rows.
    files : sequence of str, length N
        The file of each spectrum.

    Returns
    -------
    SpectrumBatch
        The spectra.
    """
    return SpectrumBatch(
        grid, flux, ivar, instrument.is_masked(mask_bits), instrument.is_covered(mask_bits),
        plausible_dispersion(dispersion, instrument.line_spread_limits), targets, files,
    )  # fmt: skip


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
