"""Noise of mock plates: what is put in comes out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.config import NoiseRates
from speclens.errors import ConfigError
from speclens.simulate.fibres import Fibres
from speclens.simulate.noise_model import NoiseModel
from speclens.simulate.sky import BAD_RUN_BITS, PlateNoise, draw_noise
from speclens.spectra import LogGrid

GRID = LogGrid.covering(3800, 5000)
QUIET = NoiseRates(
    sky_line_rms=0.0,
    sky_line_common_rms=0.0,
    sky_line_plate_scatter=0.0,
    sky_plate_scatter=0.0,
    sky_fibre_scatter=0.0,
    error_ratio_scatter=0.0,
    error_ratio_plate_scatter=0.0,
    error_ratio_jitter=0.0,
    error_jitter=0.0,
    error_of_counts=0.0,
    sky_fibre_ratio=0.9,
    low_order_rms=0.0,
    spike_rate=0.0,
    spike_negative=0.5,
    spike_snr_min=4.0,
    spike_index=4.0,
    spike_wide=0.0,
    damage_rate=0.0,
    damage_snr_range=(10.0, 1e4),
    damage_pixels=6,
    bad_run_rate=0.0,
    bad_run_pixels=5.0,
)


@pytest.fixture
def model() -> NoiseModel:
    return NoiseModel.bundled().on(GRID)


def draw(model: NoiseModel, rates: NoiseRates = QUIET, n: int = 100, seed: int = 5) -> PlateNoise:
    return draw_noise(np.zeros((n, GRID.n_pixels)), model, rates, np.random.default_rng(seed))


def pull(plate: PlateNoise) -> NDArray[np.floating]:
    return np.asarray(plate.flux * np.sqrt(plate.ivar))


def test_bundled_model_is_finite_and_in_range() -> None:
    model = NoiseModel.bundled()
    for name, values in vars(model).items():
        if name != "grid":
            assert np.isfinite(values).all(), name
    for name in ("sigma_sky", "poisson", "dispersion", "error_ratio"):
        assert (getattr(model, name) > 0).all(), name
    for name in ("bright_sky", "missing", "or_bits"):
        assert ((getattr(model, name) >= 0) & (getattr(model, name) <= 1)).all(), name
    assert np.sum(model.kernel**2) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(("wave", "sigma"), [(3700, 1.3), (4000, 0.53), (4400, 0.36), (4800, 0.30)])
def test_stated_error_of_faint_fibres(wave: float, sigma: float) -> None:
    model = NoiseModel.bundled()
    near = np.abs(model.grid.wave - wave) < 50
    assert np.median(model.sigma_sky[near]) == pytest.approx(sigma, rel=0.15)


def test_on_cuts_whole_pixels_and_holds_the_ends() -> None:
    whole = NoiseModel.bundled()
    cut = whole.on(LogGrid(whole.grid.first - 10, 50))
    assert cut.or_bits.shape == (len(whole.or_bits), 50)
    np.testing.assert_array_equal(cut.sky[10:], whole.sky[:40])
    np.testing.assert_array_equal(cut.sky[:10], whole.sky[0])


def test_same_generator_same_plate(model: NoiseModel) -> None:
    one, two, other = draw(model, seed=1), draw(model, seed=1), draw(model, seed=2)
    for name, values in vars(one).items():
        np.testing.assert_array_equal(values, getattr(two, name))
    assert not np.array_equal(one.flux, other.flux)


def test_shapes_and_types(model: NoiseModel) -> None:
    plate = draw(model, n=3)
    for name in ("flux", "ivar", "dispersion", "sky"):
        assert getattr(plate, name).shape == (3, GRID.n_pixels)
        assert getattr(plate, name).dtype == np.float32
        assert np.isfinite(getattr(plate, name)).all()
    assert plate.and_mask.dtype == plate.or_mask.dtype == np.int32
    assert np.array_equal(plate.and_mask & plate.or_mask, plate.and_mask)


def test_real_error_over_stated_error(model: NoiseModel) -> None:
    expected = np.sqrt(np.mean(model.error_ratio**2 + model.common_ratio**2))
    assert pull(draw(model)).std() == pytest.approx(expected, rel=0.02)


def test_neighbouring_pixels_are_correlated(model: NoiseModel) -> None:
    residual = pull(draw(model))
    measured = [np.mean(residual[:, k:] * residual[:, :-k]) / residual.var() for k in (1, 2, 3)]
    np.testing.assert_allclose(measured, [0.17, -0.115, 0.08], atol=0.03)


def test_kernel_matches_direct_convolution(model: NoiseModel) -> None:
    bare = replace(
        model,
        error_ratio=np.ones_like(model.error_ratio),
        common_ratio=np.zeros_like(model.common_ratio),
        plate_modes=0 * model.plate_modes,
        fibre_modes=0 * model.fibre_modes,
    )
    residual = pull(draw(bare, n=400))
    expected = np.correlate(model.kernel, model.kernel, "full")[len(model.kernel) :]
    measured = [np.mean(residual[:, k:] * residual[:, :-k]) for k in range(1, 5)]
    np.testing.assert_allclose(measured, expected[:4], atol=0.01)


def test_neighbours_share_noise_and_sky_fibres_do_not(model: NoiseModel) -> None:
    number, is_sky = np.arange(1000) + 1, np.arange(1000) % 10 == 0
    fibres = Fibres.of_plate(number, is_sky)
    rng = np.random.default_rng(3)
    residual = pull(draw_noise(np.zeros((1000, GRID.n_pixels)), model, QUIET, rng, fibres))
    assert residual[is_sky].std() == pytest.approx(
        0.9 * np.sqrt(np.mean(model.error_ratio**2)), rel=0.03
    )
    common = np.mean(model.common_ratio**2)
    assert residual[~is_sky].std() == pytest.approx(
        np.sqrt(np.mean(model.error_ratio**2) + common), rel=0.03
    )

    def covariance(here: slice, there: slice) -> float:
        parts = [residual[part][~is_sky[part]].mean(axis=0) for part in (here, there)]
        return float(np.mean(parts[0] * parts[1]))

    # In the middle of the slit, some 250 fibres away, across to the other spectrograph.
    assert covariance(np.s_[240:250], np.s_[251:261]) == pytest.approx(0.75 * common, rel=0.3)
    assert abs(covariance(np.s_[120:130], np.s_[370:380])) < 0.2 * common
    assert abs(covariance(np.s_[450:499], np.s_[500:550])) < 0.2 * common


def test_fibres_of_spectrographs_of_their_own_share_nothing(model: NoiseModel) -> None:
    rng = np.random.default_rng(4)
    fibres = Fibres.apart(400, rng)
    residual = pull(draw_noise(np.zeros((400, GRID.n_pixels)), model, QUIET, rng, fibres))
    odd, even = residual[::2].mean(axis=0), residual[1::2].mean(axis=0)
    assert abs(np.mean(odd * even)) < 0.01 * np.mean(model.common_ratio**2)
    assert residual.std() == pytest.approx(
        np.sqrt(np.mean(model.error_ratio**2 + model.common_ratio**2)), rel=0.03
    )


def test_flux_adds_poisson_variance(model: NoiseModel) -> None:
    flux = np.repeat([[0.0], [50.0]], 200, axis=0) * np.ones(GRID.n_pixels)
    plate = draw_noise(flux, model, QUIET, np.random.default_rng(1))
    variance = np.median(1 / plate.ivar, axis=1)
    growth = np.median(variance[200:]) / np.median(variance[:200])
    expected = np.median(1 + 50 * model.poisson / model.sigma_sky**2)
    assert growth == pytest.approx(expected, rel=0.2)
    assert (plate.flux - flux)[200:].std() > 1.5 * plate.flux[:200].std()


def test_plates_and_fibres_differ(model: NoiseModel) -> None:
    plates = np.array(
        [np.log(np.median(draw(model, n=20, seed=s).ivar, axis=1)) for s in range(25)]
    )
    assert 0.1 < plates.mean(axis=1).std() < 0.6
    assert 0.03 < plates.std(axis=1).mean() < 0.4


def test_sky_lines_leave_residuals_where_the_sky_has_lines(model: NoiseModel) -> None:
    loud = QUIET.model_copy(update={"sky_line_rms": 1.0, "sky_line_common_rms": 0.5})
    added = draw(model, loud).flux.std(axis=0)
    mercury = np.abs(GRID.wave - 4359.6) < 2
    assert added[mercury].max() > 10 * np.median(draw(model).flux.std(axis=0))


def test_low_order_residual_is_smooth(model: NoiseModel) -> None:
    plate = draw(model, QUIET.model_copy(update={"low_order_rms": 20.0}))
    jump = np.abs(np.diff(pull(plate), axis=1))
    assert np.mean(pull(plate) ** 2) ** 0.5 == pytest.approx(20, rel=0.5)
    assert np.median(jump) < 2


def test_spikes_come_at_the_asked_rate_and_sign(model: NoiseModel) -> None:
    spiky = QUIET.model_copy(
        update={
            "spike_rate": 2.0,
            "spike_negative": 1.0,
            "spike_snr_min": 30.0,
            "spike_index": 50.0,
        }
    )
    residual = pull(draw(model, spiky, n=500))
    assert np.sum(residual < -20) == pytest.approx(1000 * GRID.n_pixels / 1000, rel=0.15)
    assert np.sum(residual > 20) == 0


def test_defects_come_at_the_asked_rate_of_either_sign_and_are_told(model: NoiseModel) -> None:
    broken = {"damage_rate": 2.0, "damage_snr_range": (100.0, 1e4), "damage_pixels": 1}
    plate = draw(model, QUIET.model_copy(update=broken), n=500)
    residual = pull(plate)
    expected = 1000 * GRID.n_pixels / 1000
    assert np.sum(residual < -25) == pytest.approx(expected / 2, rel=0.15)
    assert np.sum(residual > 25) == pytest.approx(expected / 2, rel=0.15)
    without = draw(model, n=500).flux
    np.testing.assert_allclose(plate.flux - plate.spikes, without, atol=0.05, rtol=1e-4)


def test_a_defect_is_as_wide_as_asked_and_no_wider(model: NoiseModel) -> None:
    broken = {"damage_rate": 0.02, "damage_snr_range": (1e3, 1e3 + 1), "damage_pixels": 4}
    residual = np.abs(pull(draw(model, QUIET.model_copy(update=broken), n=3000))) > 200
    edges = np.diff(residual.astype(int), axis=1, prepend=0, append=0)
    width = np.flatnonzero(edges.ravel() == -1) - np.flatnonzero(edges.ravel() == 1)
    assert set(width.tolist()) == {1, 2, 3, 4}


def test_errors_are_stated_from_the_photons_counted(model: NoiseModel) -> None:
    residual = pull(draw(model, QUIET.model_copy(update={"error_of_counts": 0.05}), n=400))
    plain = pull(draw(model, n=400))
    for sign in (1, -1):  # x exp(-a x) of noise x
        np.testing.assert_allclose(
            np.quantile(sign * residual, 0.98),
            np.quantile(plain, 0.98) * np.exp(-sign * 0.05 * np.quantile(plain, 0.98)),
            rtol=0.02,
        )


def test_plates_differ_in_how_wrong_their_errors_are(model: NoiseModel) -> None:
    rates = QUIET.model_copy(update={"error_ratio_plate_scatter": 0.1})
    ratio = [pull(draw(model, rates, n=20, seed=seed)).std() for seed in range(40)]
    same = [pull(draw(model, n=20, seed=seed)).std() for seed in range(40)]
    assert np.std(ratio) > 5 * np.std(same)
    # Noise that all targets share does not change with it.
    own, common = np.mean(model.error_ratio**2), np.mean(model.common_ratio**2)
    expected = 0.1 * own / (own + common)
    assert np.std(np.log(ratio)) == pytest.approx(expected, rel=0.3)


def test_bad_runs_are_masked_and_have_no_weight(model: NoiseModel) -> None:
    plate = draw(model, QUIET.model_copy(update={"bad_run_rate": 2.0}), n=200)
    bad = (plate.and_mask & BAD_RUN_BITS) > 0
    assert (plate.ivar[bad] == 0).all()
    assert bad.sum() == pytest.approx(2.0 * 200 * GRID.n_pixels / 1000 * 5, rel=0.25)


def test_flux_of_another_grid_is_refused(model: NoiseModel) -> None:
    with pytest.raises(ValueError, match="100 pixels, the noise model 1192"):
        draw_noise(np.zeros((1, 100)), model, QUIET, np.random.default_rng(0))


def test_empty_plate(model: NoiseModel) -> None:
    assert (
        draw(
            model, QUIET.model_copy(update={"spike_rate": 1.0, "bad_run_rate": 1.0}), n=0
        ).flux.shape[0]
        == 0
    )


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "noise.fits"
    path.write_text("no FITS file")
    with pytest.raises(ConfigError, match=r"noise\.fits.*build_noise_model"):
        NoiseModel.read(path)


def test_stated_errors_jitter_from_pixel_to_pixel(model: NoiseModel) -> None:
    jittered = draw(model, QUIET.model_copy(update={"error_jitter": 0.05})).ivar
    # The same pixel of all spectra: what they share and what is smooth drops out.
    change = 0.5 * np.diff(np.log(np.where(jittered > 0, jittered, np.nan)), axis=1)
    own = change - np.nanmean(change, axis=0)
    correlation = 0.3 / 1.045  # of neighbours
    assert np.nanstd(own) == pytest.approx(0.05 * np.sqrt(2 * (1 - correlation)), rel=0.1)
