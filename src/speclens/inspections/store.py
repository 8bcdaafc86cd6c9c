"""The store of grades: an SQLite file in RUN to which events are added, and nothing else.

In: events. Out: the same events, in this and in every later process. An event counts as saved when
it is on the disk: the file is synchronised with each, and so is its folder. The journal is that of
rollback, which every file system keeps; write-ahead logs are lost on network file systems.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from speclens.errors import RunError
from speclens.inspections.events import Event, check_event, later_time, standing
from speclens.products import refuse_irregular, refuse_link

__all__ = ["BACKUP", "NAME", "GradeStore"]

NAME, BACKUP = "grades.sqlite", "grades-backup.sqlite"
FORMAT = 1
APPLICATION = 0x73706C67
"""Marks the file as ours: `splg`."""

BUSY_SECONDS = 20.0
TURN_SECONDS = 0.003
"""After each change: SQLite keeps no queue, and who waits looks only now and then."""

COLUMNS = "id, time, grader, subject, kind, value"
SCHEMA = f"""
CREATE TABLE events (
    place INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE, time TEXT NOT NULL, grader TEXT NOT NULL, subject TEXT NOT NULL,
    kind TEXT NOT NULL, value TEXT NOT NULL
) STRICT;
CREATE INDEX of_grader ON events (grader, time);
CREATE TRIGGER never_changed BEFORE UPDATE ON events
    BEGIN SELECT RAISE(ABORT, 'events are never changed'); END;
