"""Tables of grades come back as they went out, and what others wrote is read or refused."""

from __future__ import annotations

import csv
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

from speclens.errors import RunError
from speclens.grade.exchange import (
    INSPECTIONS,
    inspection_rows,
    read_inspections,
    write_inspections,
)
from speclens.inspections.gradebook import Gradebook
from speclens.inspections.store import GradeStore
from speclens.inspections.subjects import Subjects

HOSTILE = (
    "=HYPERLINK(1)", "+1", "-1", "@x", "'quoted", '"><img src=x onerror=alert(1)>', "a,b;c\"d",
    "nan", "--", "0123", "\u00e9\u4e2d", "# comment", "None", "''",
)  # fmt: skip


@pytest.fixture
def hits(make_hits) -> np.ndarray:
    rows = make_hits(len(HOSTILE) + 4)
    rows["TARGETID"][:3] = 39089837596371001, 39089837596371002, -110547443
    return rows


def known_of(book: Gradebook) -> dict:
    return {(of.subject, of.grader): of for _, of in book.all}


@pytest.fixture
def filled(tmp_path: Path, hits: np.ndarray) -> tuple[GradeStore, Gradebook]:
    keys = Subjects(hits).keys
    store = GradeStore(tmp_path / "filled")
    for i, text in enumerate(HOSTILE):
        for kind, value in (
            ("grade", "ABCX"[i % 4]), ("comment", text), ("issue", "+sky"), ("issue", "+wrong_z"),
            ("z_source", repr(2.0 + i / 3)), ("hypothesis", "oii"),
        ):  # fmt: skip
            store.add("ann", keys[i], kind, value, uuid4().hex)
    store.add("=bob", keys[0], "grade", "X", uuid4().hex)
    store.add("ann", "sdss:elsewhere:lya:4000.00", "grade", "C", uuid4().hex)
    store.add("ann", keys[-1], "grade", "", uuid4().hex)
    return store, Gradebook(store, Subjects(hits))


@pytest.mark.parametrize("suffix", [".ecsv", ".csv"])
def test_g10_a_table_goes_out_and_comes_back_exactly(tmp_path, hits, filled, suffix) -> None:
    path, subjects = tmp_path / f"grades{suffix}", Subjects(hits)
    write_inspections(path, inspection_rows(filled[1].all, hits))
    # Into the store that it came from: nothing is new.
    again = read_inspections(path, subjects, hits, known_of(filled[1]))
    assert (again.events, again.unplaced, again.n_rows) == ([], [], len(HOSTILE) + 2)
    with GradeStore(tmp_path / "other") as other:
        for _ in range(2):
            other.merge(read_inspections(path, subjects, hits, {}).events)
        assert repr(Gradebook(other, subjects).all) == repr(filled[1].all)


@pytest.mark.parametrize("suffix", [".ecsv", ".csv"])
def test_an_older_table_does_not_take_back_what_was_said_since(
    tmp_path, hits, filled, suffix
) -> None:
    store, book = filled
    path, subjects = tmp_path / f"old{suffix}", Subjects(hits)
    write_inspections(path, inspection_rows(book.all, hits))
    store.add("ann", subjects.keys[0], "grade", "B", uuid4().hex)
    store.add("ann", subjects.keys[0], "issue", "-sky", uuid4().hex)
    book.refresh()
    before = repr(book.all)
    store.merge(read_inspections(path, subjects, hits, known_of(book)).events)
    book.refresh()
    assert repr(book.all) == before


def test_g10_no_cell_of_a_csv_is_a_formula_and_ids_keep_every_digit(tmp_path, hits, filled) -> None:
    path = tmp_path / "grades.csv"
    write_inspections(path, inspection_rows(filled[1].all, hits))
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [column.name for column in INSPECTIONS]
    for column in INSPECTIONS:
        if column.dtype[0] == "U":
            assert not any(row[column.name].startswith(("=", "+", "-", "@")) for row in rows)
    targets = {row["TARGETID"] for row in rows}
    assert {"39089837596371001", "39089837596371002", "-110547443"} <= targets


