"""The wavelengths of a file: one grid, in vacuum, in Angstrom, whoever states it.

In: headers and columns. Out: the `LogGrid` in which all that state one agree. Wavelengths in air or
in another unit, off the survey's grid, or stated twice and differently are refused, never converted
or chosen from.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.lines import PIXEL_LOGLAM
from speclens.read.fits.file import FitsFile
from speclens.read.fits.hdus import Hdu
from speclens.read.fits.header import Field, Header
from speclens.spectra import LogGrid

__all__ = [
    "FIRST_PIXELS", "IN_AIR", "IN_VACUUM", "MAY_SAY_AIR", "SAYS_VACUUM", "WAVE_COLUMNS",
    "grid_of_image", "grid_of_table",
]  # fmt: skip

FIRST_PIXELS = (33000, 41000)
"""Pixels of the global grid between which any spectrum begins: 1995 to 12,589 Angstrom."""

GRID_TOLERANCE = 0.05
"""Largest distance of a wavelength from the global grid, pixels: float32 loglam errs by 0.004."""

LOGLAM = "LOGLAM"
"""The survey's own column. Of a spectrum that was cut it begins later than COEFF0, which is still
that of the plate: so in files of SDSS-I. It counts, but does not begin before."""

MOST_PIXELS = 4700
"""No plate is longer: a spectrum that was cut ends within so many pixels of COEFF0."""

LOG_COLUMNS = (LOGLAM, "LOGWAVE", "LOGLAMBDA")
LINEAR_COLUMNS = (
    "WAVELENGTH", "WAVE", "LAMBDA", "LAM", "WAVE_VAC", "LAMBDA_VAC", "VACWAVE", "VAC_WAVE",
)  # fmt: skip
WAVE_COLUMNS = (*LOG_COLUMNS, *LINEAR_COLUMNS)
"""Columns that state wavelengths: their decimal logarithms, or themselves."""

IN_VACUUM = {"", "T", "TRUE", "Y", "YES", "1", "1.0", "VAC", "VACUUM"}
IN_AIR = {"T", "TRUE", "Y", "YES", "1", "1.0", "AIR"}
SAYS_VACUUM = ("VACUUM", "AIRORVAC", "VACORAIR", "VACWAVE", "INVACUUM")
"""Keywords whose value is a word for vacuum; any other is air."""

MAY_SAY_AIR = (
    "WAVETYPE", "WAVE_AIR", "WAVEAIR", "AIRWAVE", "AIRWAV", "AIR", "INAIR", "MEDIUM", "WAVEMED",
    "WAVEMODE", "WAVESYS", "LAMTYPE",
)  # fmt: skip
"""Keywords of which only a word for air counts."""

WAVE_NAME = re.compile("WAV|LAM|WL")
ANGSTROM = re.compile(r"ANG|LOG.*\bA|0\.1 ?NM")
OTHER_UNIT = re.compile(
    r"(?<![A-Z])(?:[NPMCµμU]?M|NANO\w*|PICO\w*|MICRO\w*|MET(?:ER|RE)S?|[KMGT]?HZ|[KM]?EV|PIX\w*)"
    r"(?![A-Z])",
    re.IGNORECASE,
)
"""Units of wavelengths, frequencies and energies, unless `ANGSTROM` is in them too."""


def grid_of_image(file: FitsFile, hdu: Hdu, n_pixels: int) -> LogGrid:
    """Return the wavelengths of an image.

    Parameters
    ----------
    file : FitsFile
        The file, to blame.
    hdu : Hdu
        The image, with COEFF0 and COEFF1.
    n_pixels : int
        Number of pixels L.

    Returns
    -------
    LogGrid
        The wavelengths.

    Raises
    ------
    SpectrumFileError
        If they are missing, in air, in another unit, or not on the global grid.
    """
    _refuse_air(file, hdu)
    first = _first_of_header(file, hdu, n_pixels)
    if first is None:
        file.fail("bad_wavelengths", "neither a loglam column nor COEFF0 and COEFF1", hdu.index)
    return LogGrid(first, n_pixels)


def grid_of_table(
    file: FitsFile, primary: Hdu, table: Hdu, columns: Mapping[str, NDArray[Any]], n_pixels: int
) -> LogGrid:
    """Return the wavelengths of a table of one spectrum.

    Parameters
    ----------
    file : FitsFile
        The file, to blame.
    primary : Hdu
        Its first HDU; its COEFF0 and COEFF1 must not contradict the columns, and count where there
        are none.
    table : Hdu
        The table.
    columns : mapping of str to array of shape (L,)
        Its columns; those of `WAVE_COLUMNS` count.
    n_pixels : int
        Number of pixels L.

    Returns
    -------
    LogGrid
        The wavelengths.

    Raises
    ------
    SpectrumFileError
        If they are missing, in air, in another unit, not on the global grid, or stated twice and
        differently.
    """
    _refuse_air(file, primary)
    _refuse_air(file, table)
    stated = {
        name: _first_of_column(file, table, name, columns[name])
        for name in WAVE_COLUMNS
        if name in columns and n_pixels
    }
    of_header = _first_of_header(file, primary, n_pixels)
    cut = 0 if of_header is None else stated.get(LOGLAM, -1) - of_header
    if of_header is not None and not (cut >= 0 and (not cut or cut + n_pixels <= MOST_PIXELS)):
        stated["COEFF0"] = of_header
    if not stated and n_pixels:
        file.fail("bad_wavelengths", "neither a loglam column nor COEFF0 and COEFF1", 0)
    if len(set(stated.values())) > 1:
        said = " and ".join(f"{10 ** (n * PIXEL_LOGLAM):.2f} by {k}" for k, n in stated.items())
        file.fail("bad_wavelengths", f"the first pixel is at {said} Angstrom", table.index)
    return LogGrid(next(iter(stated.values()), 0), n_pixels)


def _first_of_header(file: FitsFile, hdu: Hdu, n_pixels: int) -> int | None:
    """First pixel by COEFF0 and COEFF1; None where the header lacks one of them."""
    start, step = hdu.header.number("COEFF0"), hdu.header.number("COEFF1")
    if start is None or step is None:
        return None
    _refuse_other_axis(file, hdu, float(start))
    first = float(start) / PIXEL_LOGLAM
    drift = abs(step / PIXEL_LOGLAM - 1) * n_pixels
    if (
        not FIRST_PIXELS[0] < first < FIRST_PIXELS[1]
        or abs(first - round(first)) > GRID_TOLERANCE
        or drift > GRID_TOLERANCE
    ):
        file.fail(
            "bad_wavelengths",
            f"COEFF0 = {start}, COEFF1 = {step}; expected multiples of 1e-4 in log10(Angstrom)",
            hdu.index,
        )
    return round(first)


def _refuse_other_axis(file: FitsFile, hdu: Hdu, start: float) -> None:
    """Refuse CRVAL1 and CD1_1 that are the logarithms of another grid than COEFF0's."""
    value = hdu.header.number("CRVAL1")
    step = hdu.header.number("CD1_1") or hdu.header.number("CDELT1")
    if value is None or step is None or hdu.header.number("CRPIX1") not in (None, 1):
        return
    is_log = FIRST_PIXELS[0] < float(value) / PIXEL_LOGLAM < FIRST_PIXELS[1]
    if is_log and abs(float(value) - start) > GRID_TOLERANCE * PIXEL_LOGLAM:
        file.fail("bad_wavelengths", f"COEFF0 = {start}, CRVAL1 = {value}", hdu.index)


