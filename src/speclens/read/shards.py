"""Shards: the unit of work, of resume and of parallel running.

In: the survey files. Out: shards - files of one kind that are searched together - and, of each, its
spectra.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from xxhash import xxh3_64_intdigest

from speclens.errors import SpectrumFileError
from speclens.read.discovery import SurveyFiles
from speclens.read.source import Exposure, Source
from speclens.read.survey import FileKind, ReadSettings
from speclens.read.surveys import survey_named
from speclens.spectra import LogGrid

__all__ = ["Shard", "make_shards", "open_shard", "read_ahead", "worker_died"]


@dataclass(frozen=True)
class Shard:
    """Files that are searched together.

    Parameters
    ----------
    kind : FileKind
        Their kind.
    files : tuple of str
        The files.
    """

    kind: FileKind
    files: tuple[str, ...]

    @property
    def survey(self) -> str:
        """Name of their survey, as in the column SURVEY."""
        return self.kind.survey

    @property
    def n_spectra(self) -> int:
        """How many spectra they hold, about."""
        return len(self.files) * self.kind.spectra_a_file

    @property
    def read_files(self) -> tuple[str, ...]:
        """The files, and those that are read with them."""
        survey = survey_named(self.survey)
        companions = [path for file in self.files for path in survey.companions(self.kind, file)]
        return (*self.files, *companions)

    def exposures(self, wave_range: tuple[float, float]) -> Sequence[Exposure]:
        """Read the single exposures of the one file, as `Survey.exposures` does."""
        (file,) = self.files
        return survey_named(self.survey).exposures(self.kind, file, wave_range)


def make_shards(files: SurveyFiles) -> list[Shard]:
    """Divide survey files into shards.

    Parameters
    ----------
    files : SurveyFiles
        The files of a search.

    Returns
    -------
    list of Shard
        Kind by kind; the same files give the same shards, and a file that is added or taken away
        changes one or two of them.
    """
    shards = []
    for kind, paths in files.of_kind.items():
        starts = _starts(paths, kind.files_a_shard)
        spans = zip(starts, [*starts[1:], len(paths)], strict=True)
        shards += [Shard(kind, tuple(paths[i:j])) for i, j in spans]
    return shards


@contextmanager
def open_shard(
    shard: Shard, grid: LogGrid, settings: ReadSettings
) -> Iterator[tuple[Source, Sequence[SpectrumFileError]]]:
    """Open the files of a shard.

    Parameters
    ----------
    shard : Shard
        The files.
    grid : LogGrid
        Pixels to read.
    settings : ReadSettings
        How they are read.

    Yields
    ------
    source : Source
        The spectra.
    failures : sequence of SpectrumFileError
        One for each single file that failed.

    Raises
    ------
    SpectrumFileError
        If none of it can be read.
    """
    with survey_named(shard.survey).open(shard.kind, shard.files, grid, settings) as opened:
        yield opened


def read_ahead(shard: Shard) -> None:
    """Let the system fetch a file that will be read soon, while something else is computed.

    Parameters
    ----------
    shard : Shard
        The file, when it is one of many spectra; of others nothing is fetched, nor where the system
        cannot do it beside other work.
    """
    if len(shard.files) > 1 or not hasattr(os, "posix_fadvise"):
        return
    # What cannot be opened its reader will complain of; a pipe must not be waited for.
    with suppress(OSError):
        file = os.open(shard.files[0], os.O_RDONLY | os.O_NONBLOCK)
        try:
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_WILLNEED)
        finally:
            os.close(file)


def worker_died(path: str) -> SpectrumFileError:
    """Say that a file killed the process that read it.

    Parameters
    ----------
    path : str
        The file.

    Returns
    -------
    SpectrumFileError
        To be reported, not raised.
    """
    return SpectrumFileError(
        path,
        "worker_died",
        "the process that worked on it was killed, and so was one that worked on nothing else",
        hint="is there memory enough? The same command tries it again",
    )


def _starts(files: Sequence[str], n_together: int) -> list[int]:
    """Cut a list of files where their names say, not at fixed places in the list.

    Some `n_together` files make a shard, from five to eleven eighths of that. Of the files at which
    it may end, it ends before the one whose name has the lowest hash: a file that is added in front
    moves the places, and not the cuts.
    """
    if n_together == 1:
        return [*range(len(files))]
    rank = [xxh3_64_intdigest(os.fsencode(os.path.basename(file))) for file in files]
    fewest, most = max(1, n_together * 5 // 8), n_together * 11 // 8
    starts = [0]
    while len(files) - starts[-1] > n_together:
        last = min(starts[-1] + most, len(files) - 1)
        starts.append(min(range(starts[-1] + fewest, last + 1), key=rank.__getitem__))
    return starts
