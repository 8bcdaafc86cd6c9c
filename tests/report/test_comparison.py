"""Figures that compare: drawn whole, whichever bins are empty."""

from __future__ import annotations

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from speclens.report.comparison import RecoveredLines, draw_recovery


def recovered(n_lines: int, rng: np.random.Generator) -> RecoveredLines:
    skewness = rng.choice([0.0, 1.0, 3.0, 8.0], n_lines)
    found = np.clip(skewness + 3 * rng.standard_normal(n_lines), -25, 25)
    flux = np.exp(rng.uniform(1, 5, n_lines))
    return RecoveredLines(
        rng.uniform(5, 60, n_lines), flux, flux * 1.1, skewness, found, found - 3, found + 3
    )


@pytest.mark.parametrize("n_lines", [1, 300])
def test_few_lines_and_many_are_drawn(
    tmp_path: Path, rng: np.random.Generator, n_lines: int
) -> None:
    path = tmp_path / "recovery.png"
    draw_recovery(path, recovered(n_lines, rng), (6.0, 20.0))
    image = matplotlib.image.imread(path)
    assert image[..., :3].std() > 0.02


def test_a_line_that_could_not_be_fitted_is_left_out(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    lines = recovered(50, rng)
    lines.flux[:10] = np.median(lines.flux)  # no end of an axis
    draw_recovery(tmp_path / "without.png", lines[np.arange(50) >= 10], (6.0, 20.0))
    for values in (lines.found, lines.low, lines.high, lines.found_flux):
        values[:10] = np.nan
    draw_recovery(tmp_path / "with.png", lines, (6.0, 20.0))
    assert (tmp_path / "with.png").read_bytes() == (tmp_path / "without.png").read_bytes()
