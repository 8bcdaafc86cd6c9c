"""Searches on DESI: what its pixels lose on the grid, and lines put into real and mock spectra.

    SPECLENS_DATA=FOLDER python benchmarks/desi.py [--repeats 200] [--spectra 500] [--tables FOLDER]

First Gaussian lines of several widths on DESI's pixels, as wide as its resolution says: their
signal-to-noise ratio on the grid, for a filter of the right shape that takes neighbours for
independent, over that on DESI's own pixels; noise as white before. Then Lyman-alpha lines in real
spectra of DESI and of BOSS, as many in either, counted at the same ideal S/N, which is that of the
errors as stated. There is one galaxy of DESI with its redshift; of the other spectra, two targets
of a coadd without redrock and 25 without their fibre map, redshifts are fitted here, and those kept
that look like a faint galaxy: what is tested is the search on DESI's pixels and noise, not who is
behind whom. Last the same in three files of each survey's mock, galaxies alone, at equal rates of
false alarms, of which so many spectra can tell.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from speclens.config import load_config
from speclens.evaluate.completeness import fit_completeness
from speclens.evaluate.evaluation import Evaluation, evaluate
from speclens.lines import SPEED_OF_LIGHT_KMS, gaussian_pixels, pixel_width_angstrom
from speclens.read.desi.arms import find_arms
from speclens.read.desi.coadd import CoaddFile
from speclens.read.desi.regrid import Regrid
from speclens.read.fits.opening import open_fits
from speclens.read.sdss.targets import blank_targets
from speclens.sample.foreground import Foreground
from speclens.schema import COMPARED_SCORES
from speclens.simulate.mock_survey import make_survey
from speclens.simulate.training_set import survey_of_galaxies
from speclens.spectra import LogGrid, SpectrumBatch
from speclens.stored_tables import read_rows
from speclens.verbs.compare import CompareRequest, compare
from tables import Tables, add_option

SPREADS = {4000.0: 0.70, 6000.0: 0.64, 9000.0: 0.74}
"""Standard deviation of the resolution of a real coadd by wavelength, Angstrom."""
WIDTHS_KMS = (0.0, 50.0, 100.0)
STEP, N_PIXELS, N_LINES, N_NOISE = 0.8, 400, 200, 400
Z_TRIED = np.arange(0.02, 1.6, 0.001)
CHI2_MAX, SNR_RANGE = 1.6, (0.5, 10.0)
"""Of a faint galaxy: reduced chi-square of its fit at most, and median S/N of a pixel."""
RATES = (0.01, 0.003)
"""False alarms a spectrum at which searches are compared on mock spectra."""
N_FILES = 3
EDGES = (5.0, 6.0, 7.0, 8.0, 10.0, 14.0, 24.0)
SEARCHES = {"network (default)": "resnet", "bank of filters": "matched-filter"}

Floats = NDArray[np.float64]


def kept_by_the_grid(wave: float, spread: float, rng: np.random.Generator) -> list[str]:
    """Return the share of the S/N that lines of each width keep, and what becomes of noise."""
    own = wave + STEP * (np.arange(N_PIXELS) - N_PIXELS // 2)
    grid = LogGrid.covering(own[40], own[-40])
    regrid = Regrid(own[0], STEP, slice(0, N_PIXELS), grid)
    width, ones = pixel_width_angstrom(grid.wave), np.ones((1, N_PIXELS), np.float32)
    cells = []
    for kms in WIDTHS_KMS:
        shares = []
        for centre in wave + rng.uniform(-20, 20, N_LINES):
            of_source = kms / SPEED_OF_LIGHT_KMS * wave
            sigma = np.sqrt(spread**2 + of_source**2 - STEP**2 / 12)
            line = gaussian_pixels((own - centre) / STEP, sigma / STEP)[None] / STEP
            flux, ivar, seen = regrid(line.astype(np.float32), ones, spread * ones)
            place = grid.pixel(centre)
            here = np.hypot(seen[0, round(float(place))], of_source / pixel_width_angstrom(wave))
            template = gaussian_pixels(np.arange(grid.n_pixels) - place, here) / width
            snr = (template * flux * ivar).sum() / np.sqrt((template**2 * ivar).sum())
            shares.append(snr / np.sqrt((line**2).sum()))
        cells.append(f"{100 * np.mean(shares):.1f} % ({100 * np.min(shares):.1f} %)")
    noise = rng.standard_normal((N_NOISE, N_PIXELS)).astype(np.float32)
    flux, ivar, _ = regrid(noise, ones.repeat(N_NOISE, 0), ones.repeat(N_NOISE, 0))
    pull = flux * np.sqrt(ivar)
    lag = (pull[:, 1:] * pull[:, :-1]).mean() / (pull**2).mean()
    return [f"{wave:.0f} Å", *cells, f"{pull.std():.3f}", f"{lag:.2f}"]


def whole_spectra(path: Path) -> tuple[SpectrumBatch, NDArray[np.bool_]]:
    """Read all spectra of a coadd, whoever they are; say which hold anything."""
    grid = LogGrid.covering(3700, 9750)
    with open_fits(path) as file:
        n_rows = next(hdu for hdu in file.hdus if hdu.name == "B_FLUX").shape[0]
        rows, zero = np.arange(n_rows), np.zeros(n_rows, np.int32)
        arms = find_arms(file, n_rows, (grid.wave[0], grid.wave[-1]))
        targets, reasons = blank_targets(n_rows), np.zeros(n_rows, "U24")
        coadd = CoaddFile(file, arms, [*rows[:, None]], grid, targets, reasons, zero)
        batch = coadd.spectra(rows)
    return batch, np.asarray((batch.ivar > 0).any(axis=1))


def faint_galaxies(path: Path) -> Iterator[tuple[int, float]]:
    """Find the spectra that look like faint galaxies, with the redshift that fits best."""
    batch, seen = whole_spectra(path)
    foreground = Foreground(batch.grid, load_config().foreground)
    n_tried = len(Z_TRIED)
    for row in np.flatnonzero(seen):
        flux, ivar = (np.repeat(a[row : row + 1], n_tried, 0) for a in (batch.flux, batch.ivar))
        model, covered = foreground.fit(flux, ivar, Z_TRIED)
        weight = ivar * covered
        chi2 = (weight * (flux - model) ** 2).sum(1) / (weight > 0).sum(1)
        snr = np.median(flux[0] * np.sqrt(ivar[0]))
        if chi2.min() < CHI2_MAX and SNR_RANGE[0] < snr < SNR_RANGE[1]:
            yield int(row), float(Z_TRIED[chi2.argmin()])


def write_searchable(data: Path, folder: Path) -> None:
    """Write the coadds of the data with what they lack: redshifts, a fibre map, a resolution."""
    whole = "coadd-4-80613-thru20210324.fits"
    for name in (whole, whole.replace("coadd", "redrock"), "coadd-sv3-dark-26065.fits"):
        shutil.copyfile(data / name, folder / name)
    ids = fits.getdata(data / "coadd-sv3-dark-26065.fits", "FIBERMAP")["TARGETID"]
    known = faint_galaxies(data / "coadd-sv3-dark-26065.fits")
    write_redshifts(folder / "redrock-sv3-dark-26065.fits", ids, dict(known))
    with fits.open(data / "quasarnp_test_coadd.fits") as hdus, fits.open(data / whole) as other:
        n_rows = len(hdus["B_FLUX"].data)
        ids = np.arange(1, n_rows + 1)
        columns = [
            fits.Column("TARGETID", "K", array=ids),
            fits.Column("TARGET_RA", "D", array=ids / 10),
            fits.Column("TARGET_DEC", "D", array=ids / 10),
            fits.Column("OBJTYPE", "3A", array=["TGT"] * n_rows),
        ]
        fibermap = fits.BinTableHDU.from_columns(columns, name="FIBERMAP")
        bands = [
            fits.ImageHDU(
                other[f"{arm}_RESOLUTION"].data.repeat(n_rows, 0), name=f"{arm}_RESOLUTION"
            )
            for arm in "BRZ"
        ]
        images = [fits.ImageHDU(hdu.data, name=hdu.name) for hdu in hdus[1:]]
        fits.HDUList([fits.PrimaryHDU(), fibermap, *images, *bands]).writeto(
            folder / "coadd-mine-dark-1.fits"
        )
    known = faint_galaxies(data / "quasarnp_test_coadd.fits")
    write_redshifts(folder / "redrock-mine-dark-1.fits", ids, dict(known))


def write_redshifts(path: Path, ids: NDArray[np.int64], known: dict[int, float]) -> None:
    """Write a redrock file, in which those of whom nothing is known are stars."""
    rows = range(len(ids))
    columns = [
        fits.Column("TARGETID", "K", array=ids),
        fits.Column("Z", "D", array=[known.get(row, 0.0) for row in rows]),
        fits.Column("ZWARN", "K", array=[0] * len(ids)),
        fits.Column("SPECTYPE", "6A", array=["GALAXY" if row in known else "STAR" for row in rows]),
    ]
    fits.HDUList(
        [fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns, name="REDSHIFTS")]
    ).writeto(path)


def counted(label: str, survey: str, result: Evaluation) -> list[str]:
    """Return a row of the table of completeness."""
    lines = result.lines[result.lines["SEARCHED"]]
    bins = np.digitize(lines["IDEAL_SNR"], EDGES)
    found = [f"{100 * lines['FOUND'][bins == i].mean():.1f} %" for i in range(1, len(EDGES))]
    numbers = result.numbers
    return [
        label, survey, f"{numbers['spectra']:.0f}", f"{len(lines):,}",
        f"{numbers['residual_rms_median']:.3f}", f"{numbers['hits_without_a_line']:.0f}",
        f"{numbers['ideal_snr_at_50_percent']:.2f} ± "
        f"{numbers['ideal_snr_at_50_percent_error']:.2f}", *found,
    ]  # fmt: skip


def in_mock(survey: str, n_spectra: int, folder: Path) -> Iterator[list[str]]:
    """Put lines into mock galaxies of a survey; yield a row for each search and rate."""
    preset = "desi" if survey == "DESI" else None
    config = survey_of_galaxies(load_config(preset), n_spectra)
    changed = config.survey.model_copy(update={"n_plates": N_FILES, "arms": ("B",)})
    make_survey(folder / "mock", config.model_copy(update={"survey": changed}), 1, 1)
    asked = f"comparison.alarm_rates={list(RATES)}"
    request = CompareRequest(
        [str(folder / "mock")], folder / "compared", [*SEARCHES.values()], config=preset,
        overrides=[asked], repeats=2,
    )  # fmt: skip
    rates = compare(request).tables.rates
    measured = rates[rates["LEVEL"] == "hit"]
    scores = read_rows(folder / "compared" / "scores.fits", COMPARED_SCORES)
    for label, name in SEARCHES.items():
        own = scores[(scores["SEARCH"] == name) & (scores["REPEAT"] > 0) & scores["SEARCHED"]]
        for cut in measured[measured["SEARCH"] == name]:
            lines = own[own["STEP"] == cut["STEP"]]
            curve = fit_completeness(lines["IDEAL_SNR"], lines["SCORE"] > cut["THRESHOLD"])
            known = np.isfinite(cut["COMPLETENESS"])
            half = f"{curve.at(0.5):.2f} ± {curve.centre_err:.2f}" if known else "not measured"
            rate = cut["RATE"]
            yield [
                label, survey, "its own" if np.isnan(rate) else f"{rate:g}",
                f"{cut['N_ALARMS']} of {cut['N_SPECTRA']:,}", f"{len(lines):,}", half,
            ]  # fmt: skip


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=200, help="lines in each spectrum of DESI")
    parser.add_argument("--spectra", type=int, default=500, help="in each of three mock files")
    add_option(parser)
    options = parser.parse_args()
    tables, rng = Tables(options.tables), np.random.default_rng(1)
    tables.show(
        "desi_grid",
        ["line at", *(f"{kms:.0f} km/s" for kms in WIDTHS_KMS), "scatter of noise",
         "correlation of neighbours"],
        [kept_by_the_grid(wave, spread, rng) for wave, spread in SPREADS.items()],
    )  # fmt: skip
    data = Path(os.environ["SPECLENS_DATA"])
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "in").mkdir()
        write_searchable(data / "desi", folder / "in")
        for label, method in SEARCHES.items():
            config = load_config(None, [f"search.method={method}"])
            inputs = {"DESI": (folder / "in", 1.0), "BOSS": (data / "boss" / "galaxies", 0.25)}
            for survey, (path, share) in inputs.items():
                output = folder / f"{survey} {method}"
                repeats = max(1, round(options.repeats * share))
                result = evaluate([str(path)], output, config, repeats, seed=1)
                rows.append(counted(label, survey, result))
    titles = ["search", "survey", "spectra", "lines", "residual rms", "hits without a line",
              "half found at"]  # fmt: skip
    edges = pairwise(EDGES)
    tables.show("desi_completeness", [*titles, *(f"{a:g}-{b:g}" for a, b in edges)], rows)
    with tempfile.TemporaryDirectory() as temporary:
        rows = [
            row
            for survey in ("DESI", "BOSS")
            for row in in_mock(survey, options.spectra, Path(temporary) / survey)
        ]
    titles = ["search", "mock of", "false alarms a spectrum", "alarms", "lines", "half found at"]
    tables.show("desi_mock", titles, sorted(rows, key=lambda row: (row[0], row[2]), reverse=True))


if __name__ == "__main__":
    main()
