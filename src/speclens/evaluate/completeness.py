"""How many of the lines that were put in come back.

In: a truth table, hits. Out: which lines were found, completeness by ideal signal-to-noise ratio,
and the bias of what was measured. Putting lines in is left to the caller.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr, ndtri

from speclens.config import EvaluationConfig
from speclens.hypotheses import GALAXY_LINES
from speclens.lines import pixel_width_angstrom

__all__ = [
    "Completeness",
    "CompletenessCurve",
    "best_hits",
    "completeness_by_snr",
    "every_line",
    "fit_completeness",
    "match_lines",
    "snr_edges",
    "wilson_interval",
]


@dataclass(frozen=True)
class Completeness:
    """Fraction of lines found, in bins.

    Parameters
    ----------
    edges : array of shape (B + 1,)
        Bin edges in ideal signal-to-noise ratio.
    n_lines, n_found : array of shape (B,)
        Lines put in and found.
    """

    edges: NDArray[np.float64]
    n_lines: NDArray[np.int64]
    n_found: NDArray[np.int64]

    @property
    def fraction(self) -> NDArray[np.float64]:
        """Completeness, shape (B,); NaN in an empty bin."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.n_found / self.n_lines, np.float64)

    def interval(self, z: float = 1.0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return Wilson's interval of the completeness.

        Parameters
        ----------
        z : float, optional
            Half width in standard deviations.

        Returns
        -------
        low, high : array of shape (B,)
            Ends of the interval.
        """
        return wilson_interval(self.n_found, self.n_lines, z)


def wilson_interval(
    n_found: NDArray[np.integer], n_lines: NDArray[np.integer], z: float = 1.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return Wilson's (1927) interval of a fraction.

    Parameters
    ----------
    n_found, n_lines : array of shape (B,)
        Those that count, and all.
    z : float, optional
        Half width in standard deviations.

    Returns
    -------
    low, high : array of shape (B,)
        Ends of the interval.
    """
    n = np.maximum(n_lines, 1)
    p = n_found / n
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return middle - half, middle + half


def match_lines(
    truth: NDArray[np.void], hits: NDArray[np.void], match_pixels: float
) -> NDArray[np.intp]:
    """Find the hit of each line.

    Parameters
    ----------
    truth : structured array of shape (N,)
        With TARGETID and WAVE.
    hits : structured array
        With TARGETID, WAVE and SNR.
    match_pixels : float
        Largest distance between line and hit, pixels.

    Returns
    -------
    array of shape (N,)
        Row of the hit with the highest SNR near the line; -1 where there is none.
    """
    order = np.argsort(hits["TARGETID"], kind="stable")
    ids = hits["TARGETID"][order]
    start = np.searchsorted(ids, truth["TARGETID"], "left")
    stop = np.searchsorted(ids, truth["TARGETID"], "right")
    found = np.full(len(truth), -1, np.intp)
    reach = match_pixels * np.asarray(pixel_width_angstrom(truth["WAVE"]))
    for i in np.flatnonzero(stop > start):
        rows = order[start[i] : stop[i]]
        near = rows[np.abs(hits["WAVE"][rows] - truth["WAVE"][i]) <= reach[i]]
        if len(near):
            found[i] = near[hits["SNR"][near].argmax()]
    return found


def every_line(truth: NDArray[np.void]) -> tuple[NDArray[np.intp], NDArray[np.void]]:
    """List the lines at which a search may find what was put in.

    Parameters
    ----------
    truth : structured array of shape (N,)
        `speclens.schema.INJECTED`.

    Returns
    -------
    source : array of shape (M,)
        Row of `truth` of each line.
    lines : structured array of shape (M,)
        TARGETID and WAVE: of galaxies all of their lines, of all else the one.
    """
    waves = np.array([wave for group in GALAXY_LINES for wave in group.waves])
    galaxy = truth["KIND"] == "elg"
    source = np.repeat(np.arange(len(truth)), np.where(galaxy, len(waves), 1))
    lines = truth[["TARGETID", "WAVE"]][source]
    observed = waves * (1 + truth["Z_SOURCE"][galaxy])[:, None]
    lines["WAVE"][galaxy[source]] = observed.ravel()
    return source, lines


def best_hits(
    source: NDArray[np.intp], match: NDArray[np.intp], snr: NDArray[np.floating], n_sources: int
) -> NDArray[np.intp]:
    """Choose the hit of each source among those of its lines.

    Parameters
    ----------
    source : array of shape (M,)
        Row of the source of each line, as `every_line` gives it.
    match : array of shape (M,)
        Row of the hit of each line, as `match_lines` gives it.
    snr : array
        What the best hit has most of, of each hit.
    n_sources : int
        Number of sources N.

    Returns
    -------
    array of shape (N,)
        Row of the hit; -1 where there is none.
    """
    best = np.full(n_sources, -1, np.intp)
    found = np.flatnonzero(match >= 0)
    rising = found[np.argsort(snr[match[found]], kind="stable")]
    best[source[rising]] = match[rising]  # the last one stays
    return best


def snr_edges(config: EvaluationConfig) -> NDArray[np.float64]:
    """Return the edges of bins of ideal signal-to-noise ratio, over the range that is put in.

    Parameters
    ----------
    config : EvaluationConfig
        Range, and width of a bin.

    Returns
    -------
    array of shape (B + 1,)
        Rising.
    """
    low, high = config.ideal_snr_range
    return np.arange(low, high + config.bin_width / 2, config.bin_width)


def completeness_by_snr(
    ideal_snr: NDArray[np.floating], found: NDArray[np.bool_], edges: NDArray[np.float64]
) -> Completeness:
    """Count lines in bins of ideal signal-to-noise ratio.

    Parameters
    ----------
    ideal_snr : array of shape (N,)
        Ideal ratio of each line.
    found : array of shape (N,)
        Whether it was found.
    edges : array of shape (B + 1,)
        Bin edges.

    Returns
    -------
    Completeness
        The counts.
    """
    return Completeness(
        edges, np.histogram(ideal_snr, edges)[0], np.histogram(ideal_snr[found], edges)[0]
    )


@dataclass(frozen=True)
class CompletenessCurve:
    """Completeness as a smooth function of ideal signal-to-noise ratio.

    A Gaussian's integral that levels off below one: some lines are lost however bright they are.

    Parameters
    ----------
    centre, width : float
        Where it reaches half of its plateau, and the standard deviation of its rise.
    plateau : float
        Its level for the brightest lines.
    centre_err : float
        Standard error of `centre`.
    """

    centre: float
    width: float
    plateau: float
    centre_err: float

    def at(self, level: float) -> float:
        """Return where the completeness reaches a level.

        Parameters
        ----------
        level : float
            Fraction of the lines.

        Returns
        -------
        float
            Ideal signal-to-noise ratio; NaN when the plateau is lower.
        """
        if not level < self.plateau:
            return float("nan")
        return float(self.centre + self.width * ndtri(level / self.plateau))


def fit_completeness(
    ideal_snr: NDArray[np.floating], found: NDArray[np.bool_]
) -> CompletenessCurve:
    """Fit a smooth curve to lines found and lost, by maximum likelihood and without bins.

    Parameters
    ----------
    ideal_snr : array of shape (N,)
        Ideal ratio of each line.
    found : array of shape (N,)
        Whether it was found.

    Returns
    -------
    CompletenessCurve
        The curve; NaN throughout when all lines were found, or none.
    """
    from scipy.optimize import minimize

    nan = float("nan")
    if found.all() or not found.any():
        return CompletenessCurve(nan, nan, nan, nan)
    snr = np.asarray(ideal_snr, np.float64)

    def negative_log_likelihood(parameters: NDArray[np.float64]) -> float:
        centre, log_width, plateau = parameters
        chance = expit(plateau) * ndtr((snr - centre) / np.exp(log_width))
        chance = np.clip(chance, 1e-12, 1 - 1e-12)
        return -float(np.log(chance[found]).sum() + np.log1p(-chance[~found]).sum())

    start = np.array([np.median(snr[found]), 0.0, 5.0])
    best = minimize(negative_log_likelihood, start, method="Nelder-Mead", options={"maxiter": 2000})
    centre, log_width, plateau = best.x
    step = 0.05 * np.exp(log_width)
    around = [
        negative_log_likelihood(np.array([centre + d, log_width, plateau])) for d in (-step, step)
    ]
    curvature = (sum(around) - 2 * best.fun) / step**2
    error = 1 / np.sqrt(curvature) if curvature > 0 else nan
    return CompletenessCurve(
        float(centre), float(np.exp(log_width)), float(expit(plateau)), float(error)
    )
