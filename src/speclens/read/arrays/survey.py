"""Spectra that came as arrays: what `speclens.read.survey` asks, answered for stacks and tables.

In: files, rows. Out: the answers. The format of stacks, which are written from Python, stands in
`speclens.read.arrays.stack`, what plain tables are in `speclens.read.arrays.tables`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from speclens.errors import SpectrumFileError
from speclens.read.arrays import NAME
from speclens.read.arrays.catalogue import NameCatalogue, NameStore
from speclens.read.arrays.files import holds_spectra
from speclens.read.arrays.stack import is_stack, open_stack
from speclens.read.arrays.tables import name_of_file, read_tables
from speclens.read.sdss.targets import blank_targets
from speclens.read.source import Exposure, Source
from speclens.read.survey import FileKind, ReadSettings
from speclens.spectra import LogGrid

__all__ = ["STACKS", "TABLES", "Arrays"]

STACKS = FileKind(NAME, "stacks", 1000)
"""Many spectra a file."""
TABLES = FileKind(NAME, "tables", 1, files_a_shard=100)
"""Plain tables, of one spectrum or of many."""

STACK_NAME = re.compile(r"stack-\d+\.fits$")


class Arrays:
    """Spectra that came as arrays, as `speclens.read.survey.Survey` asks."""

    name = NAME
    kinds = (STACKS, TABLES)
    wanted = "stack-*.fits, tables with wavelength and flux"

    def kind_of_name(self, name: str) -> FileKind | None:
        """Say of which kind a file is, as far as its name tells."""
        return STACKS if STACK_NAME.match(name) else None

    def kind_of_content(self, path: str) -> FileKind | None:
        """Say whether a file is a stack, or a plain table of spectra."""
        if is_stack(path):
            return STACKS
        try:
            return TABLES if holds_spectra(path) else None
        except SpectrumFileError:
            return None

    def is_companion(self, name: str) -> bool:  # noqa: ARG002 - of no name
        """Say that nothing is read with them."""
        return False

    def companions(self, kind: FileKind, path: str) -> Sequence[str]:  # noqa: ARG002 - of no file
        """Find nothing that is read with them."""
        return []

    @contextmanager
    def open(
        self, kind: FileKind, files: Sequence[str], grid: LogGrid, settings: ReadSettings
    ) -> Iterator[tuple[Source, Sequence[SpectrumFileError]]]:
        """Open a stack, which has no checksum, or read tables."""
        catalogue = NameStore(settings.catalogue) if settings.catalogue else None
        if kind == STACKS:
            with open_stack(files[0], grid, catalogue) as stack:
                yield stack, ()
        else:
            tables = read_tables(files, grid, settings.tables, catalogue, settings.verify)
            yield tables, tables.failures

    def exposures(
        self,
        kind: FileKind,  # noqa: ARG002 - the one
        path: str,  # noqa: ARG002 - none has any
        wave_range: tuple[float, float],  # noqa: ARG002 - as above
    ) -> Sequence[Exposure]:
        """Find no exposures."""
        return []

    def spectrum_names(self, rows: NDArray[np.void]) -> Sequence[str]:
        """Name spectra as whoever gave them did; by their numbers otherwise."""
        return [str(name) for name in rows["SPECTRUM"].tolist()]

    def target_of_name(self, path: str) -> NDArray[np.void]:
        """Return the target row of a table, named by its file; of a stack nothing is known."""
        target = blank_targets(1)
        if self.kind_of_name(os.path.basename(path)) is None:
            target["SPECTRUM"] = name_of_file(path)
        return target

    def detector_places(self, rows: NDArray[np.void]) -> NDArray[np.int64]:
        """Tell that no places on a detector are known."""
        return np.full(len(rows), -1, np.int64)

    def catalogue(self, path: str, files: Sequence[str]) -> NameCatalogue:  # noqa: ARG002 - all
        """Choose all rows of a catalogue: files do not tell the names of their spectra."""
        return NameCatalogue(path)
