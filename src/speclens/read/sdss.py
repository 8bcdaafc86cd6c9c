"""What the files of SDSS and BOSS have in common, plates and single spectra alike.

In: open FITS files. Out: wavelength grids, identifiers, verified HDUs, and `Source`, the form in
which `speclens.read.plate` and `speclens.read.spec` hand over spectra. Formats: Data Release 12 and
its neighbours, SDSS-I to eBOSS; HDUs are found by name, else by their documented position. Bad
pixels are left as they are: what to make of them is decided in `speclens.sample.preparation`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from speclens.errors import SpectrumFileError
from speclens.lines import PIXEL_LOGLAM
from speclens.read.fits import FitsFile, Hdu, Verdict
from speclens.read.targets import (
    MAX_ID,
    targets_from_columns,
)
from speclens.schema import flag_bit
from speclens.spectra import LogGrid, SpectrumBatch

__all__ = [
    "FIRST_PIXELS",
    "GRID_TOLERANCE",
    "MAX_NAMES",
    "Source",
    "first_number",
    "grid_from_header",
    "knowing",
    "targets_of",
    "verify_hdus",
]

FIRST_PIXELS = (33000, 41000)
"""Pixels of the global grid between which any spectrum begins: 1995 to 12,589 Angstrom."""

GRID_TOLERANCE = 0.05
"""Largest distance of a wavelength from the global grid, pixels: float32 loglam errs by 0.004."""

MAX_NAMES = 12


class Source(Protocol):
    """Spectra that are read in two steps: who they are, then what they hold."""

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
    """Make target rows of a table's columns.

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
        return targets_from_columns(columns)
    except (TypeError, ValueError) as error:
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


def grid_from_header(file: FitsFile, hdu: Hdu, n_pixels: int) -> LogGrid:
    """Read the wavelengths of a header.

    Parameters
    ----------
    file : FitsFile
        The file, to blame.
    hdu : Hdu
        The HDU with COEFF0 and COEFF1.
    n_pixels : int
        Number of pixels L.

    Returns
    -------
    LogGrid
        The wavelengths.

    Raises
    ------
    SpectrumFileError
        If they are missing, in air, or not on the global grid.
    """
    start, step = hdu.header.number("COEFF0"), hdu.header.number("COEFF1")
    if start is None or step is None:
        file.fail("bad_wavelengths", "neither a loglam column nor COEFF0 and COEFF1", hdu.index)
    if hdu.header.get("VACUUM", True) is False:
        file.fail("bad_wavelengths", "VACUUM = F: wavelengths in air", hdu.index, "convert them")
    first = start / PIXEL_LOGLAM
    drift = abs(step / PIXEL_LOGLAM - 1) * n_pixels
    if (
        abs(first - round(first)) > GRID_TOLERANCE
        or drift > GRID_TOLERANCE
        or not FIRST_PIXELS[0] < first < FIRST_PIXELS[1]
    ):
        file.fail(
            "bad_wavelengths",
            f"COEFF0 = {start}, COEFF1 = {step}; expected multiples of 1e-4 in log10(Angstrom)",
            hdu.index,
        )
    return LogGrid(round(first), n_pixels)


def first_number(hdu: Hdu, *keys: str) -> int:
    """Read an identifier from the first card that holds one.

    Parameters
    ----------
    hdu : Hdu
        The HDU.
    *keys : str
        Keywords, the preferred first.

    Returns
    -------
    int
        The identifier; -1 when no card holds one.
    """
    for key in keys:
        value = hdu.header.get(key)
        text = str(value).strip()
        number = int(text) if text.isdecimal() else -1
        if 0 <= number <= MAX_ID:
            return number
    return -1


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
