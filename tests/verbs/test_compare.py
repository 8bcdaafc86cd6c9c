"""Searches side by side: the same sources for all, whoever works, and the folder is ours alone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from fnmatch import fnmatch
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

from fixtures.files import SIGMA, make_flux
from speclens.config import load_config
from speclens.errors import RunError
from speclens.evaluate import (
    compared_candidates,
    comparison_page,
    comparison_products,
    side_by_side,
)
from speclens.evaluate.injection import Injection
from speclens.evaluate.shared_window import SameSources, SharedWindow
from speclens.read.discovery import find_survey_files
from speclens.read.shards import make_shards, open_shard
from speclens.read.survey import ReadSettings
from speclens.run.kinds import COMPARISON
from speclens.schema import COMPARED_COST, COMPARED_SCORES, dtype_of
from speclens.spectra import LogGrid
from speclens.stored_tables import read_rows, read_table
from speclens.verbs import compare as verb
from speclens.verbs.compare import CompareRequest, Comparison, compare

DRAW = comparison_products._draw
STEADY = ("scores.fits", "rates.ecsv", "roc.ecsv", "by_snr.ecsv", "overlap.ecsv", "prevalence.ecsv")


@pytest.fixture(scope="module")
def specs(
    tmp_path_factory: pytest.TempPathFactory, write_specs: Callable[[Path, int], None]
) -> Path:
    folder = tmp_path_factory.mktemp("specs")
    write_specs(folder, 5)
    return folder


@pytest.fixture(scope="module")
def write_specs(write_spec: Callable[..., Path]) -> Callable[[Path, int], None]:
    def write(folder: Path, number: int) -> None:
        for fibre in range(1, number + 1):
            name = f"spec-1-2-{fibre:04d}.fits"
            write_spec(folder / name, fiberid=fibre, n_pixels=4300)

    return write


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither figures nor processes of which the cost is measured."""
    names = [column.name for column in COMPARED_COST]

    def no_cost(entries: list, *_: object) -> np.ndarray:
        return np.array(
            [(one.name, *np.zeros(len(names) - 1)) for one in entries], dtype_of(COMPARED_COST)
        )

    monkeypatch.setattr(verb, "cost", no_cost)
    monkeypatch.setattr(comparison_products, "_draw", lambda *_: None)


def request_of(specs: Path, output: Path) -> CompareRequest:
    return CompareRequest([str(specs)], output, ["matched-filter", "shu2016"], repeats=3, seed=3)


@pytest.fixture(scope="module")
def done(specs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Comparison]:
    output = tmp_path_factory.mktemp("done") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparison_products, "_draw", lambda *_: None)
        patch.setattr(verb, "cost", lambda *_: np.zeros(0, dtype_of(COMPARED_COST)))
        return output, compare(request_of(specs, output))


def test_all_searches_see_the_same_sources(specs: Path) -> None:
    reference = load_config(None, ["preparation.window=[3800.0, 8000.0]"])
    shared, seen = SharedWindow(reference), []
    [shard] = make_shards(find_survey_files([str(specs)]))
    for window in ((3800.0, 9000.0), (3600.0, 8000.0)):
        for source in ("lya", "elg"):
            put_in = SameSources(Injection(reference, 5, [0, 1], (source,)), shared)
            with open_shard(shard, LogGrid.covering(*window), ReadSettings()) as (spectra, _):
                rows = np.arange(len(spectra.targets))
                plain, given = (one for one in put_in(spectra, shared))
                before, after = plain.spectra(rows), given.spectra(rows)
            part = LogGrid.covering(3800.0, 8000.0)
            added, good = after.flux - before.flux, shared(before, before.targets["Z"]).ivar > 0
            ideal = np.sqrt((added**2 * np.where(good, before.ivar, 0)).sum(axis=1))
            np.testing.assert_allclose(given.truth["IDEAL_SNR"], ideal, rtol=1e-3)
            _, inside = part.overlap(before.grid)
            seen.append((source, given.truth, added[:, inside]))
    for source in ("lya", "elg"):
        (_, truth, added), (_, other, again) = [one for one in seen if one[0] == source]
        # A galaxy beyond z = 1.15 has no line in the window, and is not put in.
        room = (truth["Z_SOURCE"] < 1.14) | (source == "lya")
        assert truth["KIND"].tolist() == np.where(room, source, "").tolist()
        assert truth["SEARCHED"].any()
        np.testing.assert_allclose(added, again, atol=1e-5)
        for name in ("WAVE", "Z_SOURCE", "FLUX", "IDEAL_SNR"):
            np.testing.assert_allclose(truth[name], other[name], rtol=1e-5)


