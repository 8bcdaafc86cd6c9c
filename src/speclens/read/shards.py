"""Shards: the unit of work, of resume and of parallel running.

In: the survey files. Out: shards - one a plate, or some hundreds of spec files - and, of each, its
spectra.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from xxhash import xxh3_64_intdigest

from speclens.errors import SpectrumFileError
from speclens.read.discovery import SurveyFiles
from speclens.read.sdss import NAME
from speclens.read.sdss.plate import find_zbest, open_plate
from speclens.read.sdss.source import Source
from speclens.read.sdss.spec import read_spec_files
from speclens.read.table.catalogue_store import CatalogueStore
from speclens.spectra import LogGrid

__all__ = ["TRANSIENT", "ReadSettings", "Shard", "make_shards", "open_shard", "worker_died"]

TRANSIENT = ("io_error", "not_regular", "internal_error", "worker_died")
"""Failures of which not the content of a file is the cause."""

SPECS_PER_SHARD = 400
"""Single files of a shard, on average; from five to eleven eighths of that."""


@dataclass(frozen=True)
class Shard:
    """Files that are searched together.

    Parameters
    ----------
    kind : str
        `plate` (one spPlate file) or `specs` (single spec files).
    files : tuple of str
        The files.
    """

    kind: str
    files: tuple[str, ...]

    @property
    def survey(self) -> str:
        """Name of their survey, as in the column SURVEY."""
        return NAME

    @property
    def read_files(self) -> tuple[str, ...]:
        """The files, and those that are read with them: the spZbest of a plate."""
        if self.kind != "plate":
            return self.files
        zbests = [find_zbest(file) for file in self.files]
        return self.files + tuple(zbest for zbest in zbests if zbest is not None)


def make_shards(files: SurveyFiles) -> list[Shard]:
    """Divide survey files into shards.

    Parameters
    ----------
    files : SurveyFiles
        The files of a search.

    Returns
    -------
    list of Shard
        Plates first; the same files give the same shards, and a file that is added or taken away
        changes one or two of them.
    """
    plates = [Shard("plate", (path,)) for path in files.plates]
    starts = _starts(files.specs)
    ends = [*starts[1:], len(files.specs)]
    spans = zip(starts, ends, strict=True)
    groups = [Shard("specs", files.specs[i:j]) for i, j in spans if j > i]
    return plates + groups


@dataclass(frozen=True)
class ReadSettings:
    """How all shards of a run are read: plain data, sent to every worker.

    Parameters
    ----------
    verify : bool
        Refuse data that disagree with their DATASUM.
    catalogue : Path, optional
        Catalogue rows, written by `store_catalogue`.
    lost : mapping of str to SpectrumFileError
        Files that are not opened again in this run: what went wrong may pass, and other spectra
        were searched without them meanwhile.
    """

    verify: bool = True
    catalogue: Path | None = None
    lost: Mapping[str, SpectrumFileError] = field(default_factory=dict)


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
        If a plate cannot be read.
    """
    if shard.files[0] in settings.lost:
        raise settings.lost[shard.files[0]]
    # Of the catalogue a shard reads the rows of its plates.
    catalogue = CatalogueStore(settings.catalogue) if settings.catalogue else None
    if shard.kind == "plate":
        with open_plate(shard.files[0], grid, catalogue, settings.verify) as plate:
            yield plate, ()
    else:
        specs = read_spec_files(shard.files, grid, catalogue, settings.verify)
        yield specs, specs.failures


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


def _starts(files: Sequence[str]) -> list[int]:
    """Cut a list of files where their names say, not at fixed places in the list.

    Of the files at which a shard may end, it ends before the one whose name has the lowest hash: a
    file that is added in front moves the places, and not the cuts.
    """
    rank = [xxh3_64_intdigest(os.fsencode(os.path.basename(file))) for file in files]
    fewest, most = max(1, SPECS_PER_SHARD * 5 // 8), SPECS_PER_SHARD * 11 // 8
    starts = [0]
    while len(files) - starts[-1] > SPECS_PER_SHARD:
        last = min(starts[-1] + most, len(files) - 1)
        starts.append(min(range(starts[-1] + fewest, last + 1), key=rank.__getitem__))
    return starts
