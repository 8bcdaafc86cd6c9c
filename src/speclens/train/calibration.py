"""From logits to probabilities, by spectra that a network was not trained on.

In: the outputs of a network for the test, and what is known of it. Out: a `Calibration`, and how
many redshifts are right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logit as logit_of

from speclens.errors import RunError
from speclens.networks.model import Calibration
from speclens.networks.source_bins import SAME_CELLS, SPREAD_CELLS, SourceBins, places_of

__all__ = ["calibrate", "calibrate_sources", "redshifts_right"]

CHUNK = 512
"""Maps that are looked at at once."""

LARGEST, LEAST = np.float32(80.0), np.float32(1e-35)
"""Of which single precision knows the exponential, and the logarithm."""


def calibrate(
    logit: NDArray[np.floating], label: NDArray[np.floating], prior: float
) -> Calibration:
    """Find the probabilities that logits stand for (Platt 1999).

    Parameters
    ----------
    logit, label : array of shape (N,)
        Logits and true labels of spectra that the network was not trained on.
    prior : float
        Share of spectra with a line that the probabilities shall assume.

    Returns
    -------
    Calibration
        Slope and intercept of the highest likelihood, moved to the prior.

    Raises
    ------
    RunError
        If the logits of spectra with a line are no higher than the others.
    """
    z, y = np.asarray(logit, np.float64), np.asarray(label, np.float64)

    def negative_log_likelihood(parameters: NDArray[np.float64]) -> float:
        scaled = parameters[0] * z + parameters[1]
        return float((np.logaddexp(0, scaled) - y * scaled).mean())

    return _likeliest(negative_log_likelihood, logit_of(prior) - logit_of(y.mean()))


def calibrate_sources(
    heat: NDArray[np.floating],
    target: NDArray[np.integer],
    sources: Sequence[SourceBins],
    prior: float,
) -> Calibration:
    """Find the probabilities that maps of redshifts stand for: a temperature, and a bias of none.

    Parameters
    ----------
    heat : array of shape (N, P)
        Logits of sources over that of none, of spectra that the network was not trained on.
    target : array of shape (N, 4)
        As for `speclens.train.labelled_set.Split.sources`.
    sources : sequence of SourceBins
        The bins.
    prior : float
        Share of spectra with a source that the probabilities shall assume.

    Returns
    -------
    Calibration
        Slope and intercept of the logits of the highest likelihood, moved to the prior.

    Raises
    ------
    RunError
        If the logits of sources are no higher than the others.
    """
    cells, kinds = places_of(sources)
    share, right = _of_truth(heat, target, cells, kinds)
    # About a usual logit, so that a temperature does not go with a bias.
    usual = float(
        np.median(np.concatenate([_log_sum(*p, 1) for p in _chunks(heat, target, cells)]))
    )

    def negative_log_likelihood(parameters: NDArray[np.float64]) -> float:
        slope, intercept = parameters
        any_source = [_log_sum(*part, slope) for part in _chunks(heat, target, cells)]
        total = np.logaddexp(0, np.concatenate(any_source) - slope * usual + intercept)
        return float((total - (slope * (right - usual) + intercept) * share).mean())

    found = _likeliest(negative_log_likelihood, logit_of(prior) - logit_of(share.mean()))
    return Calibration(found.slope, found.intercept - found.slope * usual)


def redshifts_right(
    heat: NDArray[np.floating], target: NDArray[np.integer], sources: Sequence[SourceBins]
) -> float:
    """Return the share of spectra with a source whose likeliest redshift and kind are right.

    Parameters
    ----------
    heat, target, sources
        As for `calibrate_sources`.

    Returns
    -------
    float
        Share of those with a source, whatever the probability of none.
    """
    cells, kinds = places_of(sources)
    best = np.concatenate([
        np.where(cells >= first[:, None], some, -np.inf).argmax(axis=1)
        for some, first in zip(_cut(heat), _cut(target[:, 1]), strict=True)
    ])[:, None]  # fmt: skip
    truth = target[:, 2:]
    is_source = (truth >= 0) & (cells[truth] >= target[:, 1:2])
    near = np.abs(cells[truth] - cells[best]) <= SAME_CELLS
    right = is_source & near & (kinds[truth] == kinds[best])
    return float(right.any(axis=1)[is_source.any(axis=1)].mean())


def _likeliest(
    loss: Callable[[NDArray[np.float64]], float],
    shift: float,
) -> Calibration:
    """Find the slope and intercept of the least loss, and move the intercept to a prior."""
    slope, intercept = minimize(loss, [1.0, 0.0], method="Nelder-Mead").x
    if not slope > 0:
        raise RunError(
            "training: the network learned nothing; train it for more epochs, on more spectra or "
            "at another training.learning_rate"
        )
    return Calibration(float(slope), float(intercept + shift))


def _of_truth(
    heat: NDArray[np.floating],
    target: NDArray[np.integer],
    cells: NDArray[np.intp],
    kinds: NDArray[np.intp],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return whether a galaxy is in the map, and the mean logit of its bins, of shape (N,)."""
    row = np.arange(len(heat))
    total, number = np.zeros((2, len(heat)))
    possible = _possible(cells, target)
    for place in target[:, 2:].T:
        own, n_bins = np.zeros((2, len(heat)))
        for offset in range(-SPREAD_CELLS, SPREAD_CELLS + 1):
            near = np.clip(place + offset, 0, len(cells) - 1)
            use = (place >= 0) & (near == place + offset) & (kinds[near] == kinds[place])
            use &= possible[row, near]
            own += np.where(use, heat[row, near].astype(np.float64), 0)
            n_bins += use
        total += own / np.maximum(n_bins, 1)
        number += n_bins > 0
    return (number > 0).astype(np.float64), total / np.maximum(number, 1)


def _log_sum(
    heat: NDArray[np.float32], possible: NDArray[np.bool_], slope: float
) -> NDArray[np.float64]:
    """Return the logarithm of the sum of what is possible, shape (n,); in single precision."""
    top = heat.max(axis=1, keepdims=True)
    terms = np.exp(np.minimum(np.float32(slope) * (heat - top), LARGEST)) * possible
    return np.asarray(np.log(np.maximum(terms.sum(axis=1), LEAST)) + slope * top[:, 0], np.float64)


def _chunks(
    heat: NDArray[np.floating], target: NDArray[np.integer], cells: NDArray[np.intp]
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
    """Cut maps into parts: logits, and which bins are not at the lens."""
    for some, of_them in zip(_cut(heat), _cut(target), strict=True):
        yield some.astype(np.float32), _possible(cells, of_them)


def _cut(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    return (array[i : i + CHUNK] for i in range(0, len(array), CHUNK))


def _possible(cells: NDArray[np.intp], target: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Say which bins are before or behind each lens, shape (N, P)."""
    return np.asarray((cells < target[:, :1]) | (cells >= target[:, 1:2]))
