"""The same work on one process or several, and what becomes of it when processes are killed."""

from __future__ import annotations

import multiprocessing
import operator
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from speclens.errors import RunError
from speclens.run import crew
from speclens.run.job import THREAD_VARIABLES, WorkerDiedError
from speclens.run.workers import allotted_cores, map_shards, sharing_processes, worth_starting

# Builtins, which the other processes can find: eval(text, names).
DIE = "__import__('os').kill(__import__('os').getpid(), 9)"
N_THREADS = "max(p['num_threads'] for p in __import__('threadpoolctl').threadpool_info())"
VARIABLES = f"[__import__('os').environ.get(name) for name in {THREAD_VARIABLES}]"


def no_rescue(*_: Any) -> None:
    raise AssertionError


def test_one_process_gives_results_in_order() -> None:
    assert list(map_shards(operator.sub, 10, [3, 1, 2], 1)) == [7, 9, 8]


@pytest.mark.parametrize("n_workers", [0, 1, 2])
def test_no_items_give_no_results(n_workers: int) -> None:
    assert list(map_shards(operator.sub, 10, [], n_workers)) == []


@pytest.mark.parametrize("items", [[], [3, 1, 2]])
@pytest.mark.parametrize("n_workers", [1, 2])
def test_what_is_done_meanwhile_is_done_once_and_may_end_the_work(
    n_workers: int, items: list[int]
) -> None:
    done: list[int] = []
    found = map_shards(operator.sub, 10, items, n_workers, meanwhile=lambda: done.append(1))
    assert list(found) == [10 - item for item in items]
    assert done == [1]
    with pytest.raises(ZeroDivisionError):
        list(map_shards(operator.sub, 10, items, n_workers, meanwhile=lambda: 1 // 0))
    assert multiprocessing.active_children() == []


def test_a_process_that_learnt_no_more_than_its_job_does_the_next_one() -> None:
    with sharing_processes():
        # The first to be ready does all; the other is still at its start.
        assert list(map_shards(operator.sub, 10, [3, 1], 2)) == [7, 9]
        assert len(multiprocessing.active_children()) == 2
        assert list(map_shards(operator.add, 10, list(range(20)), 2)) == list(range(10, 30))


def test_one_item_needs_no_other_process() -> None:
    assert list(map_shards(eval, "__import__('os').getpid()", [{}], 8)) == [os.getpid()]


def test_e5_two_processes_give_results_in_order_whichever_ends_first() -> None:
    slow_first = "(__import__('time').sleep(wait), i, __import__('os').getpid())[1:]"
    items = [{"i": i, "wait": 0.2 * (i == 0)} for i in range(20)]
    found = list(map_shards(eval, slow_first, items, 2))
    assert [i for i, _ in found] == list(range(20))
    assert os.getpid() not in {pid for _, pid in found}
    assert multiprocessing.active_children() == []


def test_the_stages_of_a_run_share_processes_and_each_has_its_own_job() -> None:
    pid, items = "__import__('os').getpid()", [{}, {}, {}]
    with sharing_processes():
        assert worth_starting(2, 1.0) == 1
        first = map_shards(eval, f"{pid}, len(n)", [{"n": "abc"}] * 4, 2)
        assert next(first)[1] == 3
        # Whoever works within the loop of another has processes of its own, and they end.
        within = set(map_shards(eval, pid, items, 2))
        pids = {found for found, _ in first}
        assert not pids & within
        assert {process.pid for process in multiprocessing.active_children()} >= pids
        assert worth_starting(2, 1.0) == 2
        assert worth_starting(2, 0.1) == 1
        with sharing_processes():
            assert set(map_shards(eval, pid, items, 2)) <= {
                process.pid for process in multiprocessing.active_children()
            }
        assert len(multiprocessing.active_children()) == 2
        with pytest.raises(RunError, match="was killed"):
            list(map_shards(eval, DIE, items, 2))
        assert list(map_shards(operator.sub, 10, [3, 1, 2], 2)) == [7, 9, 8]
    assert multiprocessing.active_children() == []


def test_e1_processes_that_are_killed_while_they_wait_have_successors() -> None:
    told: list[str] = []
    pid = "__import__('os').getpid()"
    with sharing_processes():
        first = set(map_shards(eval, pid, [{}] * 4, 2))
        for process in multiprocessing.active_children():
            os.kill(process.pid or 0, signal.SIGKILL)
            process.join()
        second = set(map_shards(eval, pid, [{}] * 4, 2, tell=told.append))
        assert not second & {*first, os.getpid()}
    assert not told
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("n_workers", [1, 2])
def test_the_state_is_made_where_it_is_used_and_never_travels(n_workers: int) -> None:
    with pytest.raises(TypeError):
        pickle.dumps(memoryview(b"abc"))
    found = map_shards(operator.getitem, b"abc", [2, 0, 1], n_workers, begin=memoryview)
    assert bytes(found) == b"cab"


def test_h4_a_worker_loads_its_libraries_for_one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    names = dict.fromkeys(THREAD_VARIABLES[:-1], "2")
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv(THREAD_VARIABLES[-1], raising=False)
    expression = f"(__import__('numpy'), {VARIABLES}, {N_THREADS})[1:]"
    for variables, n_threads in map_shards(eval, expression, [{}, {}], 2):
        assert variables == ["1"] * len(THREAD_VARIABLES)
        assert n_threads == 1
    assert {name: os.environ.get(name) for name in names} == names
    assert THREAD_VARIABLES[-1] not in os.environ


def test_h4_this_process_works_on_one_core_and_has_its_own_back() -> None:
    with threadpool_limits(2):
        assert {pool["num_threads"] for pool in threadpool_info()} == {2}
        assert list(map_shards(eval, N_THREADS, [{}, {}], 1)) == [1, 1]
        assert {pool["num_threads"] for pool in threadpool_info()} == {2}


def test_e1_an_item_that_kills_its_worker_is_lost_alone() -> None:
    guilty = (1, 6, 7)
    items = [{"i": i} for i in range(10)]
    asked = []

    def rescue(item: dict[str, int], alone: Callable[[dict[str, int]], int]) -> int:
        asked.append(item["i"])
        assert alone({"i": 100}) == 100
        with pytest.raises(WorkerDiedError):
            alone(item)
        assert alone({"i": 200}) == 200
        return -item["i"]

    found = map_shards(eval, f"{DIE} if i in {guilty} else i", items, 2, rescue=rescue)
    assert list(found) == [-i if i in guilty else i for i in range(10)]
    assert sorted(asked) == list(guilty)
    assert multiprocessing.active_children() == []


def test_e1_an_item_that_is_done_when_it_is_alone_is_done(tmp_path: Path) -> None:
    text = f"i if i != 1 or m.exists() else (m.touch(), {DIE})"
    items = [{"i": i, "m": tmp_path / "met"} for i in range(5)]
    assert list(map_shards(eval, text, items, 2, rescue=no_rescue)) == [0, 1, 2, 3, 4]


def test_e1_an_item_that_killed_this_process_is_left_to_another_one(tmp_path: Path) -> None:
    diary = tmp_path / "begun"
    text = "(i, __import__('os').getpid(), [path.name for path in folder.iterdir()])"

    def items() -> list[dict[str, Any]]:
        # Anew each time: `eval` adds to its names.
        return [{"i": i, "folder": tmp_path} for i in range(3)]

    def found() -> list[tuple[int, bool, list[str]]]:
        results = map_shards(eval, text, items(), 1, diary=diary)
        return [(i, pid == os.getpid(), names) for i, pid, names in results]

    assert found() == [(i, True, ["begun"]) for i in range(3)]
    assert not diary.exists()
    code = (
        "from pathlib import *; from speclens.run.workers import map_shards\n"
        f"text, items, diary = {DIE + ' if i == 1 else i'!r}, {items()}, {diary!r}\n"
        "list(map_shards(eval, text, items, 1, diary=diary))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    assert diary.exists()
    assert [(i, here) for i, here, _ in found()] == [(0, True), (1, False), (2, True)]
    assert not diary.exists()


def test_e1_what_nothing_rescues_is_named_with_advice() -> None:
    items = [{"i": i} for i in range(4)]
    found = map_shards(eval, f"{DIE} if i == 1 else i", items, 2)
    assert next(found) == 0
    with pytest.raises(RunError, match=r"'i': 1}.*killed.*same command again"):
        next(found)
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("n_workers", [1, 2])
def test_an_error_reaches_the_caller_after_the_results_before_it(n_workers: int) -> None:
    found = map_shards(operator.floordiv, 10, [1, 2, 0, 5], n_workers)
    assert [next(found), next(found)] == [10, 5]
    with pytest.raises(ZeroDivisionError):
        next(found)
    assert multiprocessing.active_children() == []


def test_an_error_that_cannot_travel_is_told_all_the_same() -> None:
    raising = "(_ for _ in ()).throw(type('Odd', (Exception,), {})('of a kind of its own'))"
    with pytest.raises(TypeError, match="of a kind of its own"):
        list(map_shards(eval, raising, [{"__name__": "odd"}, {}], 2))


def test_who_stops_early_leaves_no_process() -> None:
    found = map_shards(eval, "__import__('time').sleep(i)", [{"i": 0}, *[{"i": 600}] * 3], 2)
    assert next(found) is None
    found.close()
    assert multiprocessing.active_children() == []


class EndsWhatLoadsIt:
    """Shared data that ends the process which unpickles them."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (1,)


def test_i11_without_other_processes_this_one_does_all_the_work() -> None:
    told: list[str] = []
    found = map_shards(isinstance, EndsWhatLoadsIt(), [int, object], 2, tell=told.append)
    assert list(found) == [False, True]
    assert len(told) == 1
    assert "cannot start other processes" in told[0]


@pytest.mark.parametrize("n_that_start", [0, 1, 2])
def test_i11_the_work_is_done_by_as_many_processes_as_can_be_started(
    monkeypatch: pytest.MonkeyPatch, n_that_start: int
) -> None:
    start = multiprocessing.context.SpawnProcess.start
    started: list[Any] = []

    def limited(process: Any) -> None:
        if len(started) >= n_that_start:
            raise OSError(24, "Too many open files")
        started.append(process)
        start(process)

    monkeypatch.setattr(multiprocessing.context.SpawnProcess, "start", limited)
    told: list[str] = []
    text = "(i, __import__('os').getpid())"
    found = list(map_shards(eval, text, [{"i": i} for i in range(6)], 3, tell=told.append))
    assert [i for i, _ in found] == list(range(6))
    assert ({pid for _, pid in found} == {os.getpid()}) == (n_that_start == 0)
    assert [("Too many open files" in text) for text in told] == [True] * (n_that_start == 0)


def test_a_signal_waits_until_a_process_has_started() -> None:
    events: list[str] = []

    def interrupt(*_: Any) -> None:
        events.append("interrupt")

    before = {n: signal.signal(n, interrupt) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        for number in before:
            with crew._signals_wait():
                os.kill(os.getpid(), number)
                events.append("started")
            assert signal.getsignal(number) is interrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert events == ["started", "interrupt"] * 2


def test_h4_the_cores_are_those_allotted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 7, 9}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert allotted_cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    assert allotted_cores() == 64
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert allotted_cores() == 1
