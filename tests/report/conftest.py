"""Hits, candidates and spectra that look like those of a run, without a search."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray

from speclens.config import Config, load_config
from speclens.lines import LYMAN_ALPHA
from speclens.schema import CANDIDATES, HITS, dtype_of, vet_bits
from speclens.spectra import FittedSpectra, LogGrid, spectrum_names, targetid
from speclens.view.fitted import fitted_line

DISPERSION = 1.05
OII = 3728.48


@pytest.fixture(scope="session")
def default_config() -> Config:
    return load_config()


@pytest.fixture
def figure_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Figure]:
    """`figure_of(draw, *arguments)`: the figure that a function draws, not written."""

    def of(draw: Callable[..., None], *arguments: Any) -> Figure:
        drawn: list[Figure] = []
        with monkeypatch.context() as patch:
            patch.setattr(f"{draw.__module__}.save_figure", lambda figure, _: drawn.append(figure))
            draw(tmp_path / "figure.png", *arguments)
        return drawn[0]

    return of


@pytest.fixture
def make_hits(default_config: Config) -> Callable[..., NDArray[np.void]]:
    """`make_hits(n, flags=...)`: n hits of as many targets; `flags` names those of each hit."""

    def make(n: int, flags: Any = ()) -> NDArray[np.void]:
        rng = np.random.default_rng(n)
        rows = np.zeros(n, dtype_of(HITS, FILE=40))
        for column in HITS:
            if column.dtype[0] == "f":
                rows[column.name] = rng.uniform(0.5, 1.5, n)
        rows["PLATE"], rows["MJD"], rows["FIBERID"] = 3650, 55244, np.arange(n) + 1
        rows["TARGETID"] = targetid(rows["PLATE"], rows["MJD"], rows["FIBERID"])
        rows["SPECTRUM"] = spectrum_names(rows)
        rows["RA"], rows["DEC"] = rng.uniform(0, 360, n), rng.uniform(-5, 60, n)
        rows["Z"], rows["VDISP"], rows["VDISP_ERR"] = rng.uniform(0.35, 0.75, n), 230, 20
        rows["WAVE"] = rng.uniform(3830, 4970, n)
        rows["FIT_WAVE"], rows["Z_SOURCE"] = rows["WAVE"], rows["WAVE"] / LYMAN_ALPHA - 1
        rows["Z_OII"] = rows["WAVE"] / OII - 1
        rows["FLUX"], rows["FLUX_ERR"], rows["SNR"] = 16, 1.6, 10
        rows["LYA_FLUX"], rows["LYA_FLUX_ERR"] = rng.uniform(10, 40, n), 2
        rows["WIDTH"], rows["SKEWNESS"], rows["SKEWNESS_ERR"] = 2.4, 3.1, 1.2
        rows["CONTINUUM"] = 0
        rows["METHOD"], rows["FIT_STATUS"], rows["OTHER_LINE"] = "resnet", "fitted", "H beta"
        rows["FILE"] = "spPlate-3650-55244.fits"
        for i, names in enumerate(flags):
            rows["VET_FLAGS"][i] = vet_bits(names)
        rows["CANDIDATE"] = rows["VET_FLAGS"] & vet_bits(default_config.vet.vetoes) == 0
        return rows

    return make


@pytest.fixture
def make_candidates() -> Callable[[NDArray[np.void]], NDArray[np.void]]:
    """`make_candidates(hits)`: their candidates, in the order of the hits."""

    def make(hits: NDArray[np.void]) -> NDArray[np.void]:
        kept = hits[hits["CANDIDATE"]]
        rows = np.zeros(len(kept), dtype_of(CANDIDATES, FILE=40))
        for name in kept.dtype.names or ():
            rows[name] = kept[name]
        rows["RANK"] = np.arange(len(kept)) + 1
        rows["NAME"] = [f"SDSS J{i:06d}.00+000000.0" for i in range(len(kept))]
        rows["EINSTEIN_RADIUS"], rows["EINSTEIN_RADIUS_ERR"] = 1.16, 0.2
        rows["SIGMA_SIS"], rows["SIGMA_SIS_ERR"] = 230, 20
        return rows

    return make


@pytest.fixture
def make_spectra() -> Callable[..., FittedSpectra]:
    """`make_spectra(rows, wave_min, wave_max)`: their spectra, with the lines that rows tell of."""

    def make(rows: NDArray[np.void], low: float = 3800, high: float = 5000) -> FittedSpectra:
        rng = np.random.default_rng(3)
        grid = LogGrid.covering(low, high)
        shape = (len(rows), grid.n_pixels)
        model = np.ones(shape, np.float32)
        flux = model + 0.3 * rng.standard_normal(shape)
        for i, row in enumerate(rows):
            flux[i] += fitted_line(row, grid.wave, DISPERSION)
        return FittedSpectra(
            grid,
            flux.astype(np.float32),
            np.full(shape, 0.3**-2, np.float32),
            model,
            np.full(shape, DISPERSION, np.float32),
        )

    return make
