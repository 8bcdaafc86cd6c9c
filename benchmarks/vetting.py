"""What vetting keeps and removes, on the hits of a mock survey, beside the cuts of the papers.

Simulates a survey of many plates in a temporary folder (110 MB a plate), searches it with the
network and with the matched filter, vets the hits with the package's limits and with the cuts of
Li et al. 2019 and of Shu et al. 2016, and counts. Prints tables in Markdown.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speclens.candidates.ranking import candidates_of
from speclens.config import Config, load_config
from speclens.evaluate.prevalence import natural_weights
from speclens.evaluate.recovery import put_in
from speclens.evaluate.reliability import calibration_error, diagram
from speclens.report.funnel import LI_2019
from speclens.report.run_report import make_report
from speclens.run.record import RunRecord
from speclens.run.workers import allotted_cores
from speclens.schema import HITS, VET_FLAGS, VET_TESTS, vet_bits
from speclens.simulate.mock_survey import make_survey
from speclens.stored_tables import read_rows
from speclens.verbs.search import SearchRequest, search
from speclens.vet.vetting import Vetted, vet_hits
from tables import Tables, add_option

METHODS = ("resnet", "matched-filter")
CUTS = {"speclens": None, "Li et al. 2019": "li2019", "Shu et al. 2016": "shu2016"}
KINDS = {"oii": "[O II]", "line": "lone line", "spike": "spike", "sky_line": "sky line",
         "other": "no line"}  # fmt: skip
BRIGHT_OII = 8.0
OF_THE_PAPER = {
    "hits": "hits", "quality": "after the eye", "overdensity": "after over-densities",
    "skewness": "after skewness", "interlopers": "candidates", "candidates": "candidates",
}  # fmt: skip
"""What the paper calls what is left after each step."""


@dataclass(frozen=True)
class Sample:
    """Hits of one search, and what each is."""

    run: Path
    config: Config
    hits: NDArray[np.void]
    kind: NDArray[np.str_]
    n_scored: int

    @property
    def weight(self) -> NDArray[np.float64]:
        """Hits of the paper's survey that each hit stands for."""
        per_lens = natural_weights(self.kind, self.n_scored, self.config.evaluation)
        return per_lens * self.config.evaluation.lens_hits[0]


def main() -> None:
    """Simulate, search, vet, count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plates", type=int, default=110)
    parser.add_argument("--fibres", type=int, default=1000, help="on each plate")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="keep the survey and its runs here")
    add_option(parser)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        survey = (f"survey.n_plates={arguments.plates}", f"survey.n_fibres={arguments.fibres}",
                  "survey.elg_fraction=0")  # fmt: skip
        config, tables = load_config(None, survey), Tables(arguments.tables)
        if not (folder / "survey" / "truth.fits").exists():
            make_survey(folder / "survey", config, arguments.seed, allotted_cores())
        samples = {method: searched(folder, method, config) for method in METHODS}
        for method, sample in samples.items():
            print_cuts(method, sample, tables)
        print_probabilities(samples["resnet"], tables)
        print_funnel(samples["resnet"], tables)
        print_speed(samples["resnet"])


def searched(folder: Path, method: str, config: Config) -> Sample:
    """Search the survey; the report is left for later."""
    section = config.search.model_copy(update={"method": method})
    asked = config.model_copy(update={"search": section})
    nothing = asked.vet.model_copy(update={"vetoes": ("FAINT",), "snr_min": 1e9})
    without = asked.model_copy(update={"vet": nothing})
    run = folder / method
    request = SearchRequest([str(folder / "survey")], run, without, n_workers=allotted_cores())
    counts = search(request).counts
    hits = vet_hits(run, read_rows(run / "hits.fits", HITS), asked, None, allotted_cores()).hits
    kind = put_in([folder / "survey"], hits, asked)["KIND"]
    return Sample(run, asked, hits, kind, counts["scored"])


def vetted_by(sample: Sample, cuts: str | None) -> Vetted:
    """Vet the hits of a search with the limits of a bundled configuration."""
    chosen = load_config(cuts).vet if cuts else sample.config.vet
    config = sample.config.model_copy(update={"vet": chosen})
    return vet_hits(sample.run, sample.hits, config, None, allotted_cores())


def print_cuts(method: str, sample: Sample, tables: Tables) -> None:
    """Print what each set of cuts keeps and removes."""
    counted = ", ".join(f"{(sample.kind == k).sum()} {n}" for k, n in KINDS.items())
    print(f"\n{method}: {sample.n_scored} spectra, {len(sample.hits)} hits; "
          f"{(sample.kind == 'lya').sum()} Lyman alpha, {counted}")  # fmt: skip
    titles = ["cuts", "Lyman alpha kept", *(f"{name} removed" for name in KINDS.values()),
              f"[O II] of S/N > {BRIGHT_OII:.0f} removed", "candidates", "true"]  # fmt: skip
    rows = []
    for name, cuts in CUTS.items():
        kept = vetted_by(sample, cuts).hits["CANDIDATE"]
        cells = [_percent(kept[sample.kind == "lya"])]
        cells += [_percent(~kept[sample.kind == kind]) for kind in KINDS]
        bright = (sample.kind == "oii") & (sample.hits["SNR"] > BRIGHT_OII)
        cells.append(_percent(~kept[bright]))
        weight = sample.weight
        true = weight[kept & (sample.kind == "lya")].sum() / max(weight[kept].sum(), 1e-30)
        cells += [f"{weight[kept].sum():.0f}", f"{100 * true:.0f} %"]
        rows.append([name, *cells])
    tables.show(f"vetting_{method.replace('-', '_')}", titles, rows)


def _percent(chosen: NDArray[np.bool_]) -> str:
    return f"{100 * chosen.mean():.1f} %" if len(chosen) else "none"


def print_probabilities(sample: Sample, tables: Tables) -> None:
    """Print how often P_LYA comes true, at the paper's prevalence."""
    probability, weight = sample.hits["P_LYA"], sample.weight
    lya = sample.kind == "lya"
    cells = []
    edges = np.array([0, 0.02, 0.08, 0.2, 0.5, 0.8, 0.95, 1.0])
    for low, high in pairwise(edges):
        rows = (probability >= low) & (probability <= high if high == 1 else probability < high)
        total = weight[rows].sum()
        share = f"{100 * weight[rows & lya].sum() / total:.0f} %" if total else "-"
        cells.append([f"{low:.2f}-{high:.2f}", f"{rows.sum()}", f"{total:.1f}", share])
    tables.show("vetting_probability", ["P_LYA", "hits", "stands for", "Lyman alpha"], cells)
    kept = sample.hits["VET_FLAGS"] & vet_bits(["UNLIKELY"]) == 0
    errors = {
        name: calibration_error(diagram(probability[own], lya[own], weight[own]))
        for name, own in (("all hits", probability >= 0), ("hits that are not UNLIKELY", kept))
    }
    tables.show(
        "vetting_calibration",
        ["of P_LYA", "expected calibration error"],
        [[name, f"{error:.3f}"] for name, error in errors.items()],
    )


