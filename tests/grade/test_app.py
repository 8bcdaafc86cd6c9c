"""The page: what it shows, what it saves, and what it refuses (G1, G3 to G5, G7, G8)."""

from __future__ import annotations

import base64
import json
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from speclens.errors import RunError
from speclens.grade.app import ASSETS
from speclens.grade.graded_run import GradedRun
from speclens.inspections.subjects import Subjects
from speclens.verbs.finish import vet_again

HOSTILE = '"><img src=x onerror=alert(1)><script>alert(2)</script>\u202e{{7*7}}'


def keys_of(run: GradedRun) -> list[str]:
    return run.subjects.keys


def test_a_grade_is_on_the_disk_when_it_is_acknowledged(make_client, graded, say) -> None:
    client, key = make_client(), keys_of(graded)[0]
    answer = say(client, key, "grade", "A")
    assert answer.status_code == 200
    assert answer.json()["own"]["grade"] == "A"
    (event,) = graded.store.events()[0]
    assert (event.grader, event.subject, event.value) == ("ann", key, "A")
    assert answer.json()["saved"] == event.id
    assert f'data-hit="{key}" data-grade="A"' in client.get("/?which=all").text


def test_g5_a_key_that_is_sent_twice_counts_once(make_client, graded, say) -> None:
    client, key = make_client(), keys_of(graded)[0]
    for _ in range(2):
        assert say(client, key, "grade", "A", id="1" * 32).status_code == 200
    assert say(client, key, "grade", "B", id="1" * 32).status_code == 422
    assert len(graded.store.events()[0]) == 1


def test_undo_takes_back_the_last_key_and_says_of_which_hit(make_client, graded, say) -> None:
    client, (one, two, _) = make_client(), keys_of(graded)
    say(client, one, "grade", "A")
    say(client, two, "issue", "+sky")
    for expected in (two, one, None):
        answer = client.post(
            "/api/undo",
            json={
                "id": base64.b16encode(
                    np.random.default_rng(len(graded.store.events()[0])).bytes(16)
                )
                .decode()
                .lower()
            },
        )
        assert answer.status_code == 200
        assert answer.json()["hit"] == expected
    assert graded.book.all == []


def test_graders_are_blind_to_each_other_until_they_ask(make_client, graded, say) -> None:
    ann, bob, key = make_client("ann"), make_client("bob"), keys_of(graded)[0]
    say(ann, key, "grade", "A")
    say(ann, key, "comment", "seen by ann")
    blind = bob.get("/api/hit", params={"hit": key})
    assert blind.json()["others"] is None
    assert "seen by ann" not in blind.text + bob.get("/?which=all").text
    (other,) = bob.get("/api/hit", params={"hit": key, "peek": "1"}).json()["others"]
    assert (other["grader"], other["grade"], other["comment"]) == ("ann", "A", "seen by ann")
    assert bob.get("/api/hit", params={"hit": key}).json()["own"]["grade"] == ""


@pytest.mark.parametrize(
    "changed",
    [
        {"hit": "sdss:none:lya:1.00"}, {"hit": ""}, {"kind": "delete"}, {"kind": "undo"},
        {"value": "D"}, {"value": 1}, {"value": None}, {"id": "short"}, {"grader": "bob"},
        {"kind": "comment", "value": "x" * 3000}, {"kind": "comment", "value": "x" * 10_000_000},
        {"kind": "z_source", "value": "NaN"}, {"kind": "z_source", "value": "Infinity"},
        {"time": "2026-01-01T00:00:00.000000Z"},
    ],
)  # fmt: skip
def test_g4_what_no_grader_can_say_is_refused(make_client, graded, say, changed) -> None:
    client, key = make_client(), keys_of(graded)[0]
    good = {"hit": key, "kind": "grade", "value": "A"}
    answer = say(client, **{**good, **changed})
    assert 400 <= answer.status_code < 500
    assert graded.store.events()[0] == []


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"null", b"NaN", b"\xff", b"[" * 16000])
def test_g4_what_is_no_message_is_refused(make_client, graded, body: bytes) -> None:
    answer = make_client().post(
        "/api/events", content=body, headers={"Content-Type": "application/json"}
    )
    assert 400 <= answer.status_code < 500
    assert graded.store.events()[0] == []


@pytest.mark.parametrize(
    "name",
    [
        "../app.py",
        "..%2f..%2fapp.py",
        "%2e%2e/app.py",
        "/etc/passwd",
        "%00",
        "hit.js%00",
        "",
        "x.js",
    ],
)
def test_g3_no_path_leads_out_of_the_page(make_client, name: str) -> None:
    client = make_client()
    assert client.get(f"/static/{name}").status_code == 404
    for path in ("/hit", "/api/hit"):
        assert client.get(path, params={"hit": f"../../{name}\0"}).status_code == 404
    assert client.get(f"/{name}/../../etc/passwd").status_code == 404


