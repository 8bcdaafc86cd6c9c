"""Kernels over many spectra as products of small matrices.

In: a kernel for every pixel, or one for all; values of spectra. Out: at each pixel the sum of
kernel and values around it. A block of neighbouring pixels needs the values of few others, so that
a banded matrix falls into small dense ones, which a BLAS multiplies several times faster than a
sparse one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

__all__ = ["blocks_of", "filtered"]

Floats = NDArray[np.float32]


def blocks_of(kernels: NDArray[np.floating], block: int) -> Floats:
    """Return the small matrices of kernels.

    Parameters
    ----------
    kernels : array of shape (..., L, K)
        Weights of the K pixels around each pixel, K odd; L is 1 where all have the same.
    block : int
        Pixels P that one matrix filters.

    Returns
    -------
    array of shape (..., L / P, P, P + K - 1)
        From the values around a block to the sums on it, 0 beyond the last pixel. There is one
        where L is 1. K shrinks where no kernel reaches so far.
    """
    while kernels.shape[-1] > 1 and not kernels[..., [0, -1]].any():
        kernels = kernels[..., 1:-1]
    *shape, n_pixels, width = kernels.shape
    n_blocks = -(-n_pixels // block)
    whole = np.zeros((*shape, n_blocks * block, width), np.float32)
    whole[..., : n_pixels if n_pixels > 1 else block, :] = kernels
    whole = whole.reshape(*shape, n_blocks, block, width)
    blocks = np.zeros((*shape, n_blocks, block, block + width - 1), np.float32)
    for i in range(block):
        blocks[..., i, i : i + width] = whole[..., i, :]
    return blocks


def filtered(blocks: Floats, values: NDArray[Any], n_columns: int | None = None) -> Floats:
    """Sum kernels times the values around each pixel.

    Parameters
    ----------
    blocks : array of shape (..., B, P, P + K - 1)
        As `blocks_of` makes them.
    values : array of shape (N, L)
        Values of spectra; beyond their ends they are 0.
    n_columns : int, optional
        Columns of the product, the last of them 0; as many as spectra when not given.

    Returns
    -------
    array of shape (..., L, n_columns)
        The sums. Spectra are columns.
    """
    n_spectra, n_pixels = values.shape
    block, around = blocks.shape[-2:]
    n_blocks, before = -(-n_pixels // block), (around - block) // 2
    padded = np.zeros((n_blocks * block + 2 * before, n_columns or n_spectra), np.float32)
    padded[before : before + n_pixels, :n_spectra] = values.T
    windows = sliding_window_view(padded, around, axis=0)[::block].swapaxes(1, 2)
    sums: Floats = blocks @ windows  # (..., n_blocks, P, n_columns)
    return sums.reshape(*blocks.shape[:-3], n_blocks * block, -1)[..., :n_pixels, :]
