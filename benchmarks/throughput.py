"""Spectra a second and memory of the search, beside a bare read of the same pixels.

`make bench` runs it. It writes mock surveys of full-size plates (111 MB each) and of coadds of DESI
into a temporary folder, warms up, and times whole files: open, select, read, prepare, filter,
measure, store; the start of the workers and the merge of the tables, a few seconds a run, are left
out. With SPECLENS_DATA it times single spec files too, on copies of real ones. Rates are medians
over batches of files.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from speclens.config import load_config
from speclens.read.discovery import find_survey_files
from speclens.read.fits.header import CARD
from speclens.read.fits.opening import open_fits
from speclens.read.sdss.plate import open_plate
from speclens.read.shards import Shard, make_shards
from speclens.run.store import ShardStore
from speclens.run.workers import allotted_cores, map_shards
from speclens.sample.selection import refusals
from speclens.search.scan import Scanner, ScanSettings, scan_shard
from speclens.simulate.mock_survey import make_survey
from tables import Tables, add_option

COADD_SPECTRA = 500
"""Those of a petal of DESI."""
PAPER_RATE, RIVAL_RATE = 230, 35
"""Spectra a second of Li et al. 2019 and Shu et al. 2016, by their own account."""


def read_only(scanner: Scanner, shard: Shard) -> tuple[int, int]:
    """Read what a search reads of a plate, and nothing else."""
    settings = scanner.settings
    with open_plate(shard.files[0], settings.grid) as plate:
        rows = np.flatnonzero(refusals(plate.targets, settings.config.selection) == "")
        batch = plate.spectra(rows)
    return len(plate.targets), len(batch)


def search(scanner: Scanner, shard: Shard) -> tuple[int, int]:
    """Search a shard, and count: spectra read, spectra scored."""
    rows = scan_shard(scanner, shard)
    scanner.settings.store.path(shard.kind.name, shard.files).unlink()
    return len(rows.spectra), int((rows.spectra["STATUS"] == "scored").sum())


def rates(
    work: Callable[[Scanner, Shard], tuple[int, int]],
    settings: ScanSettings,
    shards: Sequence[Shard],
    n_workers: int,
    n_batches: int,
) -> tuple[float, float]:
    """Median spectra a second, read and scored, over batches of shards after one to warm up."""
    repeated = list(shards) * (n_batches + 1)
    read: list[float] = []
    scored: list[float] = []
    counts = np.zeros(2)
    began = time.perf_counter()
    for i, result in enumerate(map_shards(work, settings, repeated, n_workers, begin=Scanner), 1):
        counts += result
        if i % len(shards) == 0:
            seconds = time.perf_counter() - began
            if i > len(shards):
                read.append(counts[0] / seconds)
                scored.append(counts[1] / seconds)
            counts[:] = 0
            began = time.perf_counter()
    return statistics.median(read), statistics.median(scored)


def copies_of_specs(data: Path, folder: Path, n_files: int) -> list[Path]:
    """Copy real spec files, each time as those of another plate, until there are enough."""
    originals = sorted((data / "boss" / "galaxies").glob("spec-*.fits"))
    folder.mkdir()
    return [
        copy_of_spec(originals[i % len(originals)], folder, i // len(originals))
        for i in range(n_files)
    ]


def copy_of_spec(original: Path, folder: Path, n_plates: int) -> Path:
    """Copy a spec file as one of so many plates later: by its name, its header, its row."""
    _, plate, mjd, fibre = original.stem.split("-")
    other = int(plate) + n_plates
    content = bytearray(original.read_bytes())
    with open_fits(original) as file:
        row = file.hdus[2].offset + file.hdus[2].header.fields["PLATE"].offset
    card = content.index(b"PLATEID =")
    content[row : row + 4] = other.to_bytes(4, "big")
    content[card : card + CARD] = f"PLATEID = {other:>20}".ljust(CARD).encode()
    copy = folder / f"spec-{other}-{mjd}-{fibre}.fits"
    copy.write_bytes(content)
    return copy


def peak_megabytes(inputs: Sequence[str], folder: Path, n_workers: int) -> float:
    """Upper limit of the memory of a search: its process, and each worker at its largest."""
    code = f"""
