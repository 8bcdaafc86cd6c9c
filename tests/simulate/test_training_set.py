"""Training spectra hold what their labels say, in the numbers that were asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.config import Config, load_config
from speclens.simulate.binned_galaxies import MARGIN_PIXELS, BinnedGalaxies
from speclens.simulate.galaxies import GalaxyPopulation
from speclens.simulate.training_set import (
    EMISSION_LINES,
    LabelledSpectra,
    SkyResiduals,
    draw_from_bins,
    draw_from_survey,
    on_window,
    plate_with_lines,
    survey_of_galaxies,
)
from speclens.spectra import LogGrid

WINDOW = (4150.0, 4400.0)
GRID = LogGrid.covering(*WINDOW)
PLAIN = (f"preparation.window={list(WINDOW)}", "survey.n_pixels=1000")
BRIGHT = (
    "training_set.flux_median=300.0",
    "training_set.flux_sigma=0.1",
    "emitters.flux_range=[3.0, 1000.0]",
    "survey.decoy_flux_range=[200.0, 400.0]",
)


def config_of(*overrides: str, source: str | None = None) -> Config:
    return load_config(source, [*PLAIN, *overrides])


def from_survey(n_spectra: int, n_lines: int, *overrides: str, seed: int = 1) -> LabelledSpectra:
    galaxies = GalaxyPopulation.bundled()
    rng = np.random.default_rng(seed)
    return draw_from_survey(n_spectra, n_lines, config_of(*overrides), galaxies, rng)


@pytest.fixture(scope="module")
def galaxies() -> BinnedGalaxies:
    """A hundred observed galaxies in two bins of redshift."""
    rng = np.random.default_rng(3)
    grid = LogGrid(GRID.first - MARGIN_PIXELS, GRID.n_pixels + 2 * MARGIN_PIXELS)
    z = rng.uniform(0.5, 0.505, 100)
    truth = GalaxyPopulation.bundled().draw(z, grid, rng)[0]
    flux = truth + 0.5 * rng.standard_normal(truth.shape)
    return BinnedGalaxies.fit(flux, np.full(flux.shape, 4.0), z, grid, 0.0025, 3, 30, 0.3, 5.0)


@pytest.fixture(scope="module")
def sky() -> SkyResiduals:
    """Ten sky fibres, each with an inverse variance of its own."""
    rng = np.random.default_rng(4)
    ivar = np.repeat(np.arange(1, 11, dtype=np.float32)[:, None], GRID.n_pixels, axis=1)
    ivar[:, 50:53] = 0
    return SkyResiduals(rng.standard_normal(ivar.shape).astype(np.float32), ivar)


def from_bins(
    galaxies: BinnedGalaxies,
    sky: SkyResiduals | None,
    *overrides: str,
    n_spectra: int = 60,
    n_lines: int = 12,
    among: NDArray[np.bool_] | None = None,
    seed: int = 1,
) -> LabelledSpectra:
    allowed = np.ones(galaxies.n_galaxies, bool) if among is None else among
    config = config_of(*overrides, source="li2019")
    rng = np.random.default_rng(seed)
    return draw_from_bins(n_spectra, n_lines, config, galaxies, allowed, sky, rng)


def peaks(spectra: LabelledSpectra, rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """Pixel of the greatest flux that is not masked."""
    batch = spectra.batch
    return np.asarray(np.where(batch.ivar[rows] > 0, batch.flux[rows], -np.inf).argmax(axis=1))


@pytest.mark.parametrize(("n_spectra", "n_lines"), [(40, 9), (101, 7), (60, 1), (50, 2), (30, 29)])
def test_as_many_have_a_line_as_were_asked_for(n_spectra: int, n_lines: int) -> None:
    labels = from_survey(n_spectra, n_lines).labels
    assert len(labels) == n_spectra
    assert labels["LABEL"].sum() == n_lines


@pytest.mark.parametrize(
    ("shares", "expected"),
    [((0.7, 0.1, 0.2), (70, 10, 20)), ((1, 1, 1), (33, 34, 33)), ((0, 0, 5), (0, 0, 100))],
)
def test_kinds_of_line_have_their_shares(shares: Sequence[float], expected: Sequence[int]) -> None:
    kinds = dict(zip(EMISSION_LINES, map(float, shares), strict=True))
    overrides = [f"training_set.line_kinds.{kind}={share}" for kind, share in kinds.items()]
    overrides.append("training_set.second_line_fraction=0.0")
    labels = from_survey(200, 100, *overrides).labels
    found = Counter(labels["KIND"][labels["LABEL"] == 1].tolist())
    assert [found[kind] for kind in EMISSION_LINES] == list(expected)


def test_artefacts_are_no_lines() -> None:
    overrides = ("training_set.artefact_fractions.spike=0.2",
                 "training_set.artefact_fractions.sky_line=0.1")  # fmt: skip
    labels = from_survey(200, 100, *overrides).labels
    found = Counter(labels["KIND"][labels["LABEL"] == 0].tolist())
    assert found == {"": 70, "spike": 20, "sky_line": 10}


def test_what_is_known_of_a_line_is_known_where_there_is_one() -> None:
    labels = from_survey(200, 100).labels
    named = labels["KIND"] != ""
    assert 100 < named.sum() < 200
    np.testing.assert_array_equal(np.isfinite(labels["WAVE"]), named)
    np.testing.assert_array_equal(labels["FLUX"] > 0, named)
    assert (labels["IDEAL_SNR"][~named] == 0).all()
    assert (labels["WAVE"][named] >= WINDOW[0]).all()
    assert (labels["WAVE"][named] <= WINDOW[1]).all()
    assert (labels["GALAXY"] == -1).all()


def test_labels_tell_which_lines_are_skewed_to_the_blue() -> None:
    config = load_config("three_classes")
    labels = draw_from_survey(
        400, 200, config, GalaxyPopulation.bundled(), np.random.default_rng(5)
    ).labels
    line = labels["LABEL"] == 1
    assert set(labels["SKEW"][line].tolist()) == {-1, 1}
    assert (labels["SKEW"][line] == 1).mean() == pytest.approx(0.5, abs=0.15)
    assert (labels["SKEW"][~line] == 0).all()


def test_bright_lines_are_where_their_labels_say() -> None:
    whole = ("training_set.damage_rate=0.0", "training_set.second_line_fraction=0.0")
    spectra = from_survey(120, 60, *BRIGHT, *whole)
    rows = np.flatnonzero(spectra.labels["LABEL"])
    distance = peaks(spectra, rows) - GRID.pixel(spectra.labels["WAVE"][rows])
    near = np.abs(distance) < 4
    assert near.mean() > 0.9  # the others are masked there, or end at the window
    free = np.flatnonzero(spectra.labels["KIND"] == "")
    assert np.median(spectra.batch.flux[rows].max(axis=1)) > 5 * np.median(
        spectra.batch.flux[free].max(axis=1)
    )


def test_some_spectra_have_a_second_line_and_the_label_tells_of_the_clearer() -> None:
    draws = [
        from_survey(60, 30, *BRIGHT, f"training_set.second_line_fraction={share}")
        for share in (0.0, 1.0)
    ]
    one, two = draws
    np.testing.assert_array_equal(one.labels["LABEL"], two.labels["LABEL"])
    free = one.labels["LABEL"] == 0
    np.testing.assert_array_equal(one.batch.flux[free], two.batch.flux[free])
    added = (two.batch.flux - one.batch.flux)[~free]
    assert (added.max(axis=1) > 0.1).all()
    snr = one.labels["IDEAL_SNR"][~free], two.labels["IDEAL_SNR"][~free]
    clearer = snr[1] != snr[0]
    assert clearer.any()
    assert (snr[1] >= snr[0]).all()
    for name in ("WAVE", "FLUX"):
        values = one.labels[name][~free], two.labels[name][~free]
        np.testing.assert_array_equal(values[1][~clearer], values[0][~clearer])
    told = GRID.pixel(two.labels["WAVE"][~free])[clearer]
    np.testing.assert_allclose(added.argmax(axis=1)[clearer], told, atol=4)


def test_the_stated_error_does_not_tell_where_the_line_is() -> None:
    spectra = from_survey(160, 120, *BRIGHT, "survey.noise.bad_run_rate=0.0")
    labels, ivar = spectra.labels, spectra.batch.ivar
    pixel = np.rint(np.nan_to_num(GRID.pixel(labels["WAVE"]), nan=-1)).astype(int)
    inside = (labels["LABEL"] == 1) & (pixel > 20) & (pixel < GRID.n_pixels - 20)
    ratio = [
        np.median(ivar[row, pixel[row] - 1 : pixel[row] + 2])
        / np.median(ivar[row, [pixel[row] - 15, pixel[row] + 15]])
        for row in np.flatnonzero(inside).tolist()
    ]
    assert len(ratio) > 60
    assert np.median(ratio) == pytest.approx(1, abs=0.03)


def test_labels_do_not_depend_on_the_row() -> None:
    labels = from_survey(400, 200).labels["LABEL"]
    assert 60 < labels[:200].sum() < 140


def test_redshifts_are_those_of_the_sample() -> None:
    config = config_of("selection.z_min=0.5", "selection.z_max=0.6")
    spectra = draw_from_survey(
        100, 10, config, GalaxyPopulation.bundled(), np.random.default_rng(1)
    )
    np.testing.assert_array_equal(spectra.labels["Z"], spectra.batch.targets["Z"])
    assert spectra.labels["Z"].min() > 0.498  # the catalogue's redshifts have errors
    assert spectra.labels["Z"].max() < 0.602
    assert (spectra.batch.targets["CLASS"] == "GALAXY").all()


def test_a_survey_of_galaxies_has_nothing_else() -> None:
    survey = survey_of_galaxies(config_of("selection.z_min=0.4"), 77).survey
    assert survey.n_fibres == 77
    assert survey.redshift_range[0] == 0.4
    fractions = {name for name in type(survey).model_fields if name.endswith("_fraction")}
    assert len(fractions) == 11
    assert not any(getattr(survey, name) for name in fractions)


def test_the_window_is_cut_out_of_the_plate() -> None:
    plate, _ = plate_with_lines(
        30, 5, config_of(), GalaxyPopulation.bundled(), np.random.default_rng(2)
    )
    batch = on_window(plate, GRID)
    start = GRID.first - plate.grid.first
    assert batch.grid == GRID
    pixels = slice(start, start + GRID.n_pixels)
    np.testing.assert_array_equal(batch.flux, plate.observed.flux[:, pixels])
    np.testing.assert_array_equal(batch.ivar, plate.observed.ivar[:, pixels])
    np.testing.assert_array_equal(batch.dispersion, plate.observed.dispersion[:, pixels])
    np.testing.assert_array_equal(batch.targets["FIBERID"], np.arange(1, 31))


@pytest.mark.parametrize("recipe", ["survey", "li2019"])
def test_the_generator_alone_decides(recipe: str, galaxies: BinnedGalaxies) -> None:
    def drawn(seed: int) -> LabelledSpectra:
        if recipe == "survey":
            return from_survey(60, 12, seed=seed)
        return from_bins(galaxies, None, seed=seed)

    one, two, other = drawn(1), drawn(1), drawn(2)
    np.testing.assert_array_equal(one.batch.flux, two.batch.flux)
    np.testing.assert_array_equal(one.batch.ivar, two.batch.ivar)
    assert one.labels.tobytes() == two.labels.tobytes()
    assert not np.array_equal(one.batch.flux, other.batch.flux)


@pytest.mark.parametrize("recipe", ["survey", "li2019"])
def test_f5_no_two_of_the_first_64_have_the_same_noise(
    recipe: str, galaxies: BinnedGalaxies
) -> None:
    spectra = from_survey(64, 8) if recipe == "survey" else from_bins(galaxies, None, n_spectra=64)
    flux, ivar = spectra.batch.flux, spectra.batch.ivar
    # Of what is not smooth, the noise is nearly all.
    noise = np.diff(np.where(ivar > 0, flux * np.sqrt(ivar), 0), 2, axis=1)
    correlation = np.corrcoef(np.clip(noise, -5, 5))
    np.fill_diagonal(correlation, 0)
    assert np.abs(correlation).max() < 0.5
    assert len(np.unique(ivar, axis=0)) == 64


def test_the_papers_lines_come_first(galaxies: BinnedGalaxies) -> None:
    labels = from_bins(galaxies, None, n_spectra=60, n_lines=12).labels
    assert labels["LABEL"].tolist() == [1] * 12 + [0] * 48
    assert set(labels["KIND"][:12].tolist()) == {"lya"}
    assert set(labels["KIND"][12:].tolist()) == {""}
    wave = labels["WAVE"][:12]
    assert ((wave >= WINDOW[0]) & (wave <= WINDOW[1])).all()
    assert np.isnan(labels["WAVE"][12:]).all()
    assert (labels["IDEAL_SNR"][:12] > 0).all()
    assert (labels["GALAXY"] >= 0).all()


def test_the_papers_spectra_are_galaxies_lines_and_sky_fibres(
    galaxies: BinnedGalaxies, sky: SkyResiduals
) -> None:
    spectra = from_bins(galaxies, sky, n_spectra=80, n_lines=12, seed=5)
    every = np.ones(galaxies.n_galaxies, bool)
    noiseless, z, number = galaxies.draw(80, GRID, np.random.default_rng(5), every)
    np.testing.assert_array_equal(spectra.labels["Z"], z)
    np.testing.assert_array_equal(spectra.labels["GALAXY"], number)
    fibre = spectra.batch.ivar.max(axis=1).astype(int) - 1
    assert len(set(fibre.tolist())) > 5
    np.testing.assert_array_equal(spectra.batch.ivar, sky.ivar[fibre])
    rest = spectra.batch.flux - sky.flux[fibre] - noiseless
    np.testing.assert_allclose(rest[12:], 0, atol=1e-5)
    line = rest[:12].argmax(axis=1)
    assert (np.abs(line - GRID.pixel(spectra.labels["WAVE"][:12])) < 1.5).all()
    flux = rest[:12] @ np.gradient(GRID.wave)
    whole = np.abs(line - GRID.n_pixels / 2) < GRID.n_pixels / 2 - 20
    np.testing.assert_allclose(flux[whole], spectra.labels["FLUX"][:12][whole], rtol=0.02)


def test_the_papers_lines_are_as_high_as_asked_for(
    galaxies: BinnedGalaxies, sky: SkyResiduals
) -> None:
    silent = SkyResiduals(np.zeros_like(sky.flux), sky.ivar)
    spectra = from_bins(
        galaxies, silent, "training_set.gaussian_peak_min=4.0", n_spectra=200, n_lines=199
    )
    noiseless = galaxies.draw(
        200, GRID, np.random.default_rng(1), np.ones(galaxies.n_galaxies, bool)
    )[0]
    peak = (spectra.batch.flux - noiseless)[:199].max(axis=1)
    inside = np.abs(GRID.pixel(spectra.labels["WAVE"][:199]) - GRID.n_pixels / 2) < 100
    assert inside.sum() > 80
    assert peak[inside].min() > 3.5  # a pixel is a mean over the peak


def test_f7_only_the_galaxies_and_fibres_allowed_are_used(
    galaxies: BinnedGalaxies, sky: SkyResiduals
) -> None:
    allowed = np.arange(galaxies.n_galaxies) % 3 == 0
    fibres = np.arange(len(sky)) < 4
    spectra = from_bins(galaxies, sky.among(fibres), n_spectra=200, n_lines=20, among=allowed)
    assert allowed[spectra.labels["GALAXY"]].all()
    assert set(np.unique(spectra.batch.ivar).tolist()) == {0, 1, 2, 3, 4}


def test_some_of_the_sky_fibres_are_those_of_the_rows(sky: SkyResiduals) -> None:
    rows = np.arange(10) % 2 == 1
    some = sky.among(rows)
    assert (len(sky), len(some)) == (10, 5)
    np.testing.assert_array_equal(some.flux, sky.flux[1::2])
    np.testing.assert_array_equal(some.ivar, sky.ivar[1::2])


def test_without_sky_fibres_the_noise_is_the_bundled_models(galaxies: BinnedGalaxies) -> None:
    spectra = from_bins(galaxies, None, n_spectra=100, n_lines=1)
    sigma = np.median(spectra.batch.ivar[spectra.batch.ivar > 0]) ** -0.5
    assert 0.2 < sigma < 1.5
    noise = np.diff(spectra.batch.flux, 2, axis=1) / np.sqrt(6)
    scatter = np.median(np.abs(noise)) / 0.6745
    assert scatter == pytest.approx(sigma, rel=0.25)
