"""Work on processes of a Dask scheduler: the same results, whatever becomes of the workers."""

from __future__ import annotations

import operator
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from shutil import which
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("distributed")
pytest.importorskip("dask_jobqueue")

from speclens.errors import ConfigError, RunError
from speclens.run import cluster, queue_jobs, remote
from speclens.run.cluster import connected
from speclens.run.queue_jobs import job_script
from speclens.run.site import Site
from speclens.run.workers import map_shards, working_at

# Builtins, which the workers can find: eval(text, names).
DIE = "__import__('os').kill(__import__('os').getpid(), 9)"
PID = "__import__('os').getpid()"


@pytest.fixture
def at_work(scheduler: str) -> Iterator[None]:
    """Let the two workers of a scheduler do what is shared out."""
    with connected(scheduler) as workers, working_at(workers):
        yield


@pytest.mark.usefixtures("at_work")
def test_e5_workers_give_results_in_order_whichever_ends_first() -> None:
    slow_first = f"(__import__('time').sleep(wait), i, {PID})[1:]"
    items = [{"i": i, "wait": 0.2 * (i == 0)} for i in range(20)]
    found = list(map_shards(eval, slow_first, items, 2))
    assert [i for i, _ in found] == list(range(20))
    assert os.getpid() not in {pid for _, pid in found}


@pytest.mark.usefixtures("at_work")
def test_the_state_is_made_once_where_it_is_used_and_never_travels() -> None:
    found = map_shards(operator.getitem, b"abc", [2, 0, 1], 2, begin=memoryview)
    assert bytes(found) == b"cab"


@pytest.mark.usefixtures("at_work")
def test_what_is_not_shared_out_is_done_here() -> None:
    assert list(map_shards(eval, PID, [{}, {}], 1)) == [os.getpid()] * 2
    assert list(map_shards(eval, PID, [], 2)) == []


@pytest.mark.usefixtures("at_work")
def test_h4_a_worker_works_on_one_core_from_the_folder_of_the_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    threads = "max(p['num_threads'] for p in __import__('threadpoolctl').threadpool_info())"
    text = f"(__import__('numpy'), {threads}, __import__('os').getcwd())[1:]"
    assert list(map_shards(eval, text, [{}, {}], 2)) == [(1, str(tmp_path))] * 2


@pytest.mark.usefixtures("at_work")
def test_an_error_reaches_the_caller_after_the_results_before_it() -> None:
    found = map_shards(operator.floordiv, 10, [1, 2, 0, 5], 2)
    assert [next(found), next(found)] == [10, 5]
    with pytest.raises(ZeroDivisionError) as caught:
        next(found)
    assert "in a process on" in caught.value.__notes__[0]


@pytest.mark.usefixtures("at_work")
def test_e1_an_item_that_kills_its_workers_is_lost_alone() -> None:
    guilty = 3

    def rescue(item: dict[str, int], alone: Callable[[dict[str, int]], int]) -> int:
        assert alone({"i": 100}) == 100
        return -item["i"]

    items = [{"i": i} for i in range(8)]
    found = map_shards(eval, f"{DIE} if i == {guilty} else i", items, 2, rescue=rescue)
    assert list(found) == [-i if i == guilty else i for i in range(8)]


@pytest.mark.usefixtures("at_work")
def test_e1_an_item_whose_worker_was_killed_by_chance_is_done_again(tmp_path: Path) -> None:
    text = f"i if i != 1 or m.exists() else (m.touch(), {DIE})"
    items = [{"i": i, "m": tmp_path / "met"} for i in range(4)]
    assert list(map_shards(eval, text, items, 2)) == [0, 1, 2, 3]


@pytest.mark.usefixtures("at_work")
def test_d6_who_stops_early_leaves_no_task_behind(tmp_path: Path) -> None:
    text = "(m.touch(), __import__('time').sleep(wait))"
    items = [{"m": tmp_path / str(i), "wait": 0.3 * (i > 0)} for i in range(40)]
    found = map_shards(eval, text, items, 2)
    next(found)
    found.close()
    assert list(map_shards(operator.sub, 10, [1, 2], 2)) == [9, 8]
    assert len(list(tmp_path.iterdir())) < 10


@pytest.mark.usefixtures("at_work")
def test_e4_a_worker_of_another_version_is_refused_and_both_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = remote.versions() | {"speclens": "99.0", "Python": "4.0"}
    monkeypatch.setattr(cluster, "versions", lambda: ours)
    with pytest.raises(
        RunError, match=r"has speclens 0\.\S+, Python 3\S+, and this is speclens 99"
    ):
        list(map_shards(operator.sub, 10, [1, 2], 2))


