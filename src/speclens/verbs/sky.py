"""`speclens sky`: survey files to the growth of the errors.

In: plates, fields and spec files, the configuration. Out: one file of factors, for `--sky` of a
search: on the errors of pixels, from sky fibres, and on those of lines, from residuals. What the
files are too few to tell is taken from the growth in force.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import speclens
from speclens.config import Config, load_config
from speclens.errors import RunError, SpectrumFileError
from speclens.products import one_line
from speclens.read.discovery import find_survey_files
from speclens.read.shards import Shard, make_shards
from speclens.read.survey import ReadSettings
from speclens.run.progress import Progress, Silent
from speclens.run.workers import sharing_processes
from speclens.sample.error_growth import FACTORS, REST, ErrorGrowth, read_growth
from speclens.sample.sky import measure_sky
from speclens.search.line_growth import LineStatistics
from speclens.search.residuals import ResidualSettings, measure_residuals
from speclens.spectra import LogGrid

__all__ = ["SkyRequest", "SkySummary", "measure_growth"]

SEARCHES = ("elg", "qso")
"""Configurations whose samples measure the errors of lines: galaxies, then quasars."""

CARDS = ("N_SKY", "N_LINES", "N_GALAXY", "N_QSO")
"""Header cards: most fibres or spectra that tell of a pixel, for each of `FACTORS`."""


@dataclass(frozen=True)
class SkyRequest:
    """What the user asks for.

    Parameters
    ----------
    inputs : sequence of str
        Survey files and folders.
    output : Path
        The file to write.
    source : str, optional
        Configuration file.
    overrides : sequence of str
        `section.key=value`.
    n_workers : int
        Number of processes.
    """

    inputs: Sequence[str]
    output: Path
    source: str | None = None
    overrides: Sequence[str] = ()
    n_workers: int = 1


@dataclass(frozen=True)
class SkySummary:
    """What was measured.

    Parameters
    ----------
    growth : ErrorGrowth
        The factors.
    measured : dict of str to int
        Most sky fibres or spectra that tell of a pixel, by factor; 0 where that of before stands.
    lost : dict of str to SpectrumFileError
        Files that could not be read.
    """

    growth: ErrorGrowth
    measured: dict[str, int] = field(default_factory=dict)
    lost: dict[str, SpectrumFileError] = field(default_factory=dict)


@sharing_processes()
def measure_growth(request: SkyRequest, progress: Progress | None = None) -> SkySummary:
    """Measure how much the errors grow, and write it.

    Parameters
    ----------
    request : SkyRequest
        Files, configuration, output.
    progress : Progress, optional
        Told of stages and failures.

    Returns
    -------
    SkySummary
        What was measured.

    Raises
    ------
    SpeclensError
        If there is no survey file, if nothing can be measured, or if the file cannot be written or
        is somebody else's.
    """
    listener = progress or Silent()
    _refuse_output(request.output)
    searches = [load_config(request.source, request.overrides, under=(n,)) for n in SEARCHES]
    shards = make_shards(find_survey_files(request.inputs))
    growth = read_growth(searches[0].noise.growth)
    measured = dict.fromkeys(FACTORS, 0)
    lost: dict[str, SpectrumFileError] = {}
    work = (request.n_workers, lambda: listener.advance(0), listener.message)
    growth = _with_sky(growth, measured, lost, searches[0], shards, listener, work)
    for config in searches:
        # What is so at a rest wavelength is what the factor of the observed one, which is measured
        # before, leaves. Airglow is the same before galaxies and quasars: galaxies tell for both.
        names = [] if measured["LINES"] else ["LINES"]
        for name in (*names, f"{config.lines.growth.upper()}_REST"):
            listener.stage(f"residuals of {config.lines.growth}", len(shards))
            settings = ResidualSettings(config, ReadSettings(tables=config.tables), growth)
            total, failures = measure_residuals(settings, shards, *work)
            lost.update(failures)
            growth = _with_lines(growth, measured, name, config, total)
    for failure in lost.values():
        listener.message(str(failure))
    if not any(measured.values()):
        raise RunError(
            f"{', '.join(request.inputs)}: too few to measure anything: "
            f"{searches[0].noise.sky_min_fibres} sky fibres (noise.sky_min_fibres), or "
            f"{searches[0].lines.growth_min_spectra} galaxies or quasars of "
            "lines.growth_fraction of the sample (lines.growth_min_spectra)"
        )
    growth.write(request.output, _provenance(request, searches, measured, len(shards), len(lost)))
    return SkySummary(growth, measured, lost)


Work = tuple[int, Callable[[], None], Callable[[str], None]]
"""Number of processes, who is told that a shard is done, who takes a line."""


def _with_sky(
    growth: ErrorGrowth,
    measured: dict[str, int],
    lost: dict[str, SpectrumFileError],
    config: Config,
    shards: Sequence[Shard],
    listener: Progress,
    work: Work,
) -> ErrorGrowth:
    """Replace the factor of pixels, if there are sky fibres enough."""
    with_sky = [shard for shard in shards if shard.kind.has_sky]
    listener.stage("sky fibres", len(with_sky))
    reading = ReadSettings(tables=config.tables)
    factor, n_fibres, failures = measure_sky(config, reading, with_sky, *work)
    lost.update(failures)
    enough = n_fibres >= config.noise.sky_min_fibres
    if enough.sum() < len(enough) // 2:
        return growth
    measured["SKY"] = int(n_fibres.max())
    grid = LogGrid.covering(*config.preparation.window)
    return growth.with_factor("SKY", grid.first, factor, n_fibres * enough)


def _with_lines(
    growth: ErrorGrowth,
    measured: dict[str, int],
    name: str,
    config: Config,
    total: LineStatistics | None,
) -> ErrorGrowth:
    """Replace a factor of lines where there are spectra enough."""
    least = config.lines.growth_min_spectra
    if total is None or total.n_spectra.max() < least:
        return growth
    factors = total.growth(least)
    if name == "LINES":
        first = LogGrid.covering(*config.preparation.window).first
        factor, number = factors["growth"], total.n_spectra
    else:
        first, factor, number = REST.first, factors["rest_growth"], total.rest_n_spectra
    number = np.where(number >= least, number, 0)
    measured[name] = int(number.max())
    return growth.with_factor(name, first, factor, number)


def _refuse_output(path: Path) -> None:
    """Refuse what is not ours to replace, and what cannot be written, before anything is read."""
    if path.exists():
        try:
            read_growth(str(path))
        except RunError as error:
            raise RunError(f"{path}: no file of speclens sky; choose another -o") from error
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{path}: cannot write: {error.strerror or error}") from error
    if not os.access(path.parent, os.W_OK):
        raise RunError(f"{path}: cannot write in {path.parent}; choose another -o")


def _provenance(
    request: SkyRequest, searches: Sequence[Config], measured: dict[str, int], *n_files: int
) -> dict[str, str | int | float]:
    names = ", ".join(Path(path).name for path in request.inputs)
    inputs = one_line(names).encode("ascii", "replace").decode()
    return {
        "CREATOR": f"speclens {speclens.__version__}",
        "CONFIG": searches[0].digest[:16],
        "INPUTS": inputs[:60],
        **dict(zip(("N_SHARDS", "N_LOST"), n_files, strict=True)),
        **dict(zip(CARDS, measured.values(), strict=True)),
    }
