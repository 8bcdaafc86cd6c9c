"""Two peaks and airglow: what is put in comes back, and what is not does not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.config import Config
from speclens.lines import PIXEL_KMS, gaussian_pixels, skew_normal_pixels
from speclens.spectra import FittedSpectra, LogGrid
from speclens.vet import airglow, double_peak
from speclens.vet.hit_spectra import HitSpectra

Floats = NDArray[np.float64]

GRID = LogGrid.covering(3800, 5000)
WAVE, N, ERROR = 4300.0, 40, 0.3
FLUX = 20.0
"""Sum over pixels, flux density."""


@pytest.fixture
def hits(
    spectra_of: Callable[..., FittedSpectra], hits_of: Callable[..., np.ndarray], defaults: Config
) -> Callable[..., HitSpectra]:
    def make(
        flux: Floats, sigma: float | Floats, rng: np.random.Generator, hypothesis: str = "lya"
    ) -> HitSpectra:
        spectra = spectra_of(GRID, flux, sigma, rng)
        rows = hits_of(len(flux), WAVE=WAVE, FWHM_KMS=200.0, HYPOTHESIS=hypothesis)
        spread = ((4000.0, 1.05), (5000.0, 1.05))
        return HitSpectra(rows, spectra, spectra, spread, defaults.vet)

    return make


def offset() -> Floats:
    return np.arange(GRID.n_pixels) - GRID.pixel(WAVE)


def two_peaks(apart: float, ratio: float) -> Floats:
    blue, red = (gaussian_pixels(offset() - sign * apart / 2, 1.4) for sign in (-1, 1))
    return np.tile(FLUX * (blue + ratio * red) / (1 + ratio), (N, 1))


@pytest.mark.parametrize(("apart", "ratio"), [(4.5, 1.0), (6.5, 2.5), (9.5, 1.0)])
def test_two_peaks_are_told_with_their_distance(
    hits: Callable[..., HitSpectra], rng: np.random.Generator, apart: float, ratio: float
) -> None:
    found = double_peak.measure(hits(two_peaks(apart, ratio), ERROR, rng))
    assert (found["PEAKS_DCHI2"] > 16).mean() > 0.8
    assert np.median(found["PEAKS_KMS"]) == pytest.approx(apart * PIXEL_KMS, rel=0.01)
    assert np.median(found["PEAKS_RATIO"]) == ratio


@pytest.mark.parametrize("skewness", [0.0, 4.0])
def test_one_line_is_not_two(
    hits: Callable[..., HitSpectra], rng: np.random.Generator, skewness: float
) -> None:
    flux = np.tile(FLUX * skew_normal_pixels(offset(), 2.2, skewness), (N, 1))
    found = double_peak.measure(hits(flux, ERROR, rng))
    assert (found["PEAKS_DCHI2"] > 16).mean() < 0.05


def test_only_lyman_alpha_is_asked(
    hits: Callable[..., HitSpectra], rng: np.random.Generator
) -> None:
    found = double_peak.measure(hits(two_peaks(6.5, 1.0), ERROR, rng, "oii"))
    assert all(np.isnan(values).all() for values in found.values())


def test_a_line_on_airglow_has_larger_errors_than_its_surroundings(
    hits: Callable[..., HitSpectra], rng: np.random.Generator
) -> None:
    bright = np.abs(offset()) < 4
    sigma = np.where(bright, 3 * ERROR, ERROR)
    flux = two_peaks(3.0, 1.0)
    on, off = (airglow.measure(hits(flux, s, rng))["SKY_EXCESS"] for s in (sigma, ERROR))
    np.testing.assert_allclose(on, 3, rtol=1e-5)
    np.testing.assert_allclose(off, 1, rtol=1e-5)


def test_no_pixel_no_excess(hits: Callable[..., HitSpectra], rng: np.random.Generator) -> None:
    spectra = hits(two_peaks(3.0, 1.0), ERROR, rng)
    spectra.whole.ivar[:] = 0
    spectra.hits["WAVE"][1] = np.nan
    assert np.isnan(airglow.measure(spectra)["SKY_EXCESS"]).all()


@pytest.mark.parametrize(("wave", "kms"), [(4359.6, 0.0), (4362.5, 199.4), (4200.0, 10_091.3)])
def test_the_nearest_line_of_the_night_sky_is_that_of_the_survey(
    hits: Callable[..., HitSpectra], rng: np.random.Generator, wave: float, kms: float
) -> None:
    spectra = hits(two_peaks(3.0, 1.0), ERROR, rng)
    spectra.hits["WAVE"] = wave
    spectra.hits["SURVEY"] = "sdss"
    spectra.hits["SURVEY"][0] = "of no list"
    found = airglow.measure(spectra)["SKY_KMS"]
    assert np.isnan(found[0])
    np.testing.assert_allclose(found[1:], kms, rtol=2e-3, atol=1e-3)


def test_redward_of_the_list_nothing_is_known(
    hits: Callable[..., HitSpectra], rng: np.random.Generator
) -> None:
    spectra = hits(two_peaks(3.0, 1.0), ERROR, rng)
    spectra.hits["WAVE"], spectra.hits["SURVEY"] = 8684.7, "sdss"
    assert np.isnan(airglow.measure(spectra)["SKY_KMS"]).all()
