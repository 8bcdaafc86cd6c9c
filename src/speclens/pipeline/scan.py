"""Search one shard: read, select, prepare, filter.

In: a `Shard`, and what all shards share. Out: its rows of spectra.fits and hits.fits, stored for
the merge. Every spectrum of the shard gets a row, whatever befalls it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from pathlib import Path
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config
from speclens.errors import SpeclensError, SpectrumFileError, internal_error
from speclens.model_folder import read_model
from speclens.models import Model, check_preparation
from speclens.pipeline.detection import Detector
from speclens.pipeline.shards import Shard, ShardStore, load_arrays, save_arrays
from speclens.read.catalogue_store import CatalogueStore
from speclens.read.identity import ids_of_name
from speclens.read.plate import open_plate
from speclens.read.recording import digest_of_readings, hint_of, recording
from speclens.read.sdss import Source
from speclens.read.spec import read_spec_files
from speclens.read.targets import blank_targets, identify
from speclens.sample.preparation import Preparation
from speclens.sample.selection import redshifts, refusals
from speclens.schema import HITS, SPECTRA, dtype_of, flag_bit, status_of, text_width
from speclens.search.classifier import Classifier
from speclens.search.engine import open_engine
from speclens.search.matched_filter import MatchedFilter
from speclens.spectra import LogGrid, spectrum_names

__all__ = [
    "RETRIED",
    "TRANSIENT",
    "ScanSettings",
    "Scanner",
    "ShardRows",
    "failed_rows",
    "join_rows",
    "model_of",
    "opened",
    "scan_shard",
]

PRINTABLE = "".join(chr(c) for c in range(32, 127) if chr(c) != "%")
TRANSIENT = ("io_error", "not_regular", "internal_error", "worker_died")
"""Failures of which not the content of a file is the cause."""

RETRIED = (*TRANSIENT, "checksum", "gzip_crc", "no_catalogue")
"""Failures that may have gone although the files look as before."""


def model_of(config: Config) -> Model | None:
    """Read the network of a search, and check that it sees what it was trained on.

    Parameters
    ----------
    config : Config
        The configuration.

    Returns
    -------
    Model or None
        The network; None when the search needs none.

    Raises
    ------
    ModelError
        If it cannot be used.
    ConfigError
        If it was trained on spectra prepared in another way.
    """
    if config.search.method != "resnet":
        return None
    model = read_model(config.search.model)
    check_preparation(model, config)
    return model


@dataclass(frozen=True)
class ScanSettings:
    """What all shards of a run share: plain data, sent to every worker.

    Parameters
    ----------
    config : Config
        The configuration.
    store : ShardStore
        Where results go.
    verify : bool
        Refuse data that disagree with their DATASUM.
    catalogue : Path, optional
        Catalogue rows, written by `store_catalogue`.
    sky_growth : array of shape (L,), optional
        Factor on the errors from the sky fibres.
    lost : mapping of str to SpectrumFileError
        Files that are not opened again in this run: what went wrong may pass, and other spectra
        were searched without them meanwhile.
    """

    config: Config
    store: ShardStore
    verify: bool
    catalogue: Path | None = None
    sky_growth: NDArray[np.float64] | None = None
    lost: Mapping[str, SpectrumFileError] = field(default_factory=dict)

    @property
    def grid(self) -> LogGrid:
        """The window."""
        return LogGrid.covering(*self.config.preparation.window)

    @property
    def opened_catalogue(self) -> CatalogueStore | None:
        """The catalogue, of which a shard reads the rows of its plates."""
        return CatalogueStore(self.catalogue) if self.catalogue else None


class Scanner:
    """The search of a run, made in the process that works with it: engines cannot travel.

    Parameters
    ----------
    settings : ScanSettings
        What all shards share.
    """

    def __init__(self, settings: ScanSettings) -> None:
        self.settings = settings

    @cached_property
    def detector(self) -> Detector:
        """The search, with the steps before it."""
        config = self.settings.config
        model, classifier = model_of(config), None
        if model is not None:
            classifier = Classifier(model, open_engine(model), config.search.place_half_width)
        return Detector(
            Preparation(config, self.settings.sky_growth),
            MatchedFilter(self.settings.grid, config.matched_filter),
            classifier,
            config.search.probability_min,
        )


@dataclass
class ShardRows:
    """Rows of a shard.

    Parameters
    ----------
    spectra : structured array
        Rows of spectra.fits.
    hits : structured array
        Rows of hits.fits.
    hit_rows : array of int
        Row of `spectra` that each hit belongs to.
    messages : list of str
        One line for each file that failed.
    reused : bool
        True when the result was found, not made.
    path : Path, optional
        Where the result is stored.
    hint, digest : str
        Of the files as they were, and of what was read of them.
    """

    spectra: NDArray[np.void]
    hits: NDArray[np.void]
    hit_rows: NDArray[np.integer]
    messages: list[str]
    reused: bool = False
    path: Path | None = None
    hint: str = ""
    digest: str = ""

    @classmethod
    def load(cls, path: Path) -> ShardRows | None:
        """Read a stored result.

        Parameters
        ----------
        path : Path
            Where it should be.

        Returns
        -------
        ShardRows or None
            None when it is missing or damaged.
        """
        stored = load_arrays(path)
        if stored is None:
            return None
        messages = stored["messages"].tolist()
        made_of = (str(stored["hint"]), str(stored["digest"]))
        rows = (stored["spectra"], stored["hits"], stored["hit_rows"])
        return cls(*rows, messages, True, path, *made_of)

    def save(self, path: Path) -> None:
        """Store the result.

        Parameters
        ----------
        path : Path
            Final place.
        """
        rows = {name: getattr(self, name) for name in ("spectra", "hits", "hit_rows")}
        texts = {n: np.array(getattr(self, n), str) for n in ("messages", "hint", "digest")}
        save_arrays(path, **rows, **texts)
        self.path = path


def scan_shard(scanner: Scanner, shard: Shard) -> ShardRows:
    """Search the files of a shard, or find the stored result.

    Parameters
    ----------
    scanner : Scanner
        The search.
    shard : Shard
        The files.

    Returns
    -------
    ShardRows
        A row for every spectrum, and the hits.
    """
    store = scanner.settings.store
    path = store.path(shard)
    # Taken before anything is read: what changes meanwhile is seen the next time.
    hint = hint_of(shard.read_files)
    stored = ShardRows.load(path)
    if stored is not None and not np.isin(stored.spectra["REASON"], RETRIED).any():
        if hint and hint == stored.hint:
            return stored
        if _read_again(scanner.settings, shard) == stored.digest:
            if hint:
                stored.hint = hint
                stored.save(path)
            return stored
    with recording() as readings:
        rows = _scan(scanner, shard)
    rows.hint, rows.digest = hint, digest_of_readings(readings)
    rows.save(path)
    return rows


def _read_again(settings: ScanSettings, shard: Shard) -> str:
    """Read what a search reads of a shard, and return the digest of it."""
    try:
        with recording() as readings, opened(settings, shard) as (source, _):
            rows = np.flatnonzero(_reasons_before(settings, source) == "")
            if len(rows):
                source.spectra(rows)
    except Exception:  # noqa: BLE001 - the search that follows meets it again, and reports it
        return ""
    return digest_of_readings(readings)


def _reasons_before(settings: ScanSettings, source: Source) -> NDArray[np.str_]:
    """Say why spectra are not searched, as far as that is known before their pixels are read."""
    selected = refusals(source.targets, settings.config.selection)
    return np.where(source.reasons != "", source.reasons, selected)


def _scan(scanner: Scanner, shard: Shard) -> ShardRows:
    targets = None
    try:
        with opened(scanner.settings, shard) as (source, failures):
            targets = source.targets
            failed = [failed_rows(failure, failure.path) for failure in failures]
            return join_rows([_scan_source(scanner, source), *failed])
    except SpectrumFileError as error:
        # The spZbest of a plate may be to blame: the spectra are those of the plate.
        return failed_rows(error, shard.files[0])
    except SpeclensError:
        # A network or templates that have gone are no fault of the file.
        raise
    except Exception as error:  # noqa: BLE001 - one bad file must not stop a run of a million
        if len(shard.files) > 1:
            # One of them is to blame, and the others must not suffer for it.
            return join_rows([_scan(scanner, Shard(shard.kind, (file,))) for file in shard.files])
        failure = internal_error(shard.files[0], error)
        failure.targets = targets
        return failed_rows(failure, shard.files[0])


@contextmanager
def opened(
    settings: ScanSettings, shard: Shard, grid: LogGrid | None = None
) -> Iterator[tuple[Source, Sequence[SpectrumFileError]]]:
    """Open the files of a shard.

    Parameters
    ----------
    settings : ScanSettings
        What all shards share.
    shard : Shard
        The files.
    grid : LogGrid, optional
        Pixels to read; the window when not given.

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
    catalogue, verify = settings.opened_catalogue, settings.verify
    grid = grid or settings.grid
    if shard.kind == "plate":
        with open_plate(shard.files[0], grid, catalogue, verify) as plate:
            yield plate, ()
    else:
        specs = read_spec_files(shard.files, grid, catalogue, verify)
        yield specs, specs.failures


