"""`speclens vet`: from the hits of a run to marked hits and candidates.

In: a run's hits and what was gathered of them, the limits, published systems. Out: hits.* with all
columns of the vet tests, candidates.*, known.*. The survey's files are not needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config
from speclens.pipeline.evidence import evidence_paths, load_companions, read_evidence
from speclens.pipeline.workers import map_shards, worth_starting
from speclens.products import write_text_table
from speclens.report.candidates import candidates_of
from speclens.report.tables import write_candidates, write_hits
from speclens.schema import CANDIDATES, COMPANIONS, HITS, KNOWN, dtype_of, text_width
from speclens.spectra import LogGrid
from speclens.stored_tables import iterate_rows, read_rows
from speclens.vet.companions import measure_companions
from speclens.vet.judge import judge
from speclens.vet.known import match_known, outcomes
from speclens.vet.measure import measure_hits
from speclens.vet.overdensity import measure_overdensity
from speclens.vet.probability import lya_probability

__all__ = ["Vetted", "vet_hits", "write_vetted"]

SECONDS_A_HIT = 0.01
SEARCHED = "Z_SOURCE"
"""Last column of hits.fits that the search fills; the others are vetting's."""


@dataclass(frozen=True)
class Vetted:
    """Hits after vetting.

    Parameters
    ----------
    hits : structured array of shape (H,)
        Rows of hits.fits.
    candidates : structured array
        Rows of candidates.*, best first.
    companions : structured array
        Rows of `speclens.schema.COMPANIONS`.
    known : structured array or None
        Rows of known.ecsv; None when no list of published systems was given.
    notes : list of str
        What a reader of the tables must know.
    """

    hits: NDArray[np.void]
    candidates: NDArray[np.void]
    companions: NDArray[np.void]
    known: NDArray[np.void] | None
    notes: list[str]

    @classmethod
    def read(cls, folder: Path) -> Vetted:
        """Read the tables of a run.

        Parameters
        ----------
        folder : Path
            The run.

        Returns
        -------
        Vetted
            As `write_vetted` wrote it.
        """
        hits = read_rows(folder / "hits.fits", HITS)
        candidates = read_rows(folder / "candidates.fits", CANDIDATES)
        known = folder / "known.ecsv"
        systems = read_rows(known, KNOWN) if known.exists() else None
        parts = [load_companions(path) for path in evidence_paths(folder / "work", hits)]
        companions = np.concatenate([np.zeros(0, dtype_of(COMPANIONS)), *parts])
        return cls(hits, candidates, companions, systems, [])


def vet_hits(
    folder: Path,
    found: NDArray[np.void],
    config: Config,
    known: NDArray[np.void] | None,
    n_workers: int,
) -> Vetted:
    """Measure, mark and rank the hits of a run.

    Parameters
    ----------
    folder : Path
        The run, with spectra.fits and what was gathered.
    found : structured array of shape (H,)
        Rows of hits.fits; only what the search filled in is used.
    config : Config
        Sections `vet`, `candidates`, `matched_filter` and the window.
    known : structured array, optional
        Published systems, `speclens.schema.KNOWN`.
    n_workers : int
        Number of processes.

    Returns
    -------
    Vetted
        Hits and candidates, nothing written yet.

    Raises
    ------
    RunError
        If what was gathered is missing or damaged.
    """
    hits = _unvetted(found)
    paths = evidence_paths(folder / "work", hits)
    companions = [np.zeros(0, dtype_of(COMPANIONS))]
    n_workers = worth_starting(n_workers, SECONDS_A_HIT * len(hits))
    for rows, columns, of_file in map_shards(_measure_file, (hits, config), paths, n_workers):
        companions.append(of_file)
        for name, values in columns.items():
            hits[name][rows] = values
    elsewhere = np.concatenate(companions)
    wave, z = (np.asarray(hits[name], np.float64) for name in ("WAVE", "Z"))
    flux, error = (np.asarray(hits[name], np.float64) for name in ("FLUX", "FLUX_ERR"))
    for measured in (
        measure_overdensity(wave, z, config.vet),
        measure_companions(elsewhere, flux, error, config.vet.exposure_scatter),
    ):
        for name, values in measured.items():
            hits[name] = values
    hits["P_LYA"] = lya_probability(hits)
    if known is not None:
        hits["KNOWN"] = match_known(hits, known, config.candidates)
    judge(hits, config.vet)
    if known is not None:
        known = outcomes(known, hits, iterate_rows(folder / "spectra.fits"), config.candidates)
    candidates = candidates_of(hits, config.candidates)
    return Vetted(hits, candidates, elsewhere, known, _notes(hits, config))


def write_vetted(folder: Path, vetted: Vetted, meta: Mapping[str, Any]) -> None:
    """Write the tables of vetted hits.

    Parameters
    ----------
    folder : Path
        The run.
    vetted : Vetted
        Hits and candidates.
    meta : mapping
        Provenance, for the headers.
    """
    write_hits(folder, vetted.hits, meta)
    write_candidates(folder, vetted.candidates, meta)
    if vetted.known is not None:
        write_text_table(folder / "known.ecsv", vetted.known, KNOWN, meta)


def _unvetted(found: NDArray[np.void]) -> NDArray[np.void]:
    """Copy what the search found; what vetting measures is not known yet."""
    hits = np.zeros(len(found), dtype_of(HITS, FILE=max(text_width(found, "FILE"), 1)))
    names = [column.name for column in HITS]
    searched = names[: names.index(SEARCHED) + 1]
    for name in names:
        if name in searched:
            hits[name] = found[name]
        elif hits.dtype[name].kind == "f":
            hits[name] = np.nan
    # A hit whose spectrum cannot be had again has no good pixel, and is marked for it.
    hits["FIT_STATUS"], hits["GOOD_PIXELS"] = "no_spectrum", 0
    return hits


def _measure_file(
    shared: tuple[NDArray[np.void], Config], path: Path
) -> tuple[NDArray[np.intp], Mapping[str, NDArray[np.generic]], NDArray[np.void]]:
    """Measure the hits of one survey file."""
    hits, config = shared
    evidence = read_evidence(path, LogGrid.covering(*config.preparation.window))
    rows = evidence.hit
    if not len(rows):
        return rows, {}, evidence.companions
    dispersion = config.matched_filter.dispersion
    columns = measure_hits(hits[rows], evidence.window, evidence.whole, dispersion, config.vet)
    return rows, columns, evidence.companions


def _notes(hits: NDArray[np.void], config: Config) -> list[str]:
    notes: Sequence[tuple[bool, str]] = (
        (
            0 < len(hits) < config.vet.dense_min_hits,
            f"too few hits to test for over-densities: {len(hits)}, and the test needs "
            f"{config.vet.dense_min_hits} (vet.dense_min_hits); no hit was tested for them",
        ),
        (
            bool((hits["FIT_STATUS"] == "no_spectrum").any()),
            f"hits marked MASKED because their spectra could not be read again: "
            f"{(hits['FIT_STATUS'] == 'no_spectrum').sum()}",
        ),
    )
    return [text for holds, text in notes if holds]
