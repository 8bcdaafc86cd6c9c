"""How far a source came: found, left by vetting, among the first candidates.

In: rows of lines.fits. Out: for each level which sources reached it, and their completeness in bins
of what they and their spectra are like.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from speclens.evaluate.completeness import wilson_interval
from speclens.evaluate.false_hits import score_of
from speclens.schema import COMPLETENESS, dtype_of

__all__ = ["LEVELS", "QUANTITIES", "completeness_table", "each_kind", "reached", "set_ranks"]

LEVELS = ("hit", "candidate", "top")

QUANTITIES = ("FLUX", "WAVE", "Z", "Z_SOURCE", "WIDTH", "IDEAL_ERR", "FOREGROUND", "IDEAL_SNR")
"""Columns of lines.fits by which completeness is told."""

Rows = NDArray[np.void]


def set_ranks(lines: Rows, candidates: Rows) -> None:
    """Rank each candidate as if it were one more of those of the spectra as they are.

    Parameters
    ----------
    lines : structured array of shape (N,)
        Rows of lines.fits; RANK is filled in.
    candidates : structured array
        The candidates of the spectra as they are, with P_HYPOTHESIS and P_LENSED.
    """
    others = np.sort(score_of(candidates))
    above = len(others) - np.searchsorted(others, score_of(lines), "right")
    lines["RANK"] = np.where(lines["CANDIDATE"], above + 1, 0)


def reached(lines: Rows, top: int) -> Mapping[str, NDArray[np.bool_]]:
    """Say which sources reached each level.

    Parameters
    ----------
    lines : structured array of shape (N,)
        Rows of lines.fits.
    top : int
        The last rank of the top.

    Returns
    -------
    mapping of str to array of shape (N,)
        By `LEVELS`.
    """
    candidate = lines["FOUND"] & lines["CANDIDATE"]
    levels = (lines["FOUND"], candidate, candidate & (lines["RANK"] <= top))
    return dict(zip(LEVELS, levels, strict=True))


def each_kind(lines: Rows) -> list[tuple[str, str, Rows]]:
    """Part the sources whose wavelength is not masked by search and kind.

    Parameters
    ----------
    lines : structured array of shape (N,)
        Rows of lines.fits.

    Returns
    -------
    list of (str, str, structured array)
        Name of the search, kind, and its rows.
    """
    seen = lines[lines["SEARCHED"]]
    pairs = dict.fromkeys(zip(seen["SEARCH"].tolist(), seen["KIND"].tolist(), strict=True))
    return [
        (search, kind, seen[(seen["SEARCH"] == search) & (seen["KIND"] == kind)])
        for search, kind in pairs
    ]


def completeness_table(lines: Rows, n_bins: int, top: int) -> Rows:
    """Count what came back in bins of each quantity.

    Parameters
    ----------
    lines : structured array of shape (N,)
        Rows of lines.fits.
    n_bins : int
        Bins of a quantity, equally full.
    top : int
        The last rank of the top.

    Returns
    -------
    structured array
        `speclens.schema.COMPLETENESS`.
    """
    parts = [np.zeros(0, dtype_of(COMPLETENESS))]
    for search, kind, own in each_kind(lines):
        for quantity in QUANTITIES:
            edges = _edges(own[quantity], n_bins)
            n_lines = np.histogram(own[quantity], edges)[0]
            for level, back in reached(own, top).items():
                rows = np.zeros(len(n_lines), dtype_of(COMPLETENESS))
                rows["SEARCH"], rows["KIND"], rows["LEVEL"] = search, kind, level
                rows["QUANTITY"], rows["LOW"], rows["HIGH"] = quantity, edges[:-1], edges[1:]
                rows["N_LINES"] = n_lines
                rows["N_BACK"] = n_back = np.histogram(own[quantity][back], edges)[0]
                rows["COMPLETENESS"] = n_back / np.maximum(n_lines, 1)
                low, high = wilson_interval(n_back, n_lines)
                rows["COMPLETENESS_LOW"], rows["COMPLETENESS_HIGH"] = low, high
                parts.append(rows[n_lines > 0])
    return np.concatenate(parts)


def _edges(values: NDArray[np.floating], n_bins: int) -> NDArray[np.float64]:
    """Return the ends of bins that are equally full."""
    known = np.asarray(values[np.isfinite(values)], np.float64)
    if not len(known):
        return np.array([0.0, 1.0])
    edges = np.unique(np.quantile(known, np.linspace(0, 1, n_bins + 1)))
    return edges if len(edges) > 1 else np.array([edges[0], np.nextafter(edges[0], np.inf)])