def test_bright_lines_are_found_and_all_tables_agree(done: tuple[Path, Comparison]) -> None:
    output, result = done
    rates, scores = result.tables.rates, read_table(output / "scores.fits")
    assert set(rates["SEARCH"]) == {"matched-filter", "shu2016"}
    assert (rates["N_SPECTRA"] == 5).all()
    for name in ("matched-filter", "shu2016"):
        own = scores[(scores["SEARCH"] == name) & (scores["STEP"] == 0) & (scores["REPEAT"] > 0)]
        found = np.isfinite(own["SCORE"])
        at_own = rates[(rates["SEARCH"] == name) & np.isnan(rates["RATE"])]
        assert at_own["LEVEL"].tolist() == ["hit", "candidate"]
        kept = np.isfinite(own["CANDIDATE_SCORE"])
        assert (at_own["N_LINES"] == len(own)).all()
        assert at_own["N_FOUND"].tolist() == [found.sum(), kept.sum()]
        assert not (kept & ~found).any()
        if name == "matched-filter":
            assert kept[own["IDEAL_SNR"] > 12].mean() > 0.7
        assert found[own["IDEAL_SNR"] > 12].mean() > 0.8  # masks of their own lose some
        assert not found[own["IDEAL_SNR"] < 3].any()
    one, other = (scores[scores["SEARCH"] == name] for name in ("matched-filter", "shu2016"))
    np.testing.assert_array_equal(one["WAVE"], other["WAVE"])
    assert json.loads((output / "comparison.json").read_text())["seed"] == 3


@pytest.mark.usefixtures("no_report")
def test_candidates_of_spectra_as_they_are_rank_as_those_of_a_search(
    tmp_path: Path, write_spec: Callable[..., Path], run_into: Callable[..., object]
) -> None:
    inputs, output = tmp_path / "in", tmp_path / "out"
    write_spec(inputs / "spec-1-2-0001.fits", n_pixels=4300, lines=((4300.0, 30.0),))
    compare(CompareRequest([str(inputs)], output, ["matched-filter"], repeats=1))
    run_into(tmp_path / "run", inputs, overrides=("search.method=matched-filter",))
    [candidate] = read_table(tmp_path / "run" / "candidates.fits")
    scores = read_table(output / "scores.fits")
    plain = scores[(scores["REPEAT"] == 0) & (scores["SEARCH"] == "matched-filter")]
    score = candidate["P_HYPOTHESIS"] * np.float64(candidate["P_LENSED"])
    own, lowered = plain["CANDIDATE_SCORE"].tolist()
    assert own == pytest.approx(score, rel=1e-6)
    # Beside fainter hits, which the foreground is fitted without as well.
    assert lowered == pytest.approx(score, rel=0.01)


def test_candidates_are_vetted_in_tables_as_the_configuration_says_they_are_meant(
    tmp_path: Path,
) -> None:
    loglam = 3.5515 + 1e-4 * np.arange(4300)
    flux = make_flux(loglam, 0.5, np.random.default_rng(1), ((4300.0, 60.0),))
    table = Table({"wave": 10**loglam, "flux": flux, "ivar": np.full(4300, SIGMA**-2)})
    table["wave"].unit, table["flux"].unit = "Angstrom", "1e-17 erg / (s cm2 Angstrom)"
    table.meta |= {"Z": 0.5, "SPEC_RES": 1900.0}
    (tmp_path / "in").mkdir()
    table.write(tmp_path / "in" / "a.fits")
    names, said = ["matched-filter"], ["tables.medium=vacuum"]
    compare(CompareRequest([str(tmp_path / "in")], tmp_path / "out", names, overrides=said))
    scores = read_rows(tmp_path / "out" / "scores.fits", COMPARED_SCORES)
    plain = scores[(scores["REPEAT"] == 0) & (scores["STEP"] == 0)]
    assert np.isfinite(plain["SCORE"]).all()
    assert np.isfinite(plain["CANDIDATE_SCORE"]).all()


