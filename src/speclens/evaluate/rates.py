"""Searches at the same price: completeness at equal rates of false alarms, overlap, prevalence.

In: scores of the same spectra by several searches, of their hits or of their candidates. Out: rows
of tables. A rate that the spectra are too few to measure, below one false alarm in all of them, is
said not to be measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config
from speclens.evaluate.completeness import snr_edges, wilson_interval
from speclens.evaluate.entries import Entry
from speclens.evaluate.prevalence import lognormal_weights
from speclens.evaluate.search_scores import NOTHING, SearchScores, threshold_of
from speclens.schema import (
    COMPARED_BY_SNR,
    COMPARED_OVERLAP,
    COMPARED_PREVALENCE,
    COMPARED_RATES,
    dtype_of,
)

__all__ = [
    "CANDIDATE",
    "HIT",
    "by_snr",
    "overlap",
    "prevalence",
    "published_weights",
    "rates",
    "rates_around",
    "roc",
    "shown_rate",
]

HIT, CANDIDATE = "hit", "candidate"
"""What is counted: the column LEVEL."""

OWN = float("nan")
"""The rate of a search at its own thresholds, which are not chosen for a rate."""

ROC_POINTS = 60
MILLION = 1e6

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Cut:
    """A search at one threshold."""

    step: int
    threshold: float
    n_alarms: int
    found: NDArray[np.bool_]


def rates(
    entries: Sequence[Entry], scores: SearchScores, config: Config, level: str = HIT
) -> NDArray[np.void]:
    """Return completeness at the rates of the configuration, and at each search's own thresholds.

    Parameters
    ----------
    entries : sequence of Entry
        The searches.
    scores : SearchScores
        Of the same spectra.
    config : Config
        Section `comparison`.
    level : str, optional
        What the scores are of: `HIT` or `CANDIDATE`.

    Returns
    -------
    structured array
        `speclens.schema.COMPARED_RATES`.
    """
    asked = (OWN, *config.comparison.alarm_rates)
    return _rows(entries, scores, config, asked, level)


def roc(
    entries: Sequence[Entry], scores: SearchScores, config: Config, level: str = HIT
) -> NDArray[np.void]:
    """Return completeness by rate of false alarms, as finely as the spectra tell.

    Parameters
    ----------
    entries : sequence of Entry
        The searches.
    scores : SearchScores
        Of the same spectra.
    config : Config
        The lines.
    level : str, optional
        What the scores are of: `HIT` or `CANDIDATE`.

    Returns
    -------
    structured array
        `speclens.schema.COMPARED_RATES`.
    """
    n = len(scores.spectra)
    numbers = np.unique(np.geomspace(1, n, ROC_POINTS).round().astype(int)).tolist()
    return _rows(entries, scores, config, [number / n for number in numbers], level)


def by_snr(
    entries: Sequence[Entry],
    scores: SearchScores,
    config: Config,
    rate: float,
    level: str = HIT,
) -> NDArray[np.void]:
    """Return completeness in bins of ideal signal-to-noise ratio, at one rate.

    Parameters
    ----------
    entries : sequence of Entry
        The searches.
    scores : SearchScores
        Of the same spectra.
    config : Config
        The bins.
    rate : float
        False alarms a spectrum; NaN for the searches' own thresholds.
    level : str, optional
        What the scores are of: `HIT` or `CANDIDATE`.

    Returns
    -------
    structured array
        `speclens.schema.COMPARED_BY_SNR`.
    """
    edges = snr_edges(config.evaluation)
    which = np.digitize(scores.lines["IDEAL_SNR"], edges) - 1
    rows = []
    for i, entry in enumerate(entries):
        cut = _cut(scores.empty[i], scores.found[i], rate)
        for b in range(len(edges) - 1):
            inside = which == b
            found = int((cut.found & inside).sum())
            share = _share(found, int(inside.sum()))
            rows.append((entry.name, level, rate, *edges[b : b + 2], *share))
    return np.array(rows, dtype_of(COMPARED_BY_SNR))


def overlap(entries: Sequence[Entry], scores: SearchScores) -> NDArray[np.void]:
    """Return what each two searches find together, at their own thresholds.

    Parameters
    ----------
    entries : sequence of Entry
        The searches.
    scores : SearchScores
        Of the same spectra.

    Returns
    -------
    structured array
        `speclens.schema.COMPARED_OVERLAP`.
    """
    rows = []
    for i, j in combinations(range(len(entries)), 2):
        counts = []
        for of in (scores.found, scores.empty):
            one, other = of[i][0] > NOTHING, of[j][0] > NOTHING
            counts += [int(one.sum()), int(other.sum()), int((one & other).sum())]
        rows.append((entries[i].name, entries[j].name, *counts))
    return np.array(rows, dtype_of(COMPARED_OVERLAP))


def prevalence(measured: NDArray[np.void], config: Config) -> NDArray[np.void]:
    """Return what a threshold costs and yields where lenses are as rare as they are.

    Parameters
    ----------
    measured : structured array
        `speclens.schema.COMPARED_RATES`, of hits.
    config : Config
        Section `comparison`.

    Returns
    -------
    structured array
        `speclens.schema.COMPARED_PREVALENCE`; rates that were not measured are left out.

    Notes
    -----
    Lines count as bright as the published ones are; galaxies as bright as they were put in.
    """
    rows = []
    for row in measured[np.isfinite(measured["COMPLETENESS"])]:
        published = row["COMPLETENESS_PUBLISHED"]
        found = float(published if np.isfinite(published) else row["COMPLETENESS"])
        rate = row["N_ALARMS"] / row["N_SPECTRA"]
        for share in config.comparison.prevalences:
            true = share * found
            false = (1 - share) * np.array([rate, row["ALARMS_LOW"], row["ALARMS_HIGH"]])
            purity, high, low = (_ratio(true, true + of) for of in false.tolist())
            rows.append((
                row["SEARCH"], row["RATE"], share, MILLION * true, *(MILLION * false), purity, low,
                high, _ratio(true + false[0], true),
            ))  # fmt: skip
    return np.array(rows, dtype_of(COMPARED_PREVALENCE))


def shown_rate(measured: NDArray[np.void]) -> float:
    """Return the lowest rate of false alarms that was measured.

    Parameters
    ----------
    measured : structured array
        `speclens.schema.COMPARED_RATES`.

    Returns
    -------
    float
        The rate; NaN, for the searches' own thresholds, when none was.
    """
    done = measured["RATE"][np.isfinite(measured["THRESHOLD"]) | (measured["THRESHOLD"] == NOTHING)]
    done = done[np.isfinite(done)]
    return float(done.min()) if len(done) else OWN


def published_weights(lines: NDArray[np.void], config: Config) -> Floats:
    """Weigh Lyman-alpha lines so that they are as bright as those of the published candidates.

    Parameters
    ----------
    lines : structured array of shape (M,)
        KIND, FLUX and IDEAL_SNR of lines whose ideal S/N was drawn uniformly.
    config : Config
        Section `emitters`: how bright the published ones are.

    Returns
    -------
    array of shape (M,)
        Density of the published fluxes over that of these; NaN of galaxies.
    """
    emitters = config.emitters
    sigmas = emitters.flux_sigma_low, emitters.flux_sigma_high
    weight = lognormal_weights(lines, emitters.flux_median, *sigmas)
    return np.where(lines["KIND"] == "lya", weight, np.nan)


def _rows(
    entries: Sequence[Entry],
    scores: SearchScores,
    config: Config,
    asked: Sequence[float],
    level: str,
) -> NDArray[np.void]:
    n, m = len(scores.spectra), len(scores.lines)
    weight = published_weights(scores.lines, config)
    rows = []
    for i, entry in enumerate(entries):
        for rate in asked:
            if rate * n < 1:
                unknown = (0, np.nan, n, 0, np.nan, np.nan, m, 0, *[np.nan] * 4)
                rows.append((entry.name, level, rate, *unknown))
                continue
            cut, fewer, more = (
                _cut(scores.empty[i], scores.found[i], of) for of in rates_around(rate, n)
            )
            _, _, _, alarms_low, alarms_high = _share(cut.n_alarms, n)
            found, low, high = (int(one.found.sum()) for one in (cut, fewer, more))
            published = _ratio(float(weight[cut.found].sum()), float(weight.sum()))
            rows.append((
                entry.name, level, rate, cut.step, cut.threshold, n, cut.n_alarms, alarms_low,
                alarms_high, m, found, found / m, _share(low, m)[3], _share(high, m)[4], published,
            ))  # fmt: skip
    return np.array(rows, dtype_of(COMPARED_RATES))


def rates_around(rate: float, n_spectra: int) -> tuple[float, float, float]:
    """Return a rate, and those with one standard deviation of its false alarms fewer and more.

    Parameters
    ----------
    rate : float
        False alarms a spectrum; NaN for a search's own thresholds.
    n_spectra : int
        Spectra without a source.

    Returns
    -------
    rate, fewer, more : float
        The same, and the other two.
    """
    number = rate * n_spectra
    spread = np.sqrt(number)
    fewer, more = max(number - spread, 0.0), min(number + spread, n_spectra)
    return rate, fewer / n_spectra, more / n_spectra


def _cut(empty: Floats, found: Floats, rate: float) -> _Cut:
    """Choose the thresholds that find most at a rate of false alarms.

    Parameters
    ----------
    empty : array of shape (S, N)
        Scores at S steps, of spectra without a line.
    found : array of shape (S, M)
        Of lines.
    rate : float
        False alarms a spectrum that are allowed; NaN: the search as it is.
    """
    cuts = []
    for step in range(1 if np.isnan(rate) else len(empty)):
        threshold = NOTHING if np.isnan(rate) else threshold_of(empty[step], rate)
        n_alarms = int((empty[step] > threshold).sum())
        cuts.append(_Cut(step, threshold, n_alarms, found[step] > threshold))
    return max(cuts, key=lambda cut: int(cut.found.sum()))


def _share(n_found: int, n_lines: int) -> tuple[int, int, float, float, float]:
    """Return counts, their ratio, and its interval."""
    (low,), (high,) = wilson_interval(np.array([n_found]), np.array([n_lines]))
    return n_lines, n_found, _ratio(n_found, n_lines), float(low), float(high)


def _ratio(number: float, total: float) -> float:
    return number / total if total > 0 else float("nan")
