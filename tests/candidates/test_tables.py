"""The files of hits and candidates hold what was found, for every kind of reader."""

from __future__ import annotations

import csv
import errno
import os
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.units import Unit
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from speclens.candidates.ranking import candidates_of
from speclens.candidates.tables import write_candidates, write_hits
from speclens.config import load_config
from speclens.errors import RunError
from speclens.names import system_name
from speclens.read.sdss.identity import spectrum_names
from speclens.schema import CANDIDATES, HITS, VET_FLAGS, dtype_of
from speclens.stored_tables import read_table

SUFFIXES = ("fits", "ecsv", "csv", "tex")
HOSTILE = (
    "<script>alert(1)</script>", '"><img onerror=x>', "=HYPERLINK(1)", r"$\foo$", "+1", "-1", "@a",
    "a,b", 'q"uo"te', "--", "nan", "None", "#c", "\\N",
)  # fmt: skip

PAPER = """
SDSS J111749.50+014036.9 | 4731-55656-197 | 0.5840 | 2.1570 | 11:17:49.50 | +01:40:36.95 | 19.35 | 30.4 | 2.17 0.70
SDSS J121650.13+500700.2 | 6671-56388-589 | 0.6613 | 2.7894 | 12:16:50.13 | +50:07:00.26 | 19.83 | 36.7 | 5.45 1.60
SDSS J122502.89-000907.8 | 3847-55588-309 | 0.4868 | 2.4395 | 12:25:02.89 | -00:09:07.85 | 19.61 | 12.3 | 4.03 1.83
SDSS J142310.55+231928.1 | 6013-56074-66 | 0.4717 | 2.4099 | 14:23:10.55 | +23:19:28.17 | 19.66 | 50.8 | 1.72 0.43
SDSS J143428.11+470111.5 | 6736-56366-505 | 0.5070 | 2.3913 | 14:34:28.11 | +47:01:11.53 | 19.25 | 24.2 | 2.44 1.43
"""  # noqa: E501
"""Table 1 of Li et al. 2019."""


@pytest.fixture
def hits() -> NDArray[np.void]:
    rows = np.zeros(6, dtype_of(HITS, FILE=40))
    rows["TARGETID"] = [5, -3, 3, 2**53 + 1, 9, 1]
    rows["PLATE"], rows["MJD"], rows["FIBERID"] = 4731, 55656, np.arange(6) + 1
    rows["SPECTRUM"] = spectrum_names(rows)
    rows["RA"], rows["DEC"], rows["FILE"] = 169.45625, 1.676931, "a/spec-4731-55656-0005.fits"
    rows["Z"], rows["Z_SOURCE"], rows["P_HYPOTHESIS"] = 0.584, 2.157, 0.9
    rows["HYPOTHESIS"], rows["P_LENSED"] = "lya", 0.8
    rows["SNR"] = [7, 8, 8, 8, 12, 30]
    rows["WAVE"] = [4000, 4200, 4100, 3900, 4300, 4400]
    rows["CANDIDATE"] = [True, True, True, True, True, False]
    return rows


def named(hits: NDArray[np.void]) -> NDArray[np.void]:
    hits = hits.copy()
    hits["NAME"] = [system_name("SDSS", row["RA"], row["DEC"]) for row in hits]
    return hits


def ranked(hits: NDArray[np.void]) -> NDArray[np.void]:
    return candidates_of(named(hits), load_config().candidates)


def csv_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def latex_cells(path: Path) -> list[list[str]]:
    """Cells of the rows between the heads and the end of the table."""
    body = path.read_text().split("\\endfoot\n")[1].split("\\end{longtable}")[0]
    return [line.removesuffix(" \\\\").split(" & ") for line in body.splitlines()]


