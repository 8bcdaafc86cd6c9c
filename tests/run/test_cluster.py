"""Work on the processes of a Dask scheduler: the same results, whatever becomes of the workers."""

from __future__ import annotations

import operator
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed")
pytest.importorskip("dask_jobqueue")

import dask
from distributed import LocalCluster

from speclens.errors import ConfigError, RunError
from speclens.run import cluster
from speclens.run.cluster import connected, job_script
from speclens.run.workers import WorkerDiedError, map_shards, working_at

# Builtins, which the workers can find: eval(text, names).
DIE = "__import__('os').kill(__import__('os').getpid(), 9)"
PID = "__import__('os').getpid()"


@pytest.fixture(scope="module", autouse=True)
def _soon() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster, "SECONDS_BETWEEN_LOOKS", 0.2)
        yield


def local_cluster(n_workers: int) -> LocalCluster:
    # A suspect is found by the first worker that it kills, as its scheduler is told.
    with dask.config.set({"distributed.scheduler.allowed-failures": 0}):
        return LocalCluster(
            n_workers=n_workers, threads_per_worker=1, host="127.0.0.1", dashboard_address=None,
            silence_logs=50,
        )  # fmt: skip


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Of a scheduler with two workers."""
    with local_cluster(2) as local:
        yield local.scheduler_address


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def at_work(address: str, told: list[str]) -> Iterator[None]:
    """Let the two workers do what is shared out."""
    with connected(address, tell=told.append) as workers, working_at(workers):
        yield


@pytest.mark.usefixtures("at_work")
def test_e5_workers_give_results_in_order_whichever_ends_first() -> None:
    slow_first = f"(__import__('time').sleep(wait), i, {PID})[1:]"
    items = [{"i": i, "wait": 0.2 * (i == 0)} for i in range(20)]
    found = list(map_shards(eval, slow_first, items, 2))
    assert [i for i, _ in found] == list(range(20))
    assert os.getpid() not in {pid for _, pid in found}
