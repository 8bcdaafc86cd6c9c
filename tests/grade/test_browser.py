"""The page in a real browser: keys, undo, a server that dies, hostile texts, many hits and none.

Needs Playwright's Python package and Debian's chromium; CHROMIUM names another one.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from speclens.candidates.ranking import candidates_of
from speclens.candidates.tables import write_candidates, write_hits
from speclens.config import load_config
from speclens.evidence.store import write_manifest
from speclens.inspections.gradebook import Gradebook
from speclens.inspections.store import NAME, GradeStore
from speclens.inspections.subjects import Subjects
from speclens.products import write_fits
from speclens.schema import HIT_HYPOTHESES, HITS
from speclens.stored_tables import read_rows

playwright = pytest.importorskip(
    "playwright.sync_api", reason="NO BROWSER TESTS: needs playwright and chromium"
)
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="NO BROWSER TESTS: needs chromium"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield opened
        opened.close()


@pytest.fixture
def run(few: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(few, tmp_path / "run"))


@contextmanager
def served(
    run: Path, grader: str, *more: str, port: int = 8765
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "speclens", "grade", str(run), "--grader", grader]
    with subprocess.Popen(
        [*command, "--port", str(port), *more], stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            found = re.search(r"http://\S+", server.stdout.readline())
            assert found is not None
            yield server, found[0]
        finally:
            server.kill()


def rewrite(run: Path, change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Change the hits of a run, and all that follows from them; spectra stay with their rows."""
    hits = change(read_rows(run / "hits.fits", HITS))
    known = read_rows(run / "hypotheses.fits", HIT_HYPOTHESES)
    names = [path.name for path in (run / "work").glob("*.hits")]
    write_hits(run, hits, {})
    write_candidates(run, candidates_of(hits, load_config(None, ()).candidates), {})
    known = known[known["HIT"] < len(hits)]
    write_fits(run / "hypotheses.fits", [known], len(known), HIT_HYPOTHESES, {})
    write_manifest(run / "work", hits, names)
    return hits


def heard(page: Any) -> list[str]:
    """What the browser complains of, and dialogs that a script of others would open."""
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda told: faults.append(told.text))
    page.on("dialog", lambda dialog: (faults.append(dialog.message), dialog.dismiss()))
    return faults


def until(is_so: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)


def said_in(run: Path) -> dict[int, dict[str, str]]:
    with GradeStore(run / NAME) as store:
        return Gradebook(store, Subjects(read_rows(run / "hits.fits", HITS))).grades


def saved(page: Any) -> bool:
    return bool(page.inner_text("#saving") == "saved")


def test_grades_by_key_undo_and_reload(browser: Any, run: Path) -> None:
    with served(run, "ann") as (_, address):
        page = browser.new_page()
        page.goto(address)
        page.goto(page.url + "?which=all")
        for key in ("a", "B", "x", "u"):
            page.keyboard.press(key)
        until(lambda: saved(page) and sorted(map(len, said_in(run).values())) == [1, 1])
        page.reload()
        until(lambda: [t.inner_text() for t in page.query_selector_all(".badge")] == ["A", "B", ""])
        page.close()
    assert sorted(grade for of in said_in(run).values() for grade in of.values()) == ["A", "B"]


def test_one_hit_a_screen_by_keys_alone(browser: Any, run: Path) -> None:
    with served(run, "ann") as (_, address):
        page = browser.new_page()
        faults = heard(page)
        page.goto(address)
        page.keyboard.press("Enter")
        page.wait_for_selector("#facts h1")
        first = page.get_attribute("body", "data-hit")
        for key in ("C", "k", "e"):
            page.keyboard.press(key)
        # In a text box keys are letters.
        page.keyboard.type("abx un")
        page.keyboard.press("Enter")
        for key in ("s", "d", "l", "f", "v", "?", "Escape"):
            page.keyboard.press(key)
        until(lambda: saved(page))
        page.keyboard.press("n")
        until(lambda: page.get_attribute("body", "data-hit") != first)
        page.keyboard.press("p")
        until(lambda: page.get_attribute("body", "data-hit") == first)
        until(lambda: page.input_value("#comment") == "abx un")
        page.close()
        assert faults == []
    with GradeStore(run / NAME) as store:
        book = Gradebook(store, Subjects(read_rows(run / "hits.fits", HITS)))
    ((_, of),) = book.all
    assert (of.grade, of.issues, of.comment) == ("C", ("sky",), "abx un")
    assert of.z_source > 0


def test_g9_another_layout_presses_the_same_keys(browser: Any, run: Path) -> None:
    with served(run, "ann") as (_, address):
        page = browser.new_page()
        page.goto(address)
        page.wait_for_selector(".tile")
        page.evaluate(
            "() => document.body.dispatchEvent(new KeyboardEvent('keydown',"
            " {key: '\u0444', code: 'KeyA', bubbles: true}))"
        )
        until(lambda: [list(of.values()) for of in said_in(run).values()] == [["A"]])
        page.close()


