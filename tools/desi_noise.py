"""The noise of DESI's coadds, for `build_noise_model.py`, which writes it down.

In: coadds with all three arms. Out: the stated errors by arm and pixel, as deep as the shallowest
of them, how coadds and fibres differ, the line spread, and what of the real errors their few
spectra tell. All coadds count alike, however many spectra they have; only those with a resolution,
which are of pipelines in use, tell of the real errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray
from scipy.ndimage import median_filter
from scipy.special import erfc

from boss_spectra import CLIP, LEVEL_PIXELS, Array, nanmedian
from noise_modes import leading_modes, plate_statistics
from speclens.read.desi.arms import find_arms
from speclens.read.fits.opening import open_fits
from speclens.simulate.arms import ARM_PIXELS, BIN_PIXELS, Arms, line_strength, over_pixels

__all__ = ["measure_desi", "table"]

PARTS = Arms(tuple(ARM_PIXELS)).parts
"""The pixels of each arm among those of all."""

FAINT_SNR = 8.0
"""Spectra with a higher median S/N of a pixel do not tell what a fibre without flux has."""

POISSON_ORDER = 3
"""Order of the polynomial in the logarithm of the variance per flux, of an arm."""

STRONG, CALM = 2.0, 0.5
"""Strength of a sky line in stated errors, above which it is one, and below which there is none."""

LEAST_SPIKE, SPIKE_INDEX = 4.0, 4.0
"""Of spikes: the least height, stated errors, and how many are higher, as `survey.noise` has it."""

WAVE_RANGE = (3000.0, 11000.0)


@dataclass(frozen=True)
class Coadds:
    """Spectra of all coadds, on the pixels of all arms side by side.

    Parameters
    ----------
    flux, variance : array of shape (N, P)
        Flux density and its stated variance, NaN where masked.
    spread : array of shape (N, P)
        Standard deviation of the line spread, without the pixel's own, pixels; NaN where unknown.
    coadd : array of shape (N,)
        Number of each one's file.
    """

    flux: Array
    variance: Array
    spread: Array
    coadd: NDArray[np.int64]

    def having(self, rows: NDArray[np.bool_]) -> Coadds:
        """Return some of the spectra, where `rows`, shape (N,), is True."""
        return Coadds(self.flux[rows], self.variance[rows], self.spread[rows], self.coadd[rows])

    @property
    def scatter(self) -> Array:
        """Flux about a running median in units of the stated error, shape (N, P), clipped."""
        scatter = np.full(self.flux.shape, np.nan)
        for row, flux, variance in zip(scatter, self.flux, self.variance, strict=True):
            for part in PARTS:
                level = median_filter(np.nan_to_num(flux[part]), LEVEL_PIXELS)
                row[part] = (flux[part] - level) / np.sqrt(variance[part])
        return np.asarray(np.clip(scatter, -CLIP, CLIP))


def read_coadds(paths: list[Path]) -> Coadds:
    """Read all spectra of coadds that hold anything.

    Parameters
    ----------
    paths : list of pathlib.Path
        The files.

    Returns
    -------
    Coadds
        The spectra.
    """
    parts = []
    for number, path in enumerate(paths):
        with open_fits(str(path)) as file:
            n_rows = next(hdu for hdu in file.hdus if hdu.name == "B_FLUX").shape[0]
            rows, arms = np.arange(n_rows), find_arms(file, n_rows, WAVE_RANGE)
            whole = [(arm, slice(0, len(arm.wave))) for arm in arms]
            pairs = [arm.pixels(rows, pixels) for arm, pixels in whole]
            spread = np.hstack([arm.spread(rows, pixels) / arm.step for arm, pixels in whole])
        flux, ivar = (np.hstack([pair[i] for pair in pairs]).astype(float) for i in range(2))
        variance = np.where(ivar > 0, 1 / np.where(ivar > 0, ivar, 1), np.nan)
        own = np.sqrt(np.where(spread > 0, spread**2 - 1 / 12, np.nan))
        own = np.where(np.isfinite(own), own, np.nan)
        seen = np.asarray(np.isfinite(variance).any(axis=1))
        coadds = Coadds(np.where(ivar > 0, flux, np.nan), variance, own, np.full(n_rows, number))
        parts.append(coadds.having(seen))
    columns = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("flux", "variance", "spread", "coadd")
    )
    return Coadds(*columns)


def bin_edges() -> list[NDArray[np.int64]]:
    """Return the ends of the bins of each arm, pixels of the arm; the last takes up the rest."""
    lengths = [grid.n_pixels for grid in ARM_PIXELS.values()]
    return [np.r_[np.arange(n // BIN_PIXELS) * BIN_PIXELS, n] for n in lengths]


def binned(values: Array) -> Array:
    """Return medians in bins of each arm, shape (N, B), empty bins filled from their neighbours."""
    parts = []
    for part, edges in zip(PARTS, bin_edges(), strict=True):
        bins = np.split(values[:, part], edges[1:-1], axis=1)
        medians = np.stack([nanmedian(one, axis=1) for one in bins], axis=1)
        for row in medians:
            known = np.isfinite(row)
            if known.any():
                row[:] = np.interp(np.arange(len(row)), np.flatnonzero(known), row[known])
        parts.append(medians)
    return np.concatenate(parts, axis=1)


def unbinned(curve: Array) -> Array:
    """Interpolate a curve in bins, shape (B,), to the pixels of all arms."""
    return np.asarray(over_pixels(curve, tuple(ARM_PIXELS)), float)


def poisson_share(spectra: Coadds) -> Array:
    """Return the variance per flux over the variance without flux, in bins, of one coadd.

    Lines through variance against flux, smoothed by wavelength in each arm.
    """
    flux, variance = binned(spectra.flux), binned(spectra.variance)
    lines = [np.polyfit(x, y, 1) for x, y in zip(flux.T, variance.T, strict=True)]
    share = np.array([slope / level for slope, level in lines])
    smooth = []
    for own in np.split(share, np.cumsum([len(edges) - 1 for edges in bin_edges()])[:-1]):
        x, known = np.linspace(-1, 1, len(own)), own > 0
        fitted = np.polyfit(x[known], np.log(own[known]), POISSON_ORDER)
        smooth.append(np.exp(np.polyval(fitted, x)))
    return np.concatenate(smooth)


def width(scatter: Array) -> float:
    """Return half the distance of the 16 and 84 % quantiles: tails do not count."""
    low, high = np.nanquantile(scatter, (0.16, 0.84))
    return float(high - low) / 2


def neighbours(spectra: Coadds) -> Array:
    """Return how far pixels are from the mean of their neighbours, over its error, shape (N, P).

    Light that is smooth over three pixels, and all that the sky or a model leaves, is gone.
    """
    flux, variance = spectra.flux, spectra.variance
    far = np.full(flux.shape, np.nan)
    mean = (flux[:, 2:] + flux[:, :-2]) / 2
    error = np.sqrt(variance[:, 1:-1] + (variance[:, 2:] + variance[:, :-2]) / 4)
    far[:, 1:-1] = (flux[:, 1:-1] - mean) / error
    far[:, [i for part in PARTS for i in (part.start, part.stop - 1)]] = np.nan
    return far


def real_errors(spectra: Coadds, strength: Array) -> tuple[Array, float]:
    """Compare real with stated errors.

    Parameters
    ----------
    spectra : Coadds
        N spectra of pipelines in use.
    strength : array of shape (P,)
        Flux density of the sky's lines.

    Returns
    -------
    ratio : array of shape (P,)
        Real over stated error between the lines of the sky, one number an arm.
    line_rms : float
        What is left of the sky's lines, of their flux density.
    """
    relative = strength / np.sqrt(spectra.variance)
    far, scatter = neighbours(spectra), spectra.scatter
    ratio, total = np.ones(spectra.flux.shape[1]), []
    for part in PARTS:
        calm = relative[:, part] < CALM
        ratio[part] = width(far[:, part][calm])
    for one in np.unique(spectra.coadd):
        rows = spectra.coadd == one
        strong, calm = relative[rows] > STRONG, relative[rows] < CALM
        more = np.nanmean(scatter[rows][strong] ** 2) - width(scatter[rows][calm]) ** 2
        total.append(more / np.mean(relative[rows][strong] ** 2))
    return ratio, float(np.sqrt(max(np.mean(total), 0)))


def spike_rate(spectra: Coadds, strength: Array) -> float:
    """Return how many spikes of `LEAST_SPIKE` stated errors and more 1000 pixels have.

    Pixels further from their neighbours than Gaussian noise of the spectrum's own width has them,
    between the lines of the sky of B and R: in Z most of the spectra show more of the sky than of
    spikes. By this measure a spike is lower than it is.
    """
    far = neighbours(spectra)
    far[strength / np.sqrt(spectra.variance) > CALM] = np.nan
    blue, red, other = PARTS
    far[:, other] = np.nan
    for part in (blue, red):
        far[:, part] /= np.array([width(row) for row in far[:, part]])[:, None]
    n_seen = np.isfinite(far).sum()
    more = (np.abs(far) > LEAST_SPIKE).sum() - n_seen * erfc(LEAST_SPIKE / np.sqrt(2))
    higher = np.sqrt(1.5) ** -SPIKE_INDEX
    return float(1000 * max(more, 0) / (higher * n_seen))


def bad_runs(spectra: Coadds) -> dict[str, float]:
    """Return how often runs of pixels are masked, and how long they are."""
    bad = np.isnan(spectra.variance)
    starts = bad[:, 1:] & ~bad[:, :-1]
    n_runs = max(int(starts.sum() + bad[:, 0].sum()), 1)
    return {
        "bad_run_rate": 1000 * n_runs / bad.size,
        "bad_run_pixels": max(float(bad.sum()) / n_runs, 1.0),
    }


def measure_desi(data: Path) -> tuple[fits.HDUList, dict[str, float]]:
    """Measure the model and the amplitudes that go with it.

    Parameters
    ----------
    data : pathlib.Path
        The folder that holds `desi`.

    Returns
    -------
    hdus : astropy.io.fits.HDUList
        The product.
    rates : dict of float
        Fields of `NoiseRates` by name.
    """
    paths = sorted((data / "desi").glob("*coadd*.fits"))
    if not paths:
        raise SystemExit(f"{data / 'desi'}: no coadds")
    spectra = read_coadds(paths)
    numbers, counts = np.unique(spectra.coadd, return_counts=True)
    main = int(numbers[counts.argmax()])
    share = poisson_share(spectra.having(spectra.coadd == main))
    snr = nanmedian(spectra.flux / np.sqrt(spectra.variance), axis=1)
    faint = spectra.having(snr < FAINT_SNR)
    flux = np.maximum(binned(faint.flux), 0)
    log_level = np.log(binned(faint.variance) / (1 + share * flux))
    _, between, within = plate_statistics(log_level, faint.coadd, main)
    # Of one visit or two, as most targets of the survey get; others tell how depths differ.
    log_usual = max(
        (log_level[faint.coadd == one].mean(axis=0) for one in np.unique(faint.coadd)), key=np.mean
    )

    level = np.array([unbinned(row) for row in np.log(binned(faint.variance))])
    relative = faint.variance / np.exp(level)
    coadds = [relative[faint.coadd == one] for one in np.unique(faint.coadd)]
    fine = np.mean([nanmedian(one, axis=0) for one in coadds], axis=0)
    sigma = np.sqrt(fine * np.exp(unbinned(log_usual)))
    poisson = share * np.exp(log_usual)
    strength = np.concatenate([
        line_strength(sigma[part], unbinned(poisson)[part]) for part in PARTS
    ])  # fmt: skip

    in_use = spectra.having(np.asarray(np.isfinite(spectra.spread).any(axis=1)))
    log_spread = np.log(binned(in_use.spread))
    ratio, line_rms = real_errors(in_use, strength)
    smooth = {
        "POISSON": poisson,
        "DISPERSION": np.exp(log_spread.mean(axis=0)),
        "ERROR_RATIO": binned(ratio[None])[0],
        "PLATE_MODES": leading_modes(between, 1),
        "FIBRE_MODES": leading_modes(within, 2),
        "FIBRE_SPREAD_MODES": leading_modes(np.cov(log_spread, rowvar=False), 1),
    }
    rates = {
        "sky_line_rms": line_rms,
        "spike_rate": spike_rate(spectra.having(snr < FAINT_SNR / 2), strength),
        **bad_runs(spectra),
    }
    fine_table, smooth_table = table("NOISE", {"SIGMA_SKY": sigma}), table("SMOOTH", smooth)
    smooth_table.header["BINPIX"] = (BIN_PIXELS, "pixels a row; the last of an arm has more")
    return fits.HDUList([primary(len(spectra.flux)), fine_table, smooth_table]), rates


def table(name: str, columns: dict[str, Array]) -> fits.BinTableHDU:
    """Return a table of 32-bit floats from columns of shape (L,) or (M, L)."""
    fields = [
        fits.Column(
            key, "E" if value.ndim == 1 else f"{len(value)}E", array=value.T.astype(np.float32)
        )
        for key, value in columns.items()
    ]
    return fits.BinTableHDU.from_columns(fields, name=name)


def primary(n_spectra: int) -> fits.PrimaryHDU:
    """Return the first HDU with credits."""
    hdu = fits.PrimaryHDU()
    hdu.header["N_SPEC"] = (n_spectra, "spectra measured")
    for line in (
        "Noise and line spread of coadds of DESI, for speclens.",
        "Made by tools/build_noise_model.py --instrument desi.",
        "Statistics only, no spectra. Measured on public coadds of DESI.",
        "This research used data obtained with the Dark Energy",
        "Spectroscopic Instrument (DESI). DESI data are released under",
        "CC BY 4.0 (https://data.desi.lbl.gov/doc/acknowledgments/).",
    ):
        hdu.header["COMMENT"] = line
    return hdu
