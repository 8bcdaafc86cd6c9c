"""What a report is made from, and how the pages of its hits are named.

In: the products of a run. Out: records that the pages share.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from speclens.config import Config
from speclens.inspections.gradebook import Inspections
from speclens.run.record import RunRecord
from speclens.schema import HEAT_MAP, HIT_HYPOTHESES, dtype_of

__all__ = ["DensityFrame", "HitPlace", "RunContent", "Thumbnail"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class DensityFrame:
    """How many hits there are by wavelength, in one frame.

    Parameters
    ----------
    label : str
        What the wavelength is.
    edges : array of shape (B + 1,)
        Ends of the bins, Angstrom.
    counts, limit : array of shape (B,)
        Hits in each bin, and the number above which it is an over-density; the limit is None when
        the hits are too few for the test.
    dense : array of shape (B,)
        Whether hits of the bin are flagged.
    """

    label: str
    edges: Floats
    counts: Floats
    limit: Floats | None
    dense: NDArray[np.bool_]


@dataclass(frozen=True)
class Thumbnail:
    """The line of a hit, small: paths of SVG of the residual and of the fit."""

    residual: str
    fit: str


@dataclass(frozen=True)
class HitPlace:
    """Where the page and the figure of a hit are in the folder of the report.

    Parameters
    ----------
    name : str
        TARGETID and the number of the hit in its spectrum, from 1 by wavelength; the row of the
        hit where the target is not known.
    hit : int
        Its row of hits.fits.
    candidate : int
        Its row of candidates.*; -1 for a hit that was rejected.
    """

    name: str
    hit: int
    candidate: int

    @property
    def page(self) -> str:
        """Path of the page, relative to the report."""
        return f"hits/{self.name}.html"

    @property
    def figure(self) -> str:
        """Path of the figure, relative to the report."""
        return f"hits/{self.name}.svg"

    @property
    def heat_map(self) -> str:
        """Path of the picture of its heat map, relative to the report."""
        return f"hits/{self.name}-redshifts.svg"


@dataclass(frozen=True)
class RunContent:
    """What the pages of a run show.

    Parameters
    ----------
    record : RunRecord
        What run.json holds; what came back of the lines of a mock survey too.
    hits : structured array of shape (N,)
        Rows of hits.fits.
    candidates : structured array of shape (M,)
        Rows of candidates.*, best first.
    companions : structured array of shape (K,)
        Rows of `speclens.schema.COMPANIONS`; HIT counts rows of `hits`.
    known : structured array or None
        Rows of known.*; None when no published systems were given.
    config : Config
        Configuration with which the hits were vetted.
    odds : mapping of str to array of shape (N,), optional
        What each test adds to the natural logarithm of the odds of Lyman alpha.
    density : sequence of DensityFrame, optional
        The hits by wavelength.
    hypotheses : structured array, optional
        Rows of hypotheses.fits.
    heat_map : structured array, optional
        Rows of heat_map.fits.
    inspections : mapping of int to mapping of str to Inspection, optional
        What people said, by row of hits.fits and by grader.
    """

    record: RunRecord
    hits: NDArray[np.void]
    candidates: NDArray[np.void]
    companions: NDArray[np.void]
    known: NDArray[np.void] | None
    config: Config
    odds: Mapping[str, Floats] = field(default_factory=dict)
    density: Sequence[DensityFrame] = ()
    hypotheses: NDArray[np.void] = field(
        default_factory=lambda: np.zeros(0, dtype_of(HIT_HYPOTHESES))
    )
    heat_map: NDArray[np.void] = field(default_factory=lambda: np.zeros(0, dtype_of(HEAT_MAP)))
    inspections: Inspections = field(default_factory=dict)

    @cached_property
    def places(self) -> list[HitPlace]:
        """Pages of the hits: candidates best first, then those that were rejected, by row.

        A run of very many hits has pages of the first `report.rows_max`.
        """
        candidate_of = self.candidate_of
        names = _page_names(self.hits)
        ranked = sorted(candidate_of, key=candidate_of.__getitem__)
        rejected = [hit for hit in range(len(self.hits)) if hit not in candidate_of]
        chosen = [*ranked, *rejected][: self.config.report.rows_max]
        return [HitPlace(names[hit], hit, candidate_of.get(hit, -1)) for hit in chosen]

    @cached_property
    def candidate_of(self) -> Mapping[int, int]:
        """Row of candidates.* of each hit that is one, by row of hits.fits."""
        return _candidate_rows(self.hits, self.candidates)

    @cached_property
    def companions_of(self) -> Mapping[int, NDArray[np.void]]:
        """The same line in other spectra, by row of the hit that has any."""
        return _by_hit(self.companions)

    @cached_property
    def hypotheses_of(self) -> Mapping[int, NDArray[np.void]]:
        """What its strongest line may be, by row of the hit of which that is known."""
        return _by_hit(self.hypotheses)

    @cached_property
    def heat_map_of(self) -> Mapping[int, NDArray[np.void]]:
        """Likely redshifts of sources, by row of the hit whose search tells them."""
        return _by_hit(self.heat_map)

    @cached_property
    def same_line_of(self) -> Mapping[int, set[int]]:
        """Hits of other searches at the same line, by row of the hit that has any."""
        found: dict[int, set[int]] = defaultdict(set)
        for hit, other in enumerate(self.hits["SAME_AS"].tolist()):
            if other >= 0:
                found[hit].add(other)
                found[other].add(hit)
        return found


def _by_hit(rows: NDArray[np.void]) -> Mapping[int, NDArray[np.void]]:
    """Group rows by their hit, in their order."""
    ordered = rows[np.argsort(rows["HIT"], kind="stable")]
    hits, starts = np.unique(ordered["HIT"], return_index=True)
    return dict(zip(hits.tolist(), np.split(ordered, starts[1:]), strict=False))


def _page_names(hits: NDArray[np.void]) -> list[str]:
    names = [""] * len(hits)
    seen: dict[int, int] = defaultdict(int)
    for hit in np.lexsort((hits["WAVE"], hits["TARGETID"])).tolist():
        target = int(hits["TARGETID"][hit])
        seen[target] += 1
        # Hits of unknown targets have nothing in common.
        names[hit] = f"{target}-{seen[target]}" if target >= 0 else f"hit-{hit}"
    return names


def _candidate_rows(hits: NDArray[np.void], candidates: NDArray[np.void]) -> dict[int, int]:
    """Row of candidates.* of each hit that is one."""
    places: dict[tuple[str, ...], list[int]] = defaultdict(list)
    chosen = np.flatnonzero(hits["CANDIDATE"])
    for hit, key in zip(chosen.tolist(), _keys(hits[chosen]), strict=True):
        places[key].append(hit)
    found = {}
    for i, key in enumerate(_keys(candidates)):
        if not places[key]:
            row = candidates[i]
            raise ValueError(
                f"candidate {row['TARGETID']} at {row['WAVE']} Angstrom is no candidate of the hits"
            )
        found[places[key].pop(0)] = i
    return found


def _keys(rows: NDArray[np.void]) -> list[tuple[str, ...]]:
    # As texts, because what is not a number equals no other.
    names = ("TARGETID", "FILE", "WAVE", "SNR", "FLUX")
    return list(zip(*(map(str, rows[name].tolist()) for name in names), strict=True))
