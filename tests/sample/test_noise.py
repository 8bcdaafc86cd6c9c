"""Growth of the errors from sky fibres and from residuals."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.config import Config
from speclens.sample.noise import SkyStatistics, error_growth, sky_error_growth
from speclens.spectra import LogGrid

GRID = LogGrid.covering(3800.0, 5000.0)
BAND = (GRID.wave > 4355.0) & (GRID.wave < 4363.0)  # the airglow of Hg I 4359.6


def sky_fibres(
    n_fibres: int, seed: int, band: float = 1.0, level: float = 1.0
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Sky fibres of stated error 1 and of real error `level`, `band` times that in BAND."""
    rng = np.random.default_rng(seed)
    sigma = level * np.where(BAND, band, 1.0)
    flux = rng.normal(size=(n_fibres, GRID.n_pixels)) * sigma
    return flux.astype("f4"), np.ones(flux.shape, "f4")


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.7])
def test_error_growth_is_the_quantiles_of_each_spectrum(config: Config, scale: float) -> None:
    rng = np.random.default_rng(1)
    ivar = rng.uniform(0.5, 4, (30, 400)).astype("f4")
    residual = (scale * rng.standard_t(4, ivar.shape) / np.sqrt(ivar)).astype("f4")
    ivar[rng.random(ivar.shape) < 0.3] = 0
    found = error_growth(residual, ivar, config.noise)
    for i in range(30):
        good = ivar[i] > 0
        low, high = np.quantile(
            residual[i, good].astype(float) * np.sqrt(ivar[i, good]), config.noise.quantiles
        )
        assert found[i] == pytest.approx(max(1, (high - low) / 4), rel=1e-5)


def test_error_growth_is_the_factor_by_which_errors_were_understated(config: Config) -> None:
    residual = np.random.default_rng(2).normal(0, 3, (200, 1192)).astype("f4")
    found = error_growth(residual, np.ones_like(residual), config.noise)
    assert found.mean() == pytest.approx(3 * 3.92 / 4, rel=0.01)


def test_errors_never_shrink(config: Config) -> None:
    residual = np.random.default_rng(3).normal(0, 0.3, (20, 1192)).astype("f4")
    assert (error_growth(residual, np.ones_like(residual), config.noise) == 1).all()


@pytest.mark.parametrize(("n_good", "grows"), [(0, False), (1, False), (99, False), (100, True)])
def test_few_good_pixels_leave_the_errors_as_they_are(
    config: Config, n_good: int, grows: bool
) -> None:
    residual = np.random.default_rng(4).normal(0, 5, (1, 300)).astype("f4")
    ivar = np.zeros_like(residual)
    ivar[:, :n_good] = 1
    assert (error_growth(residual, ivar, config.noise)[0] > 2) == grows


def test_sky_statistics_are_the_sums_over_fibres(config: Config) -> None:
    flux, ivar = sky_fibres(20, 5)
    ivar[3:9, 10] = 0
    found = SkyStatistics.of_fibres(flux, ivar, config.noise)
    np.testing.assert_allclose(found.chi2, (flux.astype(float) ** 2 * ivar).sum(0), rtol=1e-6)
    assert found.n_fibres[10] == 14
    assert (np.delete(found.n_fibres, 10) == 20).all()
    both = found + found
    np.testing.assert_array_equal(both.chi2, 2 * found.chi2)
    np.testing.assert_array_equal(both.n_fibres, 2 * found.n_fibres)


@pytest.mark.parametrize(("level", "kept"), [(1.0, True), (1.15, True), (1.22, False), (3, False)])
def test_plates_with_a_bad_sky_subtraction_are_dropped(
    config: Config, level: float, kept: bool
) -> None:
    # reduced chi-square 1.32 is kept, 1.49 is not
    found = SkyStatistics.of_fibres(*sky_fibres(50, 6, level=level), config.noise)
    assert (found.n_fibres.sum() > 0) == kept
    assert (found.chi2.sum() > 0) == kept


def test_a_plate_without_sky_fibres_adds_nothing(config: Config) -> None:
    found = SkyStatistics.of_fibres(*sky_fibres(0, 7), config.noise)
    assert found.n_fibres.sum() == 0
    assert found.chi2.sum() == 0


def test_a_noisy_band_of_sky_is_found(config: Config) -> None:
    sky = SkyStatistics.of_fibres(*sky_fibres(3000, 8, band=1.6, level=0.9), config.noise)
    growth = sky_error_growth(sky, GRID, config.noise)
    assert growth[BAND].mean() == pytest.approx(1.6, abs=0.03)
    assert growth[~BAND].mean() < 1.02
    assert (growth >= 1).all()


def test_a_smooth_change_of_the_noise_is_no_growth(config: Config) -> None:
    slope = np.linspace(1.2, 0.8, GRID.n_pixels)
    sky = SkyStatistics(3000 * slope**2, np.full(GRID.n_pixels, 3000))
    np.testing.assert_allclose(sky_error_growth(sky, GRID, config.noise), 1, atol=1e-3)


@pytest.mark.parametrize("n_fibres", [0, 1, 499])
def test_too_few_sky_fibres_give_no_correction(config: Config, n_fibres: int) -> None:
    sky = SkyStatistics.of_fibres(*sky_fibres(n_fibres, 9, band=1.2), config.noise)
    assert (sky_error_growth(sky, GRID, config.noise) == 1).all()


def test_a_gap_in_the_sky_fibres_is_no_correction_there(config: Config) -> None:
    flux, ivar = sky_fibres(600, 10, band=1.6)
    ivar[:, 200:330] = 0
    growth = sky_error_growth(SkyStatistics.of_fibres(flux, ivar, config.noise), GRID, config.noise)
    assert (growth[200:330] == 1).all()
    assert growth[BAND].mean() == pytest.approx(1.6, abs=0.06)
    assert np.isfinite(growth).all()


def test_half_a_window_of_sky_is_not_enough(config: Config) -> None:
    flux, ivar = sky_fibres(600, 11, band=1.6)
    ivar[:, : GRID.n_pixels // 2 + 10] = 0
    sky = SkyStatistics.of_fibres(flux, ivar, config.noise)
    assert (sky_error_growth(sky, GRID, config.noise) == 1).all()
