"""What was gathered, read back: only of these hits, and only when it is whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from speclens.errors import RunError
from speclens.evidence.store import (
    MANIFEST,
    evidence_paths,
    load_companions,
    read_evidence,
    write_manifest,
)
from speclens.schema import COMPANIONS, HITS, dtype_of
from speclens.spectra import LogGrid
from speclens.stored_tables import read_rows

WINDOW = LogGrid.covering(3800.0, 5000.0)


@pytest.fixture
def hits(few: Path) -> NDArray[np.void]:
    return read_rows(few / "hits.fits", HITS)


def test_every_hit_has_its_spectrum_once(few: Path, hits: NDArray[np.void]) -> None:
    evidence = [read_evidence(path) for path in evidence_paths(few / "work", hits)]
    rows = np.concatenate([part.hit for part in evidence])
    assert sorted(rows.tolist()) == list(range(len(hits)))
    for part in evidence:
        assert len(part.window) == len(part.whole) == len(part.hit)
        assert part.window.grid == WINDOW
        assert part.companions.dtype == dtype_of(COMPANIONS)


def test_the_window_is_a_part_of_the_whole_spectrum(few: Path, hits: NDArray[np.void]) -> None:
    for path in evidence_paths(few / "work", hits):
        part = read_evidence(path)
        inside = np.isin(
            np.round(part.whole.grid.loglam * 1e4), np.round(part.window.grid.loglam * 1e4)
        )
        assert inside.sum() == WINDOW.n_pixels == 1192
        np.testing.assert_array_equal(part.window.flux, part.whole.flux[:, inside])
        np.testing.assert_array_equal(part.window.dispersion, part.whole.dispersion[:, inside])


def test_companions_alone_are_those_of_the_whole_evidence(
    few: Path, hits: NDArray[np.void]
) -> None:
    parts = [
        (load_companions(path), read_evidence(path).companions)
        for path in evidence_paths(few / "work", hits)
    ]
    assert sum(len(alone) for alone, _ in parts) == 5
    for alone, with_spectra in parts:
        assert alone.tobytes() == with_spectra.tobytes()


@pytest.mark.parametrize("name", ["ROW", "WAVE"])
def test_evidence_of_other_hits_is_refused(few_run: Path, name: str) -> None:
    hits = read_rows(few_run / "hits.fits", HITS)
    hits[name][0] += 1
    with pytest.raises(RunError, match=r"few: its hits are of another search; run the search"):
        evidence_paths(few_run / "work", hits)
    with pytest.raises(RunError, match="another search"):
        evidence_paths(few_run / "work", hits[:2])


def test_what_was_measured_since_does_not_matter(few_run: Path, hits: NDArray[np.void]) -> None:
    found = evidence_paths(few_run / "work", hits)
    changed = hits.copy()
    for name in ("P_LYA", "SKEWNESS", "FLUX"):
        changed[name] = 0.5
    changed["CANDIDATE"], changed["VET_FLAGS"] = False, 7
    # In memory, and as a file of the other byte order has it.
    for rows in (changed, changed.astype(changed.dtype.newbyteorder(">"))):
        assert evidence_paths(few_run / "work", rows) == found


@pytest.mark.parametrize("content", [None, "", '{"half', "[1]", "{}", '{"hits": "x"}'])
def test_d4_a_manifest_that_is_missing_or_damaged_is_named(
    few_run: Path, hits: NDArray[np.void], content: str | None
) -> None:
    path = few_run / "work" / MANIFEST
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(RunError, match=r"evidence\.json: missing or damaged; run the same search"):
        evidence_paths(few_run / "work", hits)


def test_d4_damaged_evidence_is_named(few_run: Path, hits: NDArray[np.void]) -> None:
    path = evidence_paths(few_run / "work", hits)[0]
    path.write_bytes(path.read_bytes()[:-1])
    readers: tuple[Callable[[], object], ...] = (
        lambda: read_evidence(path),
        lambda: load_companions(path),
    )
    for read in readers:
        with pytest.raises(RunError, match=f"{path.name}: missing or damaged; run the same search"):
            read()


def test_a_run_without_hits_has_no_evidence(tmp_path: Path) -> None:
    nothing = np.zeros(0, dtype_of(HITS))
    write_manifest(tmp_path, nothing, [])
    assert evidence_paths(tmp_path, nothing) == []
    assert json.loads((tmp_path / MANIFEST).read_text())["files"] == []
