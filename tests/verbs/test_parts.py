"""Parts of a run, merged: the same bytes as of one search, or a refusal that says what to do."""

from __future__ import annotations

import json
import os
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits
from typer.testing import CliRunner

from speclens.cli.app import app
from speclens.config import load_config
from speclens.errors import ConfigError, RunError
from speclens.read.discovery import find_survey_files
from speclens.read.shards import Shard, make_shards
from speclens.run.parts import Share
from speclens.verbs.merge import merge_parts
from speclens.verbs.parts import search_part
from speclens.verbs.search import SearchRequest, search

Bytes = Callable[[Path], dict[str, bytes]]
FEW = (
    "search.method=matched-filter",
    'vet.vetoes=["MASKED", "NEIGHBOUR", "NOT_REPEATED", "ONE_EXPOSURE"]',
)
TIMES = ("seconds", "spectra_per_second")


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory, mock_survey: Path, make_few: Any) -> Path:
    """Three plates, and a shard of single spectra; not to be changed."""
    folder = tmp_path_factory.mktemp("parts") / "survey"
    shutil.copytree(mock_survey, folder)
    make_few(folder / "specs")
    return folder


def request_of(output: Path, survey: Path, *overrides: str, **more: Any) -> SearchRequest:
    config = load_config(None, (*FEW, *overrides))
    return SearchRequest([str(survey)], output, config, **more)


@pytest.fixture(scope="module")
def undivided(tmp_path_factory: pytest.TempPathFactory, survey: Path) -> Path:
    """One search of it all, with its report; not to be changed."""
    run = tmp_path_factory.mktemp("undivided") / "run"
    search(request_of(run, survey))
    return run


def record_of(run: Path) -> dict[str, Any]:
    record = json.loads((run / "run.json").read_text())
    return {key: value for key, value in record.items() if key not in TIMES}


def without_times(products: dict[str, bytes]) -> dict[str, bytes]:
    """Leave out the pages that tell seconds, and what marks the folder and its parts."""
    return {
        name: content
        for name, content in products.items()
        if not name.startswith("parts/") and name not in ("report/index.html", "report/tables.html")
    }


def same_as(undivided: Path, merged: Path, products_of: Bytes) -> None:
    one, other = (without_times(products_of(run)) for run in (undivided, merged))
    assert one.keys() == other.keys()
    assert [name for name in one if one[name] != other[name]] == []
    assert {"spectra.fits", "hits.fits", "hypotheses.fits", "candidates.tex"} <= one.keys()
    assert record_of(merged) == record_of(undivided)


@pytest.mark.parametrize(
    ("of", "order"), [(1, (1,)), (2, (2, 1)), (3, (1, 3, 2)), (7, (7, 3, 5, 1, 2, 6, 4))]
)
def test_e5_parts_in_any_order_give_the_bytes_of_one_search(
    of: int,
    order: tuple[int, ...],
    survey: Path,
    undivided: Path,
    products_of: Bytes,
    tmp_path: Path,
) -> None:
    run = tmp_path / "run"
    n_shards = [search_part(request_of(run, survey), Share(i, of)).n_shards for i in order]
    assert sum(n_shards) == 4
    summary = merge_parts([run])
    assert summary.n_new == summary.counts["read"] > 100
    same_as(undivided, run, products_of)


def test_e2_a_part_that_runs_twice_and_a_merge_that_is_done_twice_change_no_byte(
    survey: Path, undivided: Path, products_of: Bytes, tmp_path: Path
) -> None:
    run, other = tmp_path / "run", tmp_path / "other"
    for share in (Share(1, 2), Share(2, 2), Share(2, 2)):
        part = search_part(request_of(run, survey), share)
    assert part.n_new == 0
    # On another machine too, into another folder.
    search_part(request_of(other, survey), Share(1, 2))
    with pytest.raises(ConfigError, match="several RUN"):
        merge_parts([other, run])
    merge_parts([other, run], tmp_path / "merged")
    same_as(undivided, tmp_path / "merged", products_of)
    assert not (run / "run.json").exists()
    merge_parts([run])
    before = products_of(run)
    merge_parts([run])
    assert without_times(products_of(run)) == without_times(before)
    same_as(undivided, run, products_of)
    # The parts themselves may be given, and have been moved.
    moved = shutil.move(run / "parts", tmp_path / "moved")
    merge_parts(sorted(Path(moved).iterdir()), tmp_path / "again")
    same_as(undivided, tmp_path / "again", products_of)