@pytest.mark.parametrize("n_hits", [0, 1, 6])
def test_all_files_hold_the_same_candidates(
    tmp_path: Path, hits: NDArray[np.void], n_hits: int
) -> None:
    rows = ranked(hits[:n_hits])
    write_candidates(tmp_path, rows, {"VERSION": "1"})
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(f"candidates.{s}" for s in SUFFIXES)
    names = [column.name for column in CANDIDATES]
    for suffix in ("fits", "ecsv"):
        found = read_table(tmp_path / f"candidates.{suffix}")
        assert found.colnames == names
        assert found["TARGETID"].tolist() == rows["TARGETID"].tolist()
        units = [str(found[name].unit or "") for name in names]
        assert [Unit(unit) for unit in units] == [Unit(column.unit) for column in CANDIDATES]
    header, *lines = (tmp_path / "candidates.csv").read_text().splitlines()
    assert header.split(",") == names
    assert len(lines) == len(latex_cells(tmp_path / "candidates.tex")) == len(rows)


@pytest.mark.parametrize("suffix", ["fits", "ecsv"])
def test_every_cell_of_a_candidate_is_read_back(
    tmp_path: Path, hits: NDArray[np.void], rng: np.random.Generator, suffix: str
) -> None:
    rows = ranked(hits)
    for column in CANDIDATES:
        kind = rows.dtype[column.name].kind
        if kind == "f":
            rows[column.name] = np.where(rng.random(5) < 0.3, np.nan, rng.normal(0, 1e3, 5))
        elif kind == "U":
            rows[column.name] = [f"{i} {column.name}"[: 12 - i].rstrip() for i in range(5)]
        elif kind == "i":
            rows[column.name] = rng.integers(-(2**15), 2**15, 5)
    rows["SIGMA_ASSUMED"] = rng.random(5) < 0.5
    write_candidates(tmp_path, rows, {})
    found = read_table(tmp_path / f"candidates.{suffix}")
    for name in rows.dtype.names or ():
        # astropy masks what is no number in FITS; the number below is still NaN.
        assert_array_equal(np.ma.getdata(found[name]), rows[name], err_msg=name)


@pytest.mark.parametrize("suffix", ["fits", "ecsv"])
def test_candidates_of_stored_hits_are_those_of_the_hits(
    tmp_path: Path, hits: NDArray[np.void], suffix: str
) -> None:
    hits["KNOWN"][1], hits["LYA_FLUX"][2], hits["P_LYA"][3] = "BELLS 7", np.nan, np.nan
    write_hits(tmp_path, named(hits), {})
    stored = read_table(tmp_path / f"hits.{suffix}").as_array()
    write_candidates(tmp_path / "a", ranked(hits), {})
    write_candidates(tmp_path / "b", ranked(stored), {})
    for name in (f"candidates.{suffix}" for suffix in ("ecsv", "csv", "tex")):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("n_hits", [0, 6])
def test_all_hits_are_written_candidates_or_not(
    tmp_path: Path, hits: NDArray[np.void], n_hits: int
) -> None:
    hits = hits[:n_hits]
    write_hits(tmp_path, hits, {"VERSION": "1"})
    for suffix in ("fits", "ecsv"):
        found = read_table(tmp_path / f"hits.{suffix}")
        assert found.colnames == [column.name for column in HITS]
        assert found["TARGETID"].tolist() == hits["TARGETID"].tolist()
        assert found["CANDIDATE"].tolist() == hits["CANDIDATE"].tolist()
        assert str(found["WAVE"].unit) == "Angstrom"


@pytest.mark.parametrize(
    "number", [2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), 4731556560197, -1]
)
def test_c1_ids_are_exact_in_every_file(
    tmp_path: Path, hits: NDArray[np.void], number: int
) -> None:
    hits["TARGETID"] = number
    write_candidates(tmp_path, ranked(hits[:1]), {})
    assert read_table(tmp_path / "candidates.fits")["TARGETID"].tolist() == [number]
    assert read_table(tmp_path / "candidates.ecsv")["TARGETID"].tolist() == [number]
    assert csv_rows(tmp_path / "candidates.csv")[0]["TARGETID"] == str(number)


def test_c3_a_candidate_without_a_position_is_written_and_read_back(
    tmp_path: Path, hits: NDArray[np.void]
) -> None:
    hits["RA"] = np.nan
    write_candidates(tmp_path, ranked(hits), {})
    for suffix in ("fits", "ecsv"):
        found = read_table(tmp_path / f"candidates.{suffix}")
        assert [str(name) for name in found["NAME"]] == [""] * 5
    cells = latex_cells(tmp_path / "candidates.tex")[0]
    assert [cells[i] for i in (0, 4, 5)] == ["..."] * 3


