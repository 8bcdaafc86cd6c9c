"""What a network is shown: the lines of a training set, and what a search would show it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fixtures.training_sets import SMALL, WINDOW, Made, arrays_of, hidden_of, small_config
from speclens.config import load_config
from speclens.errors import ConfigError
from speclens.lines import PIXEL_LOGLAM
from speclens.networks.model import Model
from speclens.sample.preparation import Preparation, line_mask
from speclens.search.classifier import Classifier
from speclens.search.detection import Detector
from speclens.search.engine import NetworkOutput
from speclens.search.matched_filter import MatchedFilter
from speclens.search.network import NetworkSearch
from speclens.simulate.training_set import LabelledSpectra
from speclens.spectra import LogGrid
from speclens.train import training_set as module
from speclens.train.labelled_set import open_set
from speclens.train.training_set import TrainingSetRequest, simulate_training_set

RED = 'survey.arms=["Z"]'

pytestmark = pytest.mark.usefixtures("small_shards")


def test_lines_lie_in_the_window(simulated: Made) -> None:
    labels = np.concatenate(arrays_of(simulated, "labels"))
    wave = labels["WAVE"][labels["LABEL"] == 1]
    assert len(wave) == 33 - sum(hidden_of(simulated))
    assert ((wave > 4299) & (wave < 4451)).all()


def test_spectra_of_desi_have_its_arms_and_its_errors(tmp_path: Path) -> None:
    config = load_config("desi", SMALL)
    manifest = simulate_training_set(TrainingSetRequest(tmp_path / "set", config, 5))
    assert sum(shard["n_spectra"] for shard in manifest["shards"]) > 120
    seen = np.concatenate([rows[:] for rows in arrays_of((tmp_path / "set", manifest), "inputs")])
    labels = arrays_of((tmp_path / "set", manifest), "labels")
    assert np.isfinite(seen).all()
    snr = seen[:, 1][np.concatenate(labels)["LABEL"] == 0].astype(float)
    # Of so narrow a window the fit of the galaxy takes up some of the noise.
    assert 0.7 < snr[snr != 0].std() < 1.0
    for arms, window, seen in (
        (RED, [], "7520 to 9824"),
        ('survey.arms=["B", "Z"]', ["preparation.window=[6000.0, 7000.0]"],
         "3600 to 5800 and 7520 to 9824"),
    ):  # fmt: skip
        config = load_config("desi", [*SMALL, arms, *window])
        with pytest.raises(ConfigError, match=rf"mock spectra cover {seen} Angstrom .*arms"):
            simulate_training_set(TrainingSetRequest(tmp_path / "red", config, 5))


def test_channels_show_the_lines(tmp_path: Path) -> None:
    bright = ("training_set.flux_median=50.0", "training_set.flux_sigma=0.1",
              "emitters.flux_range=[30.0, 100.0]", "training_set.damage_rate=0.0")  # fmt: skip
    request = TrainingSetRequest(tmp_path / "set", small_config(*bright), 5)
    simulate_training_set(request)
    train = open_set(tmp_path / "set").train()
    rows = np.flatnonzero(train.label)
    snr = train.rows(rows)[:, 1]
    near = [
        values[max(pixel - 4, 0) : pixel + 5].max() > 6
        for values, pixel in zip(snr, train.pixel[rows].tolist(), strict=True)
    ]
    assert np.mean(near) > 0.97  # what is masked there is no line
    others = train.rows(np.flatnonzero(train.label == 0))[:, 1]
    assert np.median(others.max(axis=1)) < 4


def with_lines_at(
    wave: NDArray[np.float64], monkeypatch: pytest.MonkeyPatch, folder: Path
) -> tuple[dict[str, Any], NDArray[np.float64]]:
    """Simulate the first shard with its lines of the label moved; return what is kept of them."""
    draw = module._draw

    def moved(shared: Any, shard: Any) -> LabelledSpectra:
        spectra = draw(shared, shard)
        if shard.number == 0:
            labels = spectra.labels
            labels["Z"], labels["LABEL"], labels["WAVE"] = Z_MASKED, 0, np.nan
            labels["LABEL"][: len(wave)], labels["WAVE"][: len(wave)] = 1, wave
        return spectra

    monkeypatch.setattr(module, "_draw", moved)
    manifest = simulate_training_set(TrainingSetRequest(folder, small_config(), 5))
    first = manifest["shards"][0]
    labels = np.load(folder / first["labels"]["file"])
    return first, labels["WAVE"][labels["LABEL"] == 1]


Z_MASKED = 4400 / 3346.79 - 1
"""The galaxy's own [Ne V] falls on 4400 Angstrom."""


