"""How fast the inspection page is with ten thousand hits, what it weighs, and that nothing is lost.

A small mock survey is searched, or a finished RUN is taken; its hits are copied under other names
until there are enough (some 80 kB of temporary files each). The page is served as `speclens grade`
does, and asked for with and, where Playwright and chromium are there, in a browser. Then servers
are killed after each grade, and two graders grade at once.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import uuid4

import numpy as np

from speclens.candidates.ranking import candidates_of
from speclens.config import load_config
from speclens.evidence.store import (
    evidence_paths,
    read_companions,
    write_companions,
    write_manifest,
)
from speclens.inspections.store import NAME, GradeStore
from speclens.inspections.subjects import Subjects
from speclens.products import write_fits
from speclens.read.sdss.identity import spectrum_names, targetid
from speclens.run.store import load_arrays, save_arrays
from speclens.schema import CANDIDATES, HIT_HYPOTHESES, HITS, dtype_of, text_width
from speclens.simulate.mock_survey import make_survey
from speclens.stored_tables import read_rows
from speclens.verbs.grade import Session, serve_grades
from speclens.verbs.search import SearchRequest, search
from tables import Tables, add_option

SURVEY = ("survey.n_plates=1", "survey.n_fibres=200", "survey.lya_fraction=0.4")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
NEXT = """() => new Promise((done) => {
  const start = performance.now();
  new MutationObserver(() => done(performance.now() - start))
    .observe(document.body, { attributeFilter: ["data-hit"] });
  document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "n", bubbles: true }));
})"""
PAINT = "() => performance.getEntriesByName('first-contentful-paint')[0].startTime"


class Client:
    """Whoever has the address of the page."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        self._connection.request("GET", f"/?{parts.query}")
        answer = self._connection.getresponse()
        answer.read()
        self._headers = {"Cookie": answer.headers["Set-Cookie"].partition(";")[0]}
        # Servers leave who says nothing for some seconds; the next request opens another.
        self._connection.close()

    def close(self) -> None:
        """Leave."""
        self._connection.close()

    def get(self, path: str) -> tuple[bytes, float]:
        """Return what stands there, and the seconds that it took."""
        start = time.perf_counter()
        self._connection.request("GET", path, headers=self._headers)
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status}")
        return body, time.perf_counter() - start

    def grade(self, hit: str, value: str) -> str:
        """Grade a hit; return the name of the event that was acknowledged."""
        sent = {"id": uuid4().hex, "hit": hit, "kind": "grade", "value": value}
        headers = {**self._headers, "Content-Type": "application/json"}
        self._connection.request("POST", "/api/events", json.dumps(sent), headers)
        return str(json.loads(self._connection.getresponse().read())["saved"])


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, help="a finished run; by default a small mock's")
    parser.add_argument("--hits", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--grades", type=int, default=500)
    add_option(parser)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        run = arguments.run or searched(folder)
        many = many_hits(run, folder / "many", arguments.hits)
        rows = [*speed(many), *safety(many_hits(run, folder / "few", 1), arguments)]
    Tables(arguments.tables).show("grading", ["what", "measured", "wanted"], rows)


def searched(folder: Path) -> Path:
    """Search a small mock survey."""
    config = load_config(None, SURVEY)
    make_survey(folder / "survey", config, 5, 1)
    search(SearchRequest([str(folder / "survey")], folder / "run", config, n_workers=1))
    return folder / "run"


def many_hits(run: Path, output: Path, n_hits: int) -> Path:
    """Copy a run, with its hits again and again, as if each copy were other plates."""
    names = ("speclens.json", "run.json", "candidates.fits", "spectra.fits")
    (output / "work").mkdir(parents=True)
    for name in names:
        shutil.copy(run / name, output / name)
    hits, weighed = (
        read_rows(run / "hits.fits", HITS),
        read_rows(run / "hypotheses.fits", HIT_HYPOTHESES),
    )
    paths = evidence_paths(run / "work", hits)
    beside = read_companions(run / "work", hits)
    copies, readings, companions, files = [], [], [], []
    for copy in range(-(-n_hits // len(hits))):
        part = np.zeros(len(hits), dtype_of(HITS, FILE=text_width(hits, "FILE") + 5))
        for name in part.dtype.names or ():
            part[name] = hits[name]
        part["PLATE"] += 100 * copy
        part["TARGETID"] = targetid(part["PLATE"], part["MJD"], part["FIBERID"])
        part["SPECTRUM"] = spectrum_names(part)
        part["FILE"] = [f"{copy}/{name}" for name in hits["FILE"]]
        other = weighed.copy()
        others = beside.copy()
        for rows in (other, others):
            rows["HIT"] += copy * len(hits)
        copies.append(part)
        companions.append(others)
        readings.append(other)
        files += [_copied(path, output / "work", copy * len(hits)) for path in paths]
    every, weights = np.concatenate(copies), np.concatenate(readings)
    best = candidates_of(every, load_config(None, ()).candidates)
    meta = {"CREATOR": "speclens benchmark"}
    for name, table, columns in (
        ("hits", every, HITS), ("candidates", best, CANDIDATES),
        ("hypotheses", weights, HIT_HYPOTHESES),
    ):  # fmt: skip
        widths = {"FILE": text_width(every, "FILE")} if "FILE" in (table.dtype.names or ()) else {}
        write_fits(output / f"{name}.fits", [table], len(table), columns, meta, **widths)
    write_manifest(output / "work", every, files)
    write_companions(output / "work", every, np.concatenate(companions))
    return output


def _copied(path: Path, work: Path, shift: int) -> str:
    arrays = load_arrays(path) or {}
    companions = arrays["companions"].copy()
    companions["HIT"] += shift
    name = f"{uuid4().hex}{path.suffix}"
    save_arrays(work / name, **{**arrays, "hit": arrays["hit"] + shift, "companions": companions})
    return name


@contextmanager
def served(run: Path) -> Iterator[tuple[int, str]]:
    """Serve a run in a process of its own; give its number and the address."""
    command = [sys.executable, "-m", "speclens", "grade", os.fspath(run), "--grader", "ann"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None  # noqa: S101 - of the types
        found = re.search(r"http://\S+", server.stdout.readline())
        try:
            yield server.pid, found[0] if found else ""
        finally:
            server.kill()


def speed(run: Path) -> Iterator[list[str]]:
    """Measure the page of a run of many hits."""
    n_hits = len(read_rows(run / "hits.fits", HITS))
    with ExitStack() as stack:
        process, address = stack.enter_context(served(run))
        yield ["hits", f"{n_hits:,}", "10,000"]
        yield ["start of the server, s of a processor", f"{worked(process):.1f}", "below 2"]
        client = stack.enter_context(closing(Client(address)))
        page, seconds = client.get("/")
        _, again = client.get("/?order=snr&which=all")
        yield ["gallery, of the server, s", f"{seconds:.2f}, {again:.2f}", "below 1"]
        keys = re.findall(rb'data-hit="([^"]+)"', page)
        names = [quote(key.decode()) for key in keys]
        hits = [client.get(f"/api/hit?hit={name}") for name in names]
        weight = max(len(body) for body, _ in hits) / 1e3
        median = statistics.median(seconds for _, seconds in hits)
        lines = sum(client.get(f"/api/line?hit={name}")[1] for name in names)
        yield ["one hit, of the server, ms", f"{1e3 * median:.0f}", "below 150"]
        yield [f"pictures of the {len(names)} lines, s", f"{lines:.2f}", ""]
        yield ["weight of a hit, kB", f"{weight:.0f}", "at most 300"]
        yield from browsed(address)
        yield ["memory of the server at its peak, MB", f"{peak(process):.0f}", "at most 300"]


def browsed(address: str) -> Iterator[list[str]]:
    """Measure the same in a browser, where there is one."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return
    if not CHROMIUM:
        return
    flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=flags)
        page = browser.new_page(viewport={"width": 1366, "height": 768})
        page.goto(address)
        page.reload()
        page.wait_for_selector(".tile")
        yield ["first paint of the gallery, ms", f"{page.evaluate(PAINT):.0f}", "below 1000"]
        page.keyboard.press("Enter")
        page.wait_for_selector("body[data-hit]")
        waits = []
        for _ in range(20):
            page.wait_for_timeout(400)
            waits.append(page.evaluate(NEXT))
        told = f"{statistics.median(waits):.0f}, {max(waits):.0f}"
        yield ["next hit, drawn: median, longest, ms", told, "below 150"]
        yield ["ten hits graded by keys, s", f"{ten_graded(page):.1f}", "below 60"]
        browser.close()


def ten_graded(page: Any) -> float:
    """Grade ten hits by two keys each, as fast as the page lets; return the seconds."""
    start = time.perf_counter()
    for grade in "abcxabcxab":
        before = page.get_attribute("body", "data-hit")
        page.keyboard.press(grade)
        page.keyboard.press("n")
        page.wait_for_selector(f"body:not([data-hit='{before}'])")
    while page.inner_text("#saving") != "saved":
        time.sleep(0.01)
    return time.perf_counter() - start


def worked(process: int) -> float:
    """Return the seconds of a processor that a process has used, whatever else ran beside it."""
    ticks = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def peak(process: int) -> float:
    """Return the most memory that a process had, megabytes."""
    status = Path(f"/proc/{process}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 1e3 if found else float("nan")


@contextmanager
def forked(run: Path, grader: str) -> Iterator[tuple[int, Client]]:
    """Serve a run in a copy of this process, which starts at once."""
    ours, theirs = multiprocessing.Pipe()
    arguments = (run, Session(grader), "127.0.0.1", 8765, None, theirs.send, theirs.send)
    context = multiprocessing.get_context("fork")
    server = context.Process(target=serve_grades, args=arguments, daemon=True)
    server.start()
    try:
        with closing(Client(ours.recv())) as client:
            yield server.pid or 0, client
    finally:
        server.kill()
        server.join()


def safety(run: Path, arguments: argparse.Namespace) -> Iterator[list[str]]:
    """Kill servers after each grade; let two graders grade at once; count what is there."""
    keys = Subjects(read_rows(run / "hits.fits", HITS)).keys
    said = []
    for i in range(arguments.kills):
        with forked(run, "ann") as (server, client):
            said.append(client.grade(keys[i % len(keys)], "ABCX"[i % 4]))
            os.kill(server, signal.SIGKILL)
    lost = len(set(said) - events_of(run))
    yield [f"grades lost of {arguments.kills}, the server killed after each", str(lost), "0"]
    both: list[str] = []
    with forked(run, "bob") as (_, bob), forked(run, "cyd") as (_, cyd):
        threads = [
            threading.Thread(target=_all_graded, args=(client, keys, arguments.grades, both))
            for client in (bob, cyd)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    lost = 2 * arguments.grades - len(set(both) & events_of(run))
    yield [f"grades lost of two graders with {arguments.grades} each at once", str(lost), "0"]


def _all_graded(client: Client, keys: list[str], n: int, said: list[str]) -> None:
    said.extend(client.grade(keys[i % len(keys)], "ABCX"[i % 4]) for i in range(n))


def events_of(run: Path) -> set[str]:
    """Return the names of the events on the disk."""
    with GradeStore(run / NAME, must_exist=True) as store:
        return {event.id for event in store.events()[0]}


if __name__ == "__main__":
    main()
