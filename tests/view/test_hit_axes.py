"""A hit on axes of matplotlib: what is there is drawn, and what is not stops nothing."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from speclens.schema import HIT_HYPOTHESES, HITS, dtype_of
from speclens.spectra import FittedSpectra, LogGrid
from speclens.view.hit_axes import draw_on_axes

WINDOW, WHOLE = LogGrid.covering(3800, 5000), LogGrid.covering(3600, 9000)


def fitted(grid: LogGrid, rng: np.random.Generator) -> FittedSpectra:
    flux = (2 + 0.5 * rng.standard_normal((1, grid.n_pixels))).astype("f4")
    model = np.full_like(flux, 2)
    return FittedSpectra(grid, flux, np.full_like(flux, 4), model, np.ones_like(flux))


def a_hit(**values: object) -> np.void:
    rows = np.zeros(1, dtype_of(HITS))
    for name in rows.dtype.names or ():
        if rows.dtype[name].kind == "f":
            rows[name] = np.nan
    for name, value in {"SPECTRUM": "mine", "Z": 0.5, "WAVE": 4400.0, "SNR": 9, **values}.items():
        rows[name] = value
    return rows[0]


def test_each_axes_shows_its_part(rng: np.random.Generator) -> None:
    hypotheses = np.zeros(2, dtype_of(HIT_HYPOTHESES))
    hypotheses["HYPOTHESIS"], hypotheses["PROBABILITY"] = ["lya", "other"], [0.9, 0.1]
    hypotheses["Z_SOURCE"] = [2.62, np.nan]
    hit = a_hit(FIT_WAVE=4400.0, WIDTH=2.0, SKEWNESS=3.0, LYA_FLUX=20.0, CONTINUUM=0.0)
    figure = Figure()
    whole, window, line, bars = draw_on_axes(
        figure, hit, fitted(WINDOW, rng), fitted(WHOLE, rng), hypotheses
    )
    assert whole.get_title().startswith("spectrum mine")
    assert whole.get_xlim() == (WHOLE.wave[0], WHOLE.wave[-1])
    assert window.get_xlim() == (WINDOW.wave[0], WINDOW.wave[-1])
    fit = line.lines[-1].get_ydata()
    assert 3 < np.max(fit) < 6
    labels = [text.get_text() for text in bars.get_yticklabels()]
    assert labels == ["lya, z = 2.620", "other"]
    figure.canvas.draw()


@pytest.mark.parametrize("name", ["flux", "ivar", "model"])
def test_a_spectrum_without_numbers_is_drawn_empty(name: str, rng: np.random.Generator) -> None:
    spectra = [fitted(grid, rng) for grid in (WINDOW, WHOLE)]
    for spectrum in spectra:
        getattr(spectrum, name)[:] = 0 if name == "ivar" else np.nan
    figure = Figure()
    draw_on_axes(figure, a_hit(), *spectra, np.zeros(0, dtype_of(HIT_HYPOTHESES)))
    figure.canvas.draw()
