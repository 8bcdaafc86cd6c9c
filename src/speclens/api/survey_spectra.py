"""Spectra in survey files: found, and read when they are asked for.

In: files and folders. Out: `SurveySpectra`, with the rows of their targets, single spectra, and
the files for a search.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from speclens.api.html import page
from speclens.api.spectra import Spectra
from speclens.api.tables import TARGETS, quantities
from speclens.config import load_config
from speclens.errors import SpectraError, SpectrumFileError
from speclens.read.arrays.targets import declared_targets, refuse_odd_redshifts
from speclens.read.discovery import find_survey_files
from speclens.read.shards import Shard, make_shards, open_shard
from speclens.read.survey import ReadSettings
from speclens.read.surveys import survey_named
from speclens.spectra import TARGET_DTYPE, LogGrid, SpectrumBatch

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = ["SurveySpectra"]

FEW_PIXELS = LogGrid.covering(4000, 4001)
"""Read where only the targets are asked for."""


class SurveySpectra:
    """The spectra of survey files; `speclens.read` makes them.

    Nothing is read before it is asked for; `speclens.search` reads part by part.

    Parameters
    ----------
    inputs : sequence of str
        Files, and folders that are searched with all their subfolders.

    Attributes
    ----------
    inputs : list of str
        As given.
    failures : list of SpectrumFileError
        Files that cannot be read; complete once `targets` were asked for.

    Raises
    ------
    RunError
        If an input does not exist, or there is no survey file.
    """

    def __init__(self, inputs: Sequence[str]) -> None:
        self.inputs = list(inputs)
        self._files = find_survey_files(self.inputs)
        self.failures: list[SpectrumFileError] = []
        # Those that can be read, with the number of their spectra; as `_rows` finds them.
        self._shards: list[tuple[Shard, int]] = []

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def targets(self) -> QTable:
        """What is known of the targets, a row a spectrum that can be read."""
        return quantities(self._rows, TARGETS)

    def spectrum(self, i: int) -> QTable:
        """Return one spectrum.

        Parameters
        ----------
        i : int
            Its number, from 0: the row of `targets`.

        Returns
        -------
        astropy.table.QTable
            WAVE (vacuum), FLUX, IVAR (0 where masked) and DISPERSION (pixels; 0 where unknown).

        Raises
        ------
        SpectrumFileError
            If its file cannot be read any more.
        """
        return self.in_memory([range(len(self))[i]]).spectrum(0)

    def in_memory(
        self,
        rows: Sequence[int] | NDArray[np.integer] | None = None,
        z: Any = None,
    ) -> Spectra:
        """Read spectra into memory.

        Parameters
        ----------
        rows : sequence of int, optional
            Rows of `targets`, increasing; all when not given.
        z : float or array, optional
            Redshifts instead of those of the files, one for each.

        Returns
        -------
        Spectra
            The spectra, as arrays: of no survey any more.

        Raises
        ------
        SpectrumFileError
            If a file cannot be read any more.
        SpectraError
            If the rows do not increase, or the redshifts are not one for each.
        """
        chosen = np.arange(len(self)) if rows is None else np.asarray(rows, np.intp)
        if (np.diff(chosen, prepend=-1) <= 0).any() or (chosen >= len(self)).any():
            raise SpectraError(f"rows: expected numbers from 0 to {len(self) - 1} that increase")
        targets = self._rows[chosen]
        parts, start = [], 0
        for shard, n_spectra in self._shards:
            own = chosen[(chosen >= start) & (chosen < start + n_spectra)] - start
            start += n_spectra
            if len(own):
                parts.append(_spectra_of(shard, n_spectra, own))
        if not parts:
            raise SpectraError(f"no spectrum of {len(self)} is asked for")
        if z is not None:
            given = declared_targets(len(targets), z, "GALAXY", None)
            refuse_odd_redshifts(given["Z"])
            targets["Z"] = targets["Z_NOQSO"] = given["Z"]
        return Spectra(_joined(parts, targets))

    def files_for_search(self, folder: Path) -> list[str]:  # noqa: ARG002 - they are there
        """Return the files that a search reads: those that were given."""
        return self.inputs

    @cached_property
    def _rows(self) -> NDArray[np.void]:
        """Catalogue rows of all spectra, named, shape (N,)."""
        found = [np.zeros(0, TARGET_DTYPE)]
        for shard in make_shards(self._files):
            try:
                with open_shard(shard, FEW_PIXELS, ReadSettings()) as (source, failures):
                    rows = source.targets.copy()
            except SpectrumFileError as error:
                self.failures.append(error)
                continue
            self.failures += failures
            rows["SPECTRUM"] = survey_named(shard.survey).spectrum_names(rows)
            self._shards.append((shard, len(rows)))
            found.append(rows)
        return np.concatenate(found)

    def __repr__(self) -> str:
        return f"<SurveySpectra: {self._said}>"

    def _repr_html_(self) -> str:
        return page("SurveySpectra", self._said)

    @property
    def _said(self) -> str:
        counts = [
            f"{len(paths)} {kind.name if len(paths) > 1 else kind.name.removesuffix('s')}"
            for kind, paths in self._files.of_kind.items()
        ]
        return f"{', '.join(counts)} in {', '.join(self.inputs)}"


def _spectra_of(shard: Shard, n_spectra: int, rows: NDArray[np.intp]) -> SpectrumBatch:
    """Read some spectra of a shard, whole."""
    grid = LogGrid.covering(*load_config().vet.spectrum)
    with open_shard(shard, grid, ReadSettings()) as (source, _):
        if len(source.targets) != n_spectra:
            raise SpectraError(f"{shard.files[0]}: changed meanwhile; read the files again")
        return source.spectra(rows)


def _joined(parts: Sequence[SpectrumBatch], targets: NDArray[np.void]) -> SpectrumBatch:
    names = ("flux", "ivar", "mask", "covered", "dispersion")
    arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return SpectrumBatch(parts[0].grid, **arrays, targets=targets, files=[""] * len(targets))
