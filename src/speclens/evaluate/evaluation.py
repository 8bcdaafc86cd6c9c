"""`speclens evaluate`: put lines into spectra, search, count what comes back.

In: survey files, a configuration, a seed. Out: a table of the lines put in and of what was measured
of them, completeness by ideal signal-to-noise ratio, a figure. The spectra run through the same
stages as a search; without a line they give the rate of false alarms.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import speclens
from speclens.config import Config, EvaluationConfig
from speclens.errors import RunError, SpectrumFileError
from speclens.evaluate.completeness import (
    Completeness,
    completeness_by_snr,
    fit_completeness,
    match_lines,
)
from speclens.products import write_fits, write_json, write_text_table
from speclens.read.discovery import find_survey_files
from speclens.read.shards import ReadSettings, Shard, make_shards
from speclens.run.folder import locked_folder
from speclens.run.kinds import EVALUATION
from speclens.run.recording import Readings, recording
from speclens.run.store import ShardStore
from speclens.sample.selection import redshifts, refusals
from speclens.sample.sky import measure_sky
from speclens.schema import RECOVERED, dtype_of
from speclens.search.input_record import check_inputs
from speclens.search.scan import Scanner, ScanSettings, model_of
from speclens.search.shard_rows import failures_of, rows_in_files
from speclens.simulate.emitters import Lines, draw_emitters, ideal_snr, line_spectra
from speclens.spectra import SpectrumBatch

__all__ = ["Evaluation", "evaluate", "sample_of"]


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
    report: Callable[[str], None] | None = None,
) -> Evaluation:
    """Measure the completeness of a search on real or mock spectra.

    Parameters
    ----------
    inputs : sequence of str
        Survey files and folders.
    output : Path
        Folder to write: new, empty, or of the same evaluation, which is done again.
    config : Config
        The search and the lines.
    repeats : int
        Lines put into each spectrum, one at a time.
    seed : int
        Seed of the lines.
    report : callable, optional
        Told of each file that failed.

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
    shards = make_shards(find_survey_files(inputs))
    if not shards:
        raise RunError(f"no spPlate-*.fits and no spec-*.fits in {', '.join(inputs)}")
    model = model_of(config)
    setup = {
        "speclens": speclens.__version__,
        "inputs": [os.path.abspath(path) for path in inputs],
        "seed": seed,
        "repeats": repeats,
        "model": model and model.digest,
        "configuration": config.model_dump(mode="json"),
    }
    with locked_folder(output, EVALUATION, inputs) as folder:
        folder.check(setup)
        with recording() as readings:
            result = _evaluated(shards, config, repeats, seed, report)
        folder.claim(setup)
        _write(folder.path, result, config, setup, readings)
    return result


def _evaluated(
    shards: Sequence[Shard],
    config: Config,
    repeats: int,
    seed: int,
    report: Callable[[str], None] | None,
) -> Evaluation:
    rng = np.random.default_rng(seed)
    growth, lost = measure_sky(config, ReadSettings(), shards, 1)
    settings = ScanSettings(config, ShardStore(Path(), ""), ReadSettings(lost=lost), growth)
    check_inputs(config, report or (lambda _: None))
    detector, grid = Scanner(settings).detector, settings.grid
    failures: list[str] = []

    def tell(text: str) -> None:
        failures.append(text)
        if report is not None:
            report(text)

    parts: list[NDArray[np.void]] = []
    n_spectra = n_alarms = 0
    residual_rms: list[NDArray[np.float32]] = []
    for batch, z, places in sample_of(settings, shards, tell):
        found = detector(batch, z)
        plain = found.prepared
        usable = plain.reasons == ""
        for text in failures_of(batch.files, places, plain.reasons):
            tell(text)
        n_spectra += int(usable.sum())
        n_alarms += len(found.hits)
        residual_rms.append(plain.residual_rms[usable])
        # The ideal search knows the noise as the survey states it, and the masks.
        stated = np.where(plain.ivar > 0, batch.ivar, 0)
        for _ in range(repeats):
            lines, added = _draw(stated, batch, config, rng)
            injected = replace(batch, flux=batch.flux + added)
            hits = detector(injected, z).hits
            rows = _recovered(batch, lines, ideal_snr(added, stated), hits, config)
            pixel = np.round(grid.pixel(lines.wave)).astype(np.intp)
            pixel = np.clip(pixel, 0, grid.n_pixels - 1)
            rows["SEARCHED"] = stated[np.arange(len(rows)), pixel] > 0
            parts.append(rows[usable])
    if not n_spectra:
        raise RunError(
            f"the inputs hold no spectrum of the sample ({len(failures)} files failed); the "
            "configuration's selection decides who belongs to it"
        )
    recovered = np.concatenate(parts)
    searched = recovered[recovered["SEARCHED"]]
    low, high = config.evaluation.ideal_snr_range
    width = config.evaluation.bin_width
    edges = np.arange(low, high + width / 2, width)
    completeness = completeness_by_snr(searched["IDEAL_SNR"], searched["FOUND"], edges)
    numbers = {
        "spectra": n_spectra,
        "files_failed": len(failures),
        "hits_without_a_line": n_alarms,
        "residual_rms_median": float(np.median(np.concatenate(residual_rms))),
        **_numbers(recovered, config.evaluation),
    }
    return Evaluation(recovered, completeness, numbers)


