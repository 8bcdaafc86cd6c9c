"""What travels to workers is plain data; what they make of it does not depend on their number."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from speclens.config import load_config
from speclens.evaluate.evaluation import evaluate
from speclens.run import workers
from speclens.train.training_set import TrainingSetRequest, simulate_training_set
from speclens.verbs.search import RunSummary
from speclens.verbs.sky import SkyRequest, measure_growth

STAGES = {
    "evaluate.compared_candidates", "evaluate.parts", "evaluate.side_by_side", "evaluate.vetting",
    "evidence.gather", "report.run_report", "sample.sky", "search.merge", "search.residuals",
    "simulate.mock_survey", "simulate.survey_galaxies", "train.training_set", "verbs.stages",
    "vet.vetting",
}  # fmt: skip
"""Modules that have workers."""

METHODS = ("resnet", "matched-filter")
Run = Callable[..., RunSummary]


@pytest.fixture
def travelled(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Stages whose shared data were pickled after each item that was worked on in this process."""
    stages: set[str] = set()
    map_shards = workers.map_shards

    def checked(
        stage: str, work: Any, shared: Any, items: Sequence[Any], _: int, **more: Any
    ) -> Iterator[Any]:
        before = pickle.dumps(shared)
        for item, result in zip(items, map_shards(work, shared, items, 1, **more), strict=True):
            # Nothing of weight was added to it meanwhile, engines least of all.
            assert len(pickle.dumps(shared)) < len(before) + 4096
            for sent in (work, more.get("begin"), item, result):
                assert pickle.loads(pickle.dumps(sent)) is not None or sent is None  # noqa: S301
            stages.add(stage)
            yield result

    for stage in STAGES:
        monkeypatch.setattr(f"speclens.{stage}.map_shards", partial(checked, stage))
    return stages


def test_everything_that_is_given_to_workers_is_plain_data(
    travelled: set[str],
    tmp_path: Path,
    write_spec: Callable[..., Path],
    write_plate: Callable[..., Path],
    run_into: Run,
) -> None:
    line = ((4300.0, 60.0),)
    write_plate(tmp_path / "in", lines={1: line})
    write_spec(tmp_path / "in" / "spec-0007-55000-0001.fits", plate=7, mjd=55000, lines=line)
    assert run_into(tmp_path / "run", tmp_path / "in").counts["hits"] == 2
    own = ("lines.growth_min_spectra=1", "lines.growth_fraction=1.0")
    measure_growth(SkyRequest([str(tmp_path / "in")], tmp_path / "sky.fits", None, own))
    evaluate([str(tmp_path / "in")], tmp_path / "out", load_config(), 1, 1)
    for recipe in ("speclens", "li2019"):
        config = load_config(
            None if recipe == "speclens" else recipe,
            [
                "training_set.n_spectra=2000",
                "training_set.n_lines=1000",
                "survey.n_plates=1",
                "training_set.n_draws=1",
            ],
        )
        simulate_training_set(TrainingSetRequest(tmp_path / recipe, config, 1))
    assert travelled == STAGES - {
        "evaluate.compared_candidates", "evaluate.side_by_side", "simulate.mock_survey",
    }  # fmt: skip


def test_every_stage_that_has_workers_is_among_those_above() -> None:
    source = Path(workers.__file__).parents[1]
    paths = [path for path in source.rglob("*.py") if "map_shards" in path.read_text()]
    found = {".".join(path.relative_to(source).with_suffix("").parts) for path in paths}
    assert found - {"run.workers", "run.cluster"} == STAGES


def same_for_any_number_of_workers(
    n_files: int, folder: Path, write_spec: Callable[..., Path], run_into: Run, tables_of: Any
) -> None:
    with_line = {0, 1, n_files // 2, n_files - 1}
    for i in range(n_files):
        path = folder / "in" / f"spec-3655-55240-{i + 1:04d}.fits"
        lines = ((4200.0 + i, 60.0),) if i in with_line else ()
        write_spec(path, fiberid=i + 1, lines=lines, class_="GALAXY" if lines else "STAR")
    for method in METHODS:
        override = (f"search.method={method}",)
        tables = []
        for n_workers in (1, 2, 3) if n_files > 3 else (1, 2):
            run = folder / f"{method}-{n_workers}"
            counts = run_into(run, folder / "in", overrides=override, n_workers=n_workers).counts
            assert counts["hits"] == len(with_line)
            tables.append(tables_of(run))
        assert all(table == tables[0] for table in tables)


@pytest.mark.usefixtures("no_report")
def test_e5_two_spec_files_with_hits_give_the_same_tables_on_two_workers(
    tmp_path: Path, write_spec: Callable[..., Path], run_into: Run, tables_of: Any
) -> None:
    same_for_any_number_of_workers(2, tmp_path, write_spec, run_into, tables_of)


@pytest.mark.slow
@pytest.mark.usefixtures("no_report")
@pytest.mark.parametrize("n_files", [3, 50, 401])
def test_e5_spec_files_with_hits_give_the_same_tables_on_any_number_of_workers(
    n_files: int, tmp_path: Path, write_spec: Callable[..., Path], run_into: Run, tables_of: Any
) -> None:
    same_for_any_number_of_workers(n_files, tmp_path, write_spec, run_into, tables_of)
