"""Values that cannot be: in single pixels, and in spectra that are constant or in another unit.

In: a `SpectrumBatch` as read. Out: its good pixels, and which of its spectra hold values that no
spectrum of the survey has. Pixels unlike those around them are found with the foreground fitted, in
`speclens.sample.damage`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from speclens.config import PreparationConfig
from speclens.spectra import SpectrumBatch

__all__ = ["good_pixels", "implausible"]


def good_pixels(batch: SpectrumBatch, config: PreparationConfig) -> NDArray[np.bool_]:
    """Say which pixels hold a measurement.

    Parameters
    ----------
    batch : SpectrumBatch
        N spectra as read.
    config : PreparationConfig
        Limits.

    Returns
    -------
    array of shape (N, L)
        False for NaN, infinite or absurd flux, for an inverse variance that is not a positive
        number, and for masked pixels.
    """
    # NaN fails every comparison.
    return np.asarray(
        (np.abs(batch.flux) < config.flux_limit)
        & (batch.ivar > 0)
        & (batch.ivar < config.ivar_limit)
        & ~batch.mask
    )


def implausible(
    batch: SpectrumBatch, good: NDArray[np.bool_], config: PreparationConfig
) -> NDArray[np.bool_]:
    """Say which spectra hold values that no spectrum has.

    Parameters
    ----------
    batch : SpectrumBatch
        N spectra as read.
    good : array of shape (N, L)
        Pixels that hold a measurement, as `good_pixels` says.
    config : PreparationConfig
        Limits.

    Returns
    -------
    array of shape (N,)
        True where more than half of the pixels differ from their neighbours by less or more than
        `step_range` errors: flux of a spectrum is as rough as its errors are large; where the
        errors of more than half are outside `error_range`; and where all would be well but for
        flux or inverse variance beyond their limits.
    """
    # Every fourth pixel with its neighbour: a quarter of the pairs tells the same.
    one, next_to_it = np.s_[:, :-1:4], np.s_[:, 1::4]
    pairs = good[one] & good[next_to_it]
    ivar = batch.ivar[one]
    with np.errstate(all="ignore"):
        # NaN fails every comparison; variances of neighbours are much the same.
        steps2 = (batch.flux[one] - batch.flux[next_to_it]) ** 2 * ivar
    low, high = (np.float32(2 * limit**2) for limit in config.step_range)
    smallest, largest = (np.float32(error**-2) for error in config.error_range[::-1])
    n_pairs = pairs.sum(1)
    odd = _mostly(pairs & (steps2 < low), n_pairs) | _mostly(pairs & (steps2 > high), n_pairs)
    odd |= _mostly(pairs & ((ivar < smallest) | (ivar > largest)), n_pairs)
    few = np.flatnonzero(good.sum(1) < config.min_good_pixels)
    odd[few] = False
    if len(few):
        # Any number counts now: is it only too large?
        unlimited = config.model_copy(update={"flux_limit": np.inf, "ivar_limit": np.inf})
        n_measured = good_pixels(batch[few], unlimited).sum(1)
        odd[few] = n_measured >= config.min_good_pixels
    return odd


def _mostly(where: NDArray[np.bool_], n_pairs: NDArray[np.integer]) -> NDArray[np.bool_]:
    return np.asarray(2 * where.sum(1) > n_pairs)
