"""A training set is the same bytes on any number of workers, and its test knows nothing of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.config import Config, load_config
from speclens.errors import ConfigError, RunError, SpectrumFileError
from speclens.lines import PIXEL_LOGLAM
from speclens.networks.model import Model
from speclens.run.folder import Folder
from speclens.run.progress import Silent
from speclens.sample.preparation import Preparation, line_mask
from speclens.search.classifier import Classifier
from speclens.search.detection import Detector
from speclens.search.engine import NetworkOutput
from speclens.search.matched_filter import MatchedFilter
from speclens.search.network import NetworkSearch
from speclens.simulate.binned_galaxies import BinnedGalaxies
from speclens.simulate.galaxies import GalaxyPopulation
from speclens.simulate.mock_survey import make_survey
from speclens.simulate.survey_galaxies import SurveyGalaxies, analyse_survey
from speclens.simulate.training_set import LabelledSpectra, SkyResiduals
from speclens.spectra import LogGrid
from speclens.train import training_set as module
from speclens.train.labelled_set import open_set
from speclens.train.training_set import TrainingSetRequest, simulate_training_set

WINDOW = "preparation.window=[4300.0, 4450.0]"
"""Lines of the nearer galaxies fall into it."""

SMALL = (
    WINDOW,
    "preparation.min_good_pixels=60",
    "survey.n_pixels=1100",
    "training_set.n_draws=1",
    "training_set.n_spectra=130",
    "training_set.n_lines=33",
    "training_set.test_fraction=0.3",
)
SHARD = 40
"""Spectra of a shard here: 40, 40, 40 and 10."""

PAPER = (
    *SMALL,
    "survey.n_plates=2",
    "survey.n_fibres=150",
    "survey.sky_fraction=0.25",
    "survey.star_fraction=0.0",
    "survey.quasar_fraction=0.0",
    "noise.sky_min_fibres=20",
    "training_set.n_components=2",
    "training_set.min_galaxies=15",
)

Made = tuple[Path, dict[str, Any]]


def small_config(*overrides: str) -> Config:
    return load_config(None, [*SMALL, *overrides])


def paper_config(*overrides: str) -> Config:
    return load_config("li2019", [*PAPER, *overrides])


def listener(messages: list[str]) -> Silent:
    made = Silent()
    made.message = messages.append  # type: ignore[method-assign]
    return made


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHARD_SPECTRA", SHARD)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A small set of the recipe `survey`; not to be changed."""
    folder = tmp_path_factory.mktemp("simulated") / "set"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SHARD_SPECTRA", SHARD)
        return folder, simulate_training_set(TrainingSetRequest(folder, small_config(), 5))


@pytest.fixture(scope="module")
def plates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two plates of a survey, as a user has them."""
    folder = tmp_path_factory.mktemp("plates") / "survey"
    make_survey(folder, paper_config(), 9, 1)
    return folder


@pytest.fixture(scope="module")
def analysed(plates: Path) -> SurveyGalaxies:
    return analyse_survey([str(plates)], paper_config(), 5, 1, lambda _: None)


@pytest.fixture
def as_analysed(analysed: SurveyGalaxies, monkeypatch: pytest.MonkeyPatch) -> None:
    """The survey's files need no second reading."""
    monkeypatch.setattr(module, "analyse_survey", lambda *_: analysed)


def arrays_of(made: Made, name: str) -> list[NDArray[Any]]:
    folder, manifest = made
    return [np.load(folder / shard[name]["file"]) for shard in manifest["shards"]]


def digests(manifest: dict[str, Any]) -> list[str]:
    return [shard[name]["sha256"] for shard in manifest["shards"] for name in ("inputs", "labels")]


def assert_numbers(made: Made) -> None:
    """Numbers of spectra and lines are those asked for, and those of the arrays."""
    shards = made[1]["shards"]
    counts = {
        name: sum(shard[name] for shard in shards)
        for name in ("n_spectra", "n_dropped", "n_hidden", "n_lines")
    }
    assert counts["n_spectra"] + counts["n_dropped"] + counts["n_hidden"] == 130
    if not counts["n_dropped"]:
        assert counts["n_lines"] + counts["n_hidden"] == 33
    for shard, inputs, labels in zip(
        shards, arrays_of(made, "inputs"), arrays_of(made, "labels"), strict=True
    ):
        assert len(inputs) == len(labels) == shard["n_spectra"]
        assert labels["LABEL"].sum() == shard["n_lines"]
        assert inputs.dtype == np.float16
        assert np.isfinite(inputs).all()


