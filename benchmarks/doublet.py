"""How often [O II] is told from Lyman alpha by its two lines alone, in mock DESI and mock BOSS.

    python benchmarks/doublet.py [--plates 5] [--spectra 1000] [--tables FOLDER] [--figures FOLDER]

First without noise: by how much chi2 of the best skew-normal line exceeds that of a doublet, for
[O II] with an ideal S/N of 10 and equal lines, as BOSS sees it, on DESI's own pixels, and on the
grid of the searches, to which the reader brings these; means over places between two pixels. Then
with all noise: half of the galaxies of mock plates, in memory, get [O II] without the other lines
of its galaxy, half a Lyman-alpha line as the published ones; wavelengths are uniform in a window,
ideal S/N in its logarithm. Both are drawn on the survey's own pixels, read, prepared and fitted
where the matched filter sees them, as vetting does. Told right is [O II] whose DOUBLET_DCHI2 is
positive, and Lyman alpha whose is not.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from skewness import cutouts_of
from speclens.config import Config, VetConfig, load_config
from speclens.evaluate.completeness import wilson_interval
from speclens.hypotheses import OII
from speclens.lines import pixel_width_angstrom
from speclens.read.desi.regrid import Regrid
from speclens.simulate.arms import ARM_PIXELS, Arms, arms_noise
from speclens.simulate.emission_galaxies import GalaxyEmission, draw_emission, emission_spectra
from speclens.simulate.emitters import Lines, draw_emitters, ideal_snr, line_spectra
from speclens.simulate.linear_grid import Grid
from speclens.simulate.noise_model import NoiseModel
from speclens.simulate.spectrographs import that_saw
from speclens.simulate.survey import make_plate
from speclens.simulate.training_set import clean_survey, on_window
from speclens.spectra import LogGrid
from speclens.vet.interlopers import OII_SEPARATION, doublet_chi2
from speclens.vet.line_fits import Cutouts
from speclens.vet.skewness import fit_skewness
from speclens.view.comparison import draw_searches
from tables import Tables, add_option

SURVEYS = {"DESI": "desi", "BOSS": None}
WINDOWS = {"3800-5000 Å": ([], (3800.0, 5000.0)), "7300-9300 Å": (["elg"], (7300.0, 9300.0))}
"""Where lines are put in, and the search that looks there: for Lyman alpha alone, and for all
lines, of which no other than [O II] is seen of galaxies there."""

SIGMA_KMS, USUAL_WAVE, EDGE_ANGSTROM = (30.0, 120.0), 4300.0, 60.0
SNR_EDGES = (6.0, 8.0, 11.0, 15.0, 20.0, 30.0)
NEAR_PIXELS = 4
"""Pixels on either side of a line that must be good."""

WAVES, WIDTHS_KMS, SNR, N_PLACES = (4400.0, 8300.0), (30.0, 60.0, 120.0), 10.0, 12
MARGIN_ANGSTROM = 90.0
"""Of the noiseless spectra beyond the line."""

PIXEL_VARIANCE = 1 / 12
"""Of a pixel over which a line is summed, pixels^2."""

Floats = NDArray[np.float64]
Images = NDArray[np.float32]


@dataclass(frozen=True)
class Seen:
    """Noiseless lines: pixels, flux density, inverse variance and line spread, shape (N, L)."""

    grid: Grid
    flux: Images
    ivar: Images
    dispersion: Images

    def on(self, window: LogGrid) -> Seen:
        """Return the same as a reader of DESI's files brings it onto a window."""
        own = self.grid
        regrid = Regrid(float(own.wave[0]), float(own.width(own.wave[:1])[0]),
                        slice(0, own.n_pixels), window)  # fmt: skip
        spread = np.sqrt(self.dispersion**2 + np.float32(PIXEL_VARIANCE))
        return Seen(window, *regrid(self.flux, self.ivar, spread * own.width(own.wave)))

    def cut_out(self, waves: Floats, half_width: int) -> Cutouts:
        """Cut out the lines, as far to either side as so many pixels of the searches reach."""
        reach = half_width * pixel_width_angstrom(waves[0]) / self.grid.width(waves[:1])[0]
        offset, middle = np.arange(-round(reach), round(reach) + 1), self.grid.nearest(waves)
        row = np.arange(len(waves))
        at = row[:, None], middle[:, None] + offset
        flux, ivar = (np.asarray(image[at], np.float64) for image in (self.flux, self.ivar))
        return Cutouts(
            offset.astype(np.float64), flux, ivar, self.grid.pixel(waves) - middle,
            self.grid.wave[middle], np.asarray(self.dispersion[row, middle], np.float64),
        )  # fmt: skip


