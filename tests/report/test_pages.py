"""The pages of a run are whole; hostile texts are text; nothing is loaded from elsewhere."""

from __future__ import annotations

import importlib
import json
import re
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
from speclens.inspections.events import Inspection
from speclens.report.hit_page import TERMS, groups
from speclens.report.pages import Drawn, write_pages
from speclens.run.record import RunRecord
from speclens.schema import CANDIDATES, COMPANIONS, HEAT_MAP, HITS, KNOWN, VET_FLAGS, dtype_of
from speclens.view.content import DensityFrame, RunContent, Thumbnail

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
        record = RunRecord(
            versions={"speclens": "1.0"}, method="resnet", configuration={}, inputs=["/survey"],
            counts=counts | {"hits": n, "candidates": len(candidates)},
            reasons={"z_low": 7, "truncated": 1}, seconds={"search": 2.5},
            files={"plates": 1, "specs": 0, "ignored": 0},
            **{name: more.pop(name) for name in ("notes", "truth") if name in more},
        )  # fmt: skip
        companions = np.zeros(0, dtype_of(COMPANIONS))
        edges = np.linspace(3800, 5000, 11)
        frame = DensityFrame("wavelength (\u00c5)", edges, np.ones(10), None, np.zeros(10, bool))
        odds = {name: np.full(n, -0.5) for name in TERMS}
        values = {"companions": companions, "known": None, "odds": odds} | more
        values.setdefault("density", [frame] if n else [])
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
    assert len(list((tmp_path / "report" / "hits").glob("*.html"))) == n
    assert (tmp_path / "report" / "density.svg").exists() == (n > 0)


def test_a_run_without_candidates_and_one_of_one_object_say_so(
    tmp_path: Path, make_content: Callable[..., RunContent]
) -> None:
    content = make_content(3, [["MASKED"]] * 3)
    content.hits["TARGETID"] = 5
    content.record.counts["failed"] = 1
    write_pages(tmp_path / "report", content)
    text = Page(tmp_path / "report" / "index.html").text
    # What is amiss stands out, what is told does not.
    html = (tmp_path / "report" / "index.html").read_text()
    assert html.count('class="note"') == html.count('class="note">1 of the inputs') == 1
    assert '<p class="told">Every hit carries' in html
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
    for name in ("method", "catalogue", "folder", "engine"):
        setattr(content.record, name, HOSTILE)
    content.record.inputs, content.record.reasons = [HOSTILE + "\udcff"], {HOSTILE: 3}
    report = tmp_path / "report"
    write_pages(report, content)
    index = Page(report / "index.html")
    shown = HOSTILE.replace("\u202e", "\\u202e")
    assert index.text.count(shown) >= 6
    assert "<script>x" in Page(next((report / "hits").glob("*.html"))).text
    for page in pages(report):
        assert page.stack == []
        assert [a["src"] for t, a in page.tags if t == "script"] in (["table.js"], ["../table.js"])
        assert all(a.get("src", "").endswith((".svg", ".js", "")) for _, a in page.tags)
        assert not [a for _, a in page.tags if any(key[:2] == "on" for key in a)]
        assert "\u202e" not in page.path.read_text()
    sources = {a["src"] for p in pages(report) for t, a in p.tags if t == "img"}
    assert sources == {"funnel.svg", "density.svg"}
    for script in report.glob("*.js"):
        text = script.read_text("ascii")
        assert "\\u202e" not in text.replace("\\\\u202e", "")


def test_c1_ids_beyond_2_53_are_exact_and_name_the_pages(
    tmp_path: Path, make_content: Callable[..., RunContent]
) -> None:
    content = make_content(3, [["MASKED"], [], []])
    for table in (content.hits, content.candidates):
        table["TARGETID"] = 2**53 + 1
    content.hits["WAVE"], content.candidates["WAVE"] = [4000, 4200, 4100], [4200, 4100]
    paths = content.places
    assert [(path.name, path.hit, path.candidate) for path in paths] == [
        ("9007199254740993-3", 1, 0), ("9007199254740993-2", 2, 1), ("9007199254740993-1", 0, -1),
    ]  # fmt: skip
    write_pages(tmp_path / "report", content)
    assert "9007199254740993" in Page(tmp_path / "report" / paths[0].page).text
    assert "9007199254740993" in Page(tmp_path / "report" / "hits-1.html").text
    (rows,) = rows_of(tmp_path / "report" / "hits.js").values()
    assert [row[4] for row in rows] == ["9007199254740993"] * 3


