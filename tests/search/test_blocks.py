"""Kernels as small matrices: the sum around every pixel, whatever else is filtered."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.search.blocks import blocks_of, filtered

Floats = NDArray[np.float32]


def slow(kernels: Floats, values: Floats) -> NDArray[np.float64]:
    """Sum kernels times values one by one, shape (W, L, N)."""
    n_spectra, n_pixels = values.shape
    sums = np.zeros((len(kernels), n_pixels, n_spectra))
    half = kernels.shape[2] // 2
    for w, i, n in np.ndindex(sums.shape):
        for j in range(max(i - half, 0), min(i + half + 1, n_pixels)):
            own = kernels[w, i if kernels.shape[1] > 1 else 0]
            sums[w, i, n] += float(own[j - i + half]) * float(values[n, j])
    return sums


@pytest.mark.parametrize("same", [False, True])
@pytest.mark.parametrize(("n_pixels", "block"), [(24, 8), (19, 8), (5, 8), (17, 4)])
def test_sums_are_those_of_a_slow_twin(
    rng: np.random.Generator, n_pixels: int, block: int, same: bool
) -> None:
    kernels = rng.normal(size=(2, 1 if same else n_pixels, 9)).astype("f4")
    kernels[..., [0, -1]] = 0  # no kernel reaches so far
    values = rng.normal(size=(3, n_pixels)).astype("f4")
    blocks = blocks_of(kernels, block)
    assert blocks.shape[-2:] == (block, block + 6)
    np.testing.assert_allclose(filtered(blocks, values), slow(kernels, values), atol=1e-5)


def test_with_a_fixed_number_of_columns_no_bit_depends_on_the_other_spectra(
    rng: np.random.Generator,
) -> None:
    blocks = blocks_of(rng.random((3, 200, 21)).astype("f4"), 8)
    values = rng.normal(size=(64, 200)).astype("f4")
    together = filtered(blocks, values, 64)
    for rows in (slice(5, 6), slice(20, 43), slice(None, None, -1)):
        some = filtered(blocks, values[rows], 64)
        n_some = len(values[rows])
        np.testing.assert_array_equal(some[..., :n_some], together[..., rows])
        assert not some[..., n_some:].any()
