"""How a whole search grows: plates, processes, and local processes beside a Dask cluster.

    python benchmarks/scaling.py [--plates 1 10] [--workers 1 2] [--tables docs/tables]

Each row is one `search` of full-size mock plates for Lyman alpha behind galaxies, in processes of
its own: tables, vetting and report included. One galaxy in a thousand has a line, as in DR12.
Memory is the largest sum over all processes, the scheduler among them; CPU is theirs together,
which a busy machine changes least. Modules are compiled before, as after an installation. The floor
reads the same pixels and runs the network on as many spectra, and does nothing else; it is per
core. `--plates 1 10 100` takes 11 GB of temporary files.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path

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
from speclens.run.workers import working_at
from speclens.verbs.search import SearchRequest, search

if __name__ == "__main__":
    output, where, n_workers, *inputs = sys.argv[1:]
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
    """Bytes in memory of a process and of all that it started."""
    try:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.Error:
        return
    for process in family:
        try:
            yield process.memory_info().rss
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


def floor_rate(shards: list[Shard]) -> float:
    """Spectra a second of a core that only reads pixels and runs the network."""
    settings = ScanSettings(load_config(), ShardStore(Path(os.devnull), ""))
    with single_threaded(), threadpool_limits(1):
        floor = Floor(settings)
        read_and_score(floor, shards[0])
        began = time.process_time()
        n_spectra = sum(read_and_score(floor, shard) for shard in shards)
        return n_spectra / (time.process_time() - began)


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


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plates", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--fibres", type=int, default=1000, help="a plate")
    add_option(parser)
    arguments = parser.parse_args()
    print(f"{platform.machine()}, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "search.py").write_text(SEARCH)
        size = [f"survey.n_plates={max(arguments.plates)}", f"survey.n_fibres={arguments.fibres}"]
        make_survey(folder / "survey", like_dr12(size), 1, max(arguments.workers))
        shards = make_shards(find_survey_files([str(folder / "survey")]))
        floor = floor_rate(shards)
        bytecode, script = folder / "bytecode", [sys.executable, str(folder / "search.py")]
        for where in ("local", "Dask"):
            peak_of([*script, str(folder / where), where, "1", *shards[0].files], bytecode)
        stages: dict[str, float] = {}
        rows: list[list[str]] = []
        for n_plates, n_workers, where in product(
            arguments.plates, arguments.workers, ("local", "Dask")
        ):
            plates = [file for shard in shards[:n_plates] for file in shard.files]
            output = folder / f"{where}-{n_plates}-{n_workers}"
            peak, cpu = peak_of([*script, str(output), where, str(n_workers), *plates], bytecode)
            stages = json.loads((output / "run.json").read_text())["seconds"]
            n_spectra = n_plates * arguments.fibres
            rate, least = n_spectra / sum(stages.values()), n_spectra / floor
            seconds = [f"{value:.1f}" for value in stages.values()]
            rows.append([f"{n_plates}", f"{n_workers}", where, f"{rate:,.0f}", f"{peak:,.0f}"])
            rows[-1] += [f"{cpu:.1f}", f"{cpu / least:.1f}", *seconds]
        n_spectra = len(shards) * arguments.fibres
        cells = [f"{len(shards)}", "1", "floor", f"{floor:,.0f}", "", f"{n_spectra / floor:.1f}"]
        rows.append([*cells, "1.0"] + [""] * len(stages))
    titles = ["plates", "workers", "where", "spectra a second", "peak memory, MB", "CPU, s"]
    titles.append("CPU over floor")
    Tables(arguments.tables).show("scaling", [*titles, *(f"{name}, s" for name in stages)], rows)


if __name__ == "__main__":
    main()