def test_hits_of_unknown_targets_have_pages_of_their_own(
    tmp_path: Path, make_content: Callable[..., RunContent]
) -> None:
    content = make_content(3, [["MASKED"], [], []])
    for table in (content.hits, content.candidates):
        table["TARGETID"], table["WAVE"] = -1, 4300.0
    assert [place.name for place in content.places] == ["hit-1", "hit-2", "hit-0"]
    assert [place.candidate for place in content.places] == [0, 1, -1]
    write_pages(tmp_path / "report", content)
    assert len(list((tmp_path / "report" / "hits").glob("hit-*.html"))) == 3


def test_a_candidate_that_is_no_hit_is_refused(make_content: Callable[..., RunContent]) -> None:
    content = make_content(2)
    with pytest.raises(ValueError, match="is no candidate of the hits"):
        _ = replace(content, hits=content.hits[:1]).places


def test_a_hit_s_page_holds_all_that_was_measured(
    tmp_path: Path, make_content: Callable[..., RunContent]
) -> None:
    companions = np.zeros(3, dtype_of(COMPANIONS))
    companions["HIT"], companions["KIND"] = [2, 1, 2], "neighbour"
    companions["NAME"], companions["FLUX"], companions["FLUX_ERR"] = ["a-2", "b-1", "c-2"], 4.0, 2.0
    content = make_content(3, companions=companions)
    content.candidates["VDISP"] = np.nan
    report = tmp_path / "report"
    write_pages(report, content)
    paths = content.places
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


def test_who_looked_at_a_hit_is_told_on_its_page_and_in_both_lists(
    tmp_path: Path, make_content: Callable[..., RunContent]
) -> None:
    said = {"ann": Inspection("ann", "k", "A"), "<bob>": Inspection("<bob>", "k", "X", ("sky",))}
    content = make_content(3, inspections={1: said})
    write_pages(tmp_path / "report", content)
    (place,) = (place for place in content.places if place.hit == 1)
    text = Page(tmp_path / "report" / place.page).text
    assert "What people said" in text
    assert "residue of a sky line" in text
    assert "<bob>" in text
    others = [other.page for other in content.places if other.hit != 1]
    assert not any("people said" in Page(tmp_path / "report" / page).text for page in others)
    assert "A/X" in Page(tmp_path / "report" / "hits-1.html").text
    assert ("A/X" in Page(tmp_path / "report" / "index.html").text) is (place.candidate >= 0)


def test_no_column_is_left_out_of_a_hit_s_page() -> None:
    told = {name for names in groups().values() for name in names}
    told |= {f"{name}_ERR" for name in told}
    elsewhere = {
        "NAME", "VET_FLAGS", "CANDIDATE", "REASON", "SAME_AS", "GRADE", "N_GRADERS",
    }  # fmt: skip
    assert {column.name for column in CANDIDATES} - told == elsewhere


def test_figures_that_were_drawn_are_shown(
    tmp_path: Path, make_content: Callable[..., RunContent]
) -> None:
    content = make_content(3, [["MASKED"], [], []])
    paths = content.places

    def draw(folder: Path) -> Drawn:
        (folder / "profiles.svg").touch()
        (folder / paths[0].figure).touch()
        (folder / paths[2].figure).touch()
        return Drawn({paths[0].hit: Thumbnail("M1 2h3", "M4 5l6 7")})

    report = tmp_path / "report"
    assert write_pages(report, content, draw) == {}
    assert "profiles.svg" in Page(report / "index.html").links()
    assert f"{paths[0].name}.svg" in Page(report / paths[0].page).links()
    assert "could not be read again" in Page(report / paths[1].page).text
    assert f"{paths[2].name}.svg" in Page(report / paths[2].page).links()
    for name in ("index.html", "hits-1.html"):
        drawn = [a.get("d") for tag, a in Page(report / name).tags if tag == "path"]
        assert drawn == ["M1 2h3", "M4 5l6 7"]


def rows_of(path: Path) -> dict[str, list[list[Any]]]:
    """Rows of a table as its script gives them."""
    start, _, rows = path.read_text().partition(", ")
    kind = json.loads(start.removeprefix("speclensRows("))
    return {kind: json.loads(rows.removesuffix(");\n"))}


