"""Candidate tables: names, order, files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.products import read_table
from speclens.report.tables import candidates_of, sdss_name, write_candidates, write_hits
from speclens.schema import CANDIDATES, HITS, dtype_of

SUFFIXES = ("fits", "ecsv", "csv", "tex")


@pytest.fixture
def hits() -> NDArray[np.void]:
    rows = np.zeros(6, dtype_of(HITS))
    rows["TARGETID"] = [5, 3, 3, 2**53 + 1, 9, 1]
    rows["PLATE"], rows["MJD"], rows["FIBERID"] = 4731, 55656, np.arange(6) + 1
    rows["RA"], rows["DEC"] = 169.45625, 1.676931
    rows["SNR"] = [7, 8, 8, 8, 12, 30]
    rows["WAVE"] = [4000, 4200, 4100, 3900, 4300, 4400]
    rows["CANDIDATE"] = [True, True, True, True, True, False]
    return rows


@pytest.mark.parametrize(
    ("name", "ra", "dec"),
    [  # Li et al. 2019, Table 1: columns 1, 5 and 6
        ("SDSS J111749.50+014036.9", "11:17:49.50", "+01:40:36.95"),
        ("SDSS J121650.13+500700.2", "12:16:50.13", "+50:07:00.26"),
        ("SDSS J122502.89-000907.8", "12:25:02.89", "-00:09:07.85"),
        ("SDSS J142310.55+231928.1", "14:23:10.55", "+23:19:28.17"),
        ("SDSS J143428.11+470111.5", "14:34:28.11", "+47:01:11.53"),
    ],
)
def test_names_of_the_five_candidates_follow_from_their_coordinates(
    name: str, ra: str, dec: str
) -> None:
    hours, minutes, seconds = (float(part) for part in ra.split(":"))
    degrees, arc_minutes, arc_seconds = (float(part) for part in dec[1:].split(":"))
    sign = -1 if dec[0] == "-" else 1
    position = degrees + arc_minutes / 60 + arc_seconds / 3600
    assert sdss_name(15 * (hours + minutes / 60 + seconds / 3600), sign * position) == name


@pytest.mark.parametrize(
    ("ra", "dec", "name"),
    [
        (0.0, 0.0, "SDSS J000000.00+000000.0"),
        (360.0, 0.0, "SDSS J000000.00+000000.0"),
        (359.9999999, 0.0, "SDSS J235959.99+000000.0"),
        (-15.0, 10.0, "SDSS J230000.00+100000.0"),
        (15 * 59.999 / 3600, 0.0, "SDSS J000059.99+000000.0"),
        (15.0, 59.99 / 3600, "SDSS J010000.00+000059.9"),
        (15.0, -59.99 / 3600, "SDSS J010000.00-000059.9"),
        (15.0, 0.99999, "SDSS J010000.00+005959.9"),
        (15.0, -0.0, "SDSS J010000.00+000000.0"),
        (15.0, -1e-9, "SDSS J010000.00-000000.0"),
        (15.0, -0.5, "SDSS J010000.00-003000.0"),
        (15.0, 90.0, "SDSS J010000.00+900000.0"),
        (15.0, -90.0, "SDSS J010000.00-900000.0"),
        (15.0, 1.1, "SDSS J010000.00+010600.0"),
    ],
)
def test_c3_names_are_truncated_never_rounded(ra: float, dec: float, name: str) -> None:
    assert sdss_name(ra, dec) == name


@pytest.mark.parametrize(("ra", "dec"), [(np.nan, 1.0), (1.0, np.nan), (np.inf, 0.0)])
def test_c3_a_target_without_a_position_has_no_name(ra: float, dec: float) -> None:
    assert sdss_name(ra, dec) == ""


def test_names_of_a_grid_of_positions_read_back_to_just_below_them() -> None:
    rng = np.random.default_rng(4)
    for ra, dec in zip(rng.uniform(0, 360, 500), rng.uniform(-90, 90, 500), strict=True):
        name = sdss_name(ra, dec)[6:]
        hours = int(name[:2]) + int(name[2:4]) / 60 + float(name[4:9]) / 3600
        degrees = int(name[10:12]) + int(name[12:14]) / 60 + float(name[14:]) / 3600
        assert -1e-9 < ra - 15 * hours < 15 * 0.01 / 3600 + 1e-9
        assert -1e-9 < abs(dec) - degrees < 0.1 / 3600 + 1e-9
        assert (name[9] == "-") == (dec < 0)


def test_b9_candidates_are_ordered_by_snr_then_id_then_wavelength(
    hits: NDArray[np.void],
) -> None:
    expected = [(9, 4300), (3, 4100), (3, 4200), (2**53 + 1, 3900), (5, 4000)]
    rng = np.random.default_rng(5)
    for order in [np.arange(6), *(rng.permutation(6) for _ in range(10))]:
        found = candidates_of(hits[order])
        assert [(int(row["TARGETID"]), row["WAVE"]) for row in found] == expected


def test_candidates_keep_every_column_of_their_hits(hits: NDArray[np.void]) -> None:
    found = candidates_of(hits)
    assert found.dtype == dtype_of(CANDIDATES)
    best = hits[4]
    for name in hits.dtype.names or ():
        assert found[0][name] == best[name]
    assert found[0]["NAME"] == "SDSS J111749.50+014036.9"
    assert found[0]["SPECTRUM"] == "4731-55656-5"


def test_rejected_hits_are_no_candidates(hits: NDArray[np.void]) -> None:
    hits["CANDIDATE"] = False
    found = candidates_of(hits)
    assert found.dtype == dtype_of(CANDIDATES)
    assert len(found) == 0


@pytest.mark.parametrize("n_hits", [0, 6])
def test_all_files_hold_the_same_candidates(
    tmp_path: Path, hits: NDArray[np.void], n_hits: int
) -> None:
    write_candidates(tmp_path, hits[:n_hits], {"VERSION": "1"})
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(f"candidates.{s}" for s in SUFFIXES)
    from_fits = read_table(tmp_path / "candidates.fits")
    from_text = read_table(tmp_path / "candidates.ecsv")
    assert from_fits.colnames == from_text.colnames == [c.name for c in CANDIDATES]
    assert len(from_fits) == len(from_text) == (5 if n_hits else 0)
    assert from_fits["TARGETID"].tolist() == from_text["TARGETID"].tolist()
    csv = (tmp_path / "candidates.csv").read_text().splitlines()
    assert len(csv) == 1 + len(from_fits)
    assert csv[0].split(",") == from_fits.colnames


def test_c3_a_candidate_without_a_position_is_written_and_read_back(
    tmp_path: Path, hits: NDArray[np.void]
) -> None:
    hits["RA"] = np.nan
    write_candidates(tmp_path, hits, {})
    for suffix in ("fits", "ecsv"):
        found = read_table(tmp_path / f"candidates.{suffix}")
        assert [str(name) for name in found["NAME"]] == [""] * 5


def test_all_hits_are_written_candidates_or_not(tmp_path: Path, hits: NDArray[np.void]) -> None:
    write_hits(tmp_path, hits, {"VERSION": "1"})
    for suffix in ("fits", "ecsv"):
        found = read_table(tmp_path / f"hits.{suffix}")
        assert found["TARGETID"].tolist() == hits["TARGETID"].tolist()
        assert found["CANDIDATE"].tolist() == hits["CANDIDATE"].tolist()
        assert str(found["WAVE"].unit) == "Angstrom"


def test_the_latex_table_is_the_paper_s_table_1(tmp_path: Path, hits: NDArray[np.void]) -> None:
    hits["Z"], hits["Z_SOURCE"], hits["FLUX"], hits["FLUX_ERR"] = 0.584, 2.157, 30.44, 2.17
    rows = write_candidates(tmp_path, hits, {})
    text = (tmp_path / "candidates.tex").read_text()
    first = next(line for line in text.splitlines() if line.startswith(rows["NAME"][0]))
    assert "SDSS J111749.50+014036.9 & 4731-55656-5 & 0.5840 & 2.1570" in first
    assert "11:17:49.50 & +01:40:36.9" in first
    assert r"$30.4 \pm 2.2$" in first
    assert text.count("SDSS J") == len(rows)
    assert "_ERR" not in text


def test_the_csv_table_has_no_more_digits_than_were_measured(
    tmp_path: Path, hits: NDArray[np.void]
) -> None:
    hits["FLUX"] = 57.23768
    write_candidates(tmp_path, hits, {})
    text = (tmp_path / "candidates.csv").read_text()
    assert ",57.23768," in text
