"""A small mock survey, and runs of it and of single spectra."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from speclens.config import Config, load_config
from speclens.simulate.mock_survey import make_survey
from speclens.verbs.search import RunSummary, SearchRequest, search

REPORT = "speclens.verbs.finish.make_report"
SURVEY = (
    "survey.n_plates=3",
    "survey.n_fibres=40",
    "survey.n_pixels=1700",
    "survey.lya_fraction=0.3",
    "survey.oii_fraction=0.1",
    "survey.spike_fraction=0.05",
)
FEW = (
    "search.method=matched-filter",
    'vet.vetoes=["MASKED", "NEIGHBOUR", "NOT_REPEATED", "ONE_EXPOSURE"]',
)
"""A search and vetoes that no training and no calibration changes."""

TABLES = (
    "spectra.fits",
    "hits.fits",
    "hits.ecsv",
    *(f"candidates.{suffix}" for suffix in ("ecsv", "fits", "csv", "tex")),
)


@pytest.fixture(scope="session")
def mock_config() -> Config:
    return load_config(None, SURVEY)


@pytest.fixture(scope="session")
def mock_survey(tmp_path_factory: pytest.TempPathFactory, mock_config: Config) -> Path:
    """Three plates of forty fibres; not to be changed."""
    folder = tmp_path_factory.mktemp("mock") / "survey"
    make_survey(folder, mock_config, 5, 1)
    return folder


@pytest.fixture(scope="session")
def run_into() -> Callable[..., RunSummary]:
    """`run_into(output, *inputs, overrides, **request) -> summary`."""

    def run(
        output: Path, *inputs: Path | str, overrides: tuple[str, ...] = (), **request: Any
    ) -> RunSummary:
        config = load_config(None, (*SURVEY, *overrides))
        names = [os.fspath(path) for path in inputs]
        return search(SearchRequest(names, output, config, **request))

    return run


@pytest.fixture(scope="session")
def tables_of() -> Callable[[Path], dict[str, bytes]]:
    """`tables_of(run) -> bytes of each table`."""
    return lambda run: {name: (run / name).read_bytes() for name in TABLES}


@pytest.fixture(scope="session")
def reference(
    tmp_path_factory: pytest.TempPathFactory,
    mock_survey: Path,
    run_into: Callable[..., RunSummary],
) -> tuple[Path, RunSummary]:
    """An undisturbed run of the mock survey; not to be changed."""
    output = tmp_path_factory.mktemp("reference") / "run"
    return output, run_into(output, mock_survey)


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that were written just now count as old ones: their hints can be relied on."""
    monkeypatch.setattr("speclens.run.recording.SETTLED_NS", 0)


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches without the report, where many are made."""
    monkeypatch.setattr(REPORT, lambda *_: {})


@pytest.fixture(scope="session")
def make_few(write_spec: Callable[..., Path]) -> Callable[[Path], Path]:
    """`make_few(folder) -> folder`: five spectra of three places, with three hits.

    Fibre 10 has a line on both plates; fibre 12 has one on plate 7 only, and so a hit that is not
    repeated; fibre 11 is the neighbour of both, and has none.
    """

    def make(folder: Path) -> Path:
        for plate, fibre, lines in (
            (7, 10, ((4300.0, 40.0),)),
            (7, 11, ()),
            (7, 12, ((4600.0, 30.0),)),
            (8, 10, ((4300.0, 40.0),)),
            (8, 12, ()),
        ):
            path = folder / f"spec-{plate:04d}-55000-{fibre:04d}.fits"
            write_spec(path, plate=plate, mjd=55000, fiberid=fibre, lines=lines)
        return folder

    return make


@pytest.fixture(scope="session")
def search_few(run_into: Callable[..., RunSummary]) -> Callable[..., RunSummary]:
    """`search_few(output, *inputs, overrides, **request) -> summary`, by the filter."""

    def run(
        output: Path, *inputs: Path | str, overrides: tuple[str, ...] = (), **request: Any
    ) -> RunSummary:
        return run_into(output, *inputs, overrides=(*FEW, *overrides), **request)

    return run


@pytest.fixture(scope="session")
def few(
    tmp_path_factory: pytest.TempPathFactory,
    make_few: Callable[[Path], Path],
    search_few: Callable[..., RunSummary],
) -> Path:
    """The run of `make_few`, with its report; its survey is gone. Not to be changed."""
    folder = tmp_path_factory.mktemp("few")
    survey = make_few(folder / "survey")
    search_few(folder / "run", survey)
    shutil.rmtree(survey)
    return folder / "run"


@pytest.fixture
def few_run(few: Path, tmp_path: Path) -> Path:
    """A copy of `few` to do with as one likes."""
    return Path(shutil.copytree(few, tmp_path / "few"))


@pytest.fixture(scope="session")
def products_of() -> Callable[[Path], dict[str, bytes]]:
    """`products_of(run) -> bytes of each file`, but for run.json and the work folder."""

    def read(run: Path) -> dict[str, bytes]:
        paths = [path for path in run.rglob("*") if path.is_file()]
        names = {path: path.relative_to(run).as_posix() for path in paths}
        return {
            name: path.read_bytes()
            for path, name in names.items()
            if name != "run.json" and not name.startswith("work/")
        }

    return read
