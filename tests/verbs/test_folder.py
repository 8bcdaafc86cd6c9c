"""The output folder: one run at a time, killed runs finished, damaged work done again."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from speclens.errors import RunError
from speclens.products import replacing
from speclens.report.folder import replacing_folder
from speclens.run.folder import locked_folder
from speclens.run.kinds import RUN
from speclens.verbs.search import RunSummary

pytestmark = pytest.mark.usefixtures("no_report")
Run = Callable[..., RunSummary]
Bytes = Callable[[Path], dict[str, bytes]]
FORKS = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")


def fork(action: Callable[[], Any]) -> int:
    """Start an action in a process of its own; it exits 0 when the action ends."""
    pid = os.fork()
    if pid == 0:
        try:
            action()
            os._exit(0)
        finally:
            os._exit(1)
    return pid


def wait(pid: int) -> int:
    """Return the exit code, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def draw_a_stub(folder: Path, *_: Any) -> dict[int, str]:
    with replacing_folder(folder / "report") as part, replacing(part / "index.html") as file:
        file.write(b"page")
    return {}


def assert_clean(run: Path) -> None:
    assert [path for path in run.rglob("*") if path.name.endswith(".part")] == []
    with (run / "work" / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.slow
@FORKS
def test_d1_a_run_killed_at_random_moments_is_finished_by_the_next(
    tmp_path: Path,
    mock_survey: Path,
    reference: tuple[Path, RunSummary],
    run_into: Run,
    tables_of: Bytes,
    monkeypatch: pytest.MonkeyPatch,
    rng: np.random.Generator,
) -> None:
    monkeypatch.setattr("speclens.verbs.finish.make_report", draw_a_stub)
    expected = tables_of(reference[0])
    began = time.monotonic()
    assert wait(fork(lambda: run_into(tmp_path / "whole", mock_survey))) == 0
    duration = time.monotonic() - began
    n_killed, n_finished = 0, 0
    for folder in (tmp_path / f"run{i}" for i in range(3)):
        for _ in range(3):
            pid = fork(lambda: run_into(folder, mock_survey))  # noqa: B023 - it ends in the loop
            time.sleep(rng.uniform(0, duration))
            os.kill(pid, signal.SIGKILL)
            n_killed += wait(pid) == -signal.SIGKILL
        final = run_into(folder, mock_survey)
        assert final.counts == reference[1].counts
        n_finished += final.n_new < final.counts["read"]
        assert tables_of(folder) == expected
        assert_clean(folder)
    # How many runs were faster than their killer depends on the machine's load.
    assert n_killed > 0
    assert n_finished > 0


def dying_at(moment: str, nth: int, action: Callable[[], Any]) -> None:
    """Do something, but die at the nth time that a file is half written, whole or in its place."""
    fsync, replace = os.fsync, Path.replace
    left = nth

    def reach(here: str) -> None:
        nonlocal left
        if here == moment:
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

    def dying_fsync(number: int) -> None:
        if moment == "half" and left == 0:
            os.ftruncate(number, os.fstat(number).st_size // 2)
        reach("half")
        fsync(number)
        reach("whole")

    def dying_replace(path: Path, target: Path) -> Path:
        found = replace(path, target)
        reach("in place")
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", dying_fsync)
        patch.setattr(Path, "replace", dying_replace)
        action()


@pytest.mark.slow
@FORKS
@pytest.mark.parametrize(("moment", "step"), [("half", 2), ("whole", 3), ("in place", 1)])
def test_d1_a_run_killed_at_each_write_leaves_only_whole_tables_and_is_finished(
    tmp_path: Path,
    mock_survey: Path,
    reference: tuple[Path, RunSummary],
    run_into: Run,
    tables_of: Bytes,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
    step: int,
) -> None:
    monkeypatch.setattr("speclens.verbs.finish.make_report", draw_a_stub)
    expected, run = tables_of(reference[0]), tmp_path / "run"
    codes: list[int] = []
    while len(codes) < 30 and 0 not in codes:
        nth = step * len(codes)
        codes.append(wait(fork(lambda: dying_at(moment, nth, lambda: run_into(run, mock_survey)))))  # noqa: B023
        for name, content in expected.items():
            assert not (run / name).exists() or (run / name).read_bytes() == content
    # Seven tables, the page and the record are written by each call.
    assert codes[:-1] == [-signal.SIGKILL] * (len(codes) - 1)
    assert len(codes) > 9 / step
    assert codes[-1] == 0
    assert tables_of(run) == expected
    assert_clean(run)


def descendants(pid: int) -> set[int]:
    found: set[int] = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            child, parent = (
                int(path.parent.name),
                int(path.read_text().rsplit(")", 1)[1].split()[1]),
            )
        except OSError:
            continue
        if parent == pid:
            found |= {child, *descendants(child)}
    return found


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()
    except OSError:
        return ""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_d1_workers_end_when_their_parent_is_killed(
    tmp_path: Path, mock_survey: Path, run_into: Run, reference: tuple[Path, RunSummary]
) -> None:
    command = [sys.executable, "-m", "speclens", "search", str(mock_survey), "--workers", "2"]
    command += ["--foreground", "galaxy"]
    with subprocess.Popen([*command, "-q", "-o", str(tmp_path / "run")]) as parent:
        workers: dict[int, str] = {}
        while len(workers) < 2 and parent.poll() is None:
            time.sleep(0.02)
            commands = {pid: command_of(pid) for pid in descendants(parent.pid)}
            workers = {pid: text for pid, text in commands.items() if "spawn_main" in text}
        parent.kill()
    assert parent.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 60
    left = set(workers)
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = {pid for pid in left if command_of(pid) == workers[pid]}
    assert left == set()
    asked = ('search.foregrounds=["galaxy"]',)
    final = run_into(tmp_path / "run", mock_survey, overrides=asked)
    assert final.counts == reference[1].counts
    assert_clean(tmp_path / "run")


def test_d3_a_second_run_is_refused_and_told_who_holds_the_folder(
    tmp_path: Path, run_into: Run, write_spec: Callable[..., Path]
) -> None:
    spec = write_spec(tmp_path / "spec-1-2-3.fits")
    holder = f"{socket.gethostname()}, process {os.getpid()}, since"
    with locked_folder(tmp_path / "run", RUN):
        before = sorted((tmp_path / "run").rglob("*"))
        with pytest.raises(RunError, match=f"already running there \\({re.escape(holder)}"):
            run_into(tmp_path / "run", spec)
        assert sorted((tmp_path / "run").rglob("*")) == before
    assert run_into(tmp_path / "run", spec).counts["scored"] == 1


@FORKS
def test_d3_the_lock_of_a_killed_process_is_free(
    tmp_path: Path, run_into: Run, write_spec: Callable[..., Path]
) -> None:
    spec, ready = write_spec(tmp_path / "spec-1-2-3.fits"), tmp_path / "ready"

    def hold() -> None:
        with locked_folder(tmp_path / "run", RUN):
            ready.touch()
            time.sleep(600)

    pid = fork(hold)
    while not ready.exists():
        time.sleep(0.01)
    with pytest.raises(RunError, match=f"process {pid},"):
        run_into(tmp_path / "run", spec)
    os.kill(pid, signal.SIGKILL)
    wait(pid)
    assert f"process {pid}," in (tmp_path / "run" / "work" / "lock").read_text()
    assert run_into(tmp_path / "run", spec).counts["scored"] == 1


def _empty(_: bytes) -> bytes:
    return b""


def _truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def _foreign(content: bytes) -> bytes:
    return b"<html>404</html>" * (len(content) // 16)


@pytest.mark.parametrize("damage", [_empty, _truncated, _flipped, _foreign])
def test_d4_a_damaged_result_of_a_shard_is_made_again(
    tmp_path: Path,
    mock_survey: Path,
    run_into: Run,
    tables_of: Bytes,
    damage: Callable[[bytes], bytes],
) -> None:
    plates = sorted(mock_survey.glob("*/spPlate-*.fits"))[:2]
    run_into(tmp_path / "run", *plates)
    before = tables_of(tmp_path / "run")
    shard = min((tmp_path / "run" / "work").glob("*.shard"))
    shard.write_bytes(damage(shard.read_bytes()))
    assert run_into(tmp_path / "run", *plates).n_new == 40
    assert tables_of(tmp_path / "run") == before
    assert run_into(tmp_path / "run", *plates).n_new == 0


def test_d4_the_result_of_another_shard_is_not_taken_for_this_one(
    tmp_path: Path, mock_survey: Path, run_into: Run, tables_of: Bytes
) -> None:
    plates = sorted(mock_survey.glob("*/spPlate-*.fits"))[:2]
    run_into(tmp_path / "run", *plates)
    before = tables_of(tmp_path / "run")
    one, other = sorted((tmp_path / "run" / "work").glob("*.shard"))
    one.write_bytes(other.read_bytes())
    assert run_into(tmp_path / "run", *plates).n_new == 40
    assert tables_of(tmp_path / "run") == before


@pytest.mark.parametrize("content", [b"", b"junk", b"SIMPLE  =" + bytes(2880)])
def test_d4_leftover_products_are_replaced(
    tmp_path: Path, run_into: Run, write_spec: Callable[..., Path], tables_of: Bytes, content: bytes
) -> None:
    spec = write_spec(tmp_path / "spec-1-2-3.fits", lines=((4300.0, 40.0),))
    run_into(tmp_path / "clean", spec)
    run = tmp_path / "run"
    with locked_folder(run, RUN):
        pass
    for name in tables_of(tmp_path / "clean"):
        (run / name).write_bytes(content)
    for path in (run / ".spectra.fits.1.part", run / "work" / ".a.shard.1.part"):
        path.write_bytes(content)
    run_into(run, spec)
    assert tables_of(run) == tables_of(tmp_path / "clean")
    assert_clean(run)


@pytest.mark.parametrize(
    ("product", "number"),
    [
        ("setup.json", errno.ENOSPC),
        (".shard", errno.EDQUOT),
        ("spectra.fits", errno.EFBIG),
        ("hits.ecsv", errno.EIO),
        ("candidates.tex", errno.ENOSPC),
        ("run.json", errno.EDQUOT),
    ],
)
def test_d2_a_full_disk_ends_the_run_and_keeps_the_old_products(
    tmp_path: Path,
    run_into: Run,
    write_spec: Callable[..., Path],
    tables_of: Bytes,
    monkeypatch: pytest.MonkeyPatch,
    product: str,
    number: int,
) -> None:
    folder, run, fsync = tmp_path / "in", tmp_path / "run", os.fsync
    write_spec(folder / "spec-1-2-0003.fits", lines=((4300.0, 40.0),))
    if product != "setup.json":
        run_into(run, folder)
        before = {**tables_of(run), "run.json": (run / "run.json").read_bytes()}
    write_spec(folder / "spec-1-2-0004.fits", fiberid=4, lines=((4300.0, 60.0),))

    def full(descriptor: int) -> None:
        if product in os.readlink(f"/proc/self/fd/{descriptor}"):
            raise OSError(number, os.strerror(number))
        fsync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(RunError, match=f"cannot write: {os.strerror(number)}") as caught:
            run_into(run, folder)
    assert product in str(caught.value)
    if product != "setup.json":
        now = {**tables_of(run), "run.json": (run / "run.json").read_bytes()}
        assert (
            now[product if product in now else "spectra.fits"]
            == (before[product if product in now else "spectra.fits"])
        )
    assert_clean(run)
    assert run_into(run, folder).counts["scored"] == 2
    run_into(tmp_path / "clean", folder)
    assert tables_of(run) == tables_of(tmp_path / "clean")


def test_d2_an_output_that_cannot_be_a_folder_is_refused(
    tmp_path: Path, run_into: Run, write_spec: Callable[..., Path]
) -> None:
    spec = write_spec(tmp_path / "spec-1-2-3.fits")
    (tmp_path / "file").write_text("keep me")
    for output in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(RunError, match="cannot use as output folder"):
            run_into(output, spec)
    assert (tmp_path / "file").read_text() == "keep me"


def test_d2_a_file_system_without_locks_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*_: Any) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with pytest.raises(RunError, match="no locks"), locked_folder(tmp_path / "run", RUN):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_d2_a_read_only_folder_is_refused(
    tmp_path: Path, run_into: Run, write_spec: Callable[..., Path]
) -> None:
    spec = write_spec(tmp_path / "spec-1-2-3.fits")
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(RunError, match="Permission denied"):
        run_into(tmp_path / "closed" / "run", spec)
