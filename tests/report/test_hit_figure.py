"""A candidate's figure is drawn whatever its spectrum holds, in little time and few bytes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.config import Config
from speclens.report.candidate_figure import OII_COLUMNS, draw_candidate
from speclens.report.panels import Panel, Sheet
from speclens.spectra import FittedSpectra

Maker = Callable[..., Any]


@pytest.fixture
def case(
    make_hits: Maker, make_candidates: Maker, make_spectra: Maker
) -> tuple[NDArray[np.void], FittedSpectra, FittedSpectra]:
    rows = make_candidates(make_hits(1))
    return rows, make_spectra(rows), make_spectra(rows, 3560, 10390)


def draw(path: Path, case: Any, config: Config) -> NDArray[np.float32]:
    rows, window, whole = case
    draw_candidate(path, rows[0], window, whole, config.vet)
    return np.asarray(matplotlib.image.imread(path))


def test_it_is_small_and_soon_drawn(tmp_path: Path, case: Any, default_config: Config) -> None:
    path = tmp_path / "c.png"
    draw(path, case, default_config)
    start = time.process_time()
    draw(path, case, default_config)
    # A tenth of a second on an idle core; matplotlib's own axes take five times as long.
    assert time.process_time() - start < 0.3
    assert path.stat().st_size < 120_000


def test_masked_pixels_are_gaps_and_not_zeros(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: Any, default_config: Config
) -> None:
    lines: list[tuple[Any, Any]] = []
    monkeypatch.setattr(Panel, "line", lambda _, x, y, **__: lines.append((x, y)))
    _, window, whole = case
    window.ivar[0, 200:230] = 0
    whole.ivar[0, 3000:3040] = 0
    draw(tmp_path / "c.png", case, default_config)
    by_length = {len(y): np.isnan(y) for _, y in lines if len(y) > 1000}
    assert np.flatnonzero(by_length[len(window.flux[0])]).tolist() == list(range(200, 230))
    assert np.flatnonzero(by_length[len(whole.flux[0])]).tolist() == list(range(3000, 3040))


@pytest.mark.parametrize("fault", ["masked", "nan", "nothing fitted", "no position", "one pixel"])
def test_g8_odd_spectra_are_drawn(
    tmp_path: Path, case: Any, default_config: Config, fault: str
) -> None:
    rows, window, whole = case
    for spectrum in (window, whole):
        if fault in ("masked", "one pixel"):
            spectrum.ivar[:] = 0
        if fault == "one pixel":
            spectrum.ivar[0, 500] = 4
        if fault == "nan":
            spectrum.flux[:] = np.nan
            spectrum.model[:] = np.nan
    if fault == "nothing fitted":
        for name in rows.dtype.names:
            if rows.dtype[name].kind == "f" and name not in ("WAVE", "Z", "Z_SOURCE"):
                rows[name] = np.nan
    if fault == "no position":
        for name in ("WAVE", "Z", "Z_SOURCE", "Z_OII"):
            rows[name] = np.nan
    image = draw(tmp_path / "c.png", case, default_config)
    assert image.std() > 0.02


def test_g1_names_are_drawn_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: Any, default_config: Config
) -> None:
    said: list[str] = []
    write = Sheet.write

    def listen(self: Sheet, x: float, y: float, text: str, *rest: Any, **more: Any) -> None:
        said.append(text)
        write(self, x, y, text, *rest, **more)

    monkeypatch.setattr(Sheet, "write", listen)
    case[0]["NAME"] = "$\\foo$ \u202e\u4e2d\n<b>"
    draw(tmp_path / "c.png", case, default_config)
    assert any(text.startswith("$\\foo$ ???<b>") for text in said)


def test_the_lines_of_an_oii_emitter_are_drawn_where_they_would_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: Any, default_config: Config
) -> None:
    rows, _, whole = case
    rows["WAVE"] = 4000.0
    rows["Z_OII"] = z = 4000 / 3728.48 - 1
    for line in default_config.vet.oii_companions:
        whole.flux[0, round(float(whole.grid.pixel(line.wave * (1 + z))))] += 50
    lines: list[tuple[Any, Any]] = []
    monkeypatch.setattr(Panel, "line", lambda _, x, y, **__: lines.append((x, y)))
    draw(tmp_path / "c.png", case, default_config)
    peaks = [x[np.argmax(y)] for x, y in lines if len(y) and np.nanmax(y) > 40 and len(y) < 60]
    assert len(peaks) == len(OII_COLUMNS)
    assert np.abs(peaks).max() < 40
