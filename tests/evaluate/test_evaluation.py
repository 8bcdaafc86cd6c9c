"""Injection and recovery: faint lines are lost, bright ones are found, the seed decides."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from speclens.cli.summaries import print_evaluation
from speclens.config import Config, load_config
from speclens.errors import ConfigError, RunError
from speclens.evaluate import parts
from speclens.evaluate.counting import Tally, count_rows
from speclens.evaluate.drawing import DECOYS
from speclens.evaluate.evaluation import Evaluation, evaluate
from speclens.evaluate.parts import PartSettings, ShardPart, make_parts
from speclens.read.sdss.survey import PLATES, SPECS
from speclens.read.shards import Shard
from speclens.run.job import WorkerDiedError
from speclens.run.progress import Silent
from speclens.run.store import ShardStore
from speclens.schema import RECOVERED
from speclens.search import scan
from speclens.search.scan import ScanSettings
from speclens.search.scanned import Scanned, stored_rows
from speclens.search.shard_rows import ShardRows
from speclens.stored_tables import read_table
from speclens.verbs.evaluate import EvaluationRequest
from speclens.verbs.evaluate import evaluate as of_run
from speclens.verbs.finish import vet_again
from speclens.verbs.search import Asked, Purpose, RunSummary, SearchRequest, search

REPEATS = 15
NOBODY = np.zeros(0, np.int64)
PRODUCTS = ("lines.fits", "lines.ecsv", "completeness.json")


class Heard(Silent):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, int]] = []
        self.messages: list[str] = []

    def stage(self, name: str, total: int, counted: str = "spectra") -> None:  # noqa: ARG002
        self.stages.append((name, total))

    def message(self, text: str) -> None:
        self.messages.append(text)


@pytest.fixture(scope="session")
def mock_survey(mock_survey: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The mock survey as an observer has it, who knows nothing of its sources."""
    folder = tmp_path_factory.mktemp("observed") / "survey"
    shutil.copytree(mock_survey, folder, ignore=shutil.ignore_patterns("truth.*"))
    return folder


@pytest.fixture
def no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("speclens.view.figures.draw_completeness", lambda *_: None)


@pytest.fixture
def few_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("speclens.evaluate.parts.REPEATS_TOGETHER", 2)


@pytest.fixture(scope="module")
def filter_config(mock_config: Config) -> Config:
    search = mock_config.search.model_copy(update={"method": "matched-filter"})
    return mock_config.model_copy(update={"search": search})


def products_of(output: Path) -> dict[str, bytes]:
    return {name: (output / name).read_bytes() for name in PRODUCTS}


@pytest.fixture(scope="module")
def plate(mock_survey: Path) -> Path:
    return min(mock_survey.glob("*/spPlate-*.fits"))


@pytest.fixture(scope="module")
def result(
    mock_survey: Path, filter_config: Config, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Evaluation]:
    output = tmp_path_factory.mktemp("evaluation")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("speclens.view.figures.draw_completeness", lambda *_: None)
        return output, evaluate([str(mock_survey)], output, filter_config, REPEATS, 7)


def test_the_filter_finds_more_of_what_is_ideally_clearer(
    result: tuple[Path, Evaluation],
) -> None:
    lines = result[1].lines
    seen = lines[lines["SEARCHED"]]
    faint = seen["FOUND"][np.abs(seen["IDEAL_SNR"] - 3) < 0.7]
    bright = seen["FOUND"][seen["IDEAL_SNR"] > 9]
    assert len(faint) > 30
    assert faint.mean() < 0.2
    assert len(bright) > 500
    assert bright.mean() > 0.95
    assert 5 < result[1].numbers["ideal_snr_at_50_percent"] < 8


def test_counts_are_those_of_the_lines(result: tuple[Path, Evaluation]) -> None:
    output, evaluation = result
    lines, numbers = evaluation.lines, evaluation.numbers
    (counts,) = evaluation.completeness.values()
    (own,) = evaluation.of_search.values()
    assert own.items() <= numbers.items()
    assert len(lines) == numbers["lines"] == REPEATS * numbers["spectra"]
    assert numbers["spectra"] > 50
    seen = lines[lines["SEARCHED"]]
    assert numbers["lines_at_masked_wavelengths"] == len(lines) - len(seen)
    assert numbers["found"] == seen["FOUND"].sum()
    assert counts.n_found.sum() <= numbers["found"]
    assert (counts.n_found <= counts.n_lines).all()
    for name in ("SNR", "WAVE", "FLUX", "FLUX_ERR"):
        np.testing.assert_array_equal(np.isfinite(lines[f"{name}_FOUND"]), lines["FOUND"])
    record = json.loads((output / "completeness.json").read_text())
    assert [entry["lines"] for entry in record["bins"]] == counts.n_lines.tolist()
    assert [entry["found"] for entry in record["bins"]] == counts.n_found.tolist()
    assert record["seed"] == 7
    table = read_table(output / "lines.fits")
    assert table.colnames == [column.name for column in RECOVERED]
    assert len(table) == len(lines) == len(read_table(output / "lines.ecsv"))


