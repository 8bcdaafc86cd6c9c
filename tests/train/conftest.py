"""Small training sets, by hand as their format says, and simulated; a brief training."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fixtures.training_sets import SHARD, Made, small_config
from fixtures.trainings import ARCHITECTURE, BRIEF
from speclens.simulate.survey_galaxies import SurveyGalaxies
from speclens.train import training_set
from speclens.train.labelled_set import LabelledSet, open_set

if TYPE_CHECKING:
    from speclens.train.fit import Training

FIRST, STEP = 35798, 1e-4
LABELS = np.dtype([("LABEL", "u1"), ("KIND", "U8"), ("WAVE", "f8"), ("GALAXY", "i4")])


@pytest.fixture(scope="session")
def write_set() -> Callable[..., Path]:
    """`write_set(folder, ...) -> folder`; see `make_set`."""
    return make_set


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set for `BRIEF`; not to be changed."""
    return make_set(tmp_path_factory.mktemp("set"))


@pytest.fixture(scope="session")
def data(folder: Path) -> LabelledSet:
    return open_set(folder)


@pytest.fixture(scope="session")
def redrawn(tmp_path_factory: pytest.TempPathFactory) -> LabelledSet:
    """Two draws, of 3 and of 2 steps."""
    folder = tmp_path_factory.mktemp("redrawn") / "set"
    return open_set(make_set(folder, (300, 100, 250), ("train", "test", "train"), draws=(0, 0, 1)))


@pytest.fixture(scope="session")
def uninterrupted(data: LabelledSet, tmp_path_factory: pytest.TempPathFactory) -> Training:
    """What `BRIEF` ends with when it is never stopped."""
    from speclens.train.fit import fit

    return fit(data, ARCHITECTURE, BRIEF, tmp_path_factory.mktemp("whole") / "state.pt", 1, "cpu")


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_set, "SHARD_SPECTRA", SHARD)


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A small set of the recipe `survey`; not to be changed."""
    folder = tmp_path_factory.mktemp("simulated") / "set"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_set, "SHARD_SPECTRA", SHARD)
        request = training_set.TrainingSetRequest(folder, small_config(), 5)
        return folder, training_set.simulate_training_set(request)


@pytest.fixture
def as_analysed(analysed: SurveyGalaxies, monkeypatch: pytest.MonkeyPatch) -> None:
    """The survey's files need no second reading."""
    monkeypatch.setattr(training_set, "analyse_survey", lambda *_: analysed)


def make_set(
    folder: Path,
    n_spectra: Sequence[int] = (300, 100),
    splits: Sequence[str] = ("train", "test"),
    n_pixels: int = 160,
    n_channels: int = 1,
    line_share: float = 0.4,
    height: float = 12.0,
    seed: int = 1,
    draws: Sequence[int] | None = None,
    **changes: Any,
) -> Path:
    """Write one shard for each number of spectra: unit noise, and lines that nobody can miss.

    Without `draws`, one for each shard, the set is of format 1. `changes` override entries of the
    manifest.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    shards = []
    for index, (number, split) in enumerate(zip(n_spectra, splits, strict=True)):
        inputs = rng.standard_normal((number, n_channels, n_pixels))
        labels = np.zeros(number, LABELS)
        labels["WAVE"], labels["GALAXY"] = np.nan, -1
        chosen = rng.permutation(number)[: round(line_share * number)]
        pixel = rng.uniform(5, n_pixels - 6, len(chosen))
        offset = np.arange(n_pixels) - pixel[:, None]
        inputs[chosen] += height * np.exp(-0.5 * (offset / 2) ** 2)[:, None]
        labels["LABEL"][chosen], labels["KIND"][chosen] = 1, "lya"
        labels["WAVE"][chosen] = 10 ** (STEP * (FIRST + pixel))
        record: dict[str, Any] = {
            "split": split,
            "n_spectra": number,
            "n_lines": len(chosen),
            "n_dropped": 0,
        }
        if draws is not None:
            record["draw"] = draws[index]
        for name, array in {"inputs": inputs.astype(np.float16), "labels": labels}.items():
            record[name] = save_array(folder / f"{index:05d}-{name}.npy", array)
        shards.append(record)
    manifest = {
        "format": 1 if draws is None else 2,
        "seed": seed,
        "configuration": {},
        "channels": [f"channel {i}" for i in range(n_channels)],
        "grid": {"first": FIRST, "n_pixels": n_pixels, "step": STEP},
        "shards": shards,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest | changes))
    return folder


def save_array(path: Path, array: np.ndarray, allow_pickle: bool = False) -> dict[str, str]:
    """Write an array and return its record in the manifest."""
    np.save(path, array, allow_pickle=allow_pickle)
    return {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
