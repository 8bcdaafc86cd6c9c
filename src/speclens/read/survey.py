"""All that is asked of a survey: what its files are, how they are opened, who its spectra are.

In: nothing. Out: `Survey`, which a folder of `speclens.read` implements, and what it speaks of:
kinds of files, how they are read, catalogues. The surveys themselves are listed in
`speclens.read.surveys`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from speclens.config import TablesConfig
from speclens.errors import SpectrumFileError
from speclens.read.source import Exposure, Source
from speclens.spectra import LogGrid

__all__ = ["CatalogueRows", "FileKind", "Opened", "ReadSettings", "Survey"]


@dataclass(frozen=True)
class FileKind:
    """A kind of file that holds spectra.

    Parameters
    ----------
    survey : str
        Name of its survey.
    name : str
        What many of them are called, as in run.json; no other kind is called so.
    spectra_a_file : int
        How many a file holds, about.
    files_a_shard : int
        How many are searched together.
    has_sky : bool
        True where a file holds sky fibres enough to tell something of the errors.
    own_names : str
        Pattern of the names that files of this kind alone have: where `Survey.kind_of_name` takes a
        file of another name for one of this kind, its content decides.
    """

    survey: str
    name: str
    spectra_a_file: int
    files_a_shard: int = 1
    has_sky: bool = False
    own_names: str = ""

    def owns(self, name: str) -> bool:
        """Say whether no other file has a name that one of this kind may have."""
        return re.match(self.own_names, name, re.IGNORECASE) is not None


@dataclass(frozen=True)
class ReadSettings:
    """How all shards of a run are read: plain data, sent to every worker.

    Parameters
    ----------
    verify : bool
        Refuse data that disagree with their DATASUM.
    catalogue : Path, optional
        Catalogue rows, as `CatalogueRows.store` wrote them.
    tables : TablesConfig, optional
        What plain tables mean where they do not say it.
    """

    verify: bool = True
    catalogue: Path | None = None
    tables: TablesConfig | None = None


Opened = AbstractContextManager[tuple[Source, Sequence[SpectrumFileError]]]
"""The spectra of open files, and an error for each single file that failed."""


class CatalogueRows(Protocol):
    """A catalogue that the user gave: classes and redshifts instead of those of the files."""

    path: str

    @property
    def notes(self) -> Sequence[str]:
        """What a reader of the results must know of it; complete once it was stored."""

    def store(self, path: Path) -> object:
        """Read the catalogue, and store what `Survey.open` needs of it.

        Parameters
        ----------
        path : Path
            File to write.

        Returns
        -------
        object
            What was stored.

        Raises
        ------
        SpectrumFileError
            If it cannot be read.
        RunError
            If columns are missing or contradict each other, or hold nothing that can be read.
        """
        ...

    def strangers(self, spectra: Iterable[NDArray[np.void]]) -> str:
        """Say how its identifiers and those of spectra differ.

        Parameters
        ----------
        spectra : iterable of structured arrays
            Rows of spectra.fits, none of which it holds.

        Returns
        -------
        str
            A sentence, with a remedy.
        """
        ...


class Survey(Protocol):
    """A survey: nobody else knows its files, its identifiers or its detector."""

    @property
    def name(self) -> str:
        """As in the column SURVEY."""

    @property
    def kinds(self) -> Sequence[FileKind]:
        """Its kinds of files, in the order in which they are searched."""

    @property
    def wanted(self) -> str:
        """Names of its files, to tell the user."""

    def kind_of_name(self, name: str) -> FileKind | None:
        """Say of which kind a file is, or may be (`FileKind.owns`), as far as its name tells."""

    def kind_of_content(self, path: str) -> FileKind | None:
        """Say of which kind a file is by what is in it; None where it cannot be read."""

    def is_companion(self, name: str) -> bool:
        """Say whether a file of this name is read with others, and not by itself."""

    def companions(self, kind: FileKind, path: str) -> Sequence[str]:
        """Find the files that are read with a file."""

    def open(
        self, kind: FileKind, files: Sequence[str], grid: LogGrid, settings: ReadSettings
    ) -> Opened:
        """Open files of one kind.

        Parameters
        ----------
        kind : FileKind
            Their kind.
        files : sequence of str
            The files, at most `kind.files_a_shard`, about.
        grid : LogGrid
            Pixels to read.
        settings : ReadSettings
            How they are read.

        Returns
        -------
        context manager
            Of the spectra, and of one error for each single file that failed.

        Raises
        ------
        SpectrumFileError
            On entering, if none of it can be read.
        """
        ...

    def exposures(
        self, kind: FileKind, path: str, wave_range: tuple[float, float]
    ) -> Sequence[Exposure]:
        """Read the single exposures of the spectrum of a file.

        Parameters
        ----------
        kind : FileKind
            Its kind.
        path : str
            The file.
        wave_range : (float, float)
            Exposures that do not reach between these are left out, vacuum Angstrom.

        Returns
        -------
        sequence of Exposure
            Empty where the file holds none.

        Raises
        ------
        SpectrumFileError
            If the file cannot be read.
        """
        ...

    def spectrum_names(self, rows: NDArray[np.void]) -> Sequence[str]:
        """Name spectra, as in the column SPECTRUM, in ASCII; empty where it is unknown which."""

    def target_of_name(self, path: str) -> NDArray[np.void]:
        """Return the target row, shape (1,), of a file that cannot be read, as its name tells."""

    def detector_places(self, rows: NDArray[np.void]) -> NDArray[np.int64]:
        """Tell the places of spectra on a detector.

        Parameters
        ----------
        rows : structured array of shape (N,)
            Rows of spectra.fits or hits.fits.

        Returns
        -------
        array of shape (N,)
            Spectra that lie side by side, and no others, differ by 1; -1 where it is unknown.
        """
        ...

    def catalogue(self, path: str, files: Sequence[str]) -> CatalogueRows:
        """Choose the rows of a catalogue that files need, as far as their names tell.

        Parameters
        ----------
        path : str
            The catalogue.
        files : sequence of str
            All survey files of the run.

        Returns
        -------
        CatalogueRows
            Not yet read.
        """
        ...
