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
from speclens.read.surveys import survey_named
from speclens.spectra import unit_vectors

__all__ = ["REQUEST_DTYPE", "companions_of"]

NOT_READ = ("unplugged", "duplicate")

REQUEST_DTYPE = np.dtype(
    [("HIT", "i4"), ("KIND", "U12"), ("NAME", "U40"), ("SURVEY", "U8"), ("SPECTRUM", "U40"),
     ("ROW", "i4"), ("WAVE", "f8"), ("SIGMA", "f8")]
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
            survey, spectrum, file = (str(other[name]) for name in ("SURVEY", "SPECTRUM", "FILE"))
            name = spectrum or file.rpartition("/")[2]
            line = (hits["WAVE"][hit], sigma[hit])
            rows.append((hit, kind, name, survey, spectrum, other["ROW"], *line))
            files.append(file)
    return np.array(rows, REQUEST_DTYPE), files


class _Nearby:
    """Which spectra are neighbours of hits on the detector, or of the same object."""

    def __init__(self, hits: NDArray[np.void], arcsec: float) -> None:
        self._hits = hits
        self._beside: dict[tuple[str, int], list[int]] = {}
        for survey, places, rows in _places(hits):
            for place, hit in zip(places.tolist(), rows.tolist(), strict=True):
                for step in (-1, 1):
                    self._beside.setdefault((survey, place + step), []).append(hit)
        self._wanted = np.unique([place for _, place in self._beside])
        self._placed = np.flatnonzero(np.isfinite(hits["RA"]) & np.isfinite(hits["DEC"]))
        self._tree = cKDTree(unit_vectors(hits[self._placed])) if len(self._placed) else None
        self._reach = 2 * np.sin(np.radians(arcsec / 3600) / 2)

    def __call__(self, spectra: NDArray[np.void]) -> Iterator[tuple[str, int, int]]:
        """Yield kind, row of the hit, row of the spectrum."""
        for survey, places, rows in _places(spectra):
            near = np.isin(places, self._wanted)
            for place, row in zip(places[near].tolist(), rows[near].tolist(), strict=True):
                for hit in self._beside.get((survey, place), ()):
                    yield "neighbour", hit, row
        placed = np.flatnonzero(np.isfinite(spectra["RA"]) & np.isfinite(spectra["DEC"]))
        if self._tree is None or not len(placed):
            return
        # Few spectra are near any hit, and to ask for the nearest one is soon done.
        points = unit_vectors(spectra[placed])
        nearest, _ = self._tree.query(points, distance_upper_bound=self._reach * (1 + 1e-9))
        placed, points = placed[np.isfinite(nearest)], points[np.isfinite(nearest)]
        found = self._tree.query_ball_point(points, self._reach)
        for row, near in zip(placed.tolist(), found, strict=True):
            for hit in self._placed[near].tolist():
                if not self._is_same(hit, spectra[row]):
                    yield "repeat", hit, row

    def _is_same(self, hit: int, spectrum: np.void) -> bool:
        """Tell whether a spectrum is a hit's own, in whatever file; without a name none is."""
        own = self._hits[hit]
        same_row = own["FILE"] == spectrum["FILE"] and own["ROW"] == spectrum["ROW"]
        named = own["SPECTRUM"] != "" and own["SPECTRUM"] == spectrum["SPECTRUM"]
        return bool(same_row or (named and own["SURVEY"] == spectrum["SURVEY"]))


def _places(
    rows: NDArray[np.void],
) -> Iterator[tuple[str, NDArray[np.int64], NDArray[np.intp]]]:
    """Yield, survey by survey, the places on its detectors that are known, and whose they are."""
    for survey in np.unique(rows["SURVEY"]).tolist():
        own = np.flatnonzero(rows["SURVEY"] == survey)
        places = survey_named(survey).detector_places(rows[own])
        yield survey, places[places >= 0], own[places >= 0]
