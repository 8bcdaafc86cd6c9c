"""What the search sees of a spectrum, good and bad."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.config import Config
from speclens.sample.preparation import Preparation, PreparedSpectra, good_pixels, line_mask
from speclens.schema import flag_names
from speclens.search.matched_filter import MatchedFilter
from speclens.spectra import LogGrid, SpectrumBatch

Batch = Callable[..., tuple[SpectrumBatch, NDArray[np.float64]]]
GRID = LogGrid.covering(3800.0, 5000.0)


@pytest.fixture(scope="module")
def prepare(config: Config) -> Preparation:
    return Preparation(config)


@pytest.fixture(scope="module")
def matched_filter(config: Config) -> MatchedFilter:
    return MatchedFilter(GRID, config.matched_filter)


def assert_sound(found: PreparedSpectra, matched_filter: MatchedFilter) -> None:
    """No value may be NaN, and masked pixels hold nothing."""
    for name in ("flux", "ivar", "model", "residual", "residual_rms", "good_fraction"):
        assert np.isfinite(getattr(found, name)).all(), name
    masked = found.ivar == 0
    assert (found.flux[masked] == 0).all()
    assert (found.residual[masked] == 0).all()
    assert (found.ivar >= 0).all()
    assert np.isfinite(matched_filter.apply(found.residual, found.ivar).snr).all()
    search = matched_filter.search(found.residual, found.ivar)
    assert np.isfinite(search.snr).all()
    for name in set(search.hits.dtype.names or ()) - {"P_RED"}:  # a network tells it, no filter
        assert np.isfinite(search.hits[name]).all()


def spoil(batch: SpectrumBatch, row: int, where: slice, **values: float) -> SpectrumBatch:
    """Return a copy of the batch with values put into some pixels of one spectrum."""
    changed = {name: getattr(batch, name).copy() for name in values}
    for name, value in values.items():
        changed[name][row, where] = value
    return replace(batch, **changed)


BAD_VALUES = [
    {"flux": np.nan},
    {"flux": np.inf},
    {"flux": -np.inf},
    {"flux": 1e30},
    {"flux": -1e30},
    {"ivar": np.nan},
    {"ivar": np.inf},
    {"ivar": -1.0},
    {"ivar": 0.0},
    {"ivar": 1e30},
    {"flux": np.nan, "ivar": np.nan},
    {"flux": 1e30, "ivar": 1e30},
]
NAMES = ["-".join(f"{k}{v:g}" for k, v in values.items()) for values in BAD_VALUES]


@pytest.mark.parametrize("values", BAD_VALUES, ids=NAMES)
def test_b1_bad_pixels_are_masked_and_change_nothing_else(
    make_batch: Batch,
    prepare: Preparation,
    matched_filter: MatchedFilter,
    values: dict[str, float],
) -> None:
    batch, z = make_batch(3)
    where = slice(500, 503)
    found = prepare(spoil(batch, 1, where, **values), z)
    expected = prepare(spoil(batch, 1, where, ivar=0.0), z)
    assert_sound(found, matched_filter)
    assert (found.reasons == "").all()
    assert (found.ivar[1, where] == 0).all()
    for name in ("flux", "ivar", "model", "residual"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=1e-6)


@pytest.mark.parametrize("values", BAD_VALUES, ids=NAMES)
def test_b1_a_spectrum_of_bad_pixels_only_has_no_data_and_leaves_its_neighbours_alone(
    make_batch: Batch,
    prepare: Preparation,
    matched_filter: MatchedFilter,
    values: dict[str, float],
) -> None:
    batch, z = make_batch(3)
    healthy = prepare(batch, z)
    found = prepare(spoil(batch, 1, slice(None), **values), z)
    assert_sound(found, matched_filter)
    too_large = any(abs(value) == 1e30 for value in values.values())
    assert found.reasons.tolist() == ["", "bad_values" if too_large else "no_data", ""]
    assert found.good_fraction[1] == 0
    for row in (0, 2):
        np.testing.assert_allclose(found.residual[row], healthy.residual[row], atol=1e-5)
        np.testing.assert_allclose(found.ivar[row], healthy.ivar[row], rtol=1e-5)


@pytest.mark.parametrize(
    "values",
    [
        {"flux": 0.0},
        {"flux": 1e-40},
        {"ivar": 1e-40},
        {"ivar": 1e-45},
        {"flux": 1e-40, "ivar": 1e-40},
        {"flux": 9.9e4, "ivar": 9.9e7},
        {"flux": -9.9e4, "ivar": 1e-20},
        {"flux": 1.0, "ivar": 9.9e7},
    ],
)
@pytest.mark.parametrize("where", [slice(None), slice(300, 700), slice(600, 601)])
def test_b1_extreme_numbers_never_give_a_score_that_is_not_a_number(
    make_batch: Batch,
    prepare: Preparation,
    matched_filter: MatchedFilter,
    values: dict[str, float],
    where: slice,
) -> None:
    batch, z = make_batch(2)
    found = prepare(spoil(batch, 1, where, **values), z)
    assert_sound(found, matched_filter)
    np.testing.assert_allclose(found.residual[0], prepare(batch, z).residual[0], atol=1e-5)


@pytest.mark.parametrize("n_good", [0, 1, 50, 199, 200, 400])
def test_b1_too_few_good_pixels_are_no_data(
    make_batch: Batch, prepare: Preparation, matched_filter: MatchedFilter, n_good: int
) -> None:
    batch, z = make_batch(1)
    good = np.flatnonzero(prepare(batch, z).ivar[0] > 0)[:n_good]
    ivar = np.zeros_like(batch.ivar)
    ivar[0, good] = batch.ivar[0, good]
    found = prepare(replace(batch, ivar=ivar), z)
    assert_sound(found, matched_filter)
    assert found.reasons[0] == ("" if n_good >= 200 else "no_data")
    assert found.good_fraction[0] == pytest.approx(n_good / GRID.n_pixels * (n_good >= 200))


def test_b2_pixels_that_the_survey_masks_weigh_nothing(
    make_batch: Batch, prepare: Preparation
) -> None:
    batch, z = make_batch(1)
    batch.mask[0, 400:420] = True
    batch.flux[0, 400:420] = 500
    found = prepare(batch, z)
    assert (found.ivar[0, 400:420] == 0).all()
    assert (found.ivar[0, [398, 422]] > 0).all()


def test_b2_a_spectrum_that_is_all_masked_has_no_data(
    make_batch: Batch, prepare: Preparation, matched_filter: MatchedFilter
) -> None:
    batch, z = make_batch(2)
    batch.mask[1] = True
    found = prepare(batch, z)
    assert_sound(found, matched_filter)
    assert found.reasons.tolist() == ["", "no_data"]


def test_b2_a_missing_camera_is_poor_data_and_the_rest_is_searched(
    make_batch: Batch, prepare: Preparation, matched_filter: MatchedFilter
) -> None:
    batch, z = make_batch(2)
    batch.mask[1, :400] = True
    found = prepare(batch, z)
    assert_sound(found, matched_filter)
    assert found.reasons.tolist() == ["", ""]
    assert [flag_names(flag) for flag in found.flags.tolist()] == [[], ["POOR_DATA"]]
    assert found.good_fraction[1] < 0.68


@pytest.mark.parametrize("gap", [slice(0, 100), slice(1150, None), slice(0, 1), slice(-1, None)])
def test_b4_a_partial_window_is_flagged_and_never_taken_for_data(
    make_batch: Batch, prepare: Preparation, matched_filter: MatchedFilter, gap: slice
) -> None:
    batch, z = make_batch(2)
    before = prepare(batch, z)
    batch.mask[1, gap], batch.covered[1, gap] = True, False
    batch.flux[1, gap] = 0  # as a reader pads it
    found = prepare(batch, z)
    assert_sound(found, matched_filter)
    assert flag_names(int(found.flags[1])) == ["PARTIAL_WINDOW"]
    assert found.flags[0] == 0
    assert (found.ivar[1, gap] == 0).all()
    kept = (found.ivar[1] > 0).sum()
    assert kept == (np.delete(before.ivar[1], np.arange(GRID.n_pixels)[gap]) > 0).sum()
    batch.flux[1, gap] = 77
    np.testing.assert_array_equal(prepare(batch, z).model, found.model)


@pytest.mark.parametrize("name", ["config", "shu"])
def test_b5_lines_are_masked_where_the_redshift_puts_them(
    name: str, request: pytest.FixtureRequest
) -> None:
    settings: Config = request.getfixturevalue(name)
    grid = LogGrid.covering(*settings.preparation.window)
    half = settings.preparation.mask_half_width
    z = np.array([0.0, 0.013, 0.3, 0.5123, 1.2])
    found = line_mask(grid, z, settings.preparation)
    pixels = np.arange(grid.n_pixels)
    for i in range(len(z)):
        expected = np.zeros(grid.n_pixels, bool)
        rest = [*settings.preparation.lens_lines, *settings.preparation.lens_features]
        centres = [w * (1 + z[i]) for w in rest] + list(settings.preparation.sky_lines)
        for centre in centres:
            nearest = np.round((np.log10(centre) - np.log10(grid.wave[0])) / 1e-4)
            expected |= np.abs(pixels - nearest) <= half
        np.testing.assert_array_equal(found[i], expected)
        assert expected.any() == (i in (0, 1, 2) or name == "shu")


@pytest.mark.parametrize("offset", [-12, -11, -10, -3, 0, 3, 10, 11, 12])
@pytest.mark.parametrize("edge", [0, GRID.n_pixels - 1])
def test_b5_a_line_beyond_the_edge_masks_what_reaches_into_the_window(
    config: Config, edge: int, offset: int
) -> None:
    target = GRID.wave[edge] * 10 ** (offset * 1e-4)
    only = config.preparation.model_copy(update={"lens_lines": (3728.48,)})
    found = line_mask(GRID, np.array([target / 3728.48 - 1]), only)[0]
    expected = np.abs(np.arange(GRID.n_pixels) - (edge + offset)) <= 10
    np.testing.assert_array_equal(found, expected)


def test_b5_the_lens_own_line_is_hidden_from_fit_and_search(
    make_batch: Batch, prepare: Preparation, matched_filter: MatchedFilter
) -> None:
    batch, z = make_batch(1)
    z[:] = 0.25
    batch.flux[:] = np.random.default_rng(3).normal(0, 0.5, batch.flux.shape)
    pixel = round(float(GRID.pixel(3728.48 * 1.25)))
    before = prepare(batch, z)
    batch.flux[0, pixel - 6 : pixel + 7] += 30
    found = prepare(batch, z)
    np.testing.assert_array_equal(found.residual, before.residual)
    assert len(matched_filter.search(found.residual, found.ivar).hits) == 0


def test_b5_without_lines_nothing_is_masked(config: Config) -> None:
    none = config.preparation.model_copy(update={"lens_lines": ()})
    assert not line_mask(GRID, np.array([0.5]), none).any()
    assert line_mask(GRID, np.zeros(0), config.preparation).shape == (0, GRID.n_pixels)


@pytest.mark.parametrize("n_spectra", [33, 70])
def test_b9_batch_order_and_size_do_not_change_a_result(
    make_batch: Batch, prepare: Preparation, n_spectra: int
) -> None:
    batch, z = make_batch(n_spectra)
    together = prepare(batch, z)
    order = np.random.default_rng(1).permutation(n_spectra)
    shuffled = prepare(batch[order], z[order])
    for name in ("residual", "ivar", "model", "residual_rms", "flags"):
        whole = getattr(together, name)
        np.testing.assert_allclose(getattr(shuffled, name), whole[order], rtol=1e-6, atol=1e-6)
        for row in (0, 31, 32, n_spectra - 1):
            alone = getattr(prepare(batch[[row]], z[[row]]), name)[0]
            np.testing.assert_allclose(alone, whole[row], rtol=1e-6, atol=1e-6)


def test_the_batch_is_left_as_it_was(make_batch: Batch, prepare: Preparation) -> None:
    batch, z = make_batch(2)
    batch.flux[0, 10] = np.nan
    before = batch.flux.copy(), batch.ivar.copy(), batch.mask.copy()
    prepare(batch, z)
    for array, copy in zip((batch.flux, batch.ivar, batch.mask), before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_errors_only_grow(make_batch: Batch, config: Config) -> None:
    batch, z = make_batch(20)
    plain = Preparation(config)(batch, z)
    growth = np.random.default_rng(2).uniform(1, 2, GRID.n_pixels)
    grown = Preparation(config, growth)(batch, z)
    good = plain.ivar > 0
    assert (plain.ivar[good] <= batch.ivar[good]).all()
    np.testing.assert_array_equal(grown.ivar > 0, good)
    assert (grown.ivar <= plain.ivar * (1 + 1e-6)).sum() > 0.99 * grown.ivar.size
    np.testing.assert_array_equal(grown.residual, plain.residual)
    spectrum = batch.ivar[0] / growth**2
    ratio = grown.ivar[0][good[0]] / spectrum[good[0]]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-5)


def test_understated_errors_are_found_and_corrected(
    make_batch: Batch, prepare: Preparation
) -> None:
    batch, z = make_batch(40)
    found = prepare(replace(batch, ivar=batch.ivar * np.float32(9)), z)
    assert found.residual_rms.mean() == pytest.approx(3, rel=0.02)
    pulls = found.residual * np.sqrt(found.ivar)
    assert pulls[found.ivar > 0].std() == pytest.approx(1.02, abs=0.02)


def test_residual_of_a_galaxy_is_its_noise(make_batch: Batch, prepare: Preparation) -> None:
    batch, z = make_batch(40)
    found = prepare(batch, z)
    assert found.residual_rms.mean() == pytest.approx(1, abs=0.01)
    good = found.ivar > 0
    np.testing.assert_allclose((found.flux - found.model)[good], found.residual[good])
    assert np.abs(found.residual.mean()) < 0.01


def test_b3_a_redshift_beyond_the_basis_leaves_what_is_covered(
    make_batch: Batch, prepare: Preparation, matched_filter: MatchedFilter
) -> None:
    batch, z = make_batch(3)
    z[:] = [0.5, 1.8, 9.0]
    found = prepare(batch, z)
    assert_sound(found, matched_filter)
    assert found.reasons.tolist() == ["", "", "no_data"]
    assert (found.ivar[1, GRID.wave < 1500 * 2.8 - 1] == 0).all()


def test_e2_preparing_nothing_gives_nothing(make_batch: Batch, prepare: Preparation) -> None:
    batch, z = make_batch(2)
    none = np.zeros(0, np.intp)
    assert len(prepare(batch[none], z[none])) == 0


def test_pixels_of_a_found_line_are_kept_but_not_fitted(
    make_batch: Batch, prepare: Preparation
) -> None:
    batch, z = make_batch(1)
    line = np.zeros((1, GRID.n_pixels), bool)
    line[0, 700:720] = True
    before = prepare(batch, z, line)
    height = 10 * np.exp(-0.5 * (np.arange(-10, 10) / 2.5) ** 2)
    batch.flux[0, 700:720] += height.astype(np.float32)
    found = prepare(batch, z, line)
    np.testing.assert_array_equal(found.model, before.model)
    assert (found.residual[0, 708:713] > 5).all()


def test_good_pixels_say_what_is_a_measurement(make_batch: Batch, config: Config) -> None:
    batch, _ = make_batch(1)
    batch.flux[0, :4] = [np.nan, np.inf, 1e5, 9.9e4]
    batch.ivar[0, 4:8] = [np.nan, 0, -1, 1e8]
    batch.mask[0, 8] = True
    good = good_pixels(batch, config.preparation)[0]
    expected = [False] * 3 + [True] + [False] * 4 + [False, True]
    assert good[:10].tolist() == expected
    assert good[10:].all()
