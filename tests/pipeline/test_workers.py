"""The same work on one process or several."""

from __future__ import annotations

import multiprocessing
import operator
import os

import pytest

from speclens.errors import RunError
from speclens.pipeline.workers import allotted_cores, map_shards

# Builtins, which the other processes can find: eval(text, names).
THREADS = (
    "sum(p['num_threads'] for p in __import__('threadpoolctl').threadpool_info()) "
    "== len(__import__('threadpoolctl').threadpool_info())"
)


def test_one_process_gives_results_in_order() -> None:
    assert list(map_shards(operator.sub, 10, [3, 1, 2], 1)) == [7, 9, 8]


@pytest.mark.parametrize("n_workers", [0, 1, 2])
def test_no_items_give_no_results(n_workers: int) -> None:
    assert list(map_shards(operator.sub, 10, [], n_workers)) == []


def test_one_item_needs_no_other_process() -> None:
    assert list(map_shards(eval, "__import__('os').getpid()", [{}], 8)) == [os.getpid()]


def test_e5_two_processes_give_results_in_order_whichever_ends_first() -> None:
    slow_first = "(__import__('time').sleep(wait), i, __import__('os').getpid())[1:]"
    items = [{"i": i, "wait": 0.2 * (i == 0)} for i in range(20)]
    found = list(map_shards(eval, slow_first, items, 2))
    assert [i for i, _ in found] == list(range(20))
    assert os.getpid() not in {pid for _, pid in found}
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("n_workers", [1, 2])
def test_h4_a_worker_computes_on_one_core(n_workers: int) -> None:
    expression = f"(__import__('numpy'), {THREADS})[1]"
    assert list(map_shards(eval, expression, [{}, {}], n_workers)) == [True, True]


def test_e1_a_dying_worker_ends_the_run_with_advice() -> None:
    die = "__import__('os').kill(__import__('os').getpid(), 9) if i == 1 else i"
    with pytest.raises(RunError, match=r"worker process died.*same command again"):
        list(map_shards(eval, die, [{"i": i} for i in range(4)], 2))
    assert multiprocessing.active_children() == []


def test_an_error_in_a_worker_reaches_the_caller() -> None:
    with pytest.raises(ZeroDivisionError):
        list(map_shards(operator.floordiv, 10, [1, 0, 2], 1))


def test_h4_the_cores_are_those_allotted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 7, 9}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert allotted_cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    assert allotted_cores() == 64
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert allotted_cores() == 1
