"""What follows from the acts of a grader, in whatever order they come together."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speclens.inspections.events import (
    Event,
    check_event,
    check_grader,
    inspection_of,
    later_time,
    standing,
)

KEY = "sdss:4055-55359-0020:lya:4321.12"


def event(number: int, kind: str, value: str, grader: str = "ann") -> Event:
    return Event(
        f"{number:032x}", f"2026-01-01T00:00:{number:02d}.000000Z", grader, KEY, kind, value
    )


def test_the_last_word_counts() -> None:
    found = inspection_of(
        [
            event(1, "grade", "A"),
            event(2, "issue", "+sky"),
            event(3, "issue", "+wrong_z"),
            event(4, "issue", "-sky"),
            event(5, "comment", "broad"),
            event(6, "hypothesis", "oii"),
            event(7, "z_source", "2.5"),
            event(8, "grade", "B"),
        ]
    )
    assert found is not None
    assert (found.grade, found.issues, found.comment) == ("B", ("wrong_z",), "broad")
    assert (found.hypothesis, found.z_source, found.time) == ("oii", 2.5, event(8, "", "").time)


def test_what_is_undone_never_was_and_undoing_goes_back_step_by_step() -> None:
    one, two = event(1, "grade", "A"), event(2, "grade", "B")
    undo_two, undo_one = event(3, "undo", two.id), event(4, "undo", one.id)
    assert inspection_of([one, two, undo_two]).grade == "A"
    assert inspection_of([one, two, undo_two, undo_one]) is None


def test_nobody_undoes_what_another_did() -> None:
    one = event(1, "grade", "A")
    assert standing([one, event(2, "undo", one.id, "bob")]) == [one]


def test_an_empty_grade_takes_the_grade_back() -> None:
    found = inspection_of([event(1, "grade", "A"), event(2, "grade", "")])
    assert not found.says_something
    assert math.isnan(found.z_source)


def test_the_order_in_which_events_arrive_does_not_matter() -> None:
    events = [
        event(1, "grade", "A"),
        event(2, "grade", "X"),
        event(3, "undo", event(2, "", "").id),
        event(4, "issue", "+sky"),
    ]
    assert len({repr(inspection_of(order)) for order in permutations(events)}) == 1


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("grade", "D"), ("grade", "a"), ("issue", "sky"), ("issue", "+dust"), ("issue", ""),
        ("comment", "x" * 2001), ("comment", "two\nlines"), ("comment", " blank"),
        ("comment", "\u202eturned"), ("z_source", "nan"), ("z_source", "inf"), ("z_source", "-1"),
        ("z_source", "1e999"), ("z_source", "two"), ("hypothesis", "<script>"), ("undo", "last"),
        ("delete", ""), ("", ""),
    ],
)  # fmt: skip
def test_g4_what_no_grader_can_say_is_refused(kind: str, value: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        check_event(event(1, kind, value))


@pytest.mark.parametrize(
    "changed",
    [
        {"id": "1"}, {"id": "G" * 32}, {"time": "now"}, {"time": "2026-13-01T00:00:00.000000Z"},
        {"subject": "x"}, {"subject": "a:" + "b" * 400 + ":c:1"}, {"grader": ""},
        {"grader": "x" * 41}, {"grader": "a\nb"}, {"grader": " a"},
    ],
)  # fmt: skip
def test_g4_what_is_no_event_is_refused(changed: dict[str, str]) -> None:
    good = event(1, "grade", "A")
    check_event(good)
    with pytest.raises(ValueError, match=r"\w"):
        check_event(Event(**{**vars(good), **changed}))


def test_a_clock_that_is_set_back_does_not_turn_the_order_around() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert later_time(now, "") == "2026-01-01T00:00:00.000000Z"
    last = "2026-06-01T00:00:00.999999Z"
    assert later_time(now, last) == "2026-06-01T00:00:01.000000Z"


@given(st.text(max_size=60))
def test_a_name_is_taken_as_it_is_or_refused(name: str) -> None:
    try:
        assert check_grader(name) == name
    except ValueError:
        assert not name or len(name) > 40 or not name.isprintable() or name != name.strip()
