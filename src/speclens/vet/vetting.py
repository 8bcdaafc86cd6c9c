"""From the hits of a run to marked hits.

In: a run's hits and what was gathered of them, the limits, published systems. Out: the hits with
all columns of the vet tests, and what became of the systems. The survey's files are not needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config
from speclens.errors import fault_of
from speclens.evidence.store import (
    Evidence,
    evidence_paths,
    joined,
    read_companions,
    read_evidence,
)
from speclens.instrument import INSTRUMENTS
from speclens.names import spectrum_name, system_name
from speclens.run.progress import Progress, Silent
from speclens.run.workers import map_shards, worth_starting
from speclens.schema import COMPANIONS, HITS, KNOWN, dtype_of, text_width
from speclens.stored_tables import iterate_rows, read_rows
from speclens.vet.companions import measure_companions
from speclens.vet.hit_spectra import HitSpectra
from speclens.vet.judge import judge
from speclens.vet.known import match_known, outcomes
from speclens.vet.measure import measure_hits
from speclens.vet.other_searches import measure_other_searches
from speclens.vet.overdensity import measure_one_more, measure_overdensity
from speclens.vet.probability import lya_probability, strongest_against
from speclens.vet.reasons import reasons_of

__all__ = ["Vetted", "vet_alone", "vet_hits"]

SECONDS_A_HIT = 0.002
FILES_AT_ONCE, HITS_AT_ONCE = 32, 64
"""Survey files, and about as many hits, that are measured together: a file has a hit or two, and a
step of the fits takes hardly longer for fifty."""

FAILED = "failed"
"""FIT_STATUS of a hit whose measuring raised an error."""

SEARCHED = "Z_SOURCE"
"""Last column of hits.fits that the search fills; the others, and NAME, are vetting's, and
P_LENSED that of the candidates' stage."""


