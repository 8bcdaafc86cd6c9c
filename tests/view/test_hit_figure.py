"""A hit's figure shows what its spectrum holds, whatever that is, and no curve reaches a label."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.config import Config
from speclens.hypotheses import OII
from speclens.lines import LYMAN_ALPHA
from speclens.spectra import FittedSpectra
from speclens.vet.reasons import OII_COLUMNS
from speclens.view import hit_figure
from speclens.view.fitted import fitted_line
from speclens.view.hit_figure import FIGURE_SIZE, THUMBNAIL_SIZE, draw_hit, thumbnail
from speclens.view.panels import Sheet

Maker = Callable[..., Any]
SVG = "{http://www.w3.org/2000/svg}"
PLACES = ("WHOLE", "WINDOW", "LINE", "RESIDUAL")


@pytest.fixture
def case(
    make_hits: Maker, make_spectra: Maker
) -> tuple[NDArray[np.void], FittedSpectra, FittedSpectra]:
    rows = make_hits(1)
    return rows, make_spectra(rows), make_spectra(rows, 3560, 10390)


def draw(path: Path, case: Any, config: Config) -> ElementTree.Element:
    rows, window, whole = case
    draw_hit(path, rows[0], window, whole, config.vet)
    return ElementTree.fromstring(path.read_text())  # noqa: S314 - our own


def texts(root: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{SVG}text")]


def test_it_is_small_and_soon_drawn(tmp_path: Path, case: Any, default_config: Config) -> None:
    path = tmp_path / "c.svg"
    draw(path, case, default_config)
    start = time.process_time()
    for _ in range(5):
        draw(path, case, default_config)
    # A hundredth of a second on an idle core.
    assert time.process_time() - start < 0.5
    assert path.stat().st_size < 120_000


def test_spectrum_foreground_and_fit_are_drawn_as_they_are(
    tmp_path: Path, case: Any, curves: list[Any], default_config: Config
) -> None:
    (row,), window, whole = case
    draw(tmp_path / "c.svg", case, default_config)
    long = [curve for curve in curves if len(curve.x) > 1000]
    np.testing.assert_array_equal(long[1].y, whole.model[0])
    np.testing.assert_array_equal(long[2].y, window.flux[0])
    np.testing.assert_array_equal(long[3].y, window.model[0])
    for curve in long[:2]:
        np.testing.assert_array_equal(curve.x, whole.grid.wave)
    (fit,) = [curve for curve in curves if curve.color == hit_figure.ACCENT and len(curve.x) > 2]
    stretch = 1 + row["Z_SOURCE"]
    np.testing.assert_allclose(fit.y, fitted_line(row, fit.x * stretch, 1.05), atol=1e-6)
    assert abs(fit.x[np.argmax(fit.y)] - LYMAN_ALPHA) < 2
    # Flux and fit are within the panel, and the residual over its error is what is left.
    assert fit.panel.ylim[0] < fit.y.min() < fit.y.max() < fit.panel.ylim[1]
    pulls = next(c for c in curves if c.panel.ylim == (-4.5, 4.5) and len(c.x) > 2)
    assert np.nanstd(pulls.y) == pytest.approx(1, abs=0.2)


def test_masked_pixels_are_gaps_and_not_zeros(
    tmp_path: Path, case: Any, curves: list[Any], default_config: Config
) -> None:
    _, window, whole = case
    window.ivar[0, 200:230] = 0
    whole.ivar[0, 3000:3040] = 0
    root = draw(tmp_path / "c.svg", case, default_config)
    for n, gap in ((len(window.flux[0]), range(200, 230)), (len(whole.flux[0]), range(3000, 3040))):
        for curve in (curve for curve in curves if len(curve.y) == n):
            assert np.flatnonzero(np.isnan(curve.y)).tolist() == list(gap)
    paths = [e.get("d", "") for e in root.iter(f"{SVG}path") if e.get("stroke") == hit_figure.DATA]
    assert [path.count("M") for path in paths[:2]] == [2, 2]


def test_every_axis_has_a_label_with_its_unit(
    tmp_path: Path, case: Any, default_config: Config
) -> None:
    said = texts(draw(tmp_path / "c.svg", case, default_config))
    assert said.count(hit_figure.FLUX_LABEL) == 4
    assert said.count(hit_figure.WAVE_LABEL) == 2
    assert said.count("velocity (km/s)") == len(OII_COLUMNS)
    assert said.count("\u03c3") == 1
    assert not [text for text in said if re.search(r"\d A\b|Angstrom", text)]


def test_labels_stand_outside_of_where_curves_are_drawn(
    tmp_path: Path, case: Any, default_config: Config
) -> None:
    case[2].flux[0] *= 50  # noise that would run over everything
    root = draw(tmp_path / "c.svg", case, default_config)
    boxes = [
        [float(box.get(key, "nan")) for key in ("x", "y", "width", "height")]
        for box in root.iter(f"{SVG}svg")
        if box is not root
    ]
    assert len(boxes) == len(PLACES) + len(OII_COLUMNS)
    for text in root.iter(f"{SVG}text"):
        x, y = float(text.get("x", "nan")), float(text.get("y", "nan"))
        assert 0 < x < FIGURE_SIZE[0]
        assert 0 < y < FIGURE_SIZE[1]
        for left, top, width, height in boxes:
            assert not (left < x < left + width and top < y < top + height), text.text
    # What is drawn is within these boxes, which cut it off; nothing else is a curve.
    assert len(root.findall(f"{SVG}path")) == len(boxes)


def damage(spectrum: FittedSpectra, fault: str) -> None:
    if fault in ("masked", "one pixel"):
        spectrum.ivar[:] = 0
    if fault == "one pixel":
        spectrum.ivar[0, 500] = 4
    if fault in ("nan", "inf"):
        spectrum.flux[:] = spectrum.model[:] = np.float32(fault)
    if fault == "huge":
        spectrum.flux[0, ::7], spectrum.model[0, ::7] = 3e38, -3e38
    if fault == "dispersion":
        spectrum.dispersion[:] = np.inf


@pytest.mark.parametrize(
    "fault",
    ["masked", "nan", "inf", "huge", "nothing fitted", "no position", "one pixel", "dispersion"],
)
@pytest.mark.filterwarnings("error")
def test_g8_odd_spectra_are_drawn(
    tmp_path: Path, case: Any, default_config: Config, fault: str
) -> None:
    rows, window, whole = case
    for spectrum in (window, whole):
        damage(spectrum, fault)
    if fault == "nothing fitted":
        for name in rows.dtype.names:
            if rows.dtype[name].kind == "f" and name not in ("WAVE", "Z", "Z_SOURCE"):
                rows[name] = np.nan
    if fault == "no position":
        for name in ("WAVE", "Z", "Z_SOURCE", "Z_OII", "RA", "DEC"):
            rows[name] = np.nan
    root = draw(tmp_path / "c.svg", case, default_config)
    assert len(list(root.iter(f"{SVG}svg"))) == 9
    markup = (tmp_path / "c.svg").read_text()
    assert not re.search(r"[^a-z](nan|inf)[^a-z]", markup)
    line = thumbnail(rows[0], window)
    assert "nan" not in line.residual + line.fit


def test_g1_names_are_drawn_as_they_are(tmp_path: Path, case: Any, default_config: Config) -> None:
    case[0]["NAME"] = "$\\foo$\u202e\u4e2d</text><b>&"
    root = draw(tmp_path / "c.svg", case, default_config)
    assert any(text.startswith("$\\foo$\\u202e\u4e2d</text><b>&") for text in texts(root))
    assert {element.tag.removeprefix(SVG) for element in root.iter()} == {
        "svg", "rect", "path", "text",
    }  # fmt: skip


def test_the_lines_of_an_oii_emitter_are_drawn_where_they_would_be(
    tmp_path: Path, case: Any, curves: list[Any], default_config: Config
) -> None:
    rows, _, whole = case
    rows["WAVE"] = 4000.0
    rows["Z_OII"] = z = 4000 / 3728.48 - 1
    for line in OII.companions:
        whole.flux[0, round(float(whole.grid.pixel(line.wave * (1 + z))))] += 50
    draw(tmp_path / "c.svg", case, default_config)
    peaks = [c.x[np.argmax(c.y)] for c in curves if np.nanmax(c.y) > 40 and 2 < len(c.y) < 60]
    assert len(peaks) == len(OII_COLUMNS)
    assert np.abs(peaks).max() < 40


def test_the_thumbnail_holds_the_line_in_its_middle(case: Any) -> None:
    (row,), window, _ = case
    drawn = thumbnail(row, window)
    start, *moves = re.findall(r"M(\d+) (-?\d+)|h(-?\d+)|v(-?\d+)", drawn.residual)
    x, y = int(start[0]), int(start[1])
    corners = []
    for _, _, across, down in moves:
        x, y = x + int(across or 0), y + int(down or 0)
        corners.append((x, y))
    assert all(0 <= x <= THUMBNAIL_SIZE[0] and 0 <= y <= THUMBNAIL_SIZE[1] for x, y in corners)
    top = min(corners, key=lambda corner: corner[1])
    assert abs(top[0] - THUMBNAIL_SIZE[0] / 2) < 10
    assert drawn.fit.count("M") == 1


def test_a_sheet_keeps_what_was_written(tmp_path: Path) -> None:
    sheet = Sheet(10, 20)
    sheet.write(1, 2, "a < b")
    sheet.save(tmp_path / "s.svg")
    root = ElementTree.fromstring((tmp_path / "s.svg").read_text())  # noqa: S314 - our own
    assert root.get("viewBox") == "0 0 10 20"
    assert texts(root) == ["a < b"]
