"""Which other spectra of a run tell something of a hit.

In: the hits, the rows of all spectra. Out: those of neighbouring fibres, to which light may cross
on the detector, and those of the same object.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from speclens.config import VetConfig
from speclens.evidence.fixed_line import line_sigma
from speclens.read.sdss.fibres import steps_beside
from speclens.spectra import identified, unit_vectors

__all__ = ["REQUEST_DTYPE", "companions_of"]

FIBRES = 1 << 31
"""More than any fibre's number."""

NOT_READ = ("unplugged", "duplicate")

REQUEST_DTYPE = np.dtype(
    [("HIT", "i4"), ("KIND", "U12"), ("NAME", "U40"), ("SPECTRUM", "U32"), ("ROW", "i4"),
     ("WAVE", "f8"), ("SIGMA", "f8")]
)  # fmt: skip


def companions_of(
    hits: NDArray[np.void], spectra: Iterable[NDArray[np.void]], config: VetConfig
) -> tuple[NDArray[np.void], list[str]]:
    """Find the spectra in which the line of each hit should, or should not, be seen again.

    Parameters
    ----------
    hits : structured array of shape (H,)
        Rows of hits.fits.
    spectra : iterable of structured arrays
        Rows of spectra.fits, part by part.
    config : VetConfig
        Which spectra are of the same object, and which widths of lines are believed.

    Returns
    -------
    requests : structured array
        `REQUEST_DTYPE`: hit, kind (`neighbour` or `repeat`), the other spectrum, the line.
    files : list of str
        File of each, as spectra.fits has it.
    """
    rows: list[tuple[Any, ...]] = []
    files: list[str] = []
    if not len(hits):
        return np.zeros(0, REQUEST_DTYPE), files
    near = _Nearby(hits, config.repeat_arcsec)
    sigma = line_sigma(hits["FWHM_KMS"], config.line_sigma_range)
    for part in spectra:
        usable = part[(part["STATUS"] != "failed") & ~np.isin(part["REASON"], NOT_READ)]
        for kind, hit, row in near(usable):
            other = usable[row]
            spectrum, file = str(other["SPECTRUM"]), str(other["FILE"])
            name = spectrum or file.rpartition("/")[2]
            line = (hits["WAVE"][hit], sigma[hit])
            rows.append((hit, kind, name, spectrum, other["ROW"], *line))
            files.append(file)
    return np.array(rows, REQUEST_DTYPE), files


class _Nearby:
    """Which spectra are neighbours of hits on the detector, or of the same object."""

    def __init__(self, hits: NDArray[np.void], arcsec: float) -> None:
        self._hits = hits
        known = identified(hits)
        self._nights = np.unique(_night(hits[known]))
        self._codes = self._code(hits)
        self._by_neighbour: dict[int, list[int]] = {}
        for i in np.flatnonzero(known).tolist():
            for step in steps_beside(int(hits["PLATE"][i]), int(hits["FIBERID"][i])):
                self._by_neighbour.setdefault(int(self._codes[i]) + step, []).append(i)
        self._placed = np.flatnonzero(np.isfinite(hits["RA"]) & np.isfinite(hits["DEC"]))
        self._tree = cKDTree(unit_vectors(hits[self._placed])) if len(self._placed) else None
        self._reach = 2 * np.sin(np.radians(arcsec / 3600) / 2)

    def __call__(self, spectra: NDArray[np.void]) -> Iterator[tuple[str, int, int]]:
        """Yield kind, row of the hit, row of the spectrum."""
        codes = self._code(spectra)
        wanted = np.array(list(self._by_neighbour), np.int64)
        for row in np.flatnonzero(np.isin(codes, wanted)).tolist():
            for hit in self._by_neighbour[int(codes[row])]:
                yield "neighbour", hit, row
        placed = np.flatnonzero(np.isfinite(spectra["RA"]) & np.isfinite(spectra["DEC"]))
        if self._tree is None or not len(placed):
            return
        found = self._tree.query_ball_point(unit_vectors(spectra[placed]), self._reach)
        for row, near in zip(placed.tolist(), found, strict=True):
            for hit in self._placed[near].tolist():
                if not self._is_same(hit, spectra[row], int(codes[row])):
                    yield "repeat", hit, row

    def _code(self, rows: NDArray[np.void]) -> NDArray[np.int64]:
        """Give spectra of the nights of hits a number of their own; -1 to all others."""
        night, known = _night(rows), identified(rows)
        place = np.searchsorted(self._nights, night).clip(0, max(len(self._nights) - 1, 0))
        if len(self._nights):
            known &= self._nights[place] == night
        return np.where(known, place * FIBRES + rows["FIBERID"], -1)

    def _is_same(self, hit: int, spectrum: np.void, code: int) -> bool:
        """Tell whether a spectrum is a hit's own, in whatever file; without ids none is."""
        own = self._hits[hit]
        same_row = own["FILE"] == spectrum["FILE"] and own["ROW"] == spectrum["ROW"]
        return bool(same_row or (code >= 0 and code == self._codes[hit]))


def _night(rows: NDArray[np.void]) -> NDArray[np.int64]:
    """Plate and date in one number, shape (N,)."""
    return rows["PLATE"].astype(np.int64) << 32 | rows["MJD"].astype(np.int64)
