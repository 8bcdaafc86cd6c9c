"""A search as a whole: every spectrum counted, the same bytes whatever happened on the way."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.units import Unit

from speclens.errors import RunError
from speclens.run.folder import locked_folder
from speclens.run.kinds import RUN
from speclens.sample.error_growth import PIXELS, read_growth
from speclens.schema import CANDIDATES, HITS, SPECTRA
from speclens.stored_tables import read_table
from speclens.verbs import stages
from speclens.verbs.scanning import scanned_together
from speclens.verbs.search import RunSummary

pytestmark = pytest.mark.usefixtures("no_report")
Run = Callable[..., RunSummary]
Bytes = Callable[[Path], dict[str, bytes]]
LINE = ((4300.0, 40.0),)


def scores_of(output: Path) -> dict[int, tuple[str, float]]:
    table = read_table(output / "spectra.fits")
    columns = (np.asarray(table[name]).tolist() for name in ("TARGETID", "STATUS", "SNR"))
    rows = zip(*columns, strict=True)
    return {target: (status, snr) for target, status, snr in rows}


def assert_same_scores(
    one: dict[int, tuple[str, float]], other: dict[int, tuple[str, float]], rtol: float
) -> None:
    assert one.keys() == other.keys()
    assert len(one) > 2
    for target, (status, snr) in one.items():
        assert other[target][0] == status
        np.testing.assert_allclose(other[target][1], snr, rtol=rtol, equal_nan=True)


def test_counts_add_up_to_the_input_and_to_the_record(
    reference: tuple[Path, RunSummary], mock_survey: Path
) -> None:
    output, summary = reference
    counts = summary.counts
    n_fibres = len(Table.read(mock_survey / "spAll-mock.fits"))
    assert counts["read"] == n_fibres == 120
    assert counts["scored"] + counts["skipped"] + counts["failed"] == counts["read"]
    assert sum(summary.reasons.values()) == counts["skipped"] + counts["failed"]
    assert counts["hits"] >= counts["candidates"] > 5
    record = json.loads((output / "run.json").read_text())
    assert record["counts"] == counts
    assert record["reasons"] == summary.reasons
    names = ["spAll-mock.fits", "speclens.json", "truth.ecsv", "truth.fits"]
    n_files = {"plates": 3, "specs": 0, "fields": 0, "field specs": 0, "coadds": 0, "stacks": 0,
               "tables": 0}  # fmt: skip
    assert record["files"] == {**n_files, "ignored": 4, "ignored_names": names}
    spectra = read_table(output / "spectra.fits")
    assert Counter(spectra["STATUS"].tolist()) == {
        status: counts[status] for status in ("scored", "skipped", "failed") if counts[status]
    }
    assert Counter(code for code in spectra["REASON"].tolist() if code) == summary.reasons
    assert len(read_table(output / "hits.fits")) == counts["hits"]


def test_every_fibre_has_one_row_and_only_scored_ones_a_ratio(
    reference: tuple[Path, RunSummary], mock_survey: Path
) -> None:
    spectra = read_table(reference[0] / "spectra.fits")
    known = Table.read(mock_survey / "spAll-mock.fits")
    ids = 10**9 * known["PLATE"].astype(int) + 10**4 * known["MJD"].astype(int) + known["FIBERID"]
    assert sorted(spectra["TARGETID"].tolist()) == sorted(np.asarray(ids).tolist())
    scored = spectra["STATUS"] == "scored"
    np.testing.assert_array_equal(np.isfinite(spectra["SNR"]), scored)
    assert (spectra["REASON"][scored] == "").all()
    assert (spectra["REASON"][~scored] != "").all()
    files = {Path(name).name for name in spectra["FILE"].tolist()}
    assert files == {path.name for path in mock_survey.glob("*/spPlate-*.fits")}
    sky = known["OBJTYPE"] == "SKY"
    skipped = dict(zip(spectra["TARGETID"].tolist(), spectra["REASON"].tolist(), strict=True))
    assert {skipped[int(i)] for i in ids[sky]} == {"sky_fibre"}


@pytest.mark.parametrize(
    ("name", "columns"), [("spectra", SPECTRA), ("hits", HITS), ("candidates", CANDIDATES)]
)
@pytest.mark.parametrize("empty", [False, True])
def test_c2_tables_have_all_columns_with_units_and_descriptions_even_without_rows(
    reference: tuple[Path, RunSummary],
    tmp_path: Path,
    run_into: Run,
    write_spec: Callable[..., Path],
    name: str,
    columns: tuple,
    empty: bool,
) -> None:
    output = reference[0]
    if empty:
        output = tmp_path / "run"
        run_into(output, write_spec(tmp_path / "spec-1-2-3.fits", class_="STAR"))
    table = read_table(output / f"{name}.fits")
    assert (len(table) == 0) == (empty and name != "spectra")
    assert table.colnames == [column.name for column in columns]
    header = fits.getheader(output / f"{name}.fits", 1)
    for i, column in enumerate(columns, 1):
        assert (table[column.name].unit or Unit("")) == Unit(column.unit)
        assert header[f"TCOMM{i}"] == column.description
        assert table[column.name].description == column.description
        assert len(column.description) > 4
    if name != "spectra":
        text = read_table(output / f"{name}.ecsv")
        assert len(text) == len(table)
        for column in columns:
            assert (text[column.name].unit or Unit("")) == Unit(column.unit)
            assert text[column.name].description == column.description


def test_b9_candidates_are_sorted_by_probability_and_ties_by_id(
    tmp_path: Path, run_into: Run, write_spec: Callable[..., Path]
) -> None:
    flux = fits.getdata(write_spec(tmp_path / "seed.fits", lines=LINE))["flux"]
    for fibre in (7, 3, 5):
        write_spec(tmp_path / "in" / f"spec-1-2-{fibre:04d}.fits", fiberid=fibre, flux=flux)
    write_spec(tmp_path / "in" / "spec-1-2-0009.fits", fiberid=9, lines=((4300.0, 90.0),))
    run_into(tmp_path / "run", tmp_path / "in")
    found = read_table(tmp_path / "run" / "candidates.fits")
    assert found["FIBERID"].tolist() == [9, 3, 5, 7]
    assert len(set(found["P_LYA"][1:].tolist())) == 1
    assert found["P_LYA"][0] > found["P_LYA"][1]


def test_candidates_of_the_mock_are_best_first_in_every_file(
    reference: tuple[Path, RunSummary],
) -> None:
    output = reference[0]
    found = read_table(output / "candidates.fits")
    probability = np.asarray(found["P_LYA"] * found["P_LENSED"])
    assert np.isfinite(probability).all()
    assert (np.diff(probability) <= 0).all()
    assert probability[0] > probability[-1]
    assert found["RANK"].tolist() == list(range(1, len(found) + 1))
    rows = (output / "candidates.csv").read_text().splitlines()[1:]
    assert [row.split(",")[0] for row in rows] == found["NAME"].tolist()
    assert read_table(output / "candidates.ecsv")["TARGETID"].tolist() == (
        found["TARGETID"].tolist()
    )


def test_e2_a_second_search_finds_all_done_and_leaves_the_same_bytes(
    reference: tuple[Path, RunSummary],
    mock_survey: Path,
    tmp_path: Path,
    run_into: Run,
    tables_of: Bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = tmp_path / "run"
    first = run_into(run, mock_survey)
    assert first.n_new == first.counts["read"]
    before = tables_of(run)
    assert before == tables_of(reference[0])
    monkeypatch.setattr("speclens.search.scan._scan", None)
    second = run_into(run, mock_survey)
    assert second.n_new == 0
    assert second.counts == first.counts
    assert tables_of(run) == before


@pytest.mark.slow
def test_e5_b9_workers_do_not_show_even_with_a_sky_correction(
    mock_survey: Path,
    reference: tuple[Path, RunSummary],
    tmp_path: Path,
    run_into: Run,
    tables_of: Bytes,
) -> None:
    growth = tmp_path / "sky.fits"
    tenth = np.full(PIXELS.n_pixels, 1.1)
    told = read_growth("").with_factor("SKY", PIXELS.first, tenth, np.full(len(tenth), 9))
    told.write(growth, {})
    sky = ("search.method=matched-filter", f"noise.growth={growth}")
    run_into(tmp_path / "one", mock_survey, overrides=sky)
    run_into(tmp_path / "two", mock_survey, overrides=sky, n_workers=2)
    assert tables_of(tmp_path / "one") == tables_of(tmp_path / "two")
    plain, corrected = (
        read_table(run / "spectra.fits") for run in (reference[0], tmp_path / "one")
    )
    scored = np.asarray(plain["STATUS"] == "scored")
    assert (corrected["STATUS"] == plain["STATUS"]).all()
    ratio = np.asarray(corrected["SNR"] / plain["SNR"])[scored]
    assert np.median(ratio) < 0.999
    # As stated: the correction is not in it.
    np.testing.assert_allclose(
        corrected["RESIDUAL_RMS"][scored], plain["RESIDUAL_RMS"][scored], rtol=1e-6
    )


def test_b9_the_order_of_plates_does_not_change_a_score(
    reference: tuple[Path, RunSummary], mock_survey: Path, tmp_path: Path, run_into: Run
) -> None:
    plates = sorted(mock_survey.glob("*/spPlate-*.fits"), reverse=True)
    run_into(tmp_path / "run", *plates)
    assert_same_scores(scores_of(reference[0]), scores_of(tmp_path / "run"), rtol=0)


@pytest.mark.parametrize("per_shard", [1, 3])
@pytest.mark.parametrize("method", ["matched-filter", "resnet"])
def test_e5_b9_how_files_are_grouped_changes_no_byte(
    tmp_path: Path,
    run_into: Run,
    write_spec: Callable[..., Path],
    tables_of: Bytes,
    group_specs: Callable[[int], None],
    method: str,
    per_shard: int,
) -> None:
    method = f"search.method={method}"
    for fibre in range(1, 8):
        write_spec(
            tmp_path / "in" / f"spec-1-2-{fibre}.fits", fiberid=fibre, lines=LINE[fibre % 2 :]
        )
    first = run_into(tmp_path / "whole", tmp_path / "in", overrides=(method,))
    assert first.counts["hits"] >= 3
    group_specs(per_shard)
    run_into(tmp_path / "parts", tmp_path / "in", overrides=(method,))
    assert len(list((tmp_path / "parts" / "work").glob("*.shard"))) > 1
    assert tables_of(tmp_path / "parts") == tables_of(tmp_path / "whole")


def test_d5_another_configuration_is_refused_with_the_key_and_both_values(
    tmp_path: Path, run_into: Run, write_spec: Callable[..., Path], tables_of: Bytes
) -> None:
    spec = write_spec(tmp_path / "spec-1-2-3.fits", lines=LINE)
    run_into(tmp_path / "run", spec)
    before = tables_of(tmp_path / "run")
    with pytest.raises(RunError, match=r"setup.*matched_filter\.snr_min: was 6\.0, now 5\.25"):
        run_into(tmp_path / "run", spec, overrides=("matched_filter.snr_min=5.25",))
    with pytest.raises(RunError, match=r"verify: was True, now False"):
        run_into(tmp_path / "run", spec, verify=False)
    assert tables_of(tmp_path / "run") == before
    assert run_into(tmp_path / "run", spec).n_new == 0


def test_d5_another_catalogue_is_refused(
    tmp_path: Path,
    run_into: Run,
    write_spec: Callable[..., Path],
    write_catalogue: Callable[..., Path],
) -> None:
    spec = write_spec(tmp_path / "spec-3655-55240-0001.fits")
    run_into(tmp_path / "run", spec)
    catalogue = write_catalogue(tmp_path / "spAll.fits", [{"FIBERID": 1, "Z": 0.6}])
    with pytest.raises(RunError, match=r"catalogue: was none, now '.*spAll\.fits'"):
        run_into(tmp_path / "run", spec, catalogue=str(catalogue))


def test_d7_a_changed_catalogue_of_the_same_name_searches_again(
    tmp_path: Path,
    run_into: Run,
    write_spec: Callable[..., Path],
    write_catalogue: Callable[..., Path],
) -> None:
    spec = write_spec(tmp_path / "spec-3655-55240-0001.fits")
    path = tmp_path / "spAll.fits"
    for z in (0.6, 0.61):
        write_catalogue(path, [{"FIBERID": 1, "Z": z}])
        summary = run_into(tmp_path / "run", spec, catalogue=str(path))
        assert summary.n_new == 1
        assert read_table(tmp_path / "run" / "spectra.fits")["Z"][0] == pytest.approx(z)


def test_d5_an_unreadable_setup_is_named(
    tmp_path: Path, run_into: Run, write_spec: Callable[..., Path]
) -> None:
    spec = write_spec(tmp_path / "spec-1-2-3.fits")
    with locked_folder(tmp_path / "run", RUN) as folder:
        (folder.work / "setup.json").write_text('{"half')
    with pytest.raises(RunError, match=r"setup\.json: damaged"):
        run_into(tmp_path / "run", spec)


@pytest.mark.parametrize("name", ["spec-1-2-0003.fits", "spec-1-2-0003.fits.gz"])
@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_a_corrected_file_is_searched_again(
    tmp_path: Path, run_into: Run, write_spec: Callable[..., Path], name: str, damage: str
) -> None:
    good = write_spec(tmp_path / "in" / "spec-1-2-0001.fits", fiberid=1)
    path = write_spec(tmp_path / "in" / name, fiberid=3, lines=LINE, plate=1, mjd=2)
    whole = path.read_bytes()
    middle = len(whole) // 2
    broken = whole[:middle] if damage == "truncated" else bytearray(whole)
    if damage == "flipped":
        broken[middle] ^= 255
    path.write_bytes(broken)
    first = run_into(tmp_path / "run", tmp_path / "in")
    assert (first.counts["failed"], first.counts["scored"]) == (1, 1)
    path.write_bytes(whole)
    second = run_into(tmp_path / "run", tmp_path / "in")
    assert (second.counts["failed"], second.counts["scored"]) == (0, 2)
    assert 3 in read_table(tmp_path / "run" / "hits.fits")["FIBERID"].tolist()
    assert second.reasons == {}
    assert good.is_file()


def test_a_spzbest_that_comes_later_is_used(
    tmp_path: Path, run_into: Run, write_plate: Callable[..., Path]
) -> None:
    plate = write_plate(tmp_path / "in", zbest="run2d")
    zbest = next((tmp_path / "in").glob("*/spZbest*"))
    kept = zbest.rename(tmp_path / "kept")
    first = run_into(tmp_path / "run", plate)
    assert set(first.reasons) == {"no_catalogue"}
    shutil.copy(kept, zbest)
    second = run_into(tmp_path / "run", plate)
    assert second.counts["failed"] == 0
    assert second.counts["scored"] > 3


@pytest.mark.parametrize("place", ["beside", "run2d"])
def test_d7_redshifts_that_were_corrected_are_used(
    tmp_path: Path, run_into: Run, write_plate: Callable[..., Path], place: str
) -> None:
    plate = write_plate(tmp_path / "in", zbest=place)
    first = run_into(tmp_path / "run", plate)
    zbest = next((tmp_path / "in").rglob("spZbest*"))
    with fits.open(zbest) as hdus:
        hdus[1].data["Z"][0] = 0.777
        hdus.writeto(tmp_path / "new.fits", checksum=True)
    (tmp_path / "new.fits").replace(zbest)
    second = run_into(tmp_path / "run", plate)
    assert second.n_new == first.n_new
    assert read_table(tmp_path / "run" / "spectra.fits")["Z"][0] == pytest.approx(0.777)


def test_inputs_added_later_are_included_and_only_they_are_searched(
    tmp_path: Path, run_into: Run, write_plate: Callable[..., Path], tables_of: Bytes
) -> None:
    folder = tmp_path / "in"
    write_plate(folder, plate=11)
    first = run_into(tmp_path / "run", folder)
    write_plate(folder, plate=12, lines={1: LINE})
    second = run_into(tmp_path / "run", folder)
    assert second.counts["read"] == 2 * first.counts["read"]
    assert second.n_new == first.counts["read"]
    run_into(tmp_path / "fresh", folder)
    assert tables_of(tmp_path / "run") == tables_of(tmp_path / "fresh")


def test_inputs_taken_away_are_gone_from_the_tables(
    tmp_path: Path, run_into: Run, write_plate: Callable[..., Path], tables_of: Bytes
) -> None:
    folder = tmp_path / "in"
    write_plate(folder, plate=11)
    extra = write_plate(folder, plate=12, lines={1: LINE})
    run_into(tmp_path / "run", folder)
    extra.unlink()
    assert run_into(tmp_path / "run", folder).n_new == 0
    run_into(tmp_path / "fresh", folder)
    assert tables_of(tmp_path / "run") == tables_of(tmp_path / "fresh")


def test_a16_a_spectrum_in_two_files_is_scored_once(
    tmp_path: Path, run_into: Run, write_plate: Callable[..., Path], write_spec: Callable[..., Path]
) -> None:
    write_plate(tmp_path / "in", lines={1: LINE})
    write_spec(tmp_path / "in" / "spec-3655-55240-0001.fits", lines=LINE)
    summary = run_into(tmp_path / "run", tmp_path / "in")
    assert summary.reasons["duplicate"] == 1
    assert read_table(tmp_path / "run" / "hits.fits")["FIBERID"].tolist().count(1) == 1


def test_nothing_to_search_is_an_error_that_makes_no_folder(tmp_path: Path, run_into: Run) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("no spectra")
    with pytest.raises(RunError, match=r"no spPlate.*1 other files"):
        run_into(tmp_path / "run", tmp_path / "empty")
    with pytest.raises(RunError, match="no such file or folder"):
        run_into(tmp_path / "run", tmp_path / "absent")
    assert not (tmp_path / "run").exists()


def test_a_file_is_fetched_while_the_one_before_it_is_searched(
    tmp_path: Path, mock_survey: Path, run_into: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, str]] = []

    def searched(scanners: Any, scans: Any) -> Any:
        told.append(("searched", scans[0].shard.files[0]))
        return scanned_together(scanners, scans)

    monkeypatch.setattr(stages, "scanned_together", searched)
    monkeypatch.setattr(stages, "read_ahead", lambda shard: told.append(("ahead", shard.files[0])))
    run_into(tmp_path / "run", mock_survey, overrides=('search.foregrounds=["galaxy"]',))
    first, *others = [file for what, file in told if what == "searched"]
    assert [file for what, file in told if what == "ahead"] == others
    for before, file in pairwise([first, *others]):
        assert told.index(("ahead", file)) < told.index(("searched", before))
