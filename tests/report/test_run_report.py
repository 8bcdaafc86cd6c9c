"""The report of a run: made from the run alone, all of it or nothing."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from scipy.special import expit

from speclens.config import load_config
from speclens.errors import ConfigError, RunError
from speclens.evidence import gather as gathering
from speclens.run.progress import Silent
from speclens.schema import CANDIDATES, HITS, vet_bits
from speclens.stored_tables import read_rows
from speclens.verbs.finish import report_again, vet_again
from speclens.verbs.search import RunSummary
from speclens.vet.probability import odds_terms
from speclens.view import hit_figure

Run = Callable[..., RunSummary]
Write = Callable[..., Path]
Bytes = Callable[[Path], dict[str, bytes]]


def test_a_report_that_was_deleted_comes_back_byte_for_byte(
    few_run: Path, products_of: Bytes
) -> None:
    before = products_of(few_run)
    assert "report/index.html" in before
    shutil.rmtree(few_run / "report")
    report_again(few_run, None, [], 1)
    assert products_of(few_run) == before


def test_a_damaged_file_of_the_report_is_made_again_and_a_foreign_one_stays(
    few_run: Path, products_of: Bytes
) -> None:
    before = products_of(few_run)
    (few_run / "report" / "index.html").write_text("<html>")
    (few_run / "report" / "note.txt").write_text("mine")
    report_again(few_run, None, [], 1)
    assert products_of(few_run) == before | {"report/note.txt": b"mine"}


def test_every_hit_has_its_page_its_figure_and_its_thumbnail(few: Path) -> None:
    hits = read_rows(few / "hits.fits", HITS)
    report = few / "report"
    pages = sorted((report / "hits").glob("*.html"))
    assert len(pages) == len(hits) == 3
    lists = {name: (report / name).read_text() for name in ("hits-1.html", "index.html")}
    assert lists["hits-1.html"].count('<svg class="line"') == 3
    assert lists["index.html"].count('<svg class="line"') == 2
    for page in pages:
        figure = page.with_suffix(".svg")
        assert ElementTree.fromstring(figure.read_text()).tag.endswith("svg")  # noqa: S314 - ours
        assert f'src="{figure.name}"' in page.read_text()
        assert f"hits/{page.name}" in lists["hits-1.html"]
    rejected = hits[~hits["CANDIDATE"]]
    assert [str(reason) for reason in rejected["REASON"]] != [""]
    (page,) = (report / "hits").glob(f"{rejected['TARGETID'][0]}-*.html")
    assert str(rejected["REASON"][0]) in page.read_text()
    assert f"hits/{page.name}" not in lists["index.html"]
    assert (report / "profiles.svg").is_file()


def test_the_terms_on_a_page_add_up_to_the_probability(few: Path) -> None:
    hits = read_rows(few / "hits.fits", HITS)
    odds = sum(odds_terms(hits).values())
    for hit, logarithm in zip(hits, odds, strict=True):
        assert expit(logarithm) == pytest.approx(hit["P_LYA"], abs=1e-6)
        (page,) = (few / "report" / "hits").glob(f"{hit['TARGETID']}-*.html")
        assert f'<th>sum</th><td class="n">{logarithm:z.2f}</td>' in page.read_text()


class Listener(Silent):
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.stages: dict[str, list[int]] = {}

    def stage(self, name: str, total: int, counted: str = "spectra") -> None:  # noqa: ARG002
        self.stages[name] = [total]

    def advance(self, n_spectra: int) -> None:
        list(self.stages.values())[-1].append(n_spectra)


def test_both_stages_tell_how_far_they_are(few_run: Path) -> None:
    heard = Listener()
    vet_again(few_run, None, [], None, 1, heard)
    assert list(heard.stages) == ["vetting", "pages of hits"]
    for total, *steps in heard.stages.values():
        assert (total, sum(steps)) == (len(steps), 3)
    heard = Listener()
    report_again(few_run, None, [], 1, heard)
    assert list(heard.stages) == ["pages of hits"]


def test_i2_a_hit_that_cannot_be_drawn_says_why_and_the_others_are_drawn(
    few_run: Path, monkeypatch: pytest.MonkeyPatch, products_of: Bytes
) -> None:
    before = products_of(few_run)
    hits = read_rows(few_run / "hits.fits", HITS)
    real = hit_figure.draw_hit

    def fails(path: Path, row: np.void, *rest: Any) -> None:
        if row["FIBERID"] == 12:
            raise ZeroDivisionError("no luck")
        real(path, row, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(hit_figure, "draw_hit", fails)
        record = report_again(few_run, None, [], 1)
    assert record.counts["hits_failed"] == 1
    (note,) = (note for note in record.notes if "no luck" in note)
    (bad,) = np.flatnonzero(hits["FIBERID"] == 12)
    assert f"row {bad}: ZeroDivisionError" in note
    pages = few_run / "report" / "hits"
    assert len(list(pages.glob("*.html"))) == 3
    assert len(list(pages.glob("*.svg"))) == 2
    (page,) = pages.glob(f"{hits['TARGETID'][bad]}-*.html")
    assert "no luck" in page.read_text()
    assert "no luck" in (few_run / "report" / "index.html").read_text()
    # Mended, nothing is left of it.
    record = report_again(few_run, None, [], 1)
    assert record.counts["hits_failed"] == 0
    assert not [note for note in record.notes if "no luck" in note]
    assert products_of(few_run) == before


def test_the_page_tells_of_the_companions_of_its_candidate(few: Path) -> None:
    (page,) = (few / "report" / "hits").glob("7550000010-*.html")
    text = page.read_text()
    assert "0008-55000-0010" in text
    assert "0007-55000-0011" in text


def test_a_report_has_its_own_part_of_the_configuration(few_run: Path, products_of: Bytes) -> None:
    tables = {name: c for name, c in products_of(few_run).items() if "report" not in name}
    record = report_again(few_run, None, ["report.n_profiles=1"], 1)
    assert record.configuration["report"]["n_profiles"] == 1
    assert json.loads((few_run / "run.json").read_text()) == record.content
    for override in ("vet.snr_min=9.0", "candidates.cosmology=Planck18", "search.method=resnet"):
        with pytest.raises(ConfigError, match="only report can change now"):
            report_again(few_run, None, [override], 1)
    report_again(few_run, "shu2016", [], 1)
    after = json.loads((few_run / "run.json").read_text())["configuration"]
    assert after["vet"] == record.configuration["vet"]
    assert {n: c for n, c in products_of(few_run).items() if "report" not in n} == tables


@pytest.mark.parametrize(
    ("place", "number"),
    [
        ("folder", errno.EROFS),
        ("funnel", errno.ENOSPC),
        ("svg", errno.ENOSPC),
        ("html", errno.EDQUOT),
    ],
)
def test_d2_a_full_or_read_only_disk_leaves_the_old_report_and_the_tables(
    few_run: Path,
    products_of: Bytes,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    number: int,
) -> None:
    before, record = products_of(few_run), (few_run / "run.json").read_bytes()

    def full(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    target = {
        "folder": "speclens.report.folder.Path.rename",
        "funnel": "speclens.report.pages.draw_funnel",
        "svg": "speclens.view.hit_figure.draw_hit",
        "html": "speclens.report.pages.Path.write_bytes",
    }[place]
    monkeypatch.setattr(target, full)
    with pytest.raises(RunError, match=f"report: cannot write: {os.strerror(number)}"):
        report_again(few_run, None, [], 1)
    monkeypatch.undo()
    assert products_of(few_run) == before
    assert (few_run / "run.json").read_bytes() == record
    assert [p.name for p in few_run.iterdir() if p.name.startswith(".")] == []


@pytest.mark.parametrize("product", ["hits.fits", "candidates.csv", "report", "run.json"])
def test_d2_vetting_on_a_full_disk_is_done_by_the_next_call(
    few_run: Path, products_of: Bytes, monkeypatch: pytest.MonkeyPatch, product: str
) -> None:
    before, fsync = products_of(few_run), os.fsync
    limits = ["vet.snr_min=1000.0"]

    def full(descriptor: int) -> None:
        if product in os.readlink(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    def full_folder(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        if product == "report":
            patch.setattr(Path, "write_bytes", full_folder)
        with pytest.raises(RunError, match=rf"{product}.*cannot write: No space left"):
            vet_again(few_run, None, limits, None, 1)
    now = products_of(few_run)
    if product != "run.json":
        kept = [name for name in before if name == product or name.startswith(f"{product}/")]
        assert len(kept) > 0
        assert {name: now[name] for name in kept} == {name: before[name] for name in kept}
    # Every table is whole: the old one or the new one.
    for name, columns in (("hits", HITS), ("candidates", CANDIDATES)):
        for suffix in ("fits", "ecsv"):
            read_rows(few_run / f"{name}.{suffix}", columns)
    vet_again(few_run, None, limits, None, 1)
    assert (read_rows(few_run / "hits.fits", HITS)["VET_FLAGS"] & vet_bits(["FAINT"])).all()
    assert products_of(few_run) != before


def test_a_candidate_whose_spectrum_is_gone_has_a_page_without_a_figure(
    tmp_path: Path,
    make_few: Callable[[Path], Path],
    search_few: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    survey, run, gather = make_few(tmp_path / "in"), tmp_path / "run", gathering.gather

    def vanishing(*given: Any) -> None:
        (survey / "spec-0007-55000-0010.fits").unlink()
        gather(*given)

    monkeypatch.setattr("speclens.verbs.stages.gather", vanishing)
    search_few(run, survey, overrides=("vet.vetoes=[]",))
    candidates = read_rows(run / "candidates.fits", CANDIDATES)
    assert candidates["FIT_STATUS"].tolist().count("no_spectrum") == 1
    # Without a probability it comes last.
    assert candidates["FIT_STATUS"][-1] == "no_spectrum"
    assert np.isnan(candidates["P_LYA"][-1])
    folder = run / "report" / "hits"
    (page,) = folder.glob("7550000010-*.html")
    assert not page.with_suffix(".svg").exists()
    assert f"{page.stem}.svg" not in page.read_text()
    assert len(list(folder.glob("*.svg"))) == 2
    assert "spectra could not be read again" in (run / "report" / "index.html").read_text()


def test_the_page_gives_the_digest_of_its_configuration(few: Path) -> None:
    config = load_config(None, (), json.loads((few / "run.json").read_text())["configuration"])
    text = (few / "report" / "index.html").read_text()
    assert config.digest in text