def _scan_source(scanner: Scanner, source: Source) -> ShardRows:
    config = scanner.settings.config
    targets = source.targets
    spectra = _rows_of(targets, source.files)
    spectra["Z"] = redshifts(targets, config.selection)
    spectra["FLAGS"] = source.flags
    spectra["REASON"] = _reasons_before(scanner.settings, source)
    rows = np.flatnonzero(spectra["REASON"] == "")
    hits, hit_rows = np.zeros(0, dtype_of(HITS)), np.zeros(0, np.intp)
    if len(rows):
        found = scanner.detector(source.spectra(rows), spectra["Z"][rows])
        prepared = found.prepared
        reasons = prepared.reasons.copy()
        if config.search.method == "resnet":
            # Not a number is not "no line".
            reasons[(reasons == "") & ~np.isfinite(found.probability)] = "no_probability"
        scored = reasons == ""
        spectra["REASON"][rows] = reasons
        spectra["FLAGS"][rows] |= prepared.flags | found.many_hits * flag_bit("MANY_HITS")
        spectra["SNR"][rows] = np.where(scored, found.snr, np.nan)
        spectra["PROBABILITY"][rows] = np.where(scored, found.probability, np.nan)
        spectra["RESIDUAL_RMS"][rows] = np.where(scored, prepared.residual_rms, np.nan)
        spectra["GOOD_FRACTION"][rows] = prepared.good_fraction
        hit_rows = rows[found.hits["ROW"]]
        method = config.search.method
        hits = _hits_of(found.hits, spectra[hit_rows], targets[hit_rows], method)
    spectra["STATUS"] = status_of(spectra["REASON"])
    return ShardRows(spectra, hits, hit_rows, [])


