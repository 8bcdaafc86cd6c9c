"""Batches of spectra and catalogue rows, made in memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.config import Config, load_config
from speclens.eigenspectra import Eigenspectra
from speclens.spectra import TARGET_DTYPE, LogGrid, SpectrumBatch

SIGMA = 0.5


@pytest.fixture(scope="session")
def config() -> Config:
    return load_config()


@pytest.fixture(scope="session")
def shu() -> Config:
    return load_config("shu2016")


@pytest.fixture(scope="session")
def make_targets() -> Callable[..., NDArray[np.void]]:
    """`make_targets(n, **columns)`: good galaxies at z = 0.5, with columns replaced."""

    def make(n_targets: int = 1, **columns: object) -> NDArray[np.void]:
        rows = np.zeros(n_targets, TARGET_DTYPE)
        values = {
            "Z": 0.5, "Z_NOQSO": 0.5, "CLASS": "GALAXY", "CLASS_NOQSO": "GALAXY",
            "OBJTYPE": "GALAXY", "PLATEQUALITY": "good", **columns,
        }  # fmt: skip
        for name, value in values.items():
            rows[name] = value
        return rows

    return make


@pytest.fixture(scope="session")
def make_batch(
    config: Config, make_targets: Callable[..., NDArray[np.void]]
) -> Callable[..., tuple[SpectrumBatch, NDArray[np.float64]]]:
    """`make_batch(n, seed)`: noisy galaxies of the bundled basis, and their redshifts."""

    def make(n_spectra: int = 1, seed: int = 0) -> tuple[SpectrumBatch, NDArray[np.float64]]:
        rng = np.random.default_rng(seed)
        grid = LogGrid.covering(*config.preparation.window)
        z = rng.uniform(0.35, 0.9, n_spectra)
        galaxy = Eigenspectra.read().at(z, grid, 1)[0][:, 0]
        galaxy *= rng.uniform(0.5, 3, (n_spectra, 1)) / galaxy.mean(axis=1, keepdims=True)
        shape = galaxy.shape
        batch = SpectrumBatch(
            grid,
            (galaxy + rng.normal(0, SIGMA, shape)).astype("f4"),
            np.full(shape, SIGMA**-2, "f4"),
            np.zeros(shape, bool),
            np.ones(shape, bool),
            np.ones(shape, "f4"),
            make_targets(n_spectra, Z=z),
            ["made"] * n_spectra,
        )
        return batch, z

    return make
