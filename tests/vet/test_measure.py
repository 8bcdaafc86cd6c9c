"""Hits measured spectrum by spectrum: which columns, of what, and that no hit minds another."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.config import Config
from speclens.evidence.fixed_line import line_sigma
from speclens.lines import FWHM_PER_SIGMA, PIXEL_KMS, gaussian_pixels
from speclens.schema import HITS
from speclens.simulate.emitters import draw_emitters, line_spectra
from speclens.spectra import FittedSpectra, LogGrid
from speclens.vet.hit_spectra import HitSpectra
from speclens.vet.measure import measure_hits

Rows = NDArray[np.void]
Measured = dict[str, NDArray[np.generic]]
Surroundings = tuple[Rows, FittedSpectra, FittedSpectra]

ELSEWHERE = {
    "DENSE_OBSERVED", "DENSE_REST", "SMOOTH_FRACTION", "NEIGHBOUR_SNR", "NEIGHBOUR_DSIGMA",
    "N_REPEATS",
    "REPEAT_DSIGMA", "N_EXPOSURES", "EXPOSURE_DSIGMA", "P_LYA", "P_LENSED", "VET_FLAGS", "SAME_AS",
    "SAME_P",
    "CANDIDATE", "KNOWN", "REASON",
}  # fmt: skip
"""Columns of vetting that need other hits, other spectra or all other columns."""

WINDOW, WHOLE = LogGrid.covering(3800, 5000), LogGrid.covering(3550, 10400)


@pytest.fixture
def lenses(
    defaults: Config,
    hits_of: Callable[..., Rows],
    spectra_of: Callable[..., FittedSpectra],
    rng: np.random.Generator,
) -> Surroundings:
    """Forty hits on Lyman-alpha lines of S/N 15, with their spectra."""
    lines = draw_emitters(40, (3830, 4970), defaults.emitters, rng)
    clean = line_spectra(lines, WHOLE, 1.05).astype(np.float64)
    sigma = np.sqrt((clean**2).sum(1, keepdims=True)) / 15
    whole = spectra_of(WHOLE, clean, sigma, rng)
    part, _ = WHOLE.overlap(WINDOW)
    arrays = (whole.flux, whole.ivar, whole.model, whole.dispersion)
    window = FittedSpectra(WINDOW, *(array[:, part] for array in arrays))
    hits = hits_of(
        40, WAVE=lines.wave, FLUX=lines.flux, FWHM_KMS=250.0, Z=rng.uniform(0.3, 0.7, 40), SNR=15.0
    )
    return hits, window, whole


def measured(surroundings: Surroundings, config: Config) -> Measured:
    usual = config.matched_filter.dispersion
    return dict(measure_hits(HitSpectra(*surroundings, usual, config.vet)))


def test_columns_are_those_that_one_spectrum_can_fill(
    lenses: Surroundings, defaults: Config
) -> None:
    found = measured(lenses, defaults)
    names = [column.name for column in HITS]
    vetted = set(names[names.index("Z_SOURCE") + 1 :])
    assert set(found) == vetted - ELSEWHERE
    for name, values in found.items():
        assert values.shape == (40,), name
        np.zeros(40, {c.name: c.dtype for c in HITS}[name])[:] = values


def test_lines_of_lenses_are_measured_as_such(lenses: Surroundings, defaults: Config) -> None:
    hits, found = lenses[0], measured(lenses, defaults)
    assert set(found["FIT_STATUS"]) <= {"fitted", "at_bound"}
    assert np.median(found["CHI2_NU"]) == pytest.approx(1, abs=0.15)
    pull = (found["LYA_FLUX"] - hits["FLUX"]) / found["LYA_FLUX_ERR"]
    assert abs(np.median(pull)) < 0.5
    assert 0.7 < np.std(pull) < 1.4
    np.testing.assert_allclose(found["NOISE"], lenses[1].ivar[:, 0] ** -0.5, rtol=1e-5)
    np.testing.assert_allclose(found["GOOD_PIXELS"], 1)
    assert (found["SPIKE_DCHI2"] < 0).mean() > 0.95
    assert np.median(found["OII_EVIDENCE"]) < 0
    assert np.median(found["SKEWNESS"]) > 1


def test_a_hit_is_measured_alike_alone_in_any_order_and_in_any_company(
    lenses: Surroundings, defaults: Config, rng: np.random.Generator
) -> None:
    hits, window, whole = lenses
    together = measured(lenses, defaults)
    order = rng.permutation(40)
    shuffled = measured((hits[order], window[order], whole[order]), defaults)
    alone = [
        measured((hits[i : i + 1], window[i : i + 1], whole[i : i + 1]), defaults) for i in range(5)
    ]
    for name, values in together.items():
        if values.dtype.kind == "U":
            np.testing.assert_array_equal(shuffled[name], values[order])
            assert [str(one[name][0]) for one in alone] == values[:5].tolist()
        else:
            np.testing.assert_allclose(shuffled[name], values[order], rtol=1e-6, err_msg=name)
            each = [float(one[name][0]) for one in alone]
            np.testing.assert_allclose(each, values[:5], rtol=1e-6, err_msg=name)


def test_a_hit_whose_pixels_are_all_masked_does_not_spoil_the_others(
    lenses: Surroundings, defaults: Config
) -> None:
    hits, window, whole = lenses
    together = measured(lenses, defaults)
    for spectra in (window, whole):
        spectra.ivar[3] = 0
        spectra.flux[3] = np.nan
    found = measured((hits, window, whole), defaults)
    assert found["FIT_STATUS"][3] == "no_data"
    assert found["GOOD_PIXELS"][3] == 0
    known = {"FIT_STATUS", "GOOD_PIXELS", "EDGE_PIXELS", "Z_OII", "LENS_LINE", "LENS_LINE_KMS"}
    for name, values in found.items():
        if name not in known | {"OTHER_LINE"}:
            assert np.isnan(values[3]), name
        others = np.arange(40) != 3
        np.testing.assert_array_equal(values[others], together[name][others], err_msg=name)


@pytest.mark.parametrize("level", [1e5, -1e5])
def test_damaged_spectra_raise_nothing(
    lenses: Surroundings, defaults: Config, rng: np.random.Generator, level: float
) -> None:
    hits, window, whole = lenses
    for spectra in (window, whole):
        spectra.flux[:20] = level * rng.random(spectra.flux[:20].shape)
        spectra.flux[20:] = level
        spectra.ivar[::2] = 1e8
        spectra.ivar[:, ::3] = 0
    found = measured((hits, window, whole), defaults)
    for name in ("CHI2_NU", "LYA_FLUX", "LYA_FLUX_ERR", "SKEWNESS", "SPIKE_DCHI2", "DOUBLET_DCHI2"):
        assert np.isfinite(found[name]).all(), name


def damage(surroundings: Surroundings, what: str, row: int) -> Surroundings:
    """Damage one hit; the name says what is wrong with it."""
    hits, *spectra = (part[np.arange(40)] for part in surroundings)
    name, _, value = what.partition(" ")
    number = np.float64(value)
    if name == "everything":
        for column in hits.dtype.names or ():
            if hits.dtype[column].kind == "f":
                hits[column][row] = np.float32(number) if hits.dtype[column] == "f4" else number
    elif name in (hits.dtype.names or ()):
        hits[name][row] = number
    for part in spectra:
        if name in ("everything", "flux", "model", "ivar", "dispersion"):
            for array in ("flux", "model", "ivar", "dispersion"):
                if name in ("everything", array):
                    getattr(part, array)[row] = np.float32(number)
    return hits, spectra[0], spectra[1]


DAMAGES = [
    f"{name} {value}"
    for name, values in {
        "dispersion": ("inf", "-inf", "nan", "1e38", "-1", "1e-30"),
        "flux": ("inf", "nan", "3e38", "1e-40"),
        "model": ("inf", "nan", "-3e38"),
        "ivar": ("inf", "nan", "-1", "3e38", "1e-40"),
        "WAVE": ("nan", "inf", "-4000", "0", "1e308", "1e-308"),
        "Z": ("nan", "inf", "-1", "-5", "1e308"),
        "FLUX": ("nan", "inf", "-inf", "3e38"),
        "FWHM_KMS": ("nan", "inf", "-1"),
        "everything": ("nan", "inf", "-inf", "0"),
    }.items()
    for value in values
]


@pytest.mark.parametrize("what", DAMAGES)
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_i2_one_damaged_hit_leaves_the_others_as_they_were(
    lenses: Surroundings, defaults: Config, what: str
) -> None:
    before, found = measured(lenses, defaults), measured(damage(lenses, what, 3), defaults)
    others = np.arange(40) != 3
    for name, values in found.items():
        np.testing.assert_array_equal(values[others], before[name][others], err_msg=name)


@pytest.mark.parametrize("what", ["dispersion inf", "dispersion nan", "dispersion 1e38"])
def test_a_line_spread_that_no_spectrograph_has_is_the_usual_one(
    lenses: Surroundings, defaults: Config, what: str
) -> None:
    unknown, damaged = (
        measured(damage(lenses, spread, 3), defaults) for spread in ("dispersion 0", what)
    )
    for name, values in damaged.items():
        assert values[3] == unknown[name][3] or np.isnan(values[3]), name


def test_a_hit_nowhere_has_no_line_of_the_lens(lenses: Surroundings, defaults: Config) -> None:
    for what in ("WAVE nan", "Z nan", "Z -1", "WAVE -4000"):
        found = measured(damage(lenses, what, 3), defaults)
        assert np.isnan(found["LENS_LINE_KMS"][3])
        assert found["LENS_LINE"][3] == ""


def test_lines_at_the_ends_of_the_window_are_measured(
    lenses: Surroundings, defaults: Config
) -> None:
    hits, window, whole = lenses
    hits["WAVE"][:2] = WINDOW.wave[[0, -1]]
    found = measured((hits, window, whole), defaults)
    np.testing.assert_allclose(found["EDGE_PIXELS"][:2], 0, atol=1e-6)
    assert np.isfinite(found["LYA_FLUX"][:2]).all()
    assert (found["GOOD_PIXELS"][:2] < 0.75).all()


def test_the_usual_dispersion_stands_where_the_spectra_do_not_know_their_own(
    lenses: Surroundings, defaults: Config
) -> None:
    hits, window, whole = lenses
    for spectra in (window, whole):
        spectra.dispersion[:] = 0
    flat = ((3600.0, 1.05), (10000.0, 1.05))
    unknown = measure_hits(HitSpectra(hits, window, whole, flat, defaults.vet))
    for spectra in (window, whole):
        spectra.dispersion[:] = 1.05
    other = ((3600.0, 3.0), (10000.0, 3.0))
    known = measure_hits(HitSpectra(hits, window, whole, other, defaults.vet))
    for name, values in known.items():
        if values.dtype.kind == "U":
            np.testing.assert_array_equal(unknown[name], values)
        else:
            np.testing.assert_allclose(unknown[name], values, rtol=1e-3, atol=1e-3, err_msg=name)


def test_good_pixels_are_weighed_by_the_line_as_observed(
    lenses: Surroundings, defaults: Config
) -> None:
    hits, window, whole = lenses
    hits["WAVE"], hits["FWHM_KMS"] = WINDOW.wave[600], 400.0
    window.ivar[:, 600] = 0
    sigma = np.hypot(400 / FWHM_PER_SIGMA / PIXEL_KMS, 1.05)
    found = measured((hits, window, whole), defaults)["GOOD_PIXELS"]
    np.testing.assert_allclose(found, 1 - gaussian_pixels(0.0, sigma), rtol=1e-6)


def test_no_hits_are_no_error(lenses: Surroundings, defaults: Config) -> None:
    hits, window, whole = lenses
    for values in measured((hits[:0], window[:0], whole[:0]), defaults).values():
        assert values.shape == (0,)


def test_widths_become_pixels_within_sensible_limits() -> None:
    fwhm = np.array([np.nan, 0.0, 10.0, 250.0, 5000.0])
    expected = [0.3, 0.3, 0.3, 250 / FWHM_PER_SIGMA / PIXEL_KMS, 6.0]
    np.testing.assert_allclose(line_sigma(fwhm, (0.3, 6.0)), expected)
