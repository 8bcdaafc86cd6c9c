"""Vetting and reporting again: what may change now, what may not, and what is no run."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import speclens
from speclens.config import load_config
from speclens.errors import ConfigError, RunError
from speclens.products import write_fits
from speclens.run.clock import Clock
from speclens.run.folder import locked_folder
from speclens.run.kinds import FORMAT, RUN
from speclens.run.record import RunRecord
from speclens.schema import HITS, text_width
from speclens.stored_tables import read_rows, read_table
from speclens.verbs.finish import report_again, vet_again
from speclens.verbs.search import RunSummary

Run = Callable[..., RunSummary]
Write = Callable[..., Path]
Bytes = Callable[[Path], dict[str, bytes]]
AGAIN: tuple[Callable[[Path], Any], ...] = (
    lambda run: vet_again(run, None, [], None, 1),
    lambda run: report_again(run, None, [], 1),
)
VERBS = pytest.mark.parametrize("verb", AGAIN, ids=["vet", "report"])


def record_of(run: Path) -> dict[str, Any]:
    return dict(json.loads((run / "run.json").read_text()))


@pytest.mark.parametrize("source", ["shu2016", "li2019"])
def test_of_a_configuration_only_the_later_sections_are_taken(few_run: Path, source: str) -> None:
    before = record_of(few_run)
    record, *_ = vet_again(few_run, source, [], None, 1)
    wanted = load_config(source).model_dump(mode="json")
    after = record_of(few_run)
    assert after == json.loads(json.dumps(record.content))
    assert after["configuration"]["vet"]["vetoes"] == wanted["vet"]["vetoes"]
    assert after["configuration"]["vet"]["snr_min"] == wanted["vet"]["snr_min"]
    for section in set(wanted) - {"vet", "candidates", "report"}:
        assert after["configuration"][section] == before["configuration"][section], section
    assert wanted["search"] != before["configuration"]["search"] or source == "shu2016"
    assert after["method"] == before["method"]
    assert after["configuration_sha256"] != before["configuration_sha256"]
    header = read_table(few_run / "hits.fits").meta
    assert header["CONFIG"] == after["configuration_sha256"][:16]


def test_the_papers_vet_as_they_say(few_run: Path) -> None:
    flags = {}
    for source in ("shu2016", "li2019"):
        vet_again(few_run, source, [], None, 1)
        hits = read_rows(few_run / "hits.fits", HITS)
        flags[source] = hits["CANDIDATE"].tolist()
        np.testing.assert_array_equal(hits["SNR"] > 8, [True] * 3)
    # Neither looks into other spectra of the object.
    assert flags["shu2016"] == [True, True, True]


def test_limits_stay_until_they_are_changed(few_run: Path) -> None:
    vet_again(few_run, None, ["vet.snr_min=40.0"], None, 1)
    vet_again(few_run, None, ["vet.peak_min=2.0"], None, 1)
    vet = record_of(few_run)["configuration"]["vet"]
    assert (vet["snr_min"], vet["peak_min"]) == (40.0, 2.0)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["search.method=resnet"], r"--set search: only vet, candidates, report can change now"),
        (["preparation.mask_half_width=3", "noise.quantile_divisor=2.0"],
         r"--set noise, preparation: only .* search again into another folder"),
        (["vet.spectrum=[3600.0, 9000.0]"], r"vet\.spectrum: .* run the same search with it"),
        (["vet.repeat_arcsec=2.0"], r"vet\.repeat_arcsec: .* run the same search with it"),
        (["vet.snr_mim=5"], r"unknown key 'vet\.snr_mim'; did you mean 'vet\.snr_min'"),
        (['vet.vetoes=["FAINTISH"]'], r"FAINTISH: no such flag; known: .*FAINT"),
        (["candidates.cosmology=Plank18"], r"Plank18.*did you mean 'Planck18'"),
    ],
)  # fmt: skip
def test_h1_what_needs_a_new_search_is_refused_with_a_remedy(
    few_run: Path, products_of: Bytes, overrides: list[str], message: str
) -> None:
    before, record = products_of(few_run), record_of(few_run)
    with pytest.raises(ConfigError, match=message) as caught:
        vet_again(few_run, None, overrides, None, 1)
    assert caught.value.exit_code == 2
    assert products_of(few_run) == before
    assert record_of(few_run) == record


def test_what_needs_a_new_search_may_be_named_with_the_value_that_it_had(few_run: Path) -> None:
    arcsec = record_of(few_run)["configuration"]["vet"]["repeat_arcsec"]
    vet_again(few_run, None, [f"vet.repeat_arcsec={arcsec}"], None, 1)


@VERBS
def test_a_folder_that_is_no_run_is_refused_and_left_alone(tmp_path: Path, verb: Any) -> None:
    thesis = tmp_path / "thesis"
    with pytest.raises(RunError, match=r"thesis: no run of speclens; give the -o of a search"):
        verb(thesis)
    assert not thesis.exists()
    thesis.mkdir()
    (thesis / "chapter1.txt").write_text("It was")
    with pytest.raises(RunError, match=r"thesis: no run of speclens"):
        verb(thesis)
    with pytest.raises(RunError, match=r"chapter1\.txt: no run of speclens"):
        verb(thesis / "chapter1.txt")
    assert [path.name for path in thesis.rglob("*")] == ["chapter1.txt"]


@VERBS
def test_a_search_that_has_not_ended_is_refused(few_run: Path, verb: Any) -> None:
    (few_run / "run.json").unlink()
    with pytest.raises(RunError, match=r"its search has not ended; run the same search again"):
        verb(few_run)


@VERBS
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"format": FORMAT + 1, "versions": {"speclens": "9.9"}},
            rf"written by speclens 9\.9 in format {FORMAT + 1}, and this is "
            rf"{re.escape(speclens.__version__)}, which reads format {FORMAT}: install a newer",
        ),
        (
            {"format": 1, "versions": {"speclens": "0.0.1"}},
            rf"written by speclens 0\.0\.1 in format 1, .*{FORMAT}: search again into another",
        ),
        ({"format": None}, r"in format 1, .*: search again into another folder"),
    ],
    ids=["newer", "older", "oldest"],
)
def test_d8_a_run_of_another_version_says_which_is_needed(
    few_run: Path, products_of: Bytes, verb: Any, change: dict[str, Any], message: str
) -> None:
    before, record = products_of(few_run), record_of(few_run) | change
    if record["format"] is None:
        del record["format"]  # the first version did not write it
    (few_run / "run.json").write_text(json.dumps(record))
    with pytest.raises(RunError, match=message) as caught:
        verb(few_run)
    assert "\n" not in str(caught.value)
    assert products_of(few_run) == before


@VERBS
@pytest.mark.parametrize("content", ["", '{"half', "[1, 2]", "5"])
def test_d4_a_damaged_record_is_named(few_run: Path, verb: Any, content: str) -> None:
    (few_run / "run.json").write_text(content)
    with pytest.raises(RunError, match=r"run\.json: damaged"):
        verb(few_run)


@VERBS
def test_d3_a_run_that_another_process_holds_is_refused(few_run: Path, verb: Any) -> None:
    with (
        locked_folder(few_run, RUN),
        pytest.raises(RunError, match="another run is already running there"),
    ):
        verb(few_run)


@VERBS
def test_d8_hits_of_another_version_name_what_is_missing(few_run: Path, verb: Any) -> None:
    path = few_run / "hits.fits"
    columns = [column for column in HITS if column.name != "SKEWNESS"]
    older = read_rows(path, columns)
    width = text_width(older, "FILE")
    write_fits(path, [older], len(older), columns, {"CREATOR": "speclens 0.0.9"}, FILE=width)
    message = r"hits\.fits: expected .*: SKEWNESS not there, because speclens 0\.0\.9 wrote it"
    with pytest.raises(RunError, match=message):
        verb(few_run)


@VERBS
def test_d10_hits_that_were_damaged_are_refused(few_run: Path, verb: Any) -> None:
    path = few_run / "hits.fits"
    path.write_bytes(path.read_bytes()[:-2880])
    with pytest.raises(RunError, match=r"hits\.fits: damaged .*; run the search again") as caught:
        verb(few_run)
    assert "\n" not in str(caught.value)


def test_run_json_holds_counts_configuration_and_times(few: Path) -> None:
    record = record_of(few)
    assert record["format"] == FORMAT
    counts = record["counts"]
    assert counts == {
        "read": 5, "scored": 5, "skipped": 0, "failed": 0, "hits": 3, "candidates": 2,
        "hits_failed": 0,
    }  # fmt: skip
    assert len(read_table(few / "hits.fits")) == counts["hits"]
    assert len(read_table(few / "candidates.fits")) == counts["candidates"]
    stages = ["prepare", "search", "merge", "gather", "vet", "report"]
    assert list(record["seconds"]) == stages
    assert all(seconds >= 0 for seconds in record["seconds"].values())
    assert record["spectra_per_second"] > 0
    config = load_config(None, (), record["configuration"])
    assert config.digest == record["configuration_sha256"]
    (note,) = record["notes"]
    assert note.startswith("too few hits to test for over-densities: 3")


def test_a_list_of_published_systems_that_cannot_be_read_changes_nothing(
    few_run: Path, products_of: Bytes, tmp_path: Path
) -> None:
    before = products_of(few_run)
    (tmp_path / "known.csv").write_text("colour,taste\nred,sweet\n")
    for name in ("known.csv", "absent.csv"):
        with pytest.raises(RunError, match=name):
            vet_again(few_run, None, [], str(tmp_path / name), 1)
    assert products_of(few_run) == before


def test_the_clock_tells_the_time_since_the_stage_before(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([100.0, 101.5, 104.0, 200.0, 200.25])
    monkeypatch.setattr("time.perf_counter", lambda: next(times))
    clock = Clock()
    clock.done("read")
    clock.done("search")
    assert clock.seconds == {"read": 1.5, "search": 2.5}
    later = Clock(clock.seconds)
    later.done("search")
    assert clock.seconds == {"read": 1.5, "search": 0.25}


def test_headers_name_the_model_only_where_there_is_one() -> None:
    record = RunRecord({}, "resnet", {}, [], configuration_sha256="c" * 64, model_sha256="a" * 64)
    assert record.cards == {
        "CREATOR": f"speclens {speclens.__version__}", "METHOD": "resnet", "MODEL": "a" * 16,
        "CONFIG": "c" * 16,
    }  # fmt: skip
    assert "MODEL" not in replace(record, model_sha256=None).cards