def hidden_of(made: Made) -> list[int]:
    return [shard["n_hidden"] for shard in made[1]["shards"]]


def test_numbers_are_those_asked_for(simulated: Made) -> None:
    assert_numbers(simulated)
    shards = simulated[1]["shards"]
    assert [shard["n_spectra"] + shard["n_hidden"] for shard in shards] == [40, 40, 40, 10]
    assert not any(shard["n_dropped"] for shard in shards)
    assert [shard["split"] for shard in shards] == ["train", "train", "train", "test"]


def test_the_manifest_says_what_the_set_is(simulated: Made) -> None:
    folder, manifest = simulated
    assert json.loads((folder / "manifest.json").read_text()) == json.loads(json.dumps(manifest))
    config = small_config()
    grid = LogGrid.covering(*config.preparation.window)
    assert manifest["grid"] == {
        "first": grid.first,
        "n_pixels": grid.n_pixels,
        "step": PIXEL_LOGLAM,
    }
    assert manifest["channels"] == list(config.network.inputs)
    assert manifest["seed"] == 5
    recorded = manifest["configuration"]
    assert load_config(None, [], recorded) == config
    for shard in manifest["shards"]:
        for name in ("inputs", "labels"):
            data = (folder / shard[name]["file"]).read_bytes()
            assert hashlib.sha256(data).hexdigest() == shard[name]["sha256"]


def test_the_set_can_be_trained_on(simulated: Made) -> None:
    data = open_set(simulated[0])
    train, n_hidden = data.train(), hidden_of(simulated)
    assert (len(train), len(data.test)) == (120 - sum(n_hidden[:3]), 10 - n_hidden[3])
    assert train.label.sum() + data.test.label.sum() == 33 - sum(n_hidden)
    line = train.label == 1
    assert (train.pixel[line] >= 0).all()
    assert (train.pixel[line] < simulated[1]["grid"]["n_pixels"]).all()


def test_lines_lie_in_the_window(simulated: Made) -> None:
    labels = np.concatenate(arrays_of(simulated, "labels"))
    wave = labels["WAVE"][labels["LABEL"] == 1]
    assert len(wave) == 33 - sum(hidden_of(simulated))
    assert ((wave > 4299) & (wave < 4451)).all()


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


@pytest.mark.parametrize("recipe", ["survey", "li2019"])
@pytest.mark.usefixtures("as_analysed")
def test_another_seed_gives_other_spectra(tmp_path: Path, recipe: str) -> None:
    config = small_config() if recipe == "survey" else paper_config()
    found = [
        digests(simulate_training_set(TrainingSetRequest(tmp_path / name, config, seed)))
        for name, seed in (("one", 5), ("two", 5), ("other", 6))
    ]
    assert found[0] == found[1]
    assert not set(found[0]) & set(found[2])


def test_f5_two_workers_write_the_same_bytes_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Other processes know nothing of the small shards.
    monkeypatch.setattr(module, "SHARD_SPECTRA", 1000)
    config = small_config("training_set.n_spectra=1100", "training_set.n_draws=2")
    made = []
    for n_workers in (1, 2):
        folder = tmp_path / str(n_workers)
        manifest = simulate_training_set(TrainingSetRequest(folder, config, 5, (), n_workers))
        made.append((folder, manifest))
    assert digests(made[0][1]) == digests(made[1][1])
    assert (tmp_path / "1/manifest.json").read_bytes() == (
        tmp_path / "2/manifest.json"
    ).read_bytes()
    train, test, again = arrays_of(made[0], "inputs")
    residual = np.concatenate([part[:64, 0] for part in (train, test, again)]).astype(np.float64)
    correlation = np.corrcoef(np.diff(np.clip(residual, -5, 5), 2, axis=1))
    np.fill_diagonal(correlation, 0)
    assert np.abs(correlation).max() < 0.8
    assert len(np.unique(residual, axis=0)) == 192


