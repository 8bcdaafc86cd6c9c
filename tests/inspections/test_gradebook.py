"""The gradebook follows the store, and keeps what a later search did not find again."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

from speclens.inspections.gradebook import Gradebook
from speclens.inspections.store import GradeStore
from speclens.inspections.subjects import Subjects


def test_it_sees_what_another_process_adds_and_what_is_undone(tmp_path: Path, make_hits) -> None:
    subjects = Subjects(make_hits(3))
    with GradeStore(tmp_path / "s") as store, GradeStore(tmp_path / "s") as other:
        book = Gradebook(store, subjects)
        assert book.of_hit(1) == {}
        for grader, value in (("bob", "C"), ("ann", "A"), ("ann", "B")):
            other.add(grader, subjects.keys[1], "grade", value, uuid4().hex)
        book.refresh()
        assert book.grades == {1: {"ann": "B", "bob": "C"}}
        for expected in ({1: {"ann": "A", "bob": "C"}}, {1: {"bob": "C"}}):
            other.undo("ann", uuid4().hex)
            book.refresh()
            assert book.grades == expected
        assert list(book.of_hit(1)) == ["bob"]


def test_a_hit_that_moved_keeps_its_history_and_one_that_vanished_is_kept(
    tmp_path: Path, make_hits
) -> None:
    hits = make_hits(2)
    keys = Subjects(hits).keys
    with GradeStore(tmp_path / "s") as store:
        for key in keys:
            store.add("ann", key, "grade", "A", uuid4().hex)
        hits["WAVE"][0] += 0.5
        later = Subjects(hits[:1])
        store.add("ann", later.keys[0], "comment", "moved", uuid4().hex)
        book = Gradebook(store, later)
    (row, moved), (gone, of) = book.all
    assert (row, moved.grade, moved.comment) == (0, "A", "moved")
    assert (gone, of.subject, of.grade) == (None, keys[1], "A")
