"""Training and hidden hits: the truth is told to whom it may be told, and to no table."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from speclens.errors import RunError
from speclens.grade.graded_run import GradedRun
from speclens.grade.hidden import hidden_rows
from speclens.grade.run_tables import read_tables
from speclens.inspections.gradebook import stored_inspections
from speclens.verbs.grade import exchange_grades


def kind_of(run: GradedRun) -> dict[str, str]:
    return {run.truth[row].kind: run.subjects.keys[row] for row in run.truth}


def test_in_training_every_grade_is_answered_and_nothing_before(
    mock_run: Path, make_client, say
) -> None:
    with closing(GradedRun(mock_run, training=True)) as run:
        client, kinds = make_client(run=run), kind_of(run)
        assert set(kinds) == {"lya", "line"}
        assert client.get("/api/hit", params={"hit": kinds["lya"]}).json()["answer"] is None
        for kind, grade, right in (("lya", "A", True), ("line", "B", False), ("line", "C", None)):
            answer = say(client, kinds[kind], "grade", grade).json()["answer"]
            assert answer["right"] is right
        assert answer["text"].startswith("a decoy: a lone line")
        shown = client.get("/api/hit", params={"hit": kinds["lya"]}).json()["answer"]
        assert shown["text"] == "Lyman alpha of a source at z = 2.455, lensed; ideal S/N 12.0"
        page = client.get("/agreement").text
        assert "1.00 (0.50 to 1.00), 1 of 1" in page


def test_without_training_the_truth_of_a_mock_is_told_in_sums_alone(
    mock_run: Path, make_client, say
) -> None:
    with closing(GradedRun(mock_run)) as run:
        client, kinds = make_client(run=run), kind_of(run)
        assert say(client, kinds["lya"], "grade", "X").json()["answer"] is None
        assert "0.00 (0.00 to 0.50), 0 of 1" in client.get("/agreement").text


def test_training_without_a_truth_is_refused(few_run: Path) -> None:
    with pytest.raises(RunError, match="of no mock survey"):
        GradedRun(few_run, training=True)
    with pytest.raises(RunError, match="of no mock survey"):
        GradedRun(few_run, hidden=few_run)


def test_hidden_hits_look_like_the_others_and_tell_how_good_a_grader_is(
    few_run: Path, mock_run: Path, make_client, say
) -> None:
    with closing(GradedRun(few_run)) as plain:
        own = set(plain.subjects.keys)
    with closing(GradedRun(few_run, hidden=mock_run)) as run:
        keys, client = run.subjects.keys, make_client(run=run)
        assert own < set(keys)
        assert set(keys) - own == set(kind_of(run).values())
        assert sorted(run.content.candidates["RANK"]) == [
            i + 1 for i in range(len(run.content.candidates))
        ]
        page = client.get("/").text
        # But for words and numbers, their tiles are those of the others.
        tiles = re.findall(r'<a class="tile".*?</a>', page, re.DOTALL)
        assert len(tiles) > 3
        assert len({re.sub(r'"[^"]*"|>[^<]*<', "", tile) for tile in tiles}) == 1
        for key in set(keys) - own:
            assert key in page
            shown = client.get("/api/hit", params={"hit": key}).json()
            assert shown["plot"] is not None
            assert shown["answer"] is None
            assert str(mock_run) not in shown["html"] + page
            assert say(client, key, "grade", "A").json()["answer"] is None
        # The spectrum is that of the hit: its line stands where the table says.
        for row in run.truth:
            window, _ = run.spectrum(row)
            rest = window.flux[0] - window.model[0]
            near = np.abs(window.grid.wave - run.content.hits["WAVE"][row]) < 6
            assert rest[near].max() > 5 * np.std(rest[~near])
        assert "1 of 1" in client.get("/agreement").text
        assert "0.50 (0.21 to 0.79), 1 of 2" in client.get("/agreement").text
        say(client, min(own), "grade", "B")
        table = client.get("/export?format=csv").text
        assert min(own) in table
        assert not any(key in table for key in set(keys) - own)


def test_what_was_said_of_hidden_hits_reaches_no_table_later(
    few_run: Path, mock_run: Path, make_client, say, tmp_path: Path
) -> None:
    with closing(GradedRun(few_run, hidden=mock_run)) as run:
        client, kinds = make_client(run=run), kind_of(run)
        say(client, kinds["lya"], "grade", "A")
        say(client, run.subjects.keys[0], "grade", "B")
        hits = run.content.hits[:3]
    exchange_grades(few_run, [], [], [tmp_path / "out.csv"])
    assert (tmp_path / "out.csv").read_text().count("\n") == 2
    assert list(stored_inspections(few_run, hits)[0]) == [0]


def test_a_hit_of_the_run_itself_is_never_hidden(few_run: Path) -> None:
    tables = read_tables(few_run)
    with pytest.raises(RunError, match="no candidate of lya that is not in"):
        hidden_rows(tables, tables, 0.05, np.random.default_rng(1))


def test_pictures_of_the_sky_are_allowed_by_who_starts_the_page(make_client, graded) -> None:
    for images in (False, True):
        client = make_client(images=images)
        answer = client.get("/hit", params={"hit": graded.subjects.keys[0]})
        assert f'data-images="{int(images)}"' in answer.text
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'self'")
        assert ("legacysurvey" in policy) is images