def test_the_script_of_a_table_has_all_rows_of_its_pages(
    tmp_path: Path, make_content: Callable[..., RunContent]
) -> None:
    config = load_config(None, ["report.rows_per_page=10"])
    content = make_content(25, [["UNLIKELY"]] * 3, config)
    content.candidates["SKEWNESS"][:2] = 25
    content.candidates["FIT_STATUS"][:2] = "at_bound"
    content.candidates["SKEWNESS_LOW"][:2], content.candidates["SKEWNESS_HIGH"][:2] = [2, -20], 25
    report = tmp_path / "report"
    write_pages(report, content)
    for kind, names in (("hits", 3), ("candidates", 3)):
        ((name, rows),) = rows_of(report / f"{kind}.js").items()
        assert name == kind
        pages = [Page(path) for path in sorted(report.glob(f"{kind}-*.html"))]
        pages += [Page(report / "index.html")] if kind == "candidates" else []
        assert len(pages) == names
        table = [a for _, a in pages[0].tags if a.get("data-kind") == kind and "data-rows" in a]
        assert [(a["data-source"], a["data-rows"], a["data-size"]) for a in table] == [
            (f"{kind}.js", str(len(rows)), "10")
        ]
        linked = {link for page in pages for link in page.links() if link.startswith("hits/")}
        assert {cell["page"] for row in rows for cell in row if "page" in cell} == linked
        assert len(linked) == len(rows)
    # A limit is sorted by its value, and what anything fits by none.
    skewness = [row[9] for row in rows_of(report / "candidates.js")["candidates"]]
    assert skewness[0] == {"text": "> 2.0", "value": 2.0}
    assert skewness[1] == "unconstrained"


def test_long_lists_are_bounded(tmp_path: Path, make_content: Callable[..., RunContent]) -> None:
    config = load_config(None, ["report.rows_per_page=10", "report.rows_max=20"])
    known = np.zeros(500, dtype_of(KNOWN))
    known["NAME"] = [f"system {i}" for i in range(500)]
    known["OUTCOME"], known["OUTCOME"][400:402] = "absent", ["missed", "candidate"]
    content = make_content(40, [["MASKED"]] * 25, config, known=known)
    report = tmp_path / "report"
    write_pages(report, content)
    assert len(list(report.glob("known-*.html"))) == 2
    rows = rows_of(report / "known.js")["known"]
    assert [row[0] for row in rows[:3]] == ["system 401", "system 400", "system 0"]
    assert len(rows) == 20
    pages = {path.stem for path in (report / "hits").glob("*.html")}
    assert len(pages) == 20
    assert pages == {place.name for place in content.places}
    assert sum(place.candidate >= 0 for place in content.places) == 15
    assert "list no more" in Page(report / "hits-1.html").text


def test_what_decided_and_the_terms_of_the_probability_are_on_the_page(
    tmp_path: Path, make_content: Callable[..., RunContent]
) -> None:
    odds = {"always": np.array([-7.0, -7.0]), "skewness": np.array([1.25, 0.5])}
    content = make_content(2, [["UNLIKELY"], []], odds=odds)
    content.hits["REASON"][0] = "peak of 0.5 1e-17 erg/s/cm2/Angstrom"
    report = tmp_path / "report"
    write_pages(report, content)
    kept, rejected = (Page(report / place.page) for place in content.places)
    assert "rejected peak of 0.5 10\u207b\u00b9\u2077 erg s\u207b\u00b9 cm\u207b\u00b2 \u00c5" in (
        rejected.text
    )
    assert "rejected" not in kept.text
    assert "sum -5.75" in rejected.text
    bars = [a for tag, a in rejected.tags if tag == "rect"]
    assert [bar.get("class") for bar in bars] == ["against", None]
    assert float(bars[1]["width"]) / float(bars[0]["width"]) == pytest.approx(1.25 / 7, rel=0.01)
    assert "rejected hit 1 of 1" in rejected.text
    assert "candidate 1 of 1" in kept.text
    content.hits["P_LYA"] = content.candidates["P_LYA"] = np.nan
    write_pages(tmp_path / "unknown", content)
    for place in content.places:
        assert "sum" not in Page(tmp_path / "unknown" / place.page).text


