"""Gather what vetting and report need of each hit, so that neither opens the survey's files again.

In: the hits of a run, the stored rows of all spectra. Out: in RUN/work, for each survey file with
hits, the whole spectra of its hits, and the flux of the same line in neighbouring fibres, in other
spectra of the same object and in single exposures.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import numpy as np
from numpy.typing import NDArray

from speclens.lines import PIXEL_LOGLAM, pixel_width_angstrom
from speclens.pipeline.detection import near_line
from speclens.pipeline.evidence import SUFFIX, write_manifest
from speclens.pipeline.nearby import REQUEST_DTYPE, companions_of
from speclens.pipeline.progress import Progress
from speclens.pipeline.scan import ScanSettings, opened
from speclens.pipeline.shards import Shard, fingerprint, load_arrays, save_arrays
from speclens.pipeline.workers import map_shards
from speclens.read.discovery import is_plate
from speclens.read.exposures import read_exposures
from speclens.sample.preparation import Preparation, good_pixels
from speclens.schema import COMPANIONS, dtype_of
from speclens.spectra import LogGrid, SpectrumBatch
from speclens.vet.fixed_line import fixed_line
from speclens.vet.measure import line_sigma

__all__ = ["READ_KEYS", "gather"]

READ_KEYS = {"spectrum", "repeat_arcsec", "line_sigma_range", "companion_half_width"}
"""Keys of the section `vet` that decide what is read of the survey's files."""


@dataclass(frozen=True)
class FileTask:
    """One survey file to read again: its own hits, and what other hits ask of it."""

    path: str
    hit: NDArray[np.intp]
    hits: NDArray[np.void]
    requests: NDArray[np.void]


@dataclass
class GatherSettings:
    """What all files share."""

    scan: ScanSettings
    work: Path

    @cached_property
    def grid(self) -> LogGrid:
        """The whole spectrum; never less than the window."""
        low, high = self.scan.config.vet.spectrum
        window = self.scan.config.preparation.window
        return LogGrid.covering(min(low, window[0]), max(high, window[1]))

    @cached_property
    def preparation(self) -> Preparation:
        """The steps before a search, for the whole spectrum."""
        config = self.scan.config
        wave = self.grid.wave
        # The grid's own ends: a rounding must not cost a pixel.
        window = {"window": (float(wave[0]) * (1 - 1e-6), float(wave[-1]) * (1 + 1e-6))}
        section = config.preparation.model_copy(update=window)
        return Preparation(config.model_copy(update={"preparation": section}))


def gather(
    settings: ScanSettings,
    work: Path,
    hits: NDArray[np.void],
    spectra: Iterable[NDArray[np.void]],
    n_workers: int,
    listener: Progress,
) -> None:
    """Read the spectra of all hits again, whole, with their companions.

    Parameters
    ----------
    settings : ScanSettings
        What the search used.
    work : Path
        Folder of the run's results.
    hits : structured array of shape (H,)
        Rows of hits.fits.
    spectra : iterable of structured arrays
        Rows of spectra.fits, part by part.
    n_workers : int
        Number of processes.
    listener : Progress
        Told of files done, and of those that cannot be read again; their hits say so.
    """
    requests, files = companions_of(hits, spectra, settings.config.vet)
    tasks = list(_tasks(hits, requests, files))
    names: list[str] = []
    shared = GatherSettings(settings, work)
    for path, n_hits, text in map_shards(_gather_file, shared, tasks, n_workers):
        if n_hits:
            listener.advance(n_hits)
        if text:
            listener.message(text)
        else:
            names.append(path.name)
    write_manifest(work, hits, names)


def _tasks(
    hits: NDArray[np.void], requests: NDArray[np.void], files: Sequence[str]
) -> Iterator[FileTask]:
    """Group hits and requests by survey file, in the order of the hits."""
    own = hits["FILE"].tolist()
    of_file: dict[str, tuple[list[int], list[int]]] = {}
    for i, file in enumerate(own):
        of_file.setdefault(file, ([], []))[0].append(i)
    for i, file in enumerate(files):
        of_file.setdefault(file, ([], []))[1].append(i)
    for file, (hit, request) in of_file.items():
        path = os.fsdecode(unquote_to_bytes(file))
        rows = np.array(hit, np.intp)
        yield FileTask(path, rows, hits[rows], requests[np.array(request, np.intp)])


def _gather_file(settings: GatherSettings, task: FileTask) -> tuple[Path, int, str]:
    """Gather from one file, or find it done: where it is, number of hits, what went wrong."""
    digest = hashlib.blake2b(settings.scan.store.context.encode(), digest_size=16)
    digest.update(fingerprint(task.path).encode() + settings.scan.config.vet.model_dump_json(
        include=READ_KEYS).encode())  # fmt: skip
    for rows in (task.hit.astype(np.int64), task.hits, task.requests):
        digest.update(np.ascontiguousarray(rows).tobytes())
    path = settings.work / f"{digest.hexdigest()}{SUFFIX}"
    if load_arrays(path) is not None:
        return path, len(task.hit), ""
    try:
        arrays = _arrays_of(settings, task)
    except Exception as error:  # noqa: BLE001 - one bad file must not stop a run
        return path, len(task.hit), f"{error}; its {len(task.hit)} hits are not vetted"
    save_arrays(path, **arrays)
    return path, len(task.hit), ""