def noiseless(wave: float, vet: VetConfig, rng: np.random.Generator) -> Iterator[list[str]]:
    """Yield what a skew-normal line misses of doublets at a wavelength, by kind of pixels."""
    waves = wave + rng.uniform(-2, 2, N_PLACES)
    window = LogGrid.covering(wave - MARGIN_ANGSTROM, wave + MARGIN_ANGSTROM)
    arms = Arms(Arms(tuple(ARM_PIXELS)).within(wave, wave).names[:1])
    own, apart = arms.grid, np.ptp(OII.member_waves) * wave / OII.wave
    cells: dict[str, list[str]] = {}
    for sigma in WIDTHS_KMS:
        boss = doublets(waves, sigma, window, NoiseModel.bundled().on(window).dispersion)
        desi = doublets(waves, sigma, own, arms_noise(arms).dispersion)
        for label, seen, separation in (
            ("BOSS", boss, OII_SEPARATION),
            ("DESI, its own pixels", desi, float(apart / own.step)),
            ("DESI, the grid of the searches", desi.on(window), OII_SEPARATION),
        ):
            lines = seen.cut_out(waves, vet.fit_half_width)
            missed = gain_of_two(lines, vet, separation).mean()
            cells.setdefault(label, []).append(f"{missed:.1f}")
    for label, chi2 in cells.items():
        yield [f"{wave:.0f} Å", label, *chi2]


def doublets(waves: Floats, sigma_kms: float, grid: Grid, dispersion: Images) -> Seen:
    """Draw doublets of the ideal S/N, with two equal lines."""
    n = len(waves)
    galaxies = GalaxyEmission(
        waves / OII.wave - 1, np.full(n, sigma_kms), np.full((n, 2), 0.5), OII.members
    )
    spread = np.broadcast_to(dispersion, (n, grid.n_pixels))
    flux = emission_spectra(galaxies, grid, spread).sum(axis=0)
    ivar = np.broadcast_to(SNR**2 / (flux**2).sum(axis=1)[:, None], flux.shape)
    return Seen(grid, flux.astype(np.float32), ivar.astype(np.float32), spread)


def told(config: Config, n_spectra: int, rng: np.random.Generator) -> Floats:
    """Tell lines in a mock plate: ideal S/N, is it [O II], is it told right, shape (3, M)."""
    window = LogGrid.covering(*config.preparation.window)
    plate = make_plate(0, clean_survey(config, n_spectra, {}), rng)[0]
    spectrograph, seen = that_saw(plate), plate.observed
    low, high = config.preparation.window
    waves = rng.uniform(low + EDGE_ANGSTROM, high - EDGE_ANGSTROM, n_spectra)
    is_oii = rng.random(n_spectra) < 0.5
    spread = spectrograph.line_spread(seen.dispersion)
    oxygen, lya = drawn(waves, spectrograph.grid, spread, config, rng)
    added = spectrograph.of_lines(np.where(is_oii[:, None], oxygen, lya))
    first, last = SNR_EDGES[0], SNR_EDGES[-1]
    snr = np.exp(rng.uniform(np.log(first), np.log(last), n_spectra))
    scale = snr / np.maximum(ideal_snr(added, seen.ivar), 1e-9)
    flux = (seen.flux + added * scale[:, None]).astype(np.float32)
    batch = on_window(replace(plate, observed=replace(seen, flux=flux)), window)
    zeros = np.zeros(n_spectra)
    cutouts = cutouts_of(batch, Lines(waves, zeros + 1, zeros + 1, zeros), config)
    whole = (cutouts.ivar[:, np.abs(cutouts.offset) <= NEAR_PIXELS] > 0).all(axis=1)
    lines = cutouts[np.flatnonzero(whole)]
    is_oii, doublet = is_oii[whole], gain_of_two(lines, config.vet) > 0
    return np.stack([snr[whole], is_oii, doublet == is_oii]).astype(np.float64)