def test_g5_keys_pressed_while_the_server_is_gone_wait_and_are_told(
    browser: Any, run: Path
) -> None:
    context = browser.new_context()
    page = context.new_page()
    with served(run, "ann", port=18765) as (_, address):
        page.goto(address)
        page.wait_for_selector(".tile")
    page.keyboard.press("a")
    until(lambda: "1 not yet saved" in page.inner_text("#saving"))
    with served(run, "ann", port=18765) as (_, address):
        page.on("dialog", lambda dialog: dialog.accept())
        page.goto(address)
        until(lambda: [list(of.values()) for of in said_in(run).values()] == [["A"]])
        context.close()


def test_a_narrow_screen_needs_no_scrolling_sideways(browser: Any, run: Path) -> None:
    with served(run, "ann") as (_, address):
        page = browser.new_page(viewport={"width": 420, "height": 800})
        page.goto(address)
        wide = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(wide) <= 0
        page.keyboard.press("Enter")
        page.wait_for_selector("#facts h1")
        assert page.evaluate(wide) <= 0
        page.close()


def test_a_click_and_a_key_say_what_the_line_is(browser: Any, run: Path) -> None:
    with served(run, "ann") as (_, address):
        page = browser.new_page()
        faults = heard(page)
        page.goto(address)
        page.keyboard.press("Enter")
        page.wait_for_selector("body[data-hit]")
        page.click("#whole", position={"x": 800, "y": 100})
        page.keyboard.press("y")
        clicked = 1215.67 * (1 + float(page.input_value("#z")))
        for key, rest in (("o", 3728.8), ("i", 5008.24), ("h", 6564.6)):
            before = page.input_value("#z")
            page.keyboard.press(key)
            z = float(page.input_value("#z"))
            assert abs(rest * (1 + z) - clicked) < 2 or (
                clicked < rest and page.input_value("#z") == before
            )
        page.close()
        assert faults == []


def test_two_graders_at_once_and_what_they_disagree_about(browser: Any, run: Path) -> None:
    with served(run, "ann") as (_, at_ann), served(run, "bob") as (_, at_bob):
        contexts = [browser.new_context() for _ in range(2)]
        ann, bob = (context.new_page() for context in contexts)
        for page, address in ((ann, at_ann), (bob, at_bob)):
            page.goto(address)
            page.goto(page.url + "?which=all")
            page.wait_for_selector(".tile")
        for of_ann, of_bob in ("aa", "ax", "cx"):
            ann.keyboard.press(of_ann)
            bob.keyboard.press(of_bob)
        until(lambda: sum(map(len, said_in(run).values())) == 6)
        # Blind until asked, even after a reload.
        ann.reload()
        assert ann.locator(".badge").all_inner_texts() == ["A", "A", "C"]
        ann.goto(ann.url.partition("?")[0] + "?order=disagreement&which=all")
        assert ann.locator(".tile").count() == 2
        ann.keyboard.press("Enter")
        ann.wait_for_selector("body[data-hit]")
        assert "bob" not in ann.inner_text("body")
        ann.keyboard.press("w")
        until(lambda: "bob: X" in ann.inner_text("#others"))
        ann.goto(ann.url.partition("hit?")[0] + "agreement")
        assert "ann A bob X" in ann.inner_text("main")
        for context in contexts:
            context.close()


def test_g5_what_is_said_to_be_saved_is_there_when_the_server_dies(browser: Any, run: Path) -> None:
    with served(run, "ann") as (server, address):
        page = browser.new_page()
        page.goto(address)
        page.wait_for_selector(".tile")
        page.keyboard.press("b")
        until(lambda: page.locator(".badge").first.inner_text() == "B" and saved(page))
        server.kill()
        page.close()
    assert [list(of.values()) for of in said_in(run).values()] == [["B"]]


HOSTILE = '"><img src=x onerror=alert(1)><script>alert(2)</script>{{7*7}}'
OWN_WORDS = ("SEARCH", "METHOD", "FIT_STATUS", "SURVEY")
"""Of which the package has a list: others would be another version's."""


def test_g1_markup_in_every_text_of_the_tables_stays_text(browser: Any, run: Path) -> None:
    def hostile(hits: np.ndarray) -> np.ndarray:
        for name in hits.dtype.names or ():
            if hits.dtype[name].kind == "U" and name not in (*OWN_WORDS, "FILE"):
                hits[name] = HOSTILE
        return hits

    rewrite(run, hostile)
    with served(run, "<b>ann</b>") as (_, address):
        page = browser.new_page()
        faults = heard(page)
        page.goto(address)
        page.wait_for_selector(".tile")
        assert "<img" in page.inner_text("main")
        page.keyboard.press("Enter")
        page.wait_for_selector("body[data-hit]")
        page.keyboard.press("e")
        page.keyboard.type(HOSTILE)
        page.keyboard.press("Enter")
        until(lambda: saved(page))
        page.reload()
        page.wait_for_selector("body[data-hit]")
        assert page.input_value("#comment") == HOSTILE
        for address in (page.url, page.url.partition("hit?")[0] + "agreement"):
            page.goto(address)
            page.wait_for_timeout(200)
            assert page.locator("img, main script, b b").count() == 0
        page.close()
        assert faults == []


