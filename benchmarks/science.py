"""Noise, bias and completeness of the matched filter, on pure noise, mock and real spectra.

`make numbers` runs it. The real spectra are the galaxies in
`$SPECLENS_DATA/boss/galaxies`; without SPECLENS_DATA those rows are left out.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np

from speclens.config import load_config
from speclens.evaluate.evaluation import Evaluation, evaluate
from speclens.search.matched_filter import MatchedFilter
from speclens.simulate.mock_survey import make_survey
from speclens.spectra import LogGrid
from tables import Tables, add_option

CONFIGURATIONS = ("speclens", "shu2016")
LABELS = {"speclens": "bank of filters", "shu2016": "`shu2016`"}
TITLES = ("lines put in", "rms of residual / error", "found above ideal S/N 8", "half found at",
          "90 % found at", "flux bias at S/N 9-11", "hits without a line")  # fmt: skip
FILTER = "search.method=matched-filter"
LINES_OF_SHU = (
    "emitters.width_median=2.2",
    "emitters.width_sigma=1e-3",
    "emitters.skewness_median=1e-3",
)
"""Lines as wide as the rival's only kernel at 4350 Angstrom, and symmetric."""


def print_pure_noise(n_spectra: int, seed: int, tables: Tables) -> None:
    """Print mean and width of the signal-to-noise ratio on pure noise, by kernel."""
    rows = []
    for name in CONFIGURATIONS:
        config = load_config(name)
        grid = LogGrid.covering(*config.preparation.window)
        matched_filter = MatchedFilter(grid, config.matched_filter)
        rng = np.random.default_rng(seed)
        ivar = rng.uniform(0.5, 4, (n_spectra, grid.n_pixels)).astype(np.float32)
        noise = (rng.standard_normal(ivar.shape, np.float32) / np.sqrt(ivar)).astype(np.float32)
        snr = matched_filter.apply(noise, ivar).snr
        for kernel in range(snr.shape[1]):
            mean, width = snr[:, kernel].mean(), snr[:, kernel].std()
            rows.append([f"{LABELS[name]}, kernel {kernel + 1}", f"{mean:+.4f}", f"{width:.4f}"])
    tables.show("pure_noise", ["pure noise", "mean of S/N", "its standard deviation"], rows)


def row_of(label: str, result: Evaluation) -> list[str]:
    """Return the figures of merit of one evaluation."""
    n = result.numbers
    return [
        label,
        f"{n['residual_rms_median']:.3f}",
        f"{100 * n['completeness_bright']:.2f} %",
        f"{n['ideal_snr_at_50_percent']:.2f}",
        f"{n['ideal_snr_at_90_percent']:.2f}",
        f"{100 * n['flux_bias']:+.2f} ± {100 * n['flux_bias_error']:.2f} %",
        f"{n['hits_without_a_line']:.0f} of {n['spectra']:.0f}",
    ]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--spectra", type=int, default=2000, help="of pure noise")
    parser.add_argument("--fibres", type=int, default=1000, help="of the mock plate")
    parser.add_argument("--repeats", type=int, default=200, help="lines in each real spectrum")
    add_option(parser)
    arguments = parser.parse_args()
    tables = Tables(arguments.tables)
    rows: list[list[str]] = []
    print_pure_noise(arguments.spectra, arguments.seed, tables)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        inputs = {"mock": folder / "survey"}
        empty = [f"survey.n_fibres={arguments.fibres}"]
        empty += [
            f"survey.{k}_fraction=0" for k in ("lya", "oii", "line", "spike", "sky_line", "elg")
        ]
        make_survey(
            inputs["mock"], load_config(None, ["survey.n_plates=1", *empty]), arguments.seed, 1
        )
        if "SPECLENS_DATA" in os.environ:
            inputs["real"] = Path(os.environ["SPECLENS_DATA"]) / "boss" / "galaxies"
        for kind, path in inputs.items():
            repeats = arguments.repeats if kind == "real" else max(1, arguments.repeats // 20)
            for label, source, overrides in (
                ("bank", "speclens", ()),
                ("`shu2016`", "shu2016", ()),
                ("`shu2016`, lines of its own width", "shu2016", LINES_OF_SHU),
            ):
                config = load_config(source, (FILTER, *overrides))
                output = folder / f"evaluation-{len(rows)}"
                result = evaluate([str(path)], output, config, repeats, arguments.seed)
                rows.append(row_of(f"{kind}, {label}", result))
        tables.show("filter", TITLES, rows)


if __name__ == "__main__":
    main()
