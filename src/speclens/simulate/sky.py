"""Noise, night sky and bad pixels of mock plates and coadds.

In: noiseless flux of one plate's fibres, the noise model measured on real spectra
(`tools/build_noise_model.py`), and the rates of the configuration. Out: flux with noise, the
inverse variance that the survey would state, masks, dispersion and sky. Galaxies, emitters and the
layout of plates are left to the other modules of `speclens.simulate`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from speclens.config import NoiseRates
from speclens.instrument import INSTRUMENTS
from speclens.simulate.fibres import Fibres
from speclens.simulate.noise_model import NoiseModel
from speclens.spectra import LogGrid, SpectrumBatch

__all__ = ["PlateNoise", "draw_noise"]

Floats = NDArray[np.float32]

BRIGHT_SKY_BIT = 23
"""SDSS's BRIGHTSKY: the sky is much brighter than the object."""

BAD_RUN_BITS = (1 << 16) | (1 << 17) | (1 << 18) | (1 << 19)
"""SDSS's NEARBADPIXEL, LOWFLAT, FULLREJECT and PARTIALREJECT: where every exposure is bad."""

OR_BITS = (16, 17, 18, 19, 22, 23, 24, 25, 26, 27)
"""Bits of the OR mask whose frequency is measured, pixel by pixel."""

OR_BLOCK = 4
"""Bits of the OR mask come in runs of about this many pixels."""

LINE_TAPS = np.array([0.25, 0.5, 0.25], np.float32) / np.float32(np.sqrt(0.375))
"""Sky-line residuals change sign within a line: noise smoothed over fewer pixels than it has."""

JITTER_TAPS = np.array([0.15, 1, 0.15], np.float32) / np.float32(np.sqrt(1.045))
"""The jitter of the stated error is correlated with that of the next pixel by 0.29."""

PER_PIXELS = 1000
"""Spikes, damage and bad runs are counted in so many pixels."""

SDSS = INSTRUMENTS["sdss"]
"""Whose noise it is, and whose bits."""


@dataclass(frozen=True)
class PlateNoise:
    """Spectra of one mock plate as a survey would release them.

    Parameters
    ----------
    flux : array of shape (N, L)
        Flux density with noise, 1e-17 erg/s/cm2/Angstrom.
    ivar : array of shape (N, L)
        Stated inverse variance; 0 where a pixel is missing.
    and_mask, or_mask : array of shape (N, L)
        SDSS's mask bits, int32.
    dispersion : array of shape (N, L)
        Standard deviation of the line spread, pixels.
    sky : array of shape (N, L)
        Sky that was subtracted, flux density.
    spikes : array of shape (N, L)
        What cosmic rays and damaged pixels left in `flux`.
    smooth : array of shape (N, L)
        What errors of the calibration left in it.
    error : array of shape (N, L)
        Standard deviation of the noise that was drawn beside these, flux density; no survey knows
        it.
    """

    flux: Floats
    ivar: Floats
    and_mask: NDArray[np.int32]
    or_mask: NDArray[np.int32]
    dispersion: Floats
    sky: Floats
    spikes: Floats
    smooth: Floats
    error: Floats

    @property
    def true_ivar(self) -> Floats:
        """Inverse variance of the noise that was drawn, shape (N, L); 0 where the stated one is."""
        return np.where(self.ivar > 0, self.error**-2, np.float32(0))

    def batch(
        self, grid: LogGrid, pixels: slice, targets: NDArray[np.void], files: Sequence[str]
    ) -> SpectrumBatch:
        """Return the spectra as a reader of the survey's files would.

        Parameters
        ----------
        grid : LogGrid
            Wavelengths of the pixels.
        pixels : slice
            Those that are wanted.
        targets : structured array of shape (N,)
            Catalogue rows.
        files : sequence of str, length N
            What stands for the file of each.

        Returns
        -------
        SpectrumBatch
            N spectra.
        """
        bits = self.and_mask[:, pixels]
        return SpectrumBatch(
            grid, self.flux[:, pixels], self.ivar[:, pixels], SDSS.is_masked(bits),
            SDSS.is_covered(bits), self.dispersion[:, pixels], targets, files,
        )  # fmt: skip


