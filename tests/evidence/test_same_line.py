"""The line of a hit elsewhere: measured in neighbours, repeats and exposures, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fixtures.runs import companions_of, hits_of, told_of
from speclens.schema import vet_bits
from speclens.verbs.search import RunSummary

pytestmark = pytest.mark.usefixtures("no_report")
Run = Callable[..., RunSummary]
Write = Callable[..., Path]
LINE = ((4300.0, 40.0),)


def test_neighbours_and_repeats_are_measured_and_nothing_else(few: Path) -> None:
    assert told_of(few) == {
        ("7-10", "neighbour", "0007-55000-0011"),
        ("7-12", "neighbour", "0007-55000-0011"),
        ("7-10", "repeat", "0008-55000-0010"),
        ("8-10", "repeat", "0007-55000-0010"),
        ("7-12", "repeat", "0008-55000-0012"),
    }


def test_a_line_is_measured_where_it_is_and_missed_where_it_is_not(few: Path) -> None:
    hits, rows = hits_of(few), companions_of(few)
    assert len(rows) == 5
    for row in rows:
        there = row["KIND"] == "repeat" and str(row["NAME"]).endswith("-0010")
        put_in = 40.0 if there else 0.0
        assert abs(row["FLUX"] - put_in) < 4 * row["FLUX_ERR"]
        # The error of a line of 2.2 pixels in noise of 0.3, with the continuum fitted.
        assert row["FLUX_ERR"] == pytest.approx(hits["FLUX_ERR"][row["HIT"]], rel=0.5)
    lost = hits[hits["FIBERID"] == 12][0]
    assert lost["REPEAT_DSIGMA"] < -4
    assert lost["VET_FLAGS"] & vet_bits(["NOT_REPEATED"])
    assert not lost["CANDIDATE"]
    kept = hits[hits["FIBERID"] == 10]
    assert (np.abs(kept["REPEAT_DSIGMA"]) < 4).all()
    assert kept["CANDIDATE"].all()
    assert kept["N_REPEATS"].tolist() == [1, 1]


def test_light_that_crosses_from_a_neighbour_is_recognised(
    tmp_path: Path, search_few: Run, write_spec: Write
) -> None:
    # The light of 20 may be 21's; 30 and 31 have each a line, 41 has it elsewhere.
    lines = {
        20: (4300.0, 30.0), 21: (4300.0, 900.0), 23: (4300.0, 200.0),
        30: (4300.0, 30.0), 31: (4300.0, 60.0), 40: (4300.0, 30.0), 41: (4306.0, 900.0),
    }  # fmt: skip
    for fibre, line in lines.items():
        path = tmp_path / "in" / f"spec-3655-55240-{fibre:04d}.fits"
        write_spec(path, fiberid=fibre, lines=(line,))
    search_few(tmp_path / "run", tmp_path / "in")
    hits = {int(row["FIBERID"]): row for row in hits_of(tmp_path / "run")}
    assert hits[20]["NEIGHBOUR_SNR"] > 50
    assert hits[30]["NEIGHBOUR_SNR"] > 10
    assert np.isnan(hits[23]["NEIGHBOUR_SNR"])
    flagged = {fibre for fibre, hit in hits.items() if hit["VET_FLAGS"] & vet_bits(["NEIGHBOUR"])}
    assert flagged == {20}


def test_a16_the_same_spectrum_in_a_second_file_is_no_repeat(
    tmp_path: Path, search_few: Run, write_plate: Write, write_spec: Write
) -> None:
    write_plate(tmp_path / "in", lines={1: LINE})
    write_spec(tmp_path / "in" / "spec-3655-55240-0001.fits", lines=LINE)
    assert search_few(tmp_path / "run", tmp_path / "in").reasons["duplicate"] == 1
    (hit,) = hits_of(tmp_path / "run")
    assert hit["N_REPEATS"] == 0
    assert {kind for _, kind, _ in told_of(tmp_path / "run")} == {"neighbour"}


def test_the_distance_of_repeats_is_that_of_the_configuration(
    tmp_path: Path, search_few: Run, write_spec: Write
) -> None:
    for plate, dec in ((7, 2.0), (8, 2.0 + 2 / 3600)):
        path = tmp_path / "in" / f"spec-{plate:04d}-55240-0001.fits"
        write_spec(path, plate=plate, lines=LINE, row={"PLUG_DEC": dec})
    for arcsec, n_repeats in ((1.0, 0), (2.1, 1), (1.0, 0)):
        # It is no part of the search, and so no reason to refuse the folder.
        override = (f"vet.repeat_arcsec={arcsec}",)
        search_few(tmp_path / "run", tmp_path / "in", overrides=override)
        assert hits_of(tmp_path / "run")["N_REPEATS"].tolist() == [n_repeats] * 2


@pytest.mark.parametrize("upper_case", [False, True])
def test_full_files_tell_a_line_of_one_exposure_from_one_of_all(
    tmp_path: Path, search_few: Run, write_full_spec: Write, write_spec: Write, upper_case: bool
) -> None:
    full = {"n_exposures": 4, "upper_case": upper_case}
    names = [tmp_path / "in" / f"spec-3655-55240-{fibre:04d}.fits" for fibre in (10, 20, 30)]
    write_full_spec(names[0], fiberid=10, lines=LINE, **full)
    write_full_spec(names[1], fiberid=20, exposure_lines={2: ((4300.0, 200.0),)}, **full)
    write_spec(names[2], fiberid=30, lines=LINE)
    search_few(tmp_path / "run", tmp_path / "in")
    in_all, in_one, lite = hits_of(tmp_path / "run")
    assert [in_all["N_EXPOSURES"], in_one["N_EXPOSURES"], lite["N_EXPOSURES"]] == [4, 4, 0]
    assert abs(in_all["EXPOSURE_DSIGMA"]) < 4
    assert in_one["EXPOSURE_DSIGMA"] < -4
    assert np.isnan(lite["EXPOSURE_DSIGMA"])
    one_exposure = vet_bits(["ONE_EXPOSURE"])
    flags = [int(hit["VET_FLAGS"]) & one_exposure for hit in (in_all, in_one, lite)]
    assert flags == [0, one_exposure, 0]
    assert [bool(hit["CANDIDATE"]) for hit in (in_all, in_one, lite)] == [True, False, True]
    rows = companions_of(tmp_path / "run")
    mine = rows[(rows["HIT"] == 0) & (rows["KIND"] == "exposure")]
    assert len(set(mine["NAME"].tolist())) == 4
    assert (np.abs(mine["FLUX"] - 40) < 4 * mine["FLUX_ERR"]).all()
