"""The networks on real spectra: published lines put into BOSS galaxies, and spectra without lines.

Each of the published lensed Lyman-alpha lines (Cao et al. 2020) goes, with its flux, width and
skewness and at its own wavelength, into each of the real galaxies in turn. Then every real spectrum
as it is: galaxies, sky fibres, stars, quasars. Then the lines go into some of the galaxies again,
as published and without skewness, and the hits are vetted. Needs SPECLENS_DATA.
"""

from __future__ import annotations

import argparse
import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from skewness import LineFit, joined, line_fit, show_line_fits
from speclens.config import SelectionConfig, load_config
from speclens.evidence.gather import Gatherer, GatherSettings
from speclens.lines import LYMAN_ALPHA
from speclens.read.discovery import find_survey_files
from speclens.read.shards import make_shards
from speclens.run.store import ShardStore
from speclens.sample.preparation import good_pixels
from speclens.sample.selection import redshifts, refusals
from speclens.schema import HITS, VET_FLAGS, dtype_of
from speclens.search.detection import Detection, Detector, near_line
from speclens.search.scan import Scanner, ScanSettings
from speclens.simulate.emitters import Lines, ideal_snr, line_spectra
from speclens.spectra import FittedSpectra, LogGrid, SpectrumBatch
from speclens.vet.hit_spectra import HitSpectra
from speclens.vet.judge import judge
from speclens.vet.measure import measure_hits
from speclens.vet.probability import lya_probability
from speclens.view.comparison import RecoveredLines, draw_recovery
from tables import Tables, add_option

SEARCHES = {
    "network `speclens`": [],
    "network `li2019`": ["search.model=li2019", "search.snr_certain=0.0"],
    "bank of filters": ["search.method=matched-filter"],
    "network `speclens`, P > 0.1": ["search.probability_min=0.1"],
    "bank of filters, S/N > 5": ["search.method=matched-filter", "matched_filter.snr_min=5.0"],
}
Z_OF_SKY = 0.5
"""Sky fibres have no redshift; a lens there would have about this one."""

CUTS = {"speclens": "speclens", "Li et al. 2019": "li2019", "Shu et al. 2016": "shu2016"}
REACH = load_config().evaluation.match_pixels
FLUX_EDGES = (0, 6, 10, 15, 30, np.inf)
SNR_EDGES = (5.0, 6.0, 7.0, 8.0, 10.0)
FIGURE_EDGES = (6.0, 12.0, 20.0)


def published_lines(folder: Path) -> Lines:
    """Read the published candidates' lines."""
    rows: list[list[float]] = []
    for path in sorted(folder.glob("cao2020_*.csv")):
        with path.open() as file:
            for row in csv.DictReader(file):
                wave = LYMAN_ALPHA * (1 + float(row["$z_s$"]))
                rows.append([wave, *(float(row[n]) for n in ("$F_{lya}$", "width", "skewness"))])
    return Lines(*np.array(rows).T)


def read(settings: ScanSettings, folder: Path, grid: LogGrid | None = None) -> list[SpectrumBatch]:
    """Read all spectra of a folder that can be read."""
    batches = []
    for shard in make_shards(find_survey_files([str(folder)])):
        with settings.opened(shard, grid) as (source, _):
            batches.append(source.spectra(np.flatnonzero(source.reasons == "")))
    return batches


