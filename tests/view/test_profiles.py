"""The fitted line that is drawn is the one that the columns describe."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from scipy.stats import skewnorm

from speclens.lines import pixel_width_angstrom
from speclens.spectra import FittedSpectra, LogGrid
from speclens.view.close_up import ACCENT, DATA
from speclens.view.fitted import REST_RANGE, fitted_line
from speclens.view.panels import Panel
from speclens.view.profiles import draw_profiles

Maker = Callable[..., Any]


@pytest.mark.parametrize("dispersion", [0.0, 1.1])
@pytest.mark.parametrize("skewness", [-2.0, 0.0, 6.0])
def test_its_flux_its_mean_and_its_width_are_the_columns(
    make_hits: Maker, dispersion: float, skewness: float
) -> None:
    row = make_hits(1)[0]
    row["SKEWNESS"], row["FIT_WAVE"], row["LYA_FLUX"], row["CONTINUUM"] = skewness, 4312.7, 21, 0
    wave = LogGrid.covering(4200, 4430).wave
    line = fitted_line(row, wave, dispersion) * pixel_width_angstrom(wave)
    assert line.sum() == pytest.approx(21, rel=1e-5)
    mean = (line * wave).sum() / 21
    assert mean == pytest.approx(4312.7, abs=0.02)
    pixel = pixel_width_angstrom(4312.7)
    variance = 2.4**2 * skewnorm.var(skewness) + (dispersion**2 + 1 / 12) * pixel**2
    assert (line * (wave - mean) ** 2).sum() / 21 == pytest.approx(variance, rel=0.01)


def test_it_stands_on_its_horizontal_line(make_hits: Maker) -> None:
    row = make_hits(1)[0]
    row["FIT_WAVE"], row["CONTINUUM"] = 4300, 0.25
    assert fitted_line(row, np.array([4000.0]), 1.1) == pytest.approx(0.25)


@pytest.mark.parametrize("name", ["FIT_WAVE", "WIDTH", "SKEWNESS"])
def test_what_was_not_fitted_is_no_line(make_hits: Maker, name: str) -> None:
    row = make_hits(1)[0]
    row[name] = np.nan
    assert np.isnan(fitted_line(row, np.linspace(4000, 4100, 5), 1.0)).all()


def single(spectra: FittedSpectra) -> list[FittedSpectra]:
    return [spectra[[k]] for k in range(len(spectra))]


def drawn(path: Path, rows: Any, spectra: FittedSpectra) -> list[str]:
    """Draw the lines; return what is written."""
    draw_profiles(path, rows, single(spectra))
    root = ElementTree.fromstring(path.read_text())  # noqa: S314 - our own
    return [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]


def test_the_brightest_comes_first_and_masked_pixels_are_gaps(
    tmp_path: Path, curves: list[Any],
    make_hits: Maker, make_candidates: Maker, make_spectra: Maker,
) -> None:  # fmt: skip
    rows = make_candidates(make_hits(3))
    rows["FLUX"] = [12, 40, 25]
    rows["NAME"] = [r"<$\foo$", "second", "third"]
    spectra = make_spectra(rows)
    masked = int(spectra.grid.pixel(rows["WAVE"][1])) + 3
    spectra.ivar[1, masked] = 0
    said = drawn(tmp_path / "profiles.svg", rows, spectra)
    assert [text for text in said if text in rows["NAME"]] == ["second", "third", r"<$\foo$"]
    data = next(curve for curve in curves if curve.color == DATA)
    rest = spectra.grid.wave[masked] / (1 + rows["Z_SOURCE"][1])
    assert data.x[np.isnan(data.y)] == pytest.approx([rest])
    assert REST_RANGE[0] < data.x.min() < data.x.max() < REST_RANGE[1]


def test_figure_7_shows_each_line_with_its_error_and_its_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, curves: list[Any],
    make_hits: Maker, make_candidates: Maker, make_spectra: Maker,
) -> None:  # fmt: skip
    bands: list[Any] = []
    monkeypatch.setattr(Panel, "band", lambda _, *curves: bands.append(curves))
    rows = make_candidates(make_hits(2))
    rows["FLUX"] = [9, 30]
    rows["FIT_STATUS"][1], rows["SKEWNESS_LOW"][1], rows["SKEWNESS_HIGH"][1] = "at_bound", 2.25, 25
    rows["SKEWNESS_LOW"][0], rows["SKEWNESS_HIGH"][0] = 2, 4.5
    spectra = make_spectra(rows)
    said = drawn(tmp_path / "profiles.svg", rows, spectra)
    of_color = ([c for c in curves if c.color == color] for color in (DATA, ACCENT))
    for data, fit, band, k in zip(*of_color, bands, (1, 0), strict=True):
        stretch = 1 + rows["Z_SOURCE"][k]
        near = np.isclose(spectra.grid.wave[:, None], data.x * stretch, rtol=1e-9).any(axis=1)
        np.testing.assert_allclose(data.y, spectra.residual[k][near])
        np.testing.assert_allclose(fit.y, fitted_line(rows[k], fit.x * stretch, 1.05), atol=1e-6)
        assert np.ptp(fit.y) > 3 * 0.3
        np.testing.assert_allclose(fit.x[[0, -1]], REST_RANGE)
        assert data.panel.xlim == REST_RANGE
        np.testing.assert_array_equal(band[0], data.x)
        np.testing.assert_allclose(band[1:3], [data.y - 0.3, data.y + 0.3], atol=1e-4)
        assert f"z = {rows['Z_SOURCE'][k]:.3f}" in said
    assert said.index("> 2.2") < said.index("3.1 \u00b1 1.2")
    assert any("(\u00c5)" in label for label in said)
    assert any("erg s" in label for label in said)


@pytest.mark.parametrize("n", [1, 5])
def test_spectra_without_a_good_pixel_are_drawn(
    tmp_path: Path, make_hits: Maker, make_candidates: Maker, make_spectra: Maker, n: int
) -> None:
    rows = make_candidates(make_hits(n))
    spectra = make_spectra(rows)
    spectra.ivar[0] = 0
    spectra.flux[0] = np.nan
    rows["SKEWNESS"][0] = np.nan
    said = drawn(tmp_path / "profiles.svg", rows, spectra)
    assert said.count("skewness") == n
    # Of each column the last panel has the numbers of the axis.
    assert said.count("1215") == min(n, 4)
