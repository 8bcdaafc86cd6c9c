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
from speclens.evaluate.injection import PLAIN, name_of, names_of
from speclens.evaluate.nulls import FLIPPED, turned_over
from speclens.evaluate.parts import NULLS, PartSettings, ShardPart
from speclens.evidence.gather import Gatherer, GatherSettings, gathered_arrays
from speclens.evidence.nearby import companions_of
from speclens.evidence.same_line import line_in_spectra
from speclens.evidence.store import evidence_of
from speclens.read.source import Source
from speclens.run.store import load_arrays, save_arrays
from speclens.run.workers import DIARY, map_shards
from speclens.search.scanned import stored_rows
from speclens.search.shard_rows import ShardRows
from speclens.spectra import SpectrumBatch
from speclens.vet.vetting import vet_alone

__all__ = ["VetSettings", "vet_parts"]

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
    """The steps before vetting, made in the process that works.

    Parameters
    ----------
    settings : VetSettings
        What all parts share.
    """

    def __init__(self, settings: VetSettings) -> None:
        self.settings, self.config = settings, settings.parts.scan.config
        self.gatherer = Gatherer(GatherSettings(settings.parts.scan, settings.work))


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
        begin=Vetter, tell=tell, diary=settings.work / DIARY,
    )  # fmt: skip
    for path in paths:
        stored = load_arrays(path)
        if stored is None:
            raise RunError(f"{path}: vanished; run the same command again")
        yield Counted.of(stored)


def _vet_part(vetter: Vetter, searched: tuple[ShardPart, Path]) -> Path:
    """Vet the hits of a part, and store what came back."""
    part, place = searched
    settings, rows = vetter.settings, stored_rows(place)
    store = settings.parts.scan.store.part(f"{part.name}/vetted")
    path = store.path(part.shard.kind.name, part.shard.files)
    made_of = hashlib.sha256(f"{rows.digest}/{rows.hint}".encode())
    for array in (rows.hits, settings.crowd, settings.left_out):
        made_of.update(np.ascontiguousarray(array).tobytes())
    stored = load_arrays(path)
    if stored is None or str(stored.get("made_of")) != made_of.hexdigest():
        vetted = replace(rows, hits=_vetted(vetter, part, rows))
        reach = vetter.config.evaluation.match_pixels
        counted = count_rows(vetted, part.shard.files, reach, settings.left_out)
        save_arrays(path, made_of=np.array(made_of.hexdigest()), **counted.arrays)
    return path


def _vetted(vetter: Vetter, part: ShardPart, rows: ShardRows) -> Rows:
    """Return the hits of a part, vetted; one whose spectrum cannot be had again is no candidate."""
    hits = rows.hits.copy()
    hits["CANDIDATE"] = False
    if not len(hits):
        return hits
    scan = vetter.settings.parts.scan
    unverified = replace(scan, reading=replace(scan.reading, verify=False))
    try:
        with unverified.opened(part.shard, vetter.gatherer.grid) as (source, _):
            again = _Again(vetter, part, rows, source)
            for chosen in again.blocks():
                hits[chosen] = again.vetted(chosen)
    except SpectrumFileError:
        # Told when it was searched, or the file has gone since.
        return hits
    return hits


class _Again:
    """The spectra of a part's hits, read again and given again what was put into them."""

    def __init__(self, vetter: Vetter, part: ShardPart, rows: ShardRows, source: Source) -> None:
        self._vetter, self._part, self._rows = vetter, part, rows
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
        vetted = vet_alone(hits, evidence_of(arrays), vetter.config, vetter.settings.crowd)
        vetted["P_LENSED"] = lens_probability(vetted, vetter.config.candidates)
        return vetted

    def _as_searched(self, hits: NDArray[np.intp]) -> SpectrumBatch:
        """Return the whole spectra of hits of one block as they were searched."""
        rows = self._rows.hit_rows[hits]
        batch = self._batch[np.searchsorted(self._read, self._own[hits])]
        truth, z = self._truth[rows], self._rows.spectra["Z"][rows]
        if self._part.kinds == NULLS:
            return self._turned_over(batch, z) if truth["NULL"][0] == FLIPPED else batch
        if truth["NULL"][0] == PLAIN:
            return batch
        injection = self._vetter.settings.parts.injection(self._part)
        names = [self._names[row] for row in rows.tolist()]
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


def _names(spectra: Rows) -> list[Name]:
    """Name spectra as `names_of` does."""
    of_file = {file: _named(file) for file in set(spectra["FILE"].tolist())}
    return [(of_file[file], row) for file, row in spectra[["FILE", "ROW"]].tolist()]


def _named(file: str) -> int:
    return name_of(os.fsdecode(unquote_to_bytes(file)))
