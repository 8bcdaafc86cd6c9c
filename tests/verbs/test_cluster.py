"""A whole search on a Dask cluster: the bytes of a local one, whatever becomes of its workers."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from speclens.cli.app import app
from speclens.config import load_searches
from speclens.run.progress import Silent
from speclens.run.workers import working_at
from speclens.verbs.search import SearchRequest, search

pytest.importorskip("distributed")
pytest.importorskip("dask_jobqueue")

from speclens.run.cluster import connected

FEW = ("search.method=matched-filter", 'vet.vetoes=["MASKED", "NEIGHBOUR"]')
KILLED_BY = """
import os, signal
from speclens.read.sdss import spec

opened = spec.open_fits
def open_fits(path, *rest, **more):
    if path.endswith("0012.fits"):
        os.kill(os.getpid(), signal.SIGKILL)
    return opened(path, *rest, **more)
spec.open_fits = open_fits
"""


def request_of(output: Path, survey: Path, n_workers: int = 2) -> SearchRequest:
    config = load_searches(None, FEW, (), ("galaxy",))
    return SearchRequest([str(survey)], output, config, n_workers=n_workers)


class Interrupts(Silent):
    """Ctrl-C after the first shard."""

    def advance(self, _: int) -> None:
        raise KeyboardInterrupt


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("no_report")
def test_e5_a_search_that_is_interrupted_goes_on_to_the_bytes_of_a_local_one(
    scheduler: str,
    mock_survey: Path,
    products_of: Callable[[Path], dict[str, bytes]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Names that are not absolute begin in the folder of the caller, on every worker.
    monkeypatch.chdir(mock_survey.parent)
    # Vetting is shared out as well, be it ever so little.
    monkeypatch.setattr("speclens.run.workers.SECONDS_TO_START", 1e-6)
    inputs, run = Path(mock_survey.name), tmp_path / "run"
    with connected(scheduler) as workers, working_at(workers), pytest.raises(KeyboardInterrupt):
        search(request_of(run, inputs), Interrupts())
    assert not (run / "run.json").exists()
    assert list(run.rglob("*.shard"))
    sets = [word for value in FEW for word in ("--set", value)]
    command = ["search", str(inputs), "-o", str(run), "--foreground", "galaxy", "-q", *sets]
    done = CliRunner().invoke(app, [*command, "--cluster", scheduler])
    assert done.exit_code == 0, done.output
    search(request_of(tmp_path / "local", inputs, n_workers=1))
    assert products_of(run) == products_of(tmp_path / "local")
    again = CliRunner().invoke(app, ["vet", str(run), "-q", "--cluster", scheduler])
    assert again.exit_code == 0, again.output
    assert products_of(run) == products_of(tmp_path / "local")
    record = json.loads((run / "run.json").read_text())
    assert record["workers"] == 2
    assert record["counts"]["hits"] > 0


def test_h1_options_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    for words, said in (
        (["--cluster", "tcp://127.0.0.1:1", "--workers", "2"], "--workers 2: not with --cluster"),
        (["--site", "site.toml"], "only with --cluster"),
        (["--cluster", "slurm", "--site", "site.toml"], "--site site.toml: No such file"),
    ):
        for command in (["search", str(tmp_path)], ["vet", str(tmp_path)], ["sky", str(tmp_path)]):
            done = CliRunner().invoke(app, [*command, "-o", str(tmp_path / "run"), *words])
            assert said in str(done.exception)


def test_e3_no_address_is_printed_where_no_jobs_can_be_submitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site.toml"
    site.write_text('cores = 1\nmemory = "1 GB"\nscheduler_options = { host = "127.0.0.1" }\n')
    monkeypatch.setenv("PATH", "/nowhere")
    done = CliRunner().invoke(app, ["cluster", "slurm", "--site", str(site)])
    assert "no sbatch on this machine" in str(done.exception)
    assert done.stdout == ""


def test_the_script_of_a_job_is_printed(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text('cores = 2\nmemory = "4 GB"\nqueue = "regular"\n')
    done = CliRunner().invoke(app, ["cluster", "slurm", "--site", str(site), "--show"])
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("#!/usr/bin/env bash")
    assert "#SBATCH -p regular" in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("no_report")
def test_e1_a_file_that_kills_its_workers_is_named_and_all_others_are_searched(
    start_cluster: Callable[[int], Any],
    write_spec: Callable[..., Path],
    write_plate: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "in"
    write_plate(folder / "11", plate=11, lines={1: ((4300.0, 60.0),)})
    for plate, fibre in ((7, 10), (9, 12)):
        name = f"spec-{plate:04d}-55000-{fibre:04d}.fits"
        write_spec(folder / name, plate=plate, mjd=55000, fiberid=fibre)
    patch = tmp_path / "path"
    patch.mkdir()
    (patch / "sitecustomize.py").write_text(KILLED_BY)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(patch), *filter(None, sys.path)]))
    with (
        start_cluster(2) as cluster,
        connected(cluster.scheduler_address) as workers,
        working_at(workers),
    ):
        summary = search(request_of(tmp_path / "run", folder))
    assert summary.reasons["worker_died"] == summary.n_failed == 1
    assert summary.counts["scored"] > 1
