"""`speclens evaluate`: put sources into spectra, search, vet, rank, count what comes back.

In: survey files, a configuration, a seed. Out: tables of what was put in and of what became of it,
completeness by what sources and spectra are like, false hits of nulls, and the selection function
that a later search reads. Sources come in between the files and the search, which is that of
`speclens search`, with the same vetting: shard by shard, on several processes, with what is done
kept.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import speclens
from speclens.config import Config, EvaluationConfig
from speclens.errors import RunError
from speclens.evaluate.completeness import (
    Completeness,
    completeness_by_snr,
    fit_completeness,
    snr_edges,
)
from speclens.evaluate.counting import Tally
from speclens.evaluate.evaluation_products import write_evaluation
from speclens.evaluate.false_hits import FalseHits
from speclens.evaluate.injection import PLAIN
from speclens.evaluate.levels import reached, set_ranks
from speclens.evaluate.reliability import reliability_of
from speclens.evaluate.searching import Searched, search_all
from speclens.evaluate.selection import OfSearch, SelectionFunction
from speclens.read.discovery import find_survey_files
from speclens.run.folder import locked_folder
from speclens.run.kinds import EVALUATION
from speclens.run.progress import Progress, Silent
from speclens.sample.error_growth import read_growth
from speclens.schema import NULLS, RECOVERED, dtype_of
from speclens.search.input_record import check_inputs
from speclens.search.network import model_of

__all__ = ["Evaluation", "evaluate"]

BYTES_A_LINE = 1_000
"""Of its stored results and its row of the tables."""

Rows = NDArray[np.void]


@dataclass(frozen=True)
class Evaluation:
    """Result of an evaluation.

    Parameters
    ----------
    lines, decoys : structured array of shape (N,)
        `speclens.schema.RECOVERED`: sources and decoys that were put in, and what was measured.
    nulls : structured array
        `speclens.schema.NULLS`: hits where nothing was put in.
    completeness : dict of str to Completeness
        Hits by ideal signal-to-noise ratio, of each search that had spectra.
    numbers : dict of str to float
        The figures of merit by name, all searches together.
    of_search : dict of str to dict of str to float
        Those of each search that had spectra.
    scored : dict of str to dict of str to int
        Spectra that were scored, by search and null.
    selection : SelectionFunction
        What a later search reads.
    reliability : structured array
        `speclens.schema.RELIABILITY`: how often probabilities come true.
    """

    lines: Rows
    decoys: Rows
    nulls: Rows
    completeness: Mapping[str, Completeness]
    numbers: Mapping[str, float]
    of_search: Mapping[str, Mapping[str, float]]
    scored: dict[str, dict[str, int]]
    selection: SelectionFunction
    reliability: Rows


def evaluate(
    inputs: Sequence[str],
    output: Path,
    config: Config,
    repeats: int,
    seed: int,
    n_workers: int = 1,
    progress: Progress | None = None,
    catalogue: str | None = None,
    verify: bool = True,
) -> Evaluation:
    """Measure what a search makes of sources, and of nothing, in real or mock spectra.

    Parameters
    ----------
    inputs : sequence of str
        Survey files and folders.
    output : Path
        Folder to write: new, empty, or of the same evaluation, which goes on where it stopped.
    config : Config
        The searches and the sources.
    repeats : int
        Sources put into each spectrum, one at a time.
    seed : int
        Seed of the sources.
    n_workers : int, optional
        Number of processes; the result does not depend on it.
    progress : Progress, optional
        Told of stages and failures.
    catalogue : str, optional
        Survey catalogue instead of the classes and redshifts beside the spectra.
    verify : bool, optional
        Refuse data that disagree with their DATASUM.

    Returns
    -------
    Evaluation
        Sources, completeness, false hits and figures of merit.

    Raises
    ------
    RunError
        If there is nothing to read, no spectrum of the sample, or if the folder is another
        evaluation's or somebody else's.
    """
    listener = progress or Silent()
    files = find_survey_files(inputs)
    setup = {**_setup(inputs, config, repeats, seed, catalogue), "verify": verify}
    with locked_folder(output, EVALUATION, inputs) as folder:
        folder.check(setup)
        n_spectra = sum(kind.spectra_a_file * len(paths) for kind, paths in files.of_kind.items())
        folder.require(BYTES_A_LINE * repeats * n_spectra)
        for own in config.each.values():
            check_inputs(own, listener.message)
        searched = search_all(files, config, setup, n_workers, folder, listener)
        result = _evaluation(searched, config, setup)
        write_evaluation(folder.path, result, config, setup, searched.files)
    return result


def _setup(
    inputs: Sequence[str], config: Config, repeats: int, seed: int, catalogue: str | None
) -> dict[str, Any]:
    models = filter(None, (model_of(own) for own in config.each.values()))
    return {
        "speclens": speclens.__version__,
        "inputs": [os.path.abspath(path) for path in inputs],
        "seed": seed,
        "repeats": repeats,
        "catalogue": catalogue and os.path.abspath(catalogue),
        "model": ", ".join(dict.fromkeys(model.digest for model in models)) or None,
        "sky": read_growth(config.noise.growth).digest,
        "configuration": config.model_dump(mode="json"),
    }


def _evaluation(searched: Searched, config: Config, setup: dict[str, Any]) -> Evaluation:
    """Rank, and sum up all searches."""
    settings, tallies = config.evaluation, searched.tallies
    scored = {name: tally.n_scored for name, tally in tallies.items()}
    failures = dict.fromkeys(text for tally in tallies.values() for text in tally.failures)
    if not any(own[PLAIN] for own in scored.values()):
        raise RunError(
            f"the inputs hold no spectrum of the sample ({len(failures)} files failed); "
            "the configuration's selection decides who belongs to it"
        )
    of_search, parts, told = {}, [], []
    for name, tally in tallies.items():
        lines, decoys, nulls = _named(name, tally)
        candidates = nulls[(nulls["NULL"] == PLAIN) & nulls["CANDIDATE"]]
        for rows in (lines, decoys):
            set_ranks(rows, candidates)
        false_hits = FalseHits.of_nulls(nulls, tally.n_scored, config.each[name])
        of_search[name] = OfSearch.of_lines(lines, false_hits, config.each[name])
        parts.append((lines, decoys, nulls))
        quiet = np.concatenate(tally.probability)
        told.append(reliability_of(lines, decoys, nulls, quiet, tally.n_scored, config.each[name]))
    lines, decoys, nulls = (np.concatenate(each) for each in zip(*parts, strict=True))
    plain = nulls["NULL"] == PLAIN
    rms = np.concatenate([part for tally in tallies.values() for part in tally.residual_rms])
    numbers = {
        "spectra": searched.n_spectra,
        "files_failed": len(failures),
        "hits_without_a_line": int(plain.sum()),
        "candidates_without_a_line": int((plain & nulls["CANDIDATE"]).sum()),
        "residual_rms_median": float(np.median(rms)),
        **_numbers(lines, settings),
    }
    reliability = np.concatenate([table for table, _ in told])
    numbers |= {name: value for _, errors in told for name, value in errors.items()}
    selection = SelectionFunction(of_search, _holds_for(config, setup))
    own_lines = {name: own for name, (own, _, _) in zip(tallies, parts, strict=True) if len(own)}
    return Evaluation(
        lines,
        decoys,
        nulls,
        {name: _by_snr(own, settings) for name, own in own_lines.items()},
        numbers,
        {name: _numbers(own, settings) for name, own in own_lines.items()},
        scored,
        selection,
        reliability,
    )


def _named(name: str, tally: Tally) -> tuple[Rows, Rows, Rows]:
    """Return sources, decoys and hits of nulls of a search, with its name."""
    dtypes = (dtype_of(RECOVERED), dtype_of(RECOVERED), dtype_of(NULLS))
    kept = (tally.lines, tally.decoys, tally.nulls)
    lines, decoys, nulls = (
        np.concatenate([np.zeros(0, dtype), *own]) for dtype, own in zip(dtypes, kept, strict=True)
    )
    for rows in (lines, decoys, nulls):
        rows["SEARCH"] = name
    return lines, decoys, nulls


def _holds_for(config: Config, setup: dict[str, Any]) -> dict[str, Any]:
    """Return what a run must agree in to be told of by this evaluation."""
    return {
        "model": setup["model"],
        "sky": setup["sky"],
        "search": config.deciding("search"),
        "vetting": config.deciding("vetting"),
    }


def _by_snr(lines: Rows, config: EvaluationConfig) -> Completeness:
    seen = lines[lines["SEARCHED"]]
    return completeness_by_snr(seen["IDEAL_SNR"], seen["FOUND"], snr_edges(config))


def _numbers(lines: Rows, config: EvaluationConfig) -> dict[str, float]:
    """Figures of merit of the sources put in."""
    n_lines, lines = len(lines), lines[lines["SEARCHED"]]
    ideal, found = lines["IDEAL_SNR"], lines["FOUND"]
    bright = ideal > config.bright_snr
    low, high = config.bias_snr_range
    measured = found & (ideal > low) & (ideal < high)
    curve = fit_completeness(ideal, found)
    ratio = lines["FLUX_FOUND"][measured] / lines["FLUX"][measured]
    levels = reached(lines, config.top)
    candidate = levels["candidate"]
    return {
        "lines": n_lines,
        "lines_at_masked_wavelengths": n_lines - len(lines),
        "found": int(found.sum()),
        "candidates": int(candidate.sum()),
        "in_the_top": int(levels["top"].sum()),
        "completeness_bright": _mean(found[bright]),
        "completeness_bright_candidates": _mean(candidate[bright]),
        "bright_hits_kept": _mean(candidate[bright & found]),
        "ideal_snr_at_50_percent": curve.at(0.5),
        "ideal_snr_at_50_percent_error": curve.centre_err,
        "ideal_snr_at_90_percent": curve.at(0.9),
        "flux_bias": float(ratio.mean() - 1) if len(ratio) else float("nan"),
        "flux_bias_error": float(ratio.std() / np.sqrt(len(ratio))) if len(ratio) else float("nan"),
    }


def _mean(chosen: NDArray[np.bool_]) -> float:
    return float(chosen.mean()) if len(chosen) else float("nan")