@pytest.mark.parametrize("recipe", ["survey", "li2019"])
@pytest.mark.usefixtures("as_analysed")
def test_draws_differ_and_the_first_is_that_of_a_set_with_one(tmp_path: Path, recipe: str) -> None:
    config = small_config if recipe == "survey" else paper_config
    one, two, three = (
        simulate_training_set(
            TrainingSetRequest(tmp_path / str(n), config(f"training_set.n_draws={n}"), 5)
        )
        for n in (1, 2, 3)
    )
    assert [shard["draw"] for shard in three["shards"]] == [0] * 4 + [1] * 3 + [2] * 3
    assert [shard["split"] for shard in three["shards"][4:]] == ["train"] * 6
    assert two["shards"][:4] == one["shards"]
    assert three["shards"][:7] == two["shards"]
    for shard in one["shards"]:
        for name in ("inputs", "labels"):
            file = shard[name]["file"]
            assert (tmp_path / "1" / file).read_bytes() == (tmp_path / "3" / file).read_bytes()
    assert len(set(digests(three))) == 20
    asked = [shard["n_spectra"] + shard["n_hidden"] for shard in three["shards"]]
    assert asked == [40, 40, 40, 10, *[40] * 6]
    data = open_set(tmp_path / "3")
    spectra = np.concatenate([data.train(epoch).rows(np.arange(90)) for epoch in range(3)])
    assert len(np.unique(spectra, axis=0)) == 270


def test_room_and_progress_are_those_of_all_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed: list[int] = []
    monkeypatch.setattr(Folder, "require", lambda _, n_bytes: needed.append(n_bytes))
    stages: list[int] = []
    watching = Silent()
    watching.stage = lambda _, total: stages.append(total)  # type: ignore[method-assign]
    request = TrainingSetRequest(tmp_path / "set", small_config("training_set.n_draws=3"), 5)
    manifest = simulate_training_set(request, watching)
    size = 2 * len(manifest["channels"]) * manifest["grid"]["n_pixels"]
    assert needed == [(130 + 2 * 120) * size]
    assert stages == [10]


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


@pytest.mark.parametrize("number", ["0", "-1", "1.5"])
def test_h1_a_set_without_a_draw_is_refused(number: str) -> None:
    with pytest.raises(ConfigError, match=r"training_set\.n_draws"):
        small_config(f"training_set.n_draws={number}")


