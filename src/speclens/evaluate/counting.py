"""Lines put in and hits found, joined: which lines came back, and what was measured of them.

In: the rows of a search whose spectra were given lines. Out: rows of
`speclens.schema.RECOVERED`, and counts of what was found without a line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from speclens.evaluate.completeness import match_lines
from speclens.evaluate.injection import NO_LINE, TRUTH
from speclens.schema import INJECTED, RECOVERED, dtype_of
from speclens.search.shard_rows import ShardRows, join_rows

__all__ = ["Tally", "recovered_lines"]

INJECTED_NAMES = [column.name for column in INJECTED if column.name != "TARGETID"]


@dataclass
class Tally:
    """What is known of the shards that have been searched.

    Parameters
    ----------
    match_pixels : float
        Largest distance between a line and its hit, pixels.
    n_spectra, n_alarms : int
        Spectra that were scored without a line, and hits in them.
    lines : list of structured array
        `speclens.schema.RECOVERED`, of each shard.
    residual_rms : list of array
        RESIDUAL_RMS of the spectra without a line, of each shard.
    failures : dict of str
        One line for each file that failed.
    """

    match_pixels: float
    n_spectra: int = 0
    n_alarms: int = 0
    lines: list[NDArray[np.void]] = field(default_factory=list)
    residual_rms: list[NDArray[np.float32]] = field(default_factory=list)
    failures: dict[str, None] = field(default_factory=dict)

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

    def add(self, parts: list[ShardRows]) -> None:
        """Count a shard.

        Parameters
        ----------
        parts : list of ShardRows
            All repeats of it, with what was put in.
        """
        rows = join_rows(parts)
        truth = _truth_of(rows)
        plain = (truth["REPEAT"] == NO_LINE) & (rows.spectra["STATUS"] == "scored")
        self.n_spectra += int(plain.sum())
        self.n_alarms += int(plain[rows.hit_rows].sum())
        self.residual_rms.append(rows.spectra["RESIDUAL_RMS"][plain])
        self.lines.append(recovered_lines(rows, self.match_pixels))


def recovered_lines(rows: ShardRows, match_pixels: float) -> NDArray[np.void]:
    """Look for the hit of each line that was put in.

    Parameters
    ----------
    rows : ShardRows
        Rows of a search, with what was put in.
    match_pixels : float
        Largest distance between a line and its hit, pixels.

    Returns
    -------
    structured array of shape (N,)
        `speclens.schema.RECOVERED`, spectrum by spectrum as they stand in the files, the repeats
        of each in order: so that it does not show which were searched together.
    """
    truth = _truth_of(rows)
    put_in = np.flatnonzero(truth["KIND"] != "")
    put_in = put_in[np.lexsort((truth["REPEAT"][put_in], *_places(rows.spectra[put_in])))]
    lines = np.zeros(len(put_in), dtype_of(RECOVERED))
    lines["TARGETID"] = rows.spectra["TARGETID"][put_in]
    for name in (*INJECTED_NAMES, "SEARCHED"):
        lines[name] = truth[name][put_in]
    match = match_lines(
        _with_ids(put_in, lines, "WAVE"), _with_ids(rows.hit_rows, rows.hits, "WAVE", "SNR"),
        match_pixels,
    )  # fmt: skip
    found = lines["FOUND"] = match >= 0
    for name in ("SNR", "WAVE", "FLUX", "FLUX_ERR"):
        lines[f"{name}_FOUND"] = np.nan
        lines[f"{name}_FOUND"][found] = rows.hits[name][match[found]]
    return lines


def _truth_of(rows: ShardRows) -> NDArray[np.void]:
    """Return what was put in; nothing where no file could be read."""
    return np.zeros(len(rows.spectra), TRUTH) if rows.truth is None else rows.truth


def _places(spectra: NDArray[np.void]) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """Return row and file of spectra; files are numbered as they come."""
    _, first, which = np.unique(spectra["FILE"], return_index=True, return_inverse=True)
    return spectra["ROW"], first[which]


def _with_ids(ids: NDArray[np.integer], rows: NDArray[np.void], *names: str) -> NDArray[np.void]:
    """Copy columns of rows, with numbers in the place of TARGETID."""
    copy = np.zeros(len(rows), [("TARGETID", "i8"), *((name, "f8") for name in names)])
    copy["TARGETID"] = ids
    for name in names:
        copy[name] = rows[name]
    return copy
