"""The network of redshifts as a search: sources by the heat map of a whole spectrum.

In: prepared spectra. Out: a hit for each source, at the strongest line that is seen of it, with its
redshift, and what its line may be. Which bins are likely says the network, what is a peak
`speclens.search.redshift_map`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from speclens.config import Config
from speclens.networks.model import Model
from speclens.networks.source_bins import CELL_PIXELS, SAME_CELLS
from speclens.sample.preparation import PreparedSpectra
from speclens.schema import HIT_HYPOTHESES, dtype_of
from speclens.search.alternatives import ARTEFACT, alternatives
from speclens.search.engine import Engine, open_engine
from speclens.search.matched_filter import Filtered, MatchedFilter
from speclens.search.network import checked_model
from speclens.search.readings import Readings, numbered
from speclens.search.redshift_map import HeatMap, Peak, heat_map
from speclens.search.search import SOURCE_DTYPE, Found
from speclens.search.searched_pixels import SearchedPixels

__all__ = ["RedshiftSearch", "open_redshift_network"]

N_PEAKS = 4
"""Peaks of a map that are looked at: two sources, and other readings of their lines."""

N_SOURCES = 2
"""Sources of a spectrum, as the network was trained on."""

REACH = 6
"""Pixels by which lines may be off the middle of a peak."""

LEAST_TOLD = 1e-4
"""Bins of a heat map that are less likely are not told."""

LEAST = 1e-30
"""A probability below is this one, whose logarithm is finite."""


class _Source(NamedTuple):
    """A peak with its lines on the pixels."""

    peak: Peak
    z: float
    pixels: NDArray[np.intp]
    snr: NDArray[np.float64]

    @property
    def pixel(self) -> int:
        """Where the strongest line is."""
        return int(self.pixels[self.snr.argmax()])

    @property
    def total_snr(self) -> float:
        """S/N of all of its lines together."""
        return float(np.sqrt((np.maximum(self.snr, 0) ** 2).sum()))

    @property
    def name(self) -> str:
        """What that line goes by."""
        return self.peak.bins.names[int(self.snr.argmax())]


class RedshiftSearch:
    """Search with a trained network of redshifts.

    Parameters
    ----------
    model : Model
        The network and what it sees.
    engine : Engine
        What computes it.
    config : Config
        Sections `search` and `lines`.
    matched_filter : MatchedFilter
        Measures the lines of sources.

    Notes
    -----
    Artefacts are far more among the spectra that the network was trained on than on plates, and so
    it believes no line for being bright. What the S/N of the likeliest source's lines tells
    (`search.snr_weight`) is added to the odds of the map.

    A spectrum has a hit where a source is likelier than `search.probability_min`, whatever its
    redshift, unless none of its lines stands out; its redshift is that of the highest peak, and
    other readings of the line keep their probabilities. A further peak is a second source when it
    has a share of the map and a strongest line of its own: two sources share the map, and so do two
    readings of one line. What is told as evidence are odds over none, in which are the prior of the
    network and what the S/N tells.
    """

    def __init__(
        self, model: Model, engine: Engine, config: Config, matched_filter: MatchedFilter
    ) -> None:
        self._model, self._engine, self._config = model, engine, config
        self._matched_filter = matched_filter
        self._searched = SearchedPixels(matched_filter.grid, config.lines)

    @property
    def engine(self) -> str:
        """What runs the network."""
        return self._engine.name

    def __call__(self, spectra: PreparedSpectra, filtered: Filtered) -> Found:
        """Find the hits, as `Search` does."""
        n, searched = len(spectra), spectra.reasons == ""
        seen = self._searched.fitted(spectra)
        inputs = self._searched.inputs(self._model.inputs, seen, spectra.z)
        heat = heat_map(
            self._engine(inputs).place, spectra.z, self._config.lines.z_margin,
            self._model.sources, self._model.calibration,
        )  # fmt: skip
        rows = np.flatnonzero(searched & (1 - heat.none > self._least))
        snr = self._matched_filter.apply(seen.residual[rows], seen.ivar[rows]).snr.max(axis=1)
        heat = heat.weighed(rows, self._gain(heat, rows, snr))
        probability = np.where(searched, 1 - heat.none, np.nan)
        found = [
            (row, *told)
            for row, ratios in zip(rows.tolist(), snr, strict=True)
            if probability[row] > self._config.search.probability_min
            for told in self._sources(heat, row, ratios)
        ]
        row = np.array([one[0] for one in found], np.intp)
        pixel = np.array([one[1] for one in found], np.intp)
        lost = searched & ~np.isfinite(probability)
        none = np.zeros(0, dtype_of(HIT_HYPOTHESES))
        hypotheses = numbered([one[3] for one in found], range(len(found)), none)
        return Found(
            self._matched_filter.hits_at(row, pixel, filtered.best), probability,
            np.zeros(n, bool), np.where(lost, "no_probability", "").astype("U24"),
            np.array([one[2] for one in found], SOURCE_DTYPE),
            Readings(hypotheses, heat.rows(row, LEAST_TOLD)),
        )  # fmt: skip

    @property
    def _least(self) -> float:
        """Probability by the network alone below which no S/N makes a hit."""
        usual, most = self._config.search.snr_weighed
        gain = self._config.search.snr_weight * (most - usual)
        return float(expit(logit(self._config.search.probability_min) - gain))

    def _gain(
        self, heat: HeatMap, rows: NDArray[np.intp], snr: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        """Return what the S/N of the likeliest source adds to the ln odds of spectra, (K,)."""
        usual, most = self._config.search.snr_weighed
        of_lines = [
            sum(self._seen(peak, ratios).total_snr for peak in heat.peaks(row, 1))
            for row, ratios in zip(rows.tolist(), snr, strict=True)
        ]
        gain = np.minimum(np.array(of_lines), most) - usual
        return np.asarray(self._config.search.snr_weight * gain, np.float64)

    def _sources(
        self, heat: HeatMap, row: int, snr: NDArray[np.float32]
    ) -> Iterator[tuple[int, tuple[Any, ...], NDArray[np.void]]]:
        """Tell of the sources of a spectrum: pixel of the hit, source, hypotheses."""
        seen = [self._seen(peak, snr) for peak in heat.peaks(row, N_PEAKS)]
        seen = [one for one in seen if one.snr.max() > 0]
        sources: list[_Source] = []
        for one in seen:
            share = self._config.search.second_share_min if sources else 0
            own = all(self._is_own(one, other) for other in sources)
            if len(sources) < N_SOURCES and own and one.peak.probability > share:
                sources.append(one)
        others = [one for one in seen if one not in sources]
        for source in sources:
            yield source.pixel, *self._told(heat, row, source, others)

    def _seen(self, peak: Peak, snr: NDArray[np.float32]) -> _Source:
        """Find the lines of a peak, where together they stand out most."""
        middle = round((peak.bins.first + peak.place) * CELL_PIXELS)
        shifts = middle + np.arange(-REACH, REACH + 1)[:, None]
        pixels = np.rint(np.array(peak.bins.places) + shifts).astype(np.intp)
        inside = (pixels >= 0) & (pixels < len(snr))
        ratios = np.where(inside, snr[np.clip(pixels, 0, len(snr) - 1)].astype(np.float64), 0)
        best = int((np.maximum(ratios, 0) ** 2).sum(axis=1).argmax())
        cells = shifts[best, 0] / CELL_PIXELS - peak.bins.first
        return _Source(peak, float(peak.bins.z_at(cells)), pixels[best], ratios[best])

    @staticmethod
    def _is_own(one: _Source, other: _Source) -> bool:
        """Say whether no line of another source is at the strongest of one, nor turned about."""
        reach = SAME_CELLS * CELL_PIXELS
        apart = np.abs(other.pixels - one.pixel).min(), np.abs(one.pixels - other.pixel).min()
        return bool(min(apart) > reach)

    def _told(
        self, heat: HeatMap, row: int, source: _Source, others: list[_Source]
    ) -> tuple[tuple[Any, ...], NDArray[np.void]]:
        """Return the row of `SOURCE_DTYPE` of a source, and what its line may be."""
        readings = heat.readings(row, source.pixel)
        of_none = np.log(max(float(heat.none[row]), LEAST))
        weight = np.log(np.maximum([*(one.probability for one in readings)], LEAST))
        hypotheses = alternatives(
            [*(one.name for one in readings), ARTEFACT],
            # The source has its redshift from all of its lines.
            np.array(
                [*(source.z if one.name == source.name else one.z for one in readings), np.nan]
            ),
            np.append(weight - of_none, 0.0),
            np.append(weight, of_none),
        )
        named = hypotheses["PROBABILITY"][hypotheses["HYPOTHESIS"] == source.name]
        n_lines = int((source.snr > self._config.lines.line_snr).sum())
        own = np.log(source.peak.probability)
        second = others[0] if others else None
        told = (
            source.peak.bins.kind if n_lines > 1 else source.name, source.z, n_lines,
            source.total_snr, own - of_none,
            float(named[0]) if len(named) else 0.0,
            second.z if second else np.nan,
            own - np.log(second.peak.probability) if second else np.nan,
        )  # fmt: skip
        return told, hypotheses


def open_redshift_network(config: Config, matched_filter: MatchedFilter) -> RedshiftSearch:
    """Read the network of redshifts of a configuration, and start what runs it.

    Parameters
    ----------
    config : Config
        Section `search`.
    matched_filter : MatchedFilter
        Measures its hits.

    Returns
    -------
    RedshiftSearch
        The search.

    Raises
    ------
    SpeclensError
        If the network cannot be used, or was trained on spectra prepared in another way.
    """
    model = checked_model(config)
    engine = open_engine(model)
    return RedshiftSearch(model, engine, config, matched_filter)
