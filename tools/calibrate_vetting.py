"""Fit the weights of `speclens.vet.probability` to the hits of a mock survey.

Simulates a survey in a temporary folder (19 GB), searches it with either method, vets the hits,
and fits a logistic function of the tests' results to what each hit is. Writes
`src/speclens/data/vetting/probability.json`.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from speclens.config import Config, load_config
from speclens.evaluate.prevalence import natural_weights
from speclens.evaluate.recovery import put_in
from speclens.products import write_json
from speclens.run.workers import allotted_cores
from speclens.schema import HITS
from speclens.simulate.mock_survey import make_survey
from speclens.stored_tables import read_rows
from speclens.verbs.search import SearchRequest, search
from speclens.vet.probability import features_of
from speclens.vet.weights import AGAINST

TARGET = Path(__file__).parents[1] / "src" / "speclens" / "data" / "vetting" / "probability.json"
METHODS = ("resnet", "matched-filter")
LINES = (
    "survey.lya_fraction=0.06", "survey.oii_fraction=0.05", "survey.line_fraction=0.05",
    "survey.elg_fraction=0",
)  # fmt: skip
"""More lines than in the mock survey, to learn from; their number is weighed away."""

NO_CANDIDATES = ('vet.vetoes=["FAINT"]', "vet.snr_min=1e9")
"""Thousands of candidates' pages are not wanted here."""

PENALTY = 0.002


def main() -> None:
    """Simulate, search, fit, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plates", type=int, default=150)
    parser.add_argument("--fibres", type=int, default=1000, help="on each plate")
    parser.add_argument("--seed", type=int, default=71)
    parser.add_argument("-o", "--output", type=Path, default=TARGET)
    parser.add_argument("--folder", type=Path, help="keep the survey and its runs here")
    arguments = parser.parse_args()
    size = f"survey.n_plates={arguments.plates}", f"survey.n_fibres={arguments.fibres}"
    weights: dict[str, dict[str, float]] = {}
    numbers: dict[str, dict[str, int]] = {}
    # Weights of features that are no more would stop the searches below.
    write_json(arguments.output, {"weights": {method: {} for method in METHODS}})
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        survey = folder / "survey"
        config = load_config(None, (*LINES, *NO_CANDIDATES, *size))
        if not (survey / "truth.fits").exists():
            make_survey(survey, config, arguments.seed, allotted_cores())
        for method in METHODS:
            section = config.search.model_copy(update={"method": method})
            asked = config.model_copy(update={"search": section})
            weights[method], numbers[method] = fit(survey, folder / method, asked)
            print(method, numbers[method])
            for name, value in weights[method].items():
                print(f"  {name:<18}{value:>8.3f}")
    write_json(
        arguments.output,
        {
            "made_by": f"tools/calibrate_vetting.py --plates {arguments.plates} "
            f"--seed {arguments.seed}",
            "hits_per_lens": config.evaluation.hits_per_lens,
            "lens_hits": config.evaluation.lens_hits,
            "hits": numbers,
            "weights": weights,
        },
    )


def fit(survey: Path, run: Path, config: Config) -> tuple[dict[str, float], dict[str, int]]:
    """Search the survey, and fit weights to its hits; count the hits by kind."""
    summary = search(SearchRequest([str(survey)], run, config, n_workers=allotted_cores()))
    hits = read_rows(run / "hits.fits", HITS)
    kind = put_in([survey], hits, config)["KIND"]
    weight = natural_weights(kind, summary.counts["scored"], config.evaluation)
    used = (weight > 0) & np.isfinite(hits["SKEWNESS"])
    features = features_of(hits[used])
    terms = np.stack(list(features.values()), axis=1)
    highest = [0.0 if name in AGAINST else None for name in features]
    found = logistic(terms, kind[used] == "lya", weight[used], highest)
    counts = {str(name): int((kind == name).sum()) for name in np.unique(kind)}
    named = zip(features, found.tolist(), strict=True)
    return {name: round(value, 4) for name, value in named}, counts


def logistic(
    terms: NDArray[np.float64],
    is_lya: NDArray[np.bool_],
    weight: NDArray[np.float64],
    highest: Sequence[float | None],
) -> NDArray[np.float64]:
    """Fit a logistic function by penalised maximum likelihood, some weights with an upper limit."""
    sign = np.where(is_lya, 1.0, -1.0)

    def loss(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margin = sign * (terms @ x)
        value = (weight * np.logaddexp(0, -margin)).sum() / weight.sum()
        slope = -((weight * sign * expit(-margin)) @ terms) / weight.sum()
        penalised = np.append(0.0, x[1:])  # "always" comes first, and is free
        return value + PENALTY / 2 * (penalised**2).mean(), slope + PENALTY / len(x) * penalised

    bounds = [(None, limit) for limit in highest]
    start: Any = np.zeros(terms.shape[1])
    return np.asarray(minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x)


if __name__ == "__main__":
    main()
