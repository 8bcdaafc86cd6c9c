"""The search that knows everything is the filter written out, and bounds every other."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.config import load_config
from speclens.evaluate.oracle import oracle_among_spikes, oracle_snr

Floats = NDArray[np.float64]


def gaussian(sigma: float, n_kernel: int = 31) -> Floats:
    offset = np.arange(n_kernel) - n_kernel // 2
    return np.asarray(np.exp(-0.5 * (offset / sigma) ** 2))


def slow_oracle(residual: Floats, ivar: Floats, shape: Floats) -> float:
    """Least squares with the shape centred on each pixel in turn, those hardly seen left out."""
    n_pixels, half = len(residual), len(shape) // 2
    signals, variances = np.zeros(n_pixels), np.zeros(n_pixels)
    for centre in range(n_pixels):
        for k, value in enumerate(shape):
            pixel = centre + k - half
            if 0 <= pixel < n_pixels:
                signals[centre] += residual[pixel] * ivar[pixel] * value
                variances[centre] += ivar[pixel] * value**2
    seen = variances > 1e-3 * variances.max()
    return float((signals[seen] / np.sqrt(variances[seen])).max())


def spectra(rng: np.random.Generator, n: int = 4, n_pixels: int = 120) -> tuple[Floats, Floats]:
    ivar = rng.uniform(0.5, 4, (n, n_pixels))
    return rng.standard_normal((n, n_pixels)) / np.sqrt(ivar), ivar


@pytest.mark.parametrize("n_kernel", [1, 3, 31])
def test_it_is_the_filter_written_out(rng: np.random.Generator, n_kernel: int) -> None:
    residual, ivar = spectra(rng)
    ivar[:, 30:50] = 0
    shapes = np.array([gaussian(sigma, n_kernel) for sigma in (0.7, 1.5, 2.2, 4.0)])
    shapes[:, n_kernel // 2 + 1 :] *= 0.4  # lopsided, as Lyman alpha is
    expected = [slow_oracle(*rows) for rows in zip(residual, ivar, shapes, strict=True)]
    np.testing.assert_allclose(oracle_snr(residual, ivar, shapes), expected, rtol=1e-9)


def test_a_line_without_noise_has_its_ideal_ratio() -> None:
    shape = gaussian(2.0)
    line = np.zeros((1, 200))
    line[0, 85:116] = 3 * shape
    ivar = np.full((1, 200), 4.0)
    ideal = np.sqrt((line**2 * ivar).sum())
    assert oracle_snr(line, ivar, shape[None])[0] == pytest.approx(ideal)


def test_no_other_shape_finds_more_of_a_line() -> None:
    true = gaussian(2.0)
    line = np.zeros((1, 200))
    line[0, 85:116] = 5 * true
    ivar = np.full((1, 200), 2.0)
    best = oracle_snr(line, ivar, true[None])[0]
    others = [oracle_snr(line, ivar, gaussian(s)[None])[0] for s in (0.5, 1.0, 1.7, 2.4, 4.0)]
    assert max(others) < best


def test_the_unit_of_the_shape_and_the_flux_do_not_matter(rng: np.random.Generator) -> None:
    residual, ivar = spectra(rng)
    shapes = np.tile(gaussian(2.0), (4, 1))
    before = oracle_snr(residual, ivar, shapes)
    np.testing.assert_allclose(oracle_snr(residual, ivar, 1e-5 * shapes), before, rtol=1e-9)
    np.testing.assert_allclose(oracle_snr(1e4 * residual, 1e-8 * ivar, shapes), before, rtol=1e-9)


def test_a_masked_line_is_not_found() -> None:
    residual, ivar = np.zeros((1, 200)), np.ones((1, 200))
    residual[0, 100], ivar[0, 80:121] = 1e3, 0
    assert abs(oracle_snr(residual, ivar, gaussian(2.0)[None])[0]) < 1e-6


def test_a_spectrum_without_a_pixel_gives_a_number() -> None:
    empty = np.zeros((2, 50))
    found = oracle_snr(empty, empty, np.tile(gaussian(2.0), (2, 1)))
    assert np.isfinite(found).all()
    assert (found <= 0).all()


def test_single_precision_is_enough(rng: np.random.Generator) -> None:
    residual, ivar = spectra(rng)
    shapes = np.tile(gaussian(2.0), (4, 1))
    single = oracle_snr(*(a.astype(np.float32) for a in (residual, ivar, shapes)))
    np.testing.assert_allclose(single, oracle_snr(residual, ivar, shapes), rtol=1e-5)


def test_one_that_knows_of_spikes_is_the_same_without_them_and_refuses_them(
    rng: np.random.Generator,
) -> None:
    rates = load_config("desi").survey.noise
    residual, ivar = rng.standard_normal((60, 300)), np.ones((60, 300))
    shapes = np.broadcast_to(gaussian(2.5), (60, 31))
    residual[:30, 100:131] += 7 * shapes[:30] / np.sqrt((shapes[0] ** 2).sum())
    plain = oracle_snr(residual, ivar, shapes)
    none = rates.model_copy(update={"spike_rate": 0.0})
    seen = plain > 3
    without = oracle_among_spikes(residual, ivar, shapes, none)[seen]
    np.testing.assert_allclose(without, plain[seen], rtol=0.01)
    # A high pixel of a line may be a spike, but rarely is.
    ratio = oracle_among_spikes(residual, ivar, shapes, rates)[:30] / plain[:30]
    assert 0.97 < np.median(ratio) < 1
    residual[30:, 200] += 18
    assert np.median(oracle_snr(residual, ivar, shapes)[30:]) > 7
    assert oracle_among_spikes(residual, ivar, shapes, rates)[30:].max() < 5
