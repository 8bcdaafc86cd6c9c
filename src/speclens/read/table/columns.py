"""Columns that others named: which of them is which field.

In: the names of a table's columns, the fields that a reader looks for. Out: their places. Names are
compared without case, underscores, signs and LaTeX.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from numpy.typing import NDArray

from speclens.errors import RunError
from speclens.read.table.cells import texts

__all__ = ["Wanted", "folded", "refuse_twins"]


@lru_cache(maxsize=4096)
def folded(name: str) -> str:
    """Return a column's name without case, underscores, blanks and signs: `zNoQSO` is `znoqso`."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


@lru_cache(maxsize=4096)
def _plain(name: str) -> str:
    r"""Fold a name without its LaTeX and its unit: `$z_{\rm S}$` is `zs`, `RA (deg)` is `ra`."""
    without_commands = re.sub(r"\\[A-Za-z]+", "", name.lower())
    return folded(re.sub(r"[\[(].*|[ _]deg$", "", without_commands))


@dataclass(frozen=True)
class Wanted:
    """The fields that a reader looks for in a table.

    Parameters
    ----------
    aliases : mapping of str to tuple of str
        Names that each field goes by, folded, the preferred first.
    routes : tuple of frozenset of str
        Fields that suffice: a table must have all of one of these sets.
    weak_routes : tuple of frozenset of str
        Those that may suffice, taken where no table has better.
    """

    aliases: Mapping[str, tuple[str, ...]]
    routes: tuple[frozenset[str], ...]
    weak_routes: tuple[frozenset[str], ...] = ()

    def columns(self, names: Sequence[str]) -> dict[str, list[int]]:
        """Find the columns of the fields.

        Parameters
        ----------
        names : sequence of str
            Names of columns as they stand in the table.

        Returns
        -------
        dict
            Places of the columns by field: the one that counts, then others of the same name.
        """
        by_name: dict[str, list[int]] = {}
        for fold in (folded, _plain):
            whole = dict(by_name)
            for i, name in enumerate(names):
                if fold(name) not in whole:
                    by_name.setdefault(fold(name), []).append(i)
        found = {}
        for field, aliases in self.aliases.items():
            places = next((by_name[alias] for alias in aliases if alias in by_name), None)
            if places:
                found[field] = places
        return found

    def rank(self, names: Sequence[str]) -> int:
        """Say how well a table serves: 0 when it suffices, 1 when it may, 2 when it does not.

        Parameters
        ----------
        names : sequence of str
            Names of columns as they stand in the table.

        Returns
        -------
        int
            The rank.
        """
        fields = set(self.columns(names))
        if any(route <= fields for route in self.routes):
            return 0
        return 1 if any(route <= fields for route in self.weak_routes) else 2


def refuse_twins(
    path: str, names: Sequence[str], columns: Mapping[int, NDArray[Any]],
    fields: Mapping[str, Sequence[int]], first_row: int,
) -> None:  # fmt: skip
    """Refuse two columns of one name that differ.

    Parameters
    ----------
    path : str
        The file, for messages.
    names : sequence of str
        Names of all columns.
    columns : mapping of int to array of shape (N,)
        Some rows of the columns, by place.
    fields : mapping of str to sequence of int
        Places of the columns of each field, as of `Wanted.columns`.
    first_row : int
        Number of the first of these rows, from 1.

    Raises
    ------
    RunError
        If two columns of one name hold different values.
    """
    for chosen, *twins in fields.values():
        for twin in twins:
            if folded(names[chosen]) != folded(names[twin]):
                continue
            one, other = texts(columns[chosen]), texts(columns[twin])
            row = next((i for i, pair in enumerate(zip(one, other, strict=True)) if _differ(*pair)),
                       None)  # fmt: skip
            if row is not None:
                raise RunError(
                    f"{path}: columns {names[chosen]!r} and {names[twin]!r} have one name and "
                    f"differ, first in row {first_row + row}: {one[row][:40]!r} and "
                    f"{other[row][:40]!r}; remove or rename the one that is not meant"
                )


def _differ(one: str, other: str) -> bool:
    if one == other:
        return False
    try:
        return float(one) != float(other)
    except ValueError:
        return True