def _rows_of(targets: NDArray[np.void], files: Sequence[str]) -> NDArray[np.void]:
    """Rows of spectra.fits for targets, not yet scored."""
    quoted = {file: quote(os.fsencode(file), safe=PRINTABLE) for file in set(files)}
    names = [quoted[file] for file in files]
    width = max(map(len, names), default=1)
    rows = np.zeros(len(targets), dtype_of(SPECTRA, FILE=width))
    for name in ("TARGETID", "PLATE", "MJD", "FIBERID", "RA", "DEC", "Z"):
        rows[name] = targets[name]
    for name in ("CLASS", "SUBCLASS"):
        rows[name] = [_ascii(text) for text in targets[name].tolist()]
    rows["FILE"], rows["ROW"] = names, _rows_in_files(names)
    rows["SPECTRUM"] = spectrum_names(targets)
    for name in ("PROBABILITY", "SNR", "RESIDUAL_RMS", "GOOD_FRACTION"):
        rows[name] = np.nan
    return rows


def _rows_in_files(files: Sequence[str]) -> list[int]:
    """Count the spectra of each file from 0."""
    counters: dict[str, Iterator[int]] = {file: count() for file in set(files)}
    return [next(counters[file]) for file in files]


def _hits_of(
    found: NDArray[np.void], of_spectrum: NDArray[np.void], target: NDArray[np.void], method: str
) -> NDArray[np.void]:
    """Rows of hits.fits, from what the search found, the spectrum and the target of each hit."""
    width = text_width(of_spectrum, "FILE")
    hits = np.zeros(len(found), dtype_of(HITS, FILE=width))
    for name in (
        "SPECTRUM", "TARGETID", "PLATE", "MJD", "FIBERID", "RA", "DEC", "FILE", "ROW", "Z",
        "PROBABILITY",
    ):  # fmt: skip
        hits[name] = of_spectrum[name]
    for name in ("VDISP", "VDISP_ERR", "MAG_I"):
        hits[name] = target[name]
    for name in ("SNR", "WAVE", "WAVE_ERR", "FLUX", "FLUX_ERR", "FWHM_KMS", "Z_SOURCE"):
        hits[name] = found[name]
    hits["METHOD"], hits["CANDIDATE"] = method, True
    return hits


def failed_rows(error: SpectrumFileError, file: str) -> ShardRows:
    """Return the rows of the spectra that are lost with a file.

    Parameters
    ----------
    error : SpectrumFileError
        Why; it knows the spectra, or not even how many they are.
    file : str
        The file.

    Returns
    -------
    ShardRows
        At least one row; no hits.
    """
    targets = error.targets
    if targets is None:
        targets = blank_targets(1)
        identify(targets, *ids_of_name(file))
    spectra = _rows_of(targets, [file] * len(targets))
    spectra["REASON"], spectra["STATUS"] = error.reason, "failed"
    return ShardRows(spectra, np.zeros(0, dtype_of(HITS)), np.zeros(0, np.intp), [str(error)])


def join_rows(parts: Sequence[ShardRows]) -> ShardRows:
    """Join the rows of parts of a shard.

    Parameters
    ----------
    parts : sequence of ShardRows
        The parts, in order.

    Returns
    -------
    ShardRows
        Their rows.
    """
    starts = np.cumsum([0, *(len(part.spectra) for part in parts)])
    return ShardRows(
        np.concatenate([part.spectra for part in parts]),
        np.concatenate([part.hits for part in parts]),
        np.concatenate([p.hit_rows + start for p, start in zip(parts, starts, strict=False)]),
        [text for part in parts for text in part.messages],
    )


def _ascii(text: str) -> str:
    return text if text.isascii() else text.encode("ascii", "replace").decode()
