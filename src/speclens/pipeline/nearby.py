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
from speclens.spectra import unit_vectors
from speclens.vet.measure import line_sigma

__all__ = ["REQUEST_DTYPE", "companions_of"]

FIBRES_PER_SPECTROGRAPH = 500
FIBRES_PER_SDSS_SPECTROGRAPH = 320
FIRST_BOSS_PLATE = 3510
"""Plates before it are of SDSS-I/II: 640 fibres."""

NOT_READ = ("unplugged", "duplicate")

REQUEST_DTYPE = np.dtype(
    [("HIT", "i4"), ("KIND", "U12"), ("NAME", "U40"), ("TARGETID", "i8"),
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
            name = f"{other['PLATE']}-{other['MJD']}-{other['FIBERID']}"
            rows.append((hit, kind, name, other["TARGETID"], hits["WAVE"][hit], sigma[hit]))
            files.append(str(other["FILE"]))
    return np.array(rows, REQUEST_DTYPE), files


class _Nearby:
    """Which spectra are neighbours of hits on the detector, or of the same object."""

    def __init__(self, hits: NDArray[np.void], arcsec: float) -> None:
        self._ids = hits["TARGETID"]
        self._by_neighbour: dict[int, list[int]] = {}
        for i, row in enumerate(hits):
            for neighbour in _neighbours(row):
                self._by_neighbour.setdefault(neighbour, []).append(i)
        self._placed = np.flatnonzero(np.isfinite(hits["RA"]) & np.isfinite(hits["DEC"]))
        self._tree = cKDTree(unit_vectors(hits[self._placed])) if len(self._placed) else None
        self._reach = 2 * np.sin(np.radians(arcsec / 3600) / 2)

    def __call__(self, spectra: NDArray[np.void]) -> Iterator[tuple[str, int, int]]:
        """Yield kind, row of the hit, row of the spectrum."""
        ids = spectra["TARGETID"]
        wanted = np.array(list(self._by_neighbour), np.int64)
        for row in np.flatnonzero(np.isin(ids, wanted)).tolist():
            for hit in self._by_neighbour[int(ids[row])]:
                yield "neighbour", hit, row
        placed = np.flatnonzero(np.isfinite(spectra["RA"]) & np.isfinite(spectra["DEC"]))
        if self._tree is None or not len(placed):
            return
        found = self._tree.query_ball_point(unit_vectors(spectra[placed]), self._reach)
        for row, near in zip(placed.tolist(), found, strict=True):
            for hit in self._placed[near].tolist():
                if self._ids[hit] != ids[row]:
                    yield "repeat", hit, row


def _neighbours(hit: np.void) -> list[int]:
    """TARGETIDs of the fibres beside a hit's, on the same spectrograph."""
    own, target = int(hit["FIBERID"]), int(hit["TARGETID"])
    boss = hit["PLATE"] >= FIRST_BOSS_PLATE
    size = FIBRES_PER_SPECTROGRAPH if boss else FIBRES_PER_SDSS_SPECTROGRAPH
    beside = [fibre for fibre in (own - 1, own + 1) if fibre > 0 and target >= 0]
    return [target + f - own for f in beside if (f - 1) // size == (own - 1) // size]
