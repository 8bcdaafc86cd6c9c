"""Nothing acknowledged is lost, nothing is ever changed, and a merge says the same either way."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

from speclens.errors import RunError
from speclens.inspections.events import GRADES, Event
from speclens.inspections.gradebook import Gradebook
from speclens.inspections.store import BACKUP, GradeStore
from speclens.inspections.subjects import Subjects

KEY = "sdss:4055-55359-0020:lya:4321.12"


def new_id() -> str:
    return uuid4().hex


def grade(store: GradeStore, value: str, grader: str = "ann", subject: str = KEY) -> Event:
    return store.add(grader, subject, "grade", value, new_id())


def test_what_was_added_is_there_in_a_later_process(tmp_path: Path) -> None:
    with GradeStore(tmp_path / "s") as store:
        said = [grade(store, value) for value in "ABCX"]
    with GradeStore(tmp_path / "s") as store:
        assert store.events()[0] == said
        place = store.events()[1]
        assert store.events(place) == ([], place)


def test_times_of_a_grader_grow_even_within_a_tick_of_the_clock(tmp_path: Path) -> None:
    with GradeStore(tmp_path / "s") as store:
        times = [grade(store, "A").time for _ in range(50)]
    assert times == sorted(set(times))


def test_an_event_sent_twice_counts_once_and_its_id_is_taken(tmp_path: Path) -> None:
    with GradeStore(tmp_path / "s") as store:
        name = new_id()
        first = store.add("ann", KEY, "grade", "A", name)
        assert store.add("ann", KEY, "grade", "A", name) == first
        for grader, value in (("ann", "B"), ("bob", "A")):
            with pytest.raises(ValueError, match="another event"):
                store.add(grader, KEY, "grade", value, name)
        assert store.events()[0] == [first]


def test_g4_what_is_refused_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    with GradeStore(tmp_path / "s") as store:
        grade(store, "A")
        before = (tmp_path / "s").read_bytes()
        with pytest.raises(ValueError, match="one of"):
            grade(store, "Z")
        with pytest.raises(ValueError, match="one of"):
            store.merge(
                [
                    Event(new_id(), "2026-01-01T00:00:00.000000Z", "b", KEY, "grade", "A"),
                    Event(new_id(), "2026-01-01T00:00:00.000000Z", "b", KEY, "grade", "Q"),
                ]
            )
        assert (tmp_path / "s").read_bytes() == before


def test_undo_takes_back_one_event_at_a_time_and_only_ones_own(tmp_path: Path) -> None:
    with GradeStore(tmp_path / "s") as store:
        one, two = grade(store, "A"), grade(store, "B")
        grade(store, "C", "bob")
        name = new_id()
        undone = store.undo("ann", name)
        assert undone is not None
        assert undone[1] == two
        # The answer was lost, and the key is sent again.
        assert store.undo("ann", name) == undone
        assert store.undo("ann", new_id())[1] == one
        assert store.undo("ann", new_id()) is None
        assert [event.kind for event in store.events()[0]] == ["grade"] * 3 + ["undo"] * 2


def test_no_program_changes_or_removes_an_event(tmp_path: Path) -> None:
    with GradeStore(tmp_path / "s") as store:
        grade(store, "A")
    connection = sqlite3.connect(tmp_path / "s")
    for statement in ("UPDATE events SET value = 'X'", "DELETE FROM events"):
        with pytest.raises(sqlite3.IntegrityError, match="never"):
            connection.execute(statement)
    connection.close()


def test_stores_merged_in_either_order_say_the_same(tmp_path: Path, make_hits) -> None:
    hits = make_hits(20)
    subjects = Subjects(hits)
    rng = np.random.default_rng(7)
    for name, graders in (("one", ("ann", "bob")), ("two", ("bob", "cyd"))):
        with GradeStore(tmp_path / name) as store:
            for _ in range(25):
                grader, key = rng.choice(graders), str(rng.choice(subjects.keys))
                if rng.random() < 0.2:
                    store.undo(grader, new_id())
                else:
                    grade(store, str(rng.choice(list(GRADES))), grader, key)
    said = []
    for first, second in (("one", "two"), ("two", "one")):
        shutil.copy(tmp_path / first, tmp_path / f"{first}-merged")
        with (
            GradeStore(tmp_path / f"{first}-merged") as store,
            GradeStore(tmp_path / second) as other,
        ):
            events = other.events()[0]
            assert store.merge(events) == len(events)
            assert store.merge(events) == 0
            said.append(Gradebook(store, subjects).all)
    # repr, because a redshift that is unknown equals none.
    assert repr(said[0]) == repr(said[1])
    assert len(said[0]) > 12


WRITER = """
import sys
from pathlib import Path
from uuid import uuid4
from speclens.inspections.store import GradeStore