def gain_of_two(lines: Cutouts, vet: VetConfig, separation: float = OII_SEPARATION) -> Floats:
    """Return DOUBLET_DCHI2: chi2 of the best skew-normal line minus that of a doublet."""
    one = np.asarray(fit_skewness(lines, vet)["CHI2"], np.float64)
    return np.asarray(one - doublet_chi2(lines, vet, separation))


def drawn(
    waves: Floats, grid: Grid, spread: NDArray[np.floating], config: Config,
    rng: np.random.Generator,
) -> tuple[Floats, Images]:  # fmt: skip
    """Draw [O II] alone, and Lyman alpha, at each wavelength: shape (N, L)."""
    galaxies = draw_emission(waves / OII.wave - 1, SIGMA_KMS, rng)
    members = [galaxies.names.index(name) for name in OII.members]
    alone = replace(galaxies, fluxes=galaxies.fluxes[:, members], names=OII.members)
    oxygen = emission_spectra(alone, grid, spread).sum(axis=0)
    lines = draw_emitters(len(waves), (0.0, 1.0), config.emitters, rng)
    lines = replace(lines, wave=waves, width=lines.width * waves / USUAL_WAVE)
    at_line = spread[np.arange(len(waves)), grid.nearest(waves)]
    return oxygen, line_spectra(lines, grid, at_line)


def configured(survey: str, window: str) -> Config:
    """Return the configuration of a survey's mock, and of the search that looks in a window."""
    under, (low, high) = WINDOWS[window]
    overrides = [f"preparation.window=[{low}, {high}]", "training_set.damage_rate=0"]
    return load_config(SURVEYS[survey], overrides, under=under)


def rows_of(found: Floats) -> Iterator[list[str]]:
    """Yield how many lines of a kind there were, and what share was told right, by ideal S/N."""
    snr, is_oii, right = found
    for kind, value in (("[O II]", 1), ("Ly alpha", 0)):
        own = is_oii == value
        bins = np.digitize(snr[own], SNR_EDGES)
        cells = [f"{100 * right[own][bins == i].mean():.0f} %" for i in range(1, len(SNR_EDGES))]
        yield [kind, f"{own.sum():,}", *cells]


def even_shares(found: Floats) -> tuple[Floats, tuple[Floats, Floats]]:
    """Return the share told right of as many of both kinds, by ideal S/N, and its interval."""
    snr, is_oii, right = found
    shares, low, high = [], [], []
    for value in (0, 1):
        own = is_oii == value
        n_lines = np.histogram(snr[own], SNR_EDGES)[0]
        n_right = np.histogram(snr[own & (right == 1)], SNR_EDGES)[0]
        share = n_right / np.maximum(n_lines, 1)
        ends = wilson_interval(n_right, n_lines)
        shares.append(share)
        low.append(share - ends[0])
        high.append(ends[1] - share)
    mean = np.mean(shares, axis=0)
    return mean, (mean - np.hypot(*low) / 2, mean + np.hypot(*high) / 2)


def main() -> None:
    """Measure, print the tables, draw the figure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--plates", type=int, default=5, help="of each survey and window")
    parser.add_argument("--spectra", type=int, default=1000, help="on each plate")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--figures", type=Path, help="folder for the figure")
    add_option(parser)
    options = parser.parse_args()
    tables, rng = Tables(options.tables), np.random.default_rng(options.seed)
    vet = load_config().vet
    titles = ["[O II] at", "pixels", *(f"{width:.0f} km/s" for width in WIDTHS_KMS)]
    rows = (row for wave in WAVES for row in noiseless(wave, vet, rng))
    tables.show("doublet_noiseless", titles, rows)
    cells, shares, intervals = [], {}, {}
    for window in WINDOWS:
        for survey in SURVEYS:
            config = configured(survey, window)
            parts = [told(config, options.spectra, rng) for _ in range(options.plates)]
            found, label = np.concatenate(parts, axis=1), f"{survey}, {window}"
            cells += [[window, survey, *row] for row in rows_of(found)]
            shares[label], intervals[label] = even_shares(found)
    bins = [f"{low:g}-{high:g}" for low, high in pairwise(SNR_EDGES)]
    tables.show("doublet_told", ["window", "mock of", "line", "lines", *bins], cells)
    if options.figures:
        title = "[O II] alone, and as many lines of Lyman alpha"
        edges = np.array(SNR_EDGES)
        path = options.figures / "doublet.png"
        draw_searches(path, edges, shares, title, intervals, "fraction told right")


if __name__ == "__main__":
    main()
