"""The networks on real spectra: published lines put into BOSS galaxies, and spectra without lines.

Each of the published lensed Lyman-alpha lines (Cao et al. 2020) goes, with its flux, width and
skewness and at its own wavelength, into each of the real galaxies in turn. Then every real spectrum
as it is: galaxies, sky fibres, stars, quasars. Needs SPECLENS_DATA.
"""

from __future__ import annotations

import argparse
import csv
import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speclens.config import load_config
from speclens.lines import LYMAN_ALPHA
from speclens.pipeline.detection import Detector
from speclens.pipeline.scan import ScanSettings, opened
from speclens.pipeline.shards import ShardStore, make_shards
from speclens.read.discovery import find_survey_files
from speclens.sample.selection import redshifts, refusals
from speclens.simulate.emitters import Lines, line_spectra
from speclens.spectra import SpectrumBatch

SEARCHES = {
    "speclens": [],
    "li2019": ["search.model=li2019"],
    "bank of filters, S/N > 6": ["search.method=matched-filter"],
}
Z_OF_SKY = 0.5
"""Sky fibres have no redshift; a lens there would have about this one."""


def published_lines(folder: Path) -> Lines:
    """Read the published candidates' lines."""
    rows: list[list[float]] = []
    for path in sorted(folder.glob("cao2020_*.csv")):
        with path.open() as file:
            for row in csv.DictReader(file):
                wave = LYMAN_ALPHA * (1 + float(row["$z_s$"]))
                rows.append([wave, *(float(row[n]) for n in ("$F_{lya}$", "width", "skewness"))])
    return Lines(*np.array(rows).T)


def read(settings: ScanSettings, folder: Path) -> list[SpectrumBatch]:
    """Read all spectra of a folder that can be read."""
    batches = []
    for shard in make_shards(find_survey_files([str(folder)])):
        with opened(settings, shard) as (source, _):
            batches.append(source.spectra(np.flatnonzero(source.reasons == "")))
    return batches


def found_fraction(
    detector: Detector, batch: SpectrumBatch, z: NDArray[np.float64], lines: Lines, reach: float
) -> NDArray[np.float64]:
    """Put each line into each spectrum; return the fraction of spectra with a hit near it."""
    fraction = np.zeros(len(lines))
    for i in range(len(lines)):
        line = lines[np.full(len(batch), i)]
        spectrum = line_spectra(line, batch.grid, batch.dispersion_at(line.wave))
        hits = detector(replace(batch, flux=batch.flux + spectrum), z).hits
        distance = batch.grid.pixel(hits["WAVE"]) - batch.grid.pixel(lines.wave[i])
        near = np.abs(distance) <= reach
        fraction[i] = len(np.unique(hits["ROW"][near])) / len(batch)
    return fraction


def print_recovery(
    name: str, fraction: NDArray[np.float64], lines: Lines, inside: NDArray[np.bool_]
) -> None:
    """Print what came back, by line flux."""
    edges = np.array([0, 6, 10, 15, 30, 1000])
    cells = ""
    for low, high in pairwise(edges):
        chosen = (lines.flux >= low) & (lines.flux < high) & inside
        cells += f"{100 * fraction[chosen].mean():>9.1f}"
    print(f"{name:<28}{100 * fraction.mean():>8.2f}{100 * fraction[inside].mean():>11.2f}{cells}")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--searches", nargs="*", default=list(SEARCHES))
    arguments = parser.parse_args()
    data = Path(os.environ["SPECLENS_DATA"])
    lines = published_lines(data / "lenses")
    low, high = load_config().preparation.window
    inside = (lines.wave > low) & (lines.wave < high)
    print(f"{len(lines)} published lines, {inside.sum()} of them in the window; % found")
    print(f"{'search':<28}{'all':>8}{'in window':>11}   flux <6    6-10    10-15    15-30     >30")
    alarms = []
    for name in arguments.searches:
        config = load_config(None, SEARCHES[name])
        settings = ScanSettings(config, ShardStore(Path(), ""), True)
        detector, selection = settings.detector, config.selection
        [galaxies] = read(settings, data / "boss" / "galaxies")
        batch = galaxies[refusals(galaxies.targets, selection) == ""]
        z = redshifts(batch.targets, selection)
        fraction = found_fraction(detector, batch, z, lines, config.evaluation.match_pixels)
        print_recovery(name, fraction, lines, inside)
        for kind in ("galaxies", "sky_fibres", "stars_and_quasars"):
            parts = [batch] if kind == "galaxies" else read(settings, data / "boss" / kind)
            for part in parts:
                z_part = redshifts(part.targets, selection)
                z_part = np.full(len(part), Z_OF_SKY) if kind == "sky_fibres" else z_part
                found = detector(part, np.clip(z_part, 0.0, selection.z_max))
                for hit in found.hits:
                    target = part.targets[hit["ROW"]]
                    alarms.append(
                        f"{name}: {target['CLASS']} {target['PLATE']}-{target['MJD']}-"
                        f"{target['FIBERID']} at {hit['WAVE']:.1f} Angstrom, S/N {hit['SNR']:.1f}, "
                        f"P {found.probability[hit['ROW']]:.3f}"
                    )
                print(f"    {kind}: {len(part)} spectra, {len(found.hits)} hits")
    print("\nhits in real spectra without a published line:", *(alarms or ["none"]), sep="\n  ")


if __name__ == "__main__":
    main()
