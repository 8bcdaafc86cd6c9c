"""The search of lines: a source behind the lens by all of its emission lines together.

In: prepared spectra over the whole range. Out: a hit for each spectrum that is better explained by
a star-forming galaxy behind the lens than by none, with its redshift, and the next best one. What
lines such a galaxy has says `speclens.hypotheses`, how fluxes are weighed
`speclens.search.line_evidence`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config
from speclens.hypotheses import GALAXY_LINES, LineGroup
from speclens.lines import PIXEL_LOGLAM, pixel_width_angstrom
from speclens.sample.preparation import PreparedSpectra
from speclens.search.line_evidence import LineEvidence
from speclens.search.line_filter import SINGLE, LineFilter, LineFluxes, Shape, local_level
from speclens.search.line_growth import line_growth
from speclens.search.matched_filter import Filtered, MatchedFilter
from speclens.search.search import SOURCE_DTYPE, Found
from speclens.spectra import LogGrid

__all__ = ["LineSearch"]

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

CHUNK = 64
"""Spectra searched at once, so that they stay in the processor's cache."""

BLENDED_PIXELS = 6.0
"""Lines of a group that are nearer to each other are found as one."""

LENS_REACH = 3
"""Pixels by which a line of the lens may be off its place."""


@dataclass(frozen=True)
class _Line:
    """A line or a blend: place at z = 0 on the global grid, group, share of its flux, shape."""

    place: float
    group: int
    share: float
    shape: int