def sample_of(
    settings: ScanSettings, shards: Sequence[Shard], tell: Callable[[str], None]
) -> Iterator[tuple[SpectrumBatch, NDArray[np.float64], NDArray[np.intp]]]:
    """Read the spectra that a search would score.

    Parameters
    ----------
    settings : ScanSettings
        Selection, window and catalogue.
    shards : sequence of Shard
        The files.
    tell : callable
        Told of each file that cannot be read and is passed over.

    Yields
    ------
    batch : SpectrumBatch
        Spectra of one shard.
    z : array of shape (N,)
        Their redshifts.
    places : array of shape (N,)
        Their rows in their files.
    """
    selection = settings.config.selection
    for shard in shards:
        try:
            with settings.opened(shard) as (source, failures):
                for failure in failures:
                    tell(str(failure))
                in_files = rows_in_files(source.files)
                for text in failures_of(source.files, in_files, source.reasons):
                    tell(text)
                reasons = refusals(source.targets, selection)
                rows = np.flatnonzero((reasons == "") & (source.reasons == ""))
                batch = source.spectra(rows)
        except SpectrumFileError as error:
            tell(str(error))
            continue
        if len(batch):
            yield batch, redshifts(batch.targets, selection), in_files[rows]


def _draw(
    ivar: NDArray[np.floating], batch: SpectrumBatch, config: Config, rng: np.random.Generator
) -> tuple[Lines, NDArray[np.float32]]:
    """Draw a line for each spectrum, with an ideal signal-to-noise ratio drawn uniformly."""
    lines = draw_emitters(len(ivar), config.preparation.window, config.emitters, rng)
    added = line_spectra(lines, batch.grid, batch.dispersion_at(lines.wave))
    wanted = rng.uniform(*config.evaluation.ideal_snr_range, len(ivar))
    # Where the line is masked no flux makes it visible: its flux stays as drawn.
    ideal = ideal_snr(added, ivar)
    scale = np.where(ideal > 0.2 * wanted, wanted / np.maximum(ideal, 1e-30), 1.0)
    return replace(lines, flux=lines.flux * scale), added * scale[:, None].astype(np.float32)


def _recovered(
    batch: SpectrumBatch,
    lines: Lines,
    ideal: NDArray[np.float64],
    hits: NDArray[np.void],
    config: Config,
) -> NDArray[np.void]:
    rows = np.zeros(len(batch), dtype_of(RECOVERED))
    rows["TARGETID"], rows["KIND"], rows["IDEAL_SNR"] = batch.targets["TARGETID"], "lya", ideal
    rows["WAVE"], rows["FLUX"] = lines.wave, lines.flux
    rows["WIDTH"], rows["SKEWNESS"] = lines.width, lines.skewness
    by_row = np.zeros(len(hits), [("TARGETID", "i8"), ("WAVE", "f8"), ("SNR", "f4")])
    by_row["TARGETID"], by_row["WAVE"], by_row["SNR"] = hits["ROW"], hits["WAVE"], hits["SNR"]
    wanted = np.zeros(len(batch), [("TARGETID", "i8"), ("WAVE", "f8")])
    wanted["TARGETID"], wanted["WAVE"] = np.arange(len(batch)), lines.wave
    match = match_lines(wanted, by_row, config.evaluation.match_pixels)
    rows["FOUND"] = match >= 0
    for name in ("SNR", "WAVE", "FLUX", "FLUX_ERR"):
        column = f"{name}_FOUND"
        rows[column] = np.nan
        rows[column][rows["FOUND"]] = hits[name][match[rows["FOUND"]]]
    return rows


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
    output: Path, result: Evaluation, config: Config, setup: dict[str, Any], readings: Readings
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
            "files": [{"path": path, "read": digest} for path, digest in dict(readings).items()],
            "numbers": numbers,
            "bins": bins,
        },
    )