def put_in(
    detector: Detector,
    batch: SpectrumBatch,
    z: NDArray[np.float64],
    lines: Lines,
    snr: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Put each of M lines into each of N spectra; say which are found, and which can be seen.

    Two arrays of shape (M, N). A line under a mask, or beyond the window, cannot be seen. With an
    ideal S/N for each, shape (M, N), lines are as bright as that.
    """
    prepared = detector.preparation(batch, z)
    filtered = detector.matched_filter.apply(prepared.residual, prepared.ivar)
    ivar = np.where(prepared.ivar > 0, batch.ivar, 0)
    every, pixels = np.arange(len(batch)), np.rint(batch.grid.pixel(lines.wave)).astype(np.intp)
    found = np.zeros((len(lines), len(batch)), bool)
    seen = found.copy()
    for i, pixel in enumerate(pixels):
        line = lines[np.full(len(batch), i)]
        spectrum = line_spectra(line, batch.grid, batch.dispersion_at(line.wave))
        if snr is not None:
            ideal = ideal_snr(spectrum, ivar)
            scale = np.divide(snr[i], ideal, out=np.zeros(len(batch)), where=ideal > 0)
            spectrum *= scale[:, None].astype(spectrum.dtype)
        hits = detector(replace(batch, flux=batch.flux + spectrum), z).hits
        near = np.abs(batch.grid.pixel(hits["WAVE"]) - pixel) <= REACH
        found[i, hits["ROW"][near]] = True
        seen[i] = filtered.sees(every, np.full(len(batch), pixel))
    return found, seen


def flux_row(
    found: NDArray[np.bool_], seen: NDArray[np.bool_], lines: Lines, inside: NDArray[np.bool_]
) -> list[str]:
    """Return what came back: of all lines, in the window, and by flux of those beside masks, %."""
    row = [f"{100 * part.mean():.2f}" for part in (found, found[inside], found[seen])]
    for low, high in pairwise(FLUX_EDGES):
        chosen = seen & ((lines.flux >= low) & (lines.flux < high))[:, None]
        row.append(f"{100 * found[chosen].mean():.1f}" if chosen.any() else "-")
    return row


def snr_row(
    detector: Detector, batch: SpectrumBatch, z: NDArray[np.float64], lines: Lines
) -> list[str]:
    """Put lines in at S/N of their own; return what is found beside masks, by S/N, %."""
    ends = SNR_EDGES[0], SNR_EDGES[-1]
    snr = np.random.default_rng(3).uniform(*ends, (len(lines), len(batch)))
    found, seen = put_in(detector, batch, z, lines, snr)
    share = np.histogram(snr[seen & found], SNR_EDGES)[0] / np.histogram(snr[seen], SNR_EDGES)[0]
    return [f"{100 * value:.1f}" for value in share]


@dataclass
class VettedLines:
    """Searching and vetting lines in galaxies, as `speclens search` does.

    Parameters
    ----------
    settings : ScanSettings
        The search.
    galaxies : SpectrumBatch
        Whole spectra of N galaxies.
    lines : Lines
        The lines to put in.
    """

    settings: ScanSettings
    galaxies: SpectrumBatch
    lines: Lines

    @cached_property
    def detector(self) -> Detector:
        """The search."""
        return Scanner(self.settings).detector

    @cached_property
    def gatherer(self) -> Gatherer:
        """How the spectra of hits are prepared."""
        return Gatherer(GatherSettings(self.settings, Path()))

    def __call__(self, which: NDArray[np.intp]) -> tuple[NDArray[np.void], LineFit]:
        """Put a line into each of the first galaxies; vet the hits at them.

        Parameters
        ----------
        which : array of shape (n,)
            The lines, not more than there are galaxies.

        Returns
        -------
        hits : structured array
            Rows of hits.fits with all columns of a single spectrum.
        fits : LineFit
            What was fitted of each, beside what was put in.
        """
        config, window = self.settings.config, self.settings.grid
        galaxies, lines = self.galaxies[: len(which)], self.lines[which]
        added = line_spectra(lines, galaxies.grid, galaxies.dispersion_at(lines.wave))
        good = good_pixels(galaxies, config.preparation)
        snr = ideal_snr(added, np.where(good, galaxies.ivar, 0))
        spectra = replace(galaxies, flux=galaxies.flux + added)
        z = redshifts(spectra.targets, config.selection)
        found = self.detector(spectra.on(window), z)
        row = found.hits["ROW"]
        distance = window.pixel(found.hits["WAVE"]) - window.pixel(lines.wave[row])
        found = replace(found, hits=found.hits[np.abs(distance) <= config.evaluation.match_pixels])
        row = found.hits["ROW"]
        hits = hits_of(found, z, config.search.method)
        window_and_whole = self.fitted(spectra[row], hits)
        usual = config.matched_filter.dispersion
        columns = measure_hits(HitSpectra(hits, *window_and_whole, usual, config.vet))
        for name, values in columns.items():
            hits[name] = values
        hits["P_LYA"] = lya_probability(hits)
        return hits, line_fit(snr[row], lines[row], columns)

    def fitted(
        self, spectra: SpectrumBatch, hits: NDArray[np.void]
    ) -> tuple[FittedSpectra, FittedSpectra]:
        """Fit the foreground without the line, in the window and in the whole spectrum."""
        half_width = self.settings.config.matched_filter.half_width
        parts = []
        for batch, preparation in (
            (spectra.on(self.settings.grid), self.gatherer.in_window),
            (spectra, self.gatherer.whole),
        ):
            line = np.zeros(batch.flux.shape, bool)
            for row, wave in enumerate(hits["WAVE"].tolist()):
                line[row] = near_line(batch.grid, wave, half_width)
            fit = preparation(batch, hits["Z"], line)
            parts.append(FittedSpectra(batch.grid, fit.flux, fit.ivar, fit.model, batch.dispersion))
        return parts[0], parts[1]


def hits_of(found: Detection, z: NDArray[np.float64], method: str) -> NDArray[np.void]:
    """Rows of hits.fits; what needs other spectra or other hits is not a number."""
    hits = np.zeros(len(found.hits), dtype_of(HITS, FILE=1))
    for name in hits.dtype.names or ():
        if hits.dtype[name].kind == "f":
            hits[name] = np.nan
    for name in ("SNR", "WAVE", "WAVE_ERR", "FLUX", "FLUX_ERR", "FWHM_KMS", "Z_SOURCE"):
        hits[name] = found.hits[name]
    hits["Z"], hits["METHOD"] = z[found.hits["ROW"]], method
    hits["PROBABILITY"] = found.probability[found.hits["ROW"]]
    return hits


def print_vetting(
    settings: ScanSettings,
    galaxies: SpectrumBatch,
    lines: Lines,
    repeats: int,
    figures: Path | None,
    tables: Tables,
) -> None:
    """Vet the published lines in real galaxies, as they are and without skewness."""
    rng = np.random.default_rng(1)
    order = np.concatenate([rng.permutation(len(lines)) for _ in range(repeats)])
    plain = replace(lines, skewness=np.zeros(len(lines)))
    fits = []
    for name, title, put_in in (
        ("published", "published lines", lines),
        ("symmetric", "the same without skewness", plain),
    ):
        vetted = VettedLines(settings, galaxies, put_in)
        starts = range(0, len(order), len(galaxies))
        parts = [vetted(order[start : start + len(galaxies)]) for start in starts]
        hits = np.concatenate([rows for rows, _ in parts])
        fits.append(joined([fit for _, fit in parts]))
        print(f"\n{title}: {len(order)} put into real galaxies, {len(hits)} found; of these")
        show_line_fits(f"real_fits_{name}", fits[-1], rng, tables)
        print_cuts(f"real_cuts_{name}", hits, tables)
    if figures is not None:
        all_fits = joined(fits)
        names = RecoveredLines.__dataclass_fields__
        recovered = RecoveredLines(**{name: getattr(all_fits, name) for name in names})
        draw_recovery(figures / "recovery.png", recovered, FIGURE_EDGES)


def print_cuts(table: str, hits: NDArray[np.void], tables: Tables) -> None:
    """Print how many hits stay candidates by each set of cuts, and which flags the others have."""
    rows = []
    for name, source in CUTS.items():
        cuts = load_config(source).vet
        judge(hits, cuts)
        by_flag = {
            flag.name: 100 * ((hits["VET_FLAGS"] & flag.bit) != 0).mean()
            for flag in VET_FLAGS
            if flag.name in cuts.vetoes
        }
        text = ", ".join(f"{flag} {share:.1f} %" for flag, share in by_flag.items() if share)
        rows.append([name, f"{100 * hits['CANDIDATE'].mean():.1f} %", text])
    tables.show(table, ["cuts", "candidates", "vetoed by"], rows)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--searches", nargs="*", default=list(SEARCHES))
    parser.add_argument("--lines", type=int, help="put in only so many of the published lines")
    parser.add_argument("--vetted", type=int, default=4, help="galaxies for each line to be vetted")
    parser.add_argument("--figures", type=Path, help="folder of the figure of what came back")
    add_option(parser)
    arguments = parser.parse_args()
    data = Path(os.environ["SPECLENS_DATA"])
    lines = published_lines(data / "lenses")
    lines = lines[np.arange(len(lines))[: arguments.lines]]
    low, high = load_config().preparation.window
    inside = (lines.wave > low) & (lines.wave < high)
    tables = Tables(arguments.tables)
    print(f"{len(lines)} published lines, {inside.sum()} of them in the window")
    if arguments.searches:
        print_searches(arguments.searches, data, lines, inside, tables)
    if arguments.vetted:
        settings = ScanSettings(load_config(), ShardStore(Path(), ""))
        [batch] = read(settings, data / "boss" / "galaxies", GatherSettings(settings, Path()).grid)
        batch = batch[refusals(batch.targets, settings.config.selection) == ""]
        print_vetting(settings, batch, lines, arguments.vetted, arguments.figures, tables)


def print_searches(
    names: Sequence[str], data: Path, lines: Lines, inside: NDArray[np.bool_], tables: Tables
) -> None:
    """Print how many lines each search finds, and what it fires on in spectra as they are."""
    found_rows, snr_rows, alarm_rows = [], [], []
    alarms: list[str] = []
    counts: dict[str, list[int]] = {}
    for name in names:
        config = load_config(None, SEARCHES[name])
        settings = ScanSettings(config, ShardStore(Path(), ""))
        detector, selection = Scanner(settings).detector, config.selection
        [galaxies] = read(settings, data / "boss" / "galaxies")
        batch = galaxies[refusals(galaxies.targets, selection) == ""]
        z = redshifts(batch.targets, selection)
        found, seen = put_in(detector, batch, z, lines)
        found_rows.append([name, *flux_row(found, seen, lines, inside)])
        snr_rows.append([name, *snr_row(detector, batch, z, lines[inside])])
        counts = {}
        for kind in ("galaxies", "sky_fibres", "stars_and_quasars"):
            parts = [batch] if kind == "galaxies" else read(settings, data / "boss" / kind)
            for part in parts:
                fired = alarms_in(detector, part, kind, selection)
                alarms += [f"{name}: {alarm}" for alarm in fired]
                counted = counts.setdefault(kind, [0, 0])
                counted[0], counted[1] = counted[0] + len(part), counted[1] + len(fired)
        alarm_rows.append([name, *(str(n_hits) for _, n_hits in counts.values())])
    print("% found")
    bins = ["flux below 6", "6-10", "10-15", "15-30", "above 30"]
    tables.show("real_lines", ["", "all lines", "in the window", "beside masks", *bins], found_rows)
    bins = [f"{low:.0f}-{high:.0f}" for low, high in pairwise(SNR_EDGES)]
    tables.show("real_lines_snr", ["ideal S/N", *bins], snr_rows)
    titles = [f"{n} {kind.replace('_', ' ')}" for kind, (n, _) in counts.items()]
    tables.show("real_spectra", ["hits in", *titles], alarm_rows)
    print("\nhits in real spectra without a published line:", *(alarms or ["none"]), sep="\n  ")


def alarms_in(
    detector: Detector, part: SpectrumBatch, kind: str, selection: SelectionConfig
) -> list[str]:
    """Say where a search fires in spectra as they are."""
    z = redshifts(part.targets, selection)
    z = np.full(len(part), Z_OF_SKY) if kind == "sky_fibres" else z
    detected = detector(part, np.clip(z, 0.0, selection.z_max))
    found = []
    for hit in detected.hits:
        target = part.targets[hit["ROW"]]
        found.append(
            f"{target['CLASS']} {target['PLATE']}-{target['MJD']}-{target['FIBERID']} at "
            f"{hit['WAVE']:.1f} Angstrom, S/N {hit['SNR']:.1f}, "
            f"P {detected.probability[hit['ROW']]:.3f}"
        )
    return found


if __name__ == "__main__":
    main()
