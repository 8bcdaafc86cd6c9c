"""Several searches in one run: each spectrum by its own, each hit by the limits of its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.cli.summaries import print_evaluation, print_purposes
from speclens.config import Config, load_config, load_searches
from speclens.errors import ConfigError, RunError
from speclens.evaluate.evaluation import evaluate
from speclens.evaluate.recovery import OTHER, TRUTH, compare, put_in
from speclens.report import run_report
from speclens.schema import CANDIDATES, HITS, INJECTED, SPECTRA, vet_bits
from speclens.simulate.mock_survey import make_survey
from speclens.stored_tables import read_rows
from speclens.verbs.finish import report_again, vet_again
from speclens.verbs.request import Purpose
from speclens.verbs.search import RunSummary, SearchRequest, search

Bytes = Callable[[Path], dict[str, bytes]]

ALL = ("lya", "elg")
SURVEY = (
    "survey.n_plates=1",
    "survey.n_fibres=60",
    "survey.lya_fraction=0.2",
    "survey.elg_fraction=0.3",
    "survey.quasar_fraction=0.4",
    "survey.quasar_lya_fraction=0.45",
    "survey.quasar_elg_fraction=0.3",
)


@pytest.fixture(scope="module")
def config() -> Config:
    return load_searches(None, SURVEY, ALL)


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plate of galaxies and quasars, many of them with a source; not to be changed."""
    folder = tmp_path_factory.mktemp("several") / "survey"
    make_survey(folder, load_config(None, SURVEY), 3, 1)
    return folder


@pytest.fixture(scope="module")
def found(
    tmp_path_factory: pytest.TempPathFactory, survey: Path, config: Config
) -> tuple[Path, RunSummary]:
    """A run for all sources, with its report; not to be changed."""
    output = tmp_path_factory.mktemp("found") / "run"
    return output, search(SearchRequest([str(survey)], output, config))


@pytest.fixture
def copy(found: tuple[Path, RunSummary], tmp_path: Path) -> Path:
    """The same run, to do with as one likes."""
    return Path(shutil.copytree(found[0], tmp_path / "run"))


def hits_of(run: Path) -> NDArray[np.void]:
    return read_rows(run / "hits.fits", HITS)


def record_of(run: Path) -> dict[str, Any]:
    return dict(json.loads((run / "run.json").read_text()))


def test_every_search_has_hits_in_spectra_of_its_own_class(
    found: tuple[Path, RunSummary], config: Config
) -> None:
    hits, rows = hits_of(found[0]), read_rows(found[0] / "spectra.fits", SPECTRA)
    class_of = dict(zip(rows["SPECTRUM"].tolist(), rows["CLASS"].tolist(), strict=True))
    assert set(hits["SEARCH"]) == set(config.each) == {"lya", "qso", "elg", "redshift"}
    for name, own in config.each.items():
        of_search = hits[hits["SEARCH"] == name]
        classes = {class_of[name] for name in of_search["SPECTRUM"].tolist()}
        assert classes == set(own.selection.classes)
        assert set(of_search["METHOD"]) == {own.search.method}
        assert (of_search["Z"] > own.selection.z_min).all()
    behind_quasars = set(hits["HYPOTHESIS"][hits["SEARCH"] == "qso"])
    assert "lya" in behind_quasars
    assert behind_quasars - {"lya"}
    assert set(hits["HYPOTHESIS"][hits["SEARCH"] == "lya"]) == {"lya"}


def test_a_line_that_two_searches_find_is_known_to_both(
    found: tuple[Path, RunSummary], survey: Path
) -> None:
    hits = hits_of(found[0])
    kind = put_in([survey], hits, load_config())["KIND"]
    twice = np.flatnonzero(hits["SAME_AS"] >= 0)
    assert len(twice) > 0
    np.testing.assert_array_equal(kind[twice], kind[hits["SAME_AS"][twice]])
    assert (kind[twice] != OTHER).mean() > 0.9
    recovered = {one.kind: one for one in compare([survey], found[0], hits, load_config())}
    assert recovered[OTHER].n_hits == (kind == OTHER).sum()
    told = read_rows(survey / TRUTH, INJECTED)
    for name, one in recovered.items():
        of_kind = hits[(kind == name) & hits["CANDIDATE"]]
        known = np.isin(told["TARGETID"][told["KIND"] == name], of_kind["TARGETID"])
        assert name == OTHER or one.n_candidates == known.sum()


