"""Spectra with sources are as many, of the kinds and behind the galaxies, as was asked for."""

from __future__ import annotations

import numpy as np
import pytest

from speclens.config import Config, load_config
from speclens.networks.source_bins import source_bins
from speclens.simulate.galaxies import GalaxyPopulation
from speclens.simulate.source_spectra import draw_with_sources
from speclens.simulate.training_set import LabelledSpectra

N, N_LINES = 150, 90


def drawn(config: Config, seed: int = 4) -> LabelledSpectra:
    population = GalaxyPopulation.bundled()
    return draw_with_sources(N, N_LINES, config, population, np.random.default_rng(seed))


@pytest.fixture(scope="module")
def config() -> Config:
    return load_config(
        "redshift",
        ["training_set.second_line_fraction=0.4", "training_set.decoy_fractions.before=0.3",
         "training_set.decoy_fractions.line=0.2", "training_set.artefact_fractions.spike=0.1"],
    )  # fmt: skip


@pytest.fixture(scope="module")
def spectra(config: Config) -> LabelledSpectra:
    return drawn(config)


def test_labels_are_those_of_the_sources(spectra: LabelledSpectra) -> None:
    labels = spectra.labels
    has_source = labels["LABEL"] == 1
    in_map, is_before = (labels["SOURCES"] != "").any(axis=1), labels["KIND"] == "before"
    np.testing.assert_array_equal(in_map, has_source | is_before)
    assert (labels["Z_SOURCES"][is_before, 0] < labels["Z"][is_before]).all()
    assert has_source.sum() == N_LINES
    np.testing.assert_array_equal(np.isfinite(labels["Z_SOURCES"]), labels["SOURCES"] != "")
    first, second = labels["SOURCES"].T
    assert 0.5 < (first[has_source] == "elg").mean() < 0.9
    assert 0.2 < (second[has_source] != "").mean() < 0.6
    assert set(second[~has_source]) == {""}
    assert np.isin(labels["KIND"][has_source], ["elg", "lya"]).all()
    kinds = set(labels["KIND"][~has_source])
    assert {"before", "line", "spike"} <= kinds <= {"", "before", "line", "spike", "sky_line"}


def test_sources_are_behind_and_have_a_line_in_the_window(
    config: Config, spectra: LabelledSpectra
) -> None:
    labels, grid = spectra.labels, spectra.batch.grid
    background = config.survey.background
    row, number = np.nonzero((labels["SOURCES"] != "") & (labels["LABEL"] == 1)[:, None])
    z, kinds = labels["Z_SOURCES"][row, number], labels["SOURCES"][row, number]
    # What the catalogue knows of the lens's redshift has an error.
    assert (z > labels["Z"][row] + background.z_margin - 1e-3).all()
    for bins in source_bins(grid.first, grid.n_pixels, ("elg", "lya")):
        assert (bins.bin_of(z[kinds == bins.kind]) >= 0).all()
    has_source = labels["LABEL"] == 1
    assert (labels["WAVE"][has_source] > 3599).all()
    assert (labels["FLUX"][has_source] > 0).all()


def test_sources_are_fainter_than_those_of_the_survey(config: Config) -> None:
    assert config.training_set.source_flux_min < config.survey.background.flux_min
    medians = []
    for least in (2.0, 30.0):
        section = config.training_set.model_copy(update={"source_flux_min": least})
        labels = drawn(config.model_copy(update={"training_set": section})).labels
        medians.append(np.median(labels["IDEAL_SNR"][labels["LABEL"] == 1]))
    assert 3 * medians[0] < medians[1]


def test_lines_are_in_the_spectra_and_errors_know_nothing_of_them(config: Config) -> None:
    bright = config.training_set.model_copy(update={"source_flux_min": 40.0})
    none = bright.model_copy(update={"own_lines_fraction": 0.0})
    one, other = (
        drawn(config.model_copy(update={"training_set": section})) for section in (bright, none)
    )
    np.testing.assert_array_equal(one.batch.ivar, other.batch.ivar)
    labels, batch = one.labels, one.batch
    row = np.flatnonzero((labels["LABEL"] == 1) & (labels["WAVE"] < 9000))
    pixel = batch.grid.nearest(labels["WAVE"][row])
    level = np.median(batch.flux[row], axis=1)
    line = np.max([batch.flux[row, pixel + shift] for shift in (-1, 0, 1)], axis=0)
    assert ((line - level) * np.sqrt(np.maximum(batch.ivar[row, pixel], 1e-9)) > 5).mean() > 0.9


def test_the_same_seed_gives_the_same_spectra(config: Config, spectra: LabelledSpectra) -> None:
    same, other = drawn(config), drawn(config, 5)
    np.testing.assert_array_equal(same.batch.flux, spectra.batch.flux)
    assert same.labels.tobytes() == spectra.labels.tobytes()
    assert not np.array_equal(other.batch.flux, spectra.batch.flux)