@pytest.mark.usefixtures("at_work")
def test_e4_a_worker_that_lacks_the_code_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "answer", LacksTheCode())
    with pytest.raises(RunError, match=r"cannot take the work .*no_such_module.*there"):
        list(map_shards(operator.sub, 10, [1, 2], 2))


class LacksTheCode:
    """A function of a module that a worker does not have."""

    def __call__(self) -> None:
        raise AssertionError

    def __reduce__(self) -> tuple[Any, ...]:
        return eval, ("__import__('no_such_module')",)


@pytest.mark.usefixtures("at_work")
def test_e4_a_worker_without_the_folder_of_the_caller_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "getcwd", lambda: "/no/such/folder")
    with pytest.raises(RunError, match=r"sees no folder /no/such/folder.*that all share"):
        list(map_shards(operator.sub, 10, [1, 2], 2))


def test_e2_a_file_of_another_machine_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = tmp_path / "late"
    threading.Timer(0.3, late.touch).start()
    remote.await_sight(late)
    assert late.exists()
    monkeypatch.setattr(remote, "SECONDS_TO_BE_SEEN", 0.1)
    with pytest.raises(RunError, match=r"not seen here.*that all share"):
        remote.await_sight(tmp_path / "elsewhere")


@pytest.mark.usefixtures("at_work")
@pytest.mark.parametrize("several", [False, True])
def test_e2_the_files_that_a_result_names_must_come_into_sight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, several: bool
) -> None:
    monkeypatch.setattr(remote, "SECONDS_TO_BE_SEEN", 0.1)
    (tmp_path / "1").touch()
    here, absent = (SimpleNamespace(path=tmp_path / name) for name in ("1", "2"))
    told = [[here, here], [here, absent]] if several else [here, absent]
    found = map_shards(operator.getitem, told, [0, 1], 2)
    assert next(found)
    with pytest.raises(RunError, match="not seen here"):
        next(found)


def test_e3_a_scheduler_that_has_no_workers_ends_the_wait(
    start_cluster: Callable[[int], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "SECONDS_TO_WAIT", 0.3)
    told: list[str] = []
    with (
        start_cluster(0) as local,
        connected(local.scheduler_address, tell=told.append) as none,
        working_at(none),
        pytest.raises(RunError, match=r"no worker came in 0 s.*same command"),
    ):
        list(map_shards(operator.sub, 10, [1, 2], 2))
    assert told[0].startswith("waiting for workers")


def test_e3_without_a_scheduler_the_address_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "SECONDS_TO_CONNECT", 0.2)
    with pytest.raises(RunError, match=r"127.0.0.1:9: no scheduler"), connected("127.0.0.1:9"):
        pass


def test_e3_a_scheduler_that_dies_ends_the_run_and_not_the_patience(
    start_cluster: Callable[[int], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "SECONDS_TO_CONNECT", 3.0)
    with (
        start_cluster(1) as local,
        connected(local.scheduler_address) as workers,
        working_at(workers),
    ):
        found = map_shards(eval, "__import__('time').sleep(i)", [{"i": 0}, {"i": 60}], 2)
        next(found)
        local.close()
        with pytest.raises(RunError, match=r"lost the scheduler.*same command"):
            next(found)


def test_h1_what_is_no_cluster_is_refused(tmp_path: Path) -> None:
    for to, site in (("slrum", None), ("tcp://127.0.0.1:1", tmp_path / "site.toml")):
        with pytest.raises(ConfigError, match=f"{to}: expected slurm"), connected(to, site):
            pass


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder where jobs are submitted: each job is a file of a process's number."""
    if which("setsid") is None:
        pytest.skip("no setsid")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(queue_jobs, "SECONDS_TO_RESTART", 0.5)
    commands = {
        "sbatch": 'cp "$1" "$0.$$"; setsid sh "$0.$$" >/dev/null 2>&1 & '
        'touch "$(dirname "$0")/$!.job"; echo "Submitted batch job $!"',
        "scancel": 'echo "$1" >>"$(dirname "$0")/cancelled"; kill -9 -- "-$1"',
    }
    for name, text in commands.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "site.toml").write_text(
        'n_jobs = 1\nwait = 60\ncores = 1\nmemory = "1 GB"\nwalltime = "00:10:00"\nnanny = false\n'
        'scheduler_options = { host = "127.0.0.1" }\n'
    )
    yield tmp_path
    for path in tmp_path.glob("*.job"):
        with suppress(ProcessLookupError):
            os.killpg(int(path.stem), signal.SIGKILL)


