"""Single spectra: spec files of SDSS-I to SDSS-V, lite or full.

In: paths, the window to read, a catalogue if the user gave one. Out: `SpecFiles`: the spectra that
could be read with their catalogue rows, and one error for each file that could not. This is the
fast path for folders of a million small files: each is read once, whole, and only the columns that
are needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.errors import SpectrumFileError
from speclens.read.fits.file import FitsFile
from speclens.read.fits.hdus import Hdu
from speclens.read.fits.opening import open_fits
from speclens.read.fits.scaling import as_type
from speclens.read.sdss.checks import (
    MAX_NAMES,
    batch_of,
    refuse_other_unit,
    verify_hdus,
)
from speclens.read.sdss.dialect import SDSS, Dialect
from speclens.read.sdss.lookup import TargetLookup
from speclens.read.sdss.targets import (
    blank_targets,
    make_plausible,
    mark_lost_fibres,
    missing_columns,
)
from speclens.read.sdss.wavelengths import WAVE_COLUMNS, grid_of_table
from speclens.schema import flag_bit
from speclens.spectra import LogGrid, SpectrumBatch

__all__ = ["SpecFiles", "read_spec_files"]

SPEC_COLUMNS = {"FLUX": "f4", "IVAR": "f4", "AND_MASK": "i4", "WDISP": "f4"}
SPEC_COLUMNS |= dict.fromkeys(WAVE_COLUMNS, "f8")
SPEC_COADD = (("COADD",), 1)
SPEC_CATALOGUE = (("SPALL", "SPECOBJ"), 2)


@dataclass
class SpecFiles:
    """Single spec files, read whole; the files that failed are listed beside.

    Parameters
    ----------
    batch : SpectrumBatch
        The spectra that could be read.
    reasons : array of shape (N,)
        Reason codes from the catalogue.
    flags : array of shape (N,)
        Quality bits.
    failures : list of SpectrumFileError
        One for each file that could not be read.
    survey : str, optional
        Name of the survey.
    """

    batch: SpectrumBatch
    reasons: NDArray[np.str_]
    flags: NDArray[np.int32]
    failures: list[SpectrumFileError]
    survey: str = SDSS.survey

    @property
    def targets(self) -> NDArray[np.void]:
        """Catalogue rows, shape (N,)."""
        return self.batch.targets

    @property
    def files(self) -> Sequence[str]:
        """The file of each spectrum."""
        return self.batch.files

    def spectra(self, rows: NDArray[np.integer]) -> SpectrumBatch:
        """Return some of the spectra.

        Parameters
        ----------
        rows : array of shape (n,)
            Rows of `targets`.

        Returns
        -------
        SpectrumBatch
            Their spectra.
        """
        return self.batch[rows]


def read_spec_files(
    paths: Sequence[str],
    grid: LogGrid,
    catalogue: TargetLookup | None = None,
    verify: bool = True,
    dialect: Dialect = SDSS,
) -> SpecFiles:
    """Read single spec files, lite or full.

    Parameters
    ----------
    paths : sequence of str
        The files.
    grid : LogGrid
        The window to read.
    catalogue : TargetLookup, optional
        Classes and redshifts instead of each file's own catalogue row.
    verify : bool, optional
        Refuse data that disagree with their DATASUM; otherwise flag them.
    dialect : Dialect, optional
        The survey's own words.

    Returns
    -------
    SpecFiles
        The spectra, and the failures.
    """
    flux = np.zeros((len(paths), grid.n_pixels), np.float32)
    ivar, dispersion = np.zeros_like(flux), np.zeros_like(flux)
    mask_bits = np.full(flux.shape, dialect.instrument.no_data, np.int32)
    targets = blank_targets(len(paths))
    reasons, flags = np.zeros(len(paths), "U24"), np.zeros(len(paths), np.int32)
    failures: list[SpectrumFileError] = []
    read: list[int] = []
    for i, path in enumerate(paths):
        try:
            with open_fits(path) as file:
                spec = _read_spec(file, catalogue is None, verify, dialect)
        except SpectrumFileError as error:
            failures.append(error)
            continue
        here, there = grid.overlap(spec.grid)
        flux[i, here], ivar[i, here] = spec.columns["FLUX"][there], spec.columns["IVAR"][there]
        mask_bits[i, here] = spec.columns["AND_MASK"][there]
        dispersion[i, here] = spec.columns["WDISP"][there]
        targets[i], reasons[i], flags[i] = spec.target[0], spec.reason, spec.flags
        read.append(i)
    rows = np.array(read, np.intp)
    targets, reasons, flags = targets[rows], reasons[rows], flags[rows]
    make_plausible(targets)
    if catalogue is not None:
        targets, reasons, of_catalogue = catalogue.lookup(targets)
        flags |= of_catalogue
    mark_lost_fibres(targets)
    batch = batch_of(
        dialect.instrument, grid, flux[rows], ivar[rows], mask_bits[rows], dispersion[rows],
        targets, [paths[i] for i in read],
    )  # fmt: skip
    return SpecFiles(batch, reasons, flags, failures, dialect.survey)


@dataclass(frozen=True)
class _Spec:
    """One spec file: columns of its coadd, its grid, its target row, reason code, quality bits."""

    columns: dict[str, NDArray[Any]]
    grid: LogGrid
    target: NDArray[np.void]
    reason: str
    flags: int


def _read_spec(file: FitsFile, own_catalogue: bool, verify: bool, dialect: Dialect) -> _Spec:
    stated = {"the file's name": dialect.ids_of_name(file.path)}
    try:
        return _spec_of(file, stated, own_catalogue, verify, dialect)
    except SpectrumFileError as error:
        if error.targets is None:
            error.targets = blank_targets(1)
            dialect.identify(error.targets, dialect.agreed(stated)[0])
        raise


def _spec_of(
    file: FitsFile, stated: dict[str, Any], own_catalogue: bool, verify: bool, dialect: Dialect
) -> _Spec:
    """Read one spec file; `stated` learns which spectrum it is, for an error to tell."""
    coadd, primary, table = _find_coadd(file, dialect), file.hdus[0], file.find(*SPEC_CATALOGUE)
    stated["the header"], contradiction = dialect.ids_of_header(primary.header)
    used = [primary, coadd] if table is None else [primary, coadd, table]
    flags = verify_hdus(file, used, verify)
    columns = _read_coadd(file, primary, coadd)
    grid = grid_of_table(file, primary, coadd, columns, len(columns["FLUX"]))
    row, reason, several = _own_row(file, table, own_catalogue, dialect)
    stated["its catalogue row"] = dialect.ids_of_rows(row)
    if len(set(stated.values())) > 1 or contradiction:
        ids, contradictions = dialect.agreed(stated)
        if contradiction or contradictions:
            file.fail(
                "bad_identity", contradiction or contradictions, 0,
                "fetch the file again, or give it back its own name",
            )  # fmt: skip
        dialect.identify(row, ids)
    return _Spec(columns, grid, row, reason, flags | several | _fill_in(columns))


def _own_row(
    file: FitsFile, table: Hdu | None, needed: bool, dialect: Dialect
) -> tuple[NDArray[np.void], str, int]:
    """Read the file's catalogue row: the row, reason code, quality bits; blank where not needed."""
    if table is None:
        if needed:
            file.fail(
                "missing_hdu", "the catalogue row SPALL or SPECOBJ (HDU 2) is not there", 2,
                "fetch it again, or give --catalogue",
            )  # fmt: skip
        return blank_targets(1), "", 0
    columns = file.table(table, dialect.columns)
    missing = missing_columns(columns)
    if needed and (missing or not table.shape[0]):
        file.fail(
            "no_catalogue", f"no {' and '.join(missing) or 'row'} in HDU {table.index}",
            table.index, "give --catalogue",
        )  # fmt: skip
    rows = dialect.targets_of(file, table, columns)
    if len(rows) <= 1:
        return (rows if len(rows) else blank_targets(1)), "", 0
    if rows.tobytes() == rows[:1].tobytes() * len(rows):
        return rows[:1], "", flag_bit("CATALOGUE_ROWS")
    row = blank_targets(1)
    dialect.identify(row, dialect.ids_of_rows(rows))
    return row, "ambiguous_catalogue" if needed else "", 0


