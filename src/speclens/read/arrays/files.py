"""Plain tables of spectra in files: FITS, ECSV, CSV, Parquet.

In: a path. Out: its table, of astropy, with the header entries that are looked at. What it is, is
told by its content, and by the name of a CSV file. What its columns mean is left to
`speclens.read.arrays.holders`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from xxhash import xxh3_128

from speclens.errors import SpectraError, SpectrumFileError
from speclens.products import one_line
from speclens.read.arrays import parquet
from speclens.read.arrays.declared import FLUX_UNIT
from speclens.read.arrays.holders import ENTRIES, LOOKED_AT, has_spectra
from speclens.read.disk import DiskContent
from speclens.read.fits.file import FitsFile
from speclens.read.fits.hdus import Hdu
from speclens.read.fits.opening import open_fits
from speclens.read.sdss.checks import is_survey_unit, verify_hdus
from speclens.run.recording import note
from speclens.schema import flag_bit

__all__ = ["FITS_NAMES", "holds_spectra", "is_of_plain_table", "is_readable", "read_table"]

FITS_NAMES = (".fits", ".fit", ".fits.gz", ".fit.gz")
PLAIN_NAMES = (*FITS_NAMES, ".csv", ".ecsv", ".parquet")
FITS_MARK, ECSV_MARK, GZIP_MARK = b"SIMPLE  ", b"# %ECSV", b"\x1f\x8b"

MAX_BYTES = 1 << 30
"""A text or a Parquet file is read as a whole."""
HEAD_BYTES = 1 << 16


def is_of_plain_table(name: str) -> bool:
    """Say whether a file may be a plain table, by its name."""
    return name.lower().endswith(PLAIN_NAMES)


def holds_spectra(path: str) -> bool:
    """Say whether a file holds a plain table of spectra, without reading its rows.

    Parameters
    ----------
    path : str
        Any file.

    Returns
    -------
    bool
        Whether it has columns of wavelengths and fluxes. True of a Parquet file that cannot be
        looked into, damaged or for want of pyarrow: its reader says so.

    Raises
    ------
    SpectrumFileError
        If it cannot be read.
    """
    head = _head(path)
    if head.startswith((FITS_MARK, GZIP_MARK)) or path.lower().endswith(FITS_NAMES):
        with open_fits(path) as file:
            return _table_hdu(file) is not None
    if head.startswith(parquet.MARK):
        names = parquet.column_names(path)
        return names is None or has_spectra(names)
    lines = head.decode("utf-8-sig", "replace").splitlines()
    if head.startswith(ECSV_MARK):
        line = next((text for text in lines if not text.startswith("#")), "")
        return has_spectra(line.replace(",", " ").replace('"', " ").split())
    is_csv = path.lower().endswith(".csv") and bool(lines)
    return is_csv and has_spectra(lines[0].replace('"', "").split(","))


def is_readable(path: str) -> bool:
    """Say whether a file can be looked into."""
    try:
        holds_spectra(path)
    except SpectrumFileError:
        return False
    return True


def read_table(path: str, verify: bool = True) -> tuple[Any, int]:
    """Read a plain table of spectra.

    Parameters
    ----------
    path : str
        FITS, ECSV, CSV or Parquet.
    verify : bool, optional
        Refuse data of FITS files that disagree with their DATASUM; otherwise flag them.

    Returns
    -------
    table : astropy.table.Table
        With units where the file states them; of a FITS file the columns that are looked at.
    flags : int
        Quality bits of its checksums.

    Raises
    ------
    SpectrumFileError
        If it cannot be read.
    """
    head = _head(path)
    if head.startswith((FITS_MARK, GZIP_MARK)) or path.lower().endswith(FITS_NAMES):
        with open_fits(path) as file:
            return _fits_table(file, verify)
    content = _whole(path)
    note(path, f"{len(content)} {xxh3_128(content).hexdigest()}")
    try:
        # What astropy warns of, such as a unit that it does not know, is refused where it matters.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if head.startswith(parquet.MARK):
                table = parquet.table_of(content)
            else:
                table = _text_table(
                    content, head.startswith(ECSV_MARK) or path.lower().endswith(".ecsv")
                )
    except SpectraError as error:
        raise SpectrumFileError(path, error.reason, str(error)) from error
    except Exception as error:
        raise SpectrumFileError(
            path, "unknown_layout", f"no table that astropy reads ({one_line(error)})",
            hint="plain tables are FITS, ECSV, CSV and Parquet",
        ) from error  # fmt: skip
    return table, flag_bit("UNVERIFIED")


def _head(path: str) -> bytes:
    return _read(path, HEAD_BYTES)


def _whole(path: str) -> bytes:
    return _read(path, None)


def _read(path: str, most: int | None) -> bytes:
    content = DiskContent.open(path)
    try:
        size = content.size if most is None else min(most, content.size)
        if size > MAX_BYTES:
            raise SpectrumFileError(
                path, "too_large", f"{size} bytes; allowed: {MAX_BYTES}",
                hint="divide it into several files",
            )  # fmt: skip
        (data,) = content.read_each([0], size)
    except OSError as error:
        why = error.strerror or str(error)
        raise SpectrumFileError(path, "io_error", why, hint="try again") from error
    finally:
        content.close()
    return bytes(data)


def _text_table(content: bytes, is_ecsv: bool) -> Any:
    from astropy.table import Table

    lines = content.decode("utf-8-sig").splitlines()
    return Table.read(lines, format="ascii.ecsv" if is_ecsv else "ascii.csv")


def _table_hdu(file: FitsFile) -> Hdu | None:
    """Return the first table with columns of wavelengths and fluxes."""
    tables = (hdu for hdu in file.hdus if hdu.is_table)
    return next((hdu for hdu in tables if has_spectra([*hdu.header.fields])), None)


def _fits_table(file: FitsFile, verify: bool) -> tuple[Any, int]:
    from astropy.table import Table

    hdu = _table_hdu(file)
    if hdu is None:
        file.fail("unknown_layout", "no table with columns of wavelengths and fluxes")
    flags = verify_hdus(file, [hdu], verify)
    columns = {
        # A logical column holds the letters T and F.
        name: values == "T" if name == "MASK" and values.dtype.kind == "U" else values
        for name, values in file.table(hdu, LOOKED_AT).items()
        if values.dtype.kind in "fiuU"
    }
    table = Table(columns, meta=_entries([hdu, file.hdus[0]]))
    for name, unit in _units(hdu, [*columns]).items():
        table[name].unit = unit
    return table, flags


def _units(hdu: Hdu, names: Sequence[str]) -> Mapping[str, str]:
    stated = {
        name: str(hdu.header.get(f"TUNIT{hdu.header.fields[name].number}", "")).strip()
        for name in names
    }
    return {name: _unit_word(unit) for name, unit in stated.items() if unit}


def _unit_word(unit: str) -> str:
    """Return a unit as astropy writes it, where the field is used to write it otherwise."""
    if is_survey_unit(unit):
        return FLUX_UNIT
    return "Angstrom" if unit.lower() in ("ang", "angstroms") else unit


def _entries(hdus: Sequence[Hdu]) -> dict[str, Any]:
    """Return the header entries that are looked at; those of the first header count first."""
    found: dict[str, Any] = {}
    for hdu in hdus:
        for name in ENTRIES:
            value = hdu.header.get(name.upper())
            if name not in found and value is not None and not isinstance(value, np.ndarray):
                found[name] = value
    return found
