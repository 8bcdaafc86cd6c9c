"""Single spectra: spec files of SDSS-I to SDSS-V, lite or full.

In: paths, the window to read, a catalogue if the user gave one. Out: `SpecFiles`: the spectra that
could be read with their catalogue rows, and one error for each file that could not. This is the
fast path for folders of a million small files: each is read once, whole, and only the columns that
are needed; what their catalogue rows mean is told of all at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.errors import TRANSIENT, SpectrumFileError
from speclens.read.fits.file import FitsFile
from speclens.read.fits.hdus import Hdu
from speclens.read.fits.opening import open_fits
from speclens.read.fits.scaling import as_type
from speclens.read.once import read_once
from speclens.read.sdss.checks import MAX_NAMES, batch_of, refuse_other_unit, verify_hdus
from speclens.read.sdss.dialect import SDSS, Dialect
from speclens.read.sdss.lookup import TargetLookup
from speclens.read.sdss.spec_rows import StoredRows, read_rows
from speclens.read.sdss.targets import (
    blank_targets,
    make_plausible,
    mark_lost_fibres,
    missing_columns,
)
from speclens.read.sdss.wavelengths import WAVE_COLUMNS, grid_of_table
from speclens.schema import flag_bit
from speclens.spectra import LogGrid, SpectrumBatch

__all__ = ["Coadd", "SpecFiles", "read_spec_files"]

PIXEL_COLUMNS = {"FLUX": "f4", "IVAR": "f4", "AND_MASK": "i4", "WDISP": "f4"}
SPEC_COLUMNS = PIXEL_COLUMNS | dict.fromkeys(WAVE_COLUMNS, "f8")
SPEC_COADD = (("COADD",), 1)
SPEC_CATALOGUE = (("SPALL", "SPECOBJ"), 2)


@dataclass(frozen=True)
class SpecFiles:
    """Single spec files, read whole; the files that failed are listed beside.

    Parameters
    ----------
    grid : LogGrid
        The window, L pixels.
    dialect : Dialect
        The survey's own words.
    coadds : sequence of Coadd, length N
        The spectra that could be read.
    targets : structured array of shape (N,)
        Catalogue rows.
    reasons : array of shape (N,)
        Reason codes from the catalogue.
    flags : array of shape (N,)
        Quality bits.
    failures : sequence of SpectrumFileError
        One for each file that could not be read.
    """

    grid: LogGrid
    dialect: Dialect
    coadds: Sequence[Coadd]
    targets: NDArray[np.void]
    reasons: NDArray[np.str_]
    flags: NDArray[np.int32]
    failures: Sequence[SpectrumFileError]

    @property
    def survey(self) -> str:
        """Name of the survey."""
        return self.dialect.survey

    @property
    def files(self) -> Sequence[str]:
        """The file of each spectrum."""
        return [coadd.path for coadd in self.coadds]

    @property
    def batch(self) -> SpectrumBatch:
        """The window of all spectra."""
        return self.spectra(np.arange(len(self.coadds)))

    def spectra(self, rows: NDArray[np.integer]) -> SpectrumBatch:
        """Return the window of some of the spectra.

        Parameters
        ----------
        rows : array of shape (n,)
            Rows of `targets`.

        Returns
        -------
        SpectrumBatch
            Their spectra.
        """
        flux = np.zeros((len(rows), self.grid.n_pixels), np.float32)
        ivar, dispersion = np.zeros_like(flux), np.zeros_like(flux)
        mask_bits = np.full(flux.shape, self.dialect.instrument.no_data, np.int32)
        coadds = [self.coadds[row] for row in rows.tolist()]
        for i, coadd in enumerate(coadds):
            here, there = self.grid.overlap(coadd.grid)
            flux[i, here], ivar[i, here] = (
                coadd.columns["FLUX"][there],
                coadd.columns["IVAR"][there],
            )
            mask_bits[i, here] = coadd.columns["AND_MASK"][there]
            dispersion[i, here] = coadd.columns["WDISP"][there]
        return batch_of(
            self.dialect.instrument, self.grid, flux, ivar, mask_bits, dispersion,
            self.targets[rows], [coadd.path for coadd in coadds],
        )  # fmt: skip


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
    own_catalogue = catalogue is None
    key = (tuple(paths), own_catalogue, verify, dialect.survey)
    read = read_once(
        key, paths, lambda: _read_files(paths, own_catalogue, verify, dialect), _is_whole
    )
    targets, reasons, flags = read.targets.copy(), read.reasons, read.flags
    make_plausible(targets)
    if catalogue is not None:
        targets, reasons, of_catalogue = catalogue.lookup(targets)
        flags = flags | of_catalogue
    mark_lost_fibres(targets)
    return SpecFiles(grid, dialect, read.coadds, targets, reasons, flags, read.failures)


@dataclass(frozen=True)
class Coadd:
    """The spectrum of one spec file.

    Parameters
    ----------
    path : str
        The file.
    columns : dict of str to array of shape (L,)
        FLUX, IVAR, AND_MASK and WDISP.
    grid : LogGrid
        Its pixels.
    """

    path: str
    columns: dict[str, NDArray[Any]]
    grid: LogGrid


@dataclass(frozen=True)
class _Read:
    """What stands in spec files, and the failures: as of `SpecFiles`, before any catalogue."""

    coadds: list[Coadd]
    targets: NDArray[np.void]
    reasons: NDArray[np.str_]
    flags: NDArray[np.int32]
    failures: list[SpectrumFileError]


@dataclass(frozen=True)
class _Spec:
    """One spec file: its coadd, quality bits, catalogue rows as stored, and who it says it is."""

    file: FitsFile
    coadd: Coadd
    flags: int
    rows: StoredRows | None
    stated: dict[str, Any]
    contradiction: str


def _is_whole(read: _Read) -> bool:
    """Say whether no file failed for a reason that may have gone a moment later."""
    return not any(failure.reason in TRANSIENT for failure in read.failures)


def _read_files(paths: Sequence[str], own_catalogue: bool, verify: bool, dialect: Dialect) -> _Read:
    failures: dict[int, SpectrumFileError] = {}
    specs: dict[int, _Spec] = {}
    for i, path in enumerate(paths):
        try:
            with open_fits(path) as file:
                specs[i] = _read_spec(file, own_catalogue, verify, dialect)
        except SpectrumFileError as error:
            failures[i] = error
    coadds: list[Coadd] = []
    targets, reasons, flags = blank_targets(len(specs)), [], []
    told = read_rows([spec.rows for spec in specs.values()], dialect)
    for (i, spec), rows in zip(specs.items(), told, strict=True):
        try:
            row, reason, several = _own_row(spec, rows, own_catalogue, dialect)
        except SpectrumFileError as error:
            failures[i] = error
            continue
        targets[len(coadds)] = row[0]
        coadds.append(spec.coadd)
        reasons.append(reason)
        flags.append(spec.flags | several)
    return _Read(
        coadds, targets[: len(coadds)], np.array(reasons, "U24"), np.array(flags, np.int32),
        [failures[i] for i in sorted(failures)],
    )  # fmt: skip


@contextmanager
def _naming(stated: dict[str, Any], dialect: Dialect) -> Iterator[None]:
    """Let an error tell which spectrum is lost, as far as `stated` says then."""
    try:
        yield
    except SpectrumFileError as error:
        if error.targets is None:
            error.targets = blank_targets(1)
            dialect.identify(error.targets, dialect.agreed(stated)[0])
        raise


def _read_spec(file: FitsFile, own_catalogue: bool, verify: bool, dialect: Dialect) -> _Spec:
    """Read one spec file, but for what its catalogue rows mean."""
    stated = {"the file's name": dialect.ids_of_name(file.path)}
    with _naming(stated, dialect):
        coadd, primary, table = _find_coadd(file, dialect), file.hdus[0], file.find(*SPEC_CATALOGUE)
        stated["the header"], contradiction = dialect.ids_of_header(primary.header)
        used = [primary, coadd] if table is None else [primary, coadd, table]
        flags = verify_hdus(file, used, verify)
        columns = _read_coadd(file, primary, coadd)
        grid = grid_of_table(file, primary, coadd, columns, len(columns["FLUX"]))
        rows = _stored_rows(file, table, own_catalogue, dialect)
    flags |= _fill_in(columns)
    kept = {name: columns[name] for name in PIXEL_COLUMNS}
    return _Spec(file, Coadd(file.path, kept, grid), flags, rows, stated, contradiction)


def _stored_rows(
    file: FitsFile, table: Hdu | None, needed: bool, dialect: Dialect
) -> StoredRows | None:
    """Read the file's catalogue rows as they stand there; None where there are and need be none."""
    if table is None:
        if needed:
            file.fail(
                "missing_hdu", "the catalogue row SPALL or SPECOBJ (HDU 2) is not there", 2,
                "fetch it again, or give --catalogue",
            )  # fmt: skip
        return None
    rows = file.stored_rows(table, dialect.columns)
    missing = missing_columns(rows.dtype.names or ())
    if needed and (missing or not table.shape[0]):
        file.fail(
            "no_catalogue", f"no {' and '.join(missing) or 'row'} in HDU {table.index}",
            table.index, "give --catalogue",
        )  # fmt: skip
    return StoredRows(file, table, np.frombuffer(rows.tobytes(), rows.dtype))


def _own_row(
    spec: _Spec, rows: NDArray[np.void] | SpectrumFileError, needed: bool, dialect: Dialect
) -> tuple[NDArray[np.void], str, int]:
    """Return the file's own catalogue row, a reason code, quality bits; compare who it is."""
    with _naming(spec.stated, dialect):
        if isinstance(rows, SpectrumFileError):
            raise rows
        row, reason, several = _only_row(rows, needed, dialect)
        spec.stated["its catalogue row"] = dialect.ids_of_rows(row)
        if spec.contradiction or len({*spec.stated.values()}) > 1:
            ids, contradictions = dialect.agreed(spec.stated)
            if spec.contradiction or contradictions:
                spec.file.fail(
                    "bad_identity", spec.contradiction or contradictions, 0,
                    "fetch the file again, or give it back its own name",
                )  # fmt: skip
            dialect.identify(row, ids)
    return row, reason, several


def _only_row(
    rows: NDArray[np.void], needed: bool, dialect: Dialect
) -> tuple[NDArray[np.void], str, int]:
    """Choose the only row, or say that there are several; blank where there is none."""
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
