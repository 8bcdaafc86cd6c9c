"""The report of a run: made from the run alone, all of it or nothing."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from speclens.config import load_config
from speclens.errors import ConfigError, RunError
from speclens.pipeline import gather as gathering
from speclens.pipeline.finish import report_again, vet_again
from speclens.pipeline.search import RunSummary
from speclens.report.content import candidate_paths
from speclens.schema import CANDIDATES, HITS, vet_bits
from speclens.stored_tables import read_rows

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


def test_every_candidate_has_its_page_and_its_figure(few: Path) -> None:
    hits, candidates = (
        read_rows(few / f"{name}.fits", columns)
        for name, columns in (("hits", HITS), ("candidates", CANDIDATES))
    )
    places = candidate_paths(hits, candidates)
    assert len(places) == 2
    index = (few / "report" / "index.html").read_text()
    for place in places:
        assert place.page in index
        page = (few / "report" / place.page).read_text()
        assert Path(place.figure).name in page
        assert (few / "report" / place.figure).read_bytes().startswith(b"\x89PNG")
    assert (few / "report" / "profiles.png").is_file()


def test_the_page_tells_of_the_companions_of_its_candidate(few: Path) -> None:
    (page,) = (few / "report" / "candidates").glob("7550000010-*.html")
    text = page.read_text()
    assert "0008-55000-0010" in text
    assert "0007-55000-0011" in text


def test_a_report_has_its_own_part_of_the_configuration(few_run: Path, products_of: Bytes) -> None:
    tables = {name: c for name, c in products_of(few_run).items() if "report" not in name}
    record = report_again(few_run, None, ["report.n_profiles=1"], 1)
    assert record["configuration"]["report"]["n_profiles"] == 1
    assert json.loads((few_run / "run.json").read_text()) == record
    for override in ("vet.snr_min=9.0", "candidates.cosmology=Planck18", "search.method=resnet"):
        with pytest.raises(ConfigError, match="only report can change now"):
            report_again(few_run, None, [override], 1)
    report_again(few_run, "shu2016", [], 1)
    after = json.loads((few_run / "run.json").read_text())["configuration"]
    assert after["vet"] == record["configuration"]["vet"]
    assert {n: c for n, c in products_of(few_run).items() if "report" not in n} == tables


@pytest.mark.parametrize(
    ("place", "number"),
    [("folder", errno.EROFS), ("png", errno.ENOSPC), ("html", errno.EDQUOT)],
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
        "png": "speclens.report.candidate_figure.draw_candidate",
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

    monkeypatch.setattr("speclens.pipeline.search.gather", vanishing)
    search_few(run, survey, overrides=("vet.vetoes=[]",))
    candidates = read_rows(run / "candidates.fits", CANDIDATES)
    assert candidates["FIT_STATUS"].tolist().count("no_spectrum") == 1
    # Without a probability it comes last.
    assert candidates["FIT_STATUS"][-1] == "no_spectrum"
    assert np.isnan(candidates["P_LYA"][-1])
    folder = run / "report" / "candidates"
    (page,) = folder.glob("7550000010-*.html")
    assert not page.with_suffix(".png").exists()
    assert f"{page.stem}.png" not in page.read_text()
    assert len(list(folder.glob("*.png"))) == 2
    assert "spectra could not be read again" in (run / "report" / "index.html").read_text()


def test_the_page_gives_the_digest_of_its_configuration(few: Path) -> None:
    config = load_config(None, (), json.loads((few / "run.json").read_text())["configuration"])
    text = (few / "report" / "index.html").read_text()
    assert config.digest in text