path, grader, n = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
store = GradeStore(path)
for i in range(n):
    name = uuid4().hex
    store.add(grader, f"sdss:{i}:lya:4000.00", "grade", "ABCX"[i % 4], name)
    print(name, flush=True)
"""


def start_writer(path: Path, grader: str, n: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(path), grader, str(n)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_g5_two_graders_at_once_lose_none_of_500_each(tmp_path: Path) -> None:
    GradeStore(tmp_path / "s").close()
    writers = [start_writer(tmp_path / "s", grader, 500) for grader in ("ann", "bob")]
    said = [writer.communicate(timeout=150)[0].split() for writer in writers]
    with GradeStore(tmp_path / "s") as store:
        events = store.events()[0]
    assert [len(names) for names in said] == [500, 500]
    for grader, names in zip(("ann", "bob"), said, strict=True):
        assert [event.id for event in events if event.grader == grader] == names


@pytest.mark.slow
def test_g5_a_process_killed_at_any_moment_has_kept_all_that_it_acknowledged(
    tmp_path: Path,
) -> None:
    said: list[str] = []
    for n in (1, 2, 3, 5, 8, 13):
        writer = start_writer(tmp_path / "s", "ann", 1000)
        assert writer.stdout is not None
        said += [writer.stdout.readline().strip() for _ in range(n)]
        os.kill(writer.pid, signal.SIGKILL)
        rest = writer.stdout.read().split("\n")
        said += [name for name in rest if len(name) == 32]
        writer.stdout.close()
        writer.wait()
    with GradeStore(tmp_path / "s") as store:
        assert set(said) <= {event.id for event in store.events()[0]}


def test_g6_another_writer_is_waited_for_and_then_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("speclens.inspections.store.BUSY_SECONDS", 0.1)
    with GradeStore(tmp_path / "s") as store:
        other = sqlite3.connect(tmp_path / "s", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(RunError, match="another process holds it; try again"):
            grade(store, "A")
        other.execute("ROLLBACK")
        other.close()
        grade(store, "A")


def test_g6_foreign_newer_and_damaged_files_are_refused_in_one_line(tmp_path: Path) -> None:
    foreign = sqlite3.connect(tmp_path / "foreign")
    foreign.execute("CREATE TABLE t (a)")
    foreign.close()
    (tmp_path / "text").write_text("grades\n" * 500)
    with GradeStore(tmp_path / "newer") as store:
        when = "2026-01-01T00:00:00.000000Z"
        store.merge([Event(new_id(), when, "ann", KEY, "grade", "A") for _ in range(200)])
    shutil.copy(tmp_path / "newer", tmp_path / "damaged")
    with (tmp_path / "damaged").open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 8192)
    newer = sqlite3.connect(tmp_path / "newer")
    newer.execute("PRAGMA user_version = 2")
    newer.close()
    for name, text in (
        ("foreign", "no store of grades"), ("text", "not a database"),
        ("newer", "install a newer speclens"), ("damaged", BACKUP),
    ):  # fmt: skip
        before = (tmp_path / name).read_bytes()
        with pytest.raises(RunError, match=text) as caught:
            GradeStore(tmp_path / name)
        assert "\n" not in str(caught.value)
        assert (tmp_path / name).read_bytes() == before


def test_g6_a_link_a_folder_and_a_folder_that_is_not_there_are_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "folder").mkdir()
    for name in ("link", "folder", "absent/s"):
        with pytest.raises(RunError, match=r"link|regular|unable to open"):
            GradeStore(tmp_path / name)
    with pytest.raises(RunError, match="no such file"):
        GradeStore(tmp_path / "absent", must_exist=True)
    assert not (tmp_path / "elsewhere").exists()


def test_g6_the_copy_is_whole_and_replaces_the_one_before(tmp_path: Path) -> None:
    with GradeStore(tmp_path / "s") as store:
        for value in "AB":
            grade(store, value)
            store.back_up()
            with GradeStore(tmp_path / BACKUP) as copy:
                assert copy.events() == store.events()


def fill(store: GradeStore) -> None:
    for _ in range(1000):
        grade(store, "B", subject="sdss:" + "x" * 300 + ":lya:4000.00")


def test_g6_a_disk_that_is_full_says_so_and_keeps_what_is_there(tmp_path: Path) -> None:
    with GradeStore(tmp_path / "s") as store:
        kept = grade(store, "A")
        pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
        store._connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(RunError, match=r"full.*make room"):
            fill(store)
        store._connection.execute("PRAGMA max_page_count = 1000000")
        assert store.events()[0][0] == kept
        grade(store, "C")
