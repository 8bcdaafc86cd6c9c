"""What was read is told by its bytes; a hint tells files from their earlier selves."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from speclens.errors import SpectrumFileError
from speclens.read.fits.opening import open_fits
from speclens.read.sdss.plate import open_plate
from speclens.read.sdss.spec import read_spec_files
from speclens.run.recording import (
    SETTLED_NS,
    Readings,
    digest_of_file,
    digest_of_readings,
    hint_of,
    recording,
)
from speclens.spectra import LogGrid

GRID = LogGrid.covering(3800.0, 5000.0)


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("speclens.run.recording.SETTLED_NS", 0)


def spectra_of(plate: Path, rows: list[int]) -> Readings:
    with recording() as readings, open_plate(str(plate), GRID) as source:
        source.spectra(np.array(rows))
    return readings


def test_a_plate_and_its_spzbest_are_recorded_as_they_are_read(
    tmp_path: Path, write_plate: Callable[..., Path]
) -> None:
    plate = write_plate(tmp_path)
    first = spectra_of(plate, [0, 1])
    assert [Path(path).name[:7] for path, _ in first] == ["spZbest", "spPlate"]
    assert spectra_of(plate, [0, 1]) == first
    assert spectra_of(plate, [0, 2]) != first


@pytest.mark.parametrize("small", [0, 1 << 30])
def test_i3_every_byte_that_is_read_counts(
    tmp_path: Path, write_plate: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, small: int
) -> None:
    monkeypatch.setattr("speclens.read.disk.SMALL_FILE", small)
    plate = write_plate(tmp_path, datasum=False)
    content, first = plate.read_bytes(), spectra_of(plate, [0, 1])
    with open_fits(plate) as file:
        flux = file.hdus[0]
        begin = flux.offset + 4 * (GRID.overlap(LogGrid(35515, flux.shape[1]))[1].start + 7)
        # Far enough for its pixels not to be read with the header.
        other_row = begin + 6 * 4 * flux.shape[1]
    for place, is_read in ((begin, True), (other_row, False)):
        changed = bytearray(content)
        changed[place] ^= 1
        plate.write_bytes(changed)
        assert (spectra_of(plate, [0, 1]) != first) == is_read
    plate.write_bytes(content)
    assert spectra_of(plate, [0, 1]) == first


@pytest.mark.parametrize("name", ["spec-1-2-0003.fits", "spec-1-2-0003.fits.gz"])
def test_files_that_fail_are_recorded_too(
    tmp_path: Path, write_spec: Callable[..., Path], name: str
) -> None:
    path = write_spec(tmp_path / name)
    whole = path.read_bytes()
    digests = []
    for content in (whole, whole[:9000], whole[:9001], bytes(len(whole)), b""):
        path.write_bytes(content)
        with recording() as readings:
            read_spec_files([str(path)], GRID)
        (found,) = readings
        assert found[0] == str(path)
        digests.append(found[1])
    assert len(set(digests)) == 5


def test_nothing_is_recorded_outside_of_the_block(
    tmp_path: Path, write_spec: Callable[..., Path]
) -> None:
    path = write_spec(tmp_path / "spec-1-2-0003.fits")
    with recording() as readings:
        pass
    with open_fits(path):
        pass
    assert readings == []
    with pytest.raises(SpectrumFileError), recording() as readings, open_fits(tmp_path / "absent"):
        pass
    assert readings == []


def test_the_order_of_readings_and_their_paths_count() -> None:
    one, two = ("a", "1"), ("b", "2")
    digests = [digest_of_readings(r) for r in ([one, two], [two, one], [one], [("a", "2")], [])]
    assert len(set(digests)) == 5


@pytest.mark.usefixtures("settled")
def test_d7_a_hint_tells_any_change_even_with_size_and_time_set_back(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(100))
    first = hint_of([str(path)])
    assert first == hint_of([str(path)]) != ""
    status = path.stat()
    time.sleep(0.02)
    path.write_bytes(bytes(50) + b"\1" + bytes(49))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_mtime_ns == status.st_mtime_ns
    assert hint_of([str(path)]) != first
    # A copy is another file, whatever its times.
    shutil.copy2(path, tmp_path / "copy")
    before = hint_of([str(path)])
    (tmp_path / "copy").replace(path)
    assert hint_of([str(path)]) != before


def test_d7_a_hint_of_a_file_that_changed_just_now_is_not_relied_on(tmp_path: Path) -> None:
    assert SETTLED_NS >= 1_000_000_000
    path = tmp_path / "file"
    path.write_bytes(b"new")
    assert hint_of([str(path)]) == ""
    future = time.time_ns() + 10**12
    os.utime(path, ns=(future, future))
    assert hint_of([str(path)]) == ""


@pytest.mark.usefixtures("settled")
def test_a8_anything_has_a_hint_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    names = ["pipe", "dangling", "loop", "absent", "b\udcffd", "nul\0"]
    hints = {hint_of([str(tmp_path / name)]) for name in [*names, ""]}
    assert len(hints) == len(names) + 1
    assert "" not in hints
    assert {digest_of_file(str(tmp_path / name)) for name in names} == {""}


def test_the_digest_of_a_file_is_of_all_of_it(tmp_path: Path) -> None:
    digests = set()
    for place in (None, 0, 5 << 20, (9 << 20) - 1):
        content = bytearray(9 << 20)
        if place is not None:
            content[place] = 1
        (tmp_path / "file").write_bytes(content)
        digests.add(digest_of_file(str(tmp_path / "file")))
    assert len(digests) == 4
