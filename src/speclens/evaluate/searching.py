"""The searches of an evaluation: all parts searched, then vetted, then counted.

In: survey files, the setup of the evaluation, its folder. Out: a `Tally` for each search, and what
was read. Results of parts are kept, so that a second call goes on where the first one stopped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config
from speclens.eigenspectra import BUNDLED
from speclens.evaluate.counting import Tally, searched_places
from speclens.evaluate.parts import PartSettings, make_parts, scan_parts
from speclens.evaluate.recovery import targets_put_in
from speclens.evaluate.vetting import CROWD, VetSettings, crowd_of, vet_parts
from speclens.read.discovery import SurveyFiles
from speclens.read.shards import Shard, make_shards
from speclens.read.survey import ReadSettings
from speclens.run.folder import Folder
from speclens.run.progress import Progress
from speclens.run.store import ShardStore
from speclens.run.workers import DIARY
from speclens.search.scan import ScanSettings
from speclens.search.scanned import Scanned, stored_rows
from speclens.search.shard_rows import ShardRows

__all__ = ["Searched", "search_all"]


@dataclass(frozen=True)
class Searched:
    """What came of the searches.

    Parameters
    ----------
    tallies : dict of str to Tally
        Of each search, by its name.
    files : list of dict
        The files of each shard, and a digest of what the first search read of them.
    n_spectra : int
        Spectra that were searched as they are, by any search.
    """

    tallies: dict[str, Tally]
    files: list[dict[str, Any]]
    n_spectra: int


@dataclass(frozen=True)
class _Work:
    """What all searches of an evaluation share."""

    setup: dict[str, Any]
    shards: Sequence[Shard]
    n_workers: int
    folder: Folder
    listener: Progress
    left_out: NDArray[np.int64]
    told: set[str] = field(default_factory=set)
    plain: dict[Shard, list[NDArray[np.int64]]] = field(default_factory=dict)

    def tell(self, text: str) -> None:
        """Tell of a file that failed, once however many searches read it."""
        if text not in self.told:
            self.listener.message(text)
        self.told.add(text)

    @property
    def n_spectra(self) -> int:
        """Spectra that were searched as they are, each once however many searches took it."""
        return sum(len(np.unique(np.concatenate(own), axis=0)) for own in self.plain.values())


def search_all(
    files: SurveyFiles,
    config: Config,
    setup: dict[str, Any],
    n_workers: int,
    folder: Folder,
    listener: Progress,
) -> Searched:
    """Put sources into the spectra of all files, search, vet and count; search by search.

    Parameters
    ----------
    files : SurveyFiles
        The survey files.
    config : Config
        The searches.
    setup : dict
        All that decides the evaluation, beside the content of files.
    n_workers : int
        Number of processes.
    folder : Folder
        The evaluation's folder.
    listener : Progress
        Told of stages and failures.

    Returns
    -------
    Searched
        What came back.
    """
    left_out = targets_put_in(setup["inputs"])
    if len(left_out):
        listener.message(
            f"{len(left_out)} targets of the mock survey hold a source or a decoy already: they "
            "are left out"
        )
    work = _Work(setup, make_shards(files), n_workers, folder, listener, left_out)
    reading = ReadSettings(setup["verify"], _catalogue(files, setup, folder), config.tables)
    tallies: dict[str, Tally] = {}
    read: list[dict[str, Any]] = []
    for name, own in config.each.items():
        settings = PartSettings(_settings(name, own, reading, work), setup["seed"])
        of_search = f" (search {name})" * (len(config.each) > 1)
        tallies[name], digests = _searched(settings, work, of_search)
        read = read or digests
    return Searched(tallies, read, work.n_spectra)


def _catalogue(files: SurveyFiles, setup: dict[str, Any], folder: Folder) -> Path | None:
    """Store the rows of the catalogue that the files need."""
    catalogue = files.catalogue(setup["catalogue"])
    if catalogue is None:
        return None
    saved = folder.work / "catalogue.rows"
    catalogue.store(saved)
    return saved


def _settings(name: str, config: Config, reading: ReadSettings, work: _Work) -> ScanSettings:
    context = hashlib.sha256(json.dumps(work.setup, sort_keys=True).encode())
    context.update(name.encode())
    for path in (config.foreground.templates, work.setup["catalogue"]):
        if path is not None and path not in BUNDLED:
            context.update(work.folder.digest_of(path).encode())
    return ScanSettings(config, ShardStore(work.folder.work, context.hexdigest()), reading)


def _searched(
    settings: PartSettings, work: _Work, of_search: str
) -> tuple[Tally, list[dict[str, Any]]]:
    """Search, vet and count all parts; say what was read."""
    decoys = round(work.setup["repeats"] * settings.scan.config.evaluation.decoy_share)
    parts = make_parts(work.shards, work.setup["repeats"], decoys)
    tally = Tally()
    crowd: list[NDArray[np.void]] = [np.zeros(0, CROWD)]
    read: dict[Shard, dict[str, None]] = {}
    work.listener.stage(f"spectra{of_search}", len(parts))
    diary = work.folder.work / DIARY
    scans = scan_parts(settings, parts, work.n_workers, work.listener.message, diary)
    paths = []
    for part, done in zip(parts, scans, strict=True):
        rows = _heard(part.shard, done, tally, work)
        read.setdefault(part.shard, {})[rows.digest] = None
        crowd.append(crowd_of(rows))
        paths.append((part, done.path))
    work.listener.stage(f"vetting{of_search}", len(parts), "sources")
    vet = VetSettings(settings, work.folder.work, np.concatenate(crowd), work.left_out)
    counted = vet_parts(vet, paths, work.n_workers, work.listener.message)
    for _, of_shard in groupby(zip(parts, counted, strict=True), key=lambda pair: pair[0].shard):
        together = []
        for _, one in of_shard:
            together.append(one)
            work.listener.advance(len(one.lines))
        tally.add(together)
    return tally, [
        {"paths": list(shard.read_files), "read": " ".join(digests)}
        for shard, digests in read.items()
    ]


def _heard(shard: Shard, done: Scanned, tally: Tally, work: _Work) -> ShardRows:
    """Take up what was searched of a part."""
    rows = stored_rows(done.path)
    places = searched_places(rows, shard.files, work.left_out)
    work.plain.setdefault(shard, []).append(places)
    tally.hear(done.messages, work.tell)
    work.listener.advance(done.n_spectra)
    if (rows.spectra["STATUS"] == "scored").any():
        # What holds no spectrum of the sample binds the folder to nothing.
        work.folder.claim(work.setup)
    return rows
