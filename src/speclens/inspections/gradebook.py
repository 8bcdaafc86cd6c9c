"""What all graders think of all hits of a run, kept up to date with the store.

In: the store, the hits. Out: inspections by hit and grader. Events of hits that a later search did
not find again stay in the store; they are counted, and come back with the hit.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speclens.errors import RunError
from speclens.inspections.events import GRADES, HIDE, Event, Inspection, inspection_of
from speclens.inspections.store import NAME, GradeStore
from speclens.inspections.subjects import Subjects

__all__ = [
    "GRADE_COLUMNS",
    "Gradebook",
    "Inspections",
    "joint_grade",
    "stored_inspections",
    "with_grades",
]

GRADE_COLUMNS = ["GRADE", "N_GRADERS"]
"""Columns of candidates.* that tell what people said."""

Inspections = Mapping[int, Mapping[str, Inspection]]
"""What was said, by row of the hit and by grader."""


class Gradebook:
    """Inspections of the hits of a run.

    Parameters
    ----------
    store : GradeStore
        Where they come from.
    subjects : Subjects
        The hits.

    Attributes
    ----------
    hidden : set of str
        Keys of lines that were hidden among the hits, now or before: they are of no run.
    """

    def __init__(self, store: GradeStore, subjects: Subjects) -> None:
        self._store, self._subjects = store, subjects
        self._place = 0
        self._events: dict[tuple[int | str, str], list[Event]] = defaultdict(list)
        self._of: dict[int | str, dict[str, Inspection]] = defaultdict(dict)
        self.hidden: set[str] = set()
        self.refresh()

    def refresh(self) -> None:
        """Take in what was added to the store, by this process or another.

        Raises
        ------
        RunError
            If the store cannot be read.
        """
        events, self._place = self._store.events(self._place)
        touched = set()
        self.hidden |= {event.subject for event in events if event.kind == HIDE}
        for event in events:
            row = self._subjects.row(event.subject)
            place = event.subject if row is None else row, event.grader
            self._events[place].append(event)
            touched.add(place)
        for hit, grader in touched:
            found = inspection_of(self._events[hit, grader])
            if found is not None and found.says_something:
                self._of[hit][grader] = found
            else:
                self._of[hit].pop(grader, None)

    def of_hit(self, row: int) -> dict[str, Inspection]:
        """Return what is thought of a hit.

        Parameters
        ----------
        row : int
            Row of hits.fits.

        Returns
        -------
        dict of str to Inspection
            By grader, in the order of their names.
        """
        return dict(sorted(self._of.get(row, {}).items()))

    @property
    def all(self) -> list[tuple[int | None, Inspection]]:
        """All inspections, by row and grader; None for lines that are no hit of this run."""
        found = [(hit, of) for hit, each in self._of.items() for of in each.values()]
        found.sort(key=lambda pair: (isinstance(pair[0], str), pair[0], pair[1].grader))
        return [(hit if isinstance(hit, int) else None, of) for hit, of in found]

    @property
    def of_hits(self) -> Inspections:
        """What is thought of the hits of this run, of which anything is."""
        return {hit: self.of_hit(hit) for hit, of in self._of.items() if isinstance(hit, int) if of}

    @property
    def grades(self) -> dict[int, dict[str, str]]:
        """Grades by row and grader, of the hits that have any."""
        found: dict[int, dict[str, str]] = defaultdict(dict)
        for row, inspection in self.all:
            if row is not None and inspection.grade:
                found[row][inspection.grader] = inspection.grade
        return dict(found)

    def count_of(self, grader: str) -> Counter[str]:
        """Count the grades that a grader gave to hits of this run.

        Parameters
        ----------
        grader : str
            Who.

        Returns
        -------
        Counter
            How many of each grade.
        """
        return Counter(of[grader] for of in self.grades.values() if grader in of)


def joint_grade(grades: Iterable[str]) -> str:
    """Return the grades of a hit as one text.

    Parameters
    ----------
    grades : iterable of str
        Of its graders; empty where one gave none.

    Returns
    -------
    str
        Each once, best first: `A` where all agree, `A/X` where they do not.
    """
    given = set(grades)
    return "/".join(grade for grade in GRADES if grade in given)


def stored_inspections(folder: Path, rows: NDArray[np.void]) -> tuple[Inspections, list[str]]:
    """Read what people said of hits, where anybody looked.

    Parameters
    ----------
    folder : Path
        The run.
    rows : structured array
        Rows of hits.fits, or of candidates.*.

    Returns
    -------
    inspections : Inspections
        By these rows.
    notes : list of str
        Why they cannot be read: no run is lost for that.
    """
    path = folder / NAME
    if not path.is_file():
        return {}, []
    try:
        with GradeStore(path, must_exist=True) as store:
            return Gradebook(store, Subjects(rows)).of_hits, []
    except RunError as error:
        return {}, [f"grades are not shown: {error}"]


def with_grades(folder: Path, candidates: NDArray[np.void]) -> tuple[NDArray[np.void], list[str]]:
    """Write what people said into the rows of candidates.

    Parameters
    ----------
    folder : Path
        The run.
    candidates : structured array of shape (M,)
        Rows of candidates.*.

    Returns
    -------
    candidates : structured array of shape (M,)
        The same, with `GRADE_COLUMNS` of now.
    notes : list of str
        Why the grades cannot be read; then the rows are as they were.
    """
    said, notes = stored_inspections(folder, candidates)
    graded = candidates.copy()
    for row in range(0 if notes else len(graded)):
        grades = [of.grade for of in said.get(row, {}).values() if of.grade]
        graded["GRADE"][row], graded["N_GRADERS"][row] = joint_grade(grades), len(grades)
    return graded, notes