CREATE TRIGGER never_removed BEFORE DELETE ON events
    BEGIN SELECT RAISE(ABORT, 'events are never removed'); END;
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {FORMAT};
"""


class GradeStore:
    """The events of a run, or of whatever else is graded.

    Parameters
    ----------
    path : Path
        The file; made where it is missing.
    must_exist : bool, optional
        Whether a missing file is an error.

    Raises
    ------
    RunError
        If it cannot be used: a link, another program's file, damaged, of a newer version, in a
        folder that cannot be written.
    """

    def __init__(self, path: Path, must_exist: bool = False) -> None:
        self.path = path
        self._lock = threading.RLock()
        refuse_link(path)
        refuse_irregular(path)
        if must_exist and not path.is_file():
            raise RunError(f"{path}: no such file")
        with self._named():
            self._connection = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
        try:
            with self._named():
                self._prepare()
        except RunError:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> GradeStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, grader: str, subject: str, kind: str, value: str, id: str) -> Event:  # noqa: A002
        """Add an event of now; when it returns, the event is on the disk.

        Parameters
        ----------
        grader, subject, kind, value, id : str
            As in `Event`.

        Returns
        -------
        Event
            As stored; the event of this id that is there already, if it says the same.

        Raises
        ------
        ValueError
            If it is no event, or another event has this id.
        RunError
            If it cannot be written.
        """
        with self._writing():
            return self._added(grader, subject, kind, value, id)

    def undo(self, grader: str, id: str) -> tuple[Event, Event] | None:  # noqa: A002
        """Take back a grader's last event that counts.

        Parameters
        ----------
        grader : str
            Who.
        id : str
            Of the new event.

        Returns
        -------
        (Event, Event) or None
            The new event and the one taken back; None when there is none.

        Raises
        ------
        ValueError, RunError
            As `add`.
        """
        with self._writing():
            again = self._rows("WHERE id = ? AND kind = 'undo' AND grader = ?", id, grader)
            if again:
                return again[0], self._rows("WHERE id = ?", again[0].value)[0]
            counting = standing(self._rows("WHERE grader = ?", grader))
            if not counting:
                return None
            last = counting[-1]
            return self._added(grader, last.subject, "undo", last.id, id), last

    def merge(self, events: list[Event]) -> int:
        """Add events of elsewhere, all or none.

        Parameters
        ----------
        events : list of Event
            Those that are there already count once.

        Returns
        -------
        int
            How many are new.

        Raises
        ------
        ValueError
            If one is no event, or has the id of another event.
        RunError
            If they cannot be written.
        """
        for event in events:
            check_event(event)
        with self._writing():
            known = {event.id: event for event in self._rows("")}
            new = 0
            for event in events:
                if event.id in known:
                    _same(known[event.id], event, with_time=True)
                    continue
                known[event.id] = event
                self._insert(event)
                new += 1
        return new

    def events(self, after: int = 0) -> tuple[list[Event], int]:
        """Return the events, as they were added.

        Parameters
        ----------
        after : int, optional
            Only those behind this place.

        Returns
        -------
        events : list of Event
            The events.
        place : int
            Place of the last one, or `after`.

        Raises
        ------
        RunError
            If the file cannot be read.
        """
        with self._lock, self._named():
            rows = self._connection.execute(
                f"SELECT {COLUMNS}, place FROM events WHERE place > ? ORDER BY place",  # noqa: S608 - constants
                (after,),
            ).fetchall()
        return [Event(*row[:-1]) for row in rows], rows[-1][-1] if rows else after

    def back_up(self) -> None:
        """Copy the store beside itself, whole or not at all.

        Raises
        ------
        RunError
            If the copy cannot be written.
        """
        backup = self.path.with_name(BACKUP)
        part = backup.with_name(f".{BACKUP}.part")
        refuse_link(backup)
        refuse_link(part)
        with self._lock, self._named():
            part.unlink(missing_ok=True)
            copy = sqlite3.connect(part)
            try:
                self._connection.backup(copy)
            finally:
                copy.close()
            part.replace(backup)

    def _prepare(self) -> None:
        execute = self._connection.execute
        execute("PRAGMA trusted_schema = OFF")
        if execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("its pages do not agree")
        execute("PRAGMA journal_mode = DELETE")
        execute("PRAGMA synchronous = EXTRA")
        if self._is_empty():
            with self._writing():
                # Another process may have been first.
                for statement in _statements() if self._is_empty() else ():
                    execute(statement)
        if execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
            raise RunError(f"{self.path}: no store of grades of speclens; move it away")
        found = execute("PRAGMA user_version").fetchone()[0]
        if found != FORMAT:
            raise RunError(
                f"{self.path}: written in format {found}, and this version of speclens reads "
                f"format {FORMAT}: install a newer speclens"
            )

    def _is_empty(self) -> bool:
        query = "SELECT COUNT(*) FROM sqlite_master"
        return not self._connection.execute(query).fetchone()[0]

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Write all that the block does, or nothing."""
        with self._lock, self._named():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                # A disk that is full has ended the transaction already.
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise
        time.sleep(TURN_SECONDS)

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Say in one line what is wrong with the file, and what to do."""
        try:
            yield
        except sqlite3.Error as error:
            text = str(error)
            remedy = "make room, or make the folder writable"
            if "locked" in text or "busy" in text:
                remedy = "another process holds it; try again"
            elif "not a database" in text or "malformed" in text or "agree" in text:
                remedy = f"damaged; {BACKUP} beside it is the copy made when it was last opened"
            raise RunError(f"{self.path}: {text}: {remedy}") from error
        except OSError as error:
            raise RunError(f"{self.path}: {error.strerror or error}") from error

    def _added(self, grader: str, subject: str, kind: str, value: str, id: str) -> Event:  # noqa: A002
        query = "SELECT MAX(time) FROM events WHERE grader = ?"
        last = self._connection.execute(query, (grader,)).fetchone()[0]
        now = later_time(datetime.now(UTC), last or "")
        event = Event(id, now, grader, subject, kind, value)
        check_event(event)
        for there in self._rows("WHERE id = ?", id):
            return _same(there, event)
        self._insert(event)
        return event

    def _rows(self, where: str, *values: str) -> list[Event]:
        rows = self._connection.execute(f"SELECT {COLUMNS} FROM events {where}", values)  # noqa: S608 - constants
        return [Event(*row) for row in rows]

    def _insert(self, event: Event) -> None:
        self._connection.execute(
            f"INSERT INTO events ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)",  # noqa: S608 - constants
            (event.id, event.time, event.grader, event.subject, event.kind, event.value),
        )


def _statements() -> Iterator[str]:
    """Split the schema, of which a script would end the transaction."""
    statement = ""
    for line in SCHEMA.strip().splitlines():
        statement += line + "\n"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _same(there: Event, event: Event, with_time: bool = False) -> Event:
    """Return the event that is there, if it is the one that comes again."""
    told = [(e.grader, e.subject, e.kind, e.value, e.time * with_time) for e in (there, event)]
    if told[0] != told[1]:
        raise ValueError(f"id {event.id}: another event has it")
    return there
