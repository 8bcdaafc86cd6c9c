"""Memory of what follows the search, with as many rows as a large survey has.

    python benchmarks/many_rows.py [--spectra 100000 1000000] [--hits 1000] [--tables docs/tables]

One mock plate is searched. What was stored of it stands for many plates: each has the same spectra
under names of its own, and a few have a hit. Then the run is joined, vetted and reported, vetted
again, and reported again, each in a process of its own with those that it starts. Memory is the
largest sum over all of them. A million spectra take 1 GB of temporary files.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling import peak_of
from speclens.config import load_config, load_searches
from speclens.evidence.nearby import companions_of
from speclens.evidence.store import evidence_paths, write_manifest
from speclens.run.folder import existing_folder, locked_folder
from speclens.run.kinds import RUN
from speclens.run.record import read_record
from speclens.run.store import AS_IT_IS, load_arrays, save_arrays
from speclens.run.workers import sharing_processes
from speclens.schema import HITS
from speclens.search.merge import merge
from speclens.search.shard_rows import ShardRows
from speclens.simulate.mock_survey import make_survey
from speclens.stored_tables import iterate_rows, read_rows
from speclens.verbs.finish import finish, report_again, vet_again
from speclens.verbs.search import SearchRequest, search
from tables import Tables, add_option

STEPS = {"join": "join, vet, report", "vet": "vet again", "report": "report again"}
N_WORKERS = 2


@dataclass(frozen=True)
class Seed:
    """What is stored of one plate: rows of the spectra by search, and what vetting needs."""

    lya: ShardRows
    qso: ShardRows
    gathered: dict[str, NDArray[Any]]

    @classmethod
    def of(cls, run: Path) -> Seed:
        """Read it."""
        hits = read_rows(run / "hits.fits", HITS)
        stored = [ShardRows.load(path) for path in (run / "work").glob("*.shard")]
        rows = {(own.hits["SEARCH"] == "lya").any(): own for own in stored if own is not None}
        parts = filter(None, map(load_arrays, evidence_paths(run / "work", hits)))
        return cls(
            rows[True],
            rows[False],
            next(part for part in parts if (hits["SEARCH"][part["hit"]] == "lya").all()),
        )

    def of_plate(self, rows: ShardRows, plate: int, hits: slice) -> ShardRows:
        """Return rows as those of another plate, with some of the hits."""
        kept = np.zeros(len(rows.hits), bool)
        kept[hits] = True
        few = ShardRows(rows.spectra.copy(), rows.hits[kept], rows.hit_rows[kept], [])
        few.readings = rows.readings.of(kept)
        for own in (few.spectra, few.hits):
            own["PLATE"] = plate
            own["SPECTRUM"] = [f"{plate:06d}{name[4:]}" for name in own["SPECTRUM"].tolist()]
            own["FILE"] = [f"/{plate:06d}{file[-30:]}" for file in own["FILE"].tolist()]
            own["RA"] = (own["RA"] + 0.037 * plate) % 360
        return few

    def gathered_of(self, hit: int, number: int) -> dict[str, NDArray[Any]]:
        """Return what was gathered of one hit, as that of a hit of another number."""
        kept = {
            name: values[[hit]] if len(values.shape) == 2 else values
            for name, values in self.gathered.items()
        }
        own = self.gathered["companions"]
        companions = own[own["HIT"] == self.gathered["hit"][hit]]
        companions["HIT"] = number
        return kept | {"hit": np.array([number]), "companions": companions}


def write_results(folder: Path, seed: Seed, n_plates: int, n_hits: int) -> None:
    """Store the results of many plates, as a search would have."""
    number, n_of_seed = 0, len(seed.lya.hits)
    with locked_folder(folder, RUN) as run:
        for plate in range(n_plates):
            until = (plate + 1) * n_hits // n_plates
            first = number % n_of_seed
            hits = slice(first, first + until - number)
            seed.of_plate(seed.lya, plate, hits).save(run.work / f"{plate:06d}-1.shard")
            seed.of_plate(seed.qso, plate, slice(0)).save(run.work / f"{plate:06d}-2.shard")
            for hit in range(first, min(first + until - number, n_of_seed)):
                save_arrays(
                    run.work / f"{number:032x}.hits", AS_IT_IS, **seed.gathered_of(hit, number)
                )
                number += 1


@sharing_processes()
def join(run: Path, seed: Path) -> None:
    """Do what a search does when its shards are done."""
    with existing_folder(seed, RUN) as folder:
        record = read_record(folder)
    config = load_config(None, (), record.configuration)
    with existing_folder(run, RUN) as folder:
        paths = sorted(folder.work.glob("*.shard"))
        stored = list(zip(paths[::2], paths[1::2], strict=True))
        merged = merge(folder.path, stored, record.cards, N_WORKERS)
        companions_of(merged.hits, iterate_rows(run / "spectra.fits"), config.vet)
        names = sorted(path.name for path in folder.work.glob("*.hits"))
        write_manifest(folder.work, merged.hits, names)
        record.counts, record.reasons, record.seconds = merged.counts, merged.reasons, {}
        finish(folder, merged.hits, record, config, None, N_WORKERS, readings=merged.readings)


def step(name: str, run: Path, seed: Path) -> None:
    """Do one step, in this process."""
    if name == "join":
        join(run, seed)
    elif name == "vet":
        vet_again(run, None, ["vet.snr_min=6.5"], None, N_WORKERS)
    else:
        report_again(run, None, (), N_WORKERS)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spectra", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--hits", type=int, default=1000, help="in a million spectra")
    parser.add_argument("--fibres", type=int, default=1000, help="a plate")
    parser.add_argument("--step", nargs=3, help=argparse.SUPPRESS)
    add_option(parser)
    arguments = parser.parse_args()
    if arguments.step:
        name, *folders = arguments.step
        step(name, *map(Path, folders))
        return
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = ["survey.n_plates=1", f"survey.n_fibres={arguments.fibres}"]
        config = load_searches(None, size, (), ())
        make_survey(folder / "survey", config, 1, 1)
        search(SearchRequest([str(folder / "survey")], folder / "seed", config))
        seed = Seed.of(folder / "seed")
        for n_spectra in arguments.spectra:
            run = folder / f"run{n_spectra}"
            n_hits = max(1, arguments.hits * n_spectra // 1_000_000)
            write_results(run, seed, max(1, n_spectra // arguments.fibres), n_hits)
            for own, title in STEPS.items():
                command = [sys.executable, __file__, "--step", own, str(run), str(folder / "seed")]
                peak, _ = peak_of(command)
                rows.append([f"{n_spectra:,}", f"{n_hits:,}", title, f"{peak:,.0f}"])
    titles = ["spectra", "hits", "step", "peak memory of all processes, MB"]
    Tables(arguments.tables).show("many_rows", titles, rows)


if __name__ == "__main__":
    main()
