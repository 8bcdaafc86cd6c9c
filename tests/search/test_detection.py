"""From spectra to measured hits, by the filter and by a network whose answers are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.config import Config, load_config
from speclens.networks.model import Model
from speclens.sample.preparation import Preparation
from speclens.search.classifier import Classifier
from speclens.search.detection import Detection, Detector, near_line
from speclens.search.engine import open_engine
from speclens.search.matched_filter import HIT_DTYPE, MatchedFilter
from speclens.search.network import NetworkSearch
from speclens.search.peaks import PeakSearch
from speclens.search.search import Search
from speclens.simulate.survey import make_plate
from speclens.simulate.training_set import on_window
from speclens.spectra import LogGrid, SpectrumBatch

SURVEY = (
    "survey.n_fibres=90",
    "survey.n_pixels=1700",
    "survey.lya_fraction=0.4",
    "survey.sky_fraction=0",
    "survey.star_fraction=0",
    "survey.quasar_fraction=0",
)
THRESHOLD = 6.0
SEEN = 1152  # seven poolings of the hand-made network drop the last 40 pixels
MEASURED = [name for name in HIT_DTYPE.names or () if name not in ("ROW", "SNR", "P_RED")]


@dataclass(frozen=True)
class Setup:
    """A mock plate and the parts of a search."""

    config: Config
    batch: SpectrumBatch
    z: NDArray[np.float64]
    preparation: Preparation
    matched_filter: MatchedFilter

    def detector(
        self, model: Model | None = None, probability_min: float = 0.5, snr_certain: float = 0.0
    ) -> Detector:
        search: Search = PeakSearch(self.config, self.matched_filter)
        if model is not None:
            half_width = self.config.search.place_half_width
            classifier = Classifier(model, open_engine(model, "cpu", "float32"), half_width)
            search = NetworkSearch(classifier, self.matched_filter, probability_min, snr_certain)
        return Detector(self.preparation, self.matched_filter, search)

    def best(self, found: Detection) -> NDArray[np.float32]:
        output = self.matched_filter.apply(found.prepared.residual, found.prepared.ivar)
        return output.snr.max(axis=1)


@pytest.fixture(scope="module")
def setup() -> Setup:
    config = load_config(None, SURVEY)
    plate, _ = make_plate(0, config, np.random.default_rng(8))
    grid = LogGrid.covering(*config.preparation.window)
    matched_filter = MatchedFilter(grid, config.matched_filter)
    return Setup(
        config, on_window(plate, grid), plate.targets["Z"], Preparation(config), matched_filter
    )


@pytest.fixture(scope="module")
def model(peak_model: Callable[..., Model]) -> Model:
    return peak_model(threshold=THRESHOLD)


def expit(logit: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-logit.astype(float))))


def test_without_a_network_the_hits_are_the_filters(setup: Setup) -> None:
    found = setup.detector()(setup.batch, setup.z)
    assert np.isnan(found.probability).all()
    search = setup.matched_filter.search(found.prepared.residual, found.prepared.ivar)
    assert len(found.hits) > 20
    for name in ("ROW", "SNR"):
        np.testing.assert_array_equal(found.hits[name], search.hits[name])
    np.testing.assert_array_equal(found.many_hits, search.many_hits)
    np.testing.assert_array_equal(found.snr, search.snr)
    assert setup.detector().engine is None


@pytest.mark.parametrize("probability_min", [0.5, 0.3, 0.99])
def test_a_spectrum_is_a_hit_above_the_probability_and_has_one_hit(
    setup: Setup, model: Model, probability_min: float
) -> None:
    found = setup.detector(model, probability_min)(setup.batch, setup.z)
    best = setup.best(found)
    expected = expit(np.minimum(best[:, :SEEN].max(axis=1), 20) - THRESHOLD)
    np.testing.assert_allclose(found.probability, expected, atol=1e-5)
    rows = np.flatnonzero(found.probability > probability_min)
    assert 10 < len(rows) < 60
    assert found.hits["ROW"].tolist() == rows.tolist()
    assert not found.many_hits.any()
    np.testing.assert_array_equal(
        found.snr, setup.detector()(setup.batch, setup.z).snr
    )  # the filter's ratio is told whoever searches


def test_a_line_that_no_noise_is_as_bright_as_is_a_hit_whatever_the_network_says(
    setup: Setup, peak_model: Callable[..., Model]
) -> None:
    blind = peak_model(threshold=50.0)
    assert len(setup.detector(blind)(setup.batch, setup.z).hits) == 0
    found = setup.detector(blind, snr_certain=12.0)(setup.batch, setup.z)
    rows = np.flatnonzero(found.snr >= 12)
    assert 3 < len(rows) < 60
    assert found.hits["ROW"].tolist() == rows.tolist()
    assert (found.probability[rows] < 0.01).all()  # it stays the network's own
    best = setup.best(found)[rows].argmax(axis=1)
    np.testing.assert_allclose(setup.preparation.grid.pixel(found.hits["WAVE"]), best, atol=3)


def test_a_hit_of_the_network_is_where_the_filter_is_highest_near_its_place(
    setup: Setup, model: Model
) -> None:
    found = setup.detector(model)(setup.batch, setup.z)
    best = setup.best(found)[:, :SEEN]
    rows = found.hits["ROW"]
    pixel = setup.preparation.grid.pixel(found.hits["WAVE"])
    clear = best[rows].max(axis=1) < 20  # above, several places are equally high
    assert clear.sum() > 5
    highest = best[rows].argmax(axis=1)
    assert np.abs(pixel - highest)[clear].max() < 3
    between_pixels = found.hits["SNR"][clear] / best[rows, highest][clear]
    assert between_pixels.min() >= 1
    assert between_pixels.max() < 1.05


def test_a_line_that_both_find_is_measured_alike(setup: Setup, model: Model) -> None:
    by_network = setup.detector(model)(setup.batch, setup.z).hits
    by_filter = setup.detector()(setup.batch, setup.z).hits
    single, count = np.unique(by_filter["ROW"], return_counts=True)
    single = np.intersect1d(single[count == 1], by_network["ROW"])
    assert len(single) > 10
    one = by_network[np.isin(by_network["ROW"], single)]
    two = by_filter[np.isin(by_filter["ROW"], single)]
    near = np.abs(one["WAVE"] - two["WAVE"]) < 3
    assert near.mean() > 0.8
    for name in ("FLUX", "FWHM_KMS", "WAVE"):
        # The lines left out of the foreground fit may begin a pixel apart.
        np.testing.assert_allclose(one[name][near], two[name][near], rtol=0.05, atol=10)
    np.testing.assert_allclose(one["FLUX"][near], two["FLUX"][near], rtol=0.05)


def test_f2_a_spectrum_that_cannot_be_searched_has_no_probability_and_no_hit(
    setup: Setup, peak_model: Callable[..., Model]
) -> None:
    ivar = setup.batch.ivar.copy()
    ivar[3] = 0
    batch = replace(setup.batch, ivar=ivar)
    sure = peak_model(threshold=-50.0)  # of every spectrum, an empty one too
    found = setup.detector(sure)(batch, setup.z)
    assert found.prepared.reasons[3] == "no_data"
    assert np.flatnonzero(np.isnan(found.probability)).tolist() == [3]
    assert found.hits["ROW"].tolist() == [i for i in range(len(batch)) if i != 3]
    assert (np.delete(found.probability, 3) > 0.99).all()


def test_a_network_that_says_yes_to_all_gives_hits_that_can_be_measured(
    setup: Setup, peak_model: Callable[..., Model]
) -> None:
    found = setup.detector(peak_model(threshold=-50.0))(setup.batch, setup.z)
    assert len(found.hits) == len(setup.batch)
    faint = found.hits["SNR"] < 4
    assert faint.sum() > 10
    for name in MEASURED:
        assert np.isfinite(found.hits[name]).all(), name


def test_a_network_that_says_no_to_all_gives_none(
    setup: Setup, peak_model: Callable[..., Model]
) -> None:
    found = setup.detector(peak_model(threshold=60.0))(setup.batch, setup.z)
    assert (found.probability < 0.01).all()
    assert (len(found.hits), found.hits.dtype) == (0, HIT_DTYPE)


def test_no_spectra_give_an_empty_detection(setup: Setup, model: Model) -> None:
    for detector in (setup.detector(), setup.detector(model)):
        found = detector(setup.batch[:0], setup.z[:0])
        assert found.snr.shape == found.probability.shape == found.hits.shape == (0,)


@pytest.mark.parametrize("scale", [0.125, 2.0, 100.0])
def test_b6_another_unit_of_flux_gives_the_same_probabilities(
    setup: Setup, model: Model, scale: float
) -> None:
    scaled = replace(
        setup.batch,
        flux=setup.batch.flux * np.float32(scale),
        ivar=setup.batch.ivar / np.float32(scale**2),
    )
    plain = setup.detector(model)(setup.batch, setup.z)
    found = setup.detector(model)(scaled, setup.z)
    np.testing.assert_allclose(found.probability, plain.probability, atol=1e-3)
    assert found.hits["ROW"].tolist() == plain.hits["ROW"].tolist()
    np.testing.assert_allclose(found.hits["FLUX"], plain.hits["FLUX"] * scale, rtol=1e-2)


@pytest.mark.parametrize("scale", [1e-17, 1e17])
def test_b6_an_absurd_unit_is_refused_and_has_no_probability(
    setup: Setup, peak_model: Callable[..., Model], scale: float
) -> None:
    scaled = replace(
        setup.batch,
        flux=setup.batch.flux * np.float32(scale),
        ivar=setup.batch.ivar / np.float32(scale) ** 2,
    )
    found = setup.detector(peak_model(threshold=-50.0))(scaled, setup.z)
    assert set(found.prepared.reasons.tolist()) == {"bad_values"}
    assert np.isnan(found.probability).all()
    assert len(found.hits) == 0


@pytest.mark.parametrize("wave", [3800.4, 4321.0, 4999.0])
@pytest.mark.parametrize("half_width", [1, 10])
def test_the_pixels_of_a_line_are_those_near_its_centre(wave: float, half_width: int) -> None:
    grid = LogGrid.covering(3800, 5000)
    found = near_line(grid, wave, half_width)
    centre = int(np.argmin(np.abs(grid.loglam - np.log10(wave))))
    expected = [i for i in range(grid.n_pixels) if abs(i - centre) <= half_width]
    assert np.flatnonzero(found).tolist() == expected
