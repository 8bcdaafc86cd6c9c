"""A search that has searched nothing says so, and why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from speclens.cli.app import app
from speclens.config import load_config
from speclens.verbs.losses import total_loss

Search = Callable[..., tuple[Any, np.ndarray, list[str]]]


def said(reasons: dict[str, int], n_scored: int = 0) -> str:
    n_taken = sum(reasons.values())
    counts = {"read": n_taken + n_scored, "scored": n_scored, "skipped": n_taken, "failed": 0}
    return total_loss(Path(), counts, reasons, load_config(), None)


def test_nothing_is_said_where_any_spectrum_was_searched() -> None:
    assert said({"z_low": 40}, 1) == ""
    assert said({}) == ""


def test_one_reason_that_takes_all_is_named_with_its_limit() -> None:
    text = said({"z_low": 41})
    for part in ("all 41 z_low", "0.3", "selection.z_min"):
        assert part in text


def test_of_several_reasons_each_is_explained() -> None:
    text = said({"sky_fibre": 2, "class_qso": 30, "z_low": 5})
    first, second, last = text.split("; ")
    assert "30 class_qso: classified as a quasar" in first
    assert "GALAXY" in first
    assert "--foreground" in first
    assert second.startswith("5 z_low: ")
    assert "selection.z_min" in second
    assert last == "2 sky_fibre: a sky fibre, whatever its CLASS"


@pytest.fixture
def spec(tmp_path: Path, write_spec: Callable[..., Path]) -> Path:
    return write_spec(tmp_path / "in" / "spec-3655-55240-0001.fits", fiberid=1)


@pytest.mark.parametrize(
    ("rows", "parts"),
    [
        ("266,51602,1\n1000,52000,2", ["266 to 1000", "3655", "these plates"]),
        ("3655,55241,1\n3655,55240,2", ["plates", "3655", "MJD and FIBERID"]),
        ("-1,55240,1\n,,", ["are none"]),
    ],
)
def test_i10_a_catalogue_of_other_spectra_is_said_last_and_loud(
    tmp_path: Path, spec: Path, rows: str, parts: list[str]
) -> None:
    table = tmp_path / "table.csv"
    lines = [f"{row},GALAXY,0.5" for row in rows.split("\n")]
    table.write_text("\n".join(["plate,mjd,fiberid,class,z", *lines]))
    words = ["search", str(spec), "-o", str(tmp_path / "run"), "--catalogue", str(table),
             "--method", "matched-filter", "--workers", "1"]  # fmt: skip
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    last = result.stderr.strip().splitlines()[-1]
    assert "no spectrum was searched: all 1 not_in_catalogue" in last
    for part in parts:
        assert part in last
    assert "no spectrum was searched" in (tmp_path / "run" / "run.json").read_text()
    again = CliRunner().invoke(app, [*words, "--quiet"])
    assert "no spectrum was searched" in again.stderr


def test_cells_that_a_catalogue_lacks_are_notes_of_the_run(
    tmp_path: Path, spec: Path, search_into: Search
) -> None:
    table = tmp_path / "table.csv"
    table.write_text("plate,mjd,fiberid,class,z\n3655,55240,1,GALAXY,0.5\n3655,55240,x,GALAXY,1\n")
    summary, rows, _ = search_into(tmp_path / "run", spec, catalogue=str(table))
    assert rows["STATUS"].tolist() == ["scored"]
    assert summary.loss == ""
    assert any("'fiberid'" in note and "row 2: 'x'" in note for note in summary.notes)
