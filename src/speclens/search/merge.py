"""Shards to the table of a run's spectra, and its hits.

In: stored results of shards, in order, of every search of the run. Out: spectra.fits, the counts,
the hits as the searches found them. A spectrum that was scored from several files counts once, the
first time; one that any search scored is scored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_128_digest

from speclens.errors import RunError
from speclens.products import write_fits
from speclens.run.workers import map_shards, worth_starting
from speclens.schema import HITS, SPECTRA, dtype_of, text_width
from speclens.search.readings import Readings
from speclens.search.shard_rows import ShardRows, joined_readings

__all__ = ["Merged", "merge"]

SECONDS_A_SHARD = 0.02
QUALITY = ("RESIDUAL_RMS", "GOOD_FRACTION")


@dataclass(frozen=True)
class Merged:
    """What the search found.

    Parameters
    ----------
    counts : dict
        Spectra read and by status.
    reasons : dict
        Spectra by reason code.
    hits : structured array of shape (H,)
        Rows of hits.fits, not yet vetted.
    readings : Readings
        What the searches weighed of them.
    """

    counts: dict[str, int]
    reasons: dict[str, int]
    hits: NDArray[np.void]
    readings: Readings


def merge(
    folder: Path, paths: Sequence[Sequence[Path]], meta: Mapping[str, Any], n_workers: int = 1
) -> Merged:
    """Join the results of shards.

    Parameters
    ----------
    folder : Path
        The run.
    paths : sequence of sequence of Path
        Stored results in the order of the shards, of each the searches' in their order.
    meta : mapping
        Provenance.
    n_workers : int, optional
        Number of processes.

    Returns
    -------
    Merged
        Counts and hits.

    Raises
    ------
    RunError
        If a stored result is damaged or the table cannot be written.
    """
    repeated, width = _repeats(paths, n_workers)
    counts: Counter[str] = Counter(read=0, scored=0, skipped=0, failed=0)
    reasons: Counter[str] = Counter()
    no_spectra, no_hits = (np.zeros(0, dtype_of(columns)) for columns in (SPECTRA, HITS))
    kept_rows = [ShardRows(no_spectra, no_hits, np.zeros(0, np.intp), [])]

    def parts() -> Iterator[NDArray[np.void]]:
        for of_shard, again in zip(paths, repeated, strict=True):
            rows = _of_all(of_shard)
            spectra = _without_repeats(rows.spectra, again)
            counts.update(spectra["STATUS"].tolist(), read=len(spectra))
            reasons.update(code for code in spectra["REASON"].tolist() if code)
            kept_rows.append(_with_hits(rows, ~again[rows.hit_rows]))
            yield spectra.astype(dtype_of(SPECTRA, FILE=width))

    n_rows = sum(map(len, repeated))
    write_fits(folder / "spectra.fits", parts(), n_rows, SPECTRA, meta, FILE=width)
    return Merged(
        dict(counts),
        dict(sorted(reasons.items())),
        np.concatenate([rows.hits for rows in kept_rows]),
        joined_readings(kept_rows),
    )


def _with_hits(rows: ShardRows, kept: NDArray[np.bool_]) -> ShardRows:
    """Return the hits that are kept with what was weighed of them, and nothing else."""
    # Not an empty part of the rows, which would hold all of them.
    none = np.zeros(0, rows.spectra.dtype), np.zeros(0, rows.hit_rows.dtype)
    return ShardRows(none[0], rows.hits[kept], none[1], [], readings=rows.readings.of(kept))


def _load(path: Path) -> ShardRows:
    rows = ShardRows.load(path)
    if rows is None:
        raise RunError(f"{path}: damaged while the run went on; run the same command again")
    return rows


def _of_all(paths: Sequence[Path]) -> ShardRows:
    """Read what all searches tell of a shard: of each spectrum the row that says most."""
    parts = [_load(path) for path in paths]
    fullest = max(parts, key=lambda part: len(part.spectra))
    aligned = [_as(part, fullest.spectra) for part in parts]
    spectra = aligned[0].spectra.copy()
    probability = spectra["PROBABILITY"].copy()
    for part in aligned[1:]:
        other = part.spectra
        flags = spectra["FLAGS"] | other["FLAGS"]
        says_more = _worth(other) > _worth(spectra)
        spectra[says_more] = other[says_more]
        spectra["FLAGS"] = flags
        probability = np.where(np.isfinite(probability), probability, other["PROBABILITY"])
    spectra["PROBABILITY"] = np.where(spectra["STATUS"] == "scored", probability, np.nan)
    return ShardRows(
        spectra,
        np.concatenate([part.hits for part in aligned]),
        np.concatenate([part.hit_rows for part in aligned]),
        [],
        readings=joined_readings(aligned),
    )


def _as(part: ShardRows, spectra: NDArray[np.void]) -> ShardRows:
    """Return the rows of a search for the spectra of another, in their order.

    A file that one search alone could not read has a single row there: what failed is told of all
    its spectra.
    """
    own = part.spectra
    if np.array_equal(own[["FILE", "ROW"]], spectra[["FILE", "ROW"]]):
        return part
    keys = own[["FILE", "ROW"]].tolist()
    place = {key: i for i, key in enumerate(keys)}
    file = {keys[i][0]: i for i in np.flatnonzero(own["STATUS"] == "failed").tolist()}
    found = [
        place.get((name, row), file.get(name, -1))
        for name, row in spectra[["FILE", "ROW"]].tolist()
    ]
    source = np.array(found, np.intp)
    if (source < 0).any():
        raise RunError(f"{part.path}: its files changed meanwhile; run the same command again")
    rows = spectra.copy()
    for name in ("STATUS", "REASON", "FLAGS", "PROBABILITY", "SNR", *QUALITY):
        rows[name] = own[name][source]
    moved = {int(i): new for new, i in enumerate(source.tolist())}
    hit_rows = np.array([moved[int(i)] for i in part.hit_rows], np.intp)
    return ShardRows(rows, part.hits, hit_rows, [], readings=part.readings)


def _worth(spectra: NDArray[np.void]) -> NDArray[np.int_]:
    """Rank what is told: scored, failed, refused for itself, of another class than is searched."""
    of_class = np.strings.startswith(spectra["REASON"], "class_")
    order = [spectra["STATUS"] == "scored", spectra["STATUS"] == "failed", ~of_class]
    return np.select(order, [3, 2, 1])


def _repeats(
    paths: Sequence[Sequence[Path]], n_workers: int
) -> tuple[list[NDArray[np.bool_]], int]:
    """Say which spectra were scored before, in an earlier row, and how wide FILE is."""
    n_workers = worth_starting(n_workers, SECONDS_A_SHARD * len(paths))
    outlines = map_shards(_outline, None, paths, n_workers)
    names, scored, widths = zip(*outlines, strict=True)
    repeated = _again(np.concatenate(names), np.concatenate(scored))
    return np.split(repeated, np.cumsum([len(part) for part in scored])[:-1]), max(widths)


def _outline(
    _: None, of_shard: Sequence[Path]
) -> tuple[NDArray[np.uint64], NDArray[np.bool_], int]:
    """Say of each spectrum of a shard which it is and whether it was scored; how wide FILE is."""
    spectra = _of_all(of_shard).spectra
    scored = (spectra["STATUS"] == "scored") & (spectra["SPECTRUM"] != "")
    return _names(spectra), scored, max(text_width(spectra, "FILE"), 1)


def _names(spectra: NDArray[np.void]) -> NDArray[np.uint64]:
    """Survey and name of each spectrum, shape (N, 2); as digests, for all of a run are held."""
    names = spectra[["SURVEY", "SPECTRUM"]].tolist()
    digests = b"".join(
        xxh3_128_digest(f"{survey} {spectrum}".encode()) for survey, spectrum in names
    )
    return np.frombuffer(digests, np.uint64).reshape(-1, 2)


def _again(names: NDArray[np.uint64], scored: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark the scored spectra whose name is that of an earlier one."""
    rows = np.flatnonzero(scored)
    rows = rows[np.lexsort(names[rows].T)]  # stable: of a name, the first comes first
    same = (names[rows[1:]] == names[rows[:-1]]).all(axis=1)
    repeated = np.zeros(len(scored), bool)
    repeated[rows[1:][same]] = True
    return repeated


def _without_repeats(spectra: NDArray[np.void], repeated: NDArray[np.bool_]) -> NDArray[np.void]:
    spectra = spectra.copy()
    spectra["STATUS"][repeated] = "skipped"
    spectra["REASON"][repeated] = "duplicate"
    spectra["SNR"][repeated] = spectra["PROBABILITY"][repeated] = np.nan
    return spectra
