"""What came back of the sources and decoys that were put into a mock survey.

In: the survey's truth table, a run of it. Out: for every kind how many were put in, gave a hit, and
are candidates. A galaxy with many lines is found when any of them is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config
from speclens.evaluate.completeness import every_line, match_lines
from speclens.schema import INJECTED
from speclens.stored_tables import is_product, iterate_rows, read_rows

__all__ = ["OTHER", "TRUTH", "Recovery", "compare", "mock_surveys", "put_in", "targets_put_in"]

TRUTH = "truth.fits"
"""Name of the truth table in the folder of a mock survey."""

OTHER = "other"
"""Kind of a hit where nothing was put in."""


@dataclass(frozen=True)
class Recovery:
    """What came back of one kind of source or decoy.

    Parameters
    ----------
    kind : str
        Its kind.
    n_lines, n_scored, n_hits : int
        How many were put in, in spectra that were scored, and of those with a hit.
    n_candidates : int
        Hits that vetting left.
    n_bright, n_bright_hits : int
        Scored ones and hits, of a bright ideal signal-to-noise ratio (`evaluation.bright_snr`).
    """

    kind: str
    n_lines: int
    n_scored: int
    n_hits: int
    n_candidates: int
    n_bright: int
    n_bright_hits: int


def compare(
    surveys: Sequence[Path], output: Path, hits: NDArray[np.void], config: Config
) -> list[Recovery]:
    """Compare the hits of a run with the lines that were put in.

    Parameters
    ----------
    surveys : sequence of Path
        Folders of the mock surveys that were searched.
    output : Path
        The run.
    hits : structured array of shape (H,)
        Its rows of hits.fits.
    config : Config
        Says how near a hit must be.

    Returns
    -------
    list of Recovery
        One for each kind, and `other`: hits where nothing was put in.
    """
    truth = np.concatenate([read_rows(survey / TRUTH, INJECTED) for survey in surveys])
    parts = iterate_rows(output / "spectra.fits")
    scored = np.concatenate([part["TARGETID"][part["STATUS"] == "scored"] for part in parts])
    source, lines = every_line(truth)
    line, hit = _matched(lines, hits, config)
    found, candidate = np.zeros((2, len(truth)), bool)
    found[source[line]] = True
    candidate[source[line[hits["CANDIDATE"][hit]]]] = True
    scored = np.isin(truth["TARGETID"], scored)
    bright = scored & (truth["IDEAL_SNR"] > config.evaluation.bright_snr)
    kinds = list(dict.fromkeys(truth["KIND"].tolist()))
    recovered = [
        _recovery(kind, truth["KIND"] == kind, scored, bright, found, candidate) for kind in kinds
    ]
    other = np.setdiff1d(np.arange(len(hits)), hit)
    n_candidates = int(hits["CANDIDATE"][other].sum())
    return [*recovered, Recovery(OTHER, 0, 0, len(other), n_candidates, 0, 0)]


def mock_surveys(inputs: Sequence[str]) -> list[Path]:
    """Return those of a run's inputs that are mock surveys, and are still there.

    Parameters
    ----------
    inputs : sequence of str
        Files and folders that were searched.

    Returns
    -------
    list of Path
        Folders with a truth table.
    """
    return [Path(path) for path in inputs if is_product(Path(path) / TRUTH)]


def targets_put_in(inputs: Sequence[str]) -> NDArray[np.int64]:
    """Return the targets of mock surveys that hold a source or decoy already.

    Parameters
    ----------
    inputs : sequence of str
        Files and folders.

    Returns
    -------
    array of shape (N,)
        TARGETID.
    """
    tables = [read_rows(survey / TRUTH, INJECTED)["TARGETID"] for survey in mock_surveys(inputs)]
    return np.concatenate([np.zeros(0, np.int64), *tables])


def put_in(surveys: Sequence[Path], hits: NDArray[np.void], config: Config) -> NDArray[np.void]:
    """Say of each hit in mock surveys what was put in there.

    Parameters
    ----------
    surveys : sequence of Path
        Folders of the mock surveys.
    hits : structured array of shape (H,)
        Rows of hits.fits.
    config : Config
        Says how near a hit must be.

    Returns
    -------
    structured array of shape (H,)
        `speclens.schema.INJECTED`; where nothing was put in, KIND is `other` and no number is
        known.
    """
    truth = np.concatenate([read_rows(survey / TRUTH, INJECTED) for survey in surveys])
    source, lines = every_line(truth)
    line, hit = _matched(lines, hits, config)
    found = np.zeros(len(hits), truth.dtype)
    found["TARGETID"], found["KIND"] = hits["TARGETID"], OTHER
    for column in INJECTED:
        if column.dtype == "f8":
            found[column.name] = np.nan
    found[hit] = truth[source[line]]
    return found


def _matched(
    lines: NDArray[np.void], hits: NDArray[np.void], config: Config
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return lines and the hits at them, pair by pair: each search of a run may have its own."""
    of_lines, of_hits = [np.zeros(0, np.intp)], [np.zeros(0, np.intp)]
    for name in np.unique(hits["SEARCH"]):
        own = np.flatnonzero(hits["SEARCH"] == name)
        match = match_lines(lines, hits[own], config.evaluation.match_pixels)
        of_lines.append(np.flatnonzero(match >= 0))
        of_hits.append(own[match[match >= 0]])
    return np.concatenate(of_lines), np.concatenate(of_hits)


def _recovery(
    kind: str,
    of_kind: NDArray[np.bool_],
    scored: NDArray[np.bool_],
    bright: NDArray[np.bool_],
    found: NDArray[np.bool_],
    candidate: NDArray[np.bool_],
) -> Recovery:
    counts: Sequence[NDArray[np.bool_]] = (
        of_kind,
        of_kind & scored,
        of_kind & scored & found,
        of_kind & scored & candidate,
        of_kind & bright,
        of_kind & bright & found,
    )
    return Recovery(kind, *(int(count.sum()) for count in counts))
