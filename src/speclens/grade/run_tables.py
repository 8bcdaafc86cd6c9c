"""The tables of a run, and the spectra gathered of its hits, as graders need them.

In: RUN. Out: rows, and one spectrum after the other. RUN is locked only while its tables are read,
so that it can be vetted again meanwhile.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config, load_config
from speclens.errors import RunError
from speclens.evidence.store import Evidence, evidence_paths, read_companions, read_evidence
from speclens.run.folder import existing_folder
from speclens.run.kinds import RUN, VETTING, Kind
from speclens.run.record import RunRecord, read_record
from speclens.schema import CANDIDATES, HIT_HYPOTHESES, HITS
from speclens.spectra import FittedSpectra
from speclens.stored_tables import read_rows

__all__ = ["GatheredSpectra", "RunTables", "read_tables", "signature"]

KEPT_BYTES = 64_000_000
"""Gathered spectra that stay in memory, beside those of the file read last."""


@dataclass(frozen=True)
class RunTables:
    """What a run holds, as of one moment.

    Parameters
    ----------
    path : Path
        The run.
    signature : tuple
        Of its record then, see `signature`.
    record : RunRecord
        What run.json holds.
    config : Config
        The configuration with which its hits were vetted.
    hits, candidates, companions, hypotheses : structured arrays
        Rows of the schemas of these names; HIT counts rows of `hits`.
    spectra : GatheredSpectra
        The spectra of its hits.
    """

    path: Path
    signature: tuple[Any, ...]
    record: RunRecord
    config: Config
    hits: NDArray[np.void]
    candidates: NDArray[np.void]
    companions: NDArray[np.void]
    hypotheses: NDArray[np.void]
    spectra: GatheredSpectra


class GatheredSpectra:
    """The spectra of the hits of a run, read file by file as they are asked for.

    Parameters
    ----------
    paths : sequence of Path
        What was gathered, as `evidence_paths` gives it.
    hits : structured array of shape (N,)
        Rows of hits.fits.
    """

    def __init__(self, paths: Sequence[Path], hits: NDArray[np.void]) -> None:
        self._paths = paths
        # Files come in the order of the hits, one for each survey file and search; one that could
        # not be read again is not among them, and those behind it move up.
        names = [hits[name].tolist() for name in ("FILE", "SURVEY", "SEARCH")]
        number_of: dict[tuple[str, ...], int] = {}
        self._latest = [
            number_of.setdefault(group, len(number_of)) for group in zip(*names, strict=True)
        ]
        self._place: dict[int, tuple[Path, int]] = {}
        self._read: set[Path] = set()
        self._kept: OrderedDict[Path, Evidence] = OrderedDict()

    def of(self, row: int) -> tuple[FittedSpectra, FittedSpectra]:
        """Return the spectrum of a hit.

        Parameters
        ----------
        row : int
            Row of hits.fits.

        Returns
        -------
        window, whole : FittedSpectra
            One spectrum: the window as it was searched, and all of it.

        Raises
        ------
        RunError
            If it was not gathered, or cannot be read.
        """
        latest = self._latest[row]
        for path in (*self._paths[latest::-1], *self._paths[latest + 1 :]):
            if row in self._place:
                break
            if path not in self._read:
                self._gathered(path)
        if row not in self._place:
            raise RunError("the spectrum could not be read again when the run was searched")
        path, i = self._place[row]
        evidence, one = self._gathered(path), np.array([i])
        return evidence.window[one], evidence.whole[one]

    def _gathered(self, path: Path) -> Evidence:
        if path not in self._kept:
            self._kept[path] = read_evidence(path)
            self._read.add(path)
            self._place |= {hit: (path, i) for i, hit in enumerate(self._kept[path].hit.tolist())}
            while len(self._kept) > 1 and sum(map(_n_bytes, self._kept.values())) > KEPT_BYTES:
                self._kept.popitem(last=False)
        self._kept.move_to_end(path)
        return self._kept[path]


def _n_bytes(evidence: Evidence) -> int:
    # Flux, error, model and line spread, and what differs of them in the window.
    return 5 * evidence.whole.flux.nbytes


def read_tables(path: Path, *kinds: Kind) -> RunTables:
    """Read the tables of a run, between two writers of them.

    Parameters
    ----------
    path : Path
        A run, or a vetting of one.
    *kinds : Kind
        What else it may be.

    Returns
    -------
    RunTables
        The tables.

    Raises
    ------
    RunError
        If it is none, is being written, or has not ended.
    """
    with existing_folder(path, RUN, VETTING, *kinds, untouched=True) as folder:
        record = read_record(folder)
        if record.stage != "done":
            raise RunError(
                f"{folder.path}: its vetting has not ended; run speclens vet {folder.path}"
            )
        signed = signature(folder.path)
        hits = read_rows(folder.path / "hits.fits", HITS)
        candidates = read_rows(folder.path / "candidates.fits", CANDIDATES)
        hypotheses = read_rows(folder.path / "hypotheses.fits", HIT_HYPOTHESES)
        companions = read_companions(folder.work, hits)
        spectra = GatheredSpectra(evidence_paths(folder.work, hits), hits)
    config = load_config(None, (), record.configuration)
    return RunTables(
        folder.path, signed, record, config, hits, candidates, companions, hypotheses, spectra
    )


def signature(folder: Path) -> tuple[Any, ...]:
    """Return what changes when the tables of a run are written again; run.json comes last.

    Parameters
    ----------
    folder : Path
        The run.

    Returns
    -------
    tuple
        Empty without a record.
    """
    try:
        found = (folder / "run.json").stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino
