"""From spectra as read to measured hits: prepare, search, measure again.

In: a batch and its redshifts. Out: prepared spectra and hits, of whatever search. A line that is
still in the spectrum when the foreground is fitted loses some 4 % of its flux to the fit; so the
hits, once found, are measured on a foreground that was fitted without them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from speclens.sample.preparation import Preparation, PreparedSpectra
from speclens.search.matched_filter import MatchedFilter
from speclens.search.readings import Readings
from speclens.search.search import Search, lya_sources
from speclens.spectra import LogGrid, SpectrumBatch

__all__ = ["Detection", "Detector", "near_line"]


@dataclass(frozen=True)
class Detection:
    """What a search found in N spectra.

    Parameters
    ----------
    prepared : PreparedSpectra
        What the search saw.
    snr : array of shape (N,)
        Highest signal-to-noise ratio of the matched filter.
    probability : array of shape (N,)
        The network's; NaN when it was not asked.
    hits : structured array
        `speclens.search.matched_filter.HIT_DTYPE`; SNR is that of the search, flux, wavelength and
        width are measured anew.
    sources : structured array
        `speclens.search.search.SOURCE_DTYPE`, a row for each hit.
    readings : Readings
        What the lines may be; HIT counts `hits`.
    many_hits : array of shape (N,)
        True where the search fired too often to be believed; those hits are left out.
    reasons : array of shape (N,)
        Reason code of a spectrum that could not be searched, else empty.
    """

    prepared: PreparedSpectra
    snr: NDArray[np.float32]
    probability: NDArray[np.float64]
    hits: NDArray[np.void]
    sources: NDArray[np.void]
    readings: Readings
    many_hits: NDArray[np.bool_]
    reasons: NDArray[np.str_]


class Detector:
    """A search with the steps before and after it.

    Parameters
    ----------
    preparation : Preparation
        The steps before the search.
    matched_filter : MatchedFilter
        Goes before every search, and measures the hits.
    search : Search
        Finds the hits.

    Notes
    -----
    Differs: Shu et al. 2016 measure on the foreground that was fitted with the line.
    """

    def __init__(
        self, preparation: Preparation, matched_filter: MatchedFilter, search: Search
    ) -> None:
        self.preparation, self.matched_filter = preparation, matched_filter
        self._search = search

    @property
    def engine(self) -> str | None:
        """What runs the network; None when there is none."""
        return self._search.engine

    def __call__(self, batch: SpectrumBatch, z: NDArray[np.floating]) -> Detection:
        """Prepare spectra, find the hits and measure them.

        Parameters
        ----------
        batch : SpectrumBatch
            N spectra.
        z : array of shape (N,)
            Redshifts of the lens galaxies.

        Returns
        -------
        Detection
            The hits, and a highest ratio and a probability for each spectrum.
        """
        prepared = self.preparation(batch, z)
        filtered = self.matched_filter.search(prepared.residual, prepared.ivar)
        found = self._search(prepared, filtered)
        reasons = np.where(prepared.reasons != "", prepared.reasons, found.reasons)
        hits = self._measured(batch, z, found.hits)
        sources = lya_sources(hits) if found.sources is None else found.sources
        return Detection(
            prepared, filtered.snr, found.probability, hits, sources, found.readings,
            found.many_hits, reasons,
        )  # fmt: skip

    def _measured(
        self, batch: SpectrumBatch, z: NDArray[np.floating], found: NDArray[np.void]
    ) -> NDArray[np.void]:
        """Measure hits on a foreground that was fitted without them."""
        rows = np.unique(found["ROW"])
        if not len(rows):
            return found
        place = np.searchsorted(rows, found["ROW"])
        line = np.zeros((len(rows), batch.grid.n_pixels), bool)
        for row, wave in zip(place.tolist(), found["WAVE"].tolist(), strict=True):
            line[row] |= near_line(batch.grid, wave, self.matched_filter.half_width)
        again = self.preparation(batch[rows], z[rows], line)
        hits = found.copy()
        hits["ROW"] = place
        dispersion = batch.dispersion[rows]
        hits = self.matched_filter.measure(again.residual, again.ivar, hits, dispersion)
        hits["ROW"] = found["ROW"]
        return hits


def near_line(grid: LogGrid, wave: float, half_width: int) -> NDArray[np.bool_]:
    """Mark the pixels of a line, which a foreground fit must leave out.

    Parameters
    ----------
    grid : LogGrid
        Wavelengths, L pixels.
    wave : float
        Line centre, Angstrom.
    half_width : int
        Pixels on either side.

    Returns
    -------
    array of shape (L,)
        True near the line.
    """
    centre = round(float(grid.pixel(wave)))
    return np.asarray(np.abs(np.arange(grid.n_pixels) - centre) <= half_width)