@pytest.mark.parametrize("name", ["Ångström 7", "Hβ", "透鏡", "a\x01b", "a\x00b", "\u202eRTL"])
def test_c5_ecsv_is_exact_and_fits_is_folded_to_ascii_with_a_warning(
    tmp_path: Path, hits: NDArray[np.void], name: str
) -> None:
    hits["KNOWN"][2] = name
    rows = ranked(hits)
    with pytest.warns(UserWarning, match=r"candidates\.fits: KNOWN: .*candidates\.ecsv has them"):
        write_candidates(tmp_path, rows, {})
    exact = read_table(tmp_path / "candidates.ecsv")["KNOWN"].tolist()
    folded = read_table(tmp_path / "candidates.fits")["KNOWN"].tolist()
    expected = "".join(c if " " <= c <= "~" else "?" for c in name)
    assert [text for text in folded if text] == [expected]
    # A table of text has lines: what is not printable becomes a blank.
    shown = "".join(c if c.isprintable() else " " for c in name).strip()
    assert [text for text in exact if text] == [shown]


def test_c5_long_names_of_files_stay_whole(tmp_path: Path, hits: NDArray[np.void]) -> None:
    wide = hits.astype(dtype_of(HITS, FILE=5000))
    wide["FILE"] = "f" * 4999 + "s"
    write_hits(tmp_path, wide, {})
    write_candidates(tmp_path, ranked(wide), {})
    for product in ("hits.fits", "hits.ecsv", "candidates.fits", "candidates.ecsv"):
        assert set(read_table(tmp_path / product)["FILE"].tolist()) == {"f" * 4999 + "s"}
    assert csv_rows(tmp_path / "candidates.csv")[0]["FILE"] == "f" * 4999 + "s"


@pytest.mark.parametrize("text", HOSTILE)
def test_c6_hostile_text_is_only_text(tmp_path: Path, hits: NDArray[np.void], text: str) -> None:
    hits["KNOWN"] = text
    write_hits(tmp_path, hits, {})
    write_candidates(tmp_path, ranked(hits), {})
    for stem in ("hits", "candidates"):
        for suffix in ("fits", "ecsv"):
            found = read_table(tmp_path / f"{stem}.{suffix}")
            assert set(found["KNOWN"].tolist()) == {text}
            assert set(found["PLATE"].tolist()) == {4731}


@pytest.mark.parametrize("start", ["=", "+", "-", "@", " =", "\t=", "\r=", "\n@", "\u202e="])
def test_c6_no_text_of_the_csv_table_is_a_formula(
    tmp_path: Path, hits: NDArray[np.void], start: str
) -> None:
    text = f"{start}{'x' * (32 - len(start))}"  # as wide as its column
    rows = ranked(hits)
    rows["KNOWN"] = text
    rows["PLATE"], rows["SPECTRUM"] = -1, "-1-55656-1"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # FITS has none of these blanks
        write_candidates(tmp_path, rows, {})
    for cells in csv_rows(tmp_path / "candidates.csv"):
        assert cells["KNOWN"].startswith("'")
        assert cells["KNOWN"].endswith("x" * (32 - len(start)))
        assert cells["SPECTRUM"] == "'-1-55656-1"
        assert cells["PLATE"] == "-1"  # a number is one
        assert cells["NAME"] == "SDSS J111749.50+014036.9"


def test_the_csv_table_leaves_empty_what_is_no_number(
    tmp_path: Path, hits: NDArray[np.void]
) -> None:
    hits["SKEWNESS"][4] = hits["VDISP"] = np.nan
    write_candidates(tmp_path, ranked(hits), {})
    cells = csv_rows(tmp_path / "candidates.csv")
    assert [row["VDISP"] for row in cells] == [""] * 5
    assert cells[0]["SKEWNESS"] == ""
    assert float(cells[1]["SKEWNESS"]) == 0
    assert "nan" not in (tmp_path / "candidates.csv").read_text()