def test_several_searches_are_told_each_for_itself(
    result: tuple[Path, Evaluation], capsys: pytest.CaptureFixture[str]
) -> None:
    (counts,), (own,) = result[1].completeness.values(), result[1].of_search.values()
    other = dict.fromkeys(own, 0.125)
    two = {"galaxies": counts, "quasars": counts}
    print_evaluation(
        replace(result[1], completeness=two, of_search={"galaxies": own, "quasars": other})
    )
    told = capsys.readouterr().out
    galaxies, quasars = told.split("search galaxies\n")[1].split("search quasars\n")
    assert f"found {own['found']}\n" in galaxies
    assert "found 0.125\n" in quasars
    assert told.count("found ") == 4  # two headings, two numbers: none of both together
    assert f"spectra {result[1].numbers['spectra']}\n" in quasars


def test_lines_found_are_measured_near_the_truth(result: tuple[Path, Evaluation]) -> None:
    lines = result[1].lines
    bright = lines[lines["FOUND"] & (lines["IDEAL_SNR"] > 12)]
    assert len(bright) > 300
    assert np.median(np.abs(bright["WAVE_FOUND"] - bright["WAVE"])) < 2
    assert np.median(bright["FLUX_FOUND"] / bright["FLUX"]) == pytest.approx(1, abs=0.08)
    assert np.median(bright["SNR_FOUND"] / bright["IDEAL_SNR"]) == pytest.approx(0.9, abs=0.15)
    assert abs(result[1].numbers["flux_bias"]) < 0.1


def test_the_ideal_ratios_cover_their_range_evenly(
    result: tuple[Path, Evaluation], mock_config: Config
) -> None:
    lines = result[1].lines
    ideal = lines["IDEAL_SNR"][lines["SEARCHED"]]
    low, high = mock_config.evaluation.ideal_snr_range
    inside = (ideal > low) & (ideal < high)
    assert inside.mean() > 0.97
    assert np.median(ideal[inside]) == pytest.approx((low + high) / 2, rel=0.1)


@pytest.mark.usefixtures("no_figure")
def test_e2_the_same_seed_gives_the_same_bytes_and_another_gives_others(
    plate: Path, mock_config: Config, tmp_path: Path
) -> None:
    for name, seed in (("one", 3), ("two", 3), ("other", 4)):
        evaluate([str(plate)], tmp_path / name, mock_config, 1, seed)
    for file in PRODUCTS:
        one, two, other = (
            (tmp_path / name / file).read_bytes() for name in ("one", "two", "other")
        )
        assert one == two
        assert one != other