def test_prospects_columns_say_the_same(hits, filled) -> None:
    rows = inspection_rows(filled[1].all, hits)
    assert dict(zip(rows["GRADE"].tolist(), rows["VI_quality"].tolist(), strict=True)) == {
        "A": 4, "B": 3, "C": 2, "X": 0,
    }  # fmt: skip
    assert set(rows["VI_issue"].tolist()) == {"RS", ""}
    for ours, theirs in (("GRADER", "VI_scanner"), ("COMMENT", "VI_comment"), ("Z_SOURCE", "VI_z")):
        np.testing.assert_array_equal(rows[ours], rows[theirs])


PROSPECT = """\
TARGETID,Redrock_z,VI_scanner,VI_quality,VI_issue,VI_z,VI_spectype,VI_comment
39089837596371002,0.5,DK,4,R,2.75,GALAXY,nice arc
-110547443,0.5,DK,1, , , ,
3.90898E+16,0.5,DK,4, , , ,
-1,0.5,DK,4, , , ,
17,0.5,DK,2, , , ,
"""


def test_a_table_of_prospect_is_read_and_what_it_cannot_name_is_told(tmp_path, hits) -> None:
    path, subjects = tmp_path / "vi.csv", Subjects(hits)
    hits["TARGETID"][-1] = -1
    path.write_text(PROSPECT)
    imported = read_inspections(path, subjects, hits, {})
    assert [text.partition(":")[0] for text in imported.unplaced] == ["row 3", "row 4", "row 5"]
    with GradeStore(tmp_path / "s") as store:
        store.merge(imported.events)
        # Taken in again it changes nothing, though it tells no times.
        book = Gradebook(store, subjects)
        assert read_inspections(path, subjects, hits, known_of(book)).events == []
    (first, one), (second, two) = book.all
    assert (first, one.grader, one.grade, one.issues) == (1, "DK", "A", ("wrong_z",))
    assert (one.z_source, one.comment) == (2.75, "nice arc")
    assert (second, two.grade) == (2, "X")


def test_a_target_with_two_hits_is_not_guessed(tmp_path, hits) -> None:
    hits["TARGETID"][:2] = 77
    (tmp_path / "vi.csv").write_text("TARGETID,VI_scanner,VI_quality\n77,DK,4\n")
    imported = read_inspections(tmp_path / "vi.csv", Subjects(hits), hits, {})
    assert (imported.events, len(imported.unplaced)) == ([], 1)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("TARGETID,VI_scanner,VI_quality\n39089837596371001,DK,7\n", "row 1.*VI_quality '7'"),
        ("TARGETID,VI_scanner,VI_quality\n39089837596371001,,4\n", "row 1.*grader"),
        ("TARGETID,VI_scanner,VI_quality,VI_z\n39089837596371001,DK,4,inf\n", "row 1.*z_source"),
        ("TARGETID,VI_scanner,VI_quality,VI_z\n39089837596371001,DK,4,two\n", "row 1"),
        ("A,B\n1,2\n", "VI_scanner"),
        ('A,B\n"1,2\n', "cannot be read"),
        ("GRADER,VI_scanner\nann,ann\n", "missing"),
        ("\xff\xfe", "cannot be read"),
    ],
)
def test_what_says_nothing_sound_is_refused_by_row(tmp_path, hits, text: str, told: str) -> None:
    (tmp_path / "vi.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(RunError, match=told):
        read_inspections(tmp_path / "vi.csv", Subjects(hits), hits, {})


def test_an_ecsv_cut_short_is_refused_and_so_is_another_suffix(tmp_path, hits, filled) -> None:
    rows = inspection_rows(filled[1].all, hits)
    path = tmp_path / "grades.ecsv"
    write_inspections(path, rows)
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    with pytest.raises(RunError, match="cut short"):
        read_inspections(path, Subjects(hits), hits, {})
    with pytest.raises(RunError, match=r"\.ecsv and \.csv"):
        write_inspections(tmp_path / "grades.txt", rows)


@pytest.mark.parametrize("suffix", [".ecsv", ".csv"])
def test_an_empty_table_goes_both_ways(tmp_path, hits, suffix) -> None:
    path = tmp_path / f"none{suffix}"
    write_inspections(path, inspection_rows([], hits))
    assert read_inspections(path, Subjects(hits), hits, {}).n_rows == 0
