"""A folder of loose spec files: spectra a second and memory of a whole search, by their number.

    SPECLENS_DATA=... python benchmarks/loose_files.py [--files 10000 100000] [--tables docs/tables]

Real spec files are copied, each into plates of its own, and linked until there are enough: a link
counts as a file of its own here, and what it holds again as read before. Each row is one `search`
with the default configuration in one process, tables, vetting and report included; the rate is that
of its search, by the clock. 100,000 files take 0.7 GB of temporary files, and two minutes or more.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from pathlib import Path

from scaling import peak_of
from tables import Tables, add_option
from throughput import copies_of_specs

N_COPIES = 3000
"""Many shards' worth: no header is met again soon."""

SEARCH = """
import sys
from pathlib import Path
from speclens.config import load_searches
from speclens.read import discovery
from speclens.verbs.search import SearchRequest, search

met_before = discovery._is_new
discovery._is_new = lambda path, _: met_before(path, set())
if __name__ == "__main__":
    search(SearchRequest([sys.argv[1]], Path(sys.argv[2]), load_searches(None, (), (), ())))
"""


def link(files: list[Path], folder: Path, n_files: int) -> None:
    """Link files until there are enough, those of one name in folders of their own."""
    for i in range(n_files):
        place = folder / str(i // len(files))
        place.mkdir(parents=True, exist_ok=True)
        os.link(files[i % len(files)], place / files[i % len(files)].name)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, nargs="+", default=[10_000, 100_000])
    add_option(parser)
    arguments = parser.parse_args()
    print(f"{platform.machine()}, Python {platform.python_version()}")
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "search.py").write_text(SEARCH)
        n_copies = min(N_COPIES, *arguments.files)
        copies = copies_of_specs(Path(os.environ["SPECLENS_DATA"]), folder / "copies", n_copies)
        for n_files in arguments.files:
            inputs, output = folder / f"in{n_files}", folder / f"run{n_files}"
            link(copies, inputs, n_files)
            command = [sys.executable, str(folder / "search.py"), str(inputs), str(output)]
            peak, cpu = peak_of(command)
            record = json.loads((output / "run.json").read_text())
            rate, seconds = record["spectra_per_second"], sum(record["seconds"].values())
            rows.append([f"{n_files:,}", f"{rate:,.0f}", f"{seconds:.0f}", f"{cpu:.0f}"])
            rows[-1].append(f"{peak:,.0f}")
    titles = ["files", "searched a second", "whole run, s", "its CPU, s", "peak memory, MB"]
    Tables(arguments.tables).show("loose_files", titles, rows)


if __name__ == "__main__":
    main()
