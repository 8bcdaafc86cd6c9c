"""The fitted line that is drawn is the one that the columns describe."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy.stats import skewnorm

from speclens.lines import pixel_width_angstrom
from speclens.spectra import FittedSpectra, LogGrid
from speclens.view.fitted import REST_RANGE, fitted_line
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


def drawn_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: Any, spectra: Any
) -> Figure:
    drawn: list[Figure] = []
    monkeypatch.setattr("speclens.view.profiles.save_figure", lambda f, _: drawn.append(f))
    draw_profiles(tmp_path / "profiles.png", rows, single(spectra))
    return drawn[0]


def test_the_brightest_comes_first_and_masked_pixels_are_gaps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    make_hits: Maker, make_candidates: Maker, make_spectra: Maker,
) -> None:  # fmt: skip
    rows = make_candidates(make_hits(3))
    rows["FLUX"] = [12, 40, 25]
    rows["NAME"] = [r"$\foo$", "second", "third"]
    spectra = make_spectra(rows)
    masked = int(spectra.grid.pixel(rows["WAVE"][1])) + 3
    spectra.ivar[1, masked] = 0
    figure = drawn_figure(tmp_path, monkeypatch, rows, spectra)
    titles = [axes.get_title(loc="left") for axes in figure.axes[:3]]
    assert titles == ["second", "third", r"$\foo$"]
    x, y = (np.asarray(v) for v in figure.axes[0].lines[0].get_data())
    rest = spectra.grid.wave[masked] / (1 + rows["Z_SOURCE"][1])
    assert x[np.isnan(y)] == pytest.approx([rest])
    assert REST_RANGE[0] < x.min() < x.max() < REST_RANGE[1]


def test_figure_7_shows_each_line_with_its_error_and_its_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    make_hits: Maker, make_candidates: Maker, make_spectra: Maker,
) -> None:  # fmt: skip
    rows = make_candidates(make_hits(2))
    rows["FLUX"] = [9, 30]
    rows["FIT_STATUS"][1], rows["SKEWNESS_LOW"][1], rows["SKEWNESS_HIGH"][1] = "at_bound", 2.25, 25
    rows["SKEWNESS_LOW"][0], rows["SKEWNESS_HIGH"][0] = 2, 4.5
    spectra = make_spectra(rows)
    figure = drawn_figure(tmp_path, monkeypatch, rows, spectra)
    for axes, k in zip(figure.axes, (1, 0), strict=True):
        data, fit = (np.asarray(line.get_data()) for line in axes.lines[:2])
        stretch = 1 + rows["Z_SOURCE"][k]
        near = np.isclose(spectra.grid.wave[:, None], data[0] * stretch, rtol=1e-9).any(axis=1)
        np.testing.assert_allclose(data[1], spectra.residual[k][near])
        np.testing.assert_allclose(fit[1], fitted_line(rows[k], fit[0] * stretch, 1.05), atol=1e-6)
        assert np.ptp(fit[1]) > 3 * 0.3
        np.testing.assert_allclose(fit[0][[0, -1]], REST_RANGE)
        assert axes.get_xlim() == REST_RANGE
        band = axes.collections[0].get_paths()[0].get_extents()
        assert band.y0 == pytest.approx((data[1] - 0.3).min(), abs=1e-4)
        assert band.y1 == pytest.approx((data[1] + 0.3).max(), abs=1e-4)
        (said,) = (text.get_text() for text in axes.texts)
        assert f"z = {rows['Z_SOURCE'][k]:.3f}" in said
        assert said.endswith("> 2.2" if k == 1 else "3.1 \u00b1 1.2")
    labels = [text.get_text() for text in figure.texts]
    assert any("(\u00c5)" in label for label in labels)
    assert any("erg s" in label for label in labels)


@pytest.mark.parametrize("n", [1, 5])
def test_spectra_without_a_good_pixel_are_drawn(
    tmp_path: Path, make_hits: Maker, make_candidates: Maker, make_spectra: Maker, n: int
) -> None:
    rows = make_candidates(make_hits(n))
    spectra = make_spectra(rows)
    spectra.ivar[0] = 0
    spectra.flux[0] = np.nan
    rows["SKEWNESS"][0] = np.nan
    draw_profiles(tmp_path / "profiles.png", rows, single(spectra))
    assert (tmp_path / "profiles.png").read_bytes().startswith(b"\x89PNG")
