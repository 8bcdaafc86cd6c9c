"""The search of lines: a source behind the lens by all of its emission lines together.

In: prepared spectra over the whole range. Out: a hit for each source that explains a spectrum
better than none does, with its redshift, and the next best one. Which lines a source has says
`speclens.hypotheses`, where they are `speclens.search.source_lines`, how fluxes are weighed
`speclens.search.line_evidence`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config
from speclens.hypotheses import SOURCES
from speclens.lines import redshift_of
from speclens.sample.balnicity import balnicity
from speclens.sample.error_growth import read_growth
from speclens.sample.preparation import PreparedSpectra
from speclens.schema import HIT_HYPOTHESES, dtype_of
from speclens.search.alternatives import ARTEFACT, alternatives
from speclens.search.line_evidence import LineEvidence
from speclens.search.line_filter import SINGLE, LineFilter, LineFluxes, Shape
from speclens.search.line_growth import LineGrowth, line_growth
from speclens.search.matched_filter import Filtered, MatchedFilter
from speclens.search.readings import Readings, numbered
from speclens.search.search import SOURCE_DTYPE, Found
from speclens.search.searched_pixels import SearchedPixels
from speclens.search.source_lines import SourceLines, Weighed

__all__ = ["LineSearch"]

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

CHUNK = 64
"""Spectra searched at once, so that they stay in the processor's cache."""

FOUND_PIXELS = 6
"""Pixels on either side of the lines of a source that say nothing of another one."""

BROAD_SIGMA, BROAD_PIXELS = 6.0, 18
"""Standard deviation and half width of a line that no galaxy behind has, pixels: 400 km/s."""

BROADER = 0.5
"""By which its S/N exceeds that of the narrow line where this is a part of it."""


@dataclass(frozen=True)
class _Source:
    """A source of a spectrum: its row of `SOURCE_DTYPE`, its lines, what else they may be."""

    row: int
    source: tuple[Any, ...]
    pixel: int
    lines: Places
    hypotheses: NDArray[np.void]
    is_asked: bool


