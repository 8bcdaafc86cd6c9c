"""Paths pass through their points, and axes have round numbers."""

from __future__ import annotations

import re

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.view.panels import ticks
from speclens.view.paths import curve, runs, steps, straight

NAN = np.nan


def points(path: str) -> list[list[tuple[int, int]]]:
    """Corners of each part of a path, tenths of a pixel."""
    parts = []
    for part in path.split("M")[1:]:
        x, y = map(int, re.match(r"(-?\d+) (-?\d+)", part).groups())  # type: ignore[union-attr]
        corners = [(x, y)]
        rest = re.sub(r"^-?\d+ -?\d+", "", part)
        for command, numbers in re.findall(r"([lhv])([-\d ]+)", rest):
            values = list(map(int, numbers.split()))
            moves = {
                "l": list(zip(values[::2], values[1::2], strict=False)),
                "h": [(values[0], 0)],
                "v": [(0, values[0])],
            }[command]
            for across, down in moves:
                x, y = x + across, y + down
                corners.append((x, y))
        parts.append(corners)
    return parts


def test_a_curve_passes_through_its_points_and_leaves_gaps(rng: np.random.Generator) -> None:
    x, y = np.cumsum(rng.uniform(0.1, 3, 60)), rng.normal(50, 30, 60)
    y[[10, 11, 40]] = NAN
    parts = points(curve(x, y))
    expected = [slice(0, 10), slice(12, 40), slice(41, 60)]
    assert len(parts) == 3
    for part, where in zip(parts, expected, strict=True):
        np.testing.assert_array_equal(part, np.round(10 * np.stack([x[where], y[where]], 1)))


def test_a_straight_line_is_the_curve_through_its_ends() -> None:
    for start, end in (((0.25, 7), (33.35, 2)), ((-4e9, 1.25), (3, 1.35)), ((NAN, 3), (NAN, 4))):
        both = zip(start, end, strict=True)
        assert straight(start, end) == curve(*(np.array(pair, float) for pair in both))


def test_a_pixel_between_gaps_is_seen() -> None:
    assert len(points(curve(np.arange(3.0), np.array([NAN, 5.0, NAN])))[0]) == 2
    assert points(steps(np.arange(3.0), np.array([NAN, 5.0, NAN]))) == [[(5, 50), (15, 50)]]


def test_steps_have_the_width_of_their_pixels() -> None:
    x, y = np.array([0.0, 2.0, 4.0, 6.0]), np.array([1.0, 3.0, NAN, 2.0])
    assert points(steps(x, y)) == [
        [(-10, 10), (10, 10), (10, 30), (30, 30)],
        [(50, 20), (70, 20)],
    ]


def test_what_lies_far_outside_is_drawn_outside() -> None:
    (corners,) = points(curve(np.arange(3.0), np.array([0.0, 1e300, -1e300])))
    assert [y for _, y in corners] == [0, 100_000, -100_000]


@pytest.mark.parametrize("n", [0, 1, 2])
def test_nothing_and_little_are_paths(n: int) -> None:
    x: NDArray[np.float64] = np.arange(float(n))
    assert len(points(curve(x, x))) == len(points(steps(x, x))) == min(n, 1)


def test_runs_are_found() -> None:
    found = [(part.start, part.stop) for part in runs(np.array([1, 0, 0, 1, 1, 1], bool))]
    assert found == [(0, 1), (3, 6)]


@pytest.mark.parametrize(
    ("ends", "n", "expected"),
    [
        ((0.0, 1.0), 4, ["0.00", "0.25", "0.50", "0.75", "1.00"]),
        ((3560.0, 10390.0), 14, [f"{w}" for w in range(4000, 10001, 500)]),
        ((-4.5, 4.5), 4, ["-2.5", "0.0", "2.5"]),
        ((-0.3, 0.3), 3, ["-0.2", "0.0", "0.2"]),
        ((0.0, 2e9), 2, ["0.0e+00", "1.0e+09", "2.0e+09"]),
        ((1.0, 2.0), 0, []),
    ],
)
def test_ticks_are_round_numbers(ends: tuple[float, float], n: int, expected: list[str]) -> None:
    found = ticks(ends, n)
    assert [text for _, text in found] == expected
    assert [value for value, _ in found] == pytest.approx([float(text) for text in expected])
