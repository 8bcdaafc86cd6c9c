"""Vetting of what was found in spectra that were given a source, a decoy, or nothing.

In: stored rows of the search of a part. Out: what came back, counted and stored. The spectra are
read again, whole, and given the same sources again, of which vetting looks for all lines; each
hit is judged as if it were one more of those that the spectra have as they are. Other spectra of
the same object and single exposures do not show what was put in: they take no part.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote_to_bytes

import numpy as np
from numpy.typing import NDArray

from speclens.candidates.lens_probability import lens_probability
from speclens.errors import RunError, SpectrumFileError
from speclens.evaluate.counting import Counted, count_rows, truth_of
from speclens.evaluate.injection import PLAIN, Injection, name_of, names_of
from speclens.evaluate.nulls import FLIPPED, turned_over
from speclens.evaluate.parts import PartSettings, ShardPart
from speclens.evidence.gather import Gatherer, GatherSettings, gathered_arrays
from speclens.evidence.nearby import companions_of
from speclens.evidence.same_line import line_in_spectra
from speclens.evidence.store import evidence_of
from speclens.read.shards import Shard
from speclens.read.source import Source
from speclens.run.store import load_arrays, save_arrays
from speclens.run.workers import DIARY, map_shards
from speclens.sample.selection import redshifts
from speclens.search.scan import ScanSettings
from speclens.search.scanned import stored_rows
from speclens.search.shard_rows import ShardRows
from speclens.spectra import SpectrumBatch
from speclens.vet.vetting import vet_alone

__all__ = ["CROWD", "VetSettings", "Vetter", "crowd_of", "vet_parts"]

CROWD = np.dtype([("WAVE", "f8"), ("Z", "f8")])
"""Hits among which over-densities are looked for."""

Name = tuple[int, int]
Rows = NDArray[np.void]


@dataclass(frozen=True)
class VetSettings:
    """What all parts share: plain data, sent to every worker.

    Parameters
    ----------
    parts : PartSettings
        The search, and the seed of what was put in.
    work : Path
        Where results go.
    crowd : structured array
        WAVE and Z of the hits in the spectra as they are.
    left_out : array of int
        TARGETID of those that do not count.
    """

    parts: PartSettings
    work: Path
    crowd: Rows
    left_out: NDArray[np.int64]


class Vetter:
    """The vetting of one search, made in the process that works.

    Parameters
    ----------
    scan : ScanSettings
        The search.
    work : Path
        Where results go.
    crowd : structured array
        `CROWD`: the hits in the spectra as they are.
    """

    def __init__(self, scan: ScanSettings, work: Path, crowd: Rows) -> None:
        self.scan, self.config, self.crowd = scan, scan.config, crowd
        self.gatherer = Gatherer(GatherSettings(scan, work))

    def __call__(self, shard: Shard, rows: ShardRows, injection: Injection) -> Rows:
        """Vet what was found in a shard.

        Parameters
        ----------
        shard : Shard
            The files.
        rows : ShardRows
            What was found in them, H hits.
        injection : Injection
            What put the sources in.

        Returns
        -------
        structured array of shape (H,)
            The hits, vetted; one whose spectrum cannot be had again is no candidate.
        """
        hits = rows.hits.copy()
        hits["CANDIDATE"] = False
        if not len(hits):
            return hits
        unverified = replace(self.scan, reading=replace(self.scan.reading, verify=False))
        try:
            with unverified.opened(shard, self.gatherer.grid) as (source, _):
                again = _Again(self, injection, rows, source)
                for chosen in again.blocks():
                    hits[chosen] = again.vetted(chosen)
        except SpectrumFileError:
            # Told when it was searched, or the file has gone since.
            return hits
        return hits


class _PartVetter:
    """The vetting of an evaluation, in the process that works."""

    def __init__(self, settings: VetSettings) -> None:
        self.settings = settings
        self.vetter = Vetter(settings.parts.scan, settings.work, settings.crowd)


def vet_parts(
    settings: VetSettings,
    searched: Sequence[tuple[ShardPart, Path]],
    n_workers: int,
    tell: Callable[[str], None],
) -> Iterator[Counted]:
    """Vet what was found in all parts, or find it done.

    Parameters
    ----------
    settings : VetSettings
        What all parts share.
    searched : sequence of (ShardPart, Path)
        The parts, and the rows of each.
    n_workers : int
        Number of processes.
    tell : callable
        Takes a line where no other process can be started.

    Yields
    ------
    Counted
        What came back, part by part.

    Raises
    ------
    RunError
        If a stored result vanishes, or a part kills its process.
    """
    paths = map_shards(
        _vet_part, settings, searched, n_workers,
        begin=_PartVetter, tell=tell, diary=settings.work / DIARY,
    )  # fmt: skip
    for path in paths:
        stored = load_arrays(path)
        if stored is None:
            raise RunError(f"{path}: vanished; run the same command again")
        yield Counted.of(stored)


def _vet_part(parts: _PartVetter, searched: tuple[ShardPart, Path]) -> Path:
    """Vet the hits of a part, and store what came back."""
    part, place = searched
    settings, rows = parts.settings, stored_rows(place)
    store = settings.parts.scan.store.part(f"{part.name}/vetted")
    path = store.path(part.shard.kind.name, part.shard.files)
    made_of = hashlib.sha256(f"{rows.digest}/{rows.hint}".encode())
    for array in (rows.hits, settings.crowd, settings.left_out):
        made_of.update(np.ascontiguousarray(array).tobytes())
    stored = load_arrays(path)
    if stored is None or str(stored.get("made_of")) != made_of.hexdigest():
        injection = settings.parts.injection(part)
        vetted = replace(rows, hits=parts.vetter(part.shard, rows, injection))
        reach = settings.parts.scan.config.evaluation.match_pixels
        counted = count_rows(vetted, part.shard.files, reach, settings.left_out)
        save_arrays(path, made_of=np.array(made_of.hexdigest()), **counted.arrays)
    return path


class _Again:
    """The spectra of a part's hits, read again and given again what was put into them."""

    def __init__(
        self, vetter: Vetter, injection: Injection, rows: ShardRows, source: Source
    ) -> None:
        self._vetter, self._injection, self._rows = vetter, injection, rows
        self._names, self._truth = _names(rows.spectra), truth_of(rows)
        place = {name: i for i, name in enumerate(names_of(source.files))}
        own = [place.get(self._names[row], -1) for row in rows.hit_rows.tolist()]
        self._own = np.array(own, np.intp)
        self._requests, asked = self._neighbours()
        self._asked = np.array([place.get(name, -1) for name in asked], np.intp)
        self._read = np.unique(np.concatenate([self._own, self._asked]))
        self._read = self._read[self._read >= 0]
        self._batch = source.spectra(self._read)

    def _neighbours(self) -> tuple[Rows, list[Name]]:
        """Return which fibres beside a hit's are asked for its line, as they are."""
        every = list({name: row for row, name in enumerate(self._names)}.values())
        spectra = self._rows.spectra[every]
        requests, files = companions_of(self._rows.hits, [spectra], self._vetter.config.vet)
        beside = np.flatnonzero(requests["KIND"] == "neighbour")
        rows = requests["ROW"].tolist()
        return requests[beside], [(_named(files[i]), rows[i]) for i in beside.tolist()]

    def blocks(self) -> Iterator[NDArray[np.intp]]:
        """Yield the hits of one repeat, or of one null, after the other."""
        truth = self._truth[["NULL", "REPEAT"]][self._rows.hit_rows]
        _, block = np.unique(truth, return_inverse=True)
        for number in range(int(block.max()) + 1):
            chosen = np.flatnonzero((block == number) & (self._own >= 0))
            if len(chosen):
                yield chosen

    def vetted(self, chosen: NDArray[np.intp]) -> Rows:
        """Vet the hits of one block."""
        vetter, hits = self._vetter, self._rows.hits[chosen]
        _, first, place = np.unique(self._own[chosen], return_index=True, return_inverse=True)
        batch = self._as_searched(chosen[first])
        asked = np.flatnonzero(np.isin(self._requests["HIT"], chosen) & (self._asked >= 0))
        requests = self._requests[asked]
        requests["HIT"] = np.searchsorted(chosen, requests["HIT"])
        others = self._batch[np.searchsorted(self._read, self._asked[asked])]
        companions = line_in_spectra(others, requests, vetter.config)
        numbers = np.arange(len(hits))
        arrays = gathered_arrays(vetter.gatherer, batch[place], numbers, hits, companions)
        vetted = vet_alone(hits, evidence_of(arrays), vetter.config, vetter.crowd)
        vetted["P_LENSED"] = lens_probability(vetted, vetter.config.candidates)
        return vetted

    def _as_searched(self, hits: NDArray[np.intp]) -> SpectrumBatch:
        """Return the whole spectra of hits of one block as they were searched."""
        rows = self._rows.hit_rows[hits]
        batch = self._batch[np.searchsorted(self._read, self._own[hits])]
        truth = self._truth[rows]
        if truth["NULL"][0] == FLIPPED:
            return self._turned_over(batch, self._rows.spectra["Z"][rows])
        if truth["NULL"][0] != "":
            return batch
        injection = self._injection
        names = [self._names[row] for row in rows.tolist()]
        z = redshifts(batch.targets, injection.config.selection)
        drawn = injection.draw(int(truth["REPEAT"][0]), names, z)
        added, _ = drawn.on(batch.grid, batch.dispersion)
        added *= truth["SCALE"][:, None].astype(np.float32)
        return replace(batch, flux=batch.flux + added)

    def _turned_over(self, batch: SpectrumBatch, z: NDArray[np.float64]) -> SpectrumBatch:
        """Turn the residuals over: in the window those of the search, beyond it of the whole."""
        gatherer = self._vetter.gatherer
        window = gatherer.scan.grid
        inside, (part, _) = batch.on(window), batch.grid.overlap(window)
        whole = turned_over(batch, gatherer.whole(batch, z))
        whole.flux[:, part] = turned_over(inside, gatherer.in_window(inside, z)).flux
        return whole


def crowd_of(rows: ShardRows) -> Rows:
    """Return where the hits of spectra are that are as they are.

    Parameters
    ----------
    rows : ShardRows
        Rows of a search.

    Returns
    -------
    structured array
        `CROWD`.
    """
    plain = truth_of(rows)["NULL"][rows.hit_rows] == PLAIN
    hits = np.zeros(int(plain.sum()), CROWD)
    for name in CROWD.names or ():
        hits[name] = rows.hits[name][plain]
    return hits


def _names(spectra: Rows) -> list[Name]:
    """Name spectra as `names_of` does."""
    of_file = {file: _named(file) for file in set(spectra["FILE"].tolist())}
    return [(of_file[file], row) for file, row in spectra[["FILE", "ROW"]].tolist()]


def _named(file: str) -> int:
    return name_of(os.fsdecode(unquote_to_bytes(file)))
