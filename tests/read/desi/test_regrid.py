"""DESI's pixels on the global grid: lines and noise are what they were."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.lines import gaussian_pixels, pixel_width_angstrom
from speclens.read.desi.regrid import Regrid
from speclens.spectra import LogGrid

STEP, SPREAD = 0.8, 0.72
N_PIXELS = 500
WHITE = 0.12
"""Largest correlation of neighbours."""


def window(wave: float) -> tuple[NDArray[np.float64], Regrid, LogGrid]:
    """Pixels of DESI around a wavelength, and a grid within them."""
    own = wave + STEP * (np.arange(N_PIXELS) - N_PIXELS // 2)
    grid = LogGrid.covering(own[20], own[-20])
    return own, Regrid(own[0], STEP, slice(0, N_PIXELS), grid), grid


def constant(value: float, n_spectra: int = 1) -> NDArray[np.float32]:
    return np.full((n_spectra, N_PIXELS), value, np.float32)


@pytest.mark.parametrize("wave", [4000.0, 6000.0, 9000.0])
def test_noise_stays_white_even_and_as_large_as_its_errors_say(wave, rng):
    _, regrid, grid = window(wave)
    noise = rng.standard_normal((400, N_PIXELS)).astype(np.float32)
    flux, ivar, _ = regrid(noise, constant(1.0, 400), constant(SPREAD, 400))
    pull = flux * np.sqrt(ivar)
    assert 0.95 < pull.std() < 1.0
    assert abs((pull[:, 1:] * pull[:, :-1]).mean()) < WHITE
    assert ivar.std() / ivar.mean() < 0.03
    np.testing.assert_allclose(
        ivar.mean(), pixel_width_angstrom(grid.wave).mean() / STEP, rtol=0.01
    )


@pytest.mark.parametrize(("wave", "kms"), [(4000.0, 0.0), (4000.0, 100.0), (6000.0, 50.0),
                                           (9000.0, 50.0)])  # fmt: skip
def test_a_line_keeps_its_flux_its_width_and_its_signal_to_noise_ratio(wave, kms, rng):
    own, regrid, grid = window(wave)
    total = np.hypot(SPREAD, kms / 299792.458 * wave)
    without_pixel = np.sqrt(total**2 - STEP**2 / 12)
    for centre in wave + rng.uniform(-20, 20, 20):
        line = gaussian_pixels((own - centre) / STEP, without_pixel / STEP)[None] / STEP
        flux, ivar, spread = regrid(line.astype(np.float32), constant(1.0), constant(SPREAD))
        # What the searches take a line to look like.
        place = grid.pixel(centre)
        here = float(spread[0, round(float(place))])
        width = np.hypot(here, kms / 299792.458 * wave / pixel_width_angstrom(centre))
        template = gaussian_pixels(np.arange(grid.n_pixels) - place, width)
        template = template / pixel_width_angstrom(grid.wave)
        snr = (template * flux[0] * ivar[0]).sum() / np.sqrt((template**2 * ivar[0]).sum())
        assert snr == pytest.approx(np.sqrt((line**2).sum()), rel=0.015)
        measured = (template * flux[0]).sum() / (template**2).sum()
        assert measured == pytest.approx(1, abs=0.03)


def test_a_masked_pixel_masks_what_it_decides_and_spoils_nothing():
    own, regrid, grid = window(4000.0)
    flux, ivar = constant(3.0), constant(1.0)
    middle = N_PIXELS // 2
    flux[0, middle], ivar[0, middle] = 1e4, 0
    mean, weight, _ = regrid(flux, ivar, constant(SPREAD))
    masked = np.flatnonzero(weight[0] == 0)
    assert masked.tolist() == [int(grid.nearest(own[middle : middle + 1])[0])]
    good = weight[0] > 0
    np.testing.assert_allclose(mean[0, good], 3.0, rtol=1e-5)


def test_an_unknown_line_spread_stays_unknown():
    _, regrid, _ = window(4000.0)
    assert not regrid(constant(1.0), constant(1.0), constant(0.0))[2].any()
