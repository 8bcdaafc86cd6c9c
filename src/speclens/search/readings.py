"""What the lines of hits may be, as a search weighs it: rows that travel with the hits.

In: rows of hypotheses.fits and heat_map.fits, whose HIT counts the hits beside them. Out: the same
for hits that are joined or left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from speclens.schema import HEAT_MAP, HIT_HYPOTHESES, dtype_of

__all__ = ["Readings", "numbered"]


def _none_of_hypotheses() -> NDArray[np.void]:
    return np.zeros(0, dtype_of(HIT_HYPOTHESES))


def _none_of_heat_map() -> NDArray[np.void]:
    return np.zeros(0, dtype_of(HEAT_MAP))


@dataclass(frozen=True)
class Readings:
    """What a search weighed of its hits; of most searches nothing.

    Parameters
    ----------
    hypotheses : structured array, optional
        Rows of `speclens.schema.HIT_HYPOTHESES`; HIT counts the hits.
    heat_map : structured array, optional
        Rows of `speclens.schema.HEAT_MAP`, likewise.
    """

    hypotheses: NDArray[np.void] = field(default_factory=_none_of_hypotheses)
    heat_map: NDArray[np.void] = field(default_factory=_none_of_heat_map)

    def of(self, kept: NDArray[np.bool_]) -> Readings:
        """Return those of the hits that are kept.

        Parameters
        ----------
        kept : array of shape (H,)
            Which hits.

        Returns
        -------
        Readings
            HIT counts the hits that are kept.
        """
        number = np.cumsum(kept) - 1
        rows = [rows[kept[rows["HIT"]]] for rows in (self.hypotheses, self.heat_map)]
        for own in rows:
            own["HIT"] = number[own["HIT"]]
        return Readings(*rows)

    @staticmethod
    def joined(parts: Sequence[Readings], n_hits: Sequence[int]) -> Readings:
        """Join those of hits that are joined.

        Parameters
        ----------
        parts : sequence of Readings
            The parts, in order.
        n_hits : sequence of int
            Number of hits of each.

        Returns
        -------
        Readings
            HIT counts the hits of all.
        """
        starts = np.cumsum([0, *n_hits])[:-1].tolist()
        return Readings(
            numbered([part.hypotheses for part in parts], starts, _none_of_hypotheses()),
            numbered([part.heat_map for part in parts], starts, _none_of_heat_map()),
        )


def numbered(
    parts: Sequence[NDArray[np.void]], numbers: Sequence[int], none: NDArray[np.void]
) -> NDArray[np.void]:
    """Join rows that count hits.

    Parameters
    ----------
    parts : sequence of structured array
        Rows with a column HIT.
    numbers : sequence of int
        What is added to HIT of each part.
    none : structured array
        No rows: their dtype.

    Returns
    -------
    structured array
        All rows.
    """
    joined = [none, *(part.copy() for part in parts)]
    for rows, number in zip(joined[1:], numbers, strict=True):
        rows["HIT"] += number
    return np.concatenate(joined)