def test_hits_that_vetting_cannot_weigh_are_no_candidates(
    tmp_path: Path, write_spec: Callable[..., Path]
) -> None:
    write_spec(tmp_path / "in" / "spec-1-2-0001.fits", n_pixels=4300)
    names, output = ["bells", "lines"], tmp_path / "out"
    result = compare(CompareRequest([str(tmp_path / "in")], output, names, "elg", repeats=1))
    scores = read_rows(output / "scores.fits", COMPARED_SCORES)
    assert np.isnan(scores["CANDIDATE_SCORE"]).tolist() == (scores["SEARCH"] == "bells").tolist()
    rates = result.tables.rates
    assert set(rates["SEARCH"][rates["LEVEL"] == "candidate"]) == {"lines"}
    [note] = [note for note in result.notes if "vetting" in note]
    assert note.startswith("hits alone are compared of bells:")
    assert note in (output / "comparison.md").read_text()


def test_the_page_says_what_was_not_measured_and_what_is_published(
    done: tuple[Path, Comparison],
) -> None:
    page = (done[0] / "comparison.md").read_text()
    assert "5 spectra measure no rate of false alarms below 1/5" in page
    assert page.count("not measured") > 8
    assert "## Published, other data" in page
    assert "161 of 174" in page
    assert "speclens compare" in page
    assert "Those that are candidates, at the searches' own thresholds:" in page
    assert "Outside all bins" not in page
    tables = done[1].tables
    fewer = tables.by_snr.copy()
    fewer["N_LINES"][0] -= 1
    told = comparison_page.page(replace(tables, by_snr=fewer), "", [])
    assert "Outside all bins: 1 of 15 sources." in told


def test_figures_are_those_of_the_page_and_belong_to_a_comparison(
    done: tuple[Path, Comparison], tmp_path: Path
) -> None:
    DRAW(tmp_path, done[1].tables, 5)
    drawn = {path.name for path in tmp_path.iterdir()}
    assert drawn == set(re.findall(r"\((\w+\.png)\)", (done[0] / "comparison.md").read_text()))
    assert {"roc_candidates.png", "completeness_candidates.png"} < drawn
    assert all(any(fnmatch(name, of) for of in COMPARISON.products) for name in drawn)


def test_a_second_time_and_stopped_halfway_it_gives_the_same_bytes(
    specs: Path, done: tuple[Path, Comparison], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [0]

    def stopping(work: Callable[..., object]) -> Callable[..., object]:
        def counted(*given: object, **more: object) -> object:
            done = work(*given, **more)
            left[0] -= 1
            if not left[0]:
                raise KeyboardInterrupt
            return done

        return counted

    for module, name in ((side_by_side, "scanned"), (compared_candidates, "save_arrays")):
        monkeypatch.setattr(module, name, stopping(getattr(module, name)))
    request = request_of(specs, tmp_path / "out")
    for left[0] in (3, 5):  # among four that search, and after the first of two that vet
        with pytest.raises(KeyboardInterrupt):
            compare(request)
        assert not (tmp_path / "out" / "comparison.json").exists()
    compare(request)
    for name in STEADY:
        assert (tmp_path / "out" / name).read_bytes() == (done[0] / name).read_bytes()
    with pytest.raises(RunError, match="seed: was 3, now 4"):
        compare(replace(request, seed=4))


def test_foreign_folders_and_spectra_that_nobody_takes_are_refused(
    specs: Path, tmp_path: Path, write_spec: Callable[..., Path]
) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "thesis.tex").write_text("mine")
    with pytest.raises(RunError, match="not empty"):
        compare(request_of(specs, tmp_path / "theirs"))
    assert [path.name for path in (tmp_path / "theirs").iterdir()] == ["thesis.tex"]
    if find_spec("specutils") is None:
        request = replace(request_of(specs, tmp_path / "out"), names=["shu2016", "specutils"])
        with pytest.raises(RunError, match="pip install"):
            compare(request)
        assert not (tmp_path / "out").exists()
    write_spec(tmp_path / "in" / "spec-1-2-3.fits", class_="STAR")
    with pytest.raises(RunError, match=r"no spectrum .* by all searches \(by each: matched"):
        compare(request_of(tmp_path / "in", tmp_path / "out"))
