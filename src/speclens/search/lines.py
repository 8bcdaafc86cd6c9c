"""The search of lines: a source behind the lens by all of its emission lines together.

In: prepared spectra over the whole range. Out: a hit for each source that explains a spectrum
better than none does, with its redshift, and the next best one. Which lines a source has says
`speclens.hypotheses`, where they are `speclens.search.source_lines`, how fluxes are weighed
`speclens.search.line_evidence`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config
from speclens.hypotheses import SOURCES
from speclens.lines import pixel_width_angstrom
from speclens.sample.balnicity import balnicity
from speclens.sample.preparation import PreparedSpectra
from speclens.search.lens_features import LensFeatures
from speclens.search.line_filter import SINGLE, LineFilter, LineFluxes, Shape, local_level
from speclens.search.line_growth import LineGrowth, line_growth
from speclens.search.matched_filter import Filtered, MatchedFilter
from speclens.search.search import SOURCE_DTYPE, Found
from speclens.search.source_lines import SourceLines, Weighed, redshift_of

__all__ = ["LineSearch"]

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

CHUNK = 64
"""Spectra searched at once, so that they stay in the processor's cache."""

FOUND_PIXELS = 6
"""Pixels on either side of the lines of a source that say nothing of another one."""


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
    spectrum with a source is searched again without its lines. Differs from the published searches:
    no line needs a threshold of its own, and lines that are absent count.
    """

    engine = None

    def __init__(self, config: Config, matched_filter: MatchedFilter) -> None:
        self._config, self._matched_filter = config.lines, matched_filter
        self._grid = matched_filter.grid
        self._pixel_width = np.asarray(pixel_width_angstrom(self._grid.wave), np.float32)
        self._features = LensFeatures(self._grid, config.lines)
        shapes: list[Shape] = [SINGLE]
        self._kinds = [
            SourceLines(name, SOURCES[name], self._grid, config.lines, shapes)
            for name in config.search.sources
        ]
        limits = config.lines.half_width, config.lines.min_coverage
        self._filter = LineFilter(config.lines.sigma_pixels, *limits, shapes)

    def __call__(self, spectra: PreparedSpectra, filtered: Filtered) -> Found:
        """Find the hits, as `Search` does."""
        n, limit = len(spectra), self._config.balnicity_max
        reasons = np.zeros(n, "U24")
        if limit > 0:
            reasons[balnicity(spectra, spectra.z) > limit] = "broad_absorption"
        searched = np.flatnonzero(reasons == "")
        searched = searched[np.argsort(spectra.z[searched], kind="stable")]
        sources, pixels = [np.zeros(0, SOURCE_DTYPE)], [np.zeros(0, np.intp)]
        rows = [np.zeros(0, np.intp)]
        for start in range(0, len(searched), CHUNK):
            some = searched[start : start + CHUNK]
            for found, row, strongest in self._search(spectra, some):
                sources.append(found)
                rows.append(some[row])
                pixels.append(strongest)
        row = np.concatenate(rows)
        order = np.argsort(row, kind="stable")
        row, pixel = row[order], np.concatenate(pixels)[order]
        hits = self._matched_filter.hits_at(row, pixel, filtered.best)
        none = np.full(n, np.nan)
        return Found(hits, none, np.zeros(n, bool), reasons, np.concatenate(sources)[order])

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
        residual, ivar = spectra.residual[some], spectra.ivar[some]
        level = local_level(residual, ivar, self._config.level_pixels)
        flux = np.where(ivar > 0, residual - level, np.float32(0)) * self._pixel_width
        ivar = ivar / self._pixel_width**2
        ivar[self._features(flux, ivar, spectra.z[some])] = 0
        return flux, ivar

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
        return line_growth(self._config, self._grid)

    def _search(
        self, spectra: PreparedSpectra, some: Places
    ) -> Iterator[tuple[NDArray[np.void], Places, Places]]:
        """Search some spectra: sources, the row of each, the pixel of its strongest line."""
        flux, ivar = self.pixels(spectra, some)
        rows = np.arange(len(some))
        for _ in range(self._config.n_sources):
            sources, row, pixel, lines = self._best(flux[rows], ivar[rows], spectra.z[some[rows]])
            if not len(row):
                return
            yield sources, rows[row], pixel
            rows = rows[row]
            for i, of_source in zip(rows.tolist(), lines, strict=True):
                near = of_source[:, None] + np.arange(-FOUND_PIXELS, FOUND_PIXELS + 1)
                ivar[i, np.clip(near, 0, self._grid.n_pixels - 1)] = 0

    def _best(
        self, flux: NDArray[np.float32], ivar: NDArray[np.float32], z: Floats
    ) -> tuple[NDArray[np.void], Places, Places, list[Places]]:
        """Find the best source of each spectrum: as `_search`, and the pixels of all its lines."""
        first = min(kind.behind(float(z.min()))[1] for kind in self._kinds)
        first = max(first - self._config.half_width, 0)
        seen = self.line_fluxes(flux[:, first:], ivar[:, first:])
        growth2 = self.growth.at(z)[first:] ** 2
        seen = replace(seen, first=first, growth2=growth2)
        squared = seen.squared_snr()
        weighed = [kind.weigh(seen, squared, z) for kind in self._kinds]
        return self._chosen(weighed, seen)

    def _chosen(
        self, weighed: list[Weighed], seen: LineFluxes
    ) -> tuple[NDArray[np.void], Places, Places, list[Places]]:
        """Choose the likeliest source of each spectrum, and the next best."""
        row = np.concatenate([of.row for of in weighed])
        z = redshift_of(np.concatenate([of.shift for of in weighed]))
        evidence = np.concatenate([of.evidence for of in weighed])
        kind = np.repeat(np.arange(len(weighed)), [len(of.row) for of in weighed])
        index = np.concatenate([np.arange(len(of.row)) for of in weighed])
        found, rows, pixels, lines = [], [], [], []
        for spectrum in np.unique(row[evidence >= self._config.ln_evidence_min]).tolist():
            own = np.flatnonzero(row == spectrum)
            own = own[np.argsort(-evidence[own], kind="stable")]
            best = own[0]
            apart = np.abs(z[own] - z[best]) > self._config.same_dz * (1 + z[best])
            second = own[apart][:1]
            source, of = self._kinds[kind[best]], weighed[kind[best]]
            shift, snr = int(of.shift[index[best]]), of.snr[index[best]]
            pixel, name = source.strongest(seen, spectrum, shift)
            n_lines = int((snr > self._config.line_snr).sum())
            found.append((
                source.name if n_lines > 1 or source.name == "lya" else name, z[best], n_lines,
                np.sqrt((snr**2).sum()), evidence[best],
                z[second[0]] if len(second) else np.nan,
                evidence[best] - evidence[second[0]] if len(second) else np.nan,
            ))  # fmt: skip
            rows.append(spectrum)
            pixels.append(pixel)
            of_source, inside = source.pixels(shift)
            lines.append(of_source[inside])
        return (
            np.array(found, SOURCE_DTYPE), np.array(rows, np.intp), np.array(pixels, np.intp), lines
        )  # fmt: skip
