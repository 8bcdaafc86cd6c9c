"""Hits by wavelength are drawn with the limit that Shu et al. 2016 give."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from speclens.config import Config
from speclens.report.density import draw_density, limit_of
from speclens.schema import vet_bits

Maker = Callable[..., Any]


def test_the_limit_is_the_median_plus_some_roots_of_it(default_config: Config) -> None:
    counts = np.full(300, 9)
    counts[150] = 80
    assert limit_of(counts, default_config.vet) == pytest.approx(
        9 + 3 * default_config.vet.dense_max
    )
    assert limit_of(np.zeros(300, int), default_config.vet) == pytest.approx(
        1 + default_config.vet.dense_max
    )


def drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hits: Any, config: Config) -> Figure:
    figures: list[Figure] = []
    monkeypatch.setattr("speclens.report.density.save_figure", lambda f, _: figures.append(f))
    draw_density(tmp_path / "density.png", hits, config.vet)
    return figures[0]


def test_bins_with_flagged_hits_are_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_hits: Maker, default_config: Config
) -> None:
    hits = make_hits(150)
    hits["WAVE"][:20] = 4046.6
    hits["VET_FLAGS"][:20] = vet_bits(["DENSE_OBSERVED"])
    observed, rest = drawn(tmp_path, monkeypatch, hits, default_config).axes
    counts, marked, _ = (patch.get_data() for patch in observed.patches)
    assert counts.values.sum() == 150
    assert marked.values.max() == marked.values.sum() == counts.values.max() >= 20
    place = np.argmax(marked.values)
    assert marked.edges[place] <= 4046.6 < marked.edges[place + 1]
    assert rest.patches[1].get_data().values.sum() == 0


@pytest.mark.parametrize("n", [0, 1, 30])
def test_too_few_hits_for_the_test_are_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    make_hits: Maker, default_config: Config, n: int,
) -> None:  # fmt: skip
    hits = make_hits(n)
    hits["DENSE_OBSERVED"] = hits["DENSE_REST"] = np.nan
    for axes in drawn(tmp_path, monkeypatch, hits, default_config).axes:
        assert axes.get_title(loc="right") == f"too few hits for the test: {n}, at least 100"
        assert len(axes.patches) == (n > 0)
