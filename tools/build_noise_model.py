"""Measure the noise model of `speclens.simulate.sky` on real spectra of BOSS, or coadds of DESI.

    python tools/build_noise_model.py --data $SPECLENS_DATA [-o src/speclens/data/noise_model.fits]
    python tools/build_noise_model.py --instrument desi --data FOLDER [-o FILE]

In: spec files in DATA/boss/galaxies (one plate, with the pipeline's best-fit model),
DATA/boss/sky_fibres and DATA/boss/stars_and_quasars; or the coadds of DATA/desi. Out: a FITS file;
the same spectra give the same bytes. The sky-line residuals, which the configuration holds
(`NoiseRates`), are printed.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
import warnings
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from boss_spectra import GRID, Array, Spectra, nanmedian, read
from desi_noise import measure_desi, table
from noise_modes import leading_modes, plate_statistics
from real_errors import error_ratios, line_rates, line_strength, plate_ratios
from speclens.simulate.sky import BRIGHT_SKY_BIT, OR_BITS

BIN_PIXELS = 40
"""Smooth curves are medians in bins of this many pixels."""

POISSON_PLATE = 3655
"""Plate whose quasars, of many fluxes, give the variance per flux."""

POISSON_ORDER = 5
"""Order of the polynomial in the logarithm of the variance per flux."""

FAINT_FLUX = 3.0
"""A plate's error without flux is measured on spectra fainter than this."""

KERNEL_WAVE = (3600.0, 5500.0)
"""Where the correlation of pixels is measured: one camera, few sky lines."""

N_LAGS = 6
"""Lags at which the correlation is measured."""

HALF_TAPS = 4
"""The filter's taps on either side; those further out are below 0.02."""


CENTRES = np.arange(BIN_PIXELS / 2, GRID.n_pixels, BIN_PIXELS)


def _binned(values: Array) -> Array:
    """Return medians in bins of BIN_PIXELS, shape (N, number of bins), empty bins filled."""
    bins = values.reshape(len(values), -1, BIN_PIXELS)
    medians = nanmedian(bins, axis=2)
    for row in medians:
        known = np.isfinite(row)
        row[:] = np.interp(CENTRES, CENTRES[known], row[known])
    return medians


def _unbinned(curves: Array, centres: Array = CENTRES) -> Array:
    """Interpolate curves in bins onto GRID."""
    pixel = np.arange(GRID.n_pixels)
    return np.array([np.interp(pixel, centres, curve) for curve in np.atleast_2d(curves)])


def _poisson_curve(quasars: Spectra) -> Array:
    """Return the variance per flux in bins: lines through variance against flux, smoothed."""
    flux, variance = _binned(quasars["model"]), _binned(quasars.variance)
    slope = np.array([np.polyfit(x, y, 1)[0] for x, y in zip(flux.T, variance.T, strict=True)])
    positive = slope > 0
    x = np.linspace(-1, 1, len(slope))
    smooth = np.polyfit(x[positive], np.log(slope[positive]), POISSON_ORDER)
    return np.asarray(np.exp(np.polyval(smooth, x)))


def _by_plate(values: Array, plate: NDArray[np.int64]) -> Array:
    """Return the mean of values (N, L), every plate with the same weight; NaN counts 0."""
    means = [np.nan_to_num(values[plate == p]).mean(0) for p in np.unique(plate)]
    return np.asarray(np.mean(means, axis=0))


def _correlation(residual: Array) -> Array:
    """Return the autocorrelation of residuals (N, L) at lags 1 to N_LAGS, mean over spectra."""
    variance = np.mean(residual**2)
    lags = range(1, N_LAGS + 1)
    return np.array([np.mean(residual[:, k:] * residual[:, :-k]) / variance for k in lags])