class LineSearch:
    """Search for star-forming galaxies behind the lens (Bolton et al. 2004; Talbot et al. 2021).

    Parameters
    ----------
    config : Config
        Section `lines`.
    matched_filter : MatchedFilter
        Measures the strongest line of each hit.

    Notes
    -----
    On the global grid a redshift moves all lines by the same number of pixels. So the sum over the
    lines of their squared signal-to-noise ratios takes a few shifts; it finds the redshifts that
    are worth weighing, and `LineEvidence` weighs them. Lenses that are searched at once are of much
    the same redshift: what is blueward of all lines behind them need not be filtered. Emission that
    the lens shows at the place of one of its lines is masked. Differs from the published searches:
    no line needs a threshold of its own, and lines that are absent count.
    """

    engine = None

    def __init__(self, config: Config, matched_filter: MatchedFilter) -> None:
        self._config, self._matched_filter = config.lines, matched_filter
        self._grid = matched_filter.grid
        self._pixel_width = np.asarray(pixel_width_angstrom(self._grid.wave), np.float32)
        self._evidence = LineEvidence(config.lines)
        self._shapes: list[Shape] = [SINGLE]
        self._lines = [line for i, g in enumerate(GALAXY_LINES) for line in self._lines_of(i, g)]
        sigmas = config.lines.sigma_pixels
        limits = config.lines.half_width, config.lines.min_coverage
        self._filter = LineFilter(sigmas, *limits, self._shapes)
        self._middle = LineFilter([float(np.median(sigmas))], *limits)

    def __call__(self, spectra: PreparedSpectra, filtered: Filtered) -> Found:
        """Find the hits, as `Search` does."""
        n, by_redshift = len(spectra), np.argsort(spectra.z, kind="stable")
        sources, pixel = np.zeros(n, SOURCE_DTYPE), np.full(n, -1)
        for start in range(0, n, CHUNK):
            some = by_redshift[start : start + CHUNK]
            found, row, strongest = self._search(spectra, some)
            sources[some[row]], pixel[some[row]] = found, strongest
        row = np.flatnonzero(pixel >= 0)
        hits = self._matched_filter.hits_at(row, pixel[row], filtered.best)
        return Found(hits, np.full(n, np.nan), np.zeros(n, bool), np.zeros(n, "U24"), sources[row])

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
        ivar[self._lens_emission(flux, ivar, spectra.z[some])] = 0
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

    def _search(
        self, spectra: PreparedSpectra, some: Places
    ) -> tuple[NDArray[np.void], Places, Places]:
        """Search some spectra: sources, the row of each, the pixel of its strongest line."""
        flux, ivar = self.pixels(spectra, some)
        first_shift, first_pixel = self._firsts(spectra.z[some])
        seen = replace(
            self.line_fluxes(flux[:, first_pixel:], ivar[:, first_pixel:]), first=first_pixel
        )
        row, shift = self._worth_weighing(seen, spectra.z[some], self._shifts[first_shift:])
        if not len(row):
            return np.zeros(0, SOURCE_DTYPE), row, row
        fluxes, errors = self._group_fluxes(seen, row, shift)
        evidence = self._evidence(fluxes, errors)
        return self._sources(row, shift, fluxes, errors, evidence, seen)

    def _lens_emission(
        self, flux: NDArray[np.float32], ivar: NDArray[np.float32], z: Floats
    ) -> NDArray[np.bool_]:
        """Mask the lines of the lens where it shows them, shape (N, L)."""
        mask = np.zeros(flux.shape, bool)
        places = self._grid.pixel(np.array(self._config.lens_lines) * (1 + z[:, None]))
        row, line = np.nonzero((places > 0) & (places < self._grid.n_pixels - 1))
        pixel = np.round(places[row, line]).astype(np.intp)
        reach = LENS_REACH + self._config.half_width
        near = _around(pixel, reach, self._grid.n_pixels)
        inside = near == pixel[:, None] + np.arange(-reach, reach + 1)
        weight = np.where(inside, ivar[row[:, None], near], np.float32(0))
        snr = np.abs(self._middle(flux[row[:, None], near], weight).snr[0, 0])
        at_line = slice(reach - LENS_REACH, reach + LENS_REACH + 1)
        shown = snr[at_line].max(axis=0) > self._config.lens_snr
        wide = _around(pixel[shown], self._config.lens_half_width, self._grid.n_pixels)
        mask[row[shown, None], wide] = True
        return mask

    @cached_property
    def _growth(self) -> NDArray[np.float32]:
        """Factor on the errors of lines, shape (L,)."""
        return line_growth(self._config, self._grid).astype(np.float32)

    @cached_property
    def _shifts(self) -> Places:
        """Redshifts of the source that are tried, pixels."""
        return np.arange(int(np.log10(1 + self._config.z_max) / PIXEL_LOGLAM) + 1)

    def _firsts(self, z: Floats) -> tuple[int, int]:
        """First shift of a source behind the nearest of some lenses, first pixel of its lines."""
        shift = int(np.searchsorted(_z_of(self._shifts), z.min() + self._config.z_margin, "right"))
        bluest = min(round(line.place) for line in self._lines) - self._grid.first + shift
        return shift, int(np.clip(bluest - self._config.half_width, 0, self._grid.n_pixels - 1))

    def _worth_weighing(self, seen: LineFluxes, z: Floats, tried: Places) -> tuple[Places, Places]:
        """Find the shifts, of those tried, at which a source is possible: row and shift of each."""
        total = np.zeros((len(tried), len(z)), np.float32)
        squared = seen.squared_snr() / self._growth[seen.first :, None] ** 2
        grid = LogGrid(self._grid.first + seen.first, squared.shape[1])
        for line in self._lines:
            at_shifts = LogGrid(round(line.place) + tried[0], len(tried))
            shifts, pixels = at_shifts.overlap(grid)
            total[shifts] += squared[line.shape][pixels]
        np.copyto(total, 0, where=~(_z_of(tried)[:, None] > z + self._config.z_margin))
        # No evidence is higher than that of the best flux of each line.
        peak = total > 2 * self._config.ln_evidence_min
        peak[1:] &= total[1:] >= total[:-1]
        peak[:-1] &= total[:-1] >= total[1:]
        shift, row = np.divmod(np.flatnonzero(peak), len(z))
        highest_first = np.lexsort((-total[shift, row], row))
        shift, row = shift[highest_first], row[highest_first]
        rank = np.arange(len(row)) - np.searchsorted(row, row)
        weighed = rank < self._config.n_weighed
        return row[weighed], tried[shift[weighed]]

    def _pixels_of(self, line: _Line, shift: Places) -> tuple[Places, NDArray[np.bool_]]:
        pixel = np.round(shift + line.place - self._grid.first).astype(np.intp)
        inside = (pixel >= 0) & (pixel < self._grid.n_pixels)
        return np.clip(pixel, 0, self._grid.n_pixels - 1), inside

    def _group_fluxes(self, seen: LineFluxes, row: Places, shift: Places) -> tuple[Floats, Floats]:
        """Flux and error of each group, shape (Z, G), at the width that suits all lines best."""
        n_widths, n_groups = len(self._config.sigma_pixels), len(GALAXY_LINES)
        first = np.zeros((n_widths, len(row), n_groups))
        second = np.zeros_like(first)
        for line in self._lines:
            pixel, inside = self._pixels_of(line, shift)
            of_line, growth2 = seen.at(line.shape, pixel, row), self._growth[pixel] ** 2
            use = inside & of_line.seen
            first[:, :, line.group] += line.share * np.where(use, of_line.c1 / growth2, 0)
            second[:, :, line.group] += line.share**2 * np.where(use, of_line.c2 / growth2, 0)
        known = second > 0
        flux = np.where(known, first / np.where(known, second, 1), 0)
        error = np.where(known, 1 / np.sqrt(np.where(known, second, 1)), np.inf)
        best = (np.maximum(flux / error, 0) ** 2).sum(axis=2).argmax(axis=0)
        index = np.arange(len(row))
        return flux[best, index], error[best, index]

    def _sources(
        self,
        row: Places,
        shift: Places,
        fluxes: Floats,
        errors: Floats,
        evidence: Floats,
        seen: LineFluxes,
    ) -> tuple[NDArray[np.void], Places, Places]:
        """Choose the best redshift of each spectrum, and the next best."""
        z = _z_of(shift)
        snr = np.maximum(fluxes / errors, 0)
        found, rows, pixels = [], [], []
        for spectrum in np.unique(row).tolist():
            own = np.flatnonzero(row == spectrum)
            own = own[np.argsort(-evidence[own], kind="stable")]
            best = own[0]
            if evidence[best] < self._config.ln_evidence_min:
                continue
            apart = np.abs(z[own] - z[best]) > self._config.same_dz * (1 + z[best])
            other = own[apart][:1]
            pixel, name = self._strongest(seen, spectrum, int(shift[best]))
            n_lines = int((snr[best] > self._config.line_snr).sum())
            found.append((
                name if n_lines < 2 else "elg", z[best], n_lines,
                np.sqrt((snr[best] ** 2).sum()), evidence[best],
                z[other[0]] if len(other) else np.nan,
                evidence[best] - evidence[other[0]] if len(other) else np.nan,
            ))  # fmt: skip
            rows.append(spectrum)
            pixels.append(pixel)
        return (
            np.array(found, SOURCE_DTYPE), np.array(rows, np.intp), np.array(pixels, np.intp)
        )  # fmt: skip

    def _strongest(self, seen: LineFluxes, row: int, shift: int) -> tuple[int, str]:
        """Pixel of the strongest line, and the name of its group."""
        places = [self._pixels_of(line, np.array([shift])) for line in self._lines]
        snr = [
            float(seen.at(line.shape, pixel, row).snr.max() / self._growth[pixel[0]])
            if inside[0] else -np.inf
            for line, (pixel, inside) in zip(self._lines, places, strict=True)
        ]  # fmt: skip
        best = int(np.argmax(snr))
        name = GALAXY_LINES[self._lines[best].group].name
        return int(places[best][0][0]), "".join(c for c in name.lower() if c.isalnum())[:8]

    def _lines_of(self, index: int, group: LineGroup) -> list[_Line]:
        """Lines of a group; those that are not told apart as one."""
        places = np.log10(group.waves) / PIXEL_LOGLAM
        shares = np.array([share for _, share in group.lines])
        if len(places) == 1 or np.ptp(places) > BLENDED_PIXELS:
            pairs = zip(places.tolist(), shares.tolist(), strict=True)
            return [_Line(place, index, share, 0) for place, share in pairs]
        middle = float(places.mean())
        self._shapes.append(list(zip(places - middle, shares / shares.sum(), strict=True)))
        return [_Line(middle, index, float(shares.sum()), len(self._shapes) - 1)]


def _z_of(shift: Places) -> Floats:
    """Redshift that moves lines by some pixels."""
    return np.asarray(10 ** (shift * PIXEL_LOGLAM) - 1, np.float64)


def _around(pixel: Places, reach: int, n_pixels: int) -> Places:
    """Pixels on either side of some, shape (n, 2 * reach + 1)."""
    near = pixel[:, None] + np.arange(-reach, reach + 1)
    return np.asarray(np.clip(near, 0, n_pixels - 1), np.intp)
