"""Errors of lines grow where residuals scatter, in both frames, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.sample.error_growth import REST, ErrorGrowth
from speclens.search.line_growth import LineGrowth, LineStatistics, line_growth
from speclens.search.lines import LineSearch
from speclens.spectra import LogGrid

Floats = NDArray[np.float64]


def unknown(grid: LogGrid) -> LineGrowth:
    """Errors that do not grow."""
    return LineGrowth(np.ones(grid.n_pixels, np.float32), np.ones(REST.n_pixels, np.float32), grid)


def growth_of(search: LineSearch, flux: Floats, z: Floats, usual: LineGrowth) -> dict[str, Floats]:
    """What spectra of unit errors tell of the growth of the errors of lines."""
    flux = flux.astype(np.float32)
    return LineStatistics.of(search.line_fluxes(flux, np.ones_like(flux)), z, usual).growth(60)


def test_errors_grow_where_lines_scatter_more(
    search: LineSearch, grid: LogGrid, rng: np.random.Generator
) -> None:
    flux = rng.standard_normal((300, grid.n_pixels))
    flux[:, 2000:2100] *= 2
    z = rng.uniform(0.1, 0.8, 300)
    growth = growth_of(search, flux, z, unknown(grid))["growth"]
    assert np.median(growth[2030:2070]) == pytest.approx(2, rel=0.1)
    assert np.median(growth[500:1500]) < 1.15
    assert (growth >= 1).all()
    # What the usual factor tells of an observed wavelength is not told of those at rest again.
    usual = replace(unknown(grid), observed=growth.astype(np.float32))
    assert growth_of(search, flux, z, usual)["rest_growth"].max() < 1.15


def test_errors_grow_in_the_frame_of_the_lens_where_residuals_are_and_nowhere_else(
    search: LineSearch, grid: LogGrid, rng: np.random.Generator
) -> None:
    n, wave = 300, 4300.0
    flux, z = rng.standard_normal((n, grid.n_pixels)), rng.uniform(0.1, 0.8, n)
    near = np.abs(np.log(grid.wave / (1 + z[:, None]) / wave)) < 0.005
    flux[near] *= 3
    factors = growth_of(search, flux, z, unknown(grid))
    offset = np.abs(np.log(REST.wave / wave))
    assert factors["rest_growth"].shape == (REST.n_pixels,)
    np.testing.assert_allclose(factors["rest_growth"][offset < 0.002], 3, rtol=0.15)
    assert factors["rest_growth"][offset > 0.012].max() < 1.15
    assert (factors["rest_growth"] >= 1).all()
    # At no observed wavelength are many of them.
    assert factors["growth"].max() < 1.6
    number = np.ones(REST.n_pixels)
    mine = ErrorGrowth.unknown().with_factor("LINES", grid.first, factors["growth"], number)
    mine = mine.with_factor("GALAXIES_REST", REST.first, factors["rest_growth"], number)
    growth = line_growth(mine, "galaxies", grid).at(z)
    np.testing.assert_array_equal(line_growth(mine, "quasars", grid).rest, 1)
    own = np.where(near.T, growth, np.nan)
    assert np.nanmedian(own) == pytest.approx(3, rel=0.25)
    assert np.median(growth[~near.T]) < 1.3


def test_with_few_spectra_errors_do_not_grow(
    search: LineSearch, grid: LogGrid, rng: np.random.Generator
) -> None:
    flux = 3 * rng.standard_normal((30, grid.n_pixels))
    factors = growth_of(search, flux, np.full(30, 0.4), unknown(grid))
    assert all((factor == 1).all() for factor in factors.values())
