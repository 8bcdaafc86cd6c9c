"""A folder of loose spec files: spectra a second and memory of a whole search, by their number.

    SPECLENS_DATA=... python benchmarks/loose_files.py [--files 10000 100000] [--tables docs/tables]

Real spec files are copied, each into plates of its own, and linked until there are enough: a link
counts as a file of its own here, and what it holds again as read before. Each row is one `search`
with the default configuration in one process, tables, vetting and report included. The rate is that
of its search, in seconds of CPU, which a busy machine changes least. 100,000 files take 0.7 GB of
temporary files, and two minutes or more.
"""

from __future__ import annotations

import argparse
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
import time
from pathlib import Path
from speclens.config import load_searches
from speclens.read import discovery
from speclens.run.progress import Silent
from speclens.verbs.search import SearchRequest, search

met_before = discovery._is_new
discovery._is_new = lambda path, _: met_before(path, set())

class Clock(Silent):
    # CPU seconds from the beginning of the search to its last shard.


    def stage(self, name, *_):
        self.searching = name == "spectra"
        if self.searching:
            self.began = time.process_time()

    def advance(self, _):
        if self.searching:
            self.seconds = time.process_time() - self.began

if __name__ == "__main__":
    files, output = sys.argv[1:]
    clock = Clock()
    search(SearchRequest([files], Path(output), load_searches(None, (), (), ())), clock)
    Path(output + ".seconds").write_text(str(clock.seconds))
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
            seconds = float(output.with_suffix(".seconds").read_text())
            rate = n_files / seconds
            rows.append([f"{n_files:,}", f"{rate:,.0f}", f"{seconds:.1f}", f"{cpu:.1f}"])
            rows[-1].append(f"{peak:,.0f}")
    titles = ["files", "searched a second", "CPU of the search, s", "of the whole run, s"]
    titles.append("peak memory, MB")
    Tables(arguments.tables).show("loose_files", titles, rows)


if __name__ == "__main__":
    main()
