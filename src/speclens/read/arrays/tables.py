"""Plain tables of spectra in files, as the spectra of a survey.

In: files, each with one spectrum, a row a pixel, or many, a row each; the window to read. Out: a
source of their spectra, and an error for each file that cannot be used. What a table must declare
is told in `docs/read.md`.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.config import TablesConfig
from speclens.errors import SpectraError, SpectrumFileError
from speclens.read.arrays import INSTRUMENT, NAME
from speclens.read.arrays.batches import Declared, batch_of_arrays, gridded
from speclens.read.arrays.files import read_table
from speclens.read.arrays.holders import declared_by_table, unsaid_by_table
from speclens.read.arrays.targets import (
    NAME_WIDTH,
    are_odd,
    are_shared,
    declared_targets,
    refuse_other_number,
)
from speclens.read.sdss.checks import batch_of
from speclens.read.sdss.lookup import TargetLookup
from speclens.read.sdss.targets import blank_targets, make_plausible
from speclens.read.source import InMemory
from speclens.spectra import LogGrid, SpectrumBatch

__all__ = ["name_of_file", "read_tables"]

UNSAID = {
    "wave_unit": ("the unit of its wavelengths", "Angstrom"),
    "flux_unit": ("the unit of its fluxes", "1e-17 erg / (s cm2 Angstrom)"),
    "medium": ("whether its wavelengths are in vacuum or in air", "vacuum"),
}
"""What a table must say, and the usual answer, by the keys of `tables` that say it for all."""

SUFFIX = re.compile(r"\.(fits?|csv|ecsv|parquet)(\.gz)?$", re.IGNORECASE)


def name_of_file(path: str) -> str:
    """Name the spectrum of a file by the file: without folder and ending, ASCII or nothing."""
    name = SUFFIX.sub("", os.path.basename(path))
    return name if name.isascii() and name.isprintable() and len(name) <= NAME_WIDTH else ""


def read_tables(
    paths: Sequence[str],
    grid: LogGrid,
    unsaid: TablesConfig | None = None,
    catalogue: TargetLookup | None = None,
    verify: bool = True,
) -> InMemory:
    """Read plain tables of spectra.

    Parameters
    ----------
    paths : sequence of str
        The files.
    grid : LogGrid
        The window to read.
    unsaid : TablesConfig, optional
        What is meant where a table does not say it.
    catalogue : TargetLookup, optional
        Classes and redshifts instead of those of the tables.
    verify : bool, optional
        Refuse data that disagree with their DATASUM; otherwise flag them.

    Returns
    -------
    InMemory
        The spectra, and the failures.
    """
    parts, failures = [_nothing(grid)], []
    for path in paths:
        try:
            parts.append(_read(path, grid, unsaid, verify))
        except SpectrumFileError as error:
            failures.append(error)
    batch = _joined(grid, [part.batch for part in parts])
    flags = np.concatenate([part.flags for part in parts])
    targets, reasons = batch.targets, np.concatenate([part.reasons for part in parts])
    make_plausible(targets)
    if catalogue is not None:
        targets, of_rows, of_catalogue = catalogue.lookup(targets)
        reasons = np.where(reasons != "", reasons, of_rows)
        flags |= of_catalogue
        batch = _with_targets(batch, targets)
    return InMemory(batch, reasons, flags, failures, NAME)


@dataclass(frozen=True)
class _Part:
    """The spectra of one file, with reason codes of those that fail, and their quality bits."""

    batch: SpectrumBatch
    reasons: NDArray[np.str_]
    flags: NDArray[np.int32]


def _read(path: str, grid: LogGrid, unsaid: TablesConfig | None, verify: bool) -> _Part:
    table, flags = read_table(path, verify)
    try:
        _refuse_unsaid(table, unsaid)
        declared = _stated(declared_by_table(table, unsaid), unsaid)
        resolution = unsaid.resolution if unsaid and unsaid.resolution else None
        told = declared.resolution is not None or declared.dispersion is not None
        spectra = gridded(declared, resolution=None if told else resolution)
        targets, reasons = _targets(path, declared, len(spectra))
        batch = batch_of_arrays(spectra, targets)
    except SpectraError as error:
        detail, _, hint = str(error).partition("; ")
        if unsaid and "astropy.units" in hint and "wave_unit" in unsaid_by_table(table):
            # Said on the command line, and to be mended there.
            hint = (
                f"they are taken to be in {unsaid.wave_unit}: --set tables.wave_unit=Angstrom (or "
                "nm, um) says otherwise"
            )
        failure = SpectrumFileError(path, error.reason, detail, hint=hint)
        raise failure from error
    files = [path] * len(batch)
    return _Part(_on(batch, grid, files), reasons, np.full(len(batch), flags, np.int32))


def _refuse_unsaid(table: Any, unsaid: TablesConfig | None) -> None:
    """Refuse a table that leaves units or medium unsaid, naming all of it at once."""
    missing = [name for name in unsaid_by_table(table) if not getattr(unsaid, name, "")]
    if missing:
        what = ", ".join(UNSAID[name][0] for name in missing)
        options = " ".join(f"--set {shlex.quote(f'tables.{n}={UNSAID[n][1]}')}" for n in missing)
        raise SpectraError(
            f"the table does not say {what}; say it in the table, or of all tables, if it is so, "
            f"by {options}",
            "undeclared",
        )


def _stated(declared: Declared, unsaid: TablesConfig | None) -> Declared:
    return replace(declared, medium=declared.medium or (unsaid.medium if unsaid else ""))


def _targets(
    path: str, declared: Declared, n_spectra: int
) -> tuple[NDArray[np.void], NDArray[np.str_]]:
    """Return the targets of a table, and reason codes of those that cannot be told apart."""
    known: dict[str, Any] = {"z": np.nan, "classes": "GALAXY", "names": None, **declared.known}
    given = known.pop("names") or [""] * n_spectra
    refuse_other_number(given, n_spectra)
    if not all(given):
        name = name_of_file(path)
        if not name:
            raise SpectraError(
                f"a file's name that names no spectrum: printable ASCII of {NAME_WIDTH} characters "
                "at most; rename it, or write NAME into the header",
                "bad_identity",
            )
        own = [name] if n_spectra == 1 else [f"{name}-{i}" for i in range(n_spectra)]
        given = [said or other for said, other in zip(given, own, strict=True)]
    if n_spectra == 1:
        return declared_targets(1, **known, names=given), np.zeros(1, "U24")
    # One wrong name among many costs its own rows, whose places name them.
    targets = declared_targets(n_spectra, **known, names=None)
    odd, shared = np.array(are_odd(given)), np.array(are_shared(given))
    targets["SPECTRUM"] = np.where(odd, "", given)
    return targets, np.where(odd | shared, "bad_identity", "").astype("U24")


def _nothing(grid: LogGrid) -> _Part:
    empty = np.zeros((0, grid.n_pixels), np.float32)
    batch = batch_of(
        INSTRUMENT, grid, empty, empty, empty.astype(np.int32), empty, blank_targets(0), []
    )
    return _Part(batch, np.zeros(0, "U24"), np.zeros(0, np.int32))


def _on(batch: SpectrumBatch, grid: LogGrid, files: Sequence[str]) -> SpectrumBatch:
    """Return spectra on a window, which may reach beyond them."""
    here, there = grid.overlap(batch.grid)
    shape = (len(batch), grid.n_pixels)
    arrays = {
        "flux": np.zeros(shape, np.float32), "ivar": np.zeros(shape, np.float32),
        "mask": np.ones(shape, bool), "covered": np.zeros(shape, bool),
        "dispersion": np.zeros(shape, np.float32),
    }  # fmt: skip
    for name, array in arrays.items():
        array[:, here] = getattr(batch, name)[:, there]
    return SpectrumBatch(grid, **arrays, targets=batch.targets, files=files)


def _joined(grid: LogGrid, parts: Sequence[SpectrumBatch]) -> SpectrumBatch:
    names = ("flux", "ivar", "mask", "covered", "dispersion", "targets")
    arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return SpectrumBatch(grid, **arrays, files=[file for part in parts for file in part.files])


def _with_targets(batch: SpectrumBatch, targets: NDArray[np.void]) -> SpectrumBatch:
    return replace(batch, targets=targets)