@dataclass(frozen=True)
class Vetted:
    """Hits after vetting.

    Parameters
    ----------
    hits : structured array of shape (H,)
        Rows of hits.fits.
    companions : structured array
        Rows of `speclens.schema.COMPANIONS`.
    known : structured array or None
        Rows of known.ecsv; None when no list of published systems was given.
    notes : list of str
        What a reader of the tables must know.
    """

    hits: NDArray[np.void]
    companions: NDArray[np.void]
    known: NDArray[np.void] | None
    notes: list[str]

    @property
    def failed(self) -> set[int]:
        """Rows of the hits that could not be measured."""
        return set(np.flatnonzero(self.hits["FIT_STATUS"] == FAILED).tolist())

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
            Hits and systems as they are in its tables.
        """
        hits = read_rows(folder / "hits.fits", HITS)
        known = folder / "known.ecsv"
        systems = read_rows(known, KNOWN) if known.exists() else None
        return cls(hits, read_companions(folder / "work", hits), systems, [])


@np.errstate(divide="ignore", invalid="ignore", over="ignore")
def vet_hits(
    folder: Path,
    found: NDArray[np.void],
    config: Config,
    known: NDArray[np.void] | None,
    n_workers: int,
    progress: Progress | None = None,
    among: NDArray[np.void] | None = None,
) -> Vetted:
    """Measure, mark and name the hits of a run.

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
    progress : Progress, optional
        Told of the hits that are measured, some survey files at a time.
    among : structured array, optional
        Rows of other hits, of the run that these ones are compared with: over-densities are
        those of all together.

    Returns
    -------
    Vetted
        Nothing is written yet. A hit that cannot be measured says so, and so do
        the notes; the others are vetted.

    Raises
    ------
    RunError
        If what was gathered is missing or damaged.
    """
    hits = _unvetted(found)
    paths = evidence_paths(folder / "work", hits)
    companions = [np.zeros(0, dtype_of(COMPANIONS))]
    faults: list[str] = []
    n_workers = worth_starting(n_workers, SECONDS_A_HIT * len(hits))
    listener = progress or Silent()
    batches = [paths[i : i + FILES_AT_ONCE] for i in range(0, len(paths), FILES_AT_ONCE)]
    listener.stage("vetting", len(batches), "hits")
    for measured in map_shards(_measure_files, (hits, config), batches, n_workers):
        companions.append(measured.companions)
        faults += measured.faults
        for rows, columns in measured.parts:
            for name, values in columns.items():
                hits[name][rows] = values
        listener.advance(sum(len(rows) for rows, _ in measured.parts))
    elsewhere = np.concatenate(companions)
    for own, rows in _by_search(hits, config):
        _compare(hits, rows, elsewhere, own, hits[:0] if among is None else among)
    hits["P_LYA"] = lya_probability(hits)
    unweighed = np.isnan(hits["LN_EVIDENCE"])
    hits["P_HYPOTHESIS"][unweighed] = hits["P_LYA"][unweighed]
    if known is not None:
        hits["KNOWN"] = match_known(hits, known, config.candidates)
    _judge(hits, config)
    acronyms = {name: instrument.designation for name, instrument in INSTRUMENTS.items()}
    hits["NAME"] = [
        system_name(acronyms.get(survey, ""), ra, dec)
        for survey, ra, dec in hits[["SURVEY", "RA", "DEC"]].tolist()
    ]
    if known is not None:
        known = outcomes(known, hits, iterate_rows(folder / "spectra.fits"), config.candidates)
    return Vetted(hits, elsewhere, known, _notes(hits, faults, config))


@np.errstate(divide="ignore", invalid="ignore", over="ignore")
def vet_alone(
    found: NDArray[np.void], evidence: Evidence, config: Config, crowd: NDArray[np.void]
) -> NDArray[np.void]:
    """Vet hits each of which is one more than a search has.

    Parameters
    ----------
    found : structured array of shape (H,)
        Rows of hits.fits, of one search.
    evidence : Evidence
        What was gathered of them.
    config : Config
        That of the search.
    crowd : structured array
        WAVE and Z of the hits of the search: the others, among which over-densities are looked
        for.

    Returns
    -------
    structured array of shape (H,)
        The hits, measured and marked. What compares the searches of a run takes no part.
    """
    hits = _unvetted(found)
    for rows, columns in _measured(hits, evidence, config).parts:
        for name, values in columns.items():
            hits[name][rows] = values
    wave, z, flux, error = (
        np.asarray(hits[name], np.float64) for name in ("WAVE", "Z", "FLUX", "FLUX_ERR")
    )
    compared = {
        **measure_one_more(wave, z, crowd, config.vet),
        **measure_companions(evidence.companions, flux, error, config.vet),
    }
    for name, values in compared.items():
        hits[name] = values
    hits["P_LYA"] = lya_probability(hits)
    unweighed = np.isnan(hits["LN_EVIDENCE"])
    hits["P_HYPOTHESIS"][unweighed] = hits["P_LYA"][unweighed]
    judge(hits, config.vet)
    return hits


def _by_search(hits: NDArray[np.void], config: Config) -> Iterator[tuple[Config, NDArray[np.intp]]]:
    """Yield the configuration of each search, and the rows of its hits."""
    others = list(config.searches)
    yield config, np.flatnonzero(~np.isin(hits["SEARCH"], others))
    for name in others:
        yield config.of(name), np.flatnonzero(hits["SEARCH"] == name)


def _unvetted(found: NDArray[np.void]) -> NDArray[np.void]:
    """Copy what the search found; what vetting measures is not known yet."""
    hits = np.zeros(len(found), dtype_of(HITS, FILE=max(text_width(found, "FILE"), 1)))
    names = [column.name for column in HITS]
    searched = names[: names.index(SEARCHED) + 1]
    for name in names:
        if name in searched and name != "NAME":
            hits[name] = found[name]
        elif hits.dtype[name].kind == "f":
            hits[name] = np.nan
    # A hit whose spectrum cannot be had again has no good pixel, and is marked for it.
    hits["FIT_STATUS"], hits["GOOD_PIXELS"] = "no_spectrum", 0
    return hits


@dataclass(frozen=True)
class _Measured:
    """What was measured of the hits of some survey files: rows and columns, and what failed."""

    parts: list[tuple[NDArray[np.intp], Mapping[str, NDArray[np.generic]]]]
    companions: NDArray[np.void]
    faults: list[str]


def _measure_files(shared: tuple[NDArray[np.void], Config], paths: Sequence[Path]) -> _Measured:
    """Measure the hits of some survey files."""
    hits, configs = shared
    parts, companions, faults = [], [], []
    for search, evidence in _by_handfuls(hits, paths):
        measured = _measured(hits, evidence, configs.of(search))
        parts += measured.parts
        companions.append(measured.companions)
        faults += measured.faults
    return _Measured(parts, np.concatenate(companions), faults)


def _by_handfuls(hits: NDArray[np.void], paths: Sequence[Path]) -> Iterator[tuple[str, Evidence]]:
    """Join what was gathered of neighbouring files of a search, a handful of hits at a time."""
    held: list[Evidence] = []
    n_held, search = 0, ""
    for path in paths:
        evidence = read_evidence(path)
        own = "".join(hits["SEARCH"][evidence.hit[:1]])
        if held and (n_held >= HITS_AT_ONCE or own != search):
            yield search, joined(held)
            held, n_held = [], 0
        held.append(evidence)
        n_held, search = n_held + len(evidence.hit), own
    yield search, joined(held)


def _measured(hits: NDArray[np.void], evidence: Evidence, config: Config) -> _Measured:
    """Measure hits all at once; one by one where that fails."""
    everyone = np.arange(len(evidence.hit))
    parts, faults = [], []
    try:
        parts.append(_measure(hits, evidence, everyone, config))
    except Exception:  # noqa: BLE001 - found again, counted and named, below
        for i in everyone:
            hit = int(evidence.hit[i])
            try:
                parts.append(_measure(hits, evidence, everyone[i : i + 1], config))
            except Exception as error:  # noqa: BLE001 - told in the notes and by the exit code
                parts.append((evidence.hit[i : i + 1], {"FIT_STATUS": np.array([FAILED])}))
                faults.append(f"row {hit} ({spectrum_name(hits[hit])}): {fault_of(error)}")
    return _Measured(parts, evidence.companions, faults)


def _measure(
    hits: NDArray[np.void], evidence: Evidence, chosen: NDArray[np.intp], config: Config
) -> tuple[NDArray[np.intp], Mapping[str, NDArray[np.generic]]]:
    rows = evidence.hit[chosen]
    if not len(rows):
        return rows, {}
    window, whole = evidence.window[chosen], evidence.whole[chosen]
    usual = config.matched_filter.dispersion
    return rows, measure_hits(HitSpectra(hits[rows], window, whole, usual, config.vet))


def _compare(
    hits: NDArray[np.void],
    rows: NDArray[np.intp],
    companions: NDArray[np.void],
    config: Config,
    among: NDArray[np.void],
) -> None:
    """Compare the hits of a search with each other, and with the same lines elsewhere."""
    flux, error = (np.asarray(hits[name], np.float64) for name in ("FLUX", "FLUX_ERR"))
    others = among[among["SEARCH"] == config.search.name]
    wave, z = (
        np.concatenate([hits[name][rows], others[name]]).astype(np.float64)
        for name in ("WAVE", "Z")
    )
    dense = measure_overdensity(wave, z, config.vet)
    elsewhere = measure_companions(companions, flux, error, config.vet)
    for measured in (
        {name: values[: len(rows)] for name, values in dense.items()},
        {name: values[rows] for name, values in elsewhere.items()},
    ):
        for name, values in measured.items():
            hits[name][rows] = values


def _judge(hits: NDArray[np.void], config: Config) -> None:
    """Mark the hits of each search by its limits, then those that another search tells better."""
    against = strongest_against(hits)
    _mark(hits, config)
    for name, values in measure_other_searches(hits, config.vet).items():
        hits[name] = values
    _mark(hits, config)
    for own, rows in _by_search(hits, config):
        hits["REASON"][rows] = list(reasons_of(hits[rows], against[rows], own.vet))


def _mark(hits: NDArray[np.void], config: Config) -> None:
    for own, rows in _by_search(hits, config):
        judged = hits[rows]
        judge(judged, own.vet)
        hits[rows] = judged


def _notes(hits: NDArray[np.void], faults: Sequence[str], config: Config) -> list[str]:
    notes: Sequence[tuple[bool, str]] = (
        (
            bool((hits["FIT_STATUS"] == "no_spectrum").any()),
            f"hits marked MASKED because their spectra could not be read again: "
            f"{(hits['FIT_STATUS'] == 'no_spectrum').sum()}",
        ),
        (
            bool(faults),
            f"hits that could not be measured, a fault of speclens: {len(faults)}; the first is "
            f"{(*faults, '')[0]}",
        ),
    )
    return [*_few_hits(hits, config), *(text for holds, text in notes if holds)]


def _few_hits(hits: NDArray[np.void], config: Config) -> Iterator[str]:
    """Say which searches have too few hits to compare them with each other."""
    for own, rows in _by_search(hits, config):
        least = own.vet.dense_min_hits
        if 0 < len(rows) < least:
            of, none = "", "no hit"
            if config.searches:
                of, none = f" of the search {own.search.name}", "none of these"
            yield (
                f"too few hits{of} to test for over-densities: {len(rows)}, and the test needs "
                f"{least} (vet.dense_min_hits); {none} was tested for them"
            )
