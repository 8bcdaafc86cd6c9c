"""A folder is the old one until the new one is whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from speclens.errors import RunError
from speclens.report.folder import replacing_folder


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.fixture
def report(tmp_path: Path) -> Path:
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "old").touch()
    return tmp_path / "report"


def test_the_new_folder_stands_in_for_the_old_one(report: Path) -> None:
    with replacing_folder(report) as part:
        (part / "new").touch()
        assert names(report) == ["old"]
    assert names(report.parent) == ["report", "report/new"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_d2_a_failure_leaves_the_old_one(report: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), replacing_folder(report):
        raise error
    assert names(report.parent) == ["report", "report/old"]


def test_d2_a_full_disk_is_one_line(report: Path) -> None:
    with pytest.raises(RunError, match="cannot write: No space"), replacing_folder(report):
        raise OSError(28, "No space left on device")
    assert names(report) == ["old"]


def test_d1_what_a_killed_process_left_is_taken_up(report: Path) -> None:
    report.rename(report.with_name(".report.old"))
    report.with_name(".report.new").mkdir()
    with pytest.raises(ValueError, match="stop"), replacing_folder(report):
        raise ValueError("stop")
    assert names(report.parent) == ["report", "report/old"]
