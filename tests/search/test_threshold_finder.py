"""The threshold finder of specutils: pixels above the noise are hits, and it may be missing."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

from speclens.config import load_config
from speclens.errors import RunError
from speclens.sample.preparation import PreparedSpectra
from speclens.search.matched_filter import MatchedFilter
from speclens.search.threshold_finder import ThresholdFinder
from speclens.spectra import LogGrid

CONFIG = load_config(None, ["search.method=specutils"])
GRID = LogGrid.covering(3800.0, 5000.0)


def prepared(residual: np.ndarray, ivar: np.ndarray) -> PreparedSpectra:
    n, flat = len(residual), np.zeros(residual.shape, np.float32)
    return PreparedSpectra(
        GRID, residual, ivar, flat, flat + 1, np.zeros(n, "U24"), np.zeros(n, np.int32),
        np.ones(n, np.float32), np.ones(n, np.float32), np.full(n, 0.5),
    )  # fmt: skip


def test_without_specutils_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(RunError, match=r'pip install "\.\[specutils\]"'):
        ThresholdFinder(CONFIG, MatchedFilter(GRID, CONFIG.matched_filter))


def test_pixels_above_the_noise_are_hits(rng: np.random.Generator) -> None:
    pytest.importorskip("specutils")
    residual = rng.normal(size=(3, GRID.n_pixels)).astype(np.float32).clip(-4, 4)
    ivar = np.ones_like(residual)
    residual[0, [300, 301, 302, 900]] = 7, 9, 7, -9  # a line, and one in absorption
    residual[1, 500], ivar[1, 500] = 0, 0  # a masked pixel
    residual[2, 100:1000:100] = 8  # too many to be believed
    matched_filter = MatchedFilter(GRID, CONFIG.matched_filter)
    spectra = prepared(residual, ivar)
    filtered = matched_filter.search(residual, ivar)
    found = ThresholdFinder(CONFIG, matched_filter)(spectra, filtered)
    assert found.hits["ROW"].tolist() == [0]
    assert found.hits["WAVE"] == pytest.approx([GRID.wave[301]])
    assert found.hits["SNR"] == pytest.approx([9.0])
    assert found.many_hits.tolist() == [False, False, True]
