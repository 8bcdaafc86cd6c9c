"""The pages of a run are whole; hostile texts are text; nothing is loaded from elsewhere."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from speclens.config import Config, load_config
from speclens.report.candidate_page import GROUPS
from speclens.report.content import RunContent, candidate_paths
from speclens.report.pages import write_pages
from speclens.schema import CANDIDATES, COMPANIONS, HITS, KNOWN, VET_FLAGS, dtype_of

Maker = Callable[..., Any]
HOSTILE = "<script>x</script>\"'><img src=x onerror=x>{{7*7}}&amp;\u202e=A $\\foo$"
VOID = {"meta", "link", "img", "br", "input"}


class Page(HTMLParser):
    """What a browser would make of a page: its text, elements, attributes."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.stack: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag, f"{self.path.name}: {tag} closes nothing"

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def links(self) -> list[str]:
        return [a[k] for _, a in self.tags for k in ("href", "src") if k in a]


@pytest.fixture
def make_content(
    make_hits: Maker, make_candidates: Maker, default_config: Config
) -> Callable[..., RunContent]:
    def make(n: int, flags: Any = (), config: Config = default_config, **more: Any) -> RunContent:
        hits = make_hits(n, flags)
        candidates = make_candidates(hits)
        counts = {"read": 20, "scored": 12, "skipped": 7, "failed": 1}
        record = {
            "counts": counts | {"hits": n, "candidates": len(candidates)},
            "reasons": {"z_low": 7, "truncated": 1}, "method": "resnet", "inputs": ["/survey"],
            "versions": {"speclens": "1.0"}, "seconds": {"search": 2.5},
        }  # fmt: skip
        companions = np.zeros(0, dtype_of(COMPANIONS))
        values = {"companions": companions, "known": None} | more
        return RunContent(record, hits, candidates, config=config, **values)

    return make


def pages(folder: Path) -> list[Page]:
    return [Page(path) for path in sorted(folder.rglob("*.html"))]


@pytest.mark.parametrize("n", [0, 1, 3])
def test_the_page_of_a_small_run_is_whole_and_says_so(
    tmp_path: Path, make_content: Callable[..., RunContent], n: int
) -> None:
    write_pages(tmp_path / "report", make_content(n))
    index = Page(tmp_path / "report" / "index.html")
    assert index.stack == []
    assert f"12 of 20 spectra searched with the residual network: {n or 'no'} hit" in index.text
    assert ("The search found no line" in index.text) == (n == 0)
    assert len(list((tmp_path / "report" / "candidates").glob("*.html"))) == n
    assert (tmp_path / "report" / "density.png").exists() == (n > 0)


def test_a_run_without_candidates_and_one_of_one_object_say_so(
    tmp_path: Path, make_content: Callable[..., RunContent]
) -> None:
    content = make_content(3, [["MASKED"]] * 3)
    content.hits["TARGETID"] = 5
    write_pages(tmp_path / "report", content)
    text = Page(tmp_path / "report" / "index.html").text
    assert "Every hit carries a flag that vetoes" in text
    assert "There is no candidate." in text
    assert "All 3 hits are in one spectrum." in text


def test_every_link_leads_somewhere_and_nothing_is_loaded_from_elsewhere(
    tmp_path: Path, make_content: Callable[..., RunContent]
) -> None:
    known = np.zeros(1, dtype_of(KNOWN))
    known["OUTCOME"] = "missed"
    report = tmp_path / "report"
    write_pages(report, make_content(3, [["MASKED"], [], []], known=known))
    for page in pages(report):
        ids = {attributes.get("id") for _, attributes in page.tags}
        for tag, attributes in page.tags:
            address = attributes.get("href", attributes.get("src"))
            if address is None:
                continue
            if address.startswith("https://"):
                assert tag == "a"
                assert attributes["rel"] == "noopener noreferrer"
            elif address.startswith("#"):
                assert address[1:] in ids
            else:
                assert (page.path.parent / address).is_file(), (page.path, address)
        policy = [a["content"] for _, a in page.tags if a.get("http-equiv")]
        assert len(policy) == 1
        assert policy[0].startswith("default-src 'none'; img-src 'self'; style-src 'self';")
        assert not [a for _, a in page.tags if "style" in a or any(k[:2] == "on" for k in a)]


