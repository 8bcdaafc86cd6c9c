"""The lines of one kind of source on the grid, and the fluxes that they have at a redshift.

In: what lines of each shape would have at every pixel. Out: redshifts that are worth weighing, and
flux and error of each group of lines there. How these are weighed is left to
`speclens.search.line_evidence`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config
from speclens.hypotheses import LineGroup, line_code
from speclens.lines import PIXEL_LOGLAM, redshift_of
from speclens.search.line_evidence import LineEvidence
from speclens.search.line_filter import LineFluxes, Shape
from speclens.search.source_prior import SourcePrior
from speclens.spectra import LogGrid

__all__ = ["SourceLines", "Weighed"]

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

BLENDED_PIXELS = 6.0
"""Lines of a group that are nearer to each other are found as one."""

UNKNOWN_FLUX = 2.0
"""Natural logarithm of what a source's evidence loses at least because its flux is not known: at a
S/N of 10 that is a tenth of all fluxes that are possible."""

SAME_PIXELS = 4
"""Lines that are nearer to each other are one."""


@dataclass(frozen=True)
class Weighed:
    """Sources that are possible, Z of them.

    Parameters
    ----------
    row, shift : array of shape (Z,)
        Spectrum, and redshift as the pixels by which it moves lines.
    snr : array of shape (Z, G)
        Signal-to-noise ratio of each group of lines, 0 where it is negative.
    evidence : array of shape (Z,)
        Natural logarithm of the evidence for the source over none.
    prior : array of shape (Z,)
        Natural logarithm of the number of such sources behind a fibre, a pixel of redshift and unit
        of ln flux.
    """

    row: Places
    shift: Places
    snr: Floats
    evidence: Floats
    prior: Floats


@dataclass(frozen=True)
class _Line:
    """A line or a blend: place at z = 0 on the global grid, group, share of its flux, shape."""

    place: float
    group: int
    share: float
    shape: int


class SourceLines:
    """The lines of one kind of source.

    Parameters
    ----------
    name : str
        Of the kind.
    groups : sequence of LineGroup
        What it shows.
    grid : LogGrid
        Wavelengths, L pixels.
    config : Config
        Which redshifts are worth weighing, and how many sources there are.
    shapes : list of Shape
        Shapes of lines that are filtered for; those of the source's blends are added.
    """

    def __init__(
        self,
        name: str,
        groups: Sequence[LineGroup],
        grid: LogGrid,
        config: Config,
        shapes: list[Shape],
    ) -> None:
        self.name, self._groups, self._grid = name, groups, grid
        self._config = config.lines
        self._evidence = LineEvidence(config.lines, groups)
        self._lines = [
            line for i, group in enumerate(groups) for line in _lines_of(i, group, shapes)
        ]
        places = [line.place for line in self._lines]
        last = grid.first + grid.n_pixels - 1
        self._shifts = np.arange(
            max(0, round(grid.first - max(places))), round(last - min(places)) + 1
        )
        self._bluest = round(min(places))
        self._ratio = np.array([group.ratio / groups[0].ratio for group in groups])
        self._prior = SourcePrior(groups[0].name, self._shifts, config.lines, config.candidates)

    def behind(self, z: float) -> tuple[int, int]:
        """Say where the sources begin that are behind a lens.

        Parameters
        ----------
        z : float
            Redshift of the lens.

        Returns
        -------
        shift : int
            Number of redshifts that are tried and are not behind it.
        pixel : int
            The first pixel that a line of those behind can have.
        """
        shift = int(np.searchsorted(redshift_of(self._shifts), z + self._config.z_margin, "right"))
        tried = self._shifts[min(shift, len(self._shifts) - 1)]
        return shift, int(
            np.clip(self._bluest - self._grid.first + tried, 0, self._grid.n_pixels - 1)
        )

    def weigh(
        self, seen: LineFluxes, squared: NDArray[np.float32], z: Floats, in_front: bool = False
    ) -> Weighed:
        """Weigh the redshifts at which a source is possible.

        Parameters
        ----------
        seen : LineFluxes
            What lines of S shapes would have in N spectra, grown errors included.
        squared : array of shape (S, L, N)
            The highest squared signal-to-noise ratio of each, 0 in absorption.
        z : array of shape (N,)
            Redshifts of the lenses.
        in_front : bool, optional
            Sources before the lens, not behind it.

        Returns
        -------
        Weighed
            By spectrum; no more than `n_weighed` of each, and of these all that could be hits.
        """
        row, shift = self._worth_weighing(seen.first, squared, z, in_front)
        flux, error = self._group_fluxes(seen, row, shift)
        snr = np.maximum(flux / error, 0)
        best = snr.argmax(axis=1)
        of_first = flux[np.arange(len(row)), best] / self._ratio[best]
        return Weighed(row, shift, snr, self._evidence(flux, error), self._prior(shift, of_first))

    def strongest(self, seen: LineFluxes, row: int, shift: int) -> int:
        """Return where the strongest line of a source is.

        Parameters
        ----------
        seen : LineFluxes
            What lines would have.
        row, shift : int
            Spectrum and redshift.

        Returns
        -------
        int
            Its pixel.
        """
        pixel, inside = self.pixels(shift)
        snr = np.full(len(pixel), -np.inf)
        for i in np.flatnonzero(inside & (pixel >= seen.first)).tolist():
            snr[i] = seen.at(self._lines[i].shape, pixel[i : i + 1], row).snr.max()
        return int(pixel[snr.argmax()])

    def name_at(self, pixel: int, shift: int) -> str:
        """Name the line that a source has at a pixel.

        Parameters
        ----------
        pixel : int
            The pixel.
        shift : int
            Redshift of the source.

        Returns
        -------
        str
            What the group of the line goes by in tables; empty where there is no line within a few
            pixels.
        """
        at, inside = self.pixels(shift)
        away = np.where(inside, np.abs(at - pixel), self._grid.n_pixels)
        nearest = int(away.argmin())
        if away[nearest] > SAME_PIXELS:
            return ""
        return line_code(self._groups[self._lines[nearest].group].name)

    def pixels(self, shift: int | Places) -> tuple[Places, NDArray[np.bool_]]:
        """Return where the lines of a source are.

        Parameters
        ----------
        shift : int
            Its redshift.

        Returns
        -------
        pixel : array of shape (M,)
            Pixel of each line; the nearest end of the grid beyond it.
        inside : array of shape (M,)
            Whether it is on the grid.
        """
        return self._on_grid(np.array([line.place for line in self._lines]) + shift)

    def _worth_weighing(
        self, first: int, squared: NDArray[np.float32], z: Floats, in_front: bool
    ) -> tuple[Places, Places]:
        """Find the shifts at which a source is possible: row and shift of each."""
        start = 0 if in_front else self.behind(float(z.min()))[0]
        tried = self._shifts[start:]
        if not len(tried):
            return np.zeros(0, np.intp), np.zeros(0, np.intp)
        total = np.zeros((len(tried), len(z)), np.float32)
        grid = LogGrid(self._grid.first + first, squared.shape[1])
        for line in self._lines:
            at_shifts = LogGrid(round(line.place) + tried[0], len(tried))
            shifts, pixels = at_shifts.overlap(grid)
            total[shifts] += squared[line.shape][pixels]
        away = redshift_of(tried)[:, None] - z
        apart = -away if in_front else away
        np.copyto(total, 0, where=~(apart > self._config.z_margin))
        # No evidence is higher than that of the best flux of each line, which nobody knows before.
        peak = total > 2 * (self._config.ln_evidence_min + UNKNOWN_FLUX)
        peak[1:] &= total[1:] >= total[:-1]
        peak[:-1] &= total[:-1] >= total[1:]
        shift, row = np.divmod(np.flatnonzero(peak), len(z))
        highest_first = np.lexsort((-total[shift, row], row))
        shift, row = shift[highest_first], row[highest_first]
        rank = np.arange(len(row)) - np.searchsorted(row, row)
        weighed = rank < self._config.n_weighed
        return row[weighed], tried[shift[weighed]]

    def _group_fluxes(self, seen: LineFluxes, row: Places, shift: Places) -> tuple[Floats, Floats]:
        """Flux and error of each group, shape (Z, G), at the width that suits all lines best."""
        n_widths, n_groups = len(self._config.sigma_pixels), len(self._groups)
        first = np.zeros((n_widths, len(row), n_groups))
        second = np.zeros_like(first)
        for line in self._lines:
            pixel, inside = self._on_grid(line.place + shift)
            of_line = seen.at(line.shape, pixel, row)
            use = inside & (pixel >= seen.first) & of_line.seen
            first[:, :, line.group] += line.share * np.where(use, of_line.c1, 0)
            second[:, :, line.group] += line.share**2 * np.where(use, of_line.c2, 0)
        known = second > 0
        flux = np.where(known, first / np.where(known, second, 1), 0)
        error = np.where(known, 1 / np.sqrt(np.where(known, second, 1)), np.inf)
        best = (np.maximum(flux / error, 0) ** 2).sum(axis=2).argmax(axis=0)
        index = np.arange(len(row))
        return flux[best, index], error[best, index]

    def _on_grid(self, place: NDArray[np.floating]) -> tuple[Places, NDArray[np.bool_]]:
        pixel = np.round(place - self._grid.first).astype(np.intp)
        inside = (pixel >= 0) & (pixel < self._grid.n_pixels)
        return np.clip(pixel, 0, self._grid.n_pixels - 1), inside


def _lines_of(index: int, group: LineGroup, shapes: list[Shape]) -> list[_Line]:
    """Lines of a group; those that are not told apart as one."""
    places = np.log10(group.waves) / PIXEL_LOGLAM
    shares = np.array([share for _, share in group.lines])
    if len(places) == 1 or np.ptp(places) > BLENDED_PIXELS:
        pairs = zip(places.tolist(), shares.tolist(), strict=True)
        return [_Line(place, index, share, 0) for place, share in pairs]
    middle = float(places.mean())
    shapes.append(list(zip(places - middle, shares / shares.sum(), strict=True)))
    return [_Line(middle, index, float(shares.sum()), len(shapes) - 1)]