@pytest.mark.usefixtures("no_report")
def test_a_search_into_a_merged_run_finds_all_done(
    survey: Path, undivided: Path, tables_of: Bytes, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    search_part(request_of(run, survey), Share(1, 1))
    merge_parts([run])
    shutil.rmtree(run / "parts")
    assert search(request_of(run, survey)).n_new == 0
    assert tables_of(run) == tables_of(undivided)


@pytest.mark.usefixtures("no_report")
def test_d1_a_part_that_is_missing_unfinished_or_damaged_is_named(
    survey: Path, tmp_path: Path, undivided: Path, tables_of: Bytes
) -> None:
    run = tmp_path / "run"
    with pytest.raises(RunError, match=r"run: no parts of a run there; speclens search --shard"):
        merge_parts([run])
    for number in (1, 4):
        search_part(request_of(run, survey), Share(number, 4))
    with pytest.raises(RunError, match=r"no part 2/4, 3/4; run .* with --shard 2/4"):
        merge_parts([run])
    with pytest.raises(RunError, match=r"holds parts of a run; speclens merge .*run joins them"):
        search(request_of(run, survey))
    for number in (2, 3):
        search_part(request_of(run, survey), Share(number, 4))
    record = run / "parts" / "3-of-4" / "part.json"
    content = record.read_bytes()
    record.unlink()
    with pytest.raises(RunError, match=r"3-of-4: this part has not ended; run its search again"):
        merge_parts([run])
    record.write_bytes(b'{"share": [3]}')
    with pytest.raises(RunError, match=r"part\.json: damaged"):
        merge_parts([run])
    record.write_bytes(content)
    [result] = (run / "parts" / "3-of-4" / "work").glob("*.shard")
    whole = result.read_bytes()
    result.write_bytes(whole[:-1])
    with pytest.raises(RunError, match=r"part 3/4 .*is missing or damaged"):
        merge_parts([run])
    # The same search mends it.
    assert search_part(request_of(run, survey), Share(3, 4)).n_new > 0
    assert result.read_bytes() == whole
    merge_parts([run])
    assert tables_of(run) == tables_of(undivided)


@pytest.mark.usefixtures("no_report")
def test_d5_parts_of_another_configuration_or_of_other_files_are_refused(
    survey: Path, tmp_path: Path
) -> None:
    run, other = tmp_path / "run", tmp_path / "other"
    search_part(request_of(run, survey), Share(1, 2))
    for override, key in (
        ("matched_filter.snr_min=7.0", "matched_filter.snr_min: was 6.0, now 7.0"),
        ("vet.snr_min=9.0", "vet.snr_min"),
    ):
        output = other / key[:5]
        search_part(request_of(output, survey, override), Share(2, 2))
        with pytest.raises(RunError, match=rf"are not of one run \(.*{key}"):
            merge_parts([run, output], tmp_path / "merged")
    with pytest.raises(RunError, match=r"1-of-2: a part of 2, which .* --shard 2/3: delete it"):
        search_part(request_of(run, survey), Share(2, 3))
    with pytest.raises(RunError, match=r"another setup .*snr_min"):
        search_part(request_of(run, survey, "matched_filter.snr_min=7.0"), Share(1, 2))
    search_part(request_of(other / "three", survey), Share(2, 3))
    with pytest.raises(RunError, match=r"--shard: was 1/2, now 2/3"):
        merge_parts([run, other / "three"], tmp_path / "merged")
    # A plate fewer when the second part was searched, and when they are merged.
    fewer = tmp_path / "fewer"
    shutil.copytree(survey, fewer)
    for number in (1, 2):
        search_part(request_of(other / "moved", fewer), Share(number, 2))
    next(iter(fewer.rglob("spPlate-*"))).unlink()
    with pytest.raises(RunError, match="other files are there than when part 1/2"):
        merge_parts([other / "moved"])
    search_part(request_of(other / "moved", fewer), Share(2, 2))
    with pytest.raises(RunError, match=r"are not of one run \(shards: "):
        merge_parts([other / "moved"])
    assert not (tmp_path / "merged").exists()


@pytest.mark.usefixtures("no_report")
def test_d3_a_part_that_is_at_work_is_neither_searched_again_nor_merged(
    survey: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    said: list[str] = []

    def meanwhile(*_: Any) -> None:
        for again in (
            lambda: search_part(request_of(run, survey), Share(1, 1)),
            lambda: merge_parts([run]),
        ):
            with pytest.raises(RunError, match="already running") as refusal:
                again()
            said.append(str(refusal.value))

    with monkeypatch.context() as patch:
        patch.setattr("speclens.run.progress.Silent.advance", meanwhile)
        search_part(request_of(run, survey), Share(1, 1))
    assert len(said) == 8
    merge_parts([run])


def test_every_shard_is_in_one_part_whatever_their_number(survey: Path) -> None:
    shards = make_shards(find_survey_files([str(survey)]))
    for of in range(1, 12):
        parts = [Share(number, of).among(shards) for number in range(1, of + 1)]
        joined: list[Shard] = [shard for part in parts for shard in part]
        assert sorted(joined, key=shards.index) == shards
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("text", ["0/4", "5/4", "-1/4", "1/0", "1", "a/b", "1/4/2", "1.0/2", "/"])
def test_no_such_part_is_wrong_usage(text: str) -> None:
    with pytest.raises(ConfigError, match="expected I/N with I from 1 to N"):
        Share.read(text)
    assert (Share.read("3/20").number, Share.read("3/20").of) == (3, 20)


@pytest.mark.usefixtures("no_report")
def test_the_commands_search_parts_and_merge_them(
    survey: Path, tables_of: Bytes, tmp_path: Path
) -> None:
    run, whole = tmp_path / "run", tmp_path / "whole"
    options = [item for key in FEW for item in ("--set", key)]
    command = ["search", str(survey), "--workers", "1", *options]
    for number in (1, 2):
        result = CliRunner().invoke(app, [*command, "-o", str(run), "--shard", f"{number}/2"])
        assert result.exit_code == 0, result.output
        assert f"part {number}/2: 2 shards" in result.output
        assert f"speclens merge {run}" in result.output
    result = CliRunner().invoke(app, ["merge", str(run), "--workers", "1"])
    assert result.exit_code == 0, result.output
    assert "scored" in result.output
    assert CliRunner().invoke(app, [*command, "-o", str(whole)]).exit_code == 0
    assert tables_of(run) == tables_of(whole)
    refused = CliRunner().invoke(app, [*command, "-o", str(run), "--shard", "3/2"])
    assert isinstance(refused.exception, ConfigError)


@pytest.mark.usefixtures("no_report")
def test_i3_a_file_that_changed_after_its_part_is_refused_and_newer_results_stay(
    survey: Path, tables_of: Bytes, tmp_path: Path
) -> None:
    mine, run = tmp_path / "survey", tmp_path / "run"
    shutil.copytree(survey, mine)
    for number in (1, 2):
        search_part(request_of(run, mine), Share(number, 2))
    (plate, *_) = sorted(mine.rglob("spPlate-*.fits"))
    with fits.open(plate, mode="update") as hdus:
        hdus[0].data *= 1.5
    with pytest.raises(RunError, match=rf"{plate.name}: .* has changed since part 1/2"):
        merge_parts([run])
    search_part(request_of(run, mine), Share(1, 2))
    merge_parts([run])
    # A copy with another time is the same file.
    before = tables_of(run)
    os.utime(plate, (1, 1))
    merge_parts([run])
    assert tables_of(run) == before


@pytest.mark.usefixtures("no_report")
def test_i2_parts_of_a_relative_path_are_merged_from_anywhere(
    survey: Path, tables_of: Bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    monkeypatch.chdir(survey.parent)
    for number in (1, 2):
        search_part(request_of(run, Path(survey.name)), Share(number, 2))
    monkeypatch.chdir(tmp_path)
    merge_parts([run])
    search(request_of(tmp_path / "whole", survey))
    assert tables_of(run) == tables_of(tmp_path / "whole")
    # A search by the other name of the same files finds all done.
    monkeypatch.chdir(survey.parent)
    assert search(request_of(run, Path(survey.name))).n_new == 0


def test_i1_an_output_that_could_not_become_a_run_is_refused_before_the_work(
    survey: Path, tmp_path: Path
) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("mine")
    for output, more, message in (
        (survey, {}, "it is an input"),
        (foreign, {}, r"not empty \(thesis.tex\)"),
        (tmp_path / "run", {"known": str(tmp_path / "none.csv")}, "none.csv"),
    ):
        with pytest.raises(RunError, match=message):
            search_part(request_of(output, survey, **more), Share(1, 2))
        assert not (output / "parts").exists()


@pytest.mark.usefixtures("no_report")
def test_i12_many_parts_need_few_open_files(survey: Path, tmp_path: Path) -> None:
    run, many = tmp_path / "run", 40
    for number in range(1, many + 1):
        search_part(request_of(run, survey), Share(number, many))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/dev/fd")) + 25, hard))
    try:
        merge_parts([run])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
