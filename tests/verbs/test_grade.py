"""`speclens grade` without the page: grades of elsewhere in, tables out."""

from __future__ import annotations

import io
import pickle
import shutil
import zlib
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from typer.testing import CliRunner

from speclens.cli.app import app
from speclens.errors import RunError
from speclens.inspections.store import NAME, GradeStore
from speclens.inspections.subjects import Subjects
from speclens.run.folder import existing_folder
from speclens.run.kinds import RUN
from speclens.run.store import _seal
from speclens.schema import CANDIDATES, HITS
from speclens.stored_tables import read_rows
from speclens.verbs.finish import report_again
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
    assert b"nan" not in tables[0]
    assert tables[0].count(b"\n") == 7


def test_report_and_candidates_show_grades_and_a_new_search_keeps_them(
    make_few, search_few, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    survey = make_few(tmp_path / "survey")
    search_few(run, survey)
    hits = read_rows(run / "hits.fits", HITS)
    keys = Subjects(hits).keys
    with GradeStore(run / NAME) as store:
        for grader, grades in (("ann", "AAC"), ("<b>bob", "AXX")):
            for key, value in zip(keys, grades, strict=True):
                store.add(grader, key, "grade", value, uuid4().hex)
        store.add("ann", keys[1], "comment", "<i>odd", uuid4().hex)
    expected = [("A", 2), ("A/X", 2), ("C/X", 2)]
    for again in (lambda: report_again(run, None, [], 1), lambda: search_few(run, survey)):
        again()
        rows = read_rows(run / "candidates.fits", CANDIDATES)
        of = Subjects(hits)
        told = [(str(row["GRADE"]), int(row["N_GRADERS"])) for row in rows]
        assert told == [expected[of.row(key)] for key in Subjects(rows).keys]
        pages = "".join(path.read_text() for path in (run / "report/hits").glob("*.html"))
        assert "&lt;b&gt;bob" in pages
        assert "&lt;i&gt;odd" in pages
        assert "<td>C/X</td>" in (run / "report/hits-1.html").read_text()
        assert f",{told[0][0]},2,,\n" in (run / "candidates.csv").read_text()


def test_a_damaged_store_costs_no_run(few_run: Path) -> None:
    (few_run / NAME).write_bytes(b"no store" * 1000)
    assert any("grades are not shown" in note for note in report_again(few_run, None, [], 1).notes)
    (few_run / NAME).unlink()
    assert not any("grades" in note for note in report_again(few_run, None, [], 1).notes)


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


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--export", "x.csv", "--port", "9000"], "--port: of the page"),
        (["--merge", "other", "--training"], "--training: of the page"),
        (["--share", "3"], "--share: of what is hidden"),
        (["--inject", "--hidden", "mock"], "--inject: not with --hidden"),
    ],
)
def test_options_without_effect_are_refused(options: list[str], told: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["grade", str(tmp_path), *options])
    assert told in str(done.exception)


class Canary:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("suffix", ["csv", "ecsv", "pkl", "npy"])
def test_f1_code_that_comes_as_grades_never_runs(two_runs, tmp_path: Path, suffix: str) -> None:
    evil, canary = tmp_path / f"evil.{suffix}", tmp_path / "ran"
    evil.write_bytes(pickle.dumps(Canary(canary)))
    for merged, imported in (([evil], []), ([], [evil])):
        with pytest.raises(RunError):
            exchange_grades(two_runs[0], merged, imported, [])
    assert not canary.exists()


def test_f1_code_that_comes_as_a_spectrum_never_runs(few_run: Path, tmp_path: Path) -> None:
    canary, buffer = tmp_path / "ran", io.BytesIO()
    np.savez(buffer, hit=np.array([Canary(canary)], object), allow_pickle=True)
    payload = zlib.compress(buffer.getvalue())
    for path in (*(few_run / "work").glob("*.hits"), few_run / "work" / "companions.rows"):
        path.write_bytes(_seal(path, payload) + payload)
    with pytest.raises(RunError, match="damaged"):
        exchange_grades(few_run, [], [], [tmp_path / "out.csv"])
    assert not canary.exists()
