"""How a whole search grows: plates, processes, and local processes beside a Dask cluster.

    python benchmarks/scaling.py [--plates 1 10] [--workers 1 2] [--tables docs/tables]

Each row is one `search` of full-size mock plates for Lyman alpha behind galaxies, in processes of
its own: tables, vetting and report included. One galaxy in a thousand has a line, as in DR12.
Memory is the largest sum over all processes, the scheduler among them, where shared pages count
once; CPU is theirs together, which a busy machine changes least. Modules are compiled before, as
after an installation. The floor reads the same pixels and runs the network on as many spectra, and
does nothing else, in as many processes that know nothing of each other: more than they gain by a
second core no search can. The second table compares: speed by two workers, time of Dask, and the
power of the number of plates by which time grows. `--plates 1 10 100` takes 11 GB of temporary
files.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from threadpoolctl import threadpool_limits

from speclens.config import Config, load_config
from speclens.read.discovery import find_survey_files
from speclens.read.sdss.plate import open_plate
from speclens.read.shards import Shard, make_shards
from speclens.run.job import single_threaded
from speclens.run.store import ShardStore
from speclens.sample.selection import refusals
from speclens.search.engine import open_engine
from speclens.search.network import model_of
from speclens.search.scan import Scanner, ScanSettings
from speclens.simulate.mock_survey import make_survey
from tables import Tables, add_option

SECONDS_BETWEEN_SAMPLES = 0.2
SHARE = 1 / 30
"""Of the lines and artefacts of a usual mock survey."""

SEARCH = """
import sys
from contextlib import ExitStack
from pathlib import Path
from speclens.config import load_config
from speclens.run.memory import keep_freed_memory
from speclens.run.workers import working_at
from speclens.verbs.search import SearchRequest, search

if __name__ == "__main__":
    output, where, n_workers, *inputs = sys.argv[1:]
    keep_freed_memory()  # as the command does
    with ExitStack() as stack:
        if where == "Dask":
            from distributed import LocalCluster
            from speclens.run.cluster import connected
            cluster = stack.enter_context(LocalCluster(
                n_workers=int(n_workers), threads_per_worker=1, dashboard_address="127.0.0.1:0"))
            place = stack.enter_context(connected(cluster.scheduler_address))
            stack.enter_context(working_at(place))
            # Also one worker of a cluster is another process.
            n_workers = max(2, int(n_workers))
        search(SearchRequest(inputs, Path(output), load_config(), n_workers=int(n_workers)))
