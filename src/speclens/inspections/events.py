"""What a grader does, one event a keystroke, and what follows from all of them.

In: events. Out: what each grader thinks of each hit, now. Nothing is ever changed: to undo is an
event too, and so is to hide the line of a test among the hits. The order of events is that of their
times, and of their ids where these are equal, so that two stores merged in either order say the
same.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

from speclens.inspections.subjects import Subject

__all__ = [
    "GRADES",
    "HIDE",
    "ISSUES",
    "MAX_COMMENT",
    "SAID",
    "Event",
    "Inspection",
    "check_event",
    "check_grader",
    "hidden_event",
    "inspection_of",
    "later_time",
    "standing",
]

GRADES = {
    "A": "certain: a lens, or a source behind this galaxy",
    "B": "probable",
    "C": "possible",
    "X": "not one",
}
"""Grades, best first, and what they mean; an empty grade is none."""

ISSUES = {
    "sky": "residue of a sky line",
    "glitch": "a cosmic ray, a bad pixel, a step of the continuum",
    "wrong_z": "the redshift of the target is wrong",
    "two_objects": "two objects in the fibre",
}
"""What can be wrong with a hit."""

SAID = ("grade", "comment", "issue", "hypothesis", "z_source")
"""Kinds of events by which graders say what they think."""

UNDO, HIDE = "undo", "hide"
KINDS = (*SAID, UNDO, HIDE)
MAX_COMMENT, MAX_GRADER, MAX_KEY = 2000, 40, 400
MAX_Z = 20.0
ID = re.compile(r"[0-9a-f]{32}")
HYPOTHESIS = re.compile(r"[a-z0-9_]{0,10}")
TIME_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"
HIDING = UUID("5b5ad1a3-6f0e-4b8e-9c3c-0d3f2f5b7a11")
"""Names the events that hide lines: the same line gives the same id wherever it is hidden."""

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


@dataclass(frozen=True)
class Event:
    """One act of a grader.

    Parameters
    ----------
    id : str
        32 hexadecimal digits, given where the key was pressed: sent twice, it counts once.
    time : str
        UTC, ISO 8601 with microseconds.
    grader : str
        Who.
    subject : str
        Key of the hit, see `speclens.inspections.subjects`.
    kind : str
        One of `SAID`; `undo`; `hide`, by which the package says that the hit is none of the run,
        but of a line that graders are tested with.
    value : str
        A grade; a text; `+sky` or `-sky`; a name; a redshift; the id of the event that is undone.
        Empty takes back what was said.
    """

    id: str
    time: str
    grader: str
    subject: str
    kind: str
    value: str


@dataclass(frozen=True)
class Inspection:
    """What one grader thinks of one hit.

    Parameters
    ----------
    grader : str
        Who.
    subject : str
        Key of the hit.
    grade : str, optional
        One of `GRADES`, or empty.
    issues : tuple of str, optional
        Of `ISSUES`, in their order.
    hypothesis : str, optional
        What the line is taken for, or empty.
    z_source : float, optional
        Redshift of the source; NaN for none.
    comment : str, optional
        Any text.
    time : str, optional
        Of the last event that counts.
    """

    grader: str
    subject: str
    grade: str = ""
    issues: tuple[str, ...] = ()
    hypothesis: str = ""
    z_source: float = math.nan
    comment: str = ""
    time: str = ""

    @property
    def says_something(self) -> bool:
        """Whether anything is left of what the grader said."""
        said = self.grade or self.issues or self.hypothesis or self.comment
        return bool(said) or math.isfinite(self.z_source)


def check_grader(name: str) -> str:
    """Check the name of a grader.

    Parameters
    ----------
    name : str
        Any text.

    Returns
    -------
    str
        The same.

    Raises
    ------
    ValueError
        If it is empty, longer than 40 characters, or holds what cannot be seen.
    """
    if not name or len(name) > MAX_GRADER or not name.isprintable() or name != name.strip():
        raise ValueError(f"grader {name[:60]!r}: 1 to {MAX_GRADER} characters, on one line")
    return name


def check_event(event: Event) -> None:
    """Check an event, wherever it comes from.

    Parameters
    ----------
    event : Event
        The event.

    Raises
    ------
    ValueError
        If it is none that a grader could have made; says what is allowed.
    """
    check_grader(event.grader)
    if not ID.fullmatch(event.id):
        raise ValueError(f"id {event.id[:40]!r}: 32 hexadecimal digits")
    if not TIME.fullmatch(event.time):
        raise ValueError(f"time {event.time[:40]!r}: as 2026-01-31T12:00:00.000000Z")
    datetime.strptime(event.time, TIME_FORMAT).replace(tzinfo=UTC)
    if len(event.subject) > MAX_KEY:
        raise ValueError(f"{event.subject[:40]!r}: longer than {MAX_KEY} characters")
    Subject.of_key(event.subject)
    if event.kind not in KINDS or not _is_value(event.kind, event.value):
        raise ValueError(f"{event.kind[:20]} {event.value[:40]!r}: {_allowed(event.kind)}")


def hidden_event(subject: str) -> Event:
    """Return the event that says of a line that it is hidden among the hits.

    Parameters
    ----------
    subject : str
        Its key.

    Returns
    -------
    Event
        The same one whenever and wherever it is hidden: what is said of it is of no hit.
    """
    time = datetime(2000, 1, 1, tzinfo=UTC).strftime(TIME_FORMAT)
    return Event(uuid5(HIDING, subject).hex, time, "speclens", subject, HIDE, "")


def later_time(now: datetime, last: str) -> str:
    """Return the time of a new event.

    Parameters
    ----------
    now : datetime
        What the clock says.
    last : str
        Time of the grader's last event; empty for none.

    Returns
    -------
    str
        What the clock says, or a microsecond after the last event where it was set back.
    """
    time = now.astimezone(UTC).strftime(TIME_FORMAT)
    if time > last:
        return time
    after = datetime.strptime(last, TIME_FORMAT) + timedelta(microseconds=1)
    return after.strftime(TIME_FORMAT)


def standing(events: Iterable[Event]) -> list[Event]:
    """Return the events that count.

    Parameters
    ----------
    events : iterable of Event
        In any order.

    Returns
    -------
    list of Event
        What graders said and did not take back, in the order of their times.
    """
    ordered = sorted(events, key=lambda event: (event.time, event.id))
    undone = {(event.grader, event.value) for event in ordered if event.kind == UNDO}
    return [e for e in ordered if e.kind in SAID and (e.grader, e.id) not in undone]


def inspection_of(events: Iterable[Event]) -> Inspection | None:
    """Say what a grader thinks of a hit.

    Parameters
    ----------
    events : iterable of Event
        Of one grader and one hit, in any order.

    Returns
    -------
    Inspection or None
        None where nothing counts any more.
    """
    found: Inspection | None = None
    for event in standing(events):
        if found is None:
            found = Inspection(event.grader, event.subject)
        found = _after(found, event)
    return found


def _after(before: Inspection, event: Event) -> Inspection:
    changed = replace(before, time=event.time)
    match event.kind:
        case "grade":
            return replace(changed, grade=event.value)
        case "comment":
            return replace(changed, comment=event.value)
        case "hypothesis":
            return replace(changed, hypothesis=event.value)
        case "z_source":
            return replace(changed, z_source=float(event.value) if event.value else math.nan)
    sign, issue = event.value[0], event.value[1:]
    kept = {*before.issues, issue} if sign == "+" else {*before.issues} - {issue}
    return replace(changed, issues=tuple(name for name in ISSUES if name in kept))


def _is_value(kind: str, value: str) -> bool:
    match kind:
        case "grade":
            return value in ("", *GRADES)
        case "comment":
            return len(value) <= MAX_COMMENT and value.isprintable() and value == value.strip()
        case "issue":
            return value[:1] in ("+", "-") and value[1:] in ISSUES
        case "hypothesis":
            return HYPOTHESIS.fullmatch(value) is not None
        case "z_source":
            return not value or _is_redshift(value)
        case "hide":
            return not value
    return ID.fullmatch(value) is not None


def _is_redshift(value: str) -> bool:
    try:
        z = float(value)
    except ValueError:
        return False
    return len(value) <= 25 and 0 <= z <= MAX_Z


def _allowed(kind: str) -> str:
    return {
        "grade": f"one of {', '.join(GRADES)}, or empty",
        "comment": f"at most {MAX_COMMENT} characters, on one line, no blanks at its ends",
        "issue": f"+ or - and one of {', '.join(ISSUES)}",
        "hypothesis": "a name of at most 10 letters, or empty",
        "z_source": f"a number from 0 to {MAX_Z:g}, or empty",
        "undo": "the id of an event",
        "hide": "empty",
    }.get(kind, f"one of {', '.join(KINDS)}")
