"""Files that several searches read are read once, and told of as if each had read them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from speclens.errors import SpectrumFileError
from speclens.read.once import read_once, reading_once
from speclens.read.sdss import spec
from speclens.read.sdss.spec import SpecFiles, read_spec_files
from speclens.run.recording import Readings, recording
from speclens.spectra import LogGrid

BLUE, RED = LogGrid.covering(3800, 5000), LogGrid.covering(5000, 6000)


@pytest.fixture
def path(tmp_path: Path, write_spec: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("speclens.run.recording.SETTLED_NS", 0)
    return write_spec(tmp_path / "spec-1-55000-1.fits", plate=1, mjd=55000, fiberid=1)


@pytest.fixture
def n_opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    opened, whole = [], spec.open_fits
    monkeypatch.setattr(spec, "open_fits", lambda path: (opened.append(path), whole(path))[1])
    return opened


def read(path: Path, grid: LogGrid) -> tuple[SpecFiles, Readings]:
    with recording() as readings:
        return read_spec_files([str(path)], grid), readings


def test_two_windows_of_a_file_are_of_one_reading(path: Path, n_opened: list[str]) -> None:
    alone, told = read(path, RED)
    n_opened.clear()
    with reading_once():
        blue, first = read(path, BLUE)
        red, again = read(path, RED)
    assert n_opened == [str(path)]
    assert first == again == told
    assert red.targets.tobytes() == alone.targets.tobytes()
    assert red.batch.flux.tobytes() == alone.batch.flux.tobytes() != blue.batch.flux.tobytes()
    read(path, BLUE)
    assert len(n_opened) == 2


def test_a_file_that_changed_meanwhile_is_read_again(
    path: Path, n_opened: list[str], write_spec: Callable[..., Path]
) -> None:
    with reading_once():
        before, _ = read(path, BLUE)
        write_spec(path, plate=1, mjd=55000, fiberid=1, z=0.6)
        after, _ = read(path, BLUE)
    assert len(n_opened) == 2
    assert (before.targets["Z"][0], after.targets["Z"][0]) == pytest.approx((0.5, 0.6))


def test_a_failure_that_may_have_gone_is_no_reading(
    path: Path, n_opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = spec.open_fits

    def once(name: str) -> Any:
        monkeypatch.setattr(spec, "open_fits", whole)
        raise SpectrumFileError(name, "io_error", "for a moment")

    monkeypatch.setattr(spec, "open_fits", once)
    with reading_once():
        failed, _ = read(path, BLUE)
        found, told = read(path, RED)
    assert [failure.reason for failure in failed.failures] == ["io_error"]
    assert (len(found.targets), len(told), n_opened) == (1, 1, [str(path)])


def test_what_was_asked_for_otherwise_is_read_anew(path: Path) -> None:
    with reading_once():
        found = [read_once(key, [str(path)], object, bool) for key in "aab"]
    assert found[0] is found[1] is not found[2]
