"""The published searches of lines: several peaks of the matched filter at one redshift.

In: prepared spectra, filtered. Out: for each spectrum at most one hit, the source whose lines are
highest above the noise together. What must be seen of a source says the configuration: those of
the published searches are bundled. Lines that are absent count in `speclens.search.lines` only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d

from speclens.config import Config
from speclens.hypotheses import line_code
from speclens.lines import LYMAN_ALPHA, PIXEL_LOGLAM, redshift_of, rest_waves
from speclens.sample.preparation import PreparedSpectra
from speclens.search.local_cubic import snr_about_cubic
from speclens.search.matched_filter import Filtered, MatchedFilter
from speclens.search.search import Found, unweighed_sources

__all__ = ["ThresholdSearch"]

Floats = NDArray[np.floating]
Places = NDArray[np.intp]
Marks = NDArray[np.bool_]


class ThresholdSearch:
    """Search for sources of emission lines by thresholds (Bolton et al. 2004; Meyer et al. 2017).

    Parameters
    ----------
    config : Config
        Section `thresholds`.
    matched_filter : MatchedFilter
        Whose signal-to-noise ratios are searched.

    Notes
    -----
    Every peak above `first_snr` is tried as the strongest line of a source, whichever of the lines
    it may be; that gives the redshift. The others are looked for where they then would be, within
    `same_dz`. On the global grid a redshift moves all lines by the same number of pixels. Behind
    quasars nothing is looked for where they have broad lines, nor in the Lyman-alpha forest, and a
    strongest line must outlast a cubic that is fitted to the pixels around it.

    Differs: a spectrum has one source, that with the highest quadrature sum, and nobody looks at
    it; [O II] is one line, as wide as the filter.
    """

    engine = None

    def __init__(self, config: Config, matched_filter: MatchedFilter) -> None:
        self._config, self._matched_filter = config.thresholds, matched_filter
        grid = matched_filter.grid
        self._places = np.log10(rest_waves(*self._config.lines)) / PIXEL_LOGLAM - grid.first
        masks = np.array(self._config.lens_masks).reshape(-1, 2)
        self._ends = masks[:, 0] - masks[:, 1], masks[:, 0] + masks[:, 1]
        self._apart = np.round(self._places - self._places[:, None]).astype(np.intp)
        reach = round(self._config.same_dz / (np.log(10) * PIXEL_LOGLAM))
        # A peak is one line, the nearest: no two lines look for theirs in the same pixels.
        nearest = np.abs(self._apart) + np.diag(np.full(len(self._places), 2 * reach + 1))
        reaches = np.minimum(reach, (nearest.min(axis=1) - 1) // 2)
        self._reaches, self._reach = np.unique(reaches, return_inverse=True)
        self._required = np.isin(self._config.lines, self._config.required)
        self._lone = np.isin(self._config.lines, self._config.lone)

    def __call__(self, spectra: PreparedSpectra, filtered: Filtered) -> Found:
        """Find the hits, as `Search` does."""
        row, pixel, sources = self._sources(filtered.best, spectra)
        n = len(spectra)
        return Found(
            self._matched_filter.hits_at(row, pixel, filtered.best),
            np.full(n, np.nan), np.zeros(n, bool), np.zeros(n, "U24"), sources,
        )  # fmt: skip

    def _sources(
        self, snr: NDArray[np.float32], spectra: PreparedSpectra
    ) -> tuple[Places, Places, NDArray[np.void]]:
        """Find the best source of each spectrum: rows, pixels of the strongest lines, sources."""
        config = self._config
        top = _peaks(snr)
        top[self._lens(spectra.z)] = 0
        row, pixel = np.nonzero(top > self._least)
        first = snr[row, pixel]
        z = redshift_of(pixel[:, None] - self._places)  # (P, K)
        near = self._near(top, row, pixel)  # (P, K, K)
        there = near > config.line_snr
        n_lines = there.sum(axis=2)
        total = np.sqrt((np.where(there, near, 0) ** 2).sum(axis=2))
        passed = self._several(first[:, None], n_lines, total, there)
        passed |= self._lone & (first[:, None] > config.lone_snr)
        passed &= z > spectra.z[row, None] + config.z_margin
        passed &= near.max(axis=2) <= first[:, None]
        self._test_again(passed, spectra, row, pixel)
        peak, line = np.nonzero(passed)
        # The best of each spectrum comes first.
        order = np.lexsort((-total[peak, line], row[peak]))
        best = order[np.unique(row[peak][order], return_index=True)[1]]
        peak, line = peak[best], line[best]
        return row[peak], pixel[peak], self._rows(
            line, z[peak, line], n_lines[peak, line], total[peak, line]
        )  # fmt: skip

    def _lens(self, z: Floats) -> Marks:
        """Mark what of the lens's own spectrum is not searched, shape (N, L)."""
        grid, stretch = self._matched_filter.grid, 1 + z[:, None]
        begins = LYMAN_ALPHA * stretch + self._config.lya_margin
        low, high = (side * stretch for side in self._ends)
        change = np.zeros((len(z), grid.n_pixels + 1), np.int8)
        for waves, step in ((low, 1), (high, -1), (np.ones_like(begins), 1), (begins, -1)):
            place = np.clip(np.ceil(grid.pixel(waves)), 0, grid.n_pixels).astype(np.intp)
            np.add.at(change, (np.arange(len(z))[:, None], place), step)
        return np.asarray(change[:, :-1].cumsum(axis=1, dtype=np.int8) > 0)

    def _test_again(
        self, passed: Marks, spectra: PreparedSpectra, row: Places, pixel: Places
    ) -> None:
        """Take back the trials, shape (P, K), whose peaks a cubic explains."""
        config = self._config
        if config.cubic_snr > 0:
            tried = np.flatnonzero(passed.any(axis=1))
            where = row[tried], pixel[tried], config.cubic_half_width
            left = snr_about_cubic(spectra, self._matched_filter, *where)
            passed[tried[left <= config.cubic_snr]] = False

    @property
    def _least(self) -> float:
        """Signal-to-noise ratio below which a peak cannot be the strongest line of a source."""
        config = self._config
        return min(config.first_snr, config.lone_snr) if config.lone else config.first_snr

    def _near(self, top: NDArray[np.float32], row: Places, pixel: Places) -> Floats:
        """Highest peak near each line, if a pixel is one of them, shape (P, K, K)."""
        n_pixels = top.shape[1]
        highest = np.stack([
            maximum_filter1d(top, 2 * reach + 1, axis=1, mode="constant")
            for reach in self._reaches.tolist()
        ])  # fmt: skip
        place = pixel[:, None, None] + self._apart
        inside = (place >= 0) & (place < n_pixels)
        place = np.clip(place, 0, n_pixels - 1)
        found = highest[self._reach, row[:, None, None], place]
        return np.where(inside, found, np.float32(0))

    def _several(
        self, first: Floats, n_lines: NDArray[np.integer], total: Floats, there: Marks
    ) -> Marks:
        """Say which trials show enough lines, shape (P, K)."""
        config = self._config
        passed = (first > config.first_snr) & (n_lines >= config.n_lines)
        passed &= there[:, :, self._required].all(axis=2)
        passed &= (total > config.total_snr) & (total >= first + config.total_over_first)
        return np.asarray(passed)

    def _rows(
        self, line: Places, z: Floats, n_lines: NDArray[np.integer], total: Floats
    ) -> NDArray[np.void]:
        """Describe sources whose strongest lines are given."""
        sources = unweighed_sources(len(line))
        names = np.array([line_code(name) for name in self._config.lines])
        sources["HYPOTHESIS"] = np.where(n_lines > 1, "elg", names[line])
        sources["Z_SOURCE"], sources["N_LINES"], sources["SNR_LINES"] = z, n_lines, total
        return sources


def _peaks(snr: NDArray[np.float32]) -> NDArray[np.float32]:
    """Keep local maxima, shape (N, L): the wing of a line is no line."""
    peak = snr > 0
    peak[:, 1:] &= snr[:, 1:] > snr[:, :-1]
    peak[:, :-1] &= snr[:, :-1] >= snr[:, 1:]
    return np.where(peak, snr, np.float32(0))