@pytest.mark.parametrize("pixels", [0.0, 5.0, -5.0, 9.0])
def test_a_line_on_a_masked_line_of_the_galaxy_is_left_out_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pixels: float
) -> None:
    half_width = small_config().preparation.mask_half_width
    beside = 4400 * 10 ** ((half_width + 5) * PIXEL_LOGLAM)
    beyond = 4460.0  # the window ends before
    masked = 4400 * 10 ** (pixels * PIXEL_LOGLAM)
    first, kept = with_lines_at(np.array([masked, beside, beyond]), monkeypatch, tmp_path / "set")
    assert kept.tolist() == [beside]
    assert (first["n_hidden"], first["n_lines"], first["n_spectra"]) == (2, 1, 38)


def test_what_is_kept_has_half_of_its_light_on_good_pixels(simulated: Made) -> None:
    config = small_config()
    grid = LogGrid.covering(*config.preparation.window)
    assert sum(hidden_of(simulated)) > 0  # or nothing was tested
    for inputs, labels in zip(
        arrays_of(simulated, "inputs"), arrays_of(simulated, "labels"), strict=True
    ):
        line = labels["LABEL"] == 1
        offset = np.arange(grid.n_pixels) - grid.pixel(labels["WAVE"][line])[:, None]
        light = np.exp(-0.5 * (offset / 1.3) ** 2) / np.sqrt(2 * np.pi) / 1.3
        assert ((light * (inputs[line, 2] > 0)).sum(axis=1) > 0.4).all()


def test_b5_pixels_of_the_galaxys_own_lines_are_masked(simulated: Made) -> None:
    config = small_config().preparation
    grid = LogGrid.covering(*config.window)
    n_masked = 0
    for inputs, labels in zip(
        arrays_of(simulated, "inputs"), arrays_of(simulated, "labels"), strict=True
    ):
        mask = line_mask(grid, labels["Z"], config)
        n_masked += int(mask.any(axis=1).sum())
        residual, noise = inputs[:, 0], inputs[:, 2]
        assert not residual[mask].any()
        assert not noise[mask].any()
        assert (noise[~mask] > 0).mean() > 0.95
    assert n_masked > 5  # or nothing was tested


class Watching:
    """An engine that keeps what it was shown."""

    name, rounding = "watching", 0.0

    def __init__(self) -> None:
        self.shown: list[NDArray[np.float32]] = []

    def __call__(self, inputs: NDArray[np.float32]) -> NetworkOutput:
        self.shown.append(inputs)
        n, _, n_pixels = inputs.shape
        return NetworkOutput(np.zeros(n, np.float32), np.zeros((n, n_pixels // 8), np.float32))


def test_b5_a_search_shows_the_network_what_the_training_showed(
    tmp_path: Path, make_model: Callable[..., Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_config()
    drawn: list[LabelledSpectra] = []
    draw = module._draw

    def keeping(*arguments: Any) -> LabelledSpectra:
        drawn.append(draw(*arguments))
        return drawn[-1]

    monkeypatch.setattr(module, "_draw", keeping)
    folder = tmp_path / "set"
    made = folder, simulate_training_set(TrainingSetRequest(folder, config, 5))
    preparation = Preparation(config)
    matched_filter = MatchedFilter(preparation.grid, config.matched_filter)
    engine = Watching()
    model = make_model(inputs=config.network.inputs, overrides=[WINDOW])
    network = NetworkSearch(Classifier(model, engine, 12), matched_filter, 0.9)
    search = Detector(preparation, matched_filter, network)
    for spectra, inputs, labels in zip(
        drawn, arrays_of(made, "inputs"), arrays_of(made, "labels"), strict=True
    ):
        search(spectra.batch, spectra.labels["Z"])
        kept = np.isin(spectra.labels["Z"], labels["Z"])
        np.testing.assert_array_equal(engine.shown[-1][kept].astype(np.float16), inputs)