def test_the_csv_table_has_no_more_digits_than_were_measured(
    tmp_path: Path, hits: NDArray[np.void]
) -> None:
    hits["FLUX"] = 57.23768
    write_candidates(tmp_path, ranked(hits), {})
    assert csv_rows(tmp_path / "candidates.csv")[0]["FLUX"] == "57.23768"


def paper_cells() -> list[list[str]]:
    return [line.split(" | ") for line in PAPER.strip().splitlines()]


def paper_hits() -> NDArray[np.void]:
    """Hits with the numbers of the paper's Table 1."""
    rows = np.zeros(5, dtype_of(HITS))
    for row, cells in zip(rows, paper_cells(), strict=True):
        _, spectrum, z_lens, z_source, ra, dec, magnitude, flux, skewness = cells
        row["PLATE"], row["MJD"], row["FIBERID"] = spectrum.split("-")
        row["Z"], row["Z_SOURCE"], row["MAG_I"] = float(z_lens), float(z_source), float(magnitude)
        hours, degrees = (
            sum(float(part) / 60**i for i, part in enumerate(text.lstrip("+-").split(":")))
            for text in (ra, dec)
        )
        row["RA"], row["DEC"] = 15 * hours, degrees * (-1 if dec[0] == "-" else 1)
        row["FLUX"] = float(flux)
        row["SKEWNESS"], row["SKEWNESS_ERR"] = (float(part) for part in skewness.split())
    rows["SPECTRUM"] = spectrum_names(rows)
    rows["CANDIDATE"], rows["SNR"], rows["HYPOTHESIS"] = True, -np.arange(len(rows)), "lya"
    return rows


def test_the_latex_table_is_the_paper_s_table_1(tmp_path: Path) -> None:
    write_candidates(tmp_path, ranked(paper_hits()), {})
    expected = []
    for *cells, skewness in paper_cells():
        value, error = skewness.split()
        plate, mjd, fibre = cells[1].split("-")
        cells[1] = f"{plate}-{mjd}-{int(fibre):04d}"  # as everywhere else
        cells[5] = cells[5].replace("-", "$-$")
        expected.append([*cells, rf"${value} \pm {error}$"])
    cells = latex_cells(tmp_path / "candidates.tex")
    assert [row[:9] for row in cells] == expected


def test_the_latex_table_says_what_its_columns_are(tmp_path: Path, hits: NDArray[np.void]) -> None:
    write_candidates(tmp_path, ranked(hits[:0]), {})
    text = (tmp_path / "candidates.tex").read_text()
    assert text.isascii()
    caption = text[text.index(r"\caption{") : text.index(r"\endfirsthead")]
    assert re.findall(r"\((\d+)\)", caption) == 2 * [str(i + 1) for i in range(13)]
    assert text.count("{") == text.count("}")
    environments = re.findall(r"\\(begin|end)\{(.*?)\}", text)
    assert environments == [("begin", "longtable"), ("end", "longtable")]
    assert text.index(r"\endfirsthead") < text.index(r"\endhead") < text.index(r"\endfoot")
    for word in ("$>$", "$<$", "unconstrained", "FLUX"):
        assert word in caption


@pytest.mark.parametrize(
    ("status", "value", "low", "high", "cell"),
    [
        ("fitted", 3.25, 2.0, 5.0, r"$3.25 \pm 0.50$"),
        ("at_bound", 25.0, 1.25, 25.0, "$> 1.25$"),
        ("at_bound", -25.0, -25.0, -0.5, "$< -0.50$"),
        ("at_bound", 25.0, -24.25, 25.0, "unconstrained"),
        ("fitted", 1.0, -9.0, 22.0, "unconstrained"),
    ],
)
def test_a_limit_of_the_skewness_is_one_and_what_anything_fits_is_none(
    tmp_path: Path, hits: NDArray[np.void], status: str, value: float, low: float, high: float,
    cell: str,
) -> None:  # fmt: skip
    hits["FIT_STATUS"], hits["SKEWNESS"], hits["SKEWNESS_ERR"] = status, value, 0.5
    hits["SKEWNESS_LOW"], hits["SKEWNESS_HIGH"] = low, high
    hits["HYPOTHESIS"][0] = "oii"  # the report tells it of every line
    write_candidates(tmp_path, ranked(hits), {})
    assert {row[8] for row in latex_cells(tmp_path / "candidates.tex")} == {cell}