def test_g7_ids_beyond_2_53_and_negative_ones_are_shown_whole(browser: Any, run: Path) -> None:
    ids = (39089837596371001, 39089837596371002, -110547443)

    def renamed(hits: np.ndarray) -> np.ndarray:
        hits["TARGETID"], hits["SPECTRUM"] = ids, [str(one) for one in ids]
        hits["NAME"], hits["CANDIDATE"] = "", True
        return hits

    rewrite(run, renamed)
    with served(run, "ann") as (_, address):
        page = browser.new_page()
        page.goto(address)
        home = page.url
        for one in ids:
            page.goto(home)
            page.keyboard.press("/")
            page.keyboard.type(str(one))
            page.keyboard.press("Enter")
            until(lambda: page.locator(".tile").count() == 1)
            page.click(".tile")
            page.wait_for_selector("body[data-hit]")
            for _ in range(2):
                assert page.inner_text("#facts h1") == str(one)
                assert f":{one}:" in (page.get_attribute("body", "data-hit") or "")
                page.reload()
                page.wait_for_selector("body[data-hit]")
        page.close()


def test_a_run_without_a_hit_says_so(browser: Any, run: Path) -> None:
    rewrite(run, lambda hits: hits[:0])
    with served(run, "ann") as (_, address):
        page = browser.new_page()
        faults = heard(page)
        page.goto(address)
        page.goto(page.url + "?which=all")
        for key in ("a", "ArrowRight", "Enter", "u", "x", "/"):
            page.keyboard.press(key)
        assert "No hit answers" in page.inner_text("body")
        page.goto(page.url.partition("?")[0] + "agreement")
        assert "nobody graded" in page.inner_text("main")
        page.close()
        assert faults == []


def test_g8_ten_thousand_hits_are_shown_as_fast_as_three(browser: Any, run: Path) -> None:
    def many(hits: np.ndarray) -> np.ndarray:
        every = np.tile(hits, 3334)[:10_000]
        every["SPECTRUM"] = [f"{i}-55000-0001" for i in range(len(every))]
        every["CANDIDATE"], every["TARGETID"] = True, np.arange(len(every))
        return every

    rewrite(run, many)
    with served(run, "ann") as (_, address):
        page = browser.new_page()
        page.goto(address)
        page.reload()
        page.wait_for_selector(".tile")
        paint = "() => performance.getEntriesByName('first-contentful-paint')[0].startTime"
        # Under a second, but for the other tests that run beside.
        assert page.evaluate(paint) < 5000
        assert "1 to 40 of 10000" in page.inner_text("body")
        page.goto(page.url + "?page=249")
        assert page.locator(".tile").count() == 40
        page.keyboard.press("a")
        until(lambda: len(said_in(run)) == 1)
        page.close()


def test_ten_candidates_are_graded_in_a_minute_by_keys_alone(browser: Any, run: Path) -> None:
    def ten(hits: np.ndarray) -> np.ndarray:
        every = np.tile(hits, 4)[:10]
        every["SPECTRUM"] = [f"{i}-55000-0001" for i in range(10)]
        every["CANDIDATE"], every["TARGETID"] = True, np.arange(10)
        return every

    rewrite(run, ten)
    with served(run, "ann") as (_, address):
        page = browser.new_page()
        start = time.monotonic()
        page.goto(address)
        page.wait_for_selector(".tile")
        page.keyboard.press("Enter")
        seen = ""
        for grade in "abcxabcxab":
            seen = page.wait_for_selector(f"body[data-hit]:not([data-hit='{seen}'])").get_attribute(
                "data-hit"
            )
            page.keyboard.press(grade)
            page.keyboard.press("n")
        until(lambda: saved(page) and len(said_in(run)) == 10)
        assert time.monotonic() - start < 60
        page.close()
    assert sorted(of["ann"] for of in said_in(run).values()) == sorted("abcxabcxab".upper())


def test_training_answers_at_once(browser: Any, mock_run: Path) -> None:
    with served(mock_run, "ann", "--training") as (_, address):
        page = browser.new_page()
        faults = heard(page)
        page.goto(address)
        page.wait_for_selector(".tile")
        page.keyboard.press("a")
        until(lambda: "right" in page.inner_text("main") or "wrong" in page.inner_text("main"))
        page.keyboard.press("Enter")
        page.wait_for_selector("body[data-hit]")
        assert page.inner_text("#answer") == ""
        page.keyboard.press("x")
        until(lambda: page.inner_text("#answer") != "")
        page.keyboard.press("u")
        until(lambda: page.inner_text("#answer") == "")
        page.close()
        assert faults == []