def kernel(lags: Array) -> Array:
    """Return the symmetric filter whose output has a given autocorrelation.

    Parameters
    ----------
    lags : array of shape (N_LAGS,)
        Autocorrelation at lags 1, 2, ...

    Returns
    -------
    array of shape (K,)
        Taps with unit sum of squares.
    """
    angle = 2 * np.pi * np.fft.rfftfreq(256)
    power = 1 + 2 * np.cos(np.outer(angle, np.arange(1, N_LAGS + 1))) @ lags
    response = np.fft.irfft(np.sqrt(np.maximum(power, 0)))
    taps = np.concatenate([response[HALF_TAPS:0:-1], response[: HALF_TAPS + 1]])
    return np.asarray(taps / np.sqrt(np.sum(taps**2)))


def measure(data: Path) -> tuple[fits.HDUList, dict[str, float]]:
    """Measure the model and the amplitudes that go with it.

    Parameters
    ----------
    data : pathlib.Path
        The folder that holds `boss`.

    Returns
    -------
    hdus : astropy.io.fits.HDUList
        The product.
    rates : dict of float
        Fields of `NoiseRates` by name.
    """
    boss = data / "boss"
    files = {
        name: sorted((boss / name).glob("spec-*.fits"))
        for name in ("galaxies", "sky_fibres", "stars_and_quasars")
    }
    galaxies = read(files["galaxies"])
    everything = read([path for paths in files.values() for path in paths])
    more = sorted((data / "quasars").glob("spec-*.fits"))
    targets = read([*files["galaxies"], *files["stars_and_quasars"], *more])
    main = int(galaxies.plate[0])

    quasars = everything.having(everything.plate == POISSON_PLATE)
    poisson = _poisson_curve(quasars)
    median_flux = nanmedian(everything["model"][:, GRID.wave > 4600], axis=1)
    faint = everything.having(median_flux < FAINT_FLUX)
    per_flux = poisson * (quasars.exposure[0] / faint.exposure)[:, None]
    variance = _binned(faint.variance)
    source = per_flux * np.maximum(_binned(faint["model"]), 0)
    log_sky = np.log(np.maximum(variance - source, 0.3 * variance))
    log_mean, between, within = plate_statistics(log_sky, faint.plate, main)

    fine = nanmedian(galaxies.variance, axis=0)
    fine = np.where(np.isfinite(fine), fine / np.exp(_unbinned(np.log(_binned(fine[None])))[0]), 1)
    sigma_sky = np.sqrt(fine * np.exp(_unbinned(log_mean)[0]))

    log_spread = np.log(_binned(np.where(everything["wdisp"] > 0.3, everything["wdisp"], np.nan)))
    spread_mean, spread_between, spread_within = plate_statistics(
        log_spread, everything.plate, main
    )

    sky = np.nan_to_num(_sky_spectrum(everything))
    strength = line_strength(sky)
    own_sky = np.nan_to_num(nanmedian(galaxies["sky"], axis=0))
    own_strength = line_strength(own_sky)
    calm = own_strength < 3 * np.sqrt(nanmedian(galaxies.variance, axis=0))
    calm &= np.isfinite(galaxies.residual).all(0)
    error_ratio, common_ratio = error_ratios(galaxies, calm)
    plate_ratio, plate_scatter = plate_ratios(targets, main, calm)
    in_kernel = (GRID.wave > KERNEL_WAVE[0]) & (GRID.wave < KERNEL_WAVE[1])
    taps = kernel(_correlation(np.nan_to_num(galaxies.residual[:, in_kernel])))

    bits = {
        name: np.nan_to_num(everything[name]).astype(np.int64) for name in ("and_mask", "or_mask")
    }
    bright = ((bits["and_mask"] >> BRIGHT_SKY_BIT) & 1).astype(float)
    # Beyond a file's first and last pixel nothing is known; within, 0 says that no exposure counts.
    no_weight = (everything["ivar"] == 0).astype(float)
    or_bits = [
        _by_plate(((bits["or_mask"] >> bit) & 1).astype(float), everything.plate) for bit in OR_BITS
    ]
    fine_table = table(
        "NOISE",
        {
            "SIGMA_SKY": sigma_sky,
            "SKY": sky,
            "LINE_STRENGTH": strength,
            "BRIGHT_SKY": _by_plate(bright, everything.plate),
            "MISSING": _by_plate(no_weight, everything.plate),
            "OR_BITS": np.array(or_bits),
        },
    )
    smooth_table = table(
        "SMOOTH",
        {
            "POISSON": poisson,
            "DISPERSION": np.exp(spread_mean),
            "ERROR_RATIO": (plate_ratio * error_ratio)[CENTRES.astype(int)],
            "COMMON_RATIO": (plate_ratio * common_ratio)[CENTRES.astype(int)],
            "PLATE_MODES": leading_modes(between, 2),
            "FIBRE_MODES": leading_modes(within, 3),
            "PLATE_SPREAD_MODES": leading_modes(spread_between, 2),
            "FIBRE_SPREAD_MODES": leading_modes(spread_within, 2),
        },
    )
    fine_table.header["FIRSTPIX"] = (GRID.first, "log10(wavelength) of the first row, 1e-4")
    smooth_table.header["BINPIX"] = (BIN_PIXELS, "pixels a row; values stand at the middle")
    measured = np.concatenate([everything.plate, targets.plate[-len(more) :]])
    rates = line_rates(targets) | {"error_ratio_plate_scatter": plate_scatter}
    image = fits.ImageHDU(taps.astype(np.float32), name="KERNEL")
    hdus = fits.HDUList(
        [
            _primary(measured),
            fine_table,
            smooth_table,
            image,
        ]
    )
    return hdus, rates


