"""What a lens shows of its own is masked, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.config import LinesConfig, load_config
from speclens.lines import REST_LINES, gaussian_pixels
from speclens.search.lens_features import LENS_REACH, LensFeatures
from speclens.spectra import LogGrid

GRID = LogGrid.covering(3600, 9800)
Z = np.array([0.4])

Floats = NDArray[np.float32]


@pytest.fixture(scope="module")
def lines() -> LinesConfig:
    return load_config("elg").lines


def place_of(name: str, z: float = Z[0]) -> int:
    return round(float(GRID.pixel(REST_LINES[name].wave * (1 + z))))


ELSEWHERE = round(float(GRID.pixel(5450 * (1 + Z[0]))))
"""A pixel without a line of the lens."""


def with_line(pixel: float, snr: float, sigma: float = 1.6) -> Floats:
    """A spectrum of unit errors with a line of some S/N, below 0 for absorption."""
    line = gaussian_pixels(np.arange(GRID.n_pixels) - pixel, np.array([sigma]))
    return np.asarray(snr * line / np.sqrt((line**2).sum()), np.float32)[None]


def masked(flux: Floats, config: LinesConfig, z: NDArray[np.float64] = Z) -> NDArray[np.bool_]:
    return LensFeatures(GRID, config)(flux, np.ones_like(flux), z)


@pytest.mark.parametrize("snr", [12.0, -12.0])
@pytest.mark.parametrize("name", ["[O II]", "H beta", "[O III] 5008", "H alpha"])
def test_a_line_that_the_lens_shows_is_masked_in_emission_and_in_absorption(
    lines: LinesConfig, name: str, snr: float
) -> None:
    place = place_of(name)
    mask = masked(with_line(place, snr), lines)
    around = np.arange(place - lines.lens_half_width, place + lines.lens_half_width + 1)
    assert mask[0, around].all()
    assert mask.sum() == len(around)


def test_a_line_that_it_does_not_show_is_searched(lines: LinesConfig) -> None:
    quiet = np.zeros((1, GRID.n_pixels), np.float32)
    assert not masked(quiet, lines).any()
    assert not masked(with_line(place_of("[O II]"), 0.7 * lines.lens_snr), lines).any()
    assert masked(with_line(place_of("[O II]"), 1.3 * lines.lens_snr), lines).any()


def test_a_strong_line_elsewhere_is_not_the_lens_s(lines: LinesConfig) -> None:
    assert not masked(with_line(ELSEWHERE, 50), lines).any()
    # The same line is the lens's where the redshift puts [O II] there.
    z = GRID.wave[[ELSEWHERE]] / REST_LINES["[O II]"].wave - 1
    assert masked(with_line(ELSEWHERE, 50), lines, z)[0, ELSEWHERE]


def test_a_line_may_be_off_its_place_by_few_pixels(lines: LinesConfig) -> None:
    place = place_of("[O II]")
    for offset in (-LENS_REACH, LENS_REACH):
        assert masked(with_line(place + offset, 12), lines)[0, place + offset]
    assert not masked(with_line(place + LENS_REACH + 8, 12), lines).any()


def test_each_lens_is_masked_at_its_own_redshift(lines: LinesConfig) -> None:
    z = np.array([0.1, 0.4, 0.7])
    flux = np.concatenate([with_line(place_of("[O II]", own), 20) for own in z])
    mask = masked(flux, lines, z)
    for row, own in enumerate(z):
        assert mask[row, place_of("[O II]", own)]
    assert not masked(flux, lines, z + 0.013).any()


def test_lines_beyond_the_ends_of_the_spectrum_do_no_harm(lines: LinesConfig) -> None:
    for z in (0.0, 3.0):
        assert not masked(np.zeros((1, GRID.n_pixels), np.float32), lines, np.array([z])).any()


@pytest.mark.parametrize("beyond", [-2, 2])
def test_a_line_at_an_end_is_masked_although_its_middle_is_beyond(
    lines: LinesConfig, beyond: int
) -> None:
    end = 0 if beyond < 0 else GRID.n_pixels - 1
    wave = 10 ** (np.log10(GRID.wave[[end]]) + beyond * 1e-4)
    z = wave / REST_LINES["[O II]"].wave - 1
    mask = masked(with_line(end + beyond, 60), lines, z)[0]
    inner = end - np.sign(beyond) * np.arange(lines.lens_half_width - abs(beyond) + 1)
    assert mask[inner].all()
    assert mask.sum() == len(inner)


def test_masked_pixels_show_nothing(lines: LinesConfig) -> None:
    flux = with_line(place_of("[O II]"), 40)
    assert not LensFeatures(GRID, lines)(flux, np.zeros_like(flux), Z).any()


def test_any_absorption_is_masked_where_that_is_asked_for(lines: LinesConfig) -> None:
    quasars = lines.model_copy(update={"absorption_snr": 4.0})
    absorbed, emitted = with_line(ELSEWHERE, -15), with_line(ELSEWHERE, 15)
    assert not masked(absorbed, lines).any()
    mask = masked(absorbed, quasars)[0]
    assert mask[ELSEWHERE - lines.lens_half_width : ELSEWHERE + lines.lens_half_width + 1].all()
    assert mask.sum() < 6 * lines.lens_half_width
    assert not masked(emitted, quasars).any()
    assert not masked(with_line(ELSEWHERE, -3), quasars).any()


def test_only_the_range_in_the_frame_of_the_lens_is_searched(lines: LinesConfig) -> None:
    config = lines.model_copy(update={"rest_range": (3000.0, 6000.0)})
    z = np.array([0.0, 0.4, 2.0])
    mask = masked(np.zeros((3, GRID.n_pixels), np.float32), config, z)
    rest = GRID.wave / (1 + z[:, None])
    np.testing.assert_array_equal(mask, (rest < 3000) | (rest > 6000))