def print_funnel(sample: Sample, tables: Tables) -> None:
    """Print the funnel at the paper's prevalence beside the paper's."""
    left = {name: expected_funnel(sample, cuts) for name, cuts in CUTS.items()}
    counts = {step.label: str(step.n) for step in LI_2019}
    paper = {step: counts[label] for step, label in OF_THE_PAPER.items()}
    paper["hits"] += f" ({counts['new hits']} new)"
    rows = [
        [step, *(f"{left[name][step]:.0f}" for name in left), paper.get(step, "")]
        for step in ("hits", *VET_TESTS, "candidates", "of them Lyman alpha")
    ]
    n_spectra = sample.config.evaluation.lens_hits[1]
    titles = [f"step, of {n_spectra:,} spectra", *left, "the paper itself"]
    tables.show("vetting_funnel", titles, rows)


def expected_funnel(sample: Sample, cuts: str | None) -> Mapping[str, float]:
    """Count what is left after each test, every hit with its weight."""
    vetted = vetted_by(sample, cuts)
    vetoes = (load_config(cuts).vet if cuts else sample.config.vet).vetoes
    weight = sample.weight
    numbers: dict[str, float] = {"hits": weight.sum()}
    left = np.ones(len(weight), bool)
    for test in VET_TESTS:
        names = [f.name for f in VET_FLAGS if f.test == test and f.name in vetoes]
        left &= vetted.hits["VET_FLAGS"] & vet_bits(names) == 0
        numbers[test] = weight[left].sum()
    kept = vetted.hits["CANDIDATE"]
    numbers["candidates"] = weight[kept].sum()
    numbers["of them Lyman alpha"] = weight[kept & (sample.kind == "lya")].sum()
    return numbers


def print_speed(sample: Sample) -> None:
    """Print the time that vetting and report take."""
    start = time.perf_counter()
    vetted = vetted_by(sample, None)
    vetting = time.perf_counter() - start
    record = RunRecord.of(json.loads((sample.run / "run.json").read_text()))
    start = time.perf_counter()
    candidates = candidates_of(vetted.hits, sample.config.candidates)
    make_report(sample.run, record, vetted, candidates, sample.config, allotted_cores())
    reporting = time.perf_counter() - start
    n_hits, n_candidates = len(vetted.hits), len(candidates)
    print(f"\non {allotted_cores()} cores: vetting {1000 * vetting / n_hits:.1f} s, report "
          f"{1000 * reporting / n_hits:.1f} s for 1,000 hits ({n_hits} hits, {n_candidates} "
          "candidates)")  # fmt: skip


if __name__ == "__main__":
    main()