def _sky_spectrum(spectra: Spectra) -> Array:
    """Return the mean over plates of the median sky of a plate, shape (L,).

    The mean keeps the lamps' lines, which few plates have and which outshine all else there.
    """
    plates = [
        nanmedian(spectra["sky"][spectra.plate == p], axis=0) for p in np.unique(spectra.plate)
    ]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Mean of empty slice")
        return np.asarray(np.nanmean(plates, axis=0))


def _primary(plate: NDArray[np.int64]) -> fits.PrimaryHDU:
    """Return the first HDU with credits, given the plate of each spectrum measured."""
    hdu = fits.PrimaryHDU()
    plates = textwrap.wrap(", ".join(str(p) for p in np.unique(plate)), 60)
    hdu.header["N_SPEC"] = (len(plate), "spectra measured")
    for line in (
        "Noise, sky and mask statistics of BOSS spectra, for speclens.",
        "Made by tools/build_noise_model.py. Statistics only, no spectra.",
        "Measured on public SDSS-III/BOSS spectra of plates",
        *plates,
        "Funding for SDSS-III has been provided by the Alfred P. Sloan",
        "Foundation, the Participating Institutions, the National Science",
        "Foundation, and the U.S. Department of Energy Office of Science.",
        "The SDSS-III web site is http://www.sdss3.org/.",
    ):
        hdu.header["COMMENT"] = line
    return hdu


MODELS = {
    "sdss": (measure, "noise_model.fits"),
    "desi": (measure_desi, "desi_noise_model.fits"),
}
"""What measures the noise of an instrument, and the bundled file."""


def main(arguments: list[str] | None = None) -> int:
    """Build the product.

    Parameters
    ----------
    arguments : list of str, optional
        Command line; the process's own when not given.

    Returns
    -------
    int
        Exit status.
    """
    parser = argparse.ArgumentParser(description="Measure the noise model on real spectra.")
    parser.add_argument("--data", type=Path, required=True, help="folder that holds boss/ or desi/")
    parser.add_argument("--instrument", choices=MODELS, default="sdss")
    parser.add_argument("-o", "--output", type=Path, help="instead of the bundled file")
    options = parser.parse_args(arguments)
    own, name = MODELS[options.instrument]
    hdus, rates = own(options.data)
    options.output = options.output or Path("src/speclens/data") / name
    part = options.output.with_suffix(".part")
    hdus.writeto(part, overwrite=True)
    part.replace(options.output)
    for name, value in rates.items():
        print(f"{name} = {value:.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
