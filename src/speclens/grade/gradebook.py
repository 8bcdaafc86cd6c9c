"""What all graders think of all hits of a run, kept up to date with the store.

In: the store, the hits. Out: inspections by hit and grader. Events of hits that a later search did
not find again stay in the store; they are counted, and come back with the hit.
"""

from __future__ import annotations

from collections import defaultdict

from speclens.grade.events import Event, Inspection, inspection_of
from speclens.grade.store import GradeStore
from speclens.grade.subjects import Subjects

__all__ = ["Gradebook"]


class Gradebook:
    """Inspections of the hits of a run.

    Parameters
    ----------
    store : GradeStore
        Where they come from.
    subjects : Subjects
        The hits.
    """

    def __init__(self, store: GradeStore, subjects: Subjects) -> None:
        self._store, self._subjects = store, subjects
        self._place = 0
        self._events: dict[tuple[int | str, str], list[Event]] = defaultdict(list)
        self._of: dict[int | str, dict[str, Inspection]] = defaultdict(dict)
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
    def grades(self) -> dict[int, dict[str, str]]:
        """Grades by row and grader, of the hits that have any."""
        found: dict[int, dict[str, str]] = defaultdict(dict)
        for row, inspection in self.all:
            if row is not None and inspection.grade:
                found[row][inspection.grader] = inspection.grade
        return dict(found)
