"""Spectra of hits are found without reading those of all others."""

from __future__ import annotations

from pathlib import Path

import pytest

from speclens.errors import RunError
from speclens.evidence.store import evidence_paths, read_evidence
from speclens.grade.run_tables import GatheredSpectra
from speclens.schema import HITS
from speclens.stored_tables import read_rows


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were read."""
    paths: list[Path] = []

    def noted(path: Path) -> object:
        paths.append(path)
        return read_evidence(path)

    monkeypatch.setattr("speclens.grade.run_tables.read_evidence", noted)
    return paths


def test_a_spectrum_costs_one_file(few: Path, opened: list[Path]) -> None:
    hits = read_rows(few / "hits.fits", HITS)
    paths = evidence_paths(few / "work", hits)
    spectra = GatheredSpectra(paths, hits)
    for n, row in enumerate((2, 0, 1), 1):
        window, _ = spectra.of(row)
        line = abs(window.grid.wave - hits["WAVE"][row]) < 5
        assert (window.flux[0] - window.model[0])[line].max() > 0
        assert len(opened) == n


def test_a_file_that_is_missing_moves_the_others_up(few: Path) -> None:
    hits = read_rows(few / "hits.fits", HITS)
    paths = evidence_paths(few / "work", hits)
    for lost in range(3):
        spectra = GatheredSpectra([*paths[:lost], *paths[lost + 1 :]], hits)
        for row in {0, 1, 2} - {lost}:
            spectra.of(row)
        for _ in range(2):
            with pytest.raises(RunError, match="could not be read again"):
                spectra.of(lost)