import resource
from pathlib import Path
from speclens.config import load_config
from speclens.verbs.search import SearchRequest, search
if __name__ == "__main__":
    inputs, folder = {list(inputs)!r}, Path({str(folder)!r})
    search(SearchRequest(inputs, folder, load_config(), n_workers={n_workers}))
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    worker = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(own + {n_workers} * worker)
"""
    script = folder.with_suffix(".py")
    script.write_text(code)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    return int(done.stdout) / (2**20 if platform.system() == "Darwin" else 2**10)


def help_seconds() -> float:
    """CPU seconds of `speclens --help`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "speclens", "--help"]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plates", type=int, default=6)
    parser.add_argument("--fibres", type=int, default=1000, help="a plate")
    parser.add_argument("--specs", type=int, default=1600, help="single spec files")
    parser.add_argument("--batches", type=int, default=5)
    parser.add_argument("--workers", type=int, default=min(2, allotted_cores()))
    add_option(parser)
    arguments = parser.parse_args()
    n_workers, tables = arguments.workers, Tables(arguments.tables)
    print(f"{platform.machine()}, {n_workers} workers, Python {platform.python_version()}")
    rows: list[tuple[str, float, float]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        survey = [f"survey.n_plates={arguments.plates}", f"survey.n_fibres={arguments.fibres}"]
        make_survey(folder / "survey", load_config(None, survey), 1, n_workers)
        plates = make_shards(find_survey_files([str(folder / "survey")]))
        (folder / "store").mkdir()
        for label, settings in settings_of(folder / "store").items():
            found = rates(search, settings, plates, n_workers, arguments.batches)
            rows.append((f"spPlate to hits, {label}", *found))
        found = rates(read_only, settings, plates, n_workers, arguments.batches)
        rows.append(("bare read of the same pixels", *found))
        petals = [f"survey.n_plates={2 * n_workers}", f"survey.n_fibres={COADD_SPECTRA}"]
        make_survey(folder / "desi", load_config("desi", petals), 1, n_workers)
        coadds = make_shards(find_survey_files([str(folder / "desi")]))
        for label, settings in settings_of(folder / "store").items():
            if label in OF_COADDS:
                found = rates(search, settings, coadds, n_workers, arguments.batches)
                rows.append((f"coadd of DESI to hits, {label}", *found))
        if "SPECLENS_DATA" in os.environ:
            data = Path(os.environ["SPECLENS_DATA"])
            copies_of_specs(data, folder / "specs", arguments.specs)
            specs = make_shards(find_survey_files([str(folder / "specs")]))
            settings = ScanSettings(load_config(), ShardStore(folder / "store", ""))
            found = rates(search, settings, specs, n_workers, arguments.batches)
            rows.append(("single spec files to hits (copies of real ones)", *found))
        cells = [
            [label, *(f"{rate:,.0f}" for rate in (read, scored, scored / n_workers))]
            for label, read, scored in rows
        ]
        papers = {"Li et al. 2019, network on a laptop": PAPER_RATE,
                  "Shu et al. 2016, matched filter": RIVAL_RATE}  # fmt: skip
        cells += [[label, "", str(rate), ""] for label, rate in papers.items()]
        titles = ["", "read a second", "scored a second", "scored a second a core"]
        tables.show("throughput", titles, cells)
        cells = []
        for n_plates in sorted({1, len(plates)}):
            inputs = [path for shard in plates[:n_plates] for path in shard.files]
            megabytes = peak_megabytes(inputs, folder / f"run{n_plates}", n_workers)
            cells.append([f"{n_plates}", f"{megabytes:,.0f}"])
        tables.show("memory", ["plates", "peak memory of all processes, MB"], cells)
    print(f"\nspeclens --help: {statistics.median(help_seconds() for _ in range(5)):.2f} s of CPU")


OF_COADDS = ("network (default)", "lines (`elg`)")
"""Searches that are measured on DESI too."""


def settings_of(store: Path) -> dict[str, ScanSettings]:
    """Return the searches that are measured."""
    configurations = {
        "network (default)": None, "lines (`elg`)": "elg", "network of redshifts": "redshift",
        "`shu2016`": "shu2016",
    }  # fmt: skip
    return {
        label: ScanSettings(load_config(source), ShardStore(store, ""))
        for label, source in configurations.items()
    }


if __name__ == "__main__":
    main()