@pytest.mark.parametrize("place", ["page", "row"])
def test_i2_a_fault_in_one_hit_is_its_own(
    tmp_path: Path, make_content: Callable[..., RunContent], monkeypatch: pytest.MonkeyPatch,
    place: str,
) -> None:  # fmt: skip
    content = make_content(4, [["MASKED"], [], []])
    target = {
        "page": "speclens.report.pages.hit_context", "row": "speclens.report.listings.deciding",
    }[place]  # fmt: skip
    module, _, name = target.rpartition(".")
    real = getattr(importlib.import_module(module), name)

    def fails(row: Any, *rest: Any) -> Any:
        if row["FIBERID"] == 3:
            raise ZeroDivisionError("no luck")
        return real(row, *rest)

    monkeypatch.setattr(target, fails)
    report = tmp_path / "report"
    faults = write_pages(report, content)
    assert list(faults) == [2]
    assert re.fullmatch(r"ZeroDivisionError: no luck \(test_pages\.py, line \d+\)", faults[2])
    shown = [Page(path).text for path in sorted((report / "hits").glob("*.html"))]
    assert len(shown) == 4
    assert sum("no luck" in text for text in shown) == (place == "page")
    index = Page(report / "index.html")
    assert "row 2: ZeroDivisionError: no luck" in index.text
    assert index.stack == []
    assert len(rows_of(report / "hits.js")["hits"]) == 4


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, -1e30])
def test_i2_no_number_is_too_odd_for_a_page(
    tmp_path: Path, make_content: Callable[..., RunContent], value: float
) -> None:
    content = make_content(2, [["UNLIKELY"], []], odds={"always": np.full(2, value)})
    for table in (content.hits, content.candidates):
        for name in table.dtype.names or ():
            if table.dtype[name].kind == "f" and name != "WAVE":
                table[name] = value
    assert write_pages(tmp_path / "report", content) == {}


def test_reasons_name_their_limits_and_ignored_files_are_named(
    tmp_path: Path, make_content: Callable[..., RunContent]
) -> None:
    content = make_content(1)
    content.record.files.update(ignored=2, ignored_names=["notes.txt", HOSTILE])
    write_pages(tmp_path / "report", content)
    text = Page(tmp_path / "report" / "index.html").text
    assert f"z <= {content.config.selection.z_min}" in text
    assert "notes.txt" in text
    assert HOSTILE.replace("\u202e", "\\u202e") in text


def test_d2_a_report_that_fails_leaves_the_old_one(
    tmp_path: Path, make_content: Callable[..., RunContent]
) -> None:
    report = tmp_path / "report"
    write_pages(report, make_content(2))
    before = {path.name: path.stat().st_mtime_ns for path in report.rglob("*")}

    def fail(_: Path) -> Drawn:
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
    content.hits["REASON"][:12] = "why not"
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
        if link.startswith("hits/")
    ]
    assert linked == [place.page for place in content.places if place.candidate >= 0]
    told = "".join(Page(report / f"hits-{i}.html").text for i in range(1, 5))
    assert told.count("why not") == 12
    linked = [link for i in range(1, 5) for link in Page(report / f"hits-{i}.html").links()]
    assert {place.page for place in content.places} <= set(linked)
    assert "11 to 20 of 35" in Page(report / "hits-2.html").text


def test_published_systems_give_the_rate_of_discovery(
    tmp_path: Path, make_content: Callable[..., RunContent]
) -> None:
    known = np.zeros(5, dtype_of(KNOWN))
    known["OUTCOME"] = ["candidate", "hit", "missed", "missed", "absent"]
    content = make_content(1, known=known)
    content.record.counts |= {"known_found": 2, "known_scored": 4}
    write_pages(tmp_path / "report", content)
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
    page = next((tmp_path / "report" / "hits").glob("*.html"))
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