def test_every_part_of_the_page_comes_from_the_package(make_client) -> None:
    client = make_client()
    for name, kind in ASSETS.items():
        answer = client.get(f"/static/{name}")
        assert answer.headers["content-type"].startswith(kind)
        assert "http:" not in answer.text.replace("http://www.w3.org", "")
        assert "https:" not in answer.text


class Tags(HTMLParser):
    """Collects the tags of a page, and what they lead to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


@pytest.fixture
def hostile(graded: GradedRun) -> GradedRun:
    """A run with markup in every text of its tables, and in its comments."""
    for table in (graded.content.hits, graded.content.candidates):
        for name in table.dtype.names or ():
            if table.dtype[name].kind == "U" and name not in ("SEARCH", "METHOD", "FIT_STATUS"):
                table[name] = HOSTILE
    graded.subjects = Subjects(graded.content.hits)
    return graded


def test_g1_markup_in_the_tables_stays_text(make_client, hostile) -> None:
    client = make_client("<b>ann</b>")
    pages = [client.get("/?which=all").text, client.get("/agreement").text]
    for key in keys_of(hostile):
        answer = client.get("/api/hit", params={"hit": key})
        assert answer.status_code == 200
        pages += [answer.json()["html"], client.get("/hit", params={"hit": key}).text]
    for page in pages:
        tags = Tags(page)
        assert "img" not in tags.tags
        assert "b>ann" not in "".join(tags.tags)
        assert "\u202e" not in page
        # The names of handlers, and styles, would be forbidden by the policy.
        assert not [name for name, _ in tags.attributes if name.startswith("on") or name == "style"]
        scripts = [value for name, value in tags.attributes if name == "src"]
        assert all(value.startswith("static/") for value in scripts)


def test_g7_ids_beyond_2_53_and_negative_ones_keep_every_digit(make_client, graded) -> None:
    hits, candidates = graded.content.hits, graded.content.candidates
    of = graded.content.candidate_of
    names = ["39089837596371001", "39089837596371002", "-110547443"]
    for i, name in enumerate(names):
        hits["TARGETID"][i], hits["SPECTRUM"][i], hits["SURVEY"][i] = int(name), name, "sdss"
        if i in of:
            candidates["TARGETID"][of[i]], candidates["SPECTRUM"][of[i]] = int(name), name
    graded.subjects = Subjects(hits)
    client = make_client()
    for name, key in zip(names, keys_of(graded), strict=True):
        answer = client.get("/api/hit", params={"hit": key}).json()
        assert answer["hit"] == key
        assert f">{name} <" in answer["html"]
        found = Tags(client.get(f"/?text={name}").text)
        links = [v for n, v in found.attributes if n == "href" and v.startswith("hit?")]
        assert [parse_qs(urlsplit(link).query)["hit"] for link in links] == [[key]]


def test_g8_a_spectrum_without_a_good_pixel_is_a_gap(make_client, graded, monkeypatch) -> None:
    window, whole = graded.spectrum(0)
    for spectrum in (window, whole):
        spectrum.ivar[:], spectrum.flux[:] = 0, np.nan
    monkeypatch.setattr(graded, "spectrum", lambda _: (window, whole))
    client = make_client()
    answer = client.get("/api/hit", params={"hit": keys_of(graded)[0]})
    sent = json.loads(answer.text, parse_constant=pytest.fail)
    flux = np.frombuffer(base64.b64decode(sent["plot"]["whole"]["flux"]), "<f4")
    assert np.isnan(flux).all()
    assert client.get("/").status_code == 200


def test_g8_a_spectrum_that_cannot_be_read_is_told_and_can_be_graded(
    make_client, graded, say, monkeypatch
) -> None:
    def fails(_: int) -> None:
        raise RunError("missing <b>")

    monkeypatch.setattr(graded, "spectrum", fails)
    client, key = make_client(), keys_of(graded)[0]
    answer = client.get("/api/hit", params={"hit": key}).json()
    assert answer["plot"] is None
    assert "missing &lt;b&gt;" in answer["html"]
    assert client.get("/").status_code == 200
    assert say(client, key, "grade", "C").status_code == 200


def test_the_same_line_by_another_search_is_a_click_away(make_client, graded) -> None:
    client, keys = make_client(), keys_of(graded)
    graded.content.hits["SAME_AS"] = [-1, 0, -1]
    assert "other searches" not in client.get("/api/hit", params={"hit": keys[2]}).json()["html"]
    for row, other in ((0, 1), (1, 0)):
        page = client.get("/api/hit", params={"hit": keys[row]}).json()["html"]
        (link,) = [v for n, v in Tags(page).attributes if n == "href" and v.startswith("hit?")]
        assert parse_qs(urlsplit(link).query)["hit"] == [keys[other]]


def test_pictures_of_lines_come_after_the_gallery(make_client, graded, monkeypatch) -> None:
    client, key = make_client(), keys_of(graded)[0]
    assert 'd="M' not in client.get("/").text.split("static")[-1]
    assert client.get("/api/line", params={"hit": key}).json()["fit"].startswith("M")
    assert client.get("/api/line", params={"hit": "none"}).status_code == 404

    def fails(_: int) -> None:
        raise RunError("missing")

    monkeypatch.setattr(graded, "spectrum", fails)
    assert client.get("/api/line", params={"hit": key}).json() == {}


def test_a_hit_names_those_that_come_next_and_weighs_little(make_client, graded) -> None:
    client = make_client()
    rows = client.get("/api/hit", params={"hit": keys_of(graded)[0], "which": "all"})
    assert len(rows.content) < 300_000
    seen, hit = [], None
    answer = rows.json()
    while answer["previous"]:
        answer = client.get("/api/hit", params={"hit": answer["previous"], "which": "all"}).json()
    while True:
        seen.append(answer["hit"])
        if not answer["next"]:
            break
        hit = answer["next"][0]
        answer = client.get("/api/hit", params={"hit": hit, "which": "all"}).json()
    assert sorted(seen) == sorted(keys_of(graded))


def test_what_is_sent_of_a_spectrum_is_what_was_gathered(make_client, graded) -> None:
    window, whole = graded.spectrum(1)
    plot = make_client().get("/api/hit", params={"hit": keys_of(graded)[1]}).json()["plot"]
    for name, spectrum in (("window", window), ("whole", whole)):
        sent = {
            k: np.frombuffer(base64.b64decode(v), "<f4")
            for k, v in plot[name].items()
            if k != "first"
        }
        good = spectrum.ivar[0] > 0
        np.testing.assert_allclose(
            10 ** (1e-4 * (plot[name]["first"] + np.arange(len(good)))), spectrum.grid.wave
        )
        np.testing.assert_array_equal(sent["flux"][good], spectrum.flux[0][good])
        assert np.isnan(sent["flux"][~good]).all()
        np.testing.assert_array_equal(sent["model"], spectrum.model[0])
        np.testing.assert_allclose(sent["error"][good], spectrum.ivar[0][good] ** -0.5, rtol=1e-6)
    assert np.isfinite(np.frombuffer(base64.b64decode(plot["window"]["fit"]), "<f4")).any()


def test_addresses_stay_below_a_prefix(make_client, graded) -> None:
    client = make_client()
    pages = [client.get("/?which=all").text, client.get("/agreement").text]
    pages.append(client.get("/hit", params={"hit": keys_of(graded)[0]}).text)
    for page in pages:
        for name, value in Tags(page).attributes:
            if name in ("href", "src", "action"):
                assert not value.startswith(("/", "http"))


def test_a_question_that_nobody_can_ask_is_refused(make_client) -> None:
    client = make_client()
    for question in (
        "order=best",
        "which=1",
        "grade=D",
        "flag=%00",
        "page=-1",
        "text=" + "x" * 101,
    ):
        assert client.get(f"/?{question}").status_code == 422


def test_tables_can_be_taken_home(make_client, graded, say) -> None:
    client = make_client()
    say(client, keys_of(graded)[0], "comment", "=1+1")
    answer = client.get("/export?format=csv")
    assert "'=1+1" in answer.text
    assert "attachment" in answer.headers["content-disposition"]
    assert client.get("/export?format=ecsv").text.startswith("# %ECSV")
    assert client.get("/export?format=py").status_code == 422


def test_agreement_is_told_with_the_hits_that_are_disputed(make_client, graded, say) -> None:
    assert "nobody graded yet" in make_client().get("/agreement").text
    for grader, grades in (("ann", "AAX"), ("bob", "AXX")):
        for key, grade in zip(keys_of(graded), grades, strict=True):
            say(make_client(grader), key, "grade", grade)
    page = make_client().get("/agreement").text
    # Seen 2 of 3, by chance 4 of 9.
    assert '<td class="n">0.40</td><td class="n">3 hits</td>' in page
    assert "ann A bob X" in page
    assert "Fleiss' &kappa; of all graders: 0.33, over the 3 hits" in page


def test_the_run_can_be_vetted_meanwhile_and_grades_follow_their_hits(
    make_client, graded, say
) -> None:
    client, keys = make_client(), keys_of(graded)
    say(client, keys[0], "grade", "A")
    before = len(graded.content.candidates)
    vet_again(graded.path, None, ["vet.vetoes=[]"], None, 1)
    assert f'data-hit="{keys[0]}" data-grade="A"' in client.get("/?which=all").text
    assert len(graded.content.candidates) == 3 > before


def test_a_store_that_cannot_be_written_is_told_in_one_line(
    make_client, graded, say, monkeypatch
) -> None:
    def fails(*_: object) -> None:
        raise RunError(f"{Path('grades.sqlite')}: database or disk is full: make room")

    monkeypatch.setattr(graded.store, "add", fails)
    answer = say(make_client(), keys_of(graded)[0], "grade", "A")
    assert (answer.status_code, answer.text.count("\n")) == (503, 1)
    assert "make room" in answer.text