def test_jobs_are_submitted_when_there_is_work_and_anew_when_they_end(slurm: Path) -> None:
    with connected("slurm", slurm / "site.toml", print) as workers, working_at(workers):
        assert list(slurm.glob("*.job")) == []
        found = map_shards(eval, PID, [{}, {}, {}], workers.n_processes)
        first = next(found)
        [job] = slurm.glob("*.job")
        os.killpg(int(job.stem), signal.SIGKILL)
        again = map_shards(eval, PID, [{}, {}], workers.n_processes)
        assert next(again) != first
        assert len(list(slurm.glob("*.job"))) == 2
    cancelled = (slurm / "cancelled").read_text().split()
    assert {path.stem for path in slurm.glob("*.job")} == set(cancelled)


def test_e3_a_job_that_the_queue_refuses_is_told_with_its_script(slurm: Path) -> None:
    (slurm / "sbatch").write_text("#!/bin/sh\necho 'error: --mem is not supported' >&2; exit 1\n")
    refused = r"(?s)a job was refused.*--mem is not supported.*#SBATCH --mem="
    with (
        connected("slurm", slurm / "site.toml") as workers,
        working_at(workers),
        pytest.raises(RunError, match=refused),
    ):
        list(map_shards(operator.sub, 10, [1, 2], 2))


def test_e3_where_no_jobs_are_submitted_the_command_is_named(
    slurm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with (
        connected("slurm", slurm / "site.toml") as workers,
        working_at(workers),
        pytest.raises(RunError, match=r"no sbatch on this machine.*--show"),
    ):
        list(map_shards(operator.sub, 10, [1, 2], 2))


@pytest.mark.parametrize(
    ("system", "more", "said"),
    [
        ("slurm", 'account = "m1"\nwalltime = "02:00:00"', ["#SBATCH -A m1", "#SBATCH -t 02:00"]),
        ("pbs", 'account = "m1"\nwalltime = "02:00:00"', ["#PBS -A m1", "walltime=02:00:00"]),
        ("sge", 'project = "m1"\nqueue = "long"', ["#$ -P m1", "#$ -q long"]),
        ("lsf", 'project = "m1"\nwalltime = "02:00"', ['#BSUB -P "m1"', "#BSUB -W 02:00"]),
        ("htcondor", 'disk = "1 GB"', ["RequestDisk", "RequestCpus"]),
        ("oar", 'project = "m1"\nmemory_per_core_property_name = "not_applicable"',
         ["#OAR --project m1", "core=4"]),
    ],
)  # fmt: skip
def test_the_script_of_a_job_is_shown_without_the_system(
    tmp_path: Path, system: str, more: str, said: list[str]
) -> None:
    site = tmp_path / "site.toml"
    site.write_text(f'n_jobs = 20\ncores = 4\nmemory = "16 GB"\n{more}\n')
    script = job_script(Site.read(system, site))
    assert [text for text in said if text not in script] == []
    assert "-m distributed.cli.dask_worker tcp://SCHEDULER" in script
    assert "--nworkers 4" in script
    assert "--nthreads 1" in script
    assert "--dashboard-address 127.0.0.1:0" in script


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("cores = ", "--site"),
        ("n_jobs = 0", "n_jobs: expected"),
        ('wait = "1 h"', "wait: expected"),
        ("cores = 4", r"site\.toml does not say memory of a job, e\.g\. cores = 16"),
        (
            'cores = 4\nmemory = "1 GB"\nqeue = "a"',
            r"site\.toml: unknown key 'qeue'; did you mean 'queue'",
        ),
        (
            'cores = 4\nmemory = "1 GB"\nxyz = 1',
            r"unknown key 'xyz'; known keys: n_jobs, wait, account,",
        ),
    ],
)
def test_h1_a_wrong_file_of_a_site_is_refused(tmp_path: Path, content: str, said: str) -> None:
    site = tmp_path / "site.toml"
    site.write_text(content)
    with pytest.raises(ConfigError, match=said):
        job_script(Site.read("slurm", site))
    with pytest.raises(ConfigError, match=r"--site \S+none.toml: No such file"):
        Site.read("slurm", tmp_path / "none.toml")
    with pytest.raises(ConfigError, match=r"slurm: give --site FILE\.toml that says cores and mem"):
        job_script(Site("slurm"))
