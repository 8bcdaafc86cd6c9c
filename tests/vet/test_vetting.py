"""Vetting of a run: from what was gathered alone, and only the flags follow the limits."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.candidates.lens_probability import lens_probability
from speclens.config import load_config
from speclens.names import system_name
from speclens.schema import CANDIDATES, HITS, KNOWN, VET_FLAGS, vet_bits
from speclens.stored_tables import read_rows, read_table
from speclens.verbs.finish import report_again, vet_again
from speclens.verbs.search import RunSummary
from speclens.vet import vetting
from speclens.vet.hit_spectra import HitSpectra
from speclens.vet.vetting import Vetted, vet_hits

Run = Callable[..., RunSummary]
Write = Callable[..., Path]
Bytes = Callable[[Path], dict[str, bytes]]
LINE = ((4300.0, 40.0),)
JUDGED = ("VET_FLAGS", "CANDIDATE", "REASON")
SECONDS = re.compile(rb"<tr><th>seconds</th>.*?</tr>", re.DOTALL)


def hits_of(run: Path) -> NDArray[np.void]:
    return read_rows(run / "hits.fits", HITS)


def assert_same_rows(found: NDArray[np.void], expected: NDArray[np.void]) -> None:
    assert len(found) == len(expected) > 0
    assert found.dtype.names == expected.dtype.names
    for name in expected.dtype.names or ():
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


def without_times(products: dict[str, bytes]) -> dict[str, bytes]:
    return {name: SECONDS.sub(b"", content) for name, content in products.items()}


def again(run: Path, *overrides: str, known: Path | None = None, **options: Any) -> Vetted:
    return vet_again(
        run, options.get("source"), overrides, known and str(known), options.get("n_workers", 1)
    )[1]


def test_the_same_limits_give_the_same_bytes_without_the_survey(
    few_run: Path, products_of: Bytes
) -> None:
    before, spectra = products_of(few_run), (few_run / "spectra.fits").read_bytes()
    record = json.loads((few_run / "run.json").read_text())
    assert not any(Path(path).exists() for path in record["inputs"])
    again(few_run)
    assert without_times(products_of(few_run)) == without_times(before)
    assert (few_run / "spectra.fits").read_bytes() == spectra
    after = json.loads((few_run / "run.json").read_text())
    assert after.pop("seconds").keys() == record.pop("seconds").keys()
    assert after == record


def test_e5_workers_show_in_no_table_and_in_no_page(few_run: Path, products_of: Bytes) -> None:
    before = products_of(few_run)
    again(few_run, n_workers=3)
    assert without_times(products_of(few_run)) == without_times(before)


def test_other_limits_change_flags_and_nothing_that_was_measured(few_run: Path) -> None:
    before = hits_of(few_run)
    again(few_run, "vet.snr_min=1000.0", "vet.dsigma_min=-1000.0", 'vet.vetoes=["FAINT"]')
    after = hits_of(few_run)
    faint, repeated = vet_bits(["FAINT"]), vet_bits(["NOT_REPEATED"])
    assert (before["VET_FLAGS"] & repeated).any()
    np.testing.assert_array_equal(after["VET_FLAGS"], before["VET_FLAGS"] & ~repeated | faint)
    assert before["CANDIDATE"].sum() == 2
    assert not after["CANDIDATE"].any()
    for name in before.dtype.names or ():
        if name not in JUDGED:
            np.testing.assert_array_equal(after[name], before[name], err_msg=name)
    assert len(read_table(few_run / "candidates.fits")) == 0
    again(few_run, "vet.snr_min=0.0", 'vet.vetoes=["FAINT"]')
    assert hits_of(few_run)["CANDIDATE"].all()
    assert len(read_table(few_run / "candidates.ecsv")) == 3


def test_back_to_the_old_limits_is_back_to_the_old_tables(few_run: Path, tables_of: Bytes) -> None:
    before = tables_of(few_run)
    again(few_run, "vet.vetoes=[]", "vet.peak_min=1e5")
    assert tables_of(few_run) != before
    old = json.loads((few_run.parent / "few" / "run.json").read_text())["configuration"]["vet"]
    assert old["vetoes"] == []
    again(
        few_run,
        'vet.vetoes=["MASKED", "NEIGHBOUR", "NOT_REPEATED", "ONE_EXPOSURE"]',
        f"vet.peak_min={load_config().vet.peak_min}",
    )
    assert tables_of(few_run) == before


def test_flags_are_what_their_columns_and_limits_say(few: Path) -> None:
    hits = hits_of(few)
    limits = json.loads((few / "run.json").read_text())["configuration"]["vet"]
    n_set = 0
    for hit in hits:
        for flag in VET_FLAGS:
            value, limit = float(hit[flag.column]), limits[flag.setting]
            bad = value < limit if flag.side == "below" else value > limit
            assert bool(hit["VET_FLAGS"] & flag.bit) == bad, flag.name
            n_set += bad
    assert n_set > 0
    np.testing.assert_array_equal(
        hits["CANDIDATE"], hits["VET_FLAGS"] & vet_bits(limits["vetoes"]) == 0
    )


def test_candidates_are_the_hits_that_no_veto_left_out(few: Path) -> None:
    hits, candidates = hits_of(few), read_rows(few / "candidates.fits", CANDIDATES)
    chosen = {(h["TARGETID"], h["WAVE"]) for h in hits[hits["CANDIDATE"]]}
    assert {(c["TARGETID"], c["WAVE"]) for c in candidates} == chosen
    assert len(candidates) == len(chosen) == 2
    assert (np.diff(candidates["P_LYA"] * candidates["P_LENSED"]) <= 0).all()


def test_vetting_leaves_what_the_search_measured_and_measures_the_rest_anew(few: Path) -> None:
    hits = hits_of(few)
    names = list(hits.dtype.names or ())
    searched = [name for name in names[: names.index("Z_SOURCE") + 1] if name != "NAME"]
    assert {"WAVE", "FLUX", "SNR", "FILE", "VDISP"} <= set(searched)
    changed = hits.copy()
    for name in set(names) - set(searched):
        changed[name] = np.ones((), hits.dtype[name])
    vetted = vet_hits(few, changed, load_config(), None, 1).hits
    assert_same_rows(vetted[searched], hits[searched])
    assert_same_rows(vetted, vet_hits(few, hits, load_config(), None, 1).hits)


def known_list(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(("name,plate,mjd,fiberid,ra,dec,zs", *rows)) + "\n")
    return path


def test_published_systems_are_marked_and_kept(few_run: Path, tmp_path: Path) -> None:
    z = 4300.0 / 1215.67 - 1
    known = known_list(
        tmp_path / "known.csv",
        f"Alpha,7,55000,10,,,{z:.4f}",
        "Beta,7,55000,11,,,2.5",
        "Gamma,9,55000,1,10.0,20.0,2.5",
        f"Delta,7,55000,12,,,{4600.0 / 1215.67 - 1:.4f}",
        "Epsilon,8,55000,10,,,",
    )
    vetted = again(few_run, known=known)
    assert (len(vetted.hits), vetted.hits["CANDIDATE"].sum()) == (3, 2)
    told = read_rows(few_run / "known.ecsv", KNOWN)
    assert dict(zip(told["NAME"].tolist(), told["OUTCOME"].tolist(), strict=True)) == {
        "Alpha": "candidate", "Beta": "missed", "Gamma": "absent", "Delta": "hit",
        "Epsilon": "z_unknown",
    }  # fmt: skip
    by_fibre = {(h["PLATE"], h["FIBERID"]): str(h["KNOWN"]) for h in hits_of(few_run)}
    assert by_fibre == {(7, 10): "Alpha", (7, 12): "Delta", (8, 10): "Epsilon (z unknown)"}
    before = (few_run / "known.ecsv").read_bytes(), hits_of(few_run)
    known.unlink()
    again(few_run)
    assert (few_run / "known.ecsv").read_bytes() == before[0]
    assert_same_rows(hits_of(few_run), before[1])
    # Outcomes follow the limits.
    again(few_run, "vet.vetoes=[]")
    told = read_rows(few_run / "known.ecsv", KNOWN)
    assert told["OUTCOME"].tolist() == ["candidate", "missed", "absent", "candidate", "z_unknown"]
    record = json.loads((few_run / "run.json").read_text())
    assert record["counts"]["known_listed"] == 5
    assert record["counts"]["known_found"] == 2
    assert record["counts"]["known_scored"] == 3
    assert record["counts"]["known_z_unknown"] == 1


@pytest.mark.usefixtures("no_report")
def test_of_a_very_long_list_the_systems_of_the_run_are_kept(
    few_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("speclens.verbs.published.MAX_KNOWN_ABSENT", 3)
    absent = [f"Far {i},,,,{i},20.0,2.5" for i in range(10, 20)]
    again(few_run, known=known_list(tmp_path / "a.csv", "Alpha,7,55000,10,,,2.5371", *absent))
    for _ in range(2):
        record = json.loads((few_run / "run.json").read_text())
        assert read_rows(few_run / "known.ecsv", KNOWN)["NAME"].tolist() == ["Alpha"]
        assert (record["counts"]["known_listed"], record["counts"]["known_found"]) == (11, 1)
        assert any("of the 11 published systems 1 have a spectrum" in n for n in record["notes"])
        again(few_run)


def test_another_list_takes_the_place_of_the_first(few_run: Path, tmp_path: Path) -> None:
    again(few_run, known=known_list(tmp_path / "a.csv", "Alpha,7,55000,10,,,2.5371"))
    assert "Alpha" in hits_of(few_run)["KNOWN"].tolist()
    again(few_run, known=known_list(tmp_path / "b.csv", "Beta,8,55000,10,,,2.5371", "Bad,,,,,,"))
    assert set(hits_of(few_run)["KNOWN"].tolist()) == {"", "Beta"}
    notes = json.loads((few_run / "run.json").read_text())["notes"]
    assert any("of the list of published systems 1 could not be used" in n for n in notes)
    assert any("row 2" in note for note in notes)


def test_a_search_marks_published_systems_too(
    tmp_path: Path, write_spec: Write, search_few: Run
) -> None:
    spec = write_spec(tmp_path / "spec-0007-55000-0010.fits", plate=7, mjd=55000, fiberid=10,
                      lines=LINE)  # fmt: skip
    known = known_list(tmp_path / "known.csv", "Alpha,7,55000,10,,,2.5371")
    summary = search_few(tmp_path / "run", spec, known=str(known))
    assert summary.counts["known_found"] == summary.counts["known_scored"] == 1
    assert hits_of(tmp_path / "run")["KNOWN"].tolist() == ["Alpha"]


FEW_HITS = {
    "zero": {1: (), 2: ()},
    "one": {1: LINE, 2: ()},
    "several of one spectrum": {1: ((4100.0, 60.0), (4300.0, 60.0), (4700.0, 60.0)), 2: ()},
    "all of one object": {1: LINE, 2: LINE},
}


@pytest.mark.parametrize("case", FEW_HITS)
def test_few_hits_or_none_are_a_whole_run(
    tmp_path: Path, write_spec: Write, search_few: Run, products_of: Bytes, case: str
) -> None:
    for plate, lines in FEW_HITS[case].items():
        write_spec(tmp_path / "in" / f"spec-{plate}-2-0003.fits", plate=plate, fiberid=3, mjd=2,
                   lines=lines)  # fmt: skip
    run = tmp_path / "run"
    n_hits = sum(map(len, FEW_HITS[case].values()))
    counts = search_few(run, tmp_path / "in", overrides=("vet.vetoes=[]",)).counts
    assert (counts["hits"], counts["candidates"]) == (n_hits, n_hits)
    for name, columns in (("hits", HITS), ("candidates", CANDIDATES)):
        for suffix in ("fits", "ecsv"):
            rows = read_rows(run / f"{name}.{suffix}", columns)
            assert len(rows) == n_hits
            assert list(rows.dtype.names or ()) == [column.name for column in columns]
    index = (run / "report" / "index.html").read_text()
    assert ("found no line" in index) == (case == "zero")
    assert ("hits are in one spectrum" in index) == (case == "several of one spectrum")
    pages = list((run / "report" / "hits").glob("*.html"))
    assert len(pages) == len(list((run / "report" / "hits").glob("*.svg"))) == n_hits
    before = products_of(run)
    again(run)
    report_again(run, None, [], 1)
    assert without_times(products_of(run)) == without_times(before)


def test_the_hits_of_one_object_are_repeats_of_each_other(
    tmp_path: Path, write_spec: Write, search_few: Run
) -> None:
    for plate in (1, 2, 3):
        write_spec(tmp_path / "in" / f"spec-{plate}-2-0003.fits", plate=plate, fiberid=3, mjd=2,
                   lines=LINE)  # fmt: skip
    search_few(tmp_path / "run", tmp_path / "in")
    hits = hits_of(tmp_path / "run")
    assert hits["N_REPEATS"].tolist() == [2, 2, 2]
    assert (np.abs(hits["REPEAT_DSIGMA"]) < 4).all()


def test_counts_and_notes_say_what_was_not_tested(few: Path) -> None:
    hits, config = hits_of(few), load_config()
    vetted = vet_hits(few, hits, config, None, 1)
    (note,) = vetted.notes
    assert note.startswith("too few hits to test for over-densities: 3, and the test needs 100")
    enough = config.model_copy(update={"vet": config.vet.model_copy(update={"dense_min_hits": 3})})
    tested = vet_hits(few, hits, enough, None, 1)
    assert tested.notes == []
    assert np.isfinite(tested.hits["DENSE_OBSERVED"]).all()
    assert np.isnan(vetted.hits["DENSE_OBSERVED"]).all()
    # Among the hits of a run that are many, and half of them at the line of the first.
    others = np.repeat(hits[[0]], 100)
    others["WAVE"][50:] = np.linspace(3700, 4900, 50)
    crowded = vet_hits(few, hits, config, None, 1, among=others).hits
    assert len(crowded) == len(hits)
    assert crowded["DENSE_OBSERVED"][0] > 10


def test_every_rejected_hit_says_what_decided_and_no_candidate_does(few: Path) -> None:
    hits = hits_of(few)
    assert ((hits["REASON"] == "") == hits["CANDIDATE"]).all()
    (reason,) = hits["REASON"][~hits["CANDIDATE"]]
    (row,) = hits[~hits["CANDIDATE"]]
    assert reason.startswith(f"missing in {row['N_REPEATS']} other spectra of the object")
    assert f"{row['REPEAT_DSIGMA']:.1f} sigma" in reason
    assert (hits["NAME"] != "").all()
    assert hits["NAME"].tolist() == [system_name("SDSS", row["RA"], row["DEC"]) for row in hits]


@pytest.mark.parametrize("n_workers", [1, 2])
def test_i2_a_hit_that_cannot_be_measured_is_counted_and_the_others_are_vetted(
    few_run: Path, monkeypatch: pytest.MonkeyPatch, n_workers: int
) -> None:
    before = hits_of(few_run)
    real = vetting.measure_hits

    def fails(spectra: HitSpectra) -> Any:
        if (spectra.hits["FIBERID"] == 12).any():
            raise ZeroDivisionError("no luck")
        return real(spectra)

    monkeypatch.setattr(vetting, "measure_hits", fails)
    monkeypatch.setattr(vetting, "worth_starting", lambda *_: 1)
    record, vetted, _ = vet_again(few_run, None, [], None, n_workers)
    failed = vetted.hits["FIBERID"] == 12
    assert record.counts["hits_failed"] == failed.sum() == 1
    assert set(vetted.hits["FIT_STATUS"][failed]) == {"failed"}
    assert not vetted.hits["CANDIDATE"][failed].any()
    assert "could not be measured" in vetted.hits["REASON"][failed][0]
    (note,) = (note for note in record.notes if "no luck" in note)
    assert "ZeroDivisionError" in note
    assert f"row {np.flatnonzero(failed)[0]}" in note
    assert_same_rows(vetted.hits[~failed], before[~failed])


def test_i2_numbers_that_no_hit_has_are_vetted(few: Path) -> None:
    hits, config = hits_of(few), load_config()
    before = vet_hits(few, hits, config, None, 1).hits
    for value in (np.nan, np.inf, 1e308, -1e308, 0.0):
        damaged = hits.copy()
        for name in ("RA", "DEC", "Z"):
            damaged[name][1] = value
        for name in ("FLUX", "FLUX_ERR", "SNR", "FWHM_KMS", "VDISP", "MAG_I"):
            damaged[name][1] = np.float32(np.clip(value, -3e38, 3e38))
        vetted = vet_hits(few, damaged, config, None, 1)
        assert vetted.failed == set()
        assert (vetted.hits["NAME"][1] == "") == (value != 0)
        others = np.arange(len(hits)) != 1
        assert_same_rows(vetted.hits[others], before[others])


def test_tables_are_read_as_they_were_written(few: Path) -> None:
    record = json.loads((few / "run.json").read_text())
    config = load_config(None, (), record["configuration"])
    vetted = vet_hits(few, hits_of(few), config, None, 1)
    vetted.hits["P_LENSED"] = lens_probability(vetted.hits, config.candidates)
    read = Vetted.read(few)
    for name in ("hits", "companions"):
        assert_same_rows(getattr(read, name), getattr(vetted, name))
    assert read.known is None