def _first_of_column(file: FitsFile, table: Hdu, name: str, column: NDArray[Any]) -> int:
    """First pixel by a column of wavelengths or of their logarithms."""
    loglam = column
    if name in LINEAR_COLUMNS:
        loglam = np.log10(column, out=np.full(len(column), np.nan), where=column > 0)
    start = float(loglam[0]) / PIXEL_LOGLAM
    first = round(start) if np.isfinite(start) else 0
    # Of a grid this is the same for all pixels: first * PIXEL_LOGLAM.
    starts = loglam - _steps(len(loglam))
    off = max(starts.max() - first * PIXEL_LOGLAM, first * PIXEL_LOGLAM - starts.min())
    if not off < GRID_TOLERANCE * PIXEL_LOGLAM or not FIRST_PIXELS[0] < first < FIRST_PIXELS[1]:
        kind = "vacuum Angstrom" if name in LINEAR_COLUMNS else "log10 of vacuum Angstrom"
        file.fail(
            "bad_wavelengths",
            f"{name.lower()} from {column[0]} to {column[-1]} is not the SDSS grid ({kind}, "
            "multiples of 1e-4 in the logarithm, increasing)",
            table.index,
        )
    return first


@lru_cache(maxsize=16)
def _steps(n_pixels: int) -> NDArray[np.float64]:
    """From the first pixel to each, in log10 of the wavelength, shape (L,)."""
    return np.asarray(np.arange(n_pixels) * PIXEL_LOGLAM, np.float64)


def _refuse_air(file: FitsFile, hdu: Hdu) -> None:
    fault = _fault(hdu.header)
    if fault:
        file.fail("bad_wavelengths", fault, hdu.index, "convert them to vacuum Angstrom")


@lru_cache(maxsize=64)
def _fault(header: Header) -> str:
    """Say what in a header says air or another unit; empty when nothing does."""
    return _card_of_air(header) or _column_of_air(header) or _other_unit(header)


def _card_of_air(header: Header) -> str:
    for key in SAYS_VACUUM:
        if header.word(key) not in IN_VACUUM:
            return f"{key} = {header.word(key)}: wavelengths in air"
    for key in MAY_SAY_AIR:
        if header.word(key) in IN_AIR:
            return f"{key} = {header.word(key)}: wavelengths in air"
    axis = header.word("CTYPE1")
    return f"CTYPE1 = {axis}: wavelengths in air" if axis.startswith("AWAV") else ""


def _column_of_air(header: Header) -> str:
    for name in _columns(header):
        if name == "AWAV" or ("AIR" in name and WAVE_NAME.search(name)):
            return f"column {name}: wavelengths in air"
    return ""


def _other_unit(header: Header) -> str:
    columns = _columns(header)
    for key in ("CUNIT1", *(f"TUNIT{columns[n].number}" for n in WAVE_COLUMNS if n in columns)):
        unit = header.word(key)
        if re.search(r"\bAIR\b", unit):
            return f"{key} = {unit}: wavelengths in air"
        if OTHER_UNIT.search(unit) and not ANGSTROM.search(unit):
            return f"{key} = {unit}: not Angstrom"
    return ""


def _columns(header: Header) -> Mapping[str, Field]:
    return header.fields if header.get("TFIELDS") else {}