def _arrays_of(settings: GatherSettings, task: FileTask) -> dict[str, NDArray[Any]]:
    scan = settings.scan
    kind = "plate" if is_plate(task.path) else "specs"
    # Verified when it was searched.
    unverified = replace(scan, verify=False)
    with opened(unverified, Shard(kind, (task.path,)), settings.grid) as (source, failures):
        for failure in failures:
            raise failure
        row_of = {int(n): i for i, n in enumerate(source.targets["TARGETID"].tolist())}
        wanted = [row_of.get(int(n), -1) for n in task.hits["TARGETID"]]
        asked = [row_of.get(int(n), -1) for n in task.requests["TARGETID"]]
        rows = np.unique(np.array([n for n in (*wanted, *asked) if n >= 0], np.intp))
        batch = source.spectra(rows)
    found = np.array([n >= 0 for n in wanted], bool)
    own = batch[np.searchsorted(rows, np.array([n for n in wanted if n >= 0], np.intp))]
    there = np.array([n >= 0 for n in asked], bool)
    others = batch[np.searchsorted(rows, np.array([n for n in asked if n >= 0], np.intp))]
    companions = [_measured(others, task.requests[there], scan)]
    if kind == "specs":
        companions.append(_exposures(task, scan))
    return {
        "hit": task.hit[found],
        "grid": np.array([settings.grid.first, settings.grid.n_pixels]),
        "companions": np.concatenate(companions),
        **_fitted(settings, own, task.hits[found]),
    }


def _fitted(
    settings: GatherSettings, batch: SpectrumBatch, hits: NDArray[np.void]
) -> dict[str, NDArray[np.float32]]:
    """Fit the foreground without the line, in the window and in the whole spectrum."""
    window = settings.scan.grid
    half_width = settings.scan.config.matched_filter.half_width
    line = np.zeros((len(hits), batch.grid.n_pixels), bool)
    for row, wave in enumerate(hits["WAVE"].tolist()):
        line[row] = near_line(batch.grid, wave, half_width)
    part, _ = batch.grid.overlap(window)
    in_window = settings.scan.preparation(batch.on(window), hits["Z"], line[:, part])
    whole = settings.preparation(batch, hits["Z"], line)
    usual = np.array(settings.scan.config.matched_filter.dispersion)
    usual_here = np.interp(batch.grid.wave, *usual.T).astype(np.float32)
    return {
        "flux": whole.flux, "ivar": whole.ivar, "model": whole.model,
        "dispersion": np.where(batch.dispersion > 0, batch.dispersion, usual_here),
        "window_ivar": in_window.ivar,
        "window_model": in_window.model,
    }  # fmt: skip


def _measured(
    batch: SpectrumBatch, requests: NDArray[np.void], scan: ScanSettings
) -> NDArray[np.void]:
    """Measure the line of each request in the spectrum that it asks for."""
    grid = batch.grid
    place = grid.pixel(requests["WAVE"])
    middle = np.round(place).astype(np.intp)
    half_width = scan.config.vet.companion_half_width
    pixel = middle[:, None] + np.arange(-half_width, half_width + 1)
    inside = (pixel >= 0) & (pixel < grid.n_pixels)
    pixel = np.clip(pixel, 0, grid.n_pixels - 1)
    row = np.arange(len(batch))[:, None]
    good = good_pixels(batch, scan.config.preparation)[row, pixel] & inside
    usual = np.interp(requests["WAVE"], *np.array(scan.config.matched_filter.dispersion).T)
    known = batch.dispersion_at(requests["WAVE"])
    return _companion_rows(
        requests,
        *fixed_line(
            pixel - place[:, None],
            np.where(good, batch.flux[row, pixel], 0).astype(np.float64),
            np.where(good, batch.ivar[row, pixel], 0).astype(np.float64),
            np.hypot(requests["SIGMA"], np.where(known > 0, known, usual)),
            pixel_width_angstrom(requests["WAVE"]),
        ),
    )


def _exposures(task: FileTask, scan: ScanSettings) -> NDArray[np.void]:
    """Measure the lines of a file's hits in each of its single exposures."""
    parts = [np.zeros(0, dtype_of(COMPANIONS))]
    bits = scan.config.preparation.bad_mask_bits
    believed = scan.config.vet.line_sigma_range
    for hit, row in zip(task.hit.tolist(), task.hits, strict=True):
        wave = float(row["WAVE"])
        width = float(pixel_width_angstrom(wave))
        reach = scan.config.vet.companion_half_width * width
        sigma = float(line_sigma(row["FWHM_KMS"][None], believed)[0])
        usual = float(np.interp(wave, *np.array(scan.config.matched_filter.dispersion).T))
        for exposure in read_exposures(task.path, (wave - reach, wave + reach), bits):
            near = np.abs(exposure.wave - wave) < reach
            if not near.any():
                continue
            flux, error = fixed_line(
                np.log10(exposure.wave[near] / wave)[None] / PIXEL_LOGLAM,
                exposure.flux[near].astype(np.float64)[None],
                exposure.ivar[near].astype(np.float64)[None],
                np.array([np.hypot(sigma, usual)]),
                np.array([width]),
            )
            request = np.array([(hit, "exposure", exposure.name, 0, wave, sigma)], REQUEST_DTYPE)
            parts.append(_companion_rows(request, flux, error))
    return np.concatenate(parts)


def _companion_rows(
    requests: NDArray[np.void], flux: NDArray[np.float64], error: NDArray[np.float64]
) -> NDArray[np.void]:
    rows = np.zeros(len(requests), dtype_of(COMPANIONS))
    for name in ("HIT", "KIND", "NAME"):
        rows[name] = requests[name]
    rows["FLUX"], rows["FLUX_ERR"] = flux, error
    return rows
