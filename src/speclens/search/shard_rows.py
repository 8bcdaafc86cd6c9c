"""The rows of a shard: what a search tells of every spectrum, and its hits.

In: targets, what was found, what went wrong. Out: rows of spectra.fits and hits.fits, stored for
the merge.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from speclens.config import SearchConfig
from speclens.errors import SpectrumFileError
from speclens.read.surveys import survey_named
from speclens.run.store import load_arrays, save_arrays
from speclens.schema import (
    HITS,
    REASONS,
    SPECTRA,
    TARGET_IDS,
    dtype_of,
    status_of,
    text_width,
)
from speclens.search.readings import Readings

__all__ = [
    "ShardRows",
    "failed_rows",
    "failures_of",
    "hits_of",
    "join_rows",
    "joined_readings",
    "named_file",
    "rows_in_files",
    "rows_of",
]

NAMED = 5
"""Rows of a file that are named in a message."""

PRINTABLE = "".join(chr(c) for c in range(32, 127) if chr(c) != "%")


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
    truth : structured array, optional
        What was put into each of `spectra`, where a wrapper of the source put anything.
    readings : Readings
        What the search weighed of the hits; HIT counts `hits`.
    """

    spectra: NDArray[np.void]
    hits: NDArray[np.void]
    hit_rows: NDArray[np.integer]
    messages: list[str]
    reused: bool = False
    path: Path | None = None
    hint: str = ""
    digest: str = ""
    truth: NDArray[np.void] | None = None
    readings: Readings = field(default_factory=Readings)

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
        optional = stored.get("truth"), Readings(stored["hypotheses"], stored["heat_map"])
        return cls(*rows, messages, True, path, *made_of, *optional)

    def save(self, path: Path) -> None:
        """Store the result.

        Parameters
        ----------
        path : Path
            Final place.
        """
        rows = {name: getattr(self, name) for name in ("spectra", "hits", "hit_rows")}
        rows |= {name: getattr(self.readings, name) for name in ("hypotheses", "heat_map")}
        if self.truth is not None:
            rows["truth"] = self.truth
        texts = {n: np.array(getattr(self, n), str) for n in ("messages", "hint", "digest")}
        save_arrays(path, **rows, **texts)
        self.path = path


def rows_of(targets: NDArray[np.void], files: Sequence[str], survey: str) -> NDArray[np.void]:
    """Return the rows of spectra.fits for targets, not yet scored.

    Parameters
    ----------
    targets : structured array of shape (N,)
        The targets.
    files : sequence of str
        The file of each.
    survey : str
        Their survey.

    Returns
    -------
    structured array of shape (N,)
        Rows of `speclens.schema.SPECTRA`.
    """
    quoted = {file: named_file(file) for file in set(files)}
    names = [quoted[file] for file in files]
    width = max(map(len, names), default=1)
    rows = np.zeros(len(targets), dtype_of(SPECTRA, FILE=width))
    for name in (*TARGET_IDS, "RA", "DEC", "Z"):
        rows[name] = targets[name]
    for name in ("CLASS", "SUBCLASS"):
        rows[name] = [_ascii(text) for text in targets[name].tolist()]
    rows["FILE"], rows["ROW"] = names, rows_in_files(names)
    rows["SURVEY"], rows["SPECTRUM"] = survey, survey_named(survey).spectrum_names(targets)
    for name in ("PROBABILITY", "SNR", "RESIDUAL_RMS", "GOOD_FRACTION"):
        rows[name] = np.nan
    return rows


def named_file(path: str) -> str:
    """Return the path of a file as FILE holds it.

    Parameters
    ----------
    path : str
        Any path.

    Returns
    -------
    str
        The same in printable ASCII, the rest quoted as in addresses.
    """
    return quote(os.fsencode(path), safe=PRINTABLE)


def rows_in_files(files: Sequence[str]) -> NDArray[np.intp]:
    """Count the spectra of each file from 0.

    Parameters
    ----------
    files : sequence of str
        The file of each of N spectra.

    Returns
    -------
    array of shape (N,)
        Rows.
    """
    counters: dict[str, Iterator[int]] = {file: count() for file in set(files)}
    return np.array([next(counters[file]) for file in files], np.intp)