def test_the_figure_is_a_picture(plate: Path, mock_config: Config, tmp_path: Path) -> None:
    evaluate([str(plate)], tmp_path, mock_config, 1, 3)
    assert (tmp_path / "completeness.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


@pytest.mark.usefixtures("no_figure")
def test_the_sample_is_what_a_search_scores_and_broken_files_are_passed_over(
    mock_survey: Path,
    mock_config: Config,
    reference: tuple[Path, RunSummary],
    tmp_path: Path,
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "spPlate-0001-00002.fits").write_bytes(b"")
    inputs = [str(tmp_path / "in"), str(mock_survey)]
    heard = Heard()
    result = evaluate(inputs, tmp_path / "out", mock_config, 1, 1, progress=heard)
    assert result.numbers["files_failed"] == len(heard.messages) == 1
    assert "not_fits" in heard.messages[0]
    spectra = read_table(reference[0] / "spectra.fits")
    scored = np.asarray(spectra)[np.asarray(spectra["STATUS"] == "scored")]
    assert sorted(result.lines["TARGETID"].tolist()) == sorted(scored["TARGETID"].tolist())
    assert result.numbers["spectra"] == len(scored)
    # Without a line it is the same search: the same hits, and the same errors.
    assert result.numbers["hits_without_a_line"] == reference[1].counts["hits"]
    assert result.numbers["residual_rms_median"] == np.median(scored["RESIDUAL_RMS"])
    # The fourth shard is the file that is empty; of each its sources, then its nulls.
    assert heard.stages == [("spectra", 8), ("vetting", 8)]


def test_a_network_that_would_see_something_else_is_refused(plate: Path, tmp_path: Path) -> None:
    config = load_config(None, ["preparation.mask_half_width=12"])
    with pytest.raises(ConfigError, match=r"trained with preparation\.mask_half_width = 10"):
        evaluate([str(plate)], tmp_path / "out", config, 1, 1)


def test_inputs_without_a_sample_are_refused(
    tmp_path: Path, mock_config: Config, write_spec: Callable[..., Path]
) -> None:
    spec = write_spec(tmp_path / "spec-1-2-3.fits", class_="STAR")
    with pytest.raises(RunError, match="no spectrum of the sample"):
        evaluate([str(spec)], tmp_path / "out", mock_config, 1, 1)
    # What could not be done binds the folder to nothing.
    write_spec(spec)
    evaluate([str(tmp_path)], tmp_path / "out", mock_config, 1, 1)


@pytest.mark.usefixtures("no_figure")
@pytest.mark.slow
def test_e5_workers_do_not_show(
    result: tuple[Path, Evaluation],
    mock_survey: Path,
    filter_config: Config,
    tmp_path: Path,
) -> None:
    evaluate([str(mock_survey)], tmp_path / "two", filter_config, REPEATS, 7, 2)
    assert products_of(tmp_path / "two") == products_of(result[0])


@pytest.fixture
def specs(tmp_path: Path, write_spec: Callable[..., Path]) -> Path:
    for fibre in range(1, 8):
        write_spec(tmp_path / "in" / f"spec-1-2-{fibre:04d}.fits", fiberid=fibre)
    return tmp_path / "in"


@pytest.mark.usefixtures("no_figure")
@pytest.mark.parametrize("per_shard", [1, 3])
def test_e5_neither_groups_of_files_nor_of_repeats_change_a_byte(
    specs: Path,
    mock_config: Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    group_specs: Callable[[int], None],
    per_shard: int,
) -> None:
    whole = evaluate([str(specs)], tmp_path / "whole", mock_config, 6, 1)
    group_specs(per_shard)
    monkeypatch.setattr("speclens.evaluate.parts.REPEATS_TOGETHER", 3)
    pieces = evaluate([str(specs)], tmp_path / "parts", mock_config, 6, 1)
    # Sources, decoys and nulls of one shard, each searched and vetted.
    assert len(list((tmp_path / "whole" / "work").glob("*.shard"))) == 6
    assert len(list((tmp_path / "parts" / "work").glob("*.shard"))) > 8
    np.testing.assert_equal(pieces.numbers, whole.numbers)
    for name in ("lines.fits", "lines.ecsv"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.usefixtures("few_together", "no_figure")
def test_lines_stand_spectrum_by_spectrum(specs: Path, mock_config: Config, tmp_path: Path) -> None:
    lines = evaluate([str(specs)], tmp_path / "out", mock_config, 5, 1).lines
    spectra, first = np.unique(lines["TARGETID"], return_index=True)
    assert first.tolist() == [5 * i for i in range(7)]
    np.testing.assert_array_equal(lines["TARGETID"], np.repeat(spectra, 5))
    assert len(np.unique(lines["WAVE"])) == len(lines)


@pytest.mark.usefixtures("no_figure")
def test_e2_a_second_evaluation_finds_all_done_and_leaves_the_same_bytes(
    specs: Path,
    mock_config: Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    evaluate([str(specs)], tmp_path / "out", mock_config, 3, 1)
    before = products_of(tmp_path / "out")
    monkeypatch.setattr("speclens.search.scan._scan", None)
    evaluate([str(specs)], tmp_path / "out", mock_config, 3, 1)
    assert products_of(tmp_path / "out") == before


KILLED = """
import os, signal
from dataclasses import replace
from pathlib import Path
from speclens.config import load_config
from speclens.evaluate import evaluation, parts
from speclens.search import scan

parts.REPEATS_TOGETHER = 2
scanned, left = scan._scan, [3]

def killed(*given):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    return scanned(*given)

scan._scan = killed
evaluation.evaluate([{specs!r}], Path({output!r}), load_config(None, {overrides!r}), 7, 1)
"""


@pytest.mark.usefixtures("few_together", "no_figure")
def test_e1_an_evaluation_that_was_killed_goes_on_and_is_bound_to_its_setup(
    specs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = ["search.method=matched-filter"]
    config, output = load_config(None, overrides), tmp_path / "out"
    text = KILLED.format(specs=str(specs), output=str(output), overrides=overrides)
    done = subprocess.run([sys.executable, "-c", text], check=False)
    assert done.returncode == -signal.SIGKILL
    kept = list((output / "work").glob("*.shard"))
    assert len(kept) == 2
    assert not (output / "lines.fits").exists()
    with pytest.raises(RunError, match="seed: was 1, now 2"):
        evaluate([str(specs)], output, config, 7, 2)
    with pytest.raises(RunError, match="repeats: was 7, now 8"):
        evaluate([str(specs)], output, config, 8, 1)
    searched: list[Path] = []
    scan_shard = scan.scan_shard

    def noted(scanner: scan.Scanner, shard: Shard) -> ShardRows:
        rows = scan_shard(scanner, shard)
        if not rows.reused and rows.path is not None:
            searched.append(rows.path)
        return rows

    monkeypatch.setattr("speclens.search.scanned.scan_shard", noted)
    monkeypatch.setattr("speclens.run.recording.SETTLED_NS", 0)
    evaluate([str(specs)], output, config, 7, 1)
    # One of the four of sources is searched in a process of its own: it was at work when the other
    # was killed. Decoys and nulls come after.
    assert len(searched) == 3
    assert not {*searched} & {*kept}
    evaluate([str(specs)], tmp_path / "undisturbed", config, 7, 1)
    assert products_of(output) == products_of(tmp_path / "undisturbed")


@pytest.mark.usefixtures("no_figure")
def test_e1_of_files_that_kill_their_worker_the_others_are_evaluated(
    specs: Path, mock_config: Config, tmp_path: Path
) -> None:
    def alone(part: ShardPart) -> Scanned:
        if guilty in part.shard.files:
            raise WorkerDiedError
        return parts._scan_part(evaluator, part)

    files = tuple(sorted(map(str, specs.iterdir())))
    guilty, store = files[2], ShardStore(tmp_path, "")
    settings = PartSettings(ScanSettings(mock_config, store), 1)
    evaluator = parts._Evaluator(settings)
    part, _ = make_parts([Shard(SPECS, files)], 3)
    found = parts._rescued(settings, part, alone)
    tally = Tally()
    tally.hear(found.messages, lambda _: None)
    tally.add([count_rows(stored_rows(found.path), files, 8.0, NOBODY)])
    assert (tally.n_scored["plain"], len(tally.lines[0]), len(tally.failures)) == (6, 18, 1)
    [message] = tally.failures
    assert guilty in message
    [plain] = [stored_rows(parts._scan_part(evaluator, part).path)]
    whole = Tally()
    whole.add([count_rows(plain, files, 8.0, NOBODY)])
    [lines] = whole.lines
    others = np.isin(lines["TARGETID"], tally.lines[0]["TARGETID"])
    assert lines[others].tobytes() == tally.lines[0].tobytes()
    # Targets of a mock survey that hold something already do not count.
    some = count_rows(plain, files, 8.0, lines["TARGETID"][:1])
    assert not np.isin(lines["TARGETID"][:1], some.lines["TARGETID"]).any()
    assert len(some.lines) < len(lines)


@pytest.mark.usefixtures("few_together", "no_figure")
def test_a_file_that_fails_in_every_part_counts_once(
    specs: Path, mock_config: Config, tmp_path: Path
) -> None:
    (specs / "spec-1-2-0009.fits").write_text("<html>404</html>")
    heard = Heard()
    result = evaluate([str(specs)], tmp_path / "out", mock_config, 5, 1, progress=heard)
    # Three of sources, one of decoys, one of nulls.
    assert heard.stages == [("spectra", 5), ("vetting", 5)]
    assert result.numbers["files_failed"] == len(heard.messages) == 1
    assert (result.numbers["spectra"], len(result.lines)) == (7, 35)


def test_parts_hold_every_repeat_of_every_shard_once() -> None:
    shards = [Shard(PLATES, ("a",)), Shard(PLATES, ("b",))]
    for n_repeats in (1, 9, 20, 21, 100, 1000):
        made = make_parts(shards, n_repeats, 5)
        for shard in shards:
            *_, decoys, nulls = own = [part for part in made if part.shard == shard]
            assert (decoys.kinds, len(decoys.repeats)) == (DECOYS, 5)
            assert nulls.kinds == parts.NULLS
            assert len({part.name for part in own}) == len(own)
            of_shard = [part.repeats for part in own[:-2]]
            assert [i for part in of_shard for i in part] == list(range(n_repeats + 1))
            assert max(map(len, of_shard)) < 2 * parts.REPEATS_TOGETHER
        assert [part.shard for part in made] == sorted(
            (part.shard for part in made), key=shards.index
        )


def test_i13_spectra_that_cannot_be_searched_are_told_and_counted(
    tmp_path: Path, write_spec: Callable[..., Path]
) -> None:
    for fibre, scale in ((1, 1.0), (2, 1e-17)):
        path = write_spec(tmp_path / "in" / f"spec-3655-55240-{fibre:04d}.fits", fiberid=fibre)
        with fits.open(path, mode="update") as hdus:
            hdus[1].data["flux"] *= scale
    config = load_config(None, ["search.method=matched-filter"])
    result = evaluate([str(tmp_path / "in")], tmp_path / "out", config, 1, 1)
    assert result.numbers["spectra"] == 1
    assert result.numbers["files_failed"] == 1


def test_hits_are_judged_as_a_search_judges_them(
    result: tuple[Path, Evaluation], mock_survey: Path, filter_config: Config, tmp_path: Path
) -> None:
    selection = Purpose(str(result[0]))
    request = SearchRequest([str(mock_survey)], tmp_path / "run", filter_config, purpose=selection)
    summary = search(request)
    hits = np.asarray(read_table(tmp_path / "run" / "hits.fits"))
    nulls = result[1].nulls
    plain = np.sort(nulls[nulls["NULL"] == "plain"], order=["TARGETID", "WAVE"])
    hits = np.sort(hits, order=["TARGETID", "WAVE"])
    assert len(hits) == len(plain) > 0
    for name in ("TARGETID", "WAVE", "VET_FLAGS", "CANDIDATE"):
        np.testing.assert_array_equal(plain[name], hits[name])
    for name in ("P_LYA", "P_HYPOTHESIS", "P_LENSED"):
        np.testing.assert_allclose(plain[name], hits[name], rtol=1e-5)
    # And the search is told what its candidates are worth.
    rows = read_table(tmp_path / "run" / "candidates.fits")
    assert len(rows) == summary.counts["candidates"] > 0
    known = np.asarray(rows["COMPLETENESS"])
    assert ((known > 0) & (known <= 1)).all()
    assert (np.diff(rows["Q_VALUE"]) >= 0).all()
    assert [row["purpose"] for row in summary.purposes][-1] == "all candidates"
    page = (tmp_path / "run" / "report" / "index.html").read_text()
    assert "all candidates that vetting leaves" in page
    cut = Purpose(completeness=0.5)
    record, vetted, left = vet_again(tmp_path / "run", None, (), None, 1, purpose=cut)
    assert 0 < len(left) < len(rows)
    beyond = vetted.hits["REASON"][np.strings.startswith(vetted.hits["REASON"], "beyond the list")]
    assert len(beyond) == len(rows) - len(left)
    assert record.purpose == "as few as have a completeness of 0.5 for bright sources"
    other = ["vet.p_lya_min=0.5"]
    with pytest.raises(RunError, match=r"another search or vetting \(vetting\.vet\.p_lya_min"):
        vet_again(tmp_path / "run", None, other, None, 1, purpose=cut)


@pytest.mark.usefixtures("no_report")
def test_a_search_without_candidates_has_nothing_to_weigh(
    result: tuple[Path, Evaluation], filter_config: Config, specs: Path, tmp_path: Path
) -> None:
    purpose = Purpose(str(result[0]), purity=0.9)
    request = SearchRequest([str(specs)], tmp_path / "run", filter_config, purpose=purpose)
    summary = search(request)
    assert summary.counts["candidates"] == 0
    assert [row["n_candidates"] for row in summary.purposes] == [0] * 5
    _, _, left = vet_again(tmp_path / "run", None, (), None, 1, purpose=purpose)
    assert len(left) == 0


def test_a_run_brings_its_search(reference: tuple[Path, RunSummary], tmp_path: Path) -> None:
    run = str(reference[0])
    with pytest.raises(ConfigError, match="brings its configuration"):
        of_run(EvaluationRequest([run], tmp_path / "out", Asked(method="lines"), 1, 1))
    with pytest.raises(ConfigError, match="only emitters, evaluation can change"):
        of_run(EvaluationRequest([run], tmp_path / "out", Asked(overrides=["vet.x=1"]), 1, 1))
    with pytest.raises(ConfigError, match="evaluate it alone"):
        of_run(EvaluationRequest([run, run], tmp_path / "out", Asked(), 1, 1))
    with pytest.raises(RunError, match="it is the run, or within it"):
        of_run(EvaluationRequest([run], reference[0] / "out", Asked(), 1, 1))
