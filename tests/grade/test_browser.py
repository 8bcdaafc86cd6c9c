"""The page in a real browser: keys, undo, a server that dies, hostile texts, a narrow screen.

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

import pytest

from speclens.inspections.gradebook import Gradebook
from speclens.inspections.store import NAME, GradeStore
from speclens.inspections.subjects import Subjects
from speclens.schema import HITS
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
def served(run: Path, grader: str, port: int = 8765) -> Iterator[tuple[Any, str]]:
    command = [sys.executable, "-m", "speclens", "grade", str(run), "--grader", grader]
    with subprocess.Popen(
        [*command, "--port", str(port)], stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            found = re.search(r"http://\S+", server.stdout.readline())
            assert found is not None
            yield server, found[0]
        finally:
            server.kill()


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
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda told: faults.append(told.text))
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
    with served(run, "ann", 18765) as (_, address):
        page.goto(address)
        page.wait_for_selector(".tile")
    page.keyboard.press("a")
    until(lambda: "1 not yet saved" in page.inner_text("#saving"))
    with served(run, "ann", 18765) as (_, address):
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