@pytest.fixture
def drawn_from(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """What the spectra of each shard were drawn from: the names of rows, by kind."""
    seen: dict[str, list[Any]] = {"population": [], "bins": [], "sky": []}
    population, bins, fibres = GalaxyPopulation.draw, BinnedGalaxies.draw, SkyResiduals.among

    def of_population(self: GalaxyPopulation, *arguments: Any) -> Any:
        seen["population"].append({row.tobytes() for row in self.coefficients})
        return population(self, *arguments)

    def of_bins(self: BinnedGalaxies, n: int, grid: Any, rng: Any, among: Any = None) -> Any:
        made = bins(self, n, grid, rng, among)
        assert among[made[2]].all()
        seen["bins"].append(set(np.flatnonzero(among).tolist()))
        return made

    def of_fibres(self: SkyResiduals, rows: Any) -> SkyResiduals:
        made = fibres(self, rows)
        seen["sky"].append({row.tobytes() for row in made.flux})
        return made

    monkeypatch.setattr(GalaxyPopulation, "draw", of_population)
    monkeypatch.setattr(BinnedGalaxies, "draw", of_bins)
    monkeypatch.setattr(SkyResiduals, "among", of_fibres)
    return seen


def assert_disjoint(by_shard: list[set[Any]], manifest: dict[str, Any], n_all: int) -> None:
    """Training and test share nothing, and together use everything."""
    splits = [shard["split"] for shard in manifest["shards"]]
    assert len(by_shard) == len(splits)
    used: dict[str, set[Any]] = {"train": set(), "test": set()}
    for rows, split in zip(by_shard, splits, strict=True):
        assert rows
        used[split] |= rows
    assert not used["train"] & used["test"]
    assert len(used["train"] | used["test"]) == n_all


def test_f7_training_and_test_share_no_galaxy_of_the_mock_survey(
    tmp_path: Path, drawn_from: dict[str, list[Any]]
) -> None:
    config = small_config("training_set.n_draws=2")
    manifest = simulate_training_set(TrainingSetRequest(tmp_path / "set", config, 5))
    everything = {row.tobytes() for row in GalaxyPopulation.bundled().coefficients}
    assert_disjoint(drawn_from["population"], manifest, len(everything))


@pytest.mark.usefixtures("as_analysed")
def test_f7_training_and_test_share_no_galaxy_and_no_sky_fibre_of_a_users_survey(
    tmp_path: Path, analysed: SurveyGalaxies, drawn_from: dict[str, list[Any]]
) -> None:
    config = paper_config("training_set.n_draws=2")
    manifest = simulate_training_set(TrainingSetRequest(tmp_path / "set", config, 5))
    assert analysed.sky is not None
    assert_disjoint(drawn_from["bins"], manifest, analysed.galaxies.n_galaxies)
    assert_disjoint(drawn_from["sky"], manifest, len(analysed.sky))
    labels = arrays_of((tmp_path / "set", manifest), "labels")
    by_split: dict[str, set[int]] = {"train": set(), "test": set()}
    for shard, part in zip(manifest["shards"], labels, strict=True):
        by_split[shard["split"]] |= set(part["GALAXY"].tolist())
    assert not by_split["train"] & by_split["test"]


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


def test_too_few_spectra_are_refused_before_the_folder_is_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "set"
    few = TrainingSetRequest(folder, small_config("training_set.n_spectra=100"), 5)
    with monkeypatch.context() as patch:
        patch.setattr(module, "SHARD_SPECTRA", 200)
        with pytest.raises(ConfigError, match=r"n_spectra = 100: .* ask for 400 or more"):
            simulate_training_set(few)
    assert not folder.exists()
    simulate_training_set(TrainingSetRequest(folder, small_config(), 5))


def test_inputs_of_a_recipe_that_takes_none_are_refused(tmp_path: Path, plates: Path) -> None:
    folder = tmp_path / "set"
    request = TrainingSetRequest(folder, small_config(), 5, [str(plates)])
    with pytest.raises(ConfigError, match="the recipe 'survey' takes no input files"):
        simulate_training_set(request)
    assert not folder.exists()


@pytest.mark.parametrize(
    ("seed", "override"), [(6, "training_set.flux_median=7.0"), (5, "training_set.flux_median=8.0")]
)
def test_d5_the_folder_of_another_set_is_refused(simulated: Made, seed: int, override: str) -> None:
    before = (simulated[0] / "manifest.json").read_bytes()
    request = TrainingSetRequest(simulated[0], small_config(override), seed)
    with pytest.raises(RunError, match=r"another setup \((seed|.*flux_median)"):
        simulate_training_set(request)
    assert (simulated[0] / "manifest.json").read_bytes() == before


def test_a_folder_of_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("not yours")
    with pytest.raises(RunError, match="not empty"):
        simulate_training_set(TrainingSetRequest(tmp_path, small_config(), 5))


def test_d1_a_stopped_simulation_is_no_set_and_can_be_done_again(
    simulated: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "set"
    request = TrainingSetRequest(folder, small_config(), 5)
    write = module._write_shard
    left: Iterator[int] = iter(range(2))

    def stopping(*arguments: Any) -> Any:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return write(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(module, "_write_shard", stopping)
        with pytest.raises(KeyboardInterrupt):
            simulate_training_set(request)
    with pytest.raises(RunError, match=r"manifest\.json: missing"):
        open_set(folder)
    assert digests(simulate_training_set(request)) == digests(simulated[1])


@pytest.mark.parametrize("name", ["lya", "all"])
def test_h1_shares_that_leave_no_line_are_refused(name: str) -> None:
    kinds = ("lya", "oii", "line") if name == "all" else (name,)
    overrides = [f"training_set.line_kinds.{kind}=0.0" for kind in kinds]
    if name == "all":
        with pytest.raises(ConfigError, match="training_set: line_kinds must have a share above 0"):
            small_config(*overrides)
    else:
        assert small_config(*overrides).training_set.line_kinds["lya"] == 0
    with pytest.raises(ConfigError, match="artefact_fractions add up to more than 1"):
        small_config(
            "training_set.artefact_fractions.spike=0.7",
            "training_set.artefact_fractions.sky_line=0.7",
        )


def test_the_papers_recipe_takes_a_users_galaxies_and_sky_fibres(
    plates: Path, tmp_path: Path, drawn_from: dict[str, list[Any]]
) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "spPlate-0001-00002.fits").write_bytes(b"")
    messages: list[str] = []
    folder = tmp_path / "set"
    inputs = [str(plates), str(tmp_path / "more")]
    manifest = simulate_training_set(
        TrainingSetRequest(folder, paper_config(), 5, inputs), listener(messages)
    )
    assert_numbers((folder, manifest))
    assert manifest["channels"] == ["flux"]
    assert manifest["inputs"] == inputs
    assert sum("not_fits" in text for text in messages) == 1
    assert sum("galaxies analysed" in text for text in messages) == 1
    assert not any("bundled model" in text for text in messages)
    assert len(drawn_from["sky"]) == 4
    labels = np.concatenate(arrays_of((folder, manifest), "labels"))
    assert set(labels["KIND"].tolist()) == {"", "lya"}
    assert labels["Z"].min() > 0.29
    assert len(open_set(folder).train()) > 100


def test_the_sky_fibres_are_those_of_the_files(plates: Path, analysed: SurveyGalaxies) -> None:
    from astropy.io import fits

    flux = []
    grid = LogGrid.covering(*paper_config().preparation.window)
    for path in sorted(plates.glob("*/spPlate-*.fits")):
        with fits.open(path) as hdus:
            first = round(hdus[0].header["COEFF0"] / PIXEL_LOGLAM)
            sky = hdus[5].data["OBJTYPE"] == "SKY"
            window = slice(grid.first - first, grid.first - first + grid.n_pixels)
            flux.append(hdus[0].data[sky, window])
    expected = np.concatenate(flux)
    assert analysed.sky is not None
    assert len(expected) == len(analysed.sky) > 60
    good = analysed.sky.ivar > 0
    assert good.mean() > 0.9
    np.testing.assert_array_equal(analysed.sky.flux[good], expected[good])


def test_with_few_sky_fibres_the_noise_is_the_models_and_the_user_is_told(plates: Path) -> None:
    messages: list[str] = []
    config = paper_config("noise.sky_min_fibres=500")
    assert analyse_survey([str(plates)], config, 5, 1, messages.append).sky is None
    assert any("fewer than 500: sky residuals" in text for text in messages)


def test_a_single_sky_fibre_cannot_serve_training_and_test(
    analysed: SurveyGalaxies, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert analysed.sky is not None
    one = SurveyGalaxies(analysed.galaxies, analysed.sky.among(np.arange(len(analysed.sky)) == 0))
    monkeypatch.setattr(module, "analyse_survey", lambda *_: one)
    with pytest.raises(RunError, match="1 sky fibres are too few for training and test"):
        simulate_training_set(TrainingSetRequest(tmp_path / "set", paper_config(), 5))


def test_without_files_the_papers_recipe_takes_a_mock_surveys_galaxies(tmp_path: Path) -> None:
    messages: list[str] = []
    folder = tmp_path / "set"
    request = TrainingSetRequest(folder, paper_config(), 5)
    manifest = simulate_training_set(request, listener(messages))
    assert_numbers((folder, manifest))
    assert "300 galaxies analysed" in messages[0]  # every fibre has one
    labels = np.concatenate(arrays_of((folder, manifest), "labels"))
    assert len(set(labels["GALAXY"].tolist())) > 20


def test_files_without_a_galaxy_of_the_sample_are_refused_and_bind_nothing(
    plates: Path, tmp_path: Path, write_spec: Callable[..., Path]
) -> None:
    star = write_spec(tmp_path / "stars" / "spec-1-2-3.fits", class_="STAR")
    folder = tmp_path / "set"
    with pytest.raises(RunError, match="no galaxy of the sample"):
        simulate_training_set(TrainingSetRequest(folder, paper_config(), 5, [str(star)]))
    simulate_training_set(TrainingSetRequest(folder, paper_config(), 5, [str(plates)]))
    assert (folder / "manifest.json").exists()


def test_h1_a_folder_without_a_survey_file_that_can_be_read_is_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    request = TrainingSetRequest(tmp_path / "set", paper_config(), 5, [str(empty)])
    (empty / "notes.txt").write_text("no FITS file")
    with pytest.raises(RunError, match=r"no spPlate.* in .*empty \(1 other files: notes.txt\)"):
        simulate_training_set(request)
    (empty / "spPlate-3650-55244.fits").write_text("no FITS file")
    with pytest.raises(RunError, match=r"no spPlate.* that can be read in .*empty"):
        simulate_training_set(request)


def test_a10_a_set_is_not_made_of_what_happens_to_be_readable(
    plates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = SpectrumFileError("spPlate-1.fits", "io_error", "stale file handle")

    def unreadable(*_: Any) -> None:
        raise error

    monkeypatch.setattr("speclens.simulate.survey_galaxies.open_shard", unreadable)
    with pytest.raises(RunError, match=r"spPlate-1.fits: io_error.*same command again"):
        analyse_survey([str(plates)], paper_config(), 5, 1, lambda _: None)