def test_a_spectrum_is_scored_where_any_search_scored_it(
    found: tuple[Path, RunSummary], config: Config
) -> None:
    output, summary = found
    rows = read_rows(output / "spectra.fits", SPECTRA)
    counts = summary.counts
    assert counts["read"] == len(rows) == 60
    assert counts["scored"] + counts["skipped"] + counts["failed"] == 60
    assert sum(summary.reasons.values()) == counts["skipped"]
    scored = rows[rows["STATUS"] == "scored"]
    assert set(scored["CLASS"]) == {"GALAXY", "QSO"}
    assert not {"class_galaxy", "class_qso"} & set(summary.reasons)
    # Galaxies below the redshifts of one search are scored by the other.
    nearest = scored["Z"][scored["CLASS"] == "GALAXY"].min()
    assert config.of("elg").selection.z_min < nearest < config.of("lya").selection.z_min
    names = set(rows["SPECTRUM"][rows["STATUS"] == "scored"].tolist())
    assert set(hits_of(output)["SPECTRUM"].tolist()) <= names


@pytest.mark.usefixtures("no_report")
def test_a_run_of_one_search_finds_what_it_finds_beside_others(
    found: tuple[Path, RunSummary], survey: Path, tmp_path: Path
) -> None:
    hits = hits_of(found[0])
    for name, asked in (("elg", (("elg",), ("galaxy",))), ("qso", (ALL, ("qso",)))):
        alone = load_searches(None, SURVEY, *asked)
        search(SearchRequest([str(survey)], tmp_path / name, alone))
        own, single = hits[hits["SEARCH"] == name], hits_of(tmp_path / name)
        for column in ("SPECTRUM", "WAVE", "FLUX", "Z_SOURCE", "LN_EVIDENCE", "HYPOTHESIS"):
            np.testing.assert_array_equal(own[column], single[column])


@pytest.mark.usefixtures("no_report")
def test_each_hit_is_vetted_by_the_limits_of_its_search(
    found: tuple[Path, RunSummary], copy: Path, config: Config
) -> None:
    hits = hits_of(copy)
    for name, own in config.each.items():
        of_search = hits[hits["SEARCH"] == name]
        vetoed = of_search["VET_FLAGS"] & vet_bits(own.vet.vetoes) != 0
        np.testing.assert_array_equal(of_search["CANDIDATE"], ~vetoed)
    assert config.of("qso").vet.vetoes != config.vet.vetoes
    # A limit that one search alone has marks its hits alone.
    record = record_of(copy)
    record["configuration"]["searches"]["elg"]["vet"]["snr_min"] = 1e6
    (copy / "run.json").write_text(json.dumps(record))
    vet_again(copy, None, [], None, 1)
    hits, before = hits_of(copy), hits_of(found[0])
    faint = hits["VET_FLAGS"] & vet_bits(["FAINT"]) != 0
    ours = hits["SEARCH"] == "elg"
    assert faint[ours].all()
    np.testing.assert_array_equal(hits["VET_FLAGS"][~ours], before["VET_FLAGS"][~ours])


def test_a_file_of_limits_leaves_each_search_what_it_does_not_name(
    copy: Path, tmp_path: Path, config: Config
) -> None:
    file = tmp_path / "limits.toml"
    file.write_text("[vet]\nsnr_min = 6.5\n")
    vet_again(copy, str(file), [], None, 1)
    vetted = load_config(None, (), record_of(copy)["configuration"])
    for name, own in config.each.items():
        assert vetted.of(name).vet == own.vet.model_copy(update={"snr_min": 6.5})