def dom_of(page: Path, profile: Path) -> str:
    """What a browser made of a page; nothing was refused, nothing failed."""
    command = [
        "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--enable-logging=stderr",
        "--virtual-time-budget=2000", f"--user-data-dir={profile}", "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "Content Security Policy" not in done.stderr
    assert "Uncaught" not in done.stderr
    return done.stdout


needs_browser = pytest.mark.skipif(shutil.which("chromium") is None, reason="no browser")


@needs_browser
def test_g1_a_browser_sees_text_and_styles(
    tmp_path: Path, make_content: Callable[..., RunContent]
) -> None:
    content = make_content(12)
    content.candidates["KNOWN"] = "<img src=x onerror=alert(1)>"
    write_pages(tmp_path / "report", content)
    dom = dom_of(tmp_path / "report" / "index.html", tmp_path / "profile")
    assert "&lt;img src=x onerror=alert(1)&gt;" in dom
    # The script of the table ran; no other.
    assert 'class="filter"' in dom


@needs_browser
def test_a_browser_sorts_and_filters_over_all_pages_and_limits_by_their_value(
    tmp_path: Path, make_content: Callable[..., RunContent]
) -> None:
    content = make_content(35, config=load_config(None, ["report.rows_per_page=10"]))
    rows = content.candidates
    rows["KNOWN"] = "<b>old</b>"
    rows["KNOWN"][5:] = "new"
    rows["SKEWNESS"], rows["SKEWNESS_LOW"] = np.arange(35), np.arange(35) - 0.5
    rows["SKEWNESS_HIGH"] = rows["SKEWNESS"] + 0.5
    rows["FIT_STATUS"][30:33], rows["SKEWNESS_HIGH"][30:33] = "at_bound", 25
    rows["SKEWNESS_LOW"][30:33] = [6.25, -20, 11.75]
    report = tmp_path / "report"
    write_pages(report, content)
    # The same page, and somebody who clicks: on the heading of the skewness, for high ones first.
    (report / "clicks.js").write_text(
        'const head = document.querySelectorAll("th button")[9]; head.click();\n'
        'const filter = document.querySelector("input.filter"); filter.value = "NEW";\n'
        'filter.dispatchEvent(new Event("input"));\n'
    )
    page = report / "clicked.html"
    script = '<script src="clicks.js" defer></script></head>'
    page.write_text((report / "index.html").read_text().replace("</head>", script))
    dom = dom_of(page, tmp_path / "profile")
    (tmp_path / "dom.html").write_text(dom)
    body = dom[dom.index("<tbody>") : dom.index("</tbody>")]
    ranks = [int(rank) for rank in re.findall(r'<tr><td class="n">(\d+)</td>', body)]
    values = {i + 1: float(i) for i in range(5, 35)} | {31: 6.25, 33: 11.75, 32: -np.inf}
    assert ranks == sorted(values, key=lambda rank: -values[rank])[:10]
    assert "30 of 35 rows" in dom
    assert "1 to 10 of 30" in dom
    assert "Page" not in dom[dom.index("</tbody>") : dom.index('id="funnel"')]


def test_the_columns_of_hits_are_those_that_the_pages_know() -> None:
    assert {flag.column for flag in VET_FLAGS} <= {column.name for column in HITS}


def test_a_hit_of_a_heat_map_shows_it_and_the_others_do_not(
    tmp_path: Path, make_content: Callable[..., RunContent]
) -> None:
    heat_map = np.zeros(2, dtype_of(HEAT_MAP))
    heat_map["HIT"], heat_map["KIND"], heat_map["PROBABILITY"] = 1, "elg", [0.6, 0.3]
    heat_map["Z_SOURCE"] = 0.7, 0.701
    content = make_content(2, heat_map=heat_map)
    write_pages(tmp_path / "report", content)
    shown = {place.hit: Page(tmp_path / "report" / place.page) for place in content.places}
    assert "Heat map of redshifts" not in shown[0].text
    assert "Heat map of redshifts" in shown[1].text
    (picture,) = [link for link in shown[1].links() if link.endswith("-redshifts.svg")]
    assert (tmp_path / "report" / "hits" / picture).is_file()


def test_pages_of_one_line_show_what_other_searches_make_of_it(
    tmp_path: Path, make_content: Callable[..., RunContent]
) -> None:
    content = make_content(3, [[], ["SAME_LINE"], []])
    content.hits["SAME_AS"] = [-1, 0, -1]
    content.hits["SEARCH"], content.hits["HYPOTHESIS"] = (
        ["elg", "lya", "elg"],
        ["oii", "lya", "oii"],
    )
    content.hits["P_HYPOTHESIS"] = [0.75, 0.25, 0.5]
    write_pages(tmp_path / "report", content)
    shown = {place.hit: Page(tmp_path / "report" / place.page) for place in content.places}
    assert "by other searches search the line is z source probability lya lya" in shown[0].text
    assert "elg oii" in shown[1].text
    assert any(page.endswith(Path(content.places[0].page).name) for page in shown[1].links())
    assert "by other searches" not in shown[2].text
