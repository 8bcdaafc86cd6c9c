"""How often probabilities come true: PROBABILITY, P_LYA and P_HYPOTHESIS of an evaluation.

In: sources, decoys, and spectra with neither. Out: reliability diagrams. Sources and decoys are put
in far more often than they come, so each stands for as many as it should: those of PROBABILITY for
the lines of the network's training, the others for the hits of the paper.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config
from speclens.evaluate.injection import PLAIN
from speclens.evaluate.prevalence import lognormal_weights, natural_weights
from speclens.schema import RELIABILITY, dtype_of

__all__ = ["calibration_error", "diagram", "reliability_of", "rests_on_few"]

N_BINS = 10
MAX_TRUE_ERR = 0.1
"""A calibration error of which more than half is of bins with a larger error tells of few spectra,
not of the probabilities."""

Floats = NDArray[np.float64]
Rows = NDArray[np.void]


def reliability_of(
    lines: Rows,
    decoys: Rows,
    nulls: Rows,
    quiet: NDArray[np.floating],
    n_scored: Mapping[str, int],
    config: Config,
) -> tuple[Rows, dict[str, float]]:
    """Compare the probabilities of a search with what is true.

    Parameters
    ----------
    lines, decoys : structured array
        `speclens.schema.RECOVERED`, of one search.
    nulls : structured array
        `speclens.schema.NULLS`.
    quiet : array
        PROBABILITY of the spectra as they are.
    n_scored : mapping of str to int
        Spectra that were scored, by null.
    config : Config
        That of the search.

    Returns
    -------
    table : structured array
        `speclens.schema.RELIABILITY`; of a search without a network or without hits fewer rows.
    errors : dict of str to float
        Expected calibration error by probability: the mean distance of TRUE from STATED, by weight;
        NaN where it rests on too few.
    """
    samples = {
        "PROBABILITY": _of_spectra(lines, decoys, quiet, config),
        **_of_hits(lines, decoys, nulls, n_scored, config),
    }
    tables, errors = [np.zeros(0, dtype_of(RELIABILITY))], {}
    for column, (stated, true, weight) in samples.items():
        known = np.isfinite(stated) & (weight > 0)
        if not (known & true).any() or not (known & ~true).any():
            continue
        rows = diagram(stated[known], true[known], weight[known])
        rows["SEARCH"], rows["COLUMN"] = config.search.name, column
        tables.append(rows)
        error = float("nan") if rests_on_few(rows) else calibration_error(rows)
        errors[f"calibration_error_{column.lower()}_{config.search.name}"] = error
    return np.concatenate(tables), errors


def calibration_error(rows: Rows) -> float:
    """Return the expected calibration error: the mean distance of what is stated from the truth.

    Parameters
    ----------
    rows : structured array
        As `diagram` gives it.

    Returns
    -------
    float
        By weight.
    """
    return float(_distances(rows).sum() / rows["WEIGHT"].sum())


def rests_on_few(rows: Rows) -> bool:
    """Say whether most of a calibration error is of bins in which the truth is hardly known.

    Parameters
    ----------
    rows : structured array
        As `diagram` gives it.

    Returns
    -------
    bool
        Whether more than half of it is of those with a TRUE_ERR above `MAX_TRUE_ERR`.
    """
    off = _distances(rows)
    return bool(off[rows["TRUE_ERR"] > MAX_TRUE_ERR].sum() > off.sum() / 2)


def _distances(rows: Rows) -> Floats:
    """Return what each bin adds to the calibration error."""
    return np.asarray(np.abs(rows["TRUE"] - rows["STATED"]) * rows["WEIGHT"], np.float64)


def diagram(stated: Floats, true: NDArray[np.bool_], weight: Floats) -> Rows:
    """Bin probabilities, and count in each bin how often they come true.

    Parameters
    ----------
    stated : array of shape (N,)
        Probabilities.
    true : array of shape (N,)
        Whether each came true.
    weight : array of shape (N,)
        How many each stands for.

    Returns
    -------
    structured array
        `speclens.schema.RELIABILITY`, SEARCH and COLUMN blank: a row for each bin.
    """
    bins = np.minimum((stated * N_BINS).astype(np.intp), N_BINS - 1)
    rows = []
    for number in np.unique(bins):
        own = bins == number
        w = weight[own] / weight[own].sum()
        # The sum of weights may be more than one, by rounding.
        share = min(float(w @ true[own]), 1.0)
        # Kish's effective number of the weighted; where all come true, or none, one more of each
        # tells how little that says (Agresti and Coull).
        n = 1 / (w**2).sum()
        among = (share * n + 1) / (n + 2)
        error = np.sqrt(among * (1 - among) / (n + 2))
        part = weight[own].sum() / weight.sum()
        rows.append(("", "", float(w @ stated[own]), share, error, int(own.sum()), part))
    return np.array(rows, dtype_of(RELIABILITY))


def _of_spectra(
    lines: Rows, decoys: Rows, quiet: NDArray[np.floating], config: Config
) -> tuple[Floats, NDArray[np.bool_], Floats]:
    """Spectra with the lines of a training, and without, in the shares that are assumed."""
    training = config.training_set
    stated, weights = [quiet], [np.full(len(quiet), 1.0)]
    prior = config.training.probability_prior or 0.5
    weights[0] *= (1 - prior) / max(len(quiet), 1)
    every = np.concatenate([lines, decoys])
    every = every[every["SEARCHED"] & np.isfinite(every["PROBABILITY"])]
    for kind, share in training.line_kinds.items():
        own = every[every["KIND"] == kind]
        sigma = training.flux_sigma
        weight = lognormal_weights(own, training.flux_median, sigma, sigma)
        stated.append(own["PROBABILITY"])
        weights.append(prior * share * weight / max(weight.sum(), 1e-30))
    true = np.repeat([False, True], [len(quiet), sum(map(len, stated[1:]))])
    return np.concatenate(stated).astype(np.float64), true, np.concatenate(weights)


def _as_published(rows: Rows, config: Config) -> Floats:
    """Weigh Lyman alpha by the fluxes of the published, decoys evenly; of each kind one in mean."""
    emitters, weight = config.emitters, np.ones(len(rows))
    lya = rows["KIND"] == "lya"
    sigmas = emitters.flux_sigma_low, emitters.flux_sigma_high
    weight[lya] = lognormal_weights(rows[lya], emitters.flux_median, *sigmas)
    weight[lya] *= lya.sum() / max(float(weight[lya].sum()), 1e-30)
    return weight


def _of_hits(
    lines: Rows, decoys: Rows, nulls: Rows, n_scored: Mapping[str, int], config: Config
) -> dict[str, tuple[Floats, NDArray[np.bool_], Floats]]:
    """Hits of Lyman alpha, of decoys and of nothing, as often as they come.

    Where a search takes a line for others too, what it takes a decoy for may be right.
    """
    plain = nulls[nulls["NULL"] == PLAIN]
    found = np.concatenate([lines, decoys])
    found = found[found["FOUND"] & found["SEARCHED"]]
    kind = np.concatenate([found["KIND"], np.full(len(plain), "other")])
    weight = natural_weights(kind, max(n_scored[PLAIN], 1), config.evaluation)
    weight[: len(found)] *= _as_published(found, config)
    return {
        column: (
            np.concatenate([found[column], plain[column]]).astype(np.float64),
            kind == "lya",
            weight,
        )
        for column in ("P_LYA", "P_HYPOTHESIS")
        if config.search.sources == ("lya",)
    }
