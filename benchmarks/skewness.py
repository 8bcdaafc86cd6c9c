"""What the skew-normal fit tells of lines of known skewness, by signal-to-noise ratio.

Puts one line into each galaxy of a mock plate: as the published candidates', and the same lines
without skewness. The spectra are prepared and the lines fitted as in vetting. Prints tables.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config, load_config
from speclens.sample.preparation import Preparation, good_pixels
from speclens.search.detection import near_line
from speclens.search.matched_filter import MatchedFilter
from speclens.simulate.emitters import Lines, draw_emitters, ideal_snr, line_spectra
from speclens.simulate.survey import make_plate
from speclens.simulate.training_set import on_window, survey_of_galaxies
from speclens.spectra import FittedSpectra, LogGrid, SpectrumBatch
from speclens.vet.line_fits import Cutouts, cut_out
from speclens.vet.skewness import fit_skewness
from tables import Tables, add_option

__all__ = ["LineFit", "cutouts_of", "joined", "line_fit", "show_line_fits"]

SNR_EDGES = (6.0, 8.0, 12.0, 20.0, 40.0, 80.0)
"""Ideal signal-to-noise ratios; the last bin has an end so that lines can be drawn in it."""

MASKED_LINES = 0.1
"""More galaxies than lines: this share of the lines may fall on masked pixels."""

TITLES = ("S/N", "lines", "skewness - true", "its scatter", "in the 68 % interval", "at the bound",
          "negative", "flux / true - 1", "(flux - true) / error: width")  # fmt: skip
N_PLATES = 10
N_BOOTSTRAP = 200

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LineFit:
    """Lines put in and what was fitted, arrays of shape (N,).

    Parameters
    ----------
    snr : array
        Ideal signal-to-noise ratio.
    flux, skewness : array
        As put in, 1e-17 erg/s/cm2; skewness before the spectrograph.
    found_flux, found_flux_err : array
        As fitted.
    found, low, high : array
        Skewness as fitted, and the ends of its 68 % interval.
    at_bound : array of bool
        True where the skewness reached the end of the fit.
    """

    snr: Floats
    flux: Floats
    skewness: Floats
    found_flux: Floats
    found_flux_err: Floats
    found: Floats
    low: Floats
    high: Floats
    at_bound: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.snr)

    def __getitem__(self, rows: NDArray[np.bool_]) -> LineFit:
        return LineFit(*(values[rows] for values in vars(self).values()))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", type=int, default=1000, help="in each bin")
    parser.add_argument("--seed", type=int, default=1)
    add_option(parser)
    arguments = parser.parse_args()
    config = load_config()
    rng = np.random.default_rng(arguments.seed)
    galaxies = mock_galaxies(int(arguments.lines * (1 + MASKED_LINES)), config, rng)
    drawn = [
        draw_lines(galaxies, arguments.lines, bounds, config, rng) for bounds in pairwise(SNR_EDGES)
    ]
    seconds = 0.0
    tables = Tables(arguments.tables)
    for name, title, skewed in (
        ("skewness_published", "lines as the published candidates'", True),
        ("skewness_symmetric", "symmetric lines", False),
    ):
        parts = []
        for rows, lines, snr in drawn:
            put_in = lines if skewed else replace(lines, skewness=np.zeros(len(lines)))
            fit, spent = fit_lines_in(galaxies[rows], put_in, snr, config)
            parts.append(fit)
            seconds += spent
        print(f"\n{title}, put into mock galaxies")
        show_line_fits(name, joined(parts), rng, tables)
    n_fits = 2 * sum(len(rows) for rows, _, _ in drawn)
    print(f"\n{1e3 * seconds / n_fits:.2f} ms of CPU a fit, {n_fits} fits")


def mock_galaxies(n_galaxies: int, config: Config, rng: np.random.Generator) -> SpectrumBatch:
    """Simulate galaxies without lines, of several plates: the line spread differs by plate."""
    chosen = survey_of_galaxies(config, -(-n_galaxies // N_PLATES))
    grid = LogGrid.covering(*config.preparation.window)
    plates = [on_window(make_plate(i, chosen, rng)[0], grid) for i in range(N_PLATES)]
    flux, ivar, mask, covered, dispersion, targets = (
        np.concatenate([getattr(plate, name) for plate in plates])
        for name in ("flux", "ivar", "mask", "covered", "dispersion", "targets")
    )
    files = [file for plate in plates for file in plate.files]
    return SpectrumBatch(grid, flux, ivar, mask, covered, dispersion, targets, files)


def draw_lines(
    galaxies: SpectrumBatch,
    n_lines: int,
    bounds: tuple[float, float],
    config: Config,
    rng: np.random.Generator,
) -> tuple[NDArray[np.intp], Lines, Floats]:
    """Draw lines: galaxies in which they can be seen, the lines, the S/N that they shall have."""
    lines = draw_emitters(len(galaxies), config.preparation.window, config.emitters, rng)
    snr = np.exp(rng.uniform(np.log(bounds[0]), np.log(bounds[1]), len(lines)))
    prepared = Preparation(config)(galaxies, galaxies.targets["Z"])
    centre = np.round(galaxies.grid.pixel(lines.wave)).astype(np.intp)
    centre = np.clip(centre, 0, galaxies.grid.n_pixels - 1)
    rows = np.flatnonzero(prepared.ivar[np.arange(len(lines)), centre] > 0)[:n_lines]
    return rows, lines[rows], snr[rows]


def fit_lines_in(
    galaxies: SpectrumBatch, lines: Lines, snr: Floats, config: Config
) -> tuple[LineFit, float]:
    """Put a line of given S/N into each galaxy, fit it as vetting does; return fits, seconds."""
    ivar = np.where(good_pixels(galaxies, config.preparation), galaxies.ivar, 0)
    added = line_spectra(lines, galaxies.grid, galaxies.dispersion_at(lines.wave))
    scale = snr / ideal_snr(added, ivar)
    lines = replace(lines, flux=lines.flux * scale)
    spectra = replace(galaxies, flux=galaxies.flux + added * scale[:, None].astype(np.float32))
    cutouts = cutouts_of(spectra, lines, config)
    start = time.process_time()
    fitted = fit_skewness(cutouts, config.vet)
    return line_fit(snr, lines, fitted), time.process_time() - start


def cutouts_of(spectra: SpectrumBatch, lines: Lines, config: Config) -> Cutouts:
    """Cut out the lines where the matched filter sees them, foreground fitted without them."""
    grid, z = spectra.grid, spectra.targets["Z"]
    preparation, bank = Preparation(config), MatchedFilter(grid, config.matched_filter)
    seen = preparation(spectra, z)
    best = bank.search(seen.residual, seen.ivar).best
    distance = np.abs(np.arange(grid.n_pixels) - grid.pixel(lines.wave)[:, None])
    top = np.where(distance <= config.evaluation.match_pixels, best, -np.inf).argmax(axis=1)
    hits = bank.hits_at(np.arange(len(lines)), top, best)
    line = np.array([near_line(grid, w, bank.half_width) for w in hits["WAVE"].tolist()])
    again = preparation(spectra, z, line)
    hits = bank.measure(again.residual, again.ivar, hits, spectra.dispersion)
    fitted = FittedSpectra(grid, again.flux, again.ivar, again.model, spectra.dispersion)
    usual = np.interp(hits["WAVE"], *np.array(config.matched_filter.dispersion).T)
    return cut_out(fitted, hits["WAVE"], config.vet.fit_half_width, usual)


def line_fit(snr: Floats, lines: Lines, fitted: Mapping[str, NDArray[np.generic]]) -> LineFit:
    """Set what was fitted beside what was put in."""
    names = ("LYA_FLUX", "LYA_FLUX_ERR", "SKEWNESS", "SKEWNESS_LOW", "SKEWNESS_HIGH")
    flux, error, found, low, high = (np.asarray(fitted[name], np.float64) for name in names)
    at_bound = np.asarray(fitted["FIT_STATUS"] == "at_bound")
    return LineFit(snr, lines.flux, lines.skewness, flux, error, found, low, high, at_bound)


def joined(parts: Sequence[LineFit]) -> LineFit:
    """Join fits."""
    names = LineFit.__dataclass_fields__
    return LineFit(**{n: np.concatenate([getattr(part, n) for part in parts]) for n in names})


def show_line_fits(name: str, fits: LineFit, rng: np.random.Generator, tables: Tables) -> None:
    """Print bias, scatter and coverage of skewness and flux, by ideal S/N."""
    rows = []
    for low, high in pairwise(SNR_EDGES):
        last = high == SNR_EDGES[-1]
        part = fits[(fits.snr >= low) & ((fits.snr < high) | last)]
        rows.append([f"> {low:.0f}" if last else f"{low:.0f}-{high:.0f}", *_cells(part, rng)])
    tables.show(name, TITLES, rows)


def _cells(fits: LineFit, rng: np.random.Generator) -> Sequence[str]:
    fits = fits[np.isfinite(fits.found)]
    if not len(fits):
        return ["0", *[""] * (len(TITLES) - 2)]
    difference = fits.found - fits.skewness
    covered = (fits.low <= fits.skewness) & (fits.skewness <= fits.high)
    flux = fits.found_flux / fits.flux - 1
    pull = (fits.found_flux - fits.flux) / fits.found_flux_err
    return (
        f"{len(fits)}",
        f"{np.median(difference):+.2f} ± {_error_of_median(difference, rng):.2f}",
        f"{_half_interval(difference):.2f}",
        f"{covered.mean():.2f}",
        f"{100 * fits.at_bound.mean():.0f} %",
        f"{100 * (fits.found < 0).mean():.0f} %",
        f"{100 * np.median(flux):+.1f} ± {100 * _error_of_median(flux, rng):.1f} %",
        f"{_half_interval(pull):.2f}",
    )


def _half_interval(values: Floats) -> float:
    low, high = np.percentile(values, [15.87, 84.13])
    return float(high - low) / 2


def _error_of_median(values: Floats, rng: np.random.Generator) -> float:
    drawn = rng.integers(len(values), size=(N_BOOTSTRAP, len(values)))
    return float(np.median(values[drawn], axis=1).std())


if __name__ == "__main__":
    main()