def _find_coadd(file: FitsFile, dialect: Dialect) -> Hdu:
    if not dialect.is_spec(file):
        dialect.refuse(file, "spec")
    coadd = file.find(*SPEC_COADD)
    if coadd is None:
        file.fail("missing_hdu", "the table COADD (HDU 1) is not there", 1, "fetch it again")
    return coadd


def _read_coadd(file: FitsFile, primary: Hdu, coadd: Hdu) -> dict[str, NDArray[Any]]:
    columns = file.table(coadd, list(SPEC_COLUMNS))
    for name in ("FLUX", "IVAR"):
        if name not in columns:
            found = list(coadd.header.fields)
            more = f" and {len(found) - MAX_NAMES} more" if len(found) > MAX_NAMES else ""
            file.fail(
                "missing_column", f"no column {name}; found {', '.join(found[:MAX_NAMES])}{more}",
                coadd.index,
            )  # fmt: skip
    for name, column in columns.items():
        if column.ndim != 1 or column.dtype.kind not in "fiu":
            file.fail("bad_header", f"{name} does not hold one number a pixel", coadd.index)
        columns[name] = as_type(column, SPEC_COLUMNS[name])
    refuse_other_unit(file, primary, coadd)
    return columns


def _fill_in(columns: dict[str, NDArray[Any]]) -> int:
    """Add the columns that may be missing - no pixel masked, no line spread known - and flag it."""
    n_pixels = len(columns["FLUX"])
    columns.setdefault("WDISP", np.zeros(n_pixels, np.float32))
    if "AND_MASK" in columns:
        return 0
    columns["AND_MASK"] = np.zeros(n_pixels, np.int32)
    return flag_bit("NO_MASK")
