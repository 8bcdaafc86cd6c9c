"""The redshift axes of a network: which bins there are, and where a source's lines fall.

In: a grid and the lines of each kind of source. Out: `SourceBins`, plain numbers that a model and a
training set carry with them. On a grid in log10(wavelength) a redshift moves all lines by the same
number of pixels; so a bin of redshift is as wide as a cell of 4 pixels, and to go one bin further
moves every line by one cell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "CELL_PIXELS", "SAME_CELLS", "SPREAD_CELLS", "SourceBins", "around_lens", "places_of",
    "source_bins",
]  # fmt: skip

CELL_PIXELS = 4
"""Pixels of a cell, and of a bin of redshift: 0.0009 in z / (1 + z)."""

SPREAD_CELLS = 1
"""Bins on either side of a source's redshift that are as right as its own."""

SAME_CELLS = 3
"""Redshifts that differ by no more are one: 0.003 in z / (1 + z)."""

PIXEL = 1e-4
"""In log10(wavelength), `speclens.lines.PIXEL_LOGLAM`; a machine that only trains needs no more."""

LOGLAM_CELL = PIXEL * CELL_PIXELS

BLENDED_PIXELS = 6.0
"""Lines of one group that are nearer to each other are one."""

Floats = NDArray[np.float64]
Places = NDArray[np.intp]


@dataclass(frozen=True)
class SourceBins:
    """The redshifts of one kind of source, B bins, and its lines.

    Parameters
    ----------
    kind : str
        `elg` or `lya`.
    first : int
        Cells by which the first bin moves lines; log10(1 + z) over 4e-4.
    n_bins : int
        Number of bins B.
    names : tuple of str
        What each of the J lines goes by in tables, `speclens.hypotheses.line_code`.
    places : tuple of float
        Where each line is at redshift 0, pixels of the grid; beyond its ends for most.
    """

    kind: str
    first: int
    n_bins: int
    names: tuple[str, ...]
    places: tuple[float, ...]

    @property
    def cells(self) -> list[int]:
        """Cell of each line at the first bin; in bin b it is b cells further on."""
        shift = self.first * CELL_PIXELS
        middle = (CELL_PIXELS - 1) / 2
        return [round((place + shift - middle) / CELL_PIXELS) for place in self.places]

    @property
    def z(self) -> Floats:
        """Redshifts of the bins, shape (B,)."""
        return self.z_at(np.arange(self.n_bins))

    def z_at(self, place: NDArray[np.floating] | NDArray[np.integer] | float) -> Floats:
        """Return the redshift at a fractional bin."""
        return np.asarray(10 ** ((self.first + np.asarray(place)) * LOGLAM_CELL) - 1, np.float64)

    def bin_of(self, z: Floats) -> Places:
        """Return the bins of redshifts.

        Parameters
        ----------
        z : array
            Redshifts; NaN for no source.

        Returns
        -------
        array
            Bins; -1 where there is none.
        """
        place = np.log10(1 + np.nan_to_num(z)) / LOGLAM_CELL - self.first
        place = np.round(np.where(np.isfinite(z), place, -1)).astype(np.intp)
        return np.where((place >= 0) & (place < self.n_bins), place, -1)

    def pixels(self, z: Floats) -> Floats:
        """Return where lines are at some redshifts, shape (n, J), pixels of the grid."""
        shift = np.log10(1 + np.asarray(z, np.float64)) / PIXEL
        return np.asarray(shift[:, None] + np.array(self.places), np.float64)

    def seen(self, n_cells: int) -> NDArray[np.bool_]:
        """Say which lines are on a grid of `n_cells` cells at each bin, shape (J, B)."""
        cells = np.array(self.cells)[:, None] + np.arange(self.n_bins)
        return np.asarray((cells >= 0) & (cells < n_cells))

    def record(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {**vars(self), "names": list(self.names), "places": list(self.places)}

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> SourceBins:
        """Return what `record` was made of.

        Parameters
        ----------
        record : mapping
            The record.

        Returns
        -------
        SourceBins
            The bins.

        Raises
        ------
        TypeError
            If it has other keys.
        """
        return cls(**{**record, "names": (*record["names"],), "places": (*record["places"],)})


def around_lens(z: Floats, margin: float) -> Places:
    """Return which bins, counted from redshift 0, are before a lens, and which behind.

    Parameters
    ----------
    z : array of shape (N,)
        Redshifts of the lenses.
    margin : float
        By which a source is behind, and a galaxy before.

    Returns
    -------
    array of shape (N, 2)
        Cells by which bins move lines: the first that is before no more, and the first behind.
    """
    away = np.asarray(z)[:, None] + np.array([-margin, margin])
    return np.asarray(np.ceil(np.log10(1 + away) / LOGLAM_CELL), np.intp)


def places_of(sources: Sequence[SourceBins]) -> tuple[Places, Places]:
    """Return what the P places of a map are, kind by kind.

    Parameters
    ----------
    sources : sequence of SourceBins
        The kinds.

    Returns
    -------
    cells : array of shape (P,)
        Cells by which each place moves lines.
    kinds : array of shape (P,)
        Number of its kind.
    """
    cells = [bins.first + np.arange(bins.n_bins) for bins in sources]
    kinds = np.repeat(np.arange(len(sources)), [bins.n_bins for bins in sources])
    return np.concatenate(cells).astype(np.intp), kinds


def source_bins(first_pixel: int, n_pixels: int, kinds: Sequence[str]) -> tuple[SourceBins, ...]:
    """Return the redshifts at which a source has a line on a grid.

    Parameters
    ----------
    first_pixel, n_pixels : int
        Of the grid, `speclens.spectra.LogGrid`.
    kinds : sequence of str
        Kinds of sources, of `speclens.hypotheses.SOURCES`.

    Returns
    -------
    tuple of SourceBins
        One for each kind: from redshift 0, or from that which brings the reddest line onto the
        grid, to that at which the bluest leaves it.
    """
    from speclens.hypotheses import SOURCES, line_code

    made = []
    for kind in kinds:
        names, places = [], []
        for group in SOURCES[kind]:
            at = np.log10(group.waves) / PIXEL - first_pixel
            for place in [at.mean()] if np.ptp(at) < BLENDED_PIXELS else at:
                names.append(line_code(group.name))
                places.append(round(float(place), 3))
        first = max(0, int(np.ceil(-max(places) / CELL_PIXELS)))
        last = int((n_pixels // CELL_PIXELS * CELL_PIXELS - 1 - min(places)) // CELL_PIXELS)
        made.append(SourceBins(kind, first, last - first + 1, tuple(names), tuple(places)))
    return tuple(made)
