"""Gather what vetting and report need of each hit, so that neither opens the survey's files again.

In: the hits of a run, the stored rows of all spectra. Out: in RUN/work, for each survey file with
hits, the whole spectra of its hits, and the flux of the same line in neighbouring fibres, in other
spectra of the same object and in single exposures.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

import numpy as np
from numpy.lib.recfunctions import repack_fields
from numpy.typing import NDArray

from speclens.errors import SpeclensError, SpectrumFileError, internal_error
from speclens.evidence.nearby import REQUEST_DTYPE, companions_of
from speclens.evidence.same_line import line_in_exposures, line_in_spectra
from speclens.evidence.store import SUFFIX, write_manifest
from speclens.read.shards import Shard, worker_died
from speclens.read.survey import Survey
from speclens.read.surveys import kind_of_file, survey_named
from speclens.run.progress import Progress
from speclens.run.recording import hint_of
from speclens.run.store import AS_IT_IS, load_current, save_arrays
from speclens.run.workers import DIARY, map_shards
from speclens.sample.error_growth import preparation_of
from speclens.sample.preparation import Preparation
from speclens.schema import COMPANIONS, dtype_of
from speclens.search.detection import near_line
from speclens.search.scan import ScanSettings
from speclens.spectra import LogGrid, SpectrumBatch

__all__ = ["GatherSettings", "Gatherer", "gather", "gathered_arrays"]


@dataclass(frozen=True)
class FileTask:
    """One survey file to read again: its own hits, and what other hits ask of it."""

    path: str
    survey: str
    search: str
    hit: NDArray[np.intp]
    hits: NDArray[np.void]
    requests: NDArray[np.void]

    def __str__(self) -> str:
        return self.path

    @property
    def numbers(self) -> NDArray[np.int64]:
        """Rows of hits.fits that own hits and requests are of, in their order."""
        return np.concatenate([self.hit, self.requests["HIT"]]).astype(np.int64)

    def single(self) -> Iterator[FileTask]:
        """Divide into tasks of one hit or one request each."""
        for i in range(len(self.hit)):
            yield replace(self, hit=self.hit[[i]], hits=self.hits[[i]], requests=self.requests[:0])
        for i in range(len(self.requests)):
            yield replace(self, hit=self.hit[:0], hits=self.hits[:0], requests=self.requests[[i]])


@dataclass(frozen=True)
class GatherSettings:
    """What all files of a search share: plain data, sent to every worker."""

    scan: ScanSettings
    work: Path

    @property
    def grid(self) -> LogGrid:
        """The whole spectrum; never less than the window."""
        low, high = self.scan.config.vet.spectrum
        window = self.scan.config.preparation.window
        return LogGrid.covering(min(low, window[0]), max(high, window[1]))


class Gatherer:
    """The steps before a search, made in the process that gathers.

    Parameters
    ----------
    settings : GatherSettings
        What all files of the search share.
    """

    def __init__(self, settings: GatherSettings) -> None:
        self.settings, self.scan = settings, settings.scan
        self.grid = settings.grid

    @cached_property
    def limits(self) -> bytes:
        """What of the configuration decides what is gathered."""
        return json.dumps(self.scan.config.deciding("evidence")).encode()

    @cached_property
    def in_window(self) -> Preparation:
        """As the search prepared."""
        return preparation_of(self.scan.config)

    @cached_property
    def whole(self) -> Preparation:
        """The same for the whole spectrum."""
        config = self.scan.config
        wave = self.grid.wave
        # The grid's own ends: a rounding must not cost a pixel.
        window = {"window": (float(wave[0]) * (1 - 1e-6), float(wave[-1]) * (1 + 1e-6))}
        section = config.preparation.model_copy(update=window)
        return Preparation(config.model_copy(update={"preparation": section}))


class _Gathered(NamedTuple):
    """What came of a file; of how many hits, and by which failures some of them were lost."""

    path: Path
    n_hits: int
    n_lost: int = 0
    failures: Sequence[SpectrumFileError] = ()


def gather(
    settings: Mapping[str, ScanSettings],
    work: Path,
    hits: NDArray[np.void],
    spectra: Iterable[NDArray[np.void]],
    n_workers: int,
    listener: Progress,
) -> dict[str, int]:
    """Read the spectra of all hits again, whole, with their companions.

    Parameters
    ----------
    settings : mapping of str to ScanSettings
        What each search used, by its name.
    work : Path
        Folder of the run's results.
    hits : structured array of shape (H,)
        Rows of hits.fits.
    spectra : iterable of structured arrays
        Rows of spectra.fits, part by part.
    n_workers : int
        Number of processes.
    listener : Progress
        Told of the stage, a step for each file and search with hits, and of files that cannot be
        read again; their hits say so.

    Returns
    -------
    dict of str to int
        Failures by reason code; empty when all was read.
    """
    first, *_ = settings.values()
    requests, files = companions_of(hits, spectra, first.config.vet)
    tasks = list(_tasks(hits, requests, files))
    listener.stage("spectra of hits", sum(len(task.hit) > 0 for task in tasks), "hits")
    names: list[str] = []
    reasons: Counter[str] = Counter()
    shared = {name: GatherSettings(own, work) for name, own in settings.items()}
    results = map_shards(
        _gather_file, shared, tasks, n_workers,
        begin=_gatherers, rescue=_killed, tell=listener.message, diary=work / DIARY,
    )  # fmt: skip
    for gathered in results:
        if gathered.n_hits:
            listener.advance(gathered.n_hits)
        if gathered.path.name:
            names.append(gathered.path.name)
        for failure in gathered.failures:
            listener.message(f"{failure}; hits that are not vetted for it: {gathered.n_lost}")
            reasons[failure.reason] += 1
    write_manifest(work, hits, names)
    return dict(sorted(reasons.items()))


def _tasks(
    hits: NDArray[np.void], requests: NDArray[np.void], files: Sequence[str]
) -> Iterator[FileTask]:
    """Group hits and requests by survey file and search, in the order of the hits."""
    own = zip(*(hits[name].tolist() for name in ("FILE", "SURVEY", "SEARCH")), strict=True)
    searches = hits["SEARCH"][requests["HIT"]].tolist()
    of_file: dict[tuple[str, str, str], tuple[list[int], list[int]]] = {}
    for i, place in enumerate(own):
        of_file.setdefault(place, ([], []))[0].append(i)
    for i, place in enumerate(zip(files, requests["SURVEY"].tolist(), searches, strict=True)):
        of_file.setdefault(place, ([], []))[1].append(i)
    for (file, survey, search), (hit, request) in of_file.items():
        path = os.fsdecode(unquote_to_bytes(file))
        rows, asked = np.array(hit, np.intp), requests[np.array(request, np.intp)]
        yield FileTask(path, survey, search, rows, hits[rows], asked)


def _gatherers(shared: Mapping[str, GatherSettings]) -> dict[str, Gatherer]:
    return {name: Gatherer(settings) for name, settings in shared.items()}


def _killed(task: FileTask, _: object) -> _Gathered:
    return _Gathered(Path(), len(task.hit), len(task.hit), [worker_died(task.path)])


def _gather_file(gatherers: Mapping[str, Gatherer], task: FileTask) -> _Gathered:
    """Gather from one file, or find it done."""
    gatherer = gatherers[task.search]
    settings, n_hits = gatherer.settings, len(task.hit)
    digest = hashlib.blake2b(settings.scan.store.context.encode(), digest_size=16)
    digest.update(os.fsencode(task.path))
    digest.update(gatherer.limits)
    # Not their numbers, which a file that is added in front changes.
    asked = repack_fields(task.requests[[n for n in REQUEST_DTYPE.names or () if n != "HIT"]])
    for rows in (task.hits, asked):
        digest.update(np.ascontiguousarray(rows).tobytes())
    path = settings.work / f"{digest.hexdigest()}{SUFFIX}"
    hint = hint_of([task.path])
    stored = load_current(path, hint)
    if stored is not None:
        if not np.array_equal(stored["numbers"], task.numbers):
            save_arrays(path, AS_IT_IS, **_renumbered(stored, task.numbers))
        return _Gathered(path, n_hits)
    try:
        arrays, failures = _gathered_from(gatherer, task)
    except SpectrumFileError as error:
        return _Gathered(Path(), n_hits, n_hits, [error])
    if failures:
        # Under a name that no search finds again.
        path = path.with_stem(f"{path.stem}-part")
    save_arrays(path, AS_IT_IS, hint=np.array(hint), numbers=task.numbers, **arrays)
    return _Gathered(path, n_hits, n_hits - len(arrays["hit"]), failures)


def _renumbered(
    stored: dict[str, NDArray[Any]], numbers: NDArray[np.int64]
) -> dict[str, NDArray[Any]]:
    """Give what was gathered of the same hits their numbers of now."""
    order = np.argsort(stored["numbers"], kind="stable")
    before, now = stored["numbers"][order], numbers[order]
    companions = stored["companions"].copy()
    companions["HIT"] = now[np.searchsorted(before, companions["HIT"])]
    hit = now[np.searchsorted(before, stored["hit"])].astype(np.intp)
    return {**stored, "numbers": numbers, "companions": companions, "hit": hit}


def _gathered_from(
    gatherer: Gatherer, task: FileTask
) -> tuple[dict[str, NDArray[Any]], list[SpectrumFileError]]:
    """Gather from one file; a fault of our own costs the hit that shows it, not the others."""
    try:
        return _arrays_of(gatherer, task), []
    except SpeclensError:
        raise
    except Exception as error:  # noqa: BLE001 - one bad hit must not stop a run
        whole = internal_error(task.path, error)
    parts, failures = [_nothing(gatherer)], []
    for single in task.single():
        try:
            parts.append(_arrays_of(gatherer, single))
        except SpeclensError:
            raise
        except Exception as error:  # noqa: BLE001 - as above
            failures.append(internal_error(task.path, error))
    grids = {name: parts[0][name] for name in ("grid", "window")}
    names = set(parts[0]) - set(grids)
    joined = {name: np.concatenate([part[name] for part in parts]) for name in names}
    return {**grids, **joined}, failures or [whole]


def _arrays_of(gatherer: Gatherer, task: FileTask) -> dict[str, NDArray[Any]]:
    scan = gatherer.scan
    shard = Shard(kind_of_file(task.path, [survey_named(task.survey)]), (task.path,))
    # Verified when it was searched.
    unverified = replace(scan, reading=replace(scan.reading, verify=False))
    with unverified.opened(shard, gatherer.grid) as (source, failures):
        for failure in failures:
            raise failure
        own, asked = task.hits["ROW"], task.requests["ROW"]
        rows = np.unique(np.concatenate([own, asked])).astype(np.intp)
        _refuse_another(task, survey_named(source.survey), source.targets, rows)
        batch = source.spectra(rows)
    others = batch[np.searchsorted(rows, asked)]
    companions = [
        line_in_spectra(others, task.requests, scan.config),
        line_in_exposures(scan, shard, task.hit, task.hits),
    ]
    own_spectra = batch[np.searchsorted(rows, own)]
    return gathered_arrays(gatherer, own_spectra, task.hit, task.hits, np.concatenate(companions))


def gathered_arrays(
    gatherer: Gatherer,
    batch: SpectrumBatch,
    hit: NDArray[np.intp],
    hits: NDArray[np.void],
    companions: NDArray[np.void],
) -> dict[str, NDArray[Any]]:
    """Return what vetting needs of hits, as it is stored.

    Parameters
    ----------
    gatherer : Gatherer
        The steps before the search.
    batch : SpectrumBatch
        The whole spectrum of each of H hits.
    hit : array of shape (H,)
        Rows of hits.fits.
    hits : structured array of shape (H,)
        Those rows.
    companions : structured array
        Rows of `speclens.schema.COMPANIONS`.

    Returns
    -------
    dict of str to array
        As `speclens.evidence.store.evidence_of` takes it.
    """
    return {
        "hit": hit,
        "grid": _ends(gatherer.grid),
        "window": _ends(gatherer.scan.grid),
        "companions": companions,
        **_fitted(gatherer, batch, hits),
    }


def _refuse_another(
    task: FileTask, survey: Survey, targets: NDArray[np.void], rows: NDArray[np.intp]
) -> None:
    """Refuse a file that is not the one that was searched: other spectra are at these rows."""
    whole = not len(rows) or rows[-1] < len(targets)
    if whole:
        names = np.array(survey.spectrum_names(targets[rows]), str)
        whole = all(
            (names[np.searchsorted(rows, asked["ROW"])] == asked["SPECTRUM"]).all()
            for asked in (task.hits, task.requests)
        )
    if not whole:
        raise SpectrumFileError(
            task.path, "io_error", "holds other spectra than when it was searched",
            hint="run the same command again",
        )  # fmt: skip


def _nothing(gatherer: Gatherer) -> dict[str, NDArray[Any]]:
    """Return what is stored of no hit."""
    grid, window = gatherer.grid, gatherer.scan.grid
    shapes = {
        **dict.fromkeys(("flux", "ivar", "model", "dispersion"), (0, grid.n_pixels)),
        **dict.fromkeys(("window_ivar", "window_model"), (0, window.n_pixels)),
    }
    return {
        "hit": np.zeros(0, np.intp),
        "grid": _ends(grid),
        "window": _ends(window),
        "companions": np.zeros(0, dtype_of(COMPANIONS)),
        **{name: np.zeros(shape, np.float32) for name, shape in shapes.items()},
    }


def _ends(grid: LogGrid) -> NDArray[np.int_]:
    return np.array([grid.first, grid.n_pixels])


def _fitted(
    gatherer: Gatherer, batch: SpectrumBatch, hits: NDArray[np.void]
) -> dict[str, NDArray[np.float32]]:
    """Fit the foreground without the line, in the window and in the whole spectrum."""
    window, matched_filter = gatherer.scan.grid, gatherer.scan.config.matched_filter
    line = np.zeros((len(hits), batch.grid.n_pixels), bool)
    for row, wave in enumerate(hits["WAVE"].tolist()):
        line[row] = near_line(batch.grid, wave, matched_filter.half_width)
    part, _ = batch.grid.overlap(window)
    in_window = gatherer.in_window(batch.on(window), hits["Z"], line[:, part])
    whole = gatherer.whole(batch, hits["Z"], line)
    usual = np.array(matched_filter.dispersion)
    usual_here = np.interp(batch.grid.wave, *usual.T).astype(np.float32)
    return {
        "flux": whole.flux, "ivar": whole.ivar, "model": whole.model,
        "dispersion": np.where(batch.dispersion > 0, batch.dispersion, usual_here),
        "window_ivar": in_window.ivar,
        "window_model": in_window.model,
    }  # fmt: skip
