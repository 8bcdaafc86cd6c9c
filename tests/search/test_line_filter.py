"""The filter of lines, by known answers and a slow twin; the smooth level of residuals."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.lines import gaussian_pixels
from speclens.search.line_filter import SINGLE, LineFilter, local_level

Floats = NDArray[np.float64]


def test_a_filter_finds_flux_and_error_of_a_line(rng: np.random.Generator) -> None:
    sigma, n = 1.6, 200
    blend = [(-1.6, 0.4), (1.6, 0.6)]
    line_filter = LineFilter((sigma,), 12, 0.6, (SINGLE, blend))
    pixel = np.arange(n)
    profile = np.exp(-0.5 * ((pixel - 100) / sigma) ** 2) / np.sqrt(2 * np.pi) / sigma
    flux = np.tile(30 * profile, (500, 1)) + rng.standard_normal((500, n))
    ivar = np.ones_like(flux, dtype=np.float32)
    out = line_filter(flux.astype(np.float32), ivar)
    single, blended = out.at(0, np.array([100]), np.arange(500)), out.at(1, pixel[100:101], 0)
    assert single.flux.mean() == pytest.approx(30, rel=0.01)
    assert single.flux.std() == pytest.approx(single.c2[0, 0] ** -0.5, rel=0.1)
    assert out.snr[1, 0, 100].mean() < out.snr[0, 0, 100].mean()
    assert blended.seen.all()
    ivar[:, 95:106] = 0
    hidden = line_filter(flux.astype(np.float32), ivar)
    assert not hidden.seen[:, :, 100].any()
    assert (hidden.flux[:, :, 100] == 0).all()
    assert (hidden.squared_snr()[:, 100] == 0).all()


def slow_sums(values: Floats, kernel: Floats) -> Floats:
    """Sums of a kernel times the values around each pixel, 0 beyond the ends: shape (L, N)."""
    half_width = len(kernel) // 2
    wide = np.pad(values, ((0, 0), (2 * half_width, 2 * half_width)))
    return np.array([np.correlate(row, kernel)[half_width:-half_width] for row in wide]).T


@pytest.mark.parametrize("n_pixels", [1, 16, 31, 250])
def test_the_filter_is_the_weighted_sum_around_each_pixel(
    n_pixels: int, rng: np.random.Generator
) -> None:
    # Kernels are cut where they are below 1e-4 of their highest pixel.
    sigmas, half_width, blend = (1.15, 2.1), 12, [(-1.3, 0.43), (1.1, 0.57)]
    flux, ivar = rng.standard_normal((5, n_pixels)), rng.uniform(0.5, 2, (5, n_pixels))
    ivar[rng.random(ivar.shape) < 0.2] = 0
    line_filter = LineFilter(sigmas, half_width, 0.6, (SINGLE, blend))
    out = line_filter(flux.astype(np.float32), ivar.astype(np.float32))
    offset = np.arange(-half_width, half_width + 1)
    for i, shape in enumerate((SINGLE, blend)):
        kernels = [sum(s * gaussian_pixels(offset - o, w) for o, s in shape) for w in sigmas]
        coverage = slow_sums(ivar > 0, kernels[1])
        assert out.seen[i][:, coverage > 0.601].all()
        assert not out.seen[i][:, coverage < 0.599].any()
        for j, kernel in enumerate(kernels):
            seen = out.seen[i, j]
            np.testing.assert_allclose(out.c1[i, j], slow_sums(ivar * flux, kernel), atol=2e-3)
            c2 = slow_sums(ivar, kernel**2)
            np.testing.assert_allclose(out.c2[i, j][seen], c2[seen], rtol=2e-3)
    best = (np.maximum(out.snr, 0) ** 2).max(axis=1)
    np.testing.assert_allclose(out.squared_snr(), best, rtol=1e-5)


def test_the_level_is_that_of_medians(rng: np.random.Generator) -> None:
    slope = np.linspace(0, 5, 900)
    residual = (slope + 0.1 * rng.standard_normal((3, 900))).astype(np.float32)
    ivar = np.ones((3, 900), np.float32)
    residual[:, 450:455] += 50
    level = local_level(residual, ivar, 75)
    np.testing.assert_allclose(level[:, 40:-40], np.tile(slope, (3, 1))[:, 40:-40], atol=0.2)
    assert (local_level(residual, 0 * ivar, 75) == 0).all()
