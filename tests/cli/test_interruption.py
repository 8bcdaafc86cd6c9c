"""Signals: one line, the code of the signal, no process left, a run that can go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
SLEEPS = """
import time
from speclens.search import scanned

def sleeps(*_):
    print("searching", flush=True)
    time.sleep(60)

scanned.scan_shard = sleeps
"""
SLOW_IMPORT = """
import sys, time

class Slow:
    def find_spec(self, name, *_):
        if name == "astropy":
            print("importing", flush=True)
            try:
                time.sleep(60)
            except BaseException:  # as some packages do
                pass

sys.meta_path.insert(0, Slow())
"""


@pytest.fixture
def start(
    tmp_path: Path, write_spec: Callable[..., Path]
) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """`start(code) -> process`: a search, `code` having been run first."""
    write_spec(tmp_path / "spec-3655-55240-0001.fits", lines=((4300.0, 40.0),))
    processes: list[subprocess.Popen[str]] = []

    def run(code: str, sigint: Any = signal.SIG_DFL) -> subprocess.Popen[str]:
        text = f"{code}\nfrom speclens.__main__ import main; main()"
        options = ["search", str(tmp_path), "-o", str(tmp_path / "run")]
        processes.append(
            subprocess.Popen(
                [sys.executable, "-c", text, *options, "--method", "matched-filter"],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                # What runs the tests in the background may have them ignore SIGINT.
                preexec_fn=lambda: signal.signal(signal.SIGINT, sigint),
            )
        )
        return processes[-1]

    yield run
    for process in processes:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str], number: int) -> tuple[int, list[str], float]:
    """Exit code, lines on stderr, seconds."""
    assert process.stdout is not None
    process.stdout.readline()
    began = time.monotonic()
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    return process.returncode, err.splitlines(), time.monotonic() - began


@pytest.mark.parametrize(("number", "expected"), SIGNALS)
@pytest.mark.parametrize("code", [SLOW_IMPORT, SLEEPS])
def test_d6_a_signal_is_one_line_and_its_code(
    start: Callable[..., subprocess.Popen[str]],
    tmp_path: Path,
    code: str,
    number: int,
    expected: int,
) -> None:
    found, lines, seconds = ended(start(code), number)
    assert (found, len(lines)) == (expected, 1)
    assert "same command again" in lines[0]
    assert seconds < 10
    assert not (tmp_path / "run" / "run.json").exists()
    if (code, number) == (SLEEPS, signal.SIGTERM):
        process = start("")
        process.communicate(timeout=60)
        assert process.returncode == 0


def test_a_signal_that_is_ignored_stays_so(start: Callable[..., subprocess.Popen[str]]) -> None:
    code = SLEEPS.replace("60", "1")
    process = start(code, signal.SIG_IGN)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert "interrupted" not in err


def test_d6_the_workers_end_with_the_run(tmp_path: Path) -> None:
    code = (
        "import time; from speclens.cli.interruption import end_at_signals; end_at_signals()\n"
        "from speclens.run.workers import map_shards\n"
        'text = \'(__import__("time").sleep(wait), __import__("os").getpid())[1]\'\n'
        "items = [{'wait': 0}, {'wait': 600}, {'wait': 600}]\n"
        "for pid in map_shards(eval, text, items, 2): print(pid, flush=True)\n"
    )
    script = tmp_path / "script.py"
    script.write_text(f"if __name__ == '__main__':\n    {'    '.join(code.splitlines(True))}")
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        os.kill(pid, 0)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    with pytest.raises(ProcessLookupError):
        _wait_for_end(pid)


def _wait_for_end(pid: int) -> None:
    """Wait until a process is no more, or only an entry that nobody collects here."""
    for _ in range(100):
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat")
        if state.exists() and state.read_text().split(") ")[1].startswith("Z"):
            raise ProcessLookupError
        time.sleep(0.1)