def test_g1_hostile_texts_are_text(tmp_path: Path, make_content: Callable[..., RunContent]) -> None:
    companions = np.zeros(1, dtype_of(COMPANIONS))
    known = np.zeros(1, dtype_of(KNOWN))
    content = make_content(
        2, [["LENS_LINE", "OTHER_SOURCE", "MASKED"], ["OTHER_SOURCE"]],
        companions=companions, known=known, notes=[HOSTILE], truth=[{HOSTILE: HOSTILE}],
    )  # fmt: skip
    companions["HIT"] = 1
    tables = [content.hits, content.candidates, companions, known]
    for table in tables:
        for name in table.dtype.names or ():
            if table.dtype[name].kind == "U":
                table[name] = HOSTILE
    record = dict.fromkeys(("method", "catalogue", "folder", "engine", "finished"), HOSTILE)
    content.record.update(record | {"inputs": [HOSTILE + "\udcff"], "reasons": {HOSTILE: 3}})
    report = tmp_path / "report"
    write_pages(report, content)
    index = Page(report / "index.html")
    shown = HOSTILE.replace("\u202e", "\\u202e")
    assert index.text.count(shown) >= 6
    assert "<script>x" in Page(next((report / "candidates").glob("*.html"))).text
    for page in pages(report):
        assert page.stack == []
        assert [a["src"] for t, a in page.tags if t == "script"] in (["table.js"], ["../table.js"])
        assert all(a.get("src", "").endswith((".png", ".js", "")) for _, a in page.tags)
        assert not [a for _, a in page.tags if any(key[:2] == "on" for key in a)]
        assert "\u202e" not in page.path.read_text()
    sources = {a["src"] for p in pages(report) for t, a in p.tags if t == "img"}
    assert sources == {"funnel.png", "density.png"}


def test_c1_ids_beyond_2_53_are_exact_and_name_the_pages(
    tmp_path: Path, make_content: Callable[..., RunContent]
) -> None:
    content = make_content(3, [["MASKED"], [], []])
    for table in (content.hits, content.candidates):
        table["TARGETID"] = 2**53 + 1
    content.hits["WAVE"], content.candidates["WAVE"] = [4000, 4200, 4100], [4200, 4100]
    paths = candidate_paths(content.hits, content.candidates)
    assert [(path.name, path.hit) for path in paths] == [
        ("9007199254740993-3", 1), ("9007199254740993-2", 2),
    ]  # fmt: skip
    write_pages(tmp_path / "report", content)
    assert "9007199254740993" in Page(tmp_path / "report" / paths[0].page).text
    assert "9007199254740993" in Page(tmp_path / "report" / "hits-1.html").text


def test_a_candidate_that_is_no_hit_is_refused(make_hits: Maker, make_candidates: Maker) -> None:
    hits = make_hits(2)
    with pytest.raises(ValueError, match="is no candidate of the hits"):
        candidate_paths(hits[:1], make_candidates(hits))


def test_a_candidate_s_page_holds_all_that_was_measured(
    tmp_path: Path, make_content: Callable[..., RunContent]
) -> None:
    companions = np.zeros(3, dtype_of(COMPANIONS))
    companions["HIT"], companions["KIND"] = [2, 1, 2], "neighbour"
    companions["NAME"], companions["FLUX"], companions["FLUX_ERR"] = ["a-2", "b-1", "c-2"], 4.0, 2.0
    content = make_content(3, companions=companions)
    content.candidates["VDISP"] = np.nan
    report = tmp_path / "report"
    write_pages(report, content)
    paths = candidate_paths(content.hits, content.candidates)
    page = Page(report / paths[2].page)
    for flag in VET_FLAGS:
        assert flag.name in page.text
        assert f"vet.{flag.setting}" in page.text
    assert "a-2" in page.text
    assert "c-2" in page.text
    assert "b-1" not in page.text
    assert "4.0 \u00b1 2.0 2.0" in page.text
    assert "nan" not in page.text.lower().split()
    assert [link for link in page.links() if link.endswith(".html")] == [
        "../index.html", f"{paths[1].name}.html",
    ]  # fmt: skip


def test_no_column_is_left_out_of_a_candidate_s_page() -> None:
    told = {name for names in GROUPS.values() for name in names}
    told |= {f"{name}_ERR" for name in told}
    elsewhere = {"NAME", "SPECTRUM", "VET_FLAGS", "CANDIDATE"}
    assert {column.name for column in CANDIDATES} - told == elsewhere


def test_figures_that_were_drawn_are_shown(
    tmp_path: Path, make_content: Callable[..., RunContent]
) -> None:
    content = make_content(2)
    paths = candidate_paths(content.hits, content.candidates)

    def draw(folder: Path) -> None:
        (folder / "profiles.png").touch()
        (folder / paths[0].figure).touch()

    report = tmp_path / "report"
    write_pages(report, content, draw)
    assert "profiles.png" in Page(report / "index.html").links()
    assert f"{paths[0].name}.png" in Page(report / paths[0].page).links()
    assert "could not be read again" in Page(report / paths[1].page).text