def test_over_densities_are_sought_among_the_hits_of_each_search(
    found: tuple[Path, RunSummary], copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hits, found_by = hits_of(copy), ("lya", "qso", "elg", "redshift")
    numbers = {name: int((hits["SEARCH"] == name).sum()) for name in found_by}
    notes = [note for note in found[1].notes if note.startswith("too few hits")]
    assert len(notes) == 4
    for name, number in numbers.items():
        assert any(
            f"of the search {name} to test for over-densities: {number}," in n for n in notes
        )
    # All together they are enough, and none of the searches has enough.
    monkeypatch.setattr("speclens.verbs.finish.make_report", lambda *_: {})
    least = max(numbers.values()) + 1
    assert least <= len(hits)
    record, *_ = vet_again(copy, None, [f"vet.dense_min_hits={least}"], None, 1)
    assert np.isnan(hits_of(copy)["DENSE_OBSERVED"]).all()
    assert sum(note.startswith("too few hits") for note in record.notes) == 4


@pytest.mark.usefixtures("no_report")
def test_a_second_call_finds_all_done_and_changes_nothing(
    copy: Path, survey: Path, config: Config, tables_of: Bytes
) -> None:
    before = tables_of(copy)
    again = search(SearchRequest([str(survey)], copy, config))
    assert again.n_new == 0
    assert tables_of(copy) == before


@pytest.mark.usefixtures("no_report")
def test_a_run_that_stopped_between_two_searches_goes_on(
    found: tuple[Path, RunSummary],
    survey: Path,
    config: Config,
    tmp_path: Path,
    tables_of: Bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from speclens.verbs import scanning

    whole, done = scanning.scanned_by, []

    def stop_before_the_last(scanners: Any, scan: Any) -> Any:
        if scan.search == "elg":
            raise KeyboardInterrupt
        done.append((scan.shard, scan.search))
        return whole(scanners, scan)

    request = SearchRequest([str(survey)], tmp_path / "run", config)
    with monkeypatch.context() as patch:
        patch.setattr(scanning, "scanned_by", stop_before_the_last)
        with pytest.raises(KeyboardInterrupt):
            search(request)
    # All searches of a file before the next one: the disk gives it once.
    assert len({shard for shard, _ in done}) == 1
    search(request)
    assert tables_of(tmp_path / "run") == tables_of(found[0])


@pytest.mark.usefixtures("no_report")
def test_the_same_folder_is_refused_to_other_searches(copy: Path, survey: Path) -> None:
    fewer = load_searches(None, SURVEY, ("lya",))
    said = r"configuration\.searches\.elg: was a section, now none"
    with pytest.raises(RunError, match=said):
        search(SearchRequest([str(survey)], copy, fewer))


@pytest.mark.usefixtures("no_report")
def test_vetting_again_changes_nothing_without_a_wish_and_all_searches_with_one(
    copy: Path, tables_of: Bytes
) -> None:
    before = tables_of(copy)
    vet_again(copy, None, [], None, 1)
    assert tables_of(copy) == before
    vet_again(copy, None, ["vet.snr_min=1e6"], None, 1)
    assert (hits_of(copy)["VET_FLAGS"] & vet_bits(["FAINT"]) != 0).all()
    configuration = record_of(copy)["configuration"]
    each = [configuration, *configuration["searches"].values()]
    assert [own["vet"]["snr_min"] for own in each] == [1e6] * 4
    assert set(configuration["searches"]) == {"qso", "elg", "redshift"}
    with pytest.raises(ConfigError, match="only vet, candidates, report can change now"):
        vet_again(copy, None, ["lines.ln_evidence_min=20.0"], None, 1)


def test_what_an_evaluation_without_quasars_tells_is_told_and_the_rest_is_not_known(
    copy: Path,
    config: Config,
    tmp_path: Path,
    write_spec: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("evaluate.evaluation_products._draw", "report.pages._draw_own"):
        monkeypatch.setattr(f"speclens.{name}", lambda *_: None)
    monkeypatch.setattr(run_report, "_draw_file", lambda *_: run_report._OfFile())
    write_spec(tmp_path / "in" / "spec-1-2-0001.fits", fiberid=1)
    evaluation = evaluate([str(tmp_path / "in")], tmp_path / "ev", config, 1, 1)
    assert evaluation.numbers["spectra"] == 1  # by three searches
    print_evaluation(evaluation)
    assert "search qso: the inputs hold no spectrum for it\n" in capsys.readouterr().out
    told = Purpose(str(tmp_path / "ev"))
    with monkeypatch.context() as patch:
        patch.setattr("speclens.verbs.finish.make_report", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            vet_again(copy, None, [], None, 1, purpose=told)
    assert not (copy / "selection.json").exists()
    record, _, candidates = vet_again(copy, None, [], None, 1, purpose=told)
    unknown = np.isnan(candidates["Q_VALUE"])
    assert unknown.tolist() == np.logical_or.accumulate(candidates["SEARCH"] == "qso").tolist()
    assert unknown.any()
    assert any("candidates of search qso are false" in note for note in record.notes)
    print_purposes(record.purposes)
    assert "not known" in capsys.readouterr().out.splitlines()[-1]
    page = (copy / "report" / "index.html").read_text()
    assert "not known" in page.split("all candidates</td>")[1].split("</tr>")[0]
    assert (copy / "selection.json").exists()


def test_the_report_is_written_again_with_every_search(
    found: tuple[Path, RunSummary], copy: Path
) -> None:
    shutil.rmtree(copy / "report")
    report_again(copy, None, [], 1)
    pages = [path.relative_to(copy) for path in (copy / "report").rglob("*.html")]
    assert (copy / "report" / "index.html").exists()
    assert sorted(pages) == sorted(p.relative_to(found[0]) for p in found[0].rglob("*.html"))
    assert record_of(copy)["report_notes"] == record_of(found[0])["report_notes"] == []
    assert len(pages) > len(read_rows(copy / "candidates.fits", CANDIDATES))
