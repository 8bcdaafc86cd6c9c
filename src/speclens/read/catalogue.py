"""Survey catalogues: classes and redshifts by plate, date and fibre.

In: spAll or specObj FITS files, of which only the needed columns are kept, read in pieces; or CSV
and ECSV tables such as CasJobs writes. Out: `Catalogue`, which looks up the rows of spectra. A row
without a spectrum costs nothing; a spectrum without a row is skipped with its reason.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from speclens.errors import ConfigError, SpectrumFileError
from speclens.read.fits import open_fits
from speclens.read.targets import (
    CATALOGUE_COLUMNS,
    blank_targets,
    keep_what_the_file_knows,
    missing_columns,
    targets_from_columns,
)

__all__ = ["Catalogue", "TargetLookup", "catalogue_rows", "exact_id", "read_catalogue"]

PIECE_BYTES = 64 << 20
IDS = ("PLATE", "MJD", "FIBERID")
DECIDING = ["CLASS", "SUBCLASS", "Z", "ZWARNING", "CLASS_NOQSO", "Z_NOQSO", "ZWARNING_NOQSO"]
"""Fields in which the rows of one spectrum must agree."""

TEXT_FORMATS = {".csv": "ascii.csv", ".ecsv": "ascii.ecsv"}


class TargetLookup(Protocol):
    """Finds the catalogue rows of spectra: `Catalogue`, `CatalogueStore`."""

    def lookup(
        self, spectra: NDArray[np.void]
    ) -> tuple[NDArray[np.void], NDArray[np.str_], NDArray[np.bool_]]:
        """Find the rows of spectra; see `Catalogue.lookup`."""


@dataclass(frozen=True)
class Catalogue:
    """Catalogue rows that can be looked up by TARGETID.

    Parameters
    ----------
    targets : structured array of shape (N,)
        Rows, `TARGET_DTYPE`, sorted by TARGETID.
    source : str
        The file they came from.
    """

    targets: NDArray[np.void]
    source: str

    def lookup(
        self, spectra: NDArray[np.void]
    ) -> tuple[NDArray[np.void], NDArray[np.str_], NDArray[np.bool_]]:
        """Find the rows of spectra.

        Parameters
        ----------
        spectra : structured array of shape (N,)
            Target rows of which the identifiers are known.

        Returns
        -------
        targets : structured array of shape (N,)
            The catalogue's rows; where there is none, the row given. A spectrum whose own file says
            that it is sky stays sky; a position that the catalogue lacks is taken from the file.
        reasons : array of shape (N,)
            `not_in_catalogue`, `ambiguous_catalogue` (rows with other classes or redshifts), or
            empty.
        several : array of shape (N,)
            True where several rows agree.
        """
        ids = self.targets["TARGETID"]
        start = np.searchsorted(ids, spectra["TARGETID"], "left")
        stop = np.searchsorted(ids, spectra["TARGETID"], "right")
        targets = spectra.copy()
        reasons = np.zeros(len(spectra), "U24")
        several = np.zeros(len(spectra), bool)
        reasons[stop == start] = "not_in_catalogue"
        for i in np.flatnonzero(stop > start):
            rows = self.targets[start[i] : stop[i]]
            targets[i] = rows[0]
            if len(rows) > 1:
                several[i] = len({row[DECIDING].tobytes() for row in rows}) == 1
                reasons[i] = "" if several[i] else "ambiguous_catalogue"
        keep_what_the_file_knows(targets, spectra)
        return targets, reasons, several


def read_catalogue(path: str, plates: Collection[int] | None = None) -> Catalogue:
    """Read a survey catalogue.

    Parameters
    ----------
    path : str
        spAll, specObj (FITS, plain or gzipped), or a CSV or ECSV table.
    plates : collection of int, optional
        Keep only the rows of these plates.

    Returns
    -------
    Catalogue
        The rows.

    Raises
    ------
    SpectrumFileError
        If the file cannot be read.
    ConfigError
        If columns are missing, or identifiers were rounded by another program.
    """
    targets = np.concatenate([blank_targets(0), *catalogue_rows(path, plates)])
    return Catalogue(targets[np.argsort(targets["TARGETID"], kind="stable")], path)


def catalogue_rows(path: str, plates: Collection[int] | None = None) -> Iterator[NDArray[np.void]]:
    """Read a survey catalogue in pieces.

    Parameters
    ----------
    path : str
        As for `read_catalogue`.
    plates : collection of int, optional
        Keep only the rows of these plates.

    Yields
    ------
    structured array
        Rows, `TARGET_DTYPE`, in the order of the file.

    Raises
    ------
    SpectrumFileError
        If the file cannot be read.
    ConfigError
        If columns are missing, or identifiers were rounded by another program.
    """
    wanted = None if plates is None else np.array(sorted(plates), np.int64)
    is_text = Path(path).suffix.lower() in TEXT_FORMATS
    for columns in _text_pieces(path) if is_text else _fits_pieces(path):
        _check_columns(path, columns)
        try:
            rows = targets_from_columns(_with_ids(columns))
        except ValueError as error:
            raise ConfigError(f"catalogue {path}: {error}") from error
        yield rows if wanted is None else rows[np.isin(rows["PLATE"], wanted)]


def exact_id(text: object) -> int:
    """Read an identifier to the last digit.

    Parameters
    ----------
    text : object
        A number or text, possibly as another program wrote it (`b' 4616...'`).

    Returns
    -------
    int
        The identifier; Python's integers hold all of its digits.

    Raises
    ------
    ValueError
        If it was rounded (`3.72236E+18`) or is not a number.
    """
    plain = text.decode("latin-1") if isinstance(text, bytes) else str(text)
    match = re.fullmatch(r"\s*(?:b?(['\"]))?\s*([+-]?\d+)\s*\1?\s*", plain)
    if match:
        return int(match[2])
    rounded = re.fullmatch(r"\s*[+-]?\d+(\.\d*)?([eE][+-]?\d+)?\s*", plain)
    why = "already rounded by another program; export it as text" if rounded else "not a number"
    raise ValueError(f"identifier {plain!r}: {why}")


def _fits_pieces(path: str) -> Iterator[dict[str, NDArray[Any]]]:
    with open_fits(path, streamed=True) as file:
        hdu = next((h for h in file.hdus if h.is_table), None)
        if hdu is None:
            raise SpectrumFileError(path, "missing_hdu", "holds no binary table")
        n_rows, width = hdu.shape
        step = max(1, PIECE_BYTES // max(width, 1))
        for start in range(0, max(n_rows, 1), step):
            yield file.table(
                hdu, (*CATALOGUE_COLUMNS, "SPECOBJID"), start, min(start + step, n_rows)
            )


def _text_pieces(path: str) -> Iterator[dict[str, NDArray[Any]]]:
    from astropy.io import ascii as tables

    as_text = {"*": [tables.convert_numpy(str)]}
    options: dict[str, Any] = {"comment": "#"} if path.lower().endswith(".csv") else {}
    try:
        table = tables.read(
            path, format=TEXT_FORMATS[Path(path).suffix.lower()][6:], converters=as_text, **options
        )
    except (OSError, ValueError) as error:
        raise SpectrumFileError(path, "bad_header", f"not a readable table: {error}") from error
    known = set(CATALOGUE_COLUMNS) | {"SPECOBJID"}
    columns = {str(n).upper(): np.ma.filled(table[n], "") for n in table.colnames}
    yield {name: column for name, column in columns.items() if name in known}


def _check_columns(path: str, columns: dict[str, NDArray[Any]]) -> None:
    missing = missing_columns(columns)
    has_ids = all(
        any(n in columns for n in names)
        for names in (("PLATE", "PLATEID"), ("MJD",), ("FIBERID", "FIBER"))
    )
    if not has_ids and "SPECOBJID" not in columns:
        missing.append("PLATE, MJD, FIBERID (or SPECOBJID)")
    if missing:
        raise ConfigError(
            f"catalogue {path}: no column {', '.join(missing)}; "
            f"found {', '.join(columns) or 'none'}"
        )


def _with_ids(columns: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Decode SPECOBJID (plate, fibre, date in its bits) where the plain identifiers are missing."""
    if "SPECOBJID" not in columns or all(name in columns for name in IDS):
        return columns
    # Above 2^63 (plates from 8192 on) a program without unsigned integers writes a negative number.
    ids = [exact_id(value) % (1 << 64) for value in columns["SPECOBJID"].tolist()]
    return columns | {
        "PLATE": np.array([i >> 50 for i in ids], np.int64),
        "FIBERID": np.array([i >> 38 & 0xFFF for i in ids], np.int64),
        "MJD": np.array([(i >> 24 & 0x3FFF) + 50000 for i in ids], np.int64),
    }