def test_d2_a_report_that_fails_leaves_the_old_one(
    tmp_path: Path, make_content: Callable[..., RunContent]
) -> None:
    report = tmp_path / "report"
    write_pages(report, make_content(2))
    before = {path.name: path.stat().st_mtime_ns for path in report.rglob("*")}

    def fail(_: Path) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_pages(report, make_content(3), fail)
    assert {path.name: path.stat().st_mtime_ns for path in report.rglob("*")} == before
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_long_tables_are_parted_and_every_hit_says_what_decided(
    tmp_path: Path, make_content: Callable[..., RunContent]
) -> None:
    config = load_config(None, ["report.rows_per_page=10"])
    content = make_content(35, [["UNLIKELY"]] * 12, config)
    content.hits["P_LYA"][:12] = 0.025
    report = tmp_path / "report"
    write_pages(report, content)
    lists = sorted(path.name for path in report.glob("*.html"))
    assert lists == [
        "candidates-2.html", "candidates-3.html", "hits-1.html", "hits-2.html", "hits-3.html",
        "hits-4.html", "index.html",
    ]  # fmt: skip
    linked = [
        link
        for name in ("index.html", "candidates-2.html", "candidates-3.html")
        for link in Page(report / name).links()
        if link.startswith("candidates/")
    ]
    assert linked == [p.page for p in candidate_paths(content.hits, content.candidates)]
    told = "".join(Page(report / f"hits-{i}.html").text for i in range(1, 5))
    assert told.count(f"0.025, below {content.config.vet.p_lya_min:g} (vet.p_lya_min)") == 12
    assert "11 to 20 of 35" in Page(report / "hits-2.html").text


def test_published_systems_give_the_rate_of_discovery(
    tmp_path: Path, make_content: Callable[..., RunContent]
) -> None:
    known = np.zeros(5, dtype_of(KNOWN))
    known["OUTCOME"] = ["candidate", "hit", "missed", "missed", "absent"]
    content = make_content(1, known=known)
    counts = {**content.record["counts"], "known_found": 2, "known_scored": 4}
    write_pages(tmp_path / "report", replace(content, record={**content.record, "counts": counts}))
    text = Page(tmp_path / "report" / "index.html").text
    assert "Of 4 that were searched at their line 2 are hits (50.0%)." in text


def test_the_configuration_reads_back(
    tmp_path: Path, make_content: Callable[..., RunContent]
) -> None:
    config = load_config("shu2016", ["survey.run2d=<b>&amp;"])
    path = tmp_path / "run.toml"
    write_pages(tmp_path / "report", replace(make_content(1), config=config))
    words = Page(tmp_path / "report" / "index.html").words
    (block,) = (text for text in words if "[selection]" in text)
    path.write_text(block)
    assert load_config(path) == config


def test_nan_everywhere_is_dashes(tmp_path: Path, make_content: Callable[..., RunContent]) -> None:
    content = make_content(1)
    for table in (content.hits, content.candidates):
        for name in table.dtype.names or ():
            if table.dtype[name].kind == "f" and name != "WAVE":
                table[name] = np.nan
    write_pages(tmp_path / "report", content)
    for page in pages(tmp_path / "report"):
        assert "nan" not in page.text.lower().split()
    page = next((tmp_path / "report" / "candidates").glob("*.html"))
    assert "Its position is unknown." in Page(page).text


def test_the_same_run_gives_the_same_bytes(
    tmp_path: Path, make_content: Callable[..., RunContent]
) -> None:
    contents = []
    for name in ("one", "two"):
        write_pages(tmp_path / name, make_content(4))
        files = sorted(p for p in (tmp_path / name).rglob("*") if p.is_file())
        contents.append([(p.relative_to(tmp_path / name), p.read_bytes()) for p in files])
    assert contents[0] == contents[1]


def test_g8_a_thousand_candidates_take_seconds(
    tmp_path: Path, make_content: Callable[..., RunContent]
) -> None:
    content = make_content(1000)
    start = time.process_time()
    write_pages(tmp_path / "report", content)
    assert time.process_time() - start < 15
    assert (tmp_path / "report" / "index.html").stat().st_size < 300_000


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no browser")
def test_g1_a_browser_sees_text_and_styles(
    tmp_path: Path, make_content: Callable[..., RunContent]
) -> None:
    content = make_content(12)
    content.candidates["KNOWN"] = "<img src=x onerror=alert(1)>"
    write_pages(tmp_path / "report", content)
    command = [
        "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--enable-logging=stderr",
        f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom",
        (tmp_path / "report" / "index.html").as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "&lt;img src=x onerror=alert(1)&gt;" in done.stdout
    # The script of the table ran; no other, and nothing was refused.
    assert 'class="filter"' in done.stdout
    assert "Content Security Policy" not in done.stderr


def test_the_columns_of_hits_are_those_that_the_pages_know() -> None:
    assert {flag.column for flag in VET_FLAGS} <= {column.name for column in HITS}
