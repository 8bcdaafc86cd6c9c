"""Galaxies and sky fibres of a training set: a survey's own; none serves training and test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fixtures.training_sets import arrays_of, assert_numbers, paper_config, small_config
from speclens.errors import RunError
from speclens.run.progress import Silent
from speclens.simulate.binned_galaxies import BinnedGalaxies
from speclens.simulate.galaxies import GalaxyPopulation
from speclens.simulate.survey_galaxies import SurveyGalaxies
from speclens.simulate.training_set import SkyResiduals
from speclens.train import training_set as module
from speclens.train.labelled_set import open_set
from speclens.train.training_set import TrainingSetRequest, simulate_training_set

pytestmark = pytest.mark.usefixtures("small_shards")


def listener(messages: list[str]) -> Silent:
    made = Silent()
    made.message = messages.append  # type: ignore[method-assign]
    return made


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
