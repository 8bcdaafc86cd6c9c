"""What a network sees: the same numbers in training and in a search, whatever the unit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.config import load_config
from speclens.networks.inputs import network_inputs
from speclens.networks.model import Model
from speclens.sample.preparation import Preparation, PreparedSpectra
from speclens.search.classifier import Classifier
from speclens.search.detection import Detector
from speclens.search.engine import NetworkOutput
from speclens.search.matched_filter import MatchedFilter
from speclens.search.network import NetworkSearch
from speclens.simulate.training_set import LabelledSpectra
from speclens.spectra import LogGrid
from speclens.train import training_set
from speclens.train.training_set import TrainingSetRequest, simulate_training_set

Floats = NDArray[np.float32]
NAMES = ("flux", "residual", "snr", "noise", "foreground")
GRID = LogGrid.covering(3800, 3950)


def prepared_spectra(
    rng: np.random.Generator, masked: NDArray[np.bool_] | None = None, n_spectra: int = 6
) -> PreparedSpectra:
    """Spectra of every brightness, with gaps."""
    shape = (n_spectra, GRID.n_pixels)
    good = rng.random(shape) > 0.1 if masked is None else ~masked
    model = (10 ** rng.uniform(-2, 2, (n_spectra, 1)) + rng.random(shape)).astype(np.float32)
    ivar = np.where(good, rng.uniform(0.5, 20, shape), 0).astype(np.float32)
    noise = rng.standard_normal(shape) / np.sqrt(np.maximum(ivar, 1e-3))
    flux = np.where(good, model + noise, 0).astype(np.float32)
    flux[good & (rng.random(shape) > 0.98)] += 500
    zero = np.zeros(n_spectra, np.float32)
    return PreparedSpectra(
        GRID, flux, ivar, model, np.zeros_like(flux), np.full(n_spectra, "", "U24"),
        np.zeros(n_spectra, np.int32), zero, good.mean(1, dtype=np.float32),
        np.full(n_spectra, 0.5),
    )  # fmt: skip


def ratios(spectra: PreparedSpectra, rng: np.random.Generator) -> Floats:
    return rng.normal(0, 15, spectra.flux.shape).astype(np.float32)


def plain_channel(name: str, spectra: PreparedSpectra, snr: Floats, row: int) -> list[float]:
    """One channel of one spectrum, pixel by pixel, in double precision."""
    flux, ivar = spectra.flux[row].astype(float), spectra.ivar[row].astype(float)
    good = ivar > 0
    values = []
    for i in range(len(flux)):
        error = 1 / np.sqrt(ivar[i]) if good[i] else np.inf
        value = {
            "flux": (flux[i] - flux[good].mean()) / flux[good].std() if good[i] else 0.0,
            "residual": spectra.residual[row, i] / error,
            "snr": snr[row, i],
            "noise": (1 / error) / np.sqrt(ivar[good]).mean(),
            "foreground": spectra.model[row, i] / error,
        }[name]
        values.append(float(value if name == "noise" else np.clip(value, -20, 20)))
    return values


@pytest.mark.parametrize("name", NAMES)
def test_a_channel_is_what_it_says(name: str, rng: np.random.Generator) -> None:
    spectra = prepared_spectra(rng)
    snr = ratios(spectra, rng)
    found = network_inputs([name], spectra, snr)
    assert (found.shape, found.dtype) == ((6, 1, GRID.n_pixels), np.float32)
    for row in range(6):
        expected = plain_channel(name, spectra, snr, row)
        np.testing.assert_allclose(found[row, 0], expected, rtol=2e-4, atol=2e-4)
    assert np.abs(found).max() > 1


def test_channels_come_in_the_order_of_their_names(rng: np.random.Generator) -> None:
    spectra = prepared_spectra(rng)
    snr = ratios(spectra, rng)
    names = ("snr", "flux", "foreground", "noise", "residual")
    together = network_inputs(names, spectra, snr)
    for c, name in enumerate(names):
        np.testing.assert_array_equal(together[:, c], network_inputs([name], spectra, snr)[:, 0])


@pytest.mark.parametrize("name", [name for name in NAMES if name != "snr"])
def test_a_masked_pixel_is_0_and_the_others_are_not(name: str, rng: np.random.Generator) -> None:
    spectra = prepared_spectra(rng)
    found = network_inputs([name], spectra, ratios(spectra, rng))[:, 0]
    masked = spectra.ivar == 0
    assert 20 < masked.sum() < 0.2 * masked.size
    assert (found[masked] == 0).all()
    assert (found[~masked] != 0).mean() > 0.99


@pytest.mark.parametrize("name", NAMES)
def test_b1_a_spectrum_without_a_good_pixel_gives_zeros_and_spoils_no_other(
    name: str, rng: np.random.Generator
) -> None:
    masked = rng.random((6, GRID.n_pixels)) < 0.1
    masked[2] = True
    spectra = prepared_spectra(rng, masked)
    snr = ratios(spectra, rng)
    snr[2] = 0
    found = network_inputs([name], spectra, snr)
    assert np.isfinite(found).all()
    assert (found[2] == 0).all()
    others = np.array([0, 1, 3, 4, 5])
    part = network_inputs([name], spectra[others], snr[others])
    np.testing.assert_array_equal(found[others], part)


@pytest.mark.parametrize("scale", [1e-9, 0.125, 1e3, 1e9])
def test_b6_another_unit_of_flux_changes_no_channel(scale: float, rng: np.random.Generator) -> None:
    spectra = prepared_spectra(rng)
    snr = ratios(spectra, rng)
    factor = np.float32(scale)
    other = replace(
        spectra, flux=spectra.flux * factor, ivar=spectra.ivar / factor**2,
        model=spectra.model * factor,
    )  # fmt: skip
    expected = network_inputs(NAMES, spectra, snr)
    np.testing.assert_allclose(network_inputs(NAMES, other, snr), expected, rtol=1e-4, atol=1e-4)


def test_b6_a_constant_offset_does_not_change_what_the_paper_s_network_sees(
    rng: np.random.Generator,
) -> None:
    spectra = prepared_spectra(rng)
    good = spectra.ivar > 0
    shifted = np.where(good, spectra.flux + np.float32(30), np.float32(0))
    other = replace(spectra, flux=shifted)
    snr = np.zeros_like(shifted)
    one, two = (network_inputs(["flux"], seen, snr) for seen in (spectra, other))
    np.testing.assert_allclose(two, one, atol=1e-4)


def test_lines_of_the_lens_are_a_channel_as_they_are_given(rng: np.random.Generator) -> None:
    spectra = prepared_spectra(rng)
    snr = ratios(spectra, rng)
    lens = (rng.random(snr.shape) < 0.1).astype(np.float32)
    found = network_inputs(["lens", "noise"], spectra, snr, lens)
    np.testing.assert_array_equal(found[:, 0], lens)
    np.testing.assert_array_equal(found[:, 1], network_inputs(["noise"], spectra, snr)[:, 0])
    assert (network_inputs(["lens"], spectra, snr) == 0).all()


class Recorder:
    """An engine that keeps what it is given."""

    name, rounding = "recorder", 1.0

    def __init__(self) -> None:
        self.inputs: list[Floats] = []

    def __call__(self, inputs: Floats) -> NetworkOutput:
        self.inputs.append(inputs)
        n, _, n_pixels = inputs.shape
        return NetworkOutput(np.zeros(n, np.float32), np.zeros((n, n_pixels // 8), np.float32))


RECIPES: dict[str, Sequence[str]] = {
    "speclens": (),
    "li2019": (
        "training_set.n_draws=1",
        "survey.n_plates=1",
        "survey.n_fibres=200",
        "survey.redshift_means=[0.4, 0.4]",
        "survey.redshift_sigmas=[0.02, 0.02]",
        "training_set.min_galaxies=20",
    ),
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_b5_a_search_gives_the_network_what_its_training_gave_it(
    recipe: str,
    tmp_path: Path,
    peak_model: Callable[..., Model],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = load_config(
        recipe,
        ["training_set.n_spectra=120", "training_set.n_lines=40", *RECIPES[recipe]],
    )
    drawn: list[LabelledSpectra] = []
    draw = training_set._draw

    def kept(shared: training_set._Shared, index: int) -> LabelledSpectra:
        drawn.append(draw(shared, index))
        return drawn[-1]

    monkeypatch.setattr(training_set, "SHARD_SPECTRA", 60)
    monkeypatch.setattr(training_set, "_draw", kept)
    manifest = simulate_training_set(TrainingSetRequest(tmp_path / "set", config, 3))
    inputs = config.network.inputs
    model = peak_model(inputs, inputs[0])
    for spectra, shard in zip(drawn, manifest["shards"], strict=True):
        stored = np.load(tmp_path / "set" / shard["inputs"]["file"])
        engine = Recorder()
        matched_filter = MatchedFilter(model.grid, config.matched_filter)
        classifier = Classifier(model, engine, config.search.place_half_width)
        network = NetworkSearch(classifier, matched_filter, 0.5)
        detector = Detector(Preparation(config), matched_filter, network)
        found = detector(spectra.batch, spectra.labels["Z"])
        labels = np.load(tmp_path / "set" / shard["labels"]["file"])
        usable = np.isin(spectra.labels["Z"], labels["Z"])
        assert len(stored) == usable.sum() > 45
        seen = engine.inputs[0][usable]
        np.testing.assert_array_equal(seen.astype(np.float16), stored)
        assert seen.std(axis=(0, 2)).min() > 0.1
        # The lens galaxy's own [Ne V] is masked for both.
        rest = found.prepared.grid.wave / (1 + spectra.labels["Z"][usable, None])
        row, pixel = np.nonzero(np.abs(rest - 3346.79) < 0.5)
        assert len(np.unique(row)) > 5
        for c, name in enumerate(inputs):
            assert name == "snr" or (stored[row, c, pixel] == 0).all()
