"""Spectra that came as arrays: what `speclens.read.survey` asks, answered for stacks.

In: files, rows. Out: the answers. The format stands in `speclens.read.arrays.stack`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from speclens.errors import RunError, SpectrumFileError
from speclens.read.arrays import NAME
from speclens.read.arrays.stack import is_stack, open_stack
from speclens.read.sdss.targets import blank_targets
from speclens.read.source import Exposure, Source
from speclens.read.survey import CatalogueRows, FileKind, ReadSettings
from speclens.spectra import LogGrid

__all__ = ["STACKS", "Arrays"]

STACKS = FileKind(NAME, "stacks", 1000)
"""Many spectra a file."""

STACK_NAME = re.compile(r"stack-\d+\.fits$")


class Arrays:
    """Spectra that came as arrays, as `speclens.read.survey.Survey` asks."""

    name = NAME
    kinds = (STACKS,)
    wanted = "stack-*.fits"

    def kind_of_name(self, name: str) -> FileKind | None:
        """Say of which kind a file is, as far as its name tells."""
        return STACKS if STACK_NAME.match(name) else None

    def kind_of_content(self, path: str) -> FileKind | None:
        """Say whether a file is a stack."""
        return STACKS if is_stack(path) else None

    def is_companion(self, name: str) -> bool:  # noqa: ARG002 - of no name
        """Say that nothing is read with a stack."""
        return False

    def companions(self, kind: FileKind, path: str) -> Sequence[str]:  # noqa: ARG002 - of no file
        """Find nothing that is read with a stack."""
        return []

    @contextmanager
    def open(
        self,
        kind: FileKind,  # noqa: ARG002 - the one
        files: Sequence[str],
        grid: LogGrid,
        settings: ReadSettings,  # noqa: ARG002 - no checksum, no catalogue
    ) -> Iterator[tuple[Source, Sequence[SpectrumFileError]]]:
        """Open a stack."""
        with open_stack(files[0], grid) as stack:
            yield stack, ()

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

    def target_of_name(self, path: str) -> NDArray[np.void]:  # noqa: ARG002 - it tells nothing
        """Return a target row of which nothing is known."""
        return blank_targets(1)

    def detector_places(self, rows: NDArray[np.void]) -> NDArray[np.int64]:
        """Tell that no places on a detector are known."""
        return np.full(len(rows), -1, np.int64)

    def catalogue(self, path: str, files: Sequence[str]) -> CatalogueRows:  # noqa: ARG002 - no use
        """Refuse a catalogue: arrays come with their redshifts."""
        raise RunError(
            f"catalogue {path}: spectra that came as arrays have no names to look up there; give "
            "z with them"
        )
