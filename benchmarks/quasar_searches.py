"""The searches behind quasars side by side: what each finds at the same rate of false alarms.

    python benchmarks/quasar_searches.py [--plates 24] [--spectra 250] [--tables docs/tables]

Mock plates of quasars, in memory, are searched three times: as they are; with an emission-line
galaxy behind each one (if nearer than z = 1.48; ratios with scatter, 30 to 120 km/s, z_S uniform to
1.6); and with a Lyman-alpha line, as wide and skewed as published ones, anywhere behind it up to
9500 Angstrom. Total S/N by the true errors is uniform in its logarithm from 6 to 40. Masked pixels
and refused quasars are counted. A source is found where a search has a hit within 0.001 (1 + z_S).
Searches are ranked by LN_EVIDENCE or by the quadrature sum; for a rate of false alarms all
thresholds on S/N of the published one are moved together, and the step counts that finds most. As
in a search of files, errors grow with sky fibres, and those of `qso` with residuals, both of other
plates; those of real quasars by the bundled factors. The oracle knows z_S, line ratios, continuum
and errors. The sky residuals of mock plates are too strong redward of 7000 Angstrom
(docs/simulate.md), so that what is bluer is shown alone, too. With SPECLENS_DATA, hits in real
quasars are shown.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from line_search import MARGIN, RIGHT, SNR, Z_MAX, Draw, draw_galaxies, draw_lya
from mock_plates import measure_growth
from quasar_engines import CONFIGURATIONS, Engine, Setup, engine, own_limit
from speclens.config import Config, load_config
from speclens.read.discovery import find_survey_files
from speclens.read.sdss.spec import read_spec_files
from speclens.run.workers import allotted_cores, map_shards
from speclens.sample.preparation import PreparedSpectra
from speclens.sample.selection import refusals
from speclens.search.search import lya_sources
from speclens.simulate.plates import Plate
from speclens.simulate.survey import make_plate
from speclens.simulate.training_set import on_window
from speclens.spectra import LogGrid
from tables import Tables, add_option

DRAWS: dict[str, Draw] = {"galaxies": draw_galaxies, "Lyman alpha": draw_lya}
ORACLE = "oracle that knows the source"
RATES = (1e-2, 1e-3)
SNR_BINS = ((6, 8), (8, 10), (10, 15), (15, 40))
Z_BINS = ((0.36, 0.6), (0.6, 0.9), (0.9, 1.2), (1.2, 1.6))
RED = 7000.0
"""Wavelength beyond which the sky residuals of mock plates are too strong."""

REAL = ("quasars", "boss/stars_and_quasars")

Floats = NDArray[np.float64]


@dataclass
class Quasars:
    """Quasars of a plate, before which nothing is drawn and behind which sources are."""

    config: Config
    grid: LogGrid
    z: Floats
    dispersion: NDArray[np.floating]


@dataclass(frozen=True)
class Sources:
    """Sources of one kind, and what each search makes of them.

    Parameters
    ----------
    snr, z, wave : array of shape (N,)
        Total S/N, redshift, and wavelength of the strongest line, Angstrom.
    found, seen : dict of str to array of shape (N, S)
        Statistic of the hit at the right redshift, 0 without one, at each of S steps; and of the
        hit at the strongest line, whatever its redshift.
    oracle : array of shape (N, 2)
        Statistic of the oracle with the source, and without it.
    """

    snr: Floats
    z: Floats
    wave: Floats
    found: dict[str, Floats]
    seen: dict[str, Floats]
    oracle: Floats


@dataclass(frozen=True)
class Scores:
    """What the searches make of some plates.

    Parameters
    ----------
    empty : dict of str to array of shape (N, S, 2)
        Highest statistic of the hits in each quasar as it is, 0 without one; and of the blue ones.
    refused : dict of str to array of shape (N,)
        True for quasars that a search does not judge.
    sources : dict of str to Sources
        By kind.
    """

    empty: dict[str, Floats]
    refused: dict[str, NDArray[np.bool_]]
    sources: dict[str, Sources]


def score_plate(setup: Setup, index: int) -> Scores:
    """Simulate one plate and search it, without sources and with those of each kind."""
    rng = np.random.default_rng(np.random.SeedSequence([setup.seed, index]))
    plate, _ = make_plate(index, setup.mock, rng)
    empty, refused = {}, {}
    for name, own in setup.engines.items():
        found, refused[name] = searched(own, plate)
        score = [[highest(h, len(plate.targets), red) for red in (np.inf, RED)] for h in found]
        empty[name] = np.array(score).transpose(2, 0, 1)
    sources = {kind: behind(setup, plate, draw, rng) for kind, draw in DRAWS.items()}
    return Scores(empty, refused, sources)


def behind(setup: Setup, plate: Plate, draw: Draw, rng: np.random.Generator) -> Sources:
    """Put a source behind each quasar that it may be behind, and search."""
    if draw is draw_galaxies:
        plate = of_plate(plate, plate.targets["Z"] < Z_MAX - 2 * MARGIN)
    z_lens = plate.targets["Z"].astype(np.float64)
    z, lines = draw(Quasars(setup.mock, plate.grid, z_lens, plate.observed.dispersion), rng)
    total = lines.sum(axis=0)
    _, window = LogGrid.covering(*setup.mock.preparation.window).overlap(plate.grid)
    ivar = np.zeros(total.shape)
    ivar[:, window] = plate.observed.true_ivar[:, window]
    snr = np.exp(rng.uniform(np.log(SNR[0]), np.log(SNR[1]), len(z)))
    added = total * (snr / np.sqrt((total**2 * ivar).sum(axis=1)))[:, None]
    flux = (plate.observed.flux + added).astype(np.float32)
    put = replace(plate, observed=replace(plate.observed, flux=flux))
    spectra = (put.observed.flux, plate.observed.flux)
    oracle = [((f - plate.model) * added * ivar).sum(axis=1) / snr for f in spectra]
    strongest = (lines**2 * ivar).sum(axis=2).argmax(axis=0)
    peak = lines[strongest, np.arange(len(z))].argmax(axis=1)
    wave = plate.grid.wave[peak]
    found, seen = dict[str, Floats](), dict[str, Floats]()
    for name, own in setup.engines.items():
        hits, _ = searched(own, put)
        found[name] = np.stack([at(of, of["z"], z) for of in hits], axis=1)
        seen[name] = np.stack([at(of, of["wave"] - 1, wave - 1) for of in hits], axis=1)
    return Sources(snr, z, wave, found, seen, np.stack(oracle, axis=1))


def of_plate(plate: Plate, rows: NDArray[np.bool_]) -> Plate:
    """Return some fibres of a plate."""
    observed = plate.observed
    part = replace(observed, **{name: image[rows] for name, image in vars(observed).items()})
    return replace(plate, targets=plate.targets[rows], model=plate.model[rows], observed=part)


HIT = np.dtype([("row", np.intp), ("score", "f8"), ("z", "f8"), ("wave", "f8")])
"""A hit: its spectrum, the statistic of its search, redshift of the source, and wavelength."""


def searched(own: Engine, plate: Plate) -> tuple[list[NDArray[np.void]], NDArray[np.bool_]]:
    """Search a plate: hits at each step, and which quasars are refused."""
    batch = on_window(plate, own.preparation.grid)
    return hits_of(own, own.preparation(batch, plate.targets["Z"].astype(np.float64)))


def hits_of(
    own: Engine, prepared: PreparedSpectra
) -> tuple[list[NDArray[np.void]], NDArray[np.bool_]]:
    """Search prepared spectra, as `searched` does."""
    filtered = own.matched_filter.search(prepared.residual, prepared.ivar)
    steps = []
    refused = np.zeros(len(prepared), bool)
    for search in own.searches:
        found = search(prepared, filtered)
        sources = lya_sources(found.hits) if found.sources is None else found.sources
        refused = found.reasons != ""
        hits = np.zeros(len(found.hits), HIT)
        score = "LN_EVIDENCE" if own.config.search.method == "lines" else "SNR_LINES"
        hits["row"], hits["score"] = found.hits["ROW"], sources[score]
        hits["z"], hits["wave"] = sources["Z_SOURCE"], found.hits["WAVE"]
        steps.append(hits)
    return steps, refused


def highest(hits: NDArray[np.void], n: int, red: float) -> Floats:
    """Return the highest statistic in each of N spectra, of hits blueward of a wavelength."""
    result = np.zeros(n)
    blue = hits[hits["wave"] < red]
    np.maximum.at(result, blue["row"], blue["score"])
    return result


def at(hits: NDArray[np.void], z: Floats, true: Floats) -> Floats:
    """Return the highest statistic in each of N spectra, of hits whose redshift z is the true."""
    right = np.abs(z - true[hits["row"]]) < RIGHT * (1 + true[hits["row"]])
    return highest(hits[right], len(true), np.inf)


def joined(parts: Sequence[Scores]) -> Scores:
    """Put the plates together."""
    sources = {}
    for kind in DRAWS:
        of = [part.sources[kind] for part in parts]
        snr, z, wave, oracle = (
            np.concatenate([getattr(part, name) for part in of])
            for name in ("snr", "z", "wave", "oracle")
        )
        found, seen = (together([getattr(part, name) for part in of]) for name in ("found", "seen"))
        sources[kind] = Sources(snr, z, wave, found, seen, oracle)
    empty, refused = (together([getattr(p, name) for p in parts]) for name in ("empty", "refused"))
    return Scores(empty, refused, sources)


def together(pieces: Sequence[dict[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """Put the arrays of each search together."""
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def threshold(empty: Floats, rate: float) -> float:
    """Return the value above which a fraction of the spectra without a source lies."""
    ordered = np.sort(empty)[::-1]
    return float(ordered[min(round(rate * len(ordered)), len(ordered) - 1)])


def recovered(
    scores: Scores, kind: str, rate: float, *, blue: bool = False
) -> dict[str, NDArray[np.bool_]]:
    """Say which sources of a kind each search finds at a rate of false alarms."""
    sources = scores.sources[kind]
    result = {}
    for name, found in sources.found.items():
        limits = [threshold(empty, rate) for empty in scores.empty[name][:, :, int(blue)].T]
        result[name] = max((found > limits).T, key=np.count_nonzero)
    result[ORACLE] = sources.oracle[:, 0] > threshold(sources.oracle[:, 1], rate)
    return result


def percent(found: NDArray[np.bool_]) -> str:
    """Return a share as a cell; there may be none."""
    return f"{100 * found.mean():.1f}" if len(found) else "-"


def show(scores: Scores, tables: Tables) -> None:
    """Print the tables of mock quasars."""
    numbers = ", ".join(f"{len(of.snr)} with {kind}" for kind, of in scores.sources.items())
    print(f"{len(scores.refused[CONFIGURATIONS[0]])} quasars without a source, {numbers}")
    rows = []
    for name in CONFIGURATIONS:
        limit = own_limit(load_config(name))
        all_, blue = (scores.empty[name][:, 0] > limit).mean(axis=0)
        found = [
            percent(statistic[name][:, 0] > limit)
            for of in scores.sources.values()
            for statistic in (of.found, of.seen)
        ]
        rows.append([name, percent(scores.refused[name]), f"{all_:.1e}", f"{blue:.1e}", *found])
    titles = ["search", "refused", "false alarms a quasar", f"blueward of {RED:g} Å"]
    titles += [f"{kind} {what}" for kind in DRAWS for what in ("found", "hit at the line")]
    tables.show("quasar_searches", titles, rows)
    by_rate = {(kind, rate): recovered(scores, kind, rate) for kind in DRAWS for rate in RATES}
    for kind, table in zip(DRAWS, ("elg", "lya"), strict=True):
        of = scores.sources[kind]
        inside = [(of.snr >= low) & (of.snr < high) for low, high in SNR_BINS]
        rows = [
            [name, f"{rate:g}", percent(found), *(percent(found[own]) for own in inside)]
            for rate in RATES
            for name, found in by_rate[kind, rate].items()
        ]
        titles = ["search", "false alarms a quasar", "found"]
        titles += [f"S/N {low}-{high}" for low, high in SNR_BINS]
        tables.show(f"quasar_searches_{table}", titles, rows)
    show_redshifts(scores.sources["galaxies"].z, by_rate, tables)
    show_blue(scores, tables)


def show_redshifts(
    z: Floats, by_rate: Mapping[tuple[str, float], Mapping[str, NDArray[np.bool_]]], tables: Tables
) -> None:
    """Print what is found of galaxies by their redshift: beyond 0.9 [O II] is alone."""
    rows = []
    for (kind, rate), found in by_rate.items():
        if kind == "galaxies":
            for name, of in found.items():
                cells = (percent(of[(z >= low) & (z < high)]) for low, high in Z_BINS)
                rows.append([name, f"{rate:g}", *cells])
    titles = [f"z_S {low:g}-{high:g}" for low, high in Z_BINS]
    tables.show("quasar_searches_z", ["search", "false alarms a quasar", *titles], rows)


def show_blue(scores: Scores, tables: Tables) -> None:
    """Print what is found of sources, and of false alarms, where mock plates are like real ones."""
    rows = []
    for name in (*CONFIGURATIONS, ORACLE):
        cells = []
        for kind, of in scores.sources.items():
            for rate in RATES:
                found = recovered(scores, kind, rate, blue=True)[name]
                cells.append(percent(found[of.wave < RED]))
        rows.append([name, *cells])
    titles = [f"{kind} at {rate:g}" for kind in DRAWS for rate in RATES]
    tables.show("quasar_searches_blue", ["search", *titles], rows)


def show_real(folder: Path, tables: Tables) -> None:
    """Print the hits in real quasars."""
    rows = []
    for name in CONFIGURATIONS:
        own = engine(load_config(name))
        paths = find_survey_files([str(folder / part) for part in REAL]).paths
        batch = read_spec_files(paths, own.preparation.grid).batch
        batch = batch[refusals(batch.targets, own.config.selection) == ""]
        prepared = own.preparation(batch, np.asarray(batch.targets["Z"], np.float64))
        turned = replace(prepared, flux=2 * prepared.model - prepared.flux)
        cells = []
        for spectra in (prepared, turned):
            (hits, *_), refused = hits_of(own, spectra)
            hits = hits[hits["score"] > own_limit(own.config)]
            cells += [str(len(hits)), str((hits["wave"] < RED).sum())]
        rows.append([name, str(len(batch)), str(refused.sum()), *cells])
    titles = ["search", "real quasars", "refused"]
    titles += [f"{of}{where}" for of in ("hits", "turned over") for where in ("", f" to {RED:g} Å")]
    tables.show("quasar_searches_real", titles, rows)


def main() -> None:
    """Simulate, search, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plates", type=int, default=24, help="simulated")
    parser.add_argument("--spectra", type=int, default=250, help="on each plate")
    parser.add_argument("--seed", type=int, default=1)
    add_option(parser)
    arguments = parser.parse_args()
    tables = Tables(arguments.tables)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "growth.npz"
        measure_growth(Setup(arguments.spectra, arguments.seed), path)
        setup = Setup(arguments.spectra, arguments.seed, str(path))
        parts = list(map_shards(score_plate, setup, range(arguments.plates), allotted_cores()))
    show(joined(parts), tables)
    if data := os.environ.get("SPECLENS_DATA"):
        show_real(Path(data), tables)


if __name__ == "__main__":
    main()