def draw_noise(
    flux: NDArray[np.floating],
    model: NoiseModel,
    rates: NoiseRates,
    rng: np.random.Generator,
    fibres: Fibres | None = None,
) -> PlateNoise:
    """Observe the fibres of one plate.

    Parameters
    ----------
    flux : array of shape (N, L)
        Noiseless flux density, 1e-17 erg/s/cm2/Angstrom.
    model : NoiseModel
        The noise on the pixels of `flux` (see `NoiseModel.on`).
    rates : NoiseRates
        Rates and amplitudes.
    rng : numpy.random.Generator
        Source of all randomness.
    fibres : Fibres, optional
        Which fibres they are; targets along the slit of one spectrograph when not given.

    Returns
    -------
    PlateNoise
        What the survey would release.

    Raises
    ------
    ValueError
        If the pixels of `flux` and `model` differ in number.

    Notes
    -----
    Three things set real residuals apart from Gaussian noise of the stated error. Targets of a
    spectrograph share the noise of one sky model, about 0.3 of the stated error in every pixel (see
    `Fibres`); sky fibres do not, because that model was fitted to them. Neighbouring pixels are
    correlated by the resampling to the common grid, which `NoiseModel.kernel` repeats. And the
    error is stated from the photons that were counted, so that it is too small where noise took
    some away: negative residuals have the longer tail.
    """
    flux = np.asarray(flux, np.float32)
    n, n_pixels = flux.shape
    if n_pixels != model.n_pixels:
        raise ValueError(f"flux has {n_pixels} pixels, the noise model {model.n_pixels}")
    if fibres is None:
        fibres = Fibres.along_slit(n)

    sigma = _stated_error(flux, model, rng)
    noise, ratio = _pixel_noise(model, rates, rng, fibres)
    observed = flux + sigma * noise
    residual, residual_rms = _sky_line_residual(model, rates, rng, fibres)
    observed += residual
    error = np.hypot(sigma * ratio, residual_rms)
    smooth = np.float32(rates.low_order_rms) * _between(model.low_order_modes, rng, n)
    observed += smooth
    spikes = _spikes(sigma, rates, rng) + _damage(sigma, rates, rng)
    observed += spikes

    and_mask = _bright_sky(model, rng, n)
    missing = _missing(model, rng, n)
    for row, pixels in _bad_runs(rates, rng, n, n_pixels):
        and_mask[row, pixels] |= BAD_RUN_BITS
        missing[row, pixels] = True
    sigma = sigma * np.exp(np.float32(rates.error_of_counts) * noise)
    if rates.error_jitter > 0:
        sigma *= np.exp(rates.error_jitter * _correlated(JITTER_TAPS, rng, n, n_pixels))
    ivar = np.where(missing, np.float32(0), sigma**-2)
    spread = _between(model.plate_spread_modes, rng, 1) + _between(model.fibre_spread_modes, rng, n)
    return PlateNoise(
        flux=observed,
        ivar=ivar,
        and_mask=and_mask,
        or_mask=and_mask | _or_bits(model, rng, n),
        dispersion=model.dispersion * np.exp(spread),
        sky=_sky_level(rates, rng, n) * model.sky,
        spikes=spikes.astype(np.float32),
        smooth=smooth,
        error=error,
    )


def _normal(rng: np.random.Generator, *shape: int) -> Floats:
    return rng.standard_normal(shape, dtype=np.float32)


def _between(modes: Floats, rng: np.random.Generator, n: int) -> Floats:
    """Draw a sum of modes for each of n, shape (n, L)."""
    return _normal(rng, n, len(modes)) @ modes


def _correlated(taps: Floats, rng: np.random.Generator, n: int, n_pixels: int) -> Floats:
    """Filter white noise with symmetric taps, shape (n, n_pixels)."""
    half = len(taps) // 2
    white = _normal(rng, n, n_pixels + 2 * half)
    noise: Floats = taps[half] * white[:, half : half + n_pixels]
    for k in range(1, half + 1):
        left, right = half - k, half + k
        noise += taps[right] * (
            white[:, left : left + n_pixels] + white[:, right : right + n_pixels]
        )
    return noise


def _stated_error(flux: Floats, model: NoiseModel, rng: np.random.Generator) -> Floats:
    variance = model.sigma_sky**2 + model.poisson * np.maximum(flux, 0)
    change = _between(model.fibre_modes, rng, len(flux)) + _between(model.plate_modes, rng, 1)
    return np.asarray(np.sqrt(variance * np.exp(change)), np.float32)


def _pixel_noise(
    model: NoiseModel, rates: NoiseRates, rng: np.random.Generator, fibres: Fibres
) -> tuple[Floats, Floats]:
    """Draw noise in units of the stated error, shape (N, L); return its rms as well."""
    n, n_pixels = len(fibres), model.n_pixels
    plate = np.exp(rates.error_ratio_plate_scatter * rng.standard_normal())
    ratio = np.float32(plate) + np.float32(rates.error_ratio_scatter) * _normal(rng, n)
    ratio[fibres.is_sky] *= np.float32(rates.sky_fibre_ratio)
    own = ratio[:, None] * model.error_ratio
    noise = _correlated(model.kernel, rng, n, n_pixels)
    noise *= own
    shared = _correlated(model.kernel, rng, fibres.n_shared, n_pixels)
    fibres.share(noise, model.common_ratio * shared)
    if rates.error_ratio_jitter > 0:  # the mean square stays
        jitter = np.float32(rates.error_ratio_jitter)
        noise *= np.exp(jitter * _correlated(JITTER_TAPS, rng, n, n_pixels) - jitter**2)
    return noise, np.hypot(own, fibres.share_rms[:, None] * model.common_ratio)


