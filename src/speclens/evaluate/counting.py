"""What was put in and what was found, joined: which sources came back, and what was made of them.

In: the vetted rows of a search whose spectra were given sources or decoys, or none. Out: rows of
`speclens.schema.RECOVERED` and of `speclens.schema.NULLS`, and counts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote_to_bytes

import numpy as np
from numpy.typing import NDArray

from speclens.evaluate.completeness import best_hits, every_line, match_lines
from speclens.evaluate.drawing import DECOYS
from speclens.evaluate.injection import PLAIN, TRUTH
from speclens.evaluate.nulls import NULL_NAMES
from speclens.schema import INJECTED, NULLS, RECOVERED, dtype_of
from speclens.search.shard_rows import ShardRows

__all__ = ["Counted", "Tally", "count_rows", "recovered_lines", "searched_places", "truth_of"]

TOLD = ["TARGETID", "SEARCH"]
WEIGHED = ["PROBABILITY", "P_LYA", "P_HYPOTHESIS", "P_LENSED", "VET_FLAGS", "CANDIDATE"]
MEASURED = ("SNR", "SNR_LINES", "WAVE", "FLUX", "FLUX_ERR")

Rows = NDArray[np.void]


@dataclass(frozen=True)
class Counted:
    """What is known of a part of a shard.

    Parameters
    ----------
    lines : structured array of shape (N,)
        `speclens.schema.RECOVERED`: sources and decoys put in.
    places : array of shape (N, 3)
        Where the spectrum of each stands: file of the shard, row, and the repeat.
    nulls : structured array
        `speclens.schema.NULLS`: the hits where nothing was put in.
    scored : array of shape (4,)
        Spectra that were scored, of each of `NULL_NAMES`.
    residual_rms : array
        RESIDUAL_RMS of the spectra as they are.
    probability : array
        PROBABILITY of the spectra as they are.
    """

    lines: Rows
    places: NDArray[np.int64]
    nulls: Rows
    scored: NDArray[np.int64]
    residual_rms: NDArray[np.float32]
    probability: NDArray[np.float32]

    @classmethod
    def of(cls, stored: Mapping[str, NDArray[Any]]) -> Counted:
        """Return what `arrays` gave."""
        return cls(**{name: stored[name] for name in cls.__dataclass_fields__})

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """The same, to be stored."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def count_rows(
    rows: ShardRows, files: Sequence[str], match_pixels: float, left_out: NDArray[np.int64]
) -> Counted:
    """Join what was put into the spectra of a part with what was found in them.

    Parameters
    ----------
    rows : ShardRows
        Vetted rows of a search, with what was put in.
    files : sequence of str
        The files of the shard.
    match_pixels : float
        Largest distance between a line and its hit, pixels.
    left_out : array of int
        TARGETID of those that do not count, as sources of a mock survey are in them.

    Returns
    -------
    Counted
        Lines, spectrum by spectrum as they stand in the files, and what was found without.
    """
    truth, spectra = truth_of(rows).copy(), rows.spectra
    outside = np.isin(spectra["TARGETID"], left_out)
    truth["KIND"][outside] = truth["NULL"][outside] = ""
    rows = replace(rows, truth=truth)
    scored = spectra["STATUS"] == "scored"
    n_scored = [int((scored & (truth["NULL"] == name)).sum()) for name in NULL_NAMES]
    plain = scored & (truth["NULL"] == PLAIN)
    false = (truth["NULL"][rows.hit_rows] != "") & scored[rows.hit_rows]
    nulls = np.zeros(int(false.sum()), dtype_of(NULLS))
    nulls["NULL"] = truth["NULL"][rows.hit_rows[false]]
    for name in (*TOLD, "Z", "WAVE", "SNR", *WEIGHED):
        nulls[name] = rows.hits[name][false]
    put_in = np.flatnonzero(truth["KIND"] != "")
    return Counted(
        recovered_lines(rows, match_pixels), _places(rows, put_in, files), nulls,
        np.array(n_scored), spectra["RESIDUAL_RMS"][plain], spectra["PROBABILITY"][plain],
    )  # fmt: skip


