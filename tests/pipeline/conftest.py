"""A small mock survey, and runs of it and of single spectra."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from speclens.config import Config, load_config
from speclens.pipeline.demo import make_survey
from speclens.pipeline.search import RunSummary, SearchRequest, search

REPORT = "speclens.pipeline.finish.make_report"
SURVEY = (
    "survey.n_plates=3",
    "survey.n_fibres=40",
    "survey.n_pixels=1700",
    "survey.lya_fraction=0.3",
    "survey.oii_fraction=0.1",
    "survey.spike_fraction=0.05",
)
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
    """An undisturbed run of the mock survey, without the report; not to be changed."""
    output = tmp_path_factory.mktemp("reference") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(REPORT, lambda *_: None)
        summary = run_into(output, mock_survey)
    return output, summary


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches without the report, which takes longer than the search itself."""
    monkeypatch.setattr(REPORT, lambda *_: None)
