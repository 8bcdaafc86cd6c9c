"""Surveys of other packages, guarded: what they raise is their own fault, and stops nobody else.

In: a survey that an entry point offers. Out: the same survey. A question that it cannot answer is
answered as by one that knows nothing of the file, and a line names the package, once for each file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from speclens.errors import RunError, SpeclensError, SpectrumFileError, fault_of
from speclens.plugins import tell
from speclens.read.sdss.targets import blank_targets
from speclens.read.source import Exposure, Source
from speclens.read.survey import CatalogueRows, FileKind, ReadSettings, Survey
from speclens.spectra import LogGrid

__all__ = ["AddedSurvey"]

Answer = TypeVar("Answer")


@dataclass
class AddedSurvey:
    """A survey of another package, as `speclens.read.survey.Survey` asks.

    Parameters
    ----------
    survey : Survey
        The survey.
    package : str
        Who offers it.
    """

    survey: Survey
    package: str
    name: str = field(init=False)
    kinds: Sequence[FileKind] = field(init=False)
    wanted: str = field(init=False)
    told: set[tuple[str, str]] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self.name, self.wanted = self.survey.name, self.survey.wanted
        self.kinds = tuple(self.survey.kinds)

    def kind_of_name(self, name: str) -> FileKind | None:
        """Say of which kind a file is, as far as its name tells; of none where that fails."""
        return self._asked(name, lambda: self._own(self.survey.kind_of_name(name)), None)

    def kind_of_content(self, path: str) -> FileKind | None:
        """Say of which kind a file is by what is in it; of none where that fails."""
        return self._asked(path, lambda: self._own(self.survey.kind_of_content(path)), None)

    def is_companion(self, name: str) -> bool:
        """Say whether a file of this name is read with others; not where that fails."""
        return self._asked(name, lambda: bool(self.survey.is_companion(name)), False)

    def companions(self, kind: FileKind, path: str) -> Sequence[str]:
        """Find the files that are read with a file; none where that fails."""
        return self._asked(path, lambda: [*self.survey.companions(kind, path)], [])

    @contextmanager
    def open(
        self, kind: FileKind, files: Sequence[str], grid: LogGrid, settings: ReadSettings
    ) -> Iterator[tuple[Source, Sequence[SpectrumFileError]]]:
        """Open files of one kind; what the package raises otherwise is an error of the file."""
        with ExitStack() as stack:
            with self._blamed(files[0]):
                opened = stack.enter_context(self.survey.open(kind, files, grid, settings))
            # What is raised while the spectra are worked on need not be the survey's fault.
            yield opened

    def exposures(
        self, kind: FileKind, path: str, wave_range: tuple[float, float]
    ) -> Sequence[Exposure]:
        """Read the single exposures of the spectrum of a file."""
        with self._blamed(path):
            return self.survey.exposures(kind, path, wave_range)

    def spectrum_names(self, rows: NDArray[np.void]) -> Sequence[str]:
        """Name spectra; all are unknown where that fails."""
        unknown = [""] * len(rows)
        return self._asked("spectra", lambda: self.survey.spectrum_names(rows), unknown)

    def target_of_name(self, path: str) -> NDArray[np.void]:
        """Return the target row of a file that cannot be read; a blank one where that fails."""
        return self._asked(path, lambda: self.survey.target_of_name(path), blank_targets(1))

    def detector_places(self, rows: NDArray[np.void]) -> NDArray[np.int64]:
        """Tell the places of spectra on a detector; unknown where that fails."""
        unknown = np.full(len(rows), -1, np.int64)
        return self._asked("spectra", lambda: self.survey.detector_places(rows), unknown)

    def catalogue(self, path: str, files: Sequence[str]) -> CatalogueRows:
        """Choose the rows of a catalogue that files need."""
        try:
            return self.survey.catalogue(path, files)
        except SpeclensError:
            raise
        except Exception as error:
            raise RunError(f"catalogue {path}: {self._fault(error)}") from error

    def _own(self, kind: FileKind | None) -> FileKind | None:
        if kind is not None and kind not in self.kinds:
            raise TypeError(f"{kind!r} is none of its kinds")
        return kind

    def _asked(self, of: str, ask: Callable[[], Answer], otherwise: Answer) -> Answer:
        try:
            return ask()
        except Exception as error:  # noqa: BLE001 - whatever another package does wrong
            fault = self._fault(error)
            if (of, fault) not in self.told:
                self.told.add((of, fault))
                tell(f"{of}: {fault}")
            return otherwise

    @contextmanager
    def _blamed(self, path: str) -> Iterator[None]:
        try:
            yield
        except SpeclensError:
            raise
        except Exception as error:
            raise SpectrumFileError(path, "internal_error", self._fault(error)) from error

    def _fault(self, error: Exception) -> str:
        return (
            f"package {self.package}, survey {self.name!r}: {fault_of(error)}; a fault of that "
            "package: report it to its authors, update or uninstall it"
        )