def hits_of(
    found: NDArray[np.void],
    sources: NDArray[np.void],
    of_spectrum: NDArray[np.void],
    target: NDArray[np.void],
    search: SearchConfig,
) -> NDArray[np.void]:
    """Return the rows of hits.fits.

    Parameters
    ----------
    found : structured array of shape (H,)
        What the search found, as the matched filter measures it.
    sources : structured array of shape (H,)
        What it says of their sources.
    of_spectrum : structured array of shape (H,)
        The row of spectra.fits of each hit's spectrum.
    target : structured array of shape (H,)
        Its target.
    search : SearchConfig
        The search's name and method.

    Returns
    -------
    structured array of shape (H,)
        Rows of `speclens.schema.HITS`.
    """
    width = text_width(of_spectrum, "FILE")
    hits = np.zeros(len(found), dtype_of(HITS, FILE=width))
    for name in (
        "SURVEY", "SPECTRUM", *TARGET_IDS, "RA", "DEC", "FILE", "ROW", "Z", "PROBABILITY",
    ):  # fmt: skip
        hits[name] = of_spectrum[name]
    for name in ("VDISP", "VDISP_ERR", "MAG_I"):
        hits[name] = target[name]
    for name in ("SNR", "WAVE", "WAVE_ERR", "FLUX", "FLUX_ERR", "FWHM_KMS", "P_RED"):
        hits[name] = found[name]
    for name in sources.dtype.names or ():
        hits[name] = sources[name]
    hits["SEARCH"], hits["METHOD"], hits["CANDIDATE"] = search.name, search.method, True
    return hits


def failed_rows(error: SpectrumFileError, file: str, survey: str) -> ShardRows:
    """Return the rows of the spectra that are lost with a file.

    Parameters
    ----------
    error : SpectrumFileError
        Why; it knows the spectra, or not even how many they are.
    file : str
        The file.
    survey : str
        Its survey.

    Returns
    -------
    ShardRows
        At least one row; no hits.
    """
    targets = error.targets
    if targets is None:
        targets = survey_named(survey).target_of_name(file)
    spectra = rows_of(targets, [file] * len(targets), survey)
    spectra["REASON"], spectra["STATUS"] = error.reason, "failed"
    return ShardRows(spectra, np.zeros(0, dtype_of(HITS)), np.zeros(0, np.intp), [str(error)])


def failures_of(
    files: Sequence[str], rows: NDArray[np.integer], reasons: NDArray[np.str_]
) -> list[str]:
    """Name the spectra that failed one by one.

    Parameters
    ----------
    files : sequence of str
        The file of each of N spectra.
    rows : array of shape (N,)
        Its row there.
    reasons : array of shape (N,)
        Its reason code.

    Returns
    -------
    list of str
        A line for each file and reason, with the first rows.
    """
    failed: dict[tuple[str, str], list[int]] = {}
    for i in np.flatnonzero(status_of(reasons) == "failed").tolist():
        failed.setdefault((files[i], str(reasons[i])), []).append(int(rows[i]))
    texts = {reason.code: reason.text for reason in REASONS}
    return [
        f"{file}: {code}: row{'s' * (len(places) > 1)} {', '.join(map(str, places[:NAMED]))}"
        + (f" and {len(places) - NAMED} more" if places[NAMED:] else "")
        + f": {texts[code]}; look at it, or fetch the file again"
        for (file, code), places in failed.items()
    ]


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
        truth=_join_truth(parts),
        readings=joined_readings(parts),
    )


def joined_readings(parts: Sequence[ShardRows]) -> Readings:
    """Join what was weighed of hits that are joined.

    Parameters
    ----------
    parts : sequence of ShardRows
        The parts, in order.

    Returns
    -------
    Readings
        HIT counts the hits of all.
    """
    return Readings.joined([part.readings for part in parts], [len(part.hits) for part in parts])


def _join_truth(parts: Sequence[ShardRows]) -> NDArray[np.void] | None:
    """Join what was put into the spectra; nothing was put into those that could not be read."""
    dtype = next((part.truth.dtype for part in parts if part.truth is not None), None)
    if dtype is None:
        return None
    truths = [np.zeros(len(p.spectra), dtype) if p.truth is None else p.truth for p in parts]
    return np.concatenate(truths)


def _ascii(text: str) -> str:
    return text if text.isascii() else text.encode("ascii", "replace").decode()