class LineSearch:
    """Search for sources behind the lens (Bolton et al. 2004; Talbot et al. 2021).

    Parameters
    ----------
    config : Config
        Section `lines`, and which sources are looked for.
    matched_filter : MatchedFilter
        Measures the strongest line of each hit.

    Notes
    -----
    On the global grid a redshift moves all lines by the same number of pixels. So the sum over the
    lines of their squared signal-to-noise ratios takes a few shifts; it finds the redshifts that
    are worth weighing. Spectra are searched by the redshifts of their lenses, so that those
    searched at once begin behind much the same one. What the lens itself shows is masked. A
    spectrum with a source is searched again without its lines. Sources that nobody asked for, and
    galaxies before the lens, explain lines too: what they explain better is no hit, and neither is
    a lone line that is a part of a broader one. Differs from the published searches: no line needs
    a threshold of its own, and lines that are absent count.
    """

    engine = None

    def __init__(self, config: Config, matched_filter: MatchedFilter) -> None:
        self._config, self._matched_filter = config.lines, matched_filter
        self._errors = read_growth(config.noise.growth)
        self._grid = matched_filter.grid
        self._searched = SearchedPixels(self._grid, config.lines)
        shapes: list[Shape] = [SINGLE]
        kinds = {
            name: SourceLines(name, groups, self._grid, config, shapes)
            for name, groups in SOURCES.items()
        }
        self._asked = [kinds[name] for name in config.search.sources]
        others = [kind for kind in kinds.values() if kind not in self._asked]
        self._kinds, self._in_front = [*self._asked, *others], kinds["elg"]
        self._lone = LineEvidence(config.lines, SOURCES["lya"])
        limits = config.lines.half_width, config.lines.min_coverage
        self._filter = LineFilter(config.lines.sigma_pixels, *limits, shapes)
        self._broad = LineFilter([BROAD_SIGMA], BROAD_PIXELS, config.lines.min_coverage)

    def __call__(self, spectra: PreparedSpectra, filtered: Filtered) -> Found:
        """Find the hits, as `Search` does."""
        n, reasons = len(spectra), self._refusals(spectra)
        searched = np.flatnonzero(reasons == "")
        searched = searched[np.argsort(spectra.z[searched], kind="stable")]
        found = []
        for start in range(0, len(searched), CHUNK):
            some = searched[start : start + CHUNK]
            found += [replace(one, row=int(some[one.row])) for one in self._search(spectra, some)]
        found.sort(key=lambda one: one.row)  # the best source of a spectrum stays the first
        many = np.bincount([one.row for one in found], minlength=n) >= self._config.n_sources
        found = [one for one in found if not many[one.row]]
        row = np.array([one.row for one in found], np.intp)
        pixel = np.array([one.pixel for one in found], np.intp)
        hits = self._matched_filter.hits_at(row, pixel, filtered.best)
        return Found(
            hits, np.full(n, np.nan), many, reasons,
            np.array([one.source for one in found], SOURCE_DTYPE), Readings(_hypotheses(found)),
        )  # fmt: skip

    def pixels(
        self, spectra: PreparedSpectra, some: Places
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return what is searched.

        Parameters
        ----------
        spectra : PreparedSpectra
            N spectra.
        some : array of shape (n,)
            Rows of those that are wanted.

        Returns
        -------
        flux, ivar : array of shape (n, L)
            Residual flux of each pixel without its smooth level, 1e-17 erg/s/cm2, and its inverse
            variance, 0 where masked or where the lens shows a line of its own.
        """
        return self._searched(spectra[some], spectra.z[some])

    def line_fluxes(self, flux: NDArray[np.float32], ivar: NDArray[np.float32]) -> LineFluxes:
        """Return what lines would have, by the errors as they are.

        Parameters
        ----------
        flux, ivar : array of shape (n, L)
            What is searched, as `pixels` gives it.

        Returns
        -------
        LineFluxes
            Of single lines and of blends.
        """
        return self._filter(flux, ivar)

    @cached_property
    def growth(self) -> LineGrowth:
        """Factor on the errors of lines."""
        return line_growth(self._errors, self._config.growth, self._grid)

    def _refusals(self, spectra: PreparedSpectra) -> NDArray[np.str_]:
        """Say which spectra are not searched for what they look like: reason codes."""
        reasons = np.zeros(len(spectra), "U24")
        most, least = self._config.balnicity_max, self._config.median_snr_min
        if most > 0:
            reasons[balnicity(spectra, spectra.z) > most] = "broad_absorption"
        if least > 0:
            good = spectra.ivar > 0
            snr = np.where(good, spectra.flux * np.sqrt(spectra.ivar), np.nan)
            some = good.any(axis=1)
            reasons[some] = np.where(
                np.nanmedian(snr[some], axis=1) < least, "faint", reasons[some]
            )
        return reasons

    def _search(self, spectra: PreparedSpectra, some: Places) -> Iterator[_Source]:
        """Search some spectra: their sources, one after the other."""
        flux, ivar = self.pixels(spectra, some)
        rows = np.arange(len(some))
        for _ in range(self._config.n_sources):
            if not len(rows):
                return
            found = self._best(flux[rows], ivar[rows], spectra.z[some[rows]])
            rows = rows[[one.row for one in found]]
            for row, one in zip(rows.tolist(), found, strict=True):
                if one.is_asked and not self._is_broad(flux[row], ivar[row], one):
                    yield replace(one, row=row)
                near = one.lines[:, None] + np.arange(-FOUND_PIXELS, FOUND_PIXELS + 1)
                ivar[row, np.clip(near, 0, self._grid.n_pixels - 1)] = 0

    def _is_broad(
        self, flux: NDArray[np.float32], ivar: NDArray[np.float32], source: _Source
    ) -> bool:
        """Say whether a lone line is a part of a broader one, which is the lens's."""
        if source.source[2] > 1:
            return False
        near = np.arange(source.pixel - BROAD_PIXELS, source.pixel + BROAD_PIXELS + 1)
        inside = (near >= 0) & (near < self._grid.n_pixels)
        near = np.clip(near, 0, self._grid.n_pixels - 1)
        weight = np.where(inside, ivar[near], np.float32(0))[None]
        broad, narrow = (
            of(flux[near][None], weight).snr[0, :, BROAD_PIXELS, 0].max()
            for of in (self._broad, self._filter)
        )
        return bool(broad > narrow + BROADER)

    def _best(
        self, flux: NDArray[np.float32], ivar: NDArray[np.float32], z: Floats
    ) -> list[_Source]:
        """Find the best source of each spectrum that has one."""
        first = min(kind.behind(float(z.min()))[1] for kind in self._asked)
        first = max(first - self._config.half_width, 0)
        seen = self._seen(flux, ivar, z, first)
        behind = _weighed(self._asked, seen, z)
        evidence = np.concatenate([of.evidence for of in behind])
        row = np.concatenate([of.row for of in behind])
        rows = np.unique(row[evidence >= self._config.ln_evidence_min])
        if not len(rows):
            return []
        seen = self._seen(flux[rows], ivar[rows], z[rows], 0)
        weighed = _weighed(self._kinds, seen, z[rows], self._in_front)
        found = [self._chosen(weighed, seen, i) for i in range(len(rows))]
        return [replace(one, row=int(rows[one.row])) for one in found if one is not None]

    def _seen(
        self, flux: NDArray[np.float32], ivar: NDArray[np.float32], z: Floats, first: int
    ) -> LineFluxes:
        """Return what lines would have by the pixels from the first one on, errors grown."""
        seen = self.line_fluxes(flux[:, first:], ivar[:, first:])
        return replace(seen, first=first, growth2=self.growth.at(z)[first:] ** 2)

    def _chosen(self, weighed: list[Weighed], seen: LineFluxes, row: int) -> _Source | None:
        """Choose the likeliest source of a spectrum, and the next best."""
        own = [np.flatnonzero(of.row == row) for of in weighed]
        kind = np.repeat(np.arange(len(own)), [len(rows) for rows in own])
        index = np.concatenate(own)
        shift, evidence, prior = (
            np.concatenate([getattr(of, name)[i] for of, i in zip(weighed, own, strict=True)])
            for name in ("shift", "evidence", "prior")
        )
        z, weight = redshift_of(shift), evidence + prior
        n_lines = np.concatenate([
            (of.snr[i] > self._config.line_snr).sum(axis=1)
            for of, i in zip(weighed, own, strict=True)
        ])  # fmt: skip
        order = np.argsort(-weight, kind="stable")
        is_asked = kind < len(self._asked)
        # A lone line is no proof of a source that nobody asked for: then it is the likeliest asked.
        believed = is_asked | (n_lines > 1)
        best = order[believed[order]][0]
        if evidence[best] < self._config.ln_evidence_min:
            return None
        apart = np.abs(z[order] - z[best]) > self._config.same_dz * (1 + z[best])
        second = order[apart][:1]
        kinds = [*self._kinds, self._in_front]
        source, snr = kinds[kind[best]], weighed[kind[best]].snr[index[best]]
        pixel = source.strongest(seen, row, int(shift[best]))
        names = [kinds[k].name_at(pixel, s) for k, s in zip(kind, shift, strict=True)]
        rivals = [i for i in order.tolist() if names[i]]
        none, of_none = self._artefact(seen, pixel, row)
        hypotheses = alternatives(
            [*(names[i] for i in rivals), ARTEFACT],
            np.append(z[rivals], np.nan),
            np.append(evidence[rivals], none),
            np.append(weight[rivals], of_none),
        )
        probability = hypotheses["PROBABILITY"][hypotheses["HYPOTHESIS"] == names[best]]
        lines, inside = source.pixels(int(shift[best]))
        told = (
            source.name if n_lines[best] > 1 else names[best], z[best], n_lines[best],
            float(np.sqrt((snr**2).sum())), evidence[best], probability[0],
            z[second[0]] if len(second) else np.nan,
            weight[best] - weight[second[0]] if len(second) else np.nan,
        )  # fmt: skip
        return _Source(row, told, pixel, lines[inside], hypotheses, bool(is_asked[best]))

    def _artefact(self, seen: LineFluxes, pixel: int, row: int) -> tuple[float, float]:
        """Weigh a lone line of no source at a pixel, as sources are weighed: evidence, weight."""
        line = seen.at(0, np.array([pixel]), row)
        best = int(line.snr[:, 0].argmax())
        if not line.seen[best, 0]:
            return -np.inf, -np.inf
        flux, error = (of[best : best + 1].astype(np.float64) for of in (line.flux, line.c2**-0.5))
        evidence = float(self._lone(flux, error)[0])
        return evidence, evidence + float(np.log(self._config.artefact_rate / self._grid.n_pixels))


def _weighed(
    kinds: Sequence[SourceLines],
    seen: LineFluxes,
    z: Floats,
    in_front: SourceLines | None = None,
) -> list[Weighed]:
    """Weigh kinds of sources behind the lens, and last one before it."""
    squared = seen.squared_snr()
    weighed = [kind.weigh(seen, squared, z) for kind in kinds]
    if in_front is not None:
        weighed.append(in_front.weigh(seen, squared, z, in_front=True))
    return weighed


def _hypotheses(found: Sequence[_Source]) -> NDArray[np.void]:
    """Join the hypotheses of hits."""
    none = np.zeros(0, dtype_of(HIT_HYPOTHESES))
    return numbered([one.hypotheses for one in found], range(len(found)), none)