def searched_places(
    rows: ShardRows, files: Sequence[str], left_out: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return which spectra of a part were searched as they are.

    Parameters
    ----------
    rows : ShardRows
        Rows of a search, with what was put in.
    files : sequence of str
        The files of the shard.
    left_out : array of int
        TARGETID of those that do not count.

    Returns
    -------
    array of shape (n, 2)
        File of the shard, and row.
    """
    scored = (rows.spectra["STATUS"] == "scored") & (truth_of(rows)["NULL"] == PLAIN)
    counted = scored & ~np.isin(rows.spectra["TARGETID"], left_out)
    return _places(rows, np.flatnonzero(counted), files)[:, :2]


@dataclass
class Tally:
    """What is known of the shards that have been searched.

    Parameters
    ----------
    lines, decoys, nulls : list of structured array
        `speclens.schema.RECOVERED` of sources and of decoys, and `speclens.schema.NULLS`, of each
        shard.
    scored : array of shape (4,)
        Spectra that were scored, of each of `NULL_NAMES`.
    residual_rms : list of array
        RESIDUAL_RMS of the spectra without a line, of each shard.
    probability : list of array
        PROBABILITY of the same.
    failures : dict of str
        One line for each file that failed.
    """

    lines: list[Rows] = field(default_factory=list)
    decoys: list[Rows] = field(default_factory=list)
    nulls: list[Rows] = field(default_factory=list)
    scored: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(NULL_NAMES), np.int64))
    residual_rms: list[NDArray[np.float32]] = field(default_factory=list)
    probability: list[NDArray[np.float32]] = field(default_factory=list)
    failures: dict[str, None] = field(default_factory=dict)

    @property
    def n_scored(self) -> dict[str, int]:
        """Spectra that were scored, by null."""
        return dict(zip(NULL_NAMES, self.scored.tolist(), strict=True))

    def hear(self, messages: Iterable[str], tell: Callable[[str], None]) -> None:
        """Count files that failed, each once however often it was read.

        Parameters
        ----------
        messages : iterable of str
            One line for each.
        tell : callable
            Takes those that are new.
        """
        for text in messages:
            if text not in self.failures:
                tell(text)
            self.failures[text] = None

    def add(self, parts: Sequence[Counted]) -> None:
        """Count a shard.

        Parameters
        ----------
        parts : sequence of Counted
            All parts of it. Their lines are sorted by spectrum and repeat, so that it does not show
            which were searched together.
        """
        lines = np.concatenate([part.lines for part in parts])
        places = np.concatenate([part.places for part in parts])
        lines = lines[np.lexsort(places.T[::-1])]
        decoy = np.isin(lines["KIND"], DECOYS)
        self.lines.append(lines[~decoy])
        self.decoys.append(lines[decoy])
        self.nulls += [part.nulls for part in parts]
        self.residual_rms += [part.residual_rms for part in parts]
        self.probability += [part.probability for part in parts]
        for part in parts:
            self.scored += part.scored


def recovered_lines(rows: ShardRows, match_pixels: float) -> Rows:
    """Look for the hit of each source or decoy that was put in.

    Parameters
    ----------
    rows : ShardRows
        Rows of a search, with what was put in.
    match_pixels : float
        Largest distance between a line and its hit, pixels.

    Returns
    -------
    structured array of shape (N,)
        `speclens.schema.RECOVERED`, in the order of the spectra. Of a galaxy any of its lines may
        be the hit; of several hits one that is a candidate, then the one with the highest SNR.
    """
    truth = truth_of(rows)
    put_in = np.flatnonzero(truth["KIND"] != "")
    lines = np.zeros(len(put_in), dtype_of(RECOVERED))
    lines["TARGETID"], lines["Z"] = (rows.spectra[name][put_in] for name in ("TARGETID", "Z"))
    lines["PROBABILITY"] = rows.spectra["PROBABILITY"][put_in]
    for column in INJECTED:
        if column.name != "TARGETID":
            lines[column.name] = truth[column.name][put_in]
    lines["SEARCHED"], lines["FOREGROUND"] = (
        truth[name][put_in] for name in ("SEARCHED", "FOREGROUND")
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        lines["IDEAL_ERR"] = lines["FLUX"] / lines["IDEAL_SNR"]
    hit = _hits_of(put_in, lines, rows, match_pixels)
    found = lines["FOUND"] = hit >= 0
    for name in MEASURED:
        lines[f"{name}_FOUND"] = np.nan
        lines[f"{name}_FOUND"][found] = rows.hits[name][hit[found]]
    for name in WEIGHED[1:]:
        lines[name] = np.nan if lines.dtype[name].kind == "f" else 0
        lines[name][found] = rows.hits[name][hit[found]]
    return lines


def _hits_of(
    put_in: NDArray[np.intp], lines: Rows, rows: ShardRows, match_pixels: float
) -> NDArray[np.intp]:
    """Return the hit of each source; -1 for none."""
    source, at = every_line(_with_ids(put_in, lines, "KIND", "WAVE", "Z_SOURCE"))
    hits = _with_ids(rows.hit_rows, rows.hits, "WAVE", "SNR")
    # A candidate outdoes every other hit, whatever its ratio.
    order = np.lexsort((rows.hits["SNR"], rows.hits["CANDIDATE"]))
    hits["SNR"][order] = np.arange(len(order))
    return best_hits(source, match_lines(at, hits, match_pixels), hits["SNR"], len(lines))


def truth_of(rows: ShardRows) -> Rows:
    """Return what was put into the spectra of a part.

    Parameters
    ----------
    rows : ShardRows
        Rows of a search.

    Returns
    -------
    structured array of shape (N,)
        `speclens.evaluate.injection.TRUTH`; nothing where no file could be read.
    """
    return np.zeros(len(rows.spectra), TRUTH) if rows.truth is None else rows.truth


def _places(rows: ShardRows, spectra: NDArray[np.intp], files: Sequence[str]) -> NDArray[np.int64]:
    """Return file, row and repeat of spectra; files are numbered as the shard has them."""
    number = {file: i for i, file in enumerate(files)}
    names, which = np.unique(rows.spectra["FILE"][spectra], return_inverse=True)
    of_name = [number.get(os.fsdecode(unquote_to_bytes(name)), len(files)) for name in names]
    file = np.array(of_name, np.int64)[which] if len(names) else np.zeros(0, np.int64)
    row, repeat = rows.spectra["ROW"][spectra], truth_of(rows)["REPEAT"][spectra]
    return np.stack([file, row.astype(np.int64), repeat.astype(np.int64)], axis=1)


def _with_ids(ids: NDArray[np.integer], rows: Rows, *names: str) -> Rows:
    """Copy columns of rows, with numbers in the place of TARGETID."""
    copy = np.zeros(
        len(rows),
        [("TARGETID", "i8"), *((n, "U16" if n == "KIND" else "f8") for n in names)],
    )
    copy["TARGETID"] = ids
    for name in names:
        copy[name] = rows[name]
    return copy
