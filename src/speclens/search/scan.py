"""Search one shard: read, select, prepare, search.

In: a `Shard`, and what all shards share. Out: its rows of spectra.fits and hits.fits, stored for
the merge. Every spectrum of the shard gets a row, whatever befalls it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config
from speclens.errors import TRANSIENT, SpeclensError, SpectrumFileError, internal_error
from speclens.read.shards import Shard, open_shard
from speclens.read.source import Exposure, Source
from speclens.read.survey import ReadSettings
from speclens.run.recording import digest_of_readings, hint_of, recording
from speclens.run.store import ShardStore
from speclens.sample.error_growth import preparation_of
from speclens.sample.preparation import Preparation
from speclens.sample.selection import redshifts, refusals
from speclens.schema import HITS, dtype_of, flag_bit, status_of
from speclens.search.detection import Detector
from speclens.search.matched_filter import MatchedFilter
from speclens.search.readings import Readings
from speclens.search.searches import open_search
from speclens.search.shard_rows import (
    ShardRows,
    failed_rows,
    failures_of,
    hits_of,
    join_rows,
    rows_of,
)
from speclens.spectra import LogGrid

__all__ = [
    "RETRIED",
    "ScanSettings",
    "Scanner",
    "Wrap",
    "Wrapped",
    "is_current",
    "scan_shard",
]

RETRIED = (*TRANSIENT, "checksum", "gzip_crc", "no_catalogue")
"""Failures that may have gone although the files look as before."""


class Wrapped(Source, Protocol):
    """A source around a source, that puts something into its spectra."""

    @property
    def truth(self) -> NDArray[np.void]:
        """What it put into each spectrum, shape (N,); complete once the spectra were read."""


Wrap = Callable[[Source, Preparation], Iterable[Wrapped]]
"""Makes the sources that are searched, one after the other, in place of that of a shard. It is
given the steps before the search too: they say which pixels the search will see."""


@dataclass(frozen=True)
class ScanSettings:
    """What all shards of a run share: plain data, sent to every worker.

    Parameters
    ----------
    config : Config
        The configuration.
    store : ShardStore
        Where results go.
    reading : ReadSettings
        How files are read.
    wrap : Wrap, optional
        What is done to the spectra of each shard before they are searched; they are searched as
        they are when not given.
    """

    config: Config
    store: ShardStore
    reading: ReadSettings = field(default_factory=ReadSettings)
    wrap: Wrap | None = None

    @property
    def grid(self) -> LogGrid:
        """The window."""
        return LogGrid.covering(*self.config.preparation.window)

    def opened(
        self, shard: Shard, grid: LogGrid | None = None
    ) -> AbstractContextManager[tuple[Source, Sequence[SpectrumFileError]]]:
        """Open the files of a shard, as `open_shard` does.

        Parameters
        ----------
        shard : Shard
            The files.
        grid : LogGrid, optional
            Pixels to read; the window when not given.

        Returns
        -------
        context manager
            Of the spectra, and of one error for each single file that failed.
        """
        return open_shard(shard, grid or self.grid, self.reading)

    def exposures(self, shard: Shard, wave_range: tuple[float, float]) -> Sequence[Exposure]:
        """Read the single exposures of the one file of a shard.

        Parameters
        ----------
        shard : Shard
            The file.
        wave_range : (float, float)
            Between which wavelengths, Angstrom.

        Returns
        -------
        sequence of Exposure
            The exposures that cover any of it; none where the file has none.
        """
        return shard.exposures(wave_range)


class Scanner:
    """The search of a run; engines cannot travel, and are made in the process that works with it.

    Parameters
    ----------
    settings : ScanSettings
        What all shards share.
    """

    def __init__(self, settings: ScanSettings) -> None:
        self.settings = settings

    def __reduce__(self) -> tuple[type[Scanner], tuple[ScanSettings]]:
        """Travel without what this process has made."""
        return type(self), (self.settings,)

    @cached_property
    def detector(self) -> Detector:
        """The search, with the steps before it."""
        config = self.settings.config
        matched_filter = MatchedFilter(self.settings.grid, config.matched_filter)
        return Detector(
            preparation_of(config),
            matched_filter,
            open_search(config, matched_filter),
        )

    def around(self, settings: ScanSettings) -> Scanner:
        """Return the same search, of spectra to which something else is done before.

        Parameters
        ----------
        settings : ScanSettings
            Those of this one but for `wrap`, and for `store`, where the results go.

        Returns
        -------
        Scanner
            The search, with the engines of this one.
        """
        other = Scanner(settings)
        other.detector = self.detector
        return other


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
    path = store.path(shard.kind.name, shard.files)
    # Taken before anything is read: what changes meanwhile is seen the next time.
    hint = hint_of(shard.read_files)
    stored = ShardRows.load(path)
    if (
        stored is not None
        and not np.isin(stored.spectra["REASON"], RETRIED).any()
        and is_current(scanner.settings, shard, stored, hint)
    ):
        if hint and hint != stored.hint:
            stored.hint = hint
            stored.save(path)
        return stored
    with recording() as readings:
        rows = _scan(scanner, shard)
    rows.hint, rows.digest = hint, digest_of_readings(readings)
    rows.save(path)
    return rows


def is_current(settings: ScanSettings, shard: Shard, stored: ShardRows, hint: str) -> bool:
    """Say whether a stored result is of the files of a shard as they are now.

    Parameters
    ----------
    settings : ScanSettings
        What all shards share.
    shard : Shard
        The files.
    stored : ShardRows
        The result.
    hint : str
        Of the files as they are, `speclens.run.recording.hint_of`.

    Returns
    -------
    bool
        True where their times and sizes are those of then, or else what is read of them is.
    """
    if hint and hint == stored.hint:
        return True
    # A reader that does not tell what it read has no digest.
    return bool(stored.digest) and _read_again(settings, shard) == stored.digest


def _read_again(settings: ScanSettings, shard: Shard) -> str:
    """Read what a search reads of a shard, and return the digest of it."""
    try:
        with recording() as readings, settings.opened(shard) as (source, _):
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
        with scanner.settings.opened(shard) as (source, failures):
            targets = source.targets
            failed = [failed_rows(failure, failure.path, shard.survey) for failure in failures]
            return join_rows([*_scan_sources(scanner, source), *failed])
    except SpectrumFileError as error:
        # A file that is read with it may be to blame: the spectra are those of the shard.
        return failed_rows(error, shard.files[0], shard.survey)
    except SpeclensError:
        # A network or templates that have gone are no fault of the file.
        raise
    except Exception as error:  # noqa: BLE001 - one bad file must not stop a run of a million
        if len(shard.files) > 1:
            # One of them is to blame, and the others must not suffer for it.
            return join_rows([_scan(scanner, Shard(shard.kind, (file,))) for file in shard.files])
        failure = internal_error(shard.files[0], error)
        failure.targets = targets
        return failed_rows(failure, shard.files[0], shard.survey)


def _scan_sources(scanner: Scanner, source: Source) -> Iterator[ShardRows]:
    wrap = scanner.settings.wrap
    if wrap is None:
        yield _scan_source(scanner, source)
        return
    for wrapped in wrap(source, scanner.detector.preparation):
        rows = _scan_source(scanner, wrapped)
        rows.truth = wrapped.truth
        yield rows


def _scan_source(scanner: Scanner, source: Source) -> ShardRows:
    config = scanner.settings.config
    targets = source.targets
    spectra = rows_of(targets, source.files, source.survey)
    spectra["Z"] = redshifts(targets, config.selection)
    spectra["FLAGS"] = source.flags
    spectra["REASON"] = _reasons_before(scanner.settings, source)
    rows = np.flatnonzero(spectra["REASON"] == "")
    hits, hit_rows = np.zeros(0, dtype_of(HITS)), np.zeros(0, np.intp)
    readings = Readings()
    if len(rows):
        found = scanner.detector(source.spectra(rows), spectra["Z"][rows])
        prepared = found.prepared
        reasons = found.reasons
        scored = reasons == ""
        spectra["REASON"][rows] = reasons
        spectra["FLAGS"][rows] |= prepared.flags | found.many_hits * flag_bit("MANY_HITS")
        spectra["SNR"][rows] = np.where(scored, found.snr, np.nan)
        spectra["PROBABILITY"][rows] = np.where(scored, found.probability, np.nan)
        spectra["RESIDUAL_RMS"][rows] = np.where(scored, prepared.residual_rms, np.nan)
        spectra["GOOD_FRACTION"][rows] = prepared.good_fraction
        hit_rows = rows[found.hits["ROW"]]
        of_hits = spectra[hit_rows], targets[hit_rows]
        hits = hits_of(found.hits, found.sources, *of_hits, config.search)
        readings = found.readings
    spectra["STATUS"] = status_of(spectra["REASON"])
    messages = failures_of(source.files, spectra["ROW"], spectra["REASON"])
    return ShardRows(spectra, hits, hit_rows, messages, readings=readings)
