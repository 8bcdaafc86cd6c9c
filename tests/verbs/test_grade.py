"""`speclens grade` without the page: grades of elsewhere in, tables out."""

from __future__ import annotations

import shutil
from pathlib import Path
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from speclens.cli.app import app
from speclens.errors import RunError
from speclens.grade.store import NAME, GradeStore
from speclens.grade.subjects import Subjects
from speclens.run.folder import existing_folder
from speclens.run.kinds import RUN
from speclens.schema import HITS
from speclens.stored_tables import read_rows
from speclens.verbs.grade import exchange_grades


@pytest.fixture
def two_runs(few: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Copies of one run, graded by two people who disagree."""
    keys = Subjects(read_rows(few / "hits.fits", HITS)).keys
    runs = []
    for grader, grades in (("ann", "AAX"), ("bob", "AXC")):
        run = Path(shutil.copytree(few, tmp_path / grader))
        with GradeStore(run / NAME) as store:
            for key, value in zip(keys, grades, strict=True):
                store.add(grader, key, "grade", value, uuid4().hex)
        runs.append(run)
    return runs[0], runs[1]


def test_two_runs_merged_in_either_order_give_the_same_table(two_runs, tmp_path: Path) -> None:
    tables = []
    for one, other in (two_runs, two_runs[::-1]):
        merged = Path(shutil.copytree(one, tmp_path / f"merged-{one.name}"))
        table = tmp_path / f"{one.name}.csv"
        done = exchange_grades(merged, [other], [], [table])
        assert done.lines[0].endswith(": 3 new of 3 events")
        tables.append(table.read_bytes())
    assert tables[0] == tables[1]
    assert tables[0].count(b"\n") == 7


def test_a_table_taken_in_twice_counts_once(two_runs, tmp_path: Path) -> None:
    one, other = two_runs
    exchange_grades(other, [], [], [tmp_path / "bob.ecsv"])
    for new in (3, 0):
        done = exchange_grades(one, [], [tmp_path / "bob.ecsv"], [])
        assert done.lines == [f"{tmp_path / 'bob.ecsv'}: {new} new events of 3 rows"]


def test_what_is_no_store_is_refused_and_nothing_is_made(two_runs, tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(RunError, match="no such file"):
            exchange_grades(two_runs[0], [path], [], [])
    assert not (tmp_path / NAME).exists()


def test_a_run_that_is_being_written_is_not_graded_and_grading_locks_nothing(two_runs) -> None:
    with existing_folder(two_runs[0], RUN), pytest.raises(RunError, match="already running"):
        exchange_grades(two_runs[0], [], [], [])
    exchange_grades(two_runs[0], [], [], [])
    with existing_folder(two_runs[0], RUN):
        pass


def test_the_command_says_what_it_did_and_what_it_could_not_place(two_runs, tmp_path) -> None:
    (tmp_path / "vi.csv").write_text("TARGETID,VI_scanner,VI_quality\n17,DK,4\n")
    arguments = ["grade", str(two_runs[0]), "--import", str(tmp_path / "vi.csv")]
    done = CliRunner().invoke(app, [*arguments, "--export", str(tmp_path / "out.csv")])
    assert done.exit_code == 3
    assert "out.csv: 3 rows" in done.output
    assert "TARGETID '17' is not that of exactly one hit" in done.output
    assert (tmp_path / "out.csv").read_text().count("\n") == 4


def test_a_grader_without_a_name_is_wrong_usage(two_runs) -> None:
    done = CliRunner().invoke(app, ["grade", str(two_runs[0]), "--grader", "a\nb"])
    assert done.exception is not None
    assert "--grader" in str(done.exception)