"""


def peak_of(command: list[str], bytecode: Path | None = None) -> tuple[float, float]:
    """Run a command; return peak memory, MB, and CPU seconds of all processes.

    Compiled modules are kept in `bytecode`, where that is given.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = dict(os.environ)
    if bytecode is not None:
        environment["PYTHONPYCACHEPREFIX"] = str(bytecode)
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    peak = 0
    while process.poll() is None:
        peak = max(peak, sum(resident(process.pid)))
        time.sleep(SECONDS_BETWEEN_SAMPLES)
    if process.returncode:
        said = process.stderr.read() if process.stderr else ""
        raise SystemExit(f"{' '.join(command)}: exit code {process.returncode}\n{said}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return peak / 2**20, sum(after[:2]) - sum(before[:2])


def resident(pid: int) -> Iterator[int]:
    """Bytes in memory of a process and of all that it started, its share of what they share."""
    try:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.Error:
        return
    for process in family:
        try:
            memory = process.memory_full_info()
            yield getattr(memory, "pss", memory.rss)
        except psutil.Error:
            # It ended meanwhile.
            continue


def like_dr12(size: list[str]) -> Config:
    """Return a mock survey with as few lines as a real one."""
    usual = load_config().survey
    names = [name for name in type(usual).model_fields if name.endswith("_fraction")]
    few = [
        f"survey.{name}={getattr(usual, name) * SHARE}"
        for name in names
        if name not in ("sky_fraction", "star_fraction", "quasar_fraction")
    ]
    return load_config(None, [*size, *few])


def floor_of(shards: list[Shard], n_processes: int) -> tuple[float, float]:
    """Let processes that know nothing of each other read pixels and run the network.

    Returns spectra a second of all together, and CPU seconds of one a spectrum.
    """
    context = multiprocessing.get_context("spawn")
    start, told = context.Barrier(n_processes), context.SimpleQueue()
    processes = [
        context.Process(target=time_floor, args=(shards, start, told)) for _ in range(n_processes)
    ]
    with single_threaded():
        for process in processes:
            process.start()
    found = [told.get() for _ in processes]
    for process in processes:
        process.join()
    n_spectra, cpu, wall = zip(*found, strict=True)
    return sum(n_spectra) / max(wall), sum(cpu) / sum(n_spectra)


def time_floor(shards: list[Shard], start: Any, told: Any) -> None:
    """Tell spectra, CPU seconds and seconds of all shards but the first, which warms up."""
    settings = ScanSettings(load_config(), ShardStore(Path(os.devnull), ""))
    with threadpool_limits(1):
        floor = Floor(settings)
        read_and_score(floor, shards[0])
        start.wait()
        began = time.process_time(), time.perf_counter()
        n_spectra = sum(read_and_score(floor, shard) for shard in shards)
        told.put((n_spectra, time.process_time() - began[0], time.perf_counter() - began[1]))


class Floor:
    """What the floor works with."""

    def __init__(self, settings: ScanSettings) -> None:
        self.scanner = Scanner(settings)
        model = model_of(settings.config)
        assert model is not None  # noqa: S101 - the default search has one
        self.engine = open_engine(model)
        self.shape = (len(model.inputs), model.grid.n_pixels)


def read_and_score(floor: Floor, shard: Shard) -> int:
    """Read what a search reads of a plate, and score as many spectra."""
    settings = floor.scanner.settings
    with open_plate(shard.files[0], settings.grid) as plate:
        rows = np.flatnonzero(refusals(plate.targets, settings.config.selection) == "")
        plate.spectra(rows)
        floor.engine(np.zeros((len(rows), *floor.shape), np.float32))
        return len(plate.targets)


def searched(
    folder: Path, shards: Sequence[Shard], where: str, n_workers: int
) -> tuple[float, float, dict[str, float]]:
    """Search plates; return peak memory, MB, CPU seconds, and seconds by stage."""
    plates = [file for shard in shards for file in shard.files]
    output = folder / f"{where}-{len(shards)}-{n_workers}"
    command = [sys.executable, str(folder / "search.py"), str(output), where, str(n_workers)]
    peak, cpu = peak_of([*command, *plates], folder / "bytecode")
    return peak, cpu, json.loads((output / "run.json").read_text())["seconds"]


def compared(seconds: dict[tuple[int, int, str], float], floors: list[float]) -> list[list[str]]:
    """Compare whole searches, seconds by plates, workers and place: rows of the second table."""
    plates = sorted({key[0] for key in seconds})
    workers = sorted({key[1] for key in seconds})
    rows = []
    for place, n_plates in enumerate(plates):
        one, all_of_them = seconds[n_plates, workers[0], "local"], workers[-1]
        gain = one / seconds[n_plates, all_of_them, "local"]
        dask = [seconds[n_plates, n, "Dask"] / seconds[n_plates, n, "local"] for n in workers]
        row = [f"{n_plates}", f"{gain:.2f}", f"{floors[-1] / floors[0]:.2f}"]
        row += [f"{ratio:.2f}" for ratio in dask]
        if place:
            before = plates[place - 1]
            growth = one / seconds[before, workers[0], "local"]
            row.append(f"{math.log(growth) / math.log(n_plates / before):.2f}")
        rows.append([*row, *[""] * (3 + len(workers) + 1 - len(row))])
    return rows


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plates", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--fibres", type=int, default=1000, help="a plate")
    add_option(parser)
    arguments = parser.parse_args()
    tables, workers = Tables(arguments.tables), arguments.workers
    print(f"{platform.machine()}, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "search.py").write_text(SEARCH)
        size = [f"survey.n_plates={max(arguments.plates)}", f"survey.n_fibres={arguments.fibres}"]
        make_survey(folder / "survey", like_dr12(size), 1, max(workers))
        shards = make_shards(find_survey_files([str(folder / "survey")]))
        floors = [floor_of(shards, n) for n in workers]
        least = floors[0][1] * arguments.fibres
        for where in ("local", "Dask"):
            searched(folder, shards[:1], where, 1)
            shutil.rmtree(folder / f"{where}-1-1")
        rows: list[list[str]] = []
        seconds: dict[tuple[int, int, str], float] = {}
        for n_plates, n, where in product(arguments.plates, workers, ("local", "Dask")):
            peak, cpu, stages = searched(folder, shards[:n_plates], where, n)
            seconds[n_plates, n, where] = total = sum(stages.values())
            rate = n_plates * arguments.fibres / total
            rows.append([f"{n_plates}", f"{n}", where, f"{rate:,.0f}", f"{peak:,.0f}"])
            rows[-1] += [f"{cpu:.1f}", f"{cpu / least / n_plates:.1f}"]
            rows[-1] += [f"{value:.1f}" for value in stages.values()]
        for n, (rate, cpu) in zip(workers, floors, strict=True):
            spent = cpu * len(shards) * arguments.fibres
            rows.append([f"{len(shards)}", f"{n}", "floor", f"{rate:,.0f}", "", f"{spent:.1f}"])
            rows[-1] += [f"{cpu / floors[0][1]:.1f}", *[""] * len(stages)]
    titles = ["plates", "workers", "where", "spectra a second", "peak memory, MB", "CPU, s"]
    titles.append("CPU over floor")
    tables.show("scaling", [*titles, *(f"{name}, s" for name in stages)], rows)
    titles = ["plates", f"speed, {workers[-1]} workers over {workers[0]}", "the same of the floor"]
    titles += [f"time, Dask over local, {n} workers" for n in workers]
    rates = [rate for rate, _ in floors]
    tables.show("scaling_ratios", [*titles, "power of plates"], compared(seconds, rates))


if __name__ == "__main__":
    main()
