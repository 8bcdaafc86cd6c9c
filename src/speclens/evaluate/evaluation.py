"""`speclens evaluate`: put lines into spectra, search, count what comes back.

In: survey files, a configuration, a seed. Out: a table of the lines put in and of what was measured
of them, completeness by ideal signal-to-noise ratio, a figure. Lines come in between the files and
the search, which is that of `speclens search`: shard by shard, on several processes, with its
results kept. Without a line it gives the rate of false alarms.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import speclens
from speclens.config import Config, EvaluationConfig
from speclens.eigenspectra import BUNDLED
from speclens.errors import RunError
from speclens.evaluate.completeness import Completeness, completeness_by_snr, fit_completeness
from speclens.evaluate.counting import Tally
from speclens.evaluate.parts import PartSettings, make_parts, scan_parts
from speclens.products import write_fits, write_json, write_text_table
from speclens.read.discovery import find_survey_files
from speclens.read.shards import Shard, make_shards
from speclens.run.folder import Folder, locked_folder
from speclens.run.kinds import EVALUATION
from speclens.run.progress import Progress, Silent
from speclens.run.store import ShardStore
from speclens.run.workers import DIARY
from speclens.sample.error_growth import read_growth
from speclens.schema import RECOVERED
from speclens.search.input_record import check_inputs
from speclens.search.network import model_of
from speclens.search.scan import ScanSettings
from speclens.search.scanned import stored_rows
from speclens.search.shard_rows import ShardRows

__all__ = ["Evaluation", "evaluate"]

BYTES_A_LINE = 500
"""Of its stored result and its row of both tables."""


@dataclass(frozen=True)
class Evaluation:
    """Result of an evaluation.

    Parameters
    ----------
    lines : structured array of shape (N,)
        `speclens.schema.RECOVERED`: what was put in, and what was measured.
    completeness : Completeness
        Counts by ideal signal-to-noise ratio.
    numbers : dict
        The figures of merit by name.
    """

    lines: NDArray[np.void]
    completeness: Completeness
    numbers: dict[str, float]


def evaluate(
    inputs: Sequence[str],
    output: Path,
    config: Config,
    repeats: int,
    seed: int,
    n_workers: int = 1,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure the completeness of a search on real or mock spectra.

    Parameters
    ----------
    inputs : sequence of str
        Survey files and folders.
    output : Path
        Folder to write: new, empty, or of the same evaluation, which goes on where it stopped.
    config : Config
        The search and the lines.
    repeats : int
        Lines put into each spectrum, one at a time.
    seed : int
        Seed of the lines.
    n_workers : int, optional
        Number of processes; the result does not depend on it.
    progress : Progress, optional
        Told of stages and failures.

    Returns
    -------
    Evaluation
        Lines, completeness and figures of merit.

    Raises
    ------
    RunError
        If there is nothing to read, no spectrum of the sample, or if the folder is another
        evaluation's or somebody else's.
    """
    listener = progress or Silent()
    shards = make_shards(find_survey_files(inputs))
    setup = _setup(inputs, config, repeats, seed)
    with locked_folder(output, EVALUATION, inputs) as folder:
        folder.check(setup)
        folder.require(BYTES_A_LINE * repeats * sum(shard.n_spectra for shard in shards))
        check_inputs(config, listener.message)
        settings = _settings(config, setup, folder)
        tally, files = _searched(settings, shards, setup, n_workers, folder, listener)
        if not tally.n_spectra:
            raise RunError(
                f"the inputs hold no spectrum of the sample ({len(tally.failures)} files failed); "
                "the configuration's selection decides who belongs to it"
            )
        result = _evaluation(tally, config.evaluation)
        _write(folder.path, result, config, setup, files)
    return result


def _setup(inputs: Sequence[str], config: Config, repeats: int, seed: int) -> dict[str, Any]:
    model = model_of(config)
    return {
        "speclens": speclens.__version__,
        "inputs": [os.path.abspath(path) for path in inputs],
        "seed": seed,
        "repeats": repeats,
        "model": model and model.digest,
        "sky": read_growth(config.noise.growth).digest,
        "configuration": config.model_dump(mode="json"),
    }


def _settings(config: Config, setup: dict[str, Any], folder: Folder) -> ScanSettings:
    context = hashlib.sha256(json.dumps(setup, sort_keys=True).encode())
    if config.foreground.templates not in BUNDLED:
        context.update(folder.digest_of(config.foreground.templates).encode())
    return ScanSettings(config, ShardStore(folder.work, context.hexdigest()))


