"""Whether a search that is killed again and again ends with the bytes of one that is not.

    python benchmarks/kills.py [--local 50] [--dask 20]

`speclens search` is started on two workers, and at a random moment of its duration the main process
or one of the workers gets SIGKILL. Where the main process is gone the same command is given again;
after some kills it is left alone, and all of its files but run.json are compared with those of an
undisturbed search. Run by hand; it says what differed, and ends with exit code 1.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
import psutil

from speclens.config import load_config
from speclens.simulate.mock_survey import make_survey

KILLS_A_RUN = 5
CHANGING = re.compile(rb"<tr><th>(seconds|spectra a second)</th>.*\n")
"""What the page of a run says of its own time; a run that found all shards done has no speed."""

Processes = Callable[[int], Sequence[psutil.Process]]


def products_of(run: Path) -> dict[str, bytes]:
    """Return the content of each file, but for what says how long it took."""
    return {
        path.relative_to(run).as_posix(): CHANGING.sub(b"", path.read_bytes())
        for path in sorted(run.rglob("*"))
        if path.is_file() and path.name != "run.json" and "work" not in path.parts
    }


def killed(command: list[str], seconds: float, workers: Processes, rng: np.random.Generator) -> str:
    """Search, and kill a process at a random moment; return which, or that the search had ended."""
    search = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    with suppress(subprocess.TimeoutExpired):
        search.wait(rng.uniform(0, seconds))
        return "too late"
    found = workers(search.pid)
    if found and rng.random() < 0.5:
        with suppress(psutil.NoSuchProcess):
            found[int(rng.integers(len(found)))].kill()
        search.wait()
        return "worker"
    os.kill(search.pid, signal.SIGKILL)
    search.wait()
    return "main process"


def of_this_machine(main: int) -> Sequence[psutil.Process]:
    """Return the workers that a search has started."""
    with suppress(psutil.Error):
        started = psutil.Process(main).children()
        return [child for child in started if "spawn_main" in " ".join(child.cmdline())]
    return []


def of_nannies(_: int) -> Sequence[psutil.Process]:
    """Return the workers of a Dask cluster, which nannies of this process have started."""
    nannies = psutil.Process().children()
    return [
        child
        for child in nannies
        if child.is_running() and "spawn_main" in " ".join(child.cmdline())
    ]


def trial(
    folder: Path, where: str, n_kills: int, options: list[str], workers: Processes, seed: int
) -> list[str]:
    """Kill searches until there were enough kills; return what differed."""
    rng = np.random.default_rng(seed)
    command = [sys.executable, "-m", "speclens", "search", str(folder / "survey"), *options]
    began = time.perf_counter()
    subprocess.run([*command, "-o", str(folder / where)], check=True, capture_output=True)
    seconds, expected = time.perf_counter() - began, products_of(folder / where)
    wrong: list[str] = []
    victims: Counter[str] = Counter()
    n_runs = 0
    while victims.total() - victims["too late"] < n_kills:
        run = folder / f"{where}{n_runs}"
        n_runs += 1
        for _ in range(KILLS_A_RUN):
            victims[killed([*command, "-o", str(run)], seconds, workers, rng)] += 1
        done = subprocess.run([*command, "-o", str(run)], check=False, capture_output=True)
        found = products_of(run)
        differing = sorted(n for n in {*found, *expected} if found.get(n) != expected.get(n))
        if done.returncode or differing:
            wrong.append(f"{run.name}: exit code {done.returncode}, differing: {differing[:5]}")
            print(wrong[-1], done.stderr.decode()[-500:], sep="\n", flush=True)
    told = ", ".join(f"{number} {victim}" for victim, number in sorted(victims.items()))
    print(f"{where}: {n_runs} runs; killed: {told}; differing: {len(wrong)}", flush=True)
    return wrong


def main() -> None:
    """Kill, and say what differed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--local", type=int, default=50, help="kills")
    parser.add_argument("--dask", type=int, default=20, help="kills")
    parser.add_argument("--plates", type=int, default=4)
    parser.add_argument("--fibres", type=int, default=200, help="a plate")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        size = [f"survey.n_plates={arguments.plates}", f"survey.n_fibres={arguments.fibres}"]
        make_survey(folder / "survey", load_config(None, size), arguments.seed, 1)
        if arguments.local:
            workers = ["--workers", "2"]
            wrong += trial(
                folder, "local", arguments.local, workers, of_this_machine, arguments.seed
            )
        if arguments.dask:
            from distributed import LocalCluster

            cluster = stack.enter_context(
                LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0")
            )
            at = ["--cluster", cluster.scheduler_address]
            wrong += trial(folder, "dask", arguments.dask, at, of_nannies, arguments.seed)
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
