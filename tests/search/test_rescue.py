"""A shard that kills its worker: only the guilty files fail."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from speclens.config import load_config
from speclens.read.sdss.survey import SPECS
from speclens.read.shards import Shard
from speclens.run.job import WorkerDiedError
from speclens.run.store import ShardStore
from speclens.search.rescue import rescue_shard
from speclens.search.scan import Scanner, ScanSettings, scan_shard
from speclens.search.shard_rows import ShardRows

KILLED_BY = """
import os, signal
from speclens.read.sdss import plate, spec

def of(module):
    opened = module.open_fits
    def open_fits(path, *rest, **more):
        if os.path.basename(path) in {names!r}:
            os.kill(os.getpid(), signal.SIGKILL)
        return opened(path, *rest, **more)
    module.open_fits = open_fits

of(plate), of(spec)
"""


@pytest.mark.parametrize("guilty", [{0}, {4}, {1, 2}, set(range(5)), set()])
def test_e1_of_a_shard_only_the_guilty_files_fail(
    tmp_path: Path, write_spec: Callable[..., Path], guilty: set[int]
) -> None:
    paths = [tmp_path / f"spec-3655-55240-{i + 1:04d}.fits" for i in range(5)]
    files = tuple(str(write_spec(path, fiberid=i)) for i, path in enumerate(paths, 1))
    config = load_config(None, ["search.method=matched-filter"])
    settings = ScanSettings(config, ShardStore(tmp_path, "0"))
    scanner = Scanner(settings)

    def alone(part: Shard) -> ShardRows:
        if {files.index(file) for file in part.files} & guilty:
            raise WorkerDiedError
        return scan_shard(scanner, part)

    shard = Shard(SPECS, files)
    rows = rescue_shard(settings, shard, alone)
    expected = ["worker_died" if i in guilty else "" for i in range(5)]
    assert [Path(file).name for file in rows.spectra["FILE"]] == [Path(f).name for f in files]
    assert rows.spectra["REASON"].tolist() == expected
    assert len(rows.messages) == len(guilty)
    for i, text in zip(sorted(guilty), rows.messages, strict=True):
        assert files[i] in text
    stored = ShardRows.load(settings.store.path(shard.kind.name, shard.files))
    assert stored is not None
    assert stored.spectra.tobytes() == rows.spectra.tobytes()


@pytest.mark.slow
@pytest.mark.usefixtures("no_report")
def test_e1_files_that_kill_their_workers_are_named_and_all_others_are_searched(
    tmp_path: Path,
    write_spec: Callable[..., Path],
    write_plate: Callable[..., Path],
    search_few: Callable[..., Any],
    tables_of: Callable[[Path], dict[str, bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line = ((4300.0, 60.0),)
    plates = [write_plate(tmp_path / "in" / str(n), plate=n, lines={1: line}) for n in (11, 12)]
    for fibre in range(1, 6):
        name = f"spec-0007-55000-{fibre:04d}.fits"
        write_spec(tmp_path / "in" / name, plate=7, mjd=55000, fiberid=fibre, lines=line)
    names = {plates[0].name, "spec-0007-55000-0003.fits"}
    patch = tmp_path / "path"
    patch.mkdir()
    (patch / "sitecustomize.py").write_text(KILLED_BY.format(names=names))
    with monkeypatch.context() as changed:
        changed.setenv("PYTHONPATH", os.pathsep.join([str(patch), *filter(None, sys.path)]))
        summary = search_few(tmp_path / "run", tmp_path / "in", n_workers=2)
        assert summary.reasons["worker_died"] == summary.n_failed == 2
        assert summary.counts["scored"] > 4
        assert summary.counts["hits"] == 5
    search_few(tmp_path / "run", tmp_path / "in")
    search_few(tmp_path / "clean", tmp_path / "in")
    assert tables_of(tmp_path / "run") == tables_of(tmp_path / "clean")
