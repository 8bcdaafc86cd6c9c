"""A grade finds its hit again, and no other."""

from __future__ import annotations

import numpy as np
import pytest

from speclens.inspections.subjects import SAME_LINE_ANGSTROM, Subject, Subjects


def test_a_key_reads_back_as_what_it_was_whatever_stands_in_it() -> None:
    for spectrum in ("4055-55359-0020", "a:b#c:7", "39089837596371001", "-110547443", ""):
        subject = Subject("desi", spectrum, "lya", 4321.12)
        assert Subject.of_key(subject.key) == subject


@pytest.mark.parametrize("text", ["", "a", "a:b:c", "a:b:c:d", "a:b\n:c:1", "../../etc/passwd"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Subject.of_key(text)


def test_every_hit_is_found_by_its_key(make_hits) -> None:
    hits = make_hits(50)
    subjects = Subjects(hits)
    assert [subjects.row(key) for key in subjects.keys] == list(range(50))


def test_a_line_that_moved_a_little_is_found_and_one_far_away_is_not(make_hits) -> None:
    hits = make_hits(3)
    keys = Subjects(hits).keys
    hits["WAVE"] += np.array([0.3, SAME_LINE_ANGSTROM + 0.1, 0])
    # Files were added: other rows.
    moved = Subjects(hits[::-1])
    assert [moved.row(key) for key in keys] == [2, None, 0]


def test_of_two_near_lines_the_nearer_is_meant(make_hits) -> None:
    hits = make_hits(2)
    hits["SPECTRUM"] = hits["SPECTRUM"][0]
    hits["WAVE"] = [4000.0, 4002.0]
    key = Subject.of_row(hits[1]).key
    hits["WAVE"] += 0.4
    assert Subjects(hits).row(key) == 1


def test_spectra_without_a_name_are_known_by_file_and_row_and_never_by_targetid(make_hits) -> None:
    hits = make_hits(2)
    hits["SPECTRUM"], hits["TARGETID"], hits["WAVE"] = "", -1, 4000.0
    hits["ROW"] = [5, 6]
    subjects = Subjects(hits)
    assert [subjects.row(key) for key in subjects.keys] == [0, 1]


def test_a_hit_without_a_wavelength_is_found_by_its_key_alone(make_hits) -> None:
    hits = make_hits(2)
    hits["WAVE"] = [np.nan, 4000]
    subjects = Subjects(hits)
    assert subjects.row(subjects.keys[0]) == 0
    assert Subjects(hits[1:]).row(subjects.keys[0]) is None