def _sky_line_residual(
    model: NoiseModel, rates: NoiseRates, rng: np.random.Generator, fibres: Fibres
) -> tuple[Floats, Floats]:
    """Draw what is left of the sky's lines, flux density, shape (N, L); return its rms as well."""
    n, n_pixels = len(fibres), model.n_pixels
    scatter = rates.sky_line_plate_scatter
    plate = np.exp(scatter * rng.standard_normal() - scatter**2)  # mean square 1
    own = np.where(fibres.is_sky, rates.sky_fibre_ratio, 1) * rates.sky_line_rms * plate
    common = np.float32(rates.sky_line_common_rms * plate)
    residual = _correlated(LINE_TAPS, rng, n, n_pixels)
    residual *= own.astype(np.float32)[:, None]
    fibres.share(residual, common * _correlated(LINE_TAPS, rng, fibres.n_shared, n_pixels))
    residual *= model.line_strength
    rms = np.hypot(own, fibres.share_rms * common).astype(np.float32)
    return residual, rms[:, None] * model.line_strength


def _spikes(sigma: Floats, rates: NoiseRates, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw cosmic-ray remnants, narrower than the line spread, shape (N, L)."""
    n, n_pixels = sigma.shape
    n_spikes = int(rng.poisson(rates.spike_rate * sigma.size / PER_PIXELS))
    row, pixel = rng.integers(n, size=n_spikes), rng.integers(n_pixels - 1, size=n_spikes)
    snr = rates.spike_snr_min * (1 - rng.random(n_spikes)) ** (-1 / rates.spike_index)
    height = np.where(rng.random(n_spikes) < rates.spike_negative, -snr, snr) * sigma[row, pixel]
    shared = np.where(rng.random(n_spikes) < rates.spike_wide, rng.uniform(0, 0.5, n_spikes), 0)
    spikes = np.zeros(sigma.shape)
    np.add.at(spikes, (row, pixel), height * (1 - shared))
    np.add.at(spikes, (row, pixel + 1), height * shared)
    return spikes


def _damage(sigma: Floats, rates: NoiseRates, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw hot and dead pixels and wider damage, of any height and either sign, shape (N, L)."""
    n_pixels = sigma.shape[1]
    n_places = int(rng.poisson(rates.damage_rate * sigma.size / PER_PIXELS))
    row = rng.integers(len(sigma), size=n_places)
    first = rng.integers(n_pixels, size=n_places)
    width = rng.integers(1, rates.damage_pixels + 1, size=n_places)
    low, high = np.log(rates.damage_snr_range)
    height = rng.choice([-1, 1], n_places) * np.exp(rng.uniform(low, high, n_places))
    # No two pixels of a place are equally high.
    shape = rng.uniform(0.3, 1, (n_places, rates.damage_pixels)) * height[:, None]
    damage = np.zeros(sigma.shape)
    for k in range(rates.damage_pixels):
        hit = (k < width) & (first + k < n_pixels)
        place = row[hit], first[hit] + k
        np.add.at(damage, place, shape[hit, k] * sigma[place])
    return damage


def _bright_sky(model: NoiseModel, rng: np.random.Generator, n: int) -> NDArray[np.int32]:
    mask = np.zeros((n, model.n_pixels), np.int32)
    columns = np.flatnonzero(model.bright_sky)
    is_set = rng.random((n, len(columns)), np.float32) < model.bright_sky[columns]
    mask[:, columns] = is_set * np.int32(1 << BRIGHT_SKY_BIT)
    return mask


def _missing(model: NoiseModel, rng: np.random.Generator, n: int) -> NDArray[np.bool_]:
    missing = np.zeros((n, model.n_pixels), bool)
    columns = np.flatnonzero(model.missing)
    missing[:, columns] = rng.random((n, len(columns)), np.float32) < model.missing[columns]
    return missing


def _bad_runs(
    rates: NoiseRates, rng: np.random.Generator, n: int, n_pixels: int
) -> list[tuple[int, slice]]:
    n_runs = int(rng.poisson(rates.bad_run_rate * n * n_pixels / PER_PIXELS))
    rows, starts = rng.integers(n, size=n_runs), rng.integers(n_pixels, size=n_runs)
    lengths = rng.geometric(1 / rates.bad_run_pixels, n_runs)
    return [
        (int(row), slice(int(start), int(start + length)))
        for row, start, length in zip(rows, starts, lengths, strict=True)
    ]


def _or_bits(model: NoiseModel, rng: np.random.Generator, n: int) -> NDArray[np.int32]:
    """Draw the OR mask; one event sets several bits, so they share their random number."""
    n_pixels = model.n_pixels
    phase = int(rng.integers(OR_BLOCK))
    blocks = rng.random((n, n_pixels // OR_BLOCK + 2), np.float32)
    event = np.repeat(blocks, OR_BLOCK, axis=1)[:, phase : phase + n_pixels]
    mask = np.zeros((n, n_pixels), np.int32)
    for bit, probability in zip(OR_BITS, model.or_bits, strict=True):
        mask |= (event < probability) * np.int32(1 << bit)
    return mask


def _sky_level(rates: NoiseRates, rng: np.random.Generator, n: int) -> Floats:
    """Draw the sky's brightness in units of the model's, shape (n, 1)."""
    plate = np.float32(np.exp(rates.sky_plate_scatter * rng.standard_normal()))
    level = plate * (1 + np.float32(rates.sky_fibre_scatter) * _normal(rng, n, 1))
    return np.asarray(level, np.float32)
