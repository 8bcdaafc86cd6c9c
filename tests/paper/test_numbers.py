"""The numbers of Li et al. 2019 and Shu et al. 2016 that the package works with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from speclens.config import load_config
from speclens.lines import FWHM_PER_SIGMA, LYMAN_ALPHA, PIXEL_KMS
from speclens.spectra import LogGrid

Z_SOURCES_OF_TABLE_1 = (2.1570, 2.7894, 2.4395, 2.4099, 2.3913)


def test_the_window_of_the_paper_has_1192_pixels() -> None:
    assert LogGrid.covering(*load_config().preparation.window).n_pixels == 1192


def test_lyman_alpha_of_the_sample_falls_into_the_window() -> None:
    grid = LogGrid.covering(*load_config().preparation.window)
    z = grid.wave[[0, -1]] / LYMAN_ALPHA - 1
    assert z == pytest.approx([2.126, 3.113], abs=2e-3)
    for z_source in Z_SOURCES_OF_TABLE_1:
        assert z[0] < z_source < z[1]


def test_the_sample_is_the_paper_s() -> None:
    selection = load_config().selection
    assert selection.classes == ("GALAXY",)
    assert selection.refused_subclasses == ("STARFORMING", "BROADLINE", "AGN")
    assert selection.z_min == 0.3


def test_the_lens_lines_masked_are_the_paper_s() -> None:
    named = np.array([3347, 3427, 3727, 3869])
    assert np.abs(np.array(load_config().preparation.lens_lines) - named).max() < 2


def test_the_rival_s_kernel_is_152_km_s_and_15_pixels_long() -> None:
    matched_filter = load_config("shu2016").matched_filter
    assert matched_filter.sigma_pixels == (2.2,)
    assert pytest.approx(152, abs=0.5) == 2.2 * PIXEL_KMS
    assert 2 * matched_filter.half_width + 1 == 15
    assert pytest.approx(2.3548, abs=1e-4) == FWHM_PER_SIGMA


def test_the_rival_s_masks_are_the_published_ones(survey_data: Path) -> None:
    preparation = load_config("shu2016").preparation

    def listed(name: str) -> list[float]:
        lines = (survey_data / name).read_text().splitlines()
        return [float(line.split()[0]) for line in lines if line.strip() and line[0] != "#"]

    assert preparation.lens_lines == pytest.approx(
        listed("lenses/rest_emission_masked.txt"), abs=0.02
    )
    assert preparation.lens_features == pytest.approx(
        listed("lenses/rest_features_masked.txt"), abs=0.05
    )
    assert preparation.sky_lines == pytest.approx(
        listed("sky_and_instrument/spurious_sky_lines.txt"), abs=0.05
    )
    assert preparation.mask_half_width == 10
