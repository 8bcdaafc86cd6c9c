"""Photograph the inspection page of a run for docs/grade.md: `make figures`.

    python tools/photograph_page.py docs/_build/figures/demo [--figures docs/figures]

In: a run of a mock survey. Out: pictures of its gallery, of one hit, and of an answer in training.
Needs Playwright's Python package (`make browser`) and chromium; CHROMIUM names another one.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).parents[1]
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
COLOURS = 160


def main() -> None:
    """Take the pictures."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--figures", type=Path, default=ROOT / "docs" / "figures")
    arguments = parser.parse_args()
    # Not into the run: its store would keep these grades.
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as driver:
        run = Path(shutil.copytree(arguments.run, Path(temporary) / "demo"))
        for path in run.glob("grades*"):
            path.unlink()
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        with served(run) as address:
            page = browser.new_page(viewport={"width": 1366, "height": 768})
            page.goto(address)
            photograph(page, arguments.figures)
        browser.close()


@contextmanager
def served(run: Path) -> Iterator[str]:
    """Serve a run for training; give the address."""
    command = [sys.executable, "-m", "speclens", "grade", os.fspath(run), "--grader", "ann"]
    with subprocess.Popen([*command, "--training"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None  # noqa: S101 - of the types
        found = re.search(r"http://\S+", server.stdout.readline())
        try:
            yield found[0] if found else ""
        finally:
            server.kill()


def photograph(page: Any, folder: Path) -> None:
    """Grade some hits by keys, and take a picture of each state."""
    folder.mkdir(parents=True, exist_ok=True)
    page.wait_for_selector(".tile path.data[d]")
    for key in "aabxca":
        page.keyboard.press(key)
    page.wait_for_selector(".tile:last-child path.data[d]", state="attached")
    page.wait_for_timeout(500)
    keep(page, folder / "grade_gallery.png")
    page.keyboard.press("Enter")
    page.wait_for_selector("body[data-hit]")
    page.keyboard.press("b")
    page.wait_for_selector("#answer:not(:empty)")
    keep(page, folder / "grade_hit.png")
    page.emulate_media(color_scheme="dark")
    page.keyboard.press("l")
    page.wait_for_timeout(300)
    keep(page, folder / "grade_dark.png")


def keep(page: Any, path: Path) -> None:
    """Keep a picture of the screen, in few colours: a third of the bytes."""
    picture = Image.open(BytesIO(page.screenshot())).convert("RGB")
    picture.quantize(COLOURS).save(path, optimize=True)


if __name__ == "__main__":
    main()
