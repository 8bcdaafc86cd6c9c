"""Lines on noise, as the vet tests are given them: cutouts and whole spectra."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from speclens.config import Config, load_config
from speclens.schema import HITS, dtype_of
from speclens.spectra import FittedSpectra, LogGrid
from speclens.vet.line_fits import Cutouts

DISPERSION = 1.05


@pytest.fixture(scope="session")
def defaults() -> Config:
    return load_config()


@pytest.fixture(scope="session")
def spectra_of() -> Callable[..., FittedSpectra]:
    """`spectra_of(grid, flux, sigma, rng)`: spectra with noise; sigma has any shape that fits."""

    def make(
        grid: LogGrid,
        flux: Any,
        sigma: Any,
        rng: np.random.Generator | None,
        dispersion: float = DISPERSION,
    ) -> FittedSpectra:
        sigma = np.broadcast_to(sigma, np.shape(flux))
        noise = 0 if rng is None else rng.normal(size=np.shape(flux)) * sigma
        model = np.full(np.shape(flux), 0.7)
        return FittedSpectra(
            grid,
            (flux + model + noise).astype("f4"),
            (sigma**-2.0).astype("f4"),
            model.astype("f4"),
            np.full(np.shape(flux), dispersion, "f4"),
        )

    return make


@pytest.fixture(scope="session")
def cutouts_of() -> Callable[..., Cutouts]:
    """`cutouts_of(flux, ivar)`: cutouts of 2 n + 1 pixels at 4400 Angstrom, hits in the middle."""

    def make(flux: Any, ivar: Any, centre: Any = 0.0, dispersion: float = DISPERSION) -> Cutouts:
        flux = np.atleast_2d(np.asarray(flux, np.float64))
        ivar = np.broadcast_to(np.asarray(ivar, np.float64), flux.shape)
        n, half = len(flux), flux.shape[1] // 2
        return Cutouts(
            np.arange(-half, half + 1.0),
            np.where(ivar > 0, flux, 0),
            ivar,
            np.broadcast_to(np.asarray(centre, np.float64), n),
            np.full(n, 4400.0),
            np.full(n, dispersion),
        )

    return make


@pytest.fixture(scope="session")
def hits_of() -> Callable[..., np.ndarray]:
    """`hits_of(n, **columns)`: rows of hits.fits with nothing measured but what is named."""

    def make(n_hits: int, **columns: Any) -> np.ndarray:
        rows = np.zeros(n_hits, dtype_of(HITS, FILE=8))
        for column in HITS:
            if rows.dtype[column.name].kind == "f":
                rows[column.name] = np.nan
        for name, values in columns.items():
            rows[name] = values
        return rows

    return make
