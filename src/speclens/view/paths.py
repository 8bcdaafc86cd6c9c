"""Paths of SVG through points, in whole tenths of a pixel.

In: places in pixels. Out: texts for the attribute `d` of a path.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

__all__ = ["TENTHS", "curve", "runs", "steps", "straight"]

TENTHS = 10
BEYOND = 1e5
"""Tenths of a pixel at which what lies far outside of a panel is drawn."""

Floats = NDArray[np.float64]


def runs(good: NDArray[np.bool_]) -> Iterator[slice]:
    """Find the runs of true values.

    Parameters
    ----------
    good : array of shape (L,)
        The values.

    Yields
    ------
    slice
        One run.
    """
    ends = np.flatnonzero(np.diff(np.concatenate([[False], good, [False]])))
    for start, stop in ends.reshape(-1, 2).tolist():
        yield slice(start, stop)


def curve(x: Floats, y: Floats) -> str:
    """Return the path of a curve through points.

    Parameters
    ----------
    x, y : array of shape (L,)
        Pixels; NaN leaves a gap.

    Returns
    -------
    str
        In tenths of a pixel.
    """
    good = np.isfinite(x) & np.isfinite(y)
    across, down = _tenths(x, good), _tenths(y, good)
    moves = _pairs(np.diff(across), np.diff(down))
    path = []
    for part in runs(good):
        path.append(f"M{across[part.start]} {down[part.start]}l")
        path.append(_written("%d %d ", moves, part).rstrip() or "1 0")
    return "".join(path)


def steps(x: Floats, y: Floats) -> str:
    """Return the path of a histogram.

    Parameters
    ----------
    x, y : array of shape (L,)
        Middle and height of each bar, pixels; NaN leaves a gap.

    Returns
    -------
    str
        In tenths of a pixel.
    """
    if len(x) < 2:
        return curve(x, y)
    good = np.isfinite(x) & np.isfinite(y)
    middle = 0.5 * (x[1:] + x[:-1])
    ends = np.concatenate([2 * x[:1] - middle[:1], middle, 2 * x[-1:] - middle[-1:]])
    edges, heights = _tenths(ends, np.isfinite(ends)), _tenths(y, good)
    widths = np.diff(edges)
    moves = _pairs(widths[:-1], np.diff(heights))
    path = []
    for part in runs(good):
        path.append(f"M{edges[part.start]} {heights[part.start]}")
        path.append(_written("h%dv%d", moves, part))
        path.append(f"h{widths[part.stop - 1]}")
    return "".join(path)


def straight(start: tuple[float, float], end: tuple[float, float]) -> str:
    """Return the path of a straight line.

    Parameters
    ----------
    start, end : (float, float)
        Its ends, pixels across and down; nothing is drawn where one is not a number.

    Returns
    -------
    str
        In tenths of a pixel.
    """
    places = (*start, *end)
    if not all(map(math.isfinite, places)):
        return ""
    x, y, to_x, to_y = (round(min(max(TENTHS * place, -BEYOND), BEYOND)) for place in places)
    return f"M{x} {y}l{to_x - x} {to_y - y}"


def _tenths(pixels: Floats, good: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Whole tenths of pixels, 0 where there is none."""
    inside = np.clip(TENTHS * np.where(good, pixels, 0), -BEYOND, BEYOND)
    return np.asarray(np.round(inside), np.int64)


def _pairs(across: NDArray[np.int64], down: NDArray[np.int64]) -> list[int]:
    return np.stack([across, down], axis=1).ravel().tolist()


def _written(template: str, moves: list[int], part: slice) -> str:
    """Write the moves between the points of a run, all at once: one by one takes twice as long."""
    chosen = moves[2 * part.start : 2 * (part.stop - 1)]
    return template * (len(chosen) // 2) % tuple(chosen)
