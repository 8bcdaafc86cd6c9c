"""How long vetting and report of a thousand hits take, every one with its page and its figure.

A mock survey with many lines is simulated and searched once and kept; then both stages are timed as
`speclens vet` and `speclens report` run them, with the processes that they start.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from speclens.config import load_config
from speclens.run.workers import allotted_cores
from speclens.simulate.mock_survey import make_survey
from speclens.verbs.finish import report_again, vet_again
from speclens.verbs.search import SearchRequest, search

SURVEY = (
    "survey.lya_fraction=0.25", "survey.oii_fraction=0.12", "survey.line_fraction=0.06",
    "survey.spike_fraction=0.05", "survey.sky_line_fraction=0.05",
)  # fmt: skip
"""Four plates give some thousand hits, three in ten of them rejected."""


def main() -> None:
    """Make a run, time its vetting and its report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plates", type=int, default=4)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--workers", type=int, default=allotted_cores())
    parser.add_argument("--folder", type=Path, help="keep the survey and its run here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        run = searched(folder, arguments.plates, arguments.seed, arguments.workers)
        seconds = {
            "vetting and report": timed(lambda: vet_again(run, None, [], None, arguments.workers)),
            "report": timed(lambda: report_again(run, None, [], arguments.workers)),
        }
        record = json.loads((run / "run.json").read_text())
        counts, report = record["counts"], run / "report"
        size = sum(path.stat().st_size for path in report.rglob("*") if path.is_file())
        n_pages, n_figures = (len(list((report / "hits").glob(f"*.{s}"))) for s in ("html", "svg"))
        print(f"{counts['hits']} hits, {counts['candidates']} candidates, {n_pages} pages, "
              f"{n_figures} figures, {size / 1e6:.0f} MB")  # fmt: skip
        seconds["vetting"] = record["seconds"]["vet"]
        print("\n| stage | seconds | of 1,000 hits |\n|---|---|---|")
        for name, value in seconds.items():
            print(f"| {name} | {value:.1f} | {1000 * value / max(counts['hits'], 1):.1f} |")


def searched(folder: Path, n_plates: int, seed: int, n_workers: int) -> Path:
    """Make a survey and search it, or find the run done."""
    config = load_config(None, (f"survey.n_plates={n_plates}", *SURVEY))
    if not (folder / "survey" / "truth.fits").exists():
        make_survey(folder / "survey", config, seed, n_workers)
    run = folder / "run"
    search(SearchRequest([str(folder / "survey")], run, config, n_workers=n_workers))
    return run


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