def _searched(
    settings: ScanSettings,
    shards: Sequence[Shard],
    setup: dict[str, Any],
    n_workers: int,
    folder: Folder,
    listener: Progress,
) -> tuple[Tally, list[dict[str, Any]]]:
    """Search all shards with and without lines; count, and say what was read."""
    tally, files = Tally(settings.config.evaluation.match_pixels), []
    parts = make_parts(shards, setup["repeats"])
    listener.stage("spectra", len(parts))
    results = scan_parts(
        PartSettings(settings, setup["seed"]), parts, n_workers, listener.message,
        folder.work / DIARY,
    )  # fmt: skip
    for shard, of_shard in groupby(
        zip(parts, results, strict=True), key=lambda pair: pair[0].shard
    ):
        rows: list[ShardRows] = []
        for _, part in of_shard:
            rows.append(stored_rows(part.path))
            tally.hear(part.messages, listener.message)
            listener.advance(part.n_spectra)
            if (rows[-1].spectra["STATUS"] == "scored").any():
                # What holds no spectrum of the sample binds the folder to nothing.
                folder.claim(setup)
        tally.add(rows)
        read = dict.fromkeys(part.digest for part in rows)
        files.append({"paths": list(shard.read_files), "read": " ".join(read)})
    return tally, files


def _evaluation(tally: Tally, config: EvaluationConfig) -> Evaluation:
    lines = np.concatenate(tally.lines)
    searched = lines[lines["SEARCHED"]]
    low, high = config.ideal_snr_range
    edges = np.arange(low, high + config.bin_width / 2, config.bin_width)
    completeness = completeness_by_snr(searched["IDEAL_SNR"], searched["FOUND"], edges)
    numbers = {
        "spectra": tally.n_spectra,
        "files_failed": len(tally.failures),
        "hits_without_a_line": tally.n_alarms,
        "residual_rms_median": float(np.median(np.concatenate(tally.residual_rms))),
        **_numbers(lines, config),
    }
    return Evaluation(lines, completeness, numbers)


def _numbers(lines: NDArray[np.void], config: EvaluationConfig) -> dict[str, float]:
    """Figures of merit of the lines put in."""
    n_lines, lines = len(lines), lines[lines["SEARCHED"]]
    ideal, found = lines["IDEAL_SNR"], lines["FOUND"]
    bright = ideal > config.bright_snr
    low, high = config.bias_snr_range
    measured = found & (ideal > low) & (ideal < high)
    curve = fit_completeness(ideal, found)
    ratio = lines["FLUX_FOUND"][measured] / lines["FLUX"][measured]
    return {
        "lines": n_lines,
        "lines_at_masked_wavelengths": n_lines - len(lines),
        "found": int(found.sum()),
        "completeness_bright": float(found[bright].mean()) if bright.any() else float("nan"),
        "ideal_snr_at_50_percent": curve.at(0.5),
        "ideal_snr_at_50_percent_error": curve.centre_err,
        "ideal_snr_at_90_percent": curve.at(0.9),
        "flux_bias": float(ratio.mean() - 1) if len(ratio) else float("nan"),
        "flux_bias_error": float(ratio.std() / np.sqrt(len(ratio))) if len(ratio) else float("nan"),
    }


def _write(
    output: Path,
    result: Evaluation,
    config: Config,
    setup: dict[str, Any],
    files: Sequence[dict[str, Any]],
) -> None:
    from speclens.view.figures import draw_completeness

    meta: dict[str, Any] = {
        "CREATOR": f"speclens {speclens.__version__}",
        "SEED": setup["seed"],
        "CONFIG": config.digest[:16],
    }
    write_fits(output / "lines.fits", [result.lines], len(result.lines), RECOVERED, meta)
    write_text_table(output / "lines.ecsv", result.lines, RECOVERED, meta)
    numbers = {k: v if np.isfinite(v) else None for k, v in result.numbers.items()}
    bins = [
        {"ideal_snr": [float(low), float(high)], "lines": int(n), "found": int(k)}
        for low, high, n, k in zip(
            result.completeness.edges[:-1],
            result.completeness.edges[1:],
            result.completeness.n_lines,
            result.completeness.n_found,
            strict=True,
        )
    ]
    low, high = result.completeness.interval()
    draw_completeness(
        output / "completeness.png",
        result.completeness.edges,
        result.completeness.fraction,
        low,
        high,
    )
    # Last: without it the evaluation has not ended.
    write_json(
        output / "completeness.json",
        {
            **setup,
            "files": files,
            "numbers": numbers,
            "bins": bins,
        },
    )
