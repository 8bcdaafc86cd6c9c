"""Mock quasars: as bright, as different, and as absorbed as real ones."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.config import SurveyConfig, load_config
from speclens.lines import REST_LINES, rest_waves
from speclens.simulate.magnitudes import i_magnitudes
from speclens.simulate.quasars import QUASARS, _depth_of_mean, draw_quasars
from speclens.spectra import LogGrid

GRID = LogGrid(35515, 4640)
N = 200
KEPT: dict[float, NDArray[np.float64]] = {}

Floats = NDArray[np.float64]


@pytest.fixture(scope="module")
def config() -> SurveyConfig:
    return load_config().survey


def drawn(z: float, config: SurveyConfig) -> tuple[Floats, Floats]:
    """Wavelengths at rest, and spectra of quasars of one redshift."""
    if z not in KEPT:
        KEPT[z] = draw_quasars(np.full(N, z), GRID, config, np.random.default_rng(1))
    return GRID.wave / (1 + z), KEPT[z]


def level(rest: Floats, spectra: Floats, low: float, high: float) -> Floats:
    inside = (rest > low) & (rest < high)
    return np.asarray(np.median(spectra[:, inside], axis=1))


def test_the_seed_alone_decides_and_what_follows_does_not_depend_on_the_absorbers(
    config: SurveyConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = np.random.default_rng(3), np.random.default_rng(3)
    z = np.linspace(0.3, 3.5, 20)
    np.testing.assert_array_equal(
        draw_quasars(z, GRID, config, one), draw_quasars(z, GRID, config, other)
    )
    after = one.random()
    again = np.random.default_rng(3)
    monkeypatch.setitem(QUASARS, "bal", {**QUASARS["bal"], "share": 1.0})
    changed = {
        name: {**system, "rate": 9.0} for name, system in QUASARS["absorbers"]["systems"].items()
    }
    monkeypatch.setitem(QUASARS["absorbers"], "systems", changed)
    assert not np.array_equal(
        draw_quasars(z, GRID, config, again),
        draw_quasars(z, GRID, config, np.random.default_rng(4)),
    )
    assert again.random() == after
    assert draw_quasars(np.zeros(0), GRID, config, one).shape == (0, GRID.n_pixels)


@pytest.mark.parametrize("z", [0.3, 0.9, 1.6, 2.4, 3.5])
def test_spectra_are_positive_and_as_bright_as_the_survey_has_them(
    config: SurveyConfig, z: float
) -> None:
    _, spectra = drawn(z, config)
    assert np.isfinite(spectra).all()
    assert (spectra >= 0).all()
    magnitude = i_magnitudes(spectra, GRID)
    low, high = config.quasar_magnitude_range
    # Lines in the band make them a little brighter than their continuum.
    assert low - 0.8 < magnitude.min()
    assert magnitude.max() < high + 0.3
    assert np.median(magnitude) == pytest.approx(config.quasar_magnitudes[0] - 0.15, abs=0.3)
    # Half of the 63 real quasars that were compared lie between 19.9 and 21.3.
    quartiles = np.quantile(magnitude, [0.25, 0.75])
    np.testing.assert_allclose(quartiles, [19.9, 21.3], atol=0.4)


def test_continua_have_the_slopes_of_quasars_and_their_spread(config: SurveyConfig) -> None:
    rest, spectra = drawn(1.6, config)
    blue, red = level(rest, spectra, 1440, 1470), level(rest, spectra, 3650, 3700)
    slope = np.log(blue / red) / np.log(1455 / 3675)
    record = QUASARS["continuum"]
    # Iron lifts the red end.
    assert np.median(slope) == pytest.approx(record["slope"], abs=0.3)
    assert slope.std() == pytest.approx(record["slope_scatter"], rel=0.35)
    rest, spectra = drawn(0.3, config)
    slopes = [
        np.median(
            np.log(level(rest, spectra, a - 15, a + 15) / level(rest, spectra, b - 15, b + 15))
        )
        / np.log(a / b)
        for a, b in ((4020, 4750), (5650, 7300))
    ]
    assert slopes[1] > slopes[0] + 1


def test_lines_stand_at_their_redshift_and_those_of_winds_before_it(config: SurveyConfig) -> None:
    rest, spectra = drawn(1.6, config)
    peaks = {}
    for name, reach in (("C IV", 60), ("C III]", 60), ("Mg II", 60)):
        near = np.abs(rest - REST_LINES[name].wave) < reach
        mean = np.median(spectra[:, near] / spectra[:, near].mean(axis=1)[:, None], axis=0)
        peaks[name] = rest[near][mean.argmax()] / REST_LINES[name].wave - 1
    kms = {name: 299792 * value for name, value in peaks.items()}
    assert abs(kms["Mg II"]) < 400
    assert -1500 < kms["C IV"] < -200


def test_bright_quasars_have_weaker_lines_of_carbon(config: SurveyConfig) -> None:
    rest, spectra = drawn(1.6, config)
    blue, red = level(rest, spectra, 1440, 1470), level(rest, spectra, 1690, 1720)
    near = np.abs(rest - REST_LINES["C IV"].wave) < 40
    continuum = blue * (red / blue) ** (np.log(1549 / 1455) / np.log(1705 / 1455))
    strength = spectra[:, near].mean(axis=1) / continuum - 1
    good = strength > 0.05  # no broad absorption
    slope = np.polyfit(np.log(red[good]), np.log(strength[good]), 1)[0]
    assert slope == pytest.approx(QUASARS["wind"]["baldwin"], abs=0.1)


def test_narrow_lines_are_there_in_some(config: SurveyConfig) -> None:
    rest, spectra = drawn(0.4, config)
    line = np.abs(rest - REST_LINES["[O III] 5008"].wave) < 8
    excess = spectra[:, line].max(axis=1) / level(rest, spectra, 5040, 5080)
    assert 0.2 < (excess < 1.25).mean() < 0.65
    assert np.quantile(excess, 0.8) > 2


def test_the_forest_lets_through_what_was_measured(config: SurveyConfig) -> None:
    effective = np.array([0.05, 0.2, 0.5, 1.0])
    normal = np.random.default_rng(1).standard_normal(200000)
    field = np.exp(QUASARS["forest"]["scatter"] * normal)
    for tau, depth in zip(effective, _depth_of_mean(effective), strict=True):
        assert np.exp(-depth * field).mean() == pytest.approx(np.exp(-tau), abs=0.004)
    rest, spectra = drawn(3.0, config)
    free = level(rest, spectra, 1280, 1295)
    inside = (rest > 1110) & (rest < 1150)
    through = spectra[:, inside].mean(axis=1) / free
    assert 0.45 < np.median(through) < 0.85  # 0.70 at z = 2.7 (Faucher-Giguere et al. 2008)
    wiggles = spectra[:, inside].std(axis=1) / spectra[:, inside].mean(axis=1)
    red = (rest > 1440) & (rest < 1470)
    assert np.median(wiggles) > 0.2 > np.median(spectra[:, red].std(axis=1) / free)


def test_half_of_the_far_quasars_have_lost_their_light_beyond_a_lyman_limit(
    config: SurveyConfig,
) -> None:
    rest, spectra = drawn(3.5, config)
    left = level(rest, spectra, 800, 815) / level(rest, spectra, 1280, 1295)
    path = 3.5 - (807 / REST_LINES["Lyman limit"].wave * 4.5 - 1)
    expected = 1 - np.exp(-QUASARS["forest"]["limit_rate"] * path)
    assert (left < 0.25).mean() == pytest.approx(expected, abs=0.12)


def test_doublets_of_magnesium_absorb_as_often_as_they_should(config: SurveyConfig) -> None:
    """Both lines of a doublet dip, where nothing else absorbs."""
    z = 0.9
    rest, spectra = drawn(z, config)
    record = QUASARS["absorbers"]["systems"]["Mg II"]
    clean = (rest > 2000) & (rest < 2700)
    smooth = np.array([np.convolve(row, np.ones(81) / 81, "same") for row in spectra])
    dips = (spectra / smooth)[:, clean].min(axis=1) < 0.85
    waves = rest_waves("Mg II 2796", "Mg II 2803")
    path = 2700 / waves[0] * (1 + z) - 1 - record["z_min"]
    expected = 1 - np.exp(-record["rate"] * path)
    assert 0.5 * expected < dips.mean() < 2.5 * expected


def test_one_in_eight_has_broad_absorption(config: SurveyConfig) -> None:
    rest, spectra = drawn(2.0, config)
    ratio = level(rest, spectra, 1465, 1480) / level(rest, spectra, 1680, 1700)
    assert 0.02 < (ratio < 0.75 * np.median(ratio)).mean() < 0.13