@pytest.mark.parametrize("suffix", ["fits", "ecsv"])
def test_headers_name_the_bits_of_the_flags(
    tmp_path: Path, hits: NDArray[np.void], suffix: str
) -> None:
    write_hits(tmp_path, hits, {"CREATOR": "x"})
    write_candidates(tmp_path, ranked(hits), {"CREATOR": "x"})
    for name in ("hits", "candidates"):
        meta = read_table(tmp_path / f"{name}.{suffix}").meta
        for flag in VET_FLAGS:
            assert meta[f"VETBIT{flag.bit.bit_length() - 1}"] == f"{flag.name}: {flag.text}"


def test_every_row_of_the_latex_table_has_thirteen_cells_whatever_is_missing(
    tmp_path: Path, hits: NDArray[np.void]
) -> None:
    for name in ("Z", "MAG_I", "SKEWNESS", "LYA_FLUX", "FLUX"):
        hits[name] = np.nan
    hits["SKEWNESS"][:2], hits["SKEWNESS_ERR"][:2] = -0.5, [np.nan, 0.25]
    hits["HYPOTHESIS"][2:4] = "oii", "elg"
    write_candidates(tmp_path, ranked(hits), {})
    cells = {row[1]: row for row in latex_cells(tmp_path / "candidates.tex")}
    assert {len(row) for row in cells.values()} == {13}
    assert [cells["4731-55656-0005"][i] for i in (2, 6, 7, 8)] == ["..."] * 4
    assert cells["4731-55656-0001"][8] == "$-0.50$"
    assert cells["4731-55656-0002"][8] == r"$-0.50 \pm 0.25$"
    assert "nan" not in (tmp_path / "candidates.tex").read_text()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"$\foo$", r"\$\textbackslash{}foo\$"),
        ("50% & more_", r"50\% \& more\_"),
        (r"\input{/etc/x}", r"\textbackslash{}input\{/etc/x\}"),
        ("a<b>~^#", r"a\textless{}b\textgreater{}\textasciitilde{}\textasciicircum{}\#"),
        ("a  b", "a b"),
        (" ", "..."),
    ],
)
def test_c6_text_of_the_latex_table_is_no_command(
    tmp_path: Path, hits: NDArray[np.void], text: str, expected: str
) -> None:
    rows = ranked(hits)
    rows["NAME"] = f"{text}"
    if text == " ":
        rows["NAME"] = ""
    write_candidates(tmp_path, rows, {})
    lines = (tmp_path / "candidates.tex").read_text().splitlines()
    assert sum(line.startswith(f"{expected} & 4731-55656-") for line in lines) == 5


@pytest.mark.parametrize(
    ("suffix", "number"),
    [
        ("fits", errno.ENOSPC),
        ("ecsv", errno.EDQUOT),
        ("csv", errno.EFBIG),
        ("tex", errno.ENOSPC),
    ],
)
def test_d2_a_writer_that_fails_leaves_the_old_file(
    tmp_path: Path,
    hits: NDArray[np.void],
    monkeypatch: pytest.MonkeyPatch,
    suffix: str,
    number: int,
) -> None:
    path, fsync = tmp_path / f"candidates.{suffix}", os.fsync
    write_candidates(tmp_path, ranked(hits[:2]), {})
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        if path.name in os.readlink(f"/proc/self/fd/{descriptor}"):
            raise OSError(number, os.strerror(number))
        fsync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(RunError, match=f"{path.name}: cannot write: {os.strerror(number)}"):
            write_candidates(tmp_path, ranked(hits), {})
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(f"candidates.{s}" for s in SUFFIXES)
    write_candidates(tmp_path, ranked(hits), {})
    assert path.read_bytes() != before


def test_the_same_candidates_give_the_same_bytes(tmp_path: Path, hits: NDArray[np.void]) -> None:
    for folder, rows in (("a", hits), ("b", hits[::-1])):
        write_candidates(tmp_path / folder, ranked(rows), {"VERSION": "1"})
    for suffix in SUFFIXES:
        name = f"candidates.{suffix}"
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
