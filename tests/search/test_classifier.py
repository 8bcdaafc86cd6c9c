"""The network's search: what the engine says becomes a probability and a pixel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.networks.inputs import network_inputs
from speclens.networks.model import Calibration, Model
from speclens.search.classifier import Classifier
from speclens.search.engine import NetworkOutput, open_engine

Floats = NDArray[np.float32]
SMALL = "preparation.window=[3800.0, 3950.0]"
HALF_WIDTH = 12


@dataclass
class Spectra:
    """What a classifier sees of prepared spectra."""

    flux: Floats
    ivar: Floats
    model: Floats
    residual: Floats


@dataclass
class Engine:
    """Says what it is told to say."""

    logit: Floats
    place: Floats
    inputs: list[Floats] = field(default_factory=list)
    name: str = "told"
    rounding: float = 1.0

    def __call__(self, inputs: Floats) -> NetworkOutput:
        self.inputs.append(inputs)
        return NetworkOutput(self.logit, self.place)


@pytest.fixture(scope="module")
def model(peak_model: Callable[..., Model]) -> Model:
    return peak_model(overrides=[SMALL])


def spectra_for(model: Model, n_spectra: int, rng: np.random.Generator) -> tuple[Spectra, Floats]:
    shape = (n_spectra, model.grid.n_pixels)
    flux, ivar, galaxy, snr = (
        values.astype(np.float32)
        for values in (
            rng.normal(2, 1, shape), rng.uniform(1, 5, shape), np.full(shape, 2.0),
            rng.normal(0, 2, shape),
        )
    )  # fmt: skip
    return Spectra(flux, ivar, galaxy, flux - galaxy), snr


def engine_for(model: Model, n_spectra: int, rng: np.random.Generator) -> Engine:
    logit = rng.normal(0, 3, n_spectra).astype(np.float32)
    return Engine(logit, rng.normal(0, 3, (n_spectra, model.n_places)).astype(np.float32))


def nearest_highest(snr: Floats, place: Floats, half_width: int) -> int:
    """The pixel of the highest ratio around the middle of the best place of 8 pixels."""
    best = int(np.argmax(place))
    centre = 8 * best + 4
    near = [i for i in range(len(snr)) if abs(i - centre) <= half_width]
    return max(near, key=lambda i: float(snr[i]))


@pytest.mark.parametrize("half_width", [1, 4, 12, 60])
def test_the_line_is_at_the_highest_ratio_near_the_networks_place(
    model: Model, half_width: int, rng: np.random.Generator
) -> None:
    spectra, snr = spectra_for(model, 40, rng)
    engine = engine_for(model, 40, rng)
    engine.place[0, 0], engine.place[1, -1] = 50, 50  # the edges too
    found = Classifier(model, engine, half_width)(spectra, snr)
    expected = [nearest_highest(*pair, half_width) for pair in zip(snr, engine.place, strict=True)]
    assert found.pixel.tolist() == expected
    assert len(set(expected)) > 10


def test_a_higher_ratio_far_from_the_place_is_not_the_line(
    model: Model, rng: np.random.Generator
) -> None:
    spectra, snr = spectra_for(model, 1, rng)
    snr[0, 40], snr[0, 120] = 8, 30
    engine = Engine(np.zeros(1, np.float32), np.zeros((1, model.n_places), np.float32))
    engine.place[0, 5] = 3
    assert Classifier(model, engine, HALF_WIDTH)(spectra, snr).pixel.tolist() == [40]
    untaught = replace(model, place=False)
    assert Classifier(untaught, engine, HALF_WIDTH)(spectra, snr).pixel.tolist() == [120]


def test_a_probability_is_the_calibrated_logit(model: Model, rng: np.random.Generator) -> None:
    spectra, snr = spectra_for(model, 5, rng)
    engine = engine_for(model, 5, rng)
    calibrated = replace(model, calibration=Calibration(0.5, -2.0))
    found = Classifier(calibrated, engine, HALF_WIDTH)(spectra, snr).probability
    expected = 1 / (1 + np.exp(-(0.5 * engine.logit.astype(float) - 2)))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("place", [True, False])
def test_f3_an_answer_that_is_no_number_stays_none_and_spoils_no_other(
    model: Model, place: bool, rng: np.random.Generator
) -> None:
    spectra, snr = spectra_for(model, 5, rng)
    engine = engine_for(model, 5, rng)
    taught = replace(model, place=place)
    whole = Classifier(taught, engine, HALF_WIDTH)(spectra, snr)
    engine.logit[2], engine.place[2] = np.nan, np.nan
    found = Classifier(taught, engine, HALF_WIDTH)(spectra, snr)
    assert np.isnan(found.probability).tolist() == [False, False, True, False, False]
    others = [0, 1, 3, 4]
    np.testing.assert_array_equal(found.probability[others], whole.probability[others])
    np.testing.assert_array_equal(found.pixel[others], whole.pixel[others])
    assert 0 <= found.pixel[2] < model.grid.n_pixels


@pytest.mark.parametrize("inputs", [("residual", "snr", "noise", "foreground"), ("noise", "flux")])
def test_the_engine_is_given_the_channels_of_the_model(
    inputs: tuple[str, ...], peak_model: Callable[..., Model], rng: np.random.Generator
) -> None:
    model = peak_model(inputs, inputs[1], overrides=[SMALL])
    spectra, snr = spectra_for(model, 5, rng)
    engine = engine_for(model, 5, rng)
    Classifier(model, engine, HALF_WIDTH)(spectra, snr)
    (given,) = engine.inputs
    np.testing.assert_array_equal(given, network_inputs(inputs, spectra, snr))


@pytest.mark.parametrize("place", [True, False])
def test_no_spectra_give_an_empty_answer(
    model: Model, place: bool, rng: np.random.Generator
) -> None:
    spectra, snr = spectra_for(model, 0, rng)
    taught = replace(model, place=place)
    found = Classifier(taught, open_engine(taught, "cpu"), HALF_WIDTH)(spectra, snr)
    assert (found.probability.shape, found.pixel.shape) == ((0,), (0,))


def test_a_real_engine_finds_the_place_of_a_peak(model: Model, rng: np.random.Generator) -> None:
    spectra, snr = spectra_for(model, 30, rng)
    pixel = rng.integers(0, 128, 30)  # what seven poolings keep
    snr[np.arange(30), pixel] = rng.uniform(12, 18, 30)
    found = Classifier(model, open_engine(model, "cpu"), HALF_WIDTH)(spectra, snr)
    assert found.pixel.tolist() == pixel.tolist()
    expected = 1 / (1 + np.exp(6 - snr.max(axis=1).astype(float)))
    np.testing.assert_allclose(found.probability, expected, atol=1e-2)
    assert Classifier(model, open_engine(model, "cpu"), 1).engine.startswith("openvino")


def test_classes_share_the_place_and_tell_the_skew(
    make_model: Callable[..., Model], rng: np.random.Generator
) -> None:
    model = make_model(classes=("blue", "red"))
    n_cells = model.n_places // 2
    place = np.zeros((2, 2, n_cells), np.float32)
    place[0, :, 5] = np.log([3, 9]) + 20  # a line in one cell, thrice as likely red
    place[1, 0, 7], place[1, 1, 9] = 21, 20
    engine = Engine(np.zeros(2, np.float32), place.reshape(2, -1))
    spectra, snr = spectra_for(model, 2, rng)
    found = Classifier(model, engine, 0)(spectra, snr)
    assert found.pixel.tolist() == [5 * 8 + 4, 7 * 8 + 4]
    np.testing.assert_allclose(found.p_red, [0.75, 1 / (1 + np.e)], atol=1e-6)


def test_a_network_without_classes_tells_no_skew(model: Model, rng: np.random.Generator) -> None:
    spectra, snr = spectra_for(model, 3, rng)
    assert np.isnan(Classifier(model, engine_for(model, 3, rng), 3)(spectra, snr).p_red).all()
